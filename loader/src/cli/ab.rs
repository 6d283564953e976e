//! `ringload ab`: two arms, compared.

use std::error::Error;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use clap::error::ErrorKind;
use ringbench_measure::units;
use ringload::Format;
use ringload::ab::report::{html, json, markdown::Markdown, text::Text};
use ringload::ab::settings::{Setting, profile::usual_folders, write_all};
use ringload::ab::stats::Rules;
use ringload::ab::{AbError, AbReport, ArmSetup, ArmSpec, Comparison, Mode, Profile, Progress};

use super::{Interrupt, print};

/// There is no answer: A differs from itself.
const VOID: u8 = 4;

/// What to compare, and how.
///
/// Each arm runs in a network namespace of its own, with a server of its own, in every round. An arm
/// differs from the other in its tuning profile, its server or its load. A third arm, A once more,
/// runs beside them: where it differs from A, the comparison is void.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct AbFlags {
    /// The first arm's tuning profile: a name, or the path of its folder. `default` is the kernel's
    /// own settings.
    #[arg(long, value_name = "PROFILE", default_value = "default", help_heading = "Arms")]
    a: String,

    /// The second arm's.
    #[arg(long, value_name = "PROFILE", default_value = "default", help_heading = "Arms")]
    b: String,

    /// The command that starts the first arm's server, in the foreground; {port} stands for its
    /// port on 127.0.0.1 [default: ringserve].
    #[arg(long, value_name = "COMMAND", help_heading = "Arms")]
    a_server: Option<String>,

    /// The second arm's.
    #[arg(long, value_name = "COMMAND", help_heading = "Arms")]
    b_server: Option<String>,

    /// More arguments for the first arm's server.
    #[arg(
        long,
        value_name = "ARGS",
        default_value = "",
        allow_hyphen_values = true,
        hide_default_value = true,
        help_heading = "Arms"
    )]
    a_server_args: String,

    /// More arguments for the second arm's.
    #[arg(
        long,
        value_name = "ARGS",
        default_value = "",
        allow_hyphen_values = true,
        hide_default_value = true,
        help_heading = "Arms"
    )]
    b_server_args: String,

    /// More flags for the first arm's load, beside those of the scenario.
    #[arg(
        long,
        value_name = "FLAGS",
        default_value = "",
        allow_hyphen_values = true,
        hide_default_value = true,
        help_heading = "Arms"
    )]
    a_load_args: String,

    /// More flags for the second arm's.
    #[arg(
        long,
        value_name = "FLAGS",
        default_value = "",
        allow_hyphen_values = true,
        hide_default_value = true,
        help_heading = "Arms"
    )]
    b_load_args: String,

    /// The folder of the profiles [default: tuning/profiles, here or beside the program].
    #[arg(long, value_name = "DIR", help_heading = "Arms")]
    profiles: Option<PathBuf>,

    /// Also set what belongs to the whole host, with apply.sh and revert.sh beside the profiles;
    /// one arm at a time, so only interleaved.
    #[arg(long, help_heading = "Arms")]
    host: bool,

    /// Both arms at the same time, or one after the other.
    #[arg(long, value_enum, value_name = "MODE", default_value_t = Mode::Duet,
          help_heading = "Comparison")]
    mode: Mode,

    /// Rounds; all are done, whatever comes out on the way. At least 10 are needed to show anything.
    #[arg(long, value_name = "N", default_value = "20", value_parser = parse_rounds,
          help_heading = "Comparison")]
    rounds: NonZeroUsize,

    /// Differences up to this do not matter.
    #[arg(long, value_name = "PERCENT", default_value = "1%", value_parser = parse_margin,
          help_heading = "Comparison")]
    margin: f64,

    /// How long each load runs [default: 2].
    #[arg(long, value_name = "S", value_parser = parse_seconds, help_heading = "Comparison")]
    seconds: Option<Duration>,

    /// Where the random numbers start: order of the arms, bootstrap.
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Comparison")]
    seed: u64,

    /// The report's format on stdout.
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Text,
          help_heading = "Output")]
    format: Format,

    /// Also write the report as JSON to this file.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    json: Option<PathBuf>,

    /// Also write it as Markdown.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    markdown: Option<PathBuf>,

    /// Also write it as one HTML page, with a forest plot.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    html: Option<PathBuf>,

    /// Tell nothing on stderr while it goes on.
    #[arg(long, help_heading = "Output")]
    no_progress: bool,

    /// ringload's own flags, and the path to load: `-c 64 /`.
    #[arg(
        last = true,
        value_name = "SCENARIO",
        required_unless_present = "write_settings",
        allow_hyphen_values = true,
        help_heading = "Arguments"
    )]
    scenario: Vec<String>,

    /// Write the kernel settings on stdin and say what became of them: what runs inside a namespace.
    #[arg(long, hide = true)]
    write_settings: bool,
}

const AFTER_HELP: &str = "\
Exit codes: 0 answered, whatever the answer, 1 a run failed, 2 bad arguments, 4 void, \
130/143 interrupted.";

/// Compares, and tells what came out.
pub(super) fn run(flags: &AbFlags) -> Result<ExitCode, Box<dyn Error>> {
    if flags.write_settings {
        return write_settings();
    }
    let comparison = comparison(flags).unwrap_or_else(|error| bad_arguments(error.as_ref()));
    let outputs = Outputs::open(flags)?;
    let interrupt = Interrupt::watch()?;
    let mut told = Told::new(flags);
    let stopper = &interrupt.stopper;
    let outcome = comparison.run(|progress| told.show(&progress), &|| stopper.is_stopped());
    drop(told);
    let report = match (outcome, interrupt.exit_code()) {
        (Ok(report), _) => report,
        (Err(AbError::Interrupted), Some(code)) => {
            super::say(AbError::Interrupted);
            return Ok(code);
        }
        (Err(error), _) => return Err(error.into()),
    };
    print(&match flags.format {
        Format::Text => Text(&report).to_string(),
        Format::Json => json::render(&report),
    })?;
    outputs.write(&report)?;
    Ok(if report.is_void() { ExitCode::from(VOID) } else { ExitCode::SUCCESS })
}

/// Ends the program as clap does.
fn bad_arguments(error: &(dyn Error + 'static)) -> ! {
    match error.downcast_ref::<ringload::ab::ArmError>() {
        Some(ringload::ab::ArmError::Flags(error)) => error.exit(),
        // As clap reports an error about a single flag.
        _ => command().error(ErrorKind::ValueValidation, error).exit(),
    }
}

/// The subcommand by itself.
fn command() -> clap::Command {
    AbFlags::augment_args(clap::Command::new("ringload ab"))
}

fn comparison(flags: &AbFlags) -> Result<Comparison, Box<dyn Error>> {
    let searched = flags.profiles.clone().map_or_else(usual_folders, |folder| vec![folder]);
    let arm = |name, profile: &str, server: &Option<String>, args: &str, load: &str| {
        let spec = ArmSpec {
            server: server.clone(),
            server_args: args.to_owned(),
            load_args: load.to_owned(),
        };
        let profile = Profile::load(profile, &searched)?;
        let arm = ArmSetup::new(name, &spec, profile, &flags.scenario, flags.seconds)?;
        Ok::<ArmSetup, Box<dyn Error>>(arm)
    };
    Ok(Comparison {
        a: arm("a", &flags.a, &flags.a_server, &flags.a_server_args, &flags.a_load_args)?,
        b: arm("b", &flags.b, &flags.b_server, &flags.b_server_args, &flags.b_load_args)?,
        mode: flags.mode,
        rounds: flags.rounds.get(),
        rules: Rules { margin: flags.margin, seed: flags.seed, ..Rules::default() },
        sets_host: flags.host,
    })
}

/// Inside a namespace: settings in, what became of them out.
fn write_settings() -> Result<ExitCode, Box<dyn Error>> {
    let settings: Vec<Setting> = serde_json::from_reader(io::stdin().lock())?;
    let applied = write_all(&settings, Path::new("/proc/sys"));
    print(&serde_json::to_string(&applied)?)?;
    Ok(ExitCode::SUCCESS)
}

/// Makes a file's text of a report.
type Writer = fn(&AbReport) -> String;

/// A file to write.
struct Output {
    file: File,
    path: PathBuf,
    writer: Writer,
}

/// All of them, opened before the first round: hours are lost otherwise.
struct Outputs(Vec<Output>);

impl Outputs {
    fn open(flags: &AbFlags) -> Result<Self, Box<dyn Error>> {
        let wanted: [(&Option<PathBuf>, Writer); 3] = [
            (&flags.json, json::render),
            (&flags.markdown, |report| Markdown(report).to_string()),
            (&flags.html, html::page),
        ];
        let mut files = Vec::new();
        for (path, writer) in wanted {
            let Some(path) = path else { continue };
            let file = File::create(path).map_err(|error| cannot_write(path, &error))?;
            files.push(Output { file, path: path.clone(), writer });
        }
        Ok(Self(files))
    }

    fn write(self, report: &AbReport) -> Result<(), Box<dyn Error>> {
        for Output { mut file, path, writer } in self.0 {
            let written = file.write_all(writer(report).as_bytes());
            written.map_err(|error| cannot_write(&path, &error))?;
        }
        Ok(())
    }
}

fn cannot_write(path: &Path, error: &io::Error) -> String {
    format!("cannot write {}: {error}", path.display())
}

/// Tells on stderr how far it is: in one line on a terminal, in a line for each round elsewhere.
struct Told {
    is_silent: bool,
    is_terminal: bool,
    round: usize,
}

impl Told {
    fn new(flags: &AbFlags) -> Self {
        let is_terminal = io::stderr().is_terminal();
        Self { is_silent: flags.no_progress, is_terminal, round: 0 }
    }

    fn show(&mut self, progress: &Progress) {
        if self.is_silent || (!self.is_terminal && progress.round == self.round) {
            return;
        }
        self.round = progress.round;
        let line = standing(progress);
        let (start, end) = if self.is_terminal { ("\r\x1b[K", "") } else { ("", "\n") };
        // Whoever closed stderr does not want to know.
        let mut stderr = io::stderr().lock();
        let _ = write!(stderr, "{start}{line}{end}").and_then(|()| stderr.flush());
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        if self.is_terminal && !self.is_silent {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

fn standing(progress: &Progress) -> String {
    let Progress { round, rounds, left } = progress;
    let left = left.map_or_else(String::new, |left| {
        let whole = left.as_secs();
        format!(", about {}m{:02}s left", whole / 60, whole % 60)
    });
    format!("round {round} of {rounds}{left}")
}

/// Fewer than six rounds have no test to speak of.
fn parse_rounds(text: &str) -> Result<NonZeroUsize, String> {
    const ROUNDS: std::ops::RangeInclusive<u64> = 6..=10_000;
    let rounds = units::parse_count(text).map_err(|error| error.to_string())?;
    let rounds = ROUNDS.contains(&rounds).then(|| NonZeroUsize::new(rounds as usize)).flatten();
    rounds.ok_or_else(|| format!("from {} to {} rounds", ROUNDS.start(), ROUNDS.end()))
}

/// `1%`, or the same as `0.01`.
fn parse_margin(text: &str) -> Result<f64, String> {
    let (number, unit) = text.strip_suffix('%').map_or((text, 1.0), |number| (number, 0.01));
    let value = number.trim().parse::<f64>().ok().map(|value| value * unit);
    value
        .filter(|value| (0.0..1.0).contains(value))
        .ok_or_else(|| "expected a percentage from 0% to below 100%, such as 1%".to_owned())
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    let value = text.parse::<f64>().ok().filter(|value| (0.01..=86_400.0).contains(value));
    value
        .map(Duration::from_secs_f64)
        .ok_or_else(|| "expected seconds, from 0.01 to 86400".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::FromArgMatches;

    use super::*;

    #[test]
    fn values_of_flags() {
        assert_eq!(parse_margin("1%").map(f64::to_bits), Ok(0.01_f64.to_bits()));
        assert_eq!(parse_margin("0.05").map(f64::to_bits), Ok(0.05_f64.to_bits()));
        for wrong in ["", "x", "-1%", "100%", "NaN"] {
            assert!(parse_margin(wrong).is_err(), "{wrong}");
        }
        assert_eq!(parse_seconds("0.2"), Ok(Duration::from_millis(200)));
        assert!(["0", "-1", "inf", "2s"].into_iter().all(|wrong| parse_seconds(wrong).is_err()));
        assert_eq!(parse_rounds("20").map(NonZeroUsize::get), Ok(20));
        assert!(["5", "0", "x"].into_iter().all(|wrong| parse_rounds(wrong).is_err()));
    }

    #[test]
    fn the_standing_has_the_time_left() {
        let progress = |left| Progress { round: 3, rounds: 20, left };
        assert_eq!(standing(&progress(None)), "round 3 of 20");
        let left = Some(Duration::from_secs(75));
        assert_eq!(standing(&progress(left)), "round 3 of 20, about 1m15s left");
    }

    fn parse(line: &str) -> Result<AbFlags, clap::Error> {
        AbFlags::from_arg_matches(&command().try_get_matches_from(line.split_whitespace())?)
    }

    #[test]
    fn a_whole_command_line() {
        let line = "ab --a default --b default --a-server srv{port} --b-server srv{port} \
                    --b-server-args=--fast --rounds 12 --margin 2% --seconds 0.5 -- -c 64 /x";
        let flags = parse(line).expect("in order");
        let comparison = comparison(&flags).expect("in order");
        assert_eq!(comparison.b.server, ["srv8080", "--fast"]);
        assert_eq!(comparison.a.load, ["-c", "64", "-d", "500000us"]);
        assert_eq!((comparison.rounds, comparison.mode), (12, Mode::Duet));
        assert!(parse("ab --a x").is_err(), "no scenario");
        assert!(parse("ab --write-settings").is_ok());
    }
}
