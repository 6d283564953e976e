//! gunicorn's corpus and our own table of requests, whole and cut in every way: what the RFCs ask
//! for, and never a verdict that depends on the cuts.

mod common;
#[path = "common/corpus.rs"]
mod corpus;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};

use common::{Event, every_byte, server, whole};
use corpus::{Case, PROBE, Want, Wanted, directory, load};
use ringbench_http::{BodyLength, EofOutcome, Limits};

/// How many ways of cutting each case at random are tried.
const RANDOM_CUTS: u64 = 24;

/// Runs every case of a table and names all that fail.
fn run(table: &str) -> Vec<Case> {
    let cases = load(table);
    let failures: Vec<_> = cases.iter().filter_map(|case| failure(table, case)).collect();
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n"));
    cases
}

fn failure(table: &str, case: &Case) -> Option<String> {
    let events = catch_unwind(AssertUnwindSafe(|| events_of_every_cut(case)))
        .map_err(|_| "the cuts changed the verdict; see above".to_owned());
    let outcome = events.and_then(|events| judge(case, &events));
    outcome.err().map(|error| format!("{table}:{} {}: {error}", case.line, case.name))
}

/// What the codec says to the case; the same for every way of cutting it.
fn events_of_every_cut(case: &Case) -> Vec<Event> {
    let (input, limits) = (case.stream(), Limits::default());
    let events = server(&input, whole(), &limits);
    let check = |cuts: &mut dyn Iterator<Item = usize>, how: &str| {
        assert_eq!(server(&input, cuts, &limits), events, "{} {how}", case.name);
    };
    check(&mut every_byte(&input), "byte by byte");
    for cut in 1..input.len().min(400) {
        check(&mut [cut].into_iter(), &format!("cut at {cut}"));
    }
    for seed in 0..RANDOM_CUTS {
        let cuts = random_cuts(input.len(), seed);
        check(&mut cuts.iter().copied(), &format!("cut at {cuts:?}"));
    }
    events
}

/// Ascending places between 1 and `len`, few or many.
fn random_cuts(len: usize, seed: u64) -> Vec<usize> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = |below: usize| {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below.max(1) as u64) as usize
    };
    let longest = 1 + next(40);
    let mut cuts = Vec::new();
    let mut at = 0;
    while at < len {
        at += 1 + next(longest);
        cuts.push(at);
    }
    cuts
}

/// Whether `events` are what the case wants.
fn judge(case: &Case, events: &[Event]) -> Result<(), String> {
    let mut rest = events;
    for want in &case.wants {
        rest = match want {
            Want::Request(wanted) => take_request(rest, wanted)?,
            Want::Refusal(statuses) => take_refusal(rest, statuses)?,
            Want::More => match rest {
                [.., Event::Eof(EofOutcome::Truncated)] if !rest.iter().any(is_refusal) => &[],
                _ => return Err(format!("the codec should wait for more: {rest:?}")),
            },
        };
    }
    if case.goes_on {
        let probe = Wanted {
            method: "GET".to_owned(),
            target: Some("/probe".to_owned()),
            host: Some("probe".to_owned()),
            ..Wanted::default()
        };
        rest = take_request(rest, &probe).map_err(|error| format!("after it: {error}"))?;
    }
    let answered = |event: &Event| matches!(event, Event::Request { .. } | Event::Reject(_));
    match rest.iter().find(|&event| answered(event)) {
        Some(event) => Err(format!("nothing more should be answered: {event:?}")),
        None => Ok(()),
    }
}

fn is_refusal(event: &Event) -> bool {
    matches!(event, Event::Reject(_))
}

fn take_refusal<'e>(events: &'e [Event], statuses: &[u16]) -> Result<&'e [Event], String> {
    match events {
        [Event::Reject(reject), rest @ ..] if statuses.contains(&reject.status) => Ok(rest),
        _ => Err(format!("a refusal with {statuses:?} is due: {:?}", events.first())),
    }
}

fn take_request<'e>(events: &'e [Event], wanted: &Wanted) -> Result<&'e [Event], String> {
    let [Event::Request { line, host, headers, rest }, events @ ..] = events else {
        return Err(format!("a request is due: {:?}", events.first()));
    };
    let start = match &wanted.target {
        Some(target) => format!("{} {} ", wanted.method, target.as_bytes().escape_ascii()),
        None => format!("{} ", wanted.method),
    };
    if !line.starts_with(&start) {
        return Err(format!("`{start}` is due: `{line}`"));
    }
    if wanted.host.is_some() && wanted.host != *host {
        return Err(format!("host {:?} is due: {host:?}", wanted.host));
    }
    for field in &wanted.fields {
        if !headers.contains(field) {
            return Err(format!("{field:?} is due: {headers:?}"));
        }
    }
    if rest.expect_continue != wanted.expects_continue {
        return Err(format!("expect_continue is {}", rest.expect_continue));
    }
    let (body, events) = match events {
        [Event::Body(body), events @ ..] => (&body[..], events),
        _ => (&b""[..], events),
    };
    if body != wanted.body {
        return Err(format!(
            "the body is `{}`, due is `{}`",
            body.escape_ascii(),
            wanted.body.escape_ascii()
        ));
    }
    let has_end = !matches!(rest.body, BodyLength::None | BodyLength::Length(0));
    match events {
        [Event::End { .. }, events @ ..] if has_end && !wanted.unfinished => Ok(events),
        _ if has_end != wanted.unfinished => Err("the body should have ended".to_owned()),
        _ => Ok(events),
    }
}

/// Decided cases that are accepted and refused, and open ones.
fn count(cases: &[Case]) -> (usize, usize, usize) {
    let decided = || cases.iter().filter(|case| !case.open);
    (
        decided()
            .filter(|case| case.wants.iter().all(|want| matches!(want, Want::Request(_))))
            .count(),
        decided()
            .filter(|case| case.wants.iter().any(|want| matches!(want, Want::Refusal(_))))
            .count(),
        cases.iter().filter(|case| case.open).count(),
    )
}

#[test]
fn gunicorns_corpus() {
    let cases = run("gunicorn.txt");
    for kind in ["valid", "invalid"] {
        let mut files: Vec<_> = fs::read_dir(directory().join("gunicorn").join(kind))
            .unwrap()
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
            .collect();
        files.sort();
        for file in &files {
            let name = format!("{kind}/{file}");
            assert!(cases.iter().any(|case| case.name == name), "{name} is not in the table");
        }
        let of_kind = || cases.iter().filter(|case| case.name.starts_with(kind));
        let with_host = |case: &Case| case.name.ends_with("+host");
        let as_they_are: Vec<_> = of_kind().filter(|case| !with_host(case)).cloned().collect();
        assert_eq!(as_they_are.len(), files.len());
        let judged: Vec<_> = files
            .iter()
            .map(|file| {
                let named = |name: &str| of_kind().find(|case| case.name == name);
                let plain = format!("{kind}/{file}");
                named(&format!("{plain}+host")).or(named(&plain)).unwrap().clone()
            })
            .collect();
        // gunicorn/README.md has these figures.
        let expected =
            if kind == "valid" { [(28, 27, 7), (43, 6, 13)] } else { [(4, 60, 17), (8, 54, 19)] };
        assert_eq!([count(&as_they_are), count(&judged)], expected, "{kind}");
    }
}

#[test]
fn our_own_table() {
    let cases = run("ours.txt");
    let (accepted, refused, open) = count(&cases);
    assert!(
        accepted >= 70 && refused >= 150,
        "{accepted} accepted, {refused} refused, {open} open"
    );
}

/// A request after which the connection takes no more, and one after which it does, are told apart
/// by the probe alone; so it must be sound.
#[test]
fn the_probe_is_a_request() {
    let events = server(PROBE, whole(), &Limits::default());
    assert!(matches!(events[..], [Event::Request { .. }, Event::Eof(EofOutcome::Clean)]));
}
