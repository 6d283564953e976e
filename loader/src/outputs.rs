//! The files that a run leaves behind. They are opened before it begins, so that a name that cannot
//! be written to is found out then, and not after an hour.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::flags::OutputFlags;
use crate::report::hgrm::{Table, Unit};
use crate::report::hlog::HlogWriter;
use crate::report::interval::Interval;
use crate::report::{Judgement, RunReport, csv, html, json, prometheus};
use crate::run::News;

/// A file that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("{flag} {}: {source}", path.display())]
pub struct OutputError {
    flag: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// A file that was asked for.
#[derive(Debug)]
struct Output {
    flag: &'static str,
    path: PathBuf,
    file: BufWriter<File>,
}

impl Output {
    fn create(flag: &'static str, path: &Path) -> Result<Self, OutputError> {
        let failed = |source| OutputError { flag, path: path.to_owned(), source };
        let file = BufWriter::new(File::create(path).map_err(failed)?);
        Ok(Self { flag, path: path.to_owned(), file })
    }

    fn write(&mut self, text: &str) -> Result<(), OutputError> {
        let outcome = self.file.write_all(text.as_bytes()).and_then(|()| self.file.flush());
        outcome.map_err(|source| self.error(source))
    }

    fn error(&self, source: io::Error) -> OutputError {
        OutputError { flag: self.flag, path: self.path.clone(), source }
    }
}

/// The files that were asked for.
#[derive(Debug)]
pub struct Outputs {
    json: Option<Output>,
    html: Option<Output>,
    csv: Option<Output>,
    hgrm: Option<Output>,
    hlog: Option<(HlogWriter<BufWriter<File>>, PathBuf)>,
    /// Replaced as a whole, as whoever collects it may read at any time.
    prometheus: Option<PathBuf>,
    has_header: bool,
}

impl Outputs {
    /// Opens the files.
    ///
    /// # Errors
    ///
    /// When one cannot be written to; the text names flag and file.
    pub fn open(flags: &OutputFlags) -> Result<Self, OutputError> {
        let open = |flag, path: &Option<PathBuf>| {
            path.as_ref().map(|path| Output::create(flag, path)).transpose()
        };
        let hlog = open("--hlog", &flags.hlog)?;
        let prometheus = flags.prometheus.clone();
        if let Some(path) = &prometheus {
            // Only to see whether it can be.
            Output::create("--prometheus", &beside(path))?;
        }
        Ok(Self {
            json: open("--json", &flags.json)?,
            html: open("--html", &flags.html)?,
            csv: open("--csv", &flags.csv)?,
            hgrm: open("--hgrm", &flags.hgrm)?,
            hlog: hlog.map(begin_hlog).transpose()?,
            prometheus,
            has_header: false,
        })
    }

    /// Writes what is written while a run goes on.
    ///
    /// # Errors
    ///
    /// When it cannot be.
    pub fn news(&mut self, news: &News) -> Result<(), OutputError> {
        match news {
            News::Interval(interval) => self.interval(interval),
            News::Latencies { start_us, length_us, latency } => {
                let Some((hlog, path)) = &mut self.hlog else { return Ok(()) };
                let time = |us: &u64| Duration::from_micros(*us);
                hlog.write_interval(time(start_us), time(length_us), latency)
                    .and_then(|()| hlog.flush())
                    .map_err(|source| OutputError { flag: "--hlog", path: path.clone(), source })
            }
            News::Standing { .. } => Ok(()),
        }
    }

    fn interval(&mut self, interval: &Interval) -> Result<(), OutputError> {
        let Some(csv) = &mut self.csv else { return Ok(()) };
        let text = csv::render(std::slice::from_ref(interval));
        let skip_header = std::mem::replace(&mut self.has_header, true);
        let line = text.split_inclusive('\n').skip(usize::from(skip_header)).collect::<String>();
        csv.write(&line)
    }

    /// Writes what is written of a whole run.
    ///
    /// # Errors
    ///
    /// When it cannot be.
    pub fn report(
        &mut self,
        report: &RunReport,
        judgement: Option<&Judgement>,
    ) -> Result<(), OutputError> {
        if let Some(output) = &mut self.json {
            let text = json::render_judged(report, judgement);
            let text = text.map_err(|error| output.error(error.into()))?;
            output.write(&text)?;
        }
        if let Some(output) = &mut self.html {
            output.write(&html::page(report, judgement))?;
        }
        if let Some(output) = &mut self.hgrm {
            output.write(&Table::new(&report.latency, Unit::Milliseconds).to_string())?;
        }
        if let Some(path) = &self.prometheus {
            let beside = beside(path);
            Output::create("--prometheus", &beside)?.write(&prometheus::render(report))?;
            let failed = |source| OutputError { flag: "--prometheus", path: path.clone(), source };
            fs::rename(&beside, path).map_err(failed)?;
        }
        Ok(())
    }

    /// Writes the intervals of a report that was read from a file.
    ///
    /// # Errors
    ///
    /// When they cannot be.
    pub fn intervals(&mut self, report: &RunReport) -> Result<(), OutputError> {
        match &mut self.csv {
            Some(output) => output.write(&csv::render(&report.intervals)),
            None => Ok(()),
        }
    }
}

fn begin_hlog(output: Output) -> Result<(HlogWriter<BufWriter<File>>, PathBuf), OutputError> {
    let Output { flag, path, file } = output;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    match HlogWriter::new(file, now.as_millis() as u64) {
        Ok(writer) => Ok((writer, path)),
        Err(source) => Err(OutputError { flag, path, source }),
    }
}

/// Where a file is written that is to take another's place.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    name.into()
}
