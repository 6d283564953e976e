//! `ringload search`: the highest rate at which objectives are met.

use std::error::Error;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use ringbench_measure::units::parse_duration;
use ringload::config::{Config, OpenLoopConfig, Sharing};
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
    #[arg(long, value_name = "RATE", help_heading = "Search")]
    start_rate: Option<f64>,

    /// Try no higher rate than this.
    #[arg(long, value_name = "RATE", default_value_t = Limits::default().max_rate,
          hide_default_value = true, help_heading = "Search")]
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
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_duration,
          help_heading = "Search")]
    step_duration: Duration,

    /// How long the server is warmed up at each rate before.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_duration,
          help_heading = "Search")]
    warm_up: Duration,
}

/// Searches, telling each step on stderr and the finding on stdout.
pub(super) fn run(flags: SearchFlags) -> Result<ExitCode, Box<dyn Error>> {
    let format = flags.load.output.format;
    if flags.load.pace.is_open_loop() {
        return Err("search finds the rate itself: leave out -R/--rate, --ramp and --stages".into());
    }
    let config = flags.load.config().unwrap_or_else(|error| error.exit());
    let interrupt = Interrupt::watch()?;
    let probe_duration = flags.warm_up.max(Duration::from_secs(1));
    let mut limits = Limits {
        max_rate: flags.max_rate,
        precision: flags.precision,
        repeats: flags.repeats,
        ..Limits::default()
    };
    limits.start_rate = match flags.start_rate {
        Some(rate) => rate,
        None => start_rate(&one_run(&config, None, probe_duration, &interrupt)?, &limits),
    };
    let search = SearchConfig::new(limits, flags.slo, flags.step_duration, flags.warm_up)?;
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
