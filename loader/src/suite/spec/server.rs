//! A server of the suite: how it is started, and what it is known to serve.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ringbench_engine::CoreList;
use ringbench_measure::units::parse_duration;
use toml::Spanned;

use super::NamedFile;
use super::error::{Source, SpecError};
use super::raw::{RawPeer, RawServer};
use crate::ab::arm::{PORT, PORT_MARK, ringserve};
use crate::ab::tools::shown;

/// What stands for the number of the server's cores.
const THREADS_MARK: &str = "{threads}";
/// What stands for the folder of the suite file.
const SUITE_MARK: &str = "{suite}";
/// How long a server may take until it listens, where nothing says so.
const READY_LIMIT: Duration = Duration::from_secs(20);

/// A server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSpec {
    /// Its name, unique in the suite.
    pub name: String,
    /// The language that it is written in.
    pub language: Option<String>,
    /// The command that starts it, with marks in it.
    pub command: Vec<String>,
    /// Where it is started.
    pub directory: PathBuf,
    /// What is added to its environment, with marks in it.
    pub environment: BTreeMap<String, String>,
    /// How long it may take until it listens.
    pub ready_limit: Duration,
    /// Its cores, if it does not run on those of all.
    pub cores: Option<Vec<usize>>,
    /// The paths that it serves; `None`: all.
    pub serves: Option<Vec<String>>,
    /// The command that tells its version.
    pub version: Option<Vec<String>>,
    /// Whether it is a peer, whose version command says whether it is installed.
    pub is_peer: bool,
    /// Its files that decide what is measured.
    pub files: Vec<NamedFile>,
}

impl ServerSpec {
    /// The command with a port and a number of cores.
    pub fn argv(&self, port: u16, cores: usize) -> Vec<String> {
        self.command.iter().map(|word| filled(word, port, cores)).collect()
    }

    /// What is added to its environment.
    pub fn variables(&self, port: u16, cores: usize) -> Vec<(String, String)> {
        let fill = |(name, value): (&String, &String)| (name.clone(), filled(value, port, cores));
        self.environment.iter().map(fill).collect()
    }

    /// The command as it could be typed here.
    pub fn shown(&self, cores: usize) -> String {
        let variables = self.variables(PORT, cores);
        let variables = variables.into_iter().map(|(name, value)| format!("{name}={value}"));
        let mut argv = self.argv(PORT, cores);
        if Path::new(&argv[0]).ends_with("ringserve") {
            // Wherever it was found.
            "ringserve".clone_into(&mut argv[0]);
        }
        let mut words: Vec<String> = variables.chain(argv).map(|word| near(&word)).collect();
        if !self.environment.is_empty() {
            words.insert(0, "env".to_owned());
        }
        shown(&words)
    }

    /// Whether it serves all of these paths, as far as is known.
    pub fn has(&self, paths: &[String]) -> bool {
        let Some(serves) = &self.serves else { return true };
        let is_served = |path: &String| {
            serves.iter().any(|entry| match entry.strip_suffix('*') {
                Some(start) => path.starts_with(start),
                None => entry == path,
            })
        };
        paths.iter().all(is_served)
    }
}

/// A text with paths as they are called from the working directory: reports are for others as well.
pub(in crate::suite) fn near(text: &str) -> String {
    match std::env::current_dir() {
        Ok(folder) if folder != Path::new("/") => {
            text.replace(&format!("{}/", folder.display()), "")
        }
        // There is no such directory any more, or it is that of all.
        _ => text.to_owned(),
    }
}

fn filled(text: &str, port: u16, cores: usize) -> String {
    text.replace(PORT_MARK, &port.to_string()).replace(THREADS_MARK, &cores.to_string())
}

/// Reads servers out of their tables.
pub(super) struct Reader<'a> {
    pub(super) source: &'a Source,
    /// Of the suite file, absolute.
    pub(super) folder: &'a Path,
    /// That of the peers, if it was named: as it was, and where it is.
    pub(super) peers: Option<(String, PathBuf)>,
}

impl Reader<'_> {
    pub(super) fn server(&self, raw: &Spanned<RawServer>) -> Result<ServerSpec, SpecError> {
        let line = self.source.lines.line_of(raw);
        let server = raw.get_ref();
        match (&server.peer, &server.command) {
            (Some(peer), None) => self.peer(server, peer),
            (None, Some(command)) => self.command(server, command, line),
            (Some(_), Some(command)) => Err(self.source.at(
                command,
                "server, command",
                "a peer has its command in its run script: keep peer or command",
            )),
            (None, None) => Err(self.source.error(
                Some(line),
                Some("server"),
                "it cannot be started: add command = \"...\", or peer = \"NAME\"",
            )),
        }
    }

    fn command(
        &self,
        server: &RawServer,
        command: &Spanned<String>,
        line: usize,
    ) -> Result<ServerSpec, SpecError> {
        let Some(name) = &server.name else {
            let told = "a server with a command needs a name: add name = \"...\"";
            return Err(self.source.error(Some(line), Some("server"), told));
        };
        let place = |key: &str| format!("server `{}`, {key}", name.get_ref());
        let words = self.words(command, &place("command"))?;
        let takes_port = |text: &String| text.contains(PORT_MARK);
        if !words.iter().any(takes_port) && !server.environment.values().any(takes_port) {
            let told = format!(
                "`{}` has no {PORT_MARK}: put it where the server takes the port to listen on",
                command.get_ref()
            );
            return Err(self.source.at(command, &place("command"), told));
        }
        let version = server.version.as_ref();
        let version = version.map(|text| self.words(text, &place("version"))).transpose()?;
        let is_ours = first(command.get_ref()) == "ringserve";
        let of_ours = || is_ours.then(|| vec![words[0].clone(), "--version".to_owned()]);
        let spec = ServerSpec {
            name: name.get_ref().clone(),
            language: server.language.clone().or_else(|| is_ours.then(|| "Rust".to_owned())),
            version: version.or_else(of_ours),
            command: words,
            directory: self.folder.to_owned(),
            environment: BTreeMap::new(),
            ready_limit: READY_LIMIT,
            cores: None,
            serves: server.serves.clone(),
            is_peer: false,
            files: Vec::new(),
        };
        self.common(spec, server)
    }

    fn peer(&self, server: &RawServer, peer: &Spanned<String>) -> Result<ServerSpec, SpecError> {
        let name = peer.get_ref();
        let error = |told: String| self.source.at(peer, &format!("server, peer `{name}`"), told);
        let Some((of_peers, peers)) = &self.peers else {
            return Err(error(
                "there is no folder to find it in: add peers = \"../peers\" at the top".to_owned(),
            ));
        };
        if name.contains('/') || name.starts_with('.') || name.is_empty() {
            return Err(error("a peer is the name of a folder below that of the peers".to_owned()));
        }
        let folder = peers.join(name);
        let (about, run) = (folder.join("peer.toml"), folder.join("run"));
        if let Some(missing) = [&about, &run].into_iter().find(|file| !file.is_file()) {
            return Err(error(format!("there is no {}", missing.display())));
        }
        let (_, raw): (_, RawPeer) = Source::read(&about)?;
        let called =
            |file: &str, path| NamedFile { name: format!("{of_peers}/{name}/{file}"), path };
        let run_word = run.display().to_string();
        let words = ["--listen", "127.0.0.1:{port}", "--threads", THREADS_MARK];
        let spec = ServerSpec {
            name: server.name.as_ref().map_or(raw.name, |name| name.get_ref().clone()),
            language: server.language.clone().or(raw.language),
            command: std::iter::once(run_word.as_str()).chain(words).map(str::to_owned).collect(),
            directory: folder,
            environment: BTreeMap::new(),
            ready_limit: READY_LIMIT,
            cores: None,
            serves: server.serves.clone().or(raw.serves),
            version: Some(vec![run_word, "--version".to_owned()]),
            is_peer: true,
            files: vec![called("peer.toml", about), called("run", run)],
        };
        if let Some(version) = &server.version {
            let told = "a peer tells its version itself: take this out".to_owned();
            return Err(self.source.at(version, &format!("server `{}`, version", spec.name), told));
        }
        self.common(spec, server)
    }

    /// The keys that a command and a peer have in common.
    fn common(&self, mut spec: ServerSpec, server: &RawServer) -> Result<ServerSpec, SpecError> {
        let place = |key: &str| format!("server `{}`, {key}", spec.name);
        if let Some(text) = &server.ready_timeout {
            let parsed = parse_duration(text.get_ref());
            spec.ready_limit =
                parsed.map_err(|error| self.source.at(text, &place("ready_timeout"), error))?;
        }
        if let Some(text) = &server.cores {
            let parsed = text.get_ref().parse::<CoreList>();
            let CoreList(cores) =
                parsed.map_err(|error| self.source.at(text, &place("cores"), error))?;
            spec.cores = Some(cores);
        }
        if let Some(text) = &server.directory {
            let directory = self.folder.join(self.in_suite(text.get_ref()));
            if !directory.is_dir() {
                let told = format!("there is no folder {}", directory.display());
                return Err(self.source.at(text, &place("directory"), told));
            }
            spec.directory = directory;
        }
        let entry = |(name, value): (&String, &String)| (name.clone(), self.in_suite(value));
        spec.environment = server.environment.iter().map(entry).collect();
        Ok(spec)
    }

    /// The words of a command, its program found.
    fn words(&self, text: &Spanned<String>, key: &str) -> Result<Vec<String>, SpecError> {
        let split = shlex::split(text.get_ref()).filter(|words| !words.is_empty());
        let Some(mut words) = split else {
            let told = format!("`{}` is empty, or a quote in it has no partner", text.get_ref());
            return Err(self.source.at(text, key, told));
        };
        for word in &mut words {
            *word = self.in_suite(word);
        }
        if words[0] == "ringserve" {
            let found = ringserve().map_err(|_| {
                let told = "there is no ringserve beside ringload or in PATH: build or install it";
                self.source.at(text, key, told)
            })?;
            words[0] = found.display().to_string();
        }
        Ok(words)
    }

    fn in_suite(&self, text: &str) -> String {
        text.replace(SUITE_MARK, &self.folder.display().to_string())
    }
}

fn first(command: &str) -> &str {
    command.split_whitespace().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(serves: Option<&[&str]>) -> ServerSpec {
        ServerSpec {
            name: "x".to_owned(),
            language: None,
            command: ["srv", "-l", "127.0.0.1:{port}", "-n{threads}"].map(str::to_owned).to_vec(),
            directory: PathBuf::new(),
            environment: BTreeMap::from([("PORT".to_owned(), "{port}".to_owned())]),
            ready_limit: READY_LIMIT,
            cores: None,
            serves: serves.map(|paths| paths.iter().map(|&path| path.to_owned()).collect()),
            version: None,
            is_peer: false,
            files: Vec::new(),
        }
    }

    #[test]
    fn marks_are_filled_in() {
        let server = server(None);
        assert_eq!(server.argv(81, 3), ["srv", "-l", "127.0.0.1:81", "-n3"]);
        assert_eq!(server.variables(81, 3), [("PORT".to_owned(), "81".to_owned())]);
        assert_eq!(server.shown(1), "env PORT=8080 srv -l 127.0.0.1:8080 -n1");
    }

    #[test]
    fn commands_are_shown_as_they_are_typed_here() {
        let here = std::env::current_dir().expect("there is one");
        let word = |path: &str| here.join(path).display().to_string();
        let mut server = server(None);
        server.command = vec![word("peers/x/run"), format!("--root={}", word("files"))];
        assert_eq!(server.shown(1), "env PORT=8080 peers/x/run --root=files");
        server.command = vec!["/opt/bin/ringserve".to_owned(), "-x".to_owned()];
        assert_eq!(server.shown(1), "env PORT=8080 ringserve -x");
    }

    #[test]
    fn what_a_server_is_known_to_serve() {
        let has = |serves: Option<&[&str]>, paths: &[&str]| {
            let paths: Vec<String> = paths.iter().map(|&path| path.to_owned()).collect();
            server(serves).has(&paths)
        };
        assert!(has(None, &["/anything"]));
        assert!(has(Some(&["/", "/orders"]), &["/orders"]));
        assert!(!has(Some(&["/", "/orders"]), &["/orders", "/ping"]));
        assert!(has(Some(&["/json/*"]), &["/json/100"]));
        assert!(!has(Some(&["/json/*"]), &["/jso"]));
    }
}
