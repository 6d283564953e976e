//! Flags of what is told of a run, during and after it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;

use super::conflict;
use super::parse::parse_interval;
use crate::gate::Gate;

/// What is told of a run.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Output")]
pub struct OutputFlags {
    /// Show the distribution of latencies; in an open loop with all its percentiles, as wrk2 does.
    #[arg(short = 'L', long)]
    pub latency: bool,

    /// In an open loop, also show the distribution as a closed loop would have seen it: from the
    /// actual send.
    #[arg(short = 'U', long = "u_latency", visible_alias = "uncorrected")]
    pub uncorrected: bool,

    /// The report's format on stdout.
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    pub format: Format,

    /// Write a line on stderr at this interval, such as 1s.
    #[arg(long, value_name = "TIME", value_parser = parse_interval)]
    pub interval: Option<Duration>,

    /// Show the run on a dashboard, on a terminal; q or Ctrl-C ends it with a report.
    #[arg(long, conflicts_with = "interval")]
    pub tui: bool,

    /// Draw no progress bar; without a terminal on stderr there is none anyway.
    #[arg(long)]
    pub no_progress: bool,

    /// Also write the report as JSON to this file.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Also write the report as one HTML page, with charts.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,

    /// Write figures of each interval (1s unless --interval says otherwise) as CSV.
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,

    /// Write the latency distribution as a table of percentiles, as `HdrHistogram` does.
    #[arg(long, value_name = "FILE")]
    pub hgrm: Option<PathBuf>,

    /// Write an HDR histogram log (V2) with a histogram per interval.
    #[arg(long, value_name = "FILE")]
    pub hlog: Option<PathBuf>,

    /// Write figures for Prometheus' textfile collector.
    #[arg(long, value_name = "FILE")]
    pub prometheus: Option<PathBuf>,

    /// The server's process, for what it uses during the run [default: whoever listens at the URL's
    /// address, if that is this machine].
    #[arg(long, value_name = "PID", conflicts_with = "no_observe",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub server_pid: Option<u32>,

    /// Look at nothing but the connections: neither at the server's process nor at the machine nor
    /// at TCP.
    #[arg(long, conflicts_with = "server_pid")]
    pub no_observe: bool,

    /// End with exit code 3 if this is so, such as 'p99>5ms', 'errors>0.1%' or 'rps<100k'; may be
    /// repeated.
    #[arg(long, value_name = "CONDITION")]
    pub fail_if: Vec<Gate>,
}

/// How the report is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// wrk's layout, followed by what Ringbench adds.
    #[default]
    Text,
    /// One JSON object.
    Json,
}

/// How often figures are kept for reports that show a run in time.
const KEEP_EVERY: Duration = Duration::from_secs(1);
/// How often the dashboard has something new.
const SHOW_EVERY: Duration = Duration::from_millis(500);

impl OutputFlags {
    /// The files that are written, with their flags.
    pub fn files(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let files = [
            ("--json", &self.json),
            ("--html", &self.html),
            ("--csv", &self.csv),
            ("--hgrm", &self.hgrm),
            ("--hlog", &self.hlog),
            ("--prometheus", &self.prometheus),
        ];
        files.into_iter().filter_map(|(flag, path)| Some((flag, path.as_deref()?)))
    }

    /// Two reports in one file are none. Devices such as /dev/null take any number.
    pub(super) fn check(&self) -> Result<(), clap::Error> {
        let files: Vec<_> = self.files().filter(|(_, path)| !path.starts_with("/dev")).collect();
        for (index, (flag, path)) in files.iter().enumerate() {
            if let Some((first, _)) = files[..index].iter().find(|(_, other)| other == path) {
                return Err(conflict(&format!(
                    "{first} and {flag} name the same file, {}",
                    path.display()
                )));
            }
        }
        Ok(())
    }

    /// How often figures of the run are kept, if anything shows them.
    pub(super) fn keep_every(&self) -> Option<Duration> {
        let files = [&self.json, &self.html, &self.csv, &self.hlog];
        let wanted = files.into_iter().any(Option::is_some);
        let every = if self.tui { SHOW_EVERY } else { KEEP_EVERY };
        self.interval.or((wanted || self.tui).then_some(every))
    }
}
