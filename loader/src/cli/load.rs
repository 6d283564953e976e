//! `ringload URL`: one run.

use std::error::Error;
use std::process::ExitCode;

use ringload::outputs::{OutputError, Outputs};
use ringload::progress::Progress;
use ringload::report::{Judgement, RunReport};
use ringload::run::{Outcome, Prepared};
use ringload::tui::{self, Dashboard};
use ringload::{Flags, Format};

use super::{BREACHED, Interrupt, judge, print_report, say};

/// Does the run and prints its report.
pub(super) fn run(flags: Flags) -> Result<ExitCode, Box<dyn Error>> {
    let output = flags.output.clone();
    let config = flags.config().unwrap_or_else(|error| error.exit());
    let interrupt = Interrupt::watch()?;
    let prepared = Prepared::with_stopper(&config, interrupt.stopper.clone())?;
    let mut outputs = Outputs::open(&output)?;
    for warning in prepared.warnings() {
        say(format_args!("warning: {warning}"));
    }
    let run = prepared.start()?;
    let has_dashboard = output.tui && tui::is_possible();
    if output.tui && !has_dashboard {
        say("--tui: no dashboard, as stderr is no terminal that can show one");
    }
    let mut dashboard = has_dashboard.then(|| Dashboard::new(&config)).transpose()?;
    let mut progress = Progress::new(&config, output.format);
    let mut unwritten: Option<OutputError> = None;
    let mut outcome = run.finish(|news| {
        match &mut dashboard {
            None => progress.show(&news),
            Some(dashboard) => {
                dashboard.show(&news);
                if dashboard.poll() {
                    interrupt.interrupt();
                }
            }
        }
        if unwritten.is_none() {
            unwritten = outputs.news(&news).err();
        }
    })?;
    drop(dashboard);
    drop(progress);
    let judgement = judge(&outcome.report);
    // Whatever fails now, the rest is still worth having.
    let unprinted =
        tell(&mut outcome, &judgement, output.format).inspect_err(|error| say(error)).is_err();
    let unwritten = unwritten.or(outputs.report(&outcome.report, Some(&judgement)).err());
    if let Some(error) = &unwritten {
        say(error);
    }
    let breached = say_breached(&output.fail_if, &outcome.report);
    if let Some(failure) = &outcome.failure {
        say(failure);
    }
    let failed = outcome.failure.is_some() || unwritten.is_some() || unprinted;
    Ok(match interrupt.exit_code() {
        Some(code) => code,
        None if failed => ExitCode::FAILURE,
        None if breached => ExitCode::from(BREACHED),
        None => ExitCode::SUCCESS,
    })
}

/// Prints the report, with what a script has to say before and after it.
fn tell(
    outcome: &mut Outcome,
    judgement: &Judgement,
    format: Format,
) -> Result<(), Box<dyn Error>> {
    outcome.flush_script()?;
    print_report(&outcome.report, judgement, format)?;
    Ok(outcome.script_done()?)
}

/// Says which thresholds were breached; whether any was.
fn say_breached(gates: &[ringload::gate::Gate], report: &RunReport) -> bool {
    let verdicts = gates.iter().map(|gate| gate.check(report));
    let breached: Vec<_> = verdicts.filter(|verdict| verdict.breached).collect();
    breached.iter().for_each(say);
    !breached.is_empty()
}
