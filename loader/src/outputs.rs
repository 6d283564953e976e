//! The files that a run leaves behind. They are opened before it begins, so that a name that cannot
//! be written to is found out then, and not after an hour. What was in them stays until there is
//! something to take its place, and where nothing comes of a run, no empty file is left.

use std::fs::{self, File};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::flags::OutputFlags;
use crate::report::hgrm::{Table, Unit};
use crate::report::hlog::HlogWriter;
use crate::report::interval::Interval;
use crate::report::{Judgement, RunReport, csv, html, json, prometheus};
use crate::run::{News, unix_ms};

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
    /// Whether it was not there before.
    is_new: bool,
    is_begun: bool,
}

impl Output {
    /// Opens the file, and leaves what is in it.
    fn open(flag: &'static str, path: &Path) -> Result<Self, OutputError> {
        let failed = |source| OutputError { flag, path: path.to_owned(), source };
        let opened = match File::options().write(true).create_new(true).open(path) {
            Ok(file) => Ok((file, true)),
            // Or it is a link to where nothing is yet.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let mut options = File::options();
                options.write(true).create(true).truncate(false);
                options.open(path).map(|file| (file, false))
            }
            Err(error) => Err(error),
        };
        let (file, is_new) = opened.map_err(failed)?;
        let file = BufWriter::new(file);
        Ok(Self { flag, path: path.to_owned(), file, is_new, is_begun: false })
    }

    /// From here on it is ours.
    fn begin(&mut self) -> io::Result<()> {
        if std::mem::replace(&mut self.is_begun, true) {
            return Ok(());
        }
        let file = self.file.get_ref();
        // A pipe or a terminal has no length.
        if file.metadata()?.is_file() { file.set_len(0) } else { Ok(()) }
    }

    fn write(&mut self, text: &str) -> Result<(), OutputError> {
        let outcome = self.write_all(text.as_bytes()).and_then(|()| self.flush());
        outcome.map_err(|source| self.error(source))
    }

    fn error(&self, source: io::Error) -> OutputError {
        OutputError { flag: self.flag, path: self.path.clone(), source }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.begin()?;
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if self.is_new && !self.is_begun {
            // If it cannot be removed, an empty file does no harm.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The files that were asked for.
#[derive(Debug)]
pub struct Outputs {
    json: Option<Output>,
    html: Option<Output>,
    csv: Option<Output>,
    hgrm: Option<Output>,
    hlog: Option<Log>,
    /// Replaced as a whole, as whoever collects it may read at any time.
    prometheus: Option<PathBuf>,
}

impl Outputs {
    /// Opens the files.
    ///
    /// # Errors
    ///
    /// When one cannot be written to; the text names flag and file.
    pub fn open(flags: &OutputFlags) -> Result<Self, OutputError> {
        let open = |flag, path: &Option<PathBuf>| {
            path.as_ref().map(|path| Output::open(flag, path)).transpose()
        };
        let prometheus = flags.prometheus.clone();
        if let Some(path) = &prometheus {
            // Only to see whether it can be.
            Output::open("--prometheus", &beside(path))?;
        }
        Ok(Self {
            json: open("--json", &flags.json)?,
            html: open("--html", &flags.html)?,
            csv: open("--csv", &flags.csv)?,
            hgrm: open("--hgrm", &flags.hgrm)?,
            hlog: open("--hlog", &flags.hlog)?.map(|output| Log::Opened(output, unix_ms())),
            prometheus,
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
                let Some((hlog, path)) = self.begin_hlog()? else { return Ok(()) };
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
        let skip_header = csv.is_begun;
        let text = csv::render(std::slice::from_ref(interval));
        let line = text.split_inclusive('\n').skip(usize::from(skip_header)).collect::<String>();
        csv.write(&line)
    }

    /// The log with its head written, and where it is.
    fn begin_hlog(&mut self) -> Result<Option<&mut (HlogWriter<Output>, PathBuf)>, OutputError> {
        self.hlog = match self.hlog.take() {
            Some(Log::Opened(output, at_ms)) => Some(Log::begin(output, at_ms)?),
            hlog => hlog,
        };
        Ok(match &mut self.hlog {
            Some(Log::Begun(begun)) => Some(begun),
            _ => None,
        })
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
        if let Some(output) = self.csv.as_mut().filter(|csv| !csv.is_begun) {
            // No interval was complete.
            output.write(&csv::render(&report.intervals))?;
        }
        // Nor was any latency told, perhaps.
        if let Some((hlog, path)) = self.begin_hlog()? {
            let failed = |source| OutputError { flag: "--hlog", path: path.clone(), source };
            hlog.flush().map_err(failed)?;
        }
        if let Some(path) = &self.prometheus {
            let beside = beside(path);
            Output::open("--prometheus", &beside)?.write(&prometheus::render(report))?;
            let failed = |source| OutputError { flag: "--prometheus", path: path.clone(), source };
            fs::rename(&beside, path).map_err(failed)?;
        }
        Ok(())
    }
}

/// A log of histograms.
#[derive(Debug)]
enum Log {
    /// Nothing is written; since when, in milliseconds since 1970.
    Opened(Output, u64),
    /// Its head is.
    Begun((HlogWriter<Output>, PathBuf)),
}

impl Log {
    fn begin(output: Output, at_ms: u64) -> Result<Self, OutputError> {
        let (flag, path) = (output.flag, output.path.clone());
        match HlogWriter::new(output, at_ms) {
            Ok(writer) => Ok(Self::Begun((writer, path))),
            Err(source) => Err(OutputError { flag, path, source }),
        }
    }
}

/// Where a file is written that is to take another's place.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    name.into()
}
