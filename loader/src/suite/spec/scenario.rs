//! A scenario: what is sent, at how many connections, for how long, and what has to come back.

use std::path::Path;
use std::time::Duration;

use clap::Parser;
use ringbench_measure::units::parse_duration;
use toml::Spanned;

use super::NamedFile;
use super::error::{Source, SpecError};
use super::raw::{Expect, Keys};
use crate::ab::arm::taken;
use crate::config::{Place, Variety};
use crate::flags::Flags;
use crate::requests::RequestFile;
use crate::suite::results::Pick;

/// How long a run is where nothing says so.
const DURATION: Duration = Duration::from_secs(10);
/// How long an answer may take before a server counts as hanging, where no `timeout` says so.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// A scenario, all layers of keys put together.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// Its name, unique in the suite.
    pub name: String,
    /// The path that is asked for, or `/` with a request file.
    pub path: String,
    /// Method and path, or the name of the request file.
    pub request: String,
    /// The paths that a server has to serve, without queries; one that changes ends with `*`.
    pub needs: Vec<String>,
    /// Each is a cell.
    pub connections: Vec<u64>,
    /// The load's threads; `None`: as many as it has cores.
    pub threads: Option<u64>,
    /// Requests per second of an open loop.
    pub rate: Option<f64>,
    /// Requests in flight at once on a connection.
    pub pipeline: u64,
    /// How long each run lasts.
    pub duration: Duration,
    /// How long the server is warmed up before.
    pub warm_up: Duration,
    /// How often it is run.
    pub repeats: u64,
    /// What becomes of the repeats.
    pub pick: Pick,
    /// What an answer has to be.
    pub expect: Expect,
    /// How long the checked answer may take.
    pub answer_limit: Duration,
    /// A file that the requests are in.
    pub request_file: Option<NamedFile>,
    /// Flags of the load, but for connections, threads and duration.
    flags: Vec<String>,
}

impl Scenario {
    /// The flags of the load at so many connections, but for the duration.
    pub fn load(&self, connections: u64, load_cores: usize) -> Vec<String> {
        let mut load = vec!["-c".to_owned(), connections.to_string(), "-t".to_owned()];
        load.push(self.threads_at(connections, load_cores).to_string());
        load.extend(self.flags.iter().cloned());
        load
    }

    /// The load's threads: each needs a connection.
    pub fn threads_at(&self, connections: u64, load_cores: usize) -> u64 {
        self.threads.unwrap_or(load_cores as u64).clamp(1, connections.max(1))
    }
}

/// Reads scenarios out of their tables.
pub(super) struct Reader<'a> {
    pub(super) source: &'a Source,
    pub(super) defaults: Keys,
    /// What replaces keys in the short form; `None` in the whole form.
    pub(super) quick: Option<Keys>,
}

impl Reader<'_> {
    pub(super) fn scenario(&self, raw: &Spanned<Keys>) -> Result<Scenario, SpecError> {
        let line = self.source.lines.line_of(raw);
        let own = raw.get_ref().clone();
        let Some(name) = own.name.clone() else {
            let told = "a scenario needs a name: add name = \"...\" below this [[scenario]]";
            return Err(self.source.error(Some(line), Some("scenario"), told));
        };
        let place = Where { source: self.source, name: name.get_ref(), line };
        if let Some(quick) = &own.quick {
            no_nesting(quick.get_ref(), |key| place.at(quick, "quick", key))?;
        }
        let keys = match (&self.quick, own.quick.clone()) {
            (None, _) => own.over(&self.defaults),
            (Some(all), of_its_own) => {
                let of_its_own = of_its_own.map_or_else(Keys::default, |keys| *keys.into_inner());
                of_its_own.over(all).over(&own).over(&self.defaults)
            }
        };
        build(&place, keys)
    }
}

/// That a layer of keys has neither a name nor another layer in it.
pub(super) fn no_nesting(keys: &Keys, error: impl Fn(&str) -> SpecError) -> Result<(), SpecError> {
    match (&keys.name, &keys.quick) {
        (None, None) => Ok(()),
        (Some(_), _) => Err(error("`name` belongs to a [[scenario]] alone: take it out here")),
        (_, Some(_)) => Err(error("`quick` belongs to a [[scenario]] alone: take it out here")),
    }
}

/// Where errors of a scenario are.
struct Where<'a> {
    source: &'a Source,
    name: &'a str,
    line: usize,
}

impl Where<'_> {
    fn key(&self, key: &str) -> String {
        format!("scenario `{}`, {key}", self.name)
    }

    fn at<T>(&self, value: &Spanned<T>, key: &str, told: impl std::fmt::Display) -> SpecError {
        self.source.at(value, &self.key(key), told)
    }

    fn error(&self, told: impl Into<String>) -> SpecError {
        let key = format!("scenario `{}`", self.name);
        self.source.error(Some(self.line), Some(&key), told)
    }

    fn duration(
        &self,
        value: Option<&Spanned<String>>,
        key: &str,
    ) -> Result<Option<Duration>, SpecError> {
        let parse = |value: &Spanned<String>| {
            parse_duration(value.get_ref()).map_err(|error| self.at(value, key, error))
        };
        value.map(parse).transpose()
    }
}

fn build(place: &Where<'_>, keys: Keys) -> Result<Scenario, SpecError> {
    let duration = place.duration(keys.duration.as_ref(), "duration")?.unwrap_or(DURATION);
    if let Some(value) = keys.duration.as_ref().filter(|_| duration.is_zero()) {
        return Err(place.at(value, "duration", "must be longer than nothing"));
    }
    let warm_up = place.duration(keys.warm_up.as_ref(), "warm_up")?.unwrap_or_default();
    let timeout = place.duration(keys.timeout.as_ref(), "timeout")?;
    let repeats = keys.repeats.as_ref().map_or(1, |value| *value.get_ref());
    if let Some(value) = keys.repeats.as_ref().filter(|_| !(1..=1_000).contains(&repeats)) {
        return Err(place.at(value, "repeats", "must be from 1 to 1000"));
    }
    let connections = connections(place, &keys)?;
    let request = Requested::of(place, &keys)?;
    if let Some(expect) = &keys.expect {
        check_expect(expect.get_ref()).map_err(|told| place.at(expect, "expect", told))?;
    }
    Ok(Scenario {
        name: place.name.to_owned(),
        flags: flags(place, &keys, request.file.as_ref())?,
        path: request.path,
        request: request.shown,
        needs: request.needs,
        request_file: request.file,
        connections,
        threads: keys.threads.map(Spanned::into_inner),
        rate: keys.rate.map(Spanned::into_inner),
        pipeline: keys.pipeline.map_or(1, Spanned::into_inner),
        duration,
        warm_up,
        repeats,
        pick: keys.pick.unwrap_or_default(),
        expect: keys.expect.map(Spanned::into_inner).unwrap_or_default(),
        answer_limit: timeout.unwrap_or(ANSWER_LIMIT),
    })
}

fn connections(place: &Where<'_>, keys: &Keys) -> Result<Vec<u64>, SpecError> {
    let Some(value) = &keys.connections else {
        return Err(place.error(
            "it has no connections: add connections = [10, 100], a list of numbers, to it or to \
             [defaults]",
        ));
    };
    let list = value.get_ref();
    if list.is_empty() {
        return Err(place.at(value, "connections", "the list is empty: each number is a cell"));
    }
    let twice = list.iter().enumerate().find(|(at, count)| list[..*at].contains(count));
    match twice {
        Some((_, count)) => {
            Err(place.at(value, "connections", format!("{count} is there twice: take one out")))
        }
        None => Ok(list.clone()),
    }
}

/// What is sent.
struct Requested {
    path: String,
    shown: String,
    needs: Vec<String>,
    file: Option<NamedFile>,
}

impl Requested {
    fn of(place: &Where<'_>, keys: &Keys) -> Result<Self, SpecError> {
        match (&keys.path, &keys.requests) {
            (Some(_), Some(value)) => Err(place.at(
                value,
                "requests",
                "path and requests are two ways to say what is sent: keep one of them",
            )),
            (None, None) => Err(place.error(
                "it sends nothing: add path = \"/...\", or requests = \"FILE\" (a request file, \
                 docs/request-files.md)",
            )),
            (Some(path), None) => Self::path(place, keys, path),
            (None, Some(name)) => Self::file(place, keys, name),
        }
    }

    fn path(place: &Where<'_>, keys: &Keys, path: &Spanned<String>) -> Result<Self, SpecError> {
        let text = path.get_ref();
        if !text.starts_with('/') {
            return Err(place.at(path, "path", format!("`{text}` has to begin with /")));
        }
        let default = if keys.body.is_some() { "POST" } else { "GET" };
        let method = keys.method.as_ref().map_or(default, |method| method.get_ref());
        let fixed = text.split('?').next().unwrap_or_default().to_owned();
        Ok(Self {
            path: text.clone(),
            shown: format!("{method} {text}"),
            needs: vec![fixed],
            file: None,
        })
    }

    fn file(place: &Where<'_>, keys: &Keys, name: &Spanned<String>) -> Result<Self, SpecError> {
        let more = [("method", keys.method.is_some()), ("body", keys.body.is_some())];
        if let Some((key, _)) = more.into_iter().find(|(_, given)| *given) {
            let told = format!("{key} belongs into the request file: take it out here");
            return Err(place.at(name, key, told));
        }
        let folder = place.source.lines.path.parent().unwrap_or(Path::new(""));
        let file = folder.join(name.get_ref());
        let read = RequestFile::read(&file);
        let read = read.map_err(|error| place.at(name, "requests", error))?;
        Ok(Self {
            path: "/".to_owned(),
            shown: name.get_ref().clone(),
            needs: read.paths(),
            file: Some(NamedFile { name: name.get_ref().clone(), path: file }),
        })
    }
}

fn flags(
    place: &Where<'_>,
    keys: &Keys,
    request_file: Option<&NamedFile>,
) -> Result<Vec<String>, SpecError> {
    fn number<T: ToString>(flags: &mut Vec<String>, flag: &str, value: Option<&Spanned<T>>) {
        flags.extend(value.into_iter().flat_map(|it| [flag.to_owned(), it.get_ref().to_string()]));
    }
    let mut flags = Vec::new();
    number(&mut flags, "-p", keys.pipeline.as_ref());
    number(&mut flags, "-R", keys.rate.as_ref());
    number(&mut flags, "--requests-per-connection", keys.requests_per_connection.as_ref());
    number(&mut flags, "-T", keys.timeout.as_ref());
    number(&mut flags, "-m", keys.method.as_ref());
    for header in keys.headers.iter().flat_map(Spanned::get_ref) {
        flags.extend(["-H".to_owned(), header.clone()]);
    }
    if let Some(body) = &keys.body {
        if body.get_ref().starts_with('@') {
            let told = "a body that begins with @ would be read from a file: put it into a request \
                        file (requests = \"FILE\"), which has body_file as well";
            return Err(place.at(body, "body", told));
        }
        number(&mut flags, "-b", Some(body));
    }
    if let Some(file) = request_file {
        flags.extend(["--requests".to_owned(), file.path.display().to_string()]);
    }
    flags.extend(keys.args.iter().flat_map(Spanned::get_ref).cloned());
    Ok(flags)
}

fn check_expect(expect: &Expect) -> Result<(), String> {
    if let Some(status) = expect.status.filter(|status| !(200..=599).contains(status)) {
        return Err(format!("{status} is no status that an answer has: from 200 to 599"));
    }
    if let Some(json) = &expect.json {
        let parsed = serde_json::from_str::<serde_json::Value>(json);
        parsed.map_err(|error| format!("json: `{json}` is not JSON: {error}"))?;
    }
    Ok(())
}

/// Checks a load as ringload itself will, so that nothing fails for its flags when hours have been
/// measured; what is wrong in one line.
///
/// # Errors
///
/// When ringload would refuse it, or it leads elsewhere than to the server.
pub(in crate::suite) fn check_load(load: &[String], url: &str) -> Result<(), String> {
    let program = std::iter::once("ringload".to_owned());
    let arguments = program.chain(load.iter().cloned()).chain([url.to_owned()]);
    let flags = Flags::try_parse_from(arguments).map_err(|error| short(&error))?;
    if let Some(flag) = taken(&flags) {
        return Err(format!("{flag} is set by the suite itself: take it out of args"));
    }
    let config = flags.config().map_err(|error| short(&error))?;
    if config.connect.place != Place::Url {
        return Err("args lead the load elsewhere than to the server: take that out".to_owned());
    }
    if matches!(config.variety, Variety::Script(..)) {
        return Err(
            "-s/--script is not for a suite, which checks an answer before it measures: say what is \
             sent with path or with a request file"
                .to_owned(),
        );
    }
    Ok(())
}

/// The part of clap's message that says what is wrong.
fn short(error: &clap::Error) -> String {
    let text = error.to_string();
    let text = text.trim_start_matches("error: ");
    let told = text.split("\n\n").next().unwrap_or_default();
    told.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_that_ringload_refuses_is_told_in_one_line() {
        let check = |flags: &[&str]| {
            let flags: Vec<String> = flags.iter().map(|&flag| flag.to_owned()).collect();
            check_load(&flags, "http://127.0.0.1:8080/")
        };
        assert_eq!(check(&["-c", "4", "-d", "1s"]), Ok(()));
        for (flags, part) in [
            (&["-c", "0"][..], "--connections"),
            (&["--json", "f"], "--json is set by the suite itself"),
            (&["--cores", "0"], "--cores is set by the suite itself"),
            (&["-c", "1", "-t", "4"], "-t/--threads 4"),
            (&["-s", "x.lua"], "-s/--script is not for a suite"),
            (&["-d", "1s", "-d", "2s"], "--duration"),
            (&["--no-such-flag"], "--no-such-flag"),
        ] {
            let told = check(flags).expect_err(part);
            assert!(told.contains(part) && !told.contains('\n'), "{told}");
        }
    }
}
