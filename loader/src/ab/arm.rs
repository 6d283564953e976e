//! What an arm is: a tuning profile, a server, and a load.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use clap::error::ErrorKind;

use super::settings::Profile;
use super::tools::{find, shown};
use crate::flags::{Flags, Format};

/// The port in each namespace, where nobody else is to have it; and the one that commands are shown with.
pub const PORT: u16 = 8080;
/// The server's address.
pub const HOST: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// What stands for the port in a server's command.
pub(crate) const PORT_MARK: &str = "{port}";

/// An arm as it is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArmSpec {
    /// The command that starts its server; `None`: ringserve.
    pub server: Option<String>,
    /// More arguments for the server, as on a command line.
    pub server_args: String,
    /// More flags for the load, as on a command line.
    pub load_args: String,
}

/// An arm that can be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArmSetup {
    /// Its kernel settings.
    pub profile: Profile,
    /// Its server with all arguments.
    pub server: Vec<String>,
    /// The flags of its load.
    pub load: Vec<String>,
    /// What is loaded.
    pub url: String,
    /// How long a run of the load lasts at the least, if it says so itself.
    pub load_duration: Option<Duration>,
}

/// Why an arm cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum ArmError {
    /// A quotation mark without its partner, or a backslash at the end.
    #[error("{flag}: unbalanced quotes in `{text}`")]
    Quotes {
        /// The flag.
        flag: String,
        /// Its value.
        text: String,
    },
    /// A server that is not told its port.
    #[error(
        "--{arm}-server: `{command}` has no {PORT_MARK}: put it where the server takes the port to \
         listen on"
    )]
    NoPort {
        /// The arm.
        arm: &'static str,
        /// The command.
        command: String,
    },
    /// There is no ringserve.
    #[error(
        "there is no ringserve beside ringload or in PATH: name a server with --a-server and \
         --b-server"
    )]
    NoRingserve,
    /// What to load is missing.
    #[error(
        "the scenario ends with the path to load, as in `-- -c 64 /`, but this one ends with `{0}`"
    )]
    NoPath(String),
    /// A flag that ringload sets itself here.
    #[error("{0} cannot be part of a scenario: ab sets it itself, or has a flag of its own for it")]
    Taken(&'static str),
    /// Flags that ringload does not take.
    #[error("{0}")]
    Flags(#[from] clap::Error),
}

/// The flags of a scenario, and the path that it ends with.
fn scenario_parts(scenario: &[String]) -> Result<(&[String], &str), ArmError> {
    match scenario.split_last() {
        Some((path, flags)) if path.starts_with('/') => Ok((flags, path)),
        last => Err(ArmError::NoPath(last.map_or_else(String::new, |(path, _)| path.clone()))),
    }
}

fn split(flag: &str, text: &str) -> Result<Vec<String>, ArmError> {
    let quotes = || ArmError::Quotes { flag: flag.to_owned(), text: text.to_owned() };
    shlex::split(text).ok_or_else(quotes)
}

impl ArmSetup {
    /// Puts an arm together and checks all that can be checked before it runs. `name` is `a` or `b`,
    /// as in its flags; a scenario that says nothing of its length lasts `duration`.
    ///
    /// # Errors
    ///
    /// When flags are wrong; the text names them.
    pub fn new(
        name: &'static str,
        spec: &ArmSpec,
        profile: Profile,
        scenario: &[String],
        duration: Option<Duration>,
    ) -> Result<Self, ArmError> {
        let mut server = match &spec.server {
            None => vec![
                ringserve()?.to_string_lossy().into_owned(),
                "--listen".to_owned(),
                format!("{HOST}:{PORT_MARK}"),
            ],
            Some(command) => split(&format!("--{name}-server"), command)?,
        };
        server.extend(split(&format!("--{name}-server-args"), &spec.server_args)?);
        if !server.iter().any(|argument| argument.contains(PORT_MARK)) {
            return Err(ArmError::NoPort { arm: name, command: shown(&server) });
        }
        for argument in &mut server {
            *argument = argument.replace(PORT_MARK, &PORT.to_string());
        }
        let (flags, path) = scenario_parts(scenario)?;
        let mut load = flags.to_vec();
        load.extend(split(&format!("--{name}-load-args"), &spec.load_args)?);
        let url = format!("http://{HOST}:{PORT}{path}");
        let load_duration = check(&mut load, &url, duration)?;
        Ok(Self { profile, server, load, url, load_duration })
    }

    /// Its server as it could be typed.
    pub fn shown_server(&self) -> String {
        shown(&self.server)
    }

    /// Its load as it could be typed.
    pub fn shown_load(&self) -> String {
        format!("ringload {}", shown(&[&self.load[..], std::slice::from_ref(&self.url)].concat()))
    }
}

/// Checks the flags of a load, and adds how long it runs where they say nothing. How long that is,
/// unless it is a number of requests.
fn check(
    load: &mut Vec<String>,
    url: &str,
    duration: Option<Duration>,
) -> Result<Option<Duration>, ArmError> {
    let parse = |load: &[String]| {
        let program = std::iter::once("ringload").map(str::to_owned);
        Flags::try_parse_from(program.chain(load.iter().cloned()).chain([url.to_owned()]))
    };
    let flags = parse(load)?;
    refuse_taken(&flags)?;
    let says_itself = flags.load.duration.is_some()
        || flags.load.requests.is_some()
        || flags.pace.stages.is_some();
    match (says_itself, duration) {
        (true, Some(_)) => {
            let text = "--seconds and -d/--duration, -n/--total-requests or --stages of the scenario \
                        say the same: take one of them";
            return Err(clap::Error::raw(ErrorKind::ArgumentConflict, text).into());
        }
        (true, None) => {}
        (false, duration) => {
            let length = duration.unwrap_or(super::DEFAULT_DURATION);
            load.extend(["-d".to_owned(), format!("{}us", length.as_micros())]);
        }
    }
    Ok(parse(load)?.config()?.ending.duration)
}

fn refuse_taken(flags: &Flags) -> Result<(), ArmError> {
    taken(flags).map_or(Ok(()), |flag| Err(ArmError::Taken(flag)))
}

/// A flag that whoever starts ringload as a load sets itself, if it is among these.
pub(crate) fn taken(flags: &Flags) -> Option<&'static str> {
    let output = &flags.output;
    let files = [
        (output.json.is_some(), "--json"),
        (output.html.is_some(), "--html"),
        (output.csv.is_some(), "--csv"),
        (output.hgrm.is_some(), "--hgrm"),
        (output.hlog.is_some(), "--hlog"),
        (output.prometheus.is_some(), "--prometheus"),
        (output.format != Format::Text, "--format"),
        (output.interval.is_some(), "--interval"),
        (output.tui, "--tui"),
        (output.no_progress, "--no-progress"),
        (output.server_pid.is_some(), "--server-pid"),
        (output.no_observe, "--no-observe"),
        (!output.fail_if.is_empty(), "--fail-if"),
        (flags.load.cores.is_some(), "--cores"),
    ];
    files.into_iter().find(|(given, _)| *given).map(|(_, flag)| flag)
}

/// The server that was built with this program.
///
/// # Errors
///
/// When there is none, neither beside this program nor in PATH.
pub(crate) fn ringserve() -> Result<PathBuf, ArmError> {
    let beside = std::env::current_exe().ok().map(|program| program.with_file_name("ringserve"));
    beside.filter(|path| path.is_file()).or_else(|| find("ringserve")).ok_or(ArmError::NoRingserve)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setup(
        spec: &ArmSpec,
        scenario: &[&str],
        seconds: Option<f64>,
    ) -> Result<ArmSetup, ArmError> {
        let profile = Profile::load("default", &[]).expect("the kernel's");
        let scenario: Vec<String> = scenario.iter().map(|&word| word.to_owned()).collect();
        let server = spec.server.clone().or_else(|| Some("srv -p {port}".to_owned()));
        let spec = ArmSpec { server, ..spec.clone() };
        ArmSetup::new("a", &spec, profile, &scenario, seconds.map(Duration::from_secs_f64))
    }

    #[test]
    fn an_arm_is_put_together() {
        let spec = ArmSpec {
            server: Some("nginx -g 'daemon off;' -p :{port}".to_owned()),
            server_args: "-c 'a b'".to_owned(),
            load_args: "--pipeline 4".to_owned(),
        };
        let arm = setup(&spec, &["-c", "64", "/x?y"], Some(0.2)).expect("in order");
        assert_eq!(arm.server, ["nginx", "-g", "daemon off;", "-p", ":8080", "-c", "a b"]);
        assert_eq!(arm.load, ["-c", "64", "--pipeline", "4", "-d", "200000us"]);
        assert_eq!(arm.url, "http://127.0.0.1:8080/x?y");
        assert_eq!(arm.load_duration, Some(Duration::from_millis(200)));
        let shown = arm.shown_load();
        assert!(shown.starts_with("ringload -c 64 --pipeline 4"), "{shown}");
    }

    #[test]
    fn a_scenario_may_say_how_long_it_is() {
        let none = ArmSpec::default();
        let arm = setup(&none, &["-n", "500", "/"], None).expect("in order");
        assert_eq!((arm.load, arm.load_duration), (vec!["-n".to_owned(), "500".to_owned()], None));
        let arm = setup(&none, &["-d", "3s", "/"], None).expect("in order");
        assert_eq!(arm.load_duration, Some(Duration::from_secs(3)));
        let error = setup(&none, &["-d", "3s", "/"], Some(1.0)).expect_err("twice");
        assert!(error.to_string().contains("--seconds"), "{error}");
        let arm = setup(&none, &["/"], None).expect("in order");
        assert_eq!(arm.load_duration, Some(crate::ab::DEFAULT_DURATION));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let none = ArmSpec::default();
        let refused = |spec: &ArmSpec, scenario: &[&str]| {
            setup(spec, scenario, None).expect_err("refused").to_string()
        };
        assert!(refused(&none, &["-c", "64"]).contains("`64`"));
        assert!(refused(&none, &["http://h/"]).contains("`http://h/`"));
        assert!(refused(&none, &["--json", "f", "/"]).starts_with("--json cannot"));
        assert!(refused(&none, &["--cores", "0", "/"]).starts_with("--cores cannot"));
        assert!(refused(&none, &["-c", "0", "/"]).contains("--connections"));
        let server = ArmSpec { server: Some("srv".to_owned()), ..ArmSpec::default() };
        assert!(refused(&server, &["/"]).starts_with("--a-server: `srv` has no {port}"));
        let quotes = ArmSpec { load_args: "-H 'x".to_owned(), ..ArmSpec::default() };
        assert!(refused(&quotes, &["/"]).starts_with("--a-load-args: unbalanced"));
    }
}
