//! What was not measured, with the text that says why: each server's failures of the same kind and
//! words once, with where they were seen.

use super::digest::Digest;

/// Something that was not measured.
pub(super) struct Unmeasured {
    server: String,
    word: &'static str,
    /// The cells, each with its repeats; none where the whole server was left out.
    places: Vec<(String, Vec<u64>)>,
    /// The last that was said.
    pub(super) told: String,
}

impl Unmeasured {
    /// Who, and what became of it.
    pub(super) fn title(&self) -> String {
        format!("{}: {}", self.server, self.word)
    }

    /// Where it was seen: `hello c=10 (run 1), hello c=100 (runs 1, 2)`.
    pub(super) fn places(&self) -> String {
        let told = self.places.iter().map(|(cell, repeats)| {
            let numbers: Vec<String> = repeats.iter().map(u64::to_string).collect();
            let runs = if numbers.len() == 1 { "run" } else { "runs" };
            format!("{cell} ({runs} {})", numbers.join(", "))
        });
        told.collect::<Vec<_>>().join(", ")
    }

    fn add(&mut self, cell: &str, repeat: u64) {
        match self.places.iter_mut().find(|(known, _)| known == cell) {
            Some((_, repeats)) => repeats.push(repeat),
            None => self.places.push((cell.to_owned(), vec![repeat])),
        }
    }
}

/// All of them: runs first, then servers that were left out.
pub(super) fn of(digest: &Digest<'_>) -> Vec<Unmeasured> {
    let mut all: Vec<Unmeasured> = Vec::new();
    for failure in digest.failures() {
        let (run, word, told) = (failure.run, failure.word, failure.told);
        let same = |known: &&mut Unmeasured| {
            known.server == run.server && known.word == word && known.told == told
        };
        if let Some(known) = all.iter_mut().find(same) {
            known.add(&run.cell, run.repeat);
        } else {
            let places = vec![(run.cell.clone(), vec![run.repeat])];
            all.push(Unmeasured { server: run.server.clone(), word, places, told });
        }
    }
    let left_out = digest.results.servers.iter().filter_map(|server| {
        let told = server.left_out.clone()?;
        Some(Unmeasured { server: server.name.clone(), word: "left out", places: Vec::new(), told })
    });
    all.extend(left_out);
    all
}
