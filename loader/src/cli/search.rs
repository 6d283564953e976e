//! `ringload search`: the highest rate at which objectives are met.

use std::error::Error;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::error::ErrorKind;
use ringbench_measure::units::parse_duration;
use ringload::config::{Config, OpenLoopConfig, Sharing};
use ringload::flags::parse_positive_rate;
use ringload::gate::Gate;
use ringload::run::Prepared;
use ringload::schedule::{Arrival, Schedule, Stage};
use ringload::search::{
    Conclusion, Limits, STEP_HEADS, SearchConfig, StepLine, Text, render_json, run_search,
    start_rate,
};
use ringload::{Flags, Format};

use super::{BREACHED, Interrupt, print};

/// What to search for; all that describes a run besides.
#[derive(Debug, clap::Args)]
pub(crate) struct SearchFlags {
    #[command(flatten)]
    load: Flags,

    /// What has to hold, such as 'p99<1ms'; may be repeated.
    #[arg(long, value_name = "CONDITION", required = true, help_heading = "Search")]
    slo: Vec<Gate>,

    /// The rate to begin with [default: half of what a short closed loop achieves].
    #[arg(long, value_name = "RATE", value_parser = parse_positive_rate,
          help_heading = "Search")]
    start_rate: Option<f64>,

    /// Try no higher rate than this.
    #[arg(long, value_name = "RATE", value_parser = parse_positive_rate,
          default_value_t = Limits::default().max_rate, hide_default_value = true, help_heading = "Search")]
    max_rate: f64,

    /// How close to the limit to come: 0.01 for 1 %.
    #[arg(long, value_name = "SHARE", default_value_t = Limits::default().precision,
          help_heading = "Search")]
    precision: f64,

    /// Runs that confirm the rate found.
    #[arg(long, value_name = "N", default_value_t = Limits::default().repeats,
          help_heading = "Search")]
    repeats: u32,

    /// How long each run is.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_step,
          help_heading = "Search")]
    step_duration: Duration,

    /// How long the server is warmed up at each rate before.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_duration,
          help_heading = "Search")]
    warm_up: Duration,
}

impl SearchFlags {
    /// Flags that a search has no use for are a mistake, not something to pass over.
    fn check(&self) -> Result<(), clap::Error> {
        let Flags { load, pace, output, .. } = &self.load;
        let own = "a search tries rates of its own";
        let none = "the runs of a search leave no report";
        let named = [
            ("-R/--rate", pace.rate.is_some(), own),
            ("--ramp", pace.ramp.is_some(), own),
            ("--stages", pace.stages.is_some(), own),
            ("-d/--duration", load.duration.is_some(), "--step-duration is how long each run is"),
            ("-n/--total-requests", load.requests.is_some(), "--step-duration ends each run"),
            ("--expected-interval", pace.expected_interval.is_some(), "its runs are open loops"),
            ("--interval", output.interval.is_some(), none),
            ("--tui", output.tui, "it tells its steps on stderr"),
            ("-L/--latency", output.latency, none),
            ("-U/--u_latency", output.uncorrected, none),
            ("--fail-if", !output.fail_if.is_empty(), "--slo says what has to hold"),
        ];
        let files = output.files().map(|(flag, _)| (flag, true, none));
        match named.into_iter().chain(files).find(|(_, is_given, _)| *is_given) {
            Some((flag, _, why)) => Err(mistake(format_args!("{flag} is not for search: {why}"))),
            None => Ok(()),
        }
    }
}

/// An error about flags that are each right.
fn mistake(message: impl Display) -> clap::Error {
    super::command().error(ErrorKind::ArgumentConflict, message)
}

fn parse_step(text: &str) -> Result<Duration, String> {
    let duration = parse_duration(text).map_err(|error| error.to_string())?;
    if duration.is_zero() { Err("must be longer than nothing".to_owned()) } else { Ok(duration) }
}

/// Searches, telling each step on stderr and the finding on stdout.
pub(super) fn run(flags: SearchFlags) -> Result<ExitCode, Box<dyn Error>> {
    let format = flags.load.output.format;
    flags.check().unwrap_or_else(|error| error.exit());
    let mut limits = Limits {
        max_rate: flags.max_rate,
        precision: flags.precision,
        repeats: flags.repeats,
        ..Limits::default()
    };
    limits.start_rate = flags.start_rate.unwrap_or(limits.start_rate.min(limits.max_rate));
    let SearchFlags { load, slo, start_rate: given_rate, step_duration, warm_up, .. } = flags;
    let config = load.config().unwrap_or_else(|error| error.exit());
    // What cannot be searched for is found out before the probe.
    let search = |limits| SearchConfig::new(limits, slo.clone(), step_duration, warm_up);
    search(limits).unwrap_or_else(|error| mistake(error).exit());
    let interrupt = Interrupt::watch()?;
    let probe_duration = warm_up.max(Duration::from_secs(1));
    limits.start_rate = match given_rate {
        Some(rate) => rate,
        None => start_rate(&one_run(&config, None, probe_duration, &interrupt)?, &limits),
    };
    let search = search(limits)?;
    let mut steps = io::stderr().lock();
    // Whoever closed stderr does not want to know.
    let _ = writeln!(steps, "{STEP_HEADS}");
    let finding = run_search(
        &search,
        |rate, duration| one_run(&config, Some(rate), duration, &interrupt),
        |step| _ = writeln!(steps, "{}", StepLine(step)),
    )?;
    match format {
        // The steps have been seen already.
        Format::Text if io::stdout().is_terminal() => print(&Conclusion(&finding).to_string())?,
        Format::Text => print(&Text(&finding).to_string())?,
        Format::Json => print(&render_json(&finding)?)?,
    }
    if let Some(code) = interrupt.exit_code() {
        return Ok(code);
    }
    Ok(if finding.rate().is_some() { ExitCode::SUCCESS } else { ExitCode::from(BREACHED) })
}

/// A run at a rate, or in a closed loop.
fn one_run(
    config: &Config,
    rate: Option<f64>,
    duration: Duration,
    interrupt: &Interrupt,
) -> Result<ringload::report::RunReport, Box<dyn Error>> {
    let mut config = config.clone();
    config.ending.duration = Some(duration);
    config.ending.requests = None;
    config.open_loop = rate.map(|rate| OpenLoopConfig {
        schedule: Arc::new(Schedule::new([Stage::constant(None, rate)])),
        arrival: Arrival::Constant,
        sharing: Sharing::Shared,
        deadline: None,
    });
    let run = Prepared::with_stopper(&config, interrupt.stopper.clone())?.start()?;
    let outcome = run.finish(|_| ())?;
    match outcome.failure {
        Some(failure) if outcome.report.counters.requests == 0 && !outcome.report.interrupted => {
            Err(failure.into())
        }
        _ => Ok(outcome.report),
    }
}
