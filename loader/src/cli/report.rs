//! `ringload report`: reports that were written before, once more.

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ArgAction;
use ringload::Format;
use ringload::flags::OutputFlags;
use ringload::outputs::Outputs;
use ringload::report::combine::combine;

use super::{judge, print_report};

/// What to show, and how.
#[derive(Debug, clap::Args)]
pub(crate) struct ReportFlags {
    /// Reports that were written with --json or --format json. Several are those of load machines
    /// that worked at the same time: they are put together, histograms and all.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// The format on stdout.
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    format: Format,

    /// Also write it as JSON to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Also write it as one HTML page.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,

    /// Write the figures of its intervals as CSV.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,

    /// Write the latency distribution as a table of percentiles, as HdrHistogram does.
    #[arg(long, value_name = "FILE")]
    hgrm: Option<PathBuf>,

    /// Write figures for Prometheus' textfile collector.
    #[arg(long, value_name = "FILE")]
    prometheus: Option<PathBuf>,

    /// Print the version.
    #[arg(short, long, action = ArgAction::Version)]
    version: Option<bool>,
}

/// Reads the reports and writes them again.
pub(super) fn run(flags: &ReportFlags) -> Result<ExitCode, Box<dyn Error>> {
    let mut files = Vec::new();
    for path in &flags.files {
        let name = path.display().to_string();
        let text = fs::read_to_string(path).map_err(|error| format!("{name}: {error}"))?;
        files.push((name, text));
    }
    let report = combine(files)?;
    let mut outputs = Outputs::open(&OutputFlags {
        json: flags.json.clone(),
        html: flags.html.clone(),
        csv: flags.csv.clone(),
        hgrm: flags.hgrm.clone(),
        prometheus: flags.prometheus.clone(),
        ..OutputFlags::default()
    })?;
    let judgement = judge(&report);
    print_report(&report, &judgement, flags.format)?;
    outputs.report(&report, Some(&judgement))?;
    Ok(ExitCode::SUCCESS)
}
