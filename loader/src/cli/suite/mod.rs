//! `ringload suite`: servers and scenarios of a file, measured in turn.

use std::collections::BTreeMap;
use std::error::Error;
use std::ffi::OsString;
use std::fmt::Display;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use clap::Args;
use clap::error::ErrorKind;
use ringbench_engine::{CoreList, allowed_cores};
use ringload::suite::plan::Plan;
use ringload::suite::results::{Outcome, SuiteResults};
use ringload::suite::run::{Cores, check_own_cores};
use ringload::suite::{Choice, Ended, Options, Suite, SuiteError, report};
use ringload::suite::{ask, process, run as runs};

use super::{Interrupt, print, say};

mod progress;

use progress::Told;

/// Some servers could not be measured.
const SOME_FAILED: u8 = 5;

/// What to measure, and how.
///
/// Each run has a server process of its own, on other cores than the load. Before it is measured the
/// server's answer is checked and it is warmed up; afterwards everything that it started is ended.
/// What is measured is on disk at once: the same command goes on where it was interrupted.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP, override_usage = "ringload suite [OPTIONS] FILE")]
pub(crate) struct SuiteFlags {
    /// The suite: a TOML file, see docs/suite.md.
    #[arg(value_name = "FILE", required_unless_present_any = ["guard", "become_", "ask"],
          help_heading = "Arguments")]
    file: Option<PathBuf>,

    /// The short form of the suite, to try it out.
    #[arg(long, help_heading = "Suite")]
    quick: bool,

    /// Servers to measure, by name [default: all].
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', help_heading = "Suite")]
    only: Vec<String>,

    /// Servers to leave out.
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', help_heading = "Suite")]
    skip: Vec<String>,

    /// Scenarios to measure [default: all].
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', help_heading = "Suite")]
    scenarios: Vec<String>,

    /// The cores of the servers, as 0,2,4-7 [default: half of those that may be used].
    #[arg(long, value_name = "LIST", help_heading = "Suite")]
    server_cores: Option<CoreList>,

    /// The cores of the load [default: the other half].
    #[arg(long, value_name = "LIST", help_heading = "Suite")]
    load_cores: Option<CoreList>,

    /// Measure without the tuning that the suite names, and so without a network namespace.
    #[arg(long, help_heading = "Suite")]
    no_tuning: bool,

    /// What the order of the runs is drawn from.
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Suite")]
    seed: u64,

    /// The folder for journal and reports [default: suite-NAME-DATE, with --quick
    /// suite-NAME-quick-DATE].
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    output: Option<PathBuf>,

    /// Begin anew where something has been measured; the old journal is put aside.
    #[arg(long, help_heading = "Output")]
    fresh: bool,

    /// Print what would be run and how long it takes, and run nothing.
    #[arg(long, help_heading = "Output")]
    list: bool,

    /// Tell nothing on stderr of how far it is.
    #[arg(long, help_heading = "Output")]
    no_progress: bool,

    /// Start a server, and end it with all that it has started when stdin ends.
    #[arg(long, hide = true, requires = "command")]
    guard: bool,

    /// Become the command, to be killed when this process is gone.
    #[arg(long = "become", value_name = "PID", hide = true, requires = "command")]
    become_: Option<u32>,

    /// The cores of the command.
    #[arg(long, value_name = "LIST", hide = true, requires = "command")]
    pin: Option<CoreList>,

    /// Ask a server: the question comes on stdin.
    #[arg(long, hide = true)]
    ask: bool,

    /// A command.
    #[arg(last = true, value_name = "COMMAND", hide = true)]
    command: Vec<OsString>,
}

const AFTER_HELP: &str = "\
Exit codes: 0 all was measured, 1 it could not be done, 2 bad arguments or a bad file, 5 some servers \
failed (the reports say which and how), 130/143 interrupted (the same command goes on).";

/// Measures, and writes the reports.
pub(super) fn run(flags: &SuiteFlags) -> Result<ExitCode, Box<dyn Error>> {
    let pinned = || flags.pin.clone().unwrap_or(CoreList(Vec::new()));
    if flags.guard {
        return Ok(process::guard(&pinned(), &flags.command)?);
    }
    if let Some(parent) = flags.become_ {
        return Err(process::become_program(parent, &pinned().0, &flags.command).into());
    }
    if flags.ask {
        ask::ask_from_stdin()?;
        return Ok(ExitCode::SUCCESS);
    }
    let (suite, plan, options) = prepare(flags).unwrap_or_else(|error| bad_arguments(error));
    if flags.list {
        print(&plan.told(&suite.servers, options.server_cores.len()))?;
        return Ok(ExitCode::SUCCESS);
    }
    let interrupt = Interrupt::watch()?;
    let stopper = interrupt.stopper.clone();
    let mut told = Told::new(flags.no_progress);
    let ended =
        runs::run(&suite, plan, &options, &mut |news| told.show(news), &|| stopper.is_stopped());
    drop(told);
    let Ended { results, failure } = ended?;
    let written = report::write_all(&results, &options.output).map_err(|error| {
        format!("cannot write reports to {}: {error}", options.output.display())
    })?;
    print(
        &written.iter().fold(String::new(), |text, path| text + &format!("{}\n", path.display())),
    )?;
    finish(&results, failure, &interrupt)
}

/// What the program ends with.
fn finish(
    results: &SuiteResults,
    failure: Option<SuiteError>,
    interrupt: &Interrupt,
) -> Result<ExitCode, Box<dyn Error>> {
    match (failure, interrupt.exit_code()) {
        (Some(SuiteError::Interrupted), Some(code)) => {
            say(SuiteError::Interrupted);
            Ok(code)
        }
        (Some(error), _) => Err(error.into()),
        (None, _) => {
            let has_failed = |run: &ringload::suite::results::Run| run.outcome != Outcome::Measured;
            let some_failed = results.runs.iter().any(has_failed);
            Ok(if some_failed { ExitCode::from(SOME_FAILED) } else { ExitCode::SUCCESS })
        }
    }
}

/// Reads and checks all that can be checked before anything runs.
fn prepare(flags: &SuiteFlags) -> Result<(Suite, Plan, Options), Box<dyn Error>> {
    let file = flags.file.as_ref().ok_or("FILE is missing")?;
    let mut suite = Suite::read(file, flags.quick)?;
    let choice = Choice {
        only: flags.only.clone(),
        skip: flags.skip.clone(),
        scenarios: flags.scenarios.clone(),
    };
    suite.choose(&choice)?;
    let list = |cores: &Option<CoreList>| cores.as_ref().map(|CoreList(cores)| cores.clone());
    let allowed = allowed_cores();
    let cores = Cores::new(&allowed, list(&flags.server_cores), list(&flags.load_cores))?;
    let mut warnings: Vec<String> = cores.warning().into_iter().collect();
    warnings.extend(check_own_cores(&suite, &allowed, &cores.load)?);
    if flags.no_tuning
        && let Some(profile) = suite.tuning.take()
    {
        warnings.push(format!("--no-tuning: measured without the tuning {}", profile.name));
    }
    let plan = Plan::new(&suite, cores.load.len(), flags.seed)
        .map_err(|told| format!("{}: {told}", file.display()))?;
    let output = flags.output.clone().unwrap_or_else(|| default_folder(&suite));
    let options = Options {
        flags: deciding_flags(flags, &cores),
        output,
        seed: flags.seed,
        server_cores: cores.server,
        load_cores: cores.load,
        is_fresh: flags.fresh,
        warnings,
    };
    Ok((suite, plan, options))
}

/// The flags that have to be the same for a suite to go on.
fn deciding_flags(flags: &SuiteFlags, cores: &Cores) -> BTreeMap<String, String> {
    let names = |list: &[String]| if list.is_empty() { "all".to_owned() } else { list.join(",") };
    let list =
        |cores: &[usize]| cores.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let is_given = |given: bool| if given { "given" } else { "not given" }.to_owned();
    let skipped = if flags.skip.is_empty() { "none".to_owned() } else { flags.skip.join(",") };
    [
        ("--quick", is_given(flags.quick)),
        ("--no-tuning", is_given(flags.no_tuning)),
        ("--only", names(&flags.only)),
        ("--skip", skipped),
        ("--scenarios", names(&flags.scenarios)),
        ("--server-cores", list(&cores.server)),
        ("--load-cores", list(&cores.load)),
        ("--seed", flags.seed.to_string()),
    ]
    .into_iter()
    .map(|(flag, value)| (flag.to_owned(), value))
    .collect()
}

fn default_folder(suite: &Suite) -> PathBuf {
    let quick = if suite.is_quick { "-quick" } else { "" };
    PathBuf::from(format!("suite-{}{quick}-{}", suite.name, date(SystemTime::now())))
}

/// A date (UTC) as in the names of files.
fn date(time: SystemTime) -> String {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    // As in `Fri, 27 Nov 2026 08:46:57 GMT`, where every part has its length.
    let text = httpdate::fmt_http_date(time);
    let (day, month, year) = (&text[5..7], &text[8..11], &text[12..16]);
    let month = MONTHS.find(month).map_or(0, |at| at / 3 + 1);
    format!("{year}-{month:02}-{day}")
}

/// Ends the program as clap does.
fn bad_arguments(error: impl Display) -> ! {
    let mut command = SuiteFlags::augment_args(clap::Command::new("ringload suite"));
    command.error(ErrorKind::ValueValidation, error).exit()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::FromArgMatches;

    use super::*;

    fn parse(line: &str) -> Result<SuiteFlags, clap::Error> {
        let command = SuiteFlags::augment_args(clap::Command::new("ringload suite"));
        SuiteFlags::from_arg_matches(&command.try_get_matches_from(line.split_whitespace())?)
    }

    #[test]
    fn command_lines() {
        let flags = parse("suite a.toml --only a,b --server-cores 0-1 --quick").expect("in order");
        assert_eq!(flags.only, ["a", "b"]);
        assert_eq!((flags.seed, flags.server_cores), (1, Some(CoreList(vec![0, 1]))));
        assert!(parse("suite").is_err(), "no file");
        assert!(parse("suite --guard").is_err(), "no command");
        let flags = parse("suite --become 5 --pin 1 -- nginx -g x").expect("in order");
        assert_eq!((flags.become_, flags.command.len()), (Some(5), 3));
        assert!(parse("suite --ask").is_ok());
    }

    #[test]
    fn dates() {
        let days = [0, 59, 11_016, 19_782, 20_784];
        let dates = ["1970-01-01", "1970-03-01", "2000-02-29", "2024-02-29", "2026-11-27"];
        let at = |days: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(days * 86_400);
        assert_eq!(days.map(|days| date(at(days))), dates);
    }

    #[test]
    fn flags_that_decide_what_is_measured() {
        let cores = Cores { server: vec![0], load: vec![1] };
        let of = |line: &str| deciding_flags(&parse(line).expect("in order"), &cores);
        let same = "suite a.toml";
        for other in ["--no-progress", "--output d", "--fresh", "--list"] {
            assert_eq!(of(same), of(&format!("{same} {other}")), "{other}");
        }
        for other in ["--quick", "--seed 2", "--only a", "--skip a", "--scenarios a", "--no-tuning"]
        {
            assert_ne!(of(same), of(&format!("{same} {other}")), "{other}");
        }
    }
}
