//! What `/proc` tells of a process: CPU time, memory, threads, context switches.
//!
//! CPU time is the scheduler's own run time (`task/*/schedstat`), in nanoseconds; the ticks of
//! `/proc/PID/stat` are 10 ms coarse. The `parse_*` functions take the text of a file, and only
//! [`sample`] and [`thread_cpu_ns`] read files.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A process at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcSample {
    /// CPU time of all threads that are alive. Threads that have ended take theirs with them.
    pub cpu_ns: u64,
    /// Resident memory.
    pub rss_bytes: u64,
    /// Threads that are alive.
    pub threads: u64,
    /// Context switches because a thread waited for something.
    pub voluntary_switches: u64,
    /// Context switches because another thread was to run.
    pub involuntary_switches: u64,
}

/// Why a process could not be sampled.
#[derive(Debug, thiserror::Error)]
pub enum ProcError {
    /// There is no such process, or it ended meanwhile.
    #[error("{}: there is no such process (any more)", path.display())]
    Gone {
        /// The file or folder that is missing.
        path: PathBuf,
    },
    /// A file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The kernel does not keep run times.
    #[error("{}: no thread has a readable schedstat; the kernel lacks CONFIG_SCHED_INFO", path.display())]
    NoRunTimes {
        /// The folder of the process's threads.
        path: PathBuf,
    },
    /// A file does not hold what it should.
    #[error("{}: expected {expected}, got `{got}`", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        expected: &'static str,
        /// The line or field that is wrong, empty when it is missing.
        got: String,
    },
}

/// What could not be parsed, before the file's name is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// What was looked for.
    pub expected: &'static str,
    /// What was there.
    pub got: String,
}

impl Malformed {
    pub(crate) fn at(self, path: &Path) -> ProcError {
        ProcError::Malformed { path: path.to_owned(), expected: self.expected, got: self.got }
    }
}

/// The fields of `/proc/PID/status` that are of use here. The context switches are those of one
/// thread, also in the process's own file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// `VmRSS` in bytes; 0 for what has no memory (zombies, kernel threads).
    pub rss_bytes: u64,
    /// `Threads`.
    pub threads: u64,
    /// `voluntary_ctxt_switches`.
    pub voluntary_switches: u64,
    /// `nonvoluntary_ctxt_switches`.
    pub involuntary_switches: u64,
}

/// Samples a process.
///
/// # Errors
///
/// When the process is not there, or its files are not readable or not as expected.
pub fn sample(pid: u32) -> Result<ProcSample, ProcError> {
    sample_folder(&PathBuf::from(format!("/proc/{pid}")))
}

/// Samples the calling process.
///
/// # Errors
///
/// As [`sample`].
pub fn sample_self() -> Result<ProcSample, ProcError> {
    sample(std::process::id())
}

/// CPU time of the calling thread so far: what a shard asks for at its start and its end.
///
/// # Errors
///
/// When the thread's schedstat is not readable or not as expected.
pub fn thread_cpu_ns() -> Result<u64, ProcError> {
    let path = Path::new("/proc/thread-self/schedstat");
    parse_schedstat(&read(path)?).map_err(|error| error.at(path))
}

fn sample_folder(folder: &Path) -> Result<ProcSample, ProcError> {
    let status_path = folder.join("status");
    let status = parse_status(&read(&status_path)?).map_err(|error| error.at(&status_path))?;
    let mut sample = ProcSample {
        rss_bytes: status.rss_bytes,
        threads: status.threads,
        ..ProcSample::default()
    };
    let tasks = folder.join("task");
    let entries = fs::read_dir(&tasks).map_err(|source| failed(&tasks, source))?;
    let mut run_times = 0;
    for entry in entries {
        let task = entry.map_err(|source| failed(&tasks, source))?.path();
        let path = task.join("schedstat");
        if let Some(text) = read_if_there(&path)? {
            sample.cpu_ns += parse_schedstat(&text).map_err(|error| error.at(&path))?;
            run_times += 1;
        }
        let path = task.join("status");
        if let Some(text) = read_if_there(&path)? {
            let status = parse_status(&text).map_err(|error| error.at(&path))?;
            sample.voluntary_switches += status.voluntary_switches;
            sample.involuntary_switches += status.involuntary_switches;
        }
    }
    if run_times == 0 {
        return Err(ProcError::NoRunTimes { path: tasks });
    }
    Ok(sample)
}

/// CPU time in nanoseconds: the first field of a thread's `schedstat`.
///
/// # Errors
///
/// When the text does not start with a number.
pub fn parse_schedstat(text: &str) -> Result<u64, Malformed> {
    let field = text.split_ascii_whitespace().next().unwrap_or_default();
    field.parse().map_err(|_| Malformed {
        expected: "run time in nanoseconds as the first field",
        got: field.to_owned(),
    })
}

/// The fields of interest of a `status` file.
///
/// # Errors
///
/// When a field is missing (but for `VmRSS`) or is not a number.
pub fn parse_status(text: &str) -> Result<Status, Malformed> {
    let field = |name: &str| {
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
    };
    let number = |name: &str, expected: &'static str| {
        let got = field(name).unwrap_or_default();
        got.parse::<u64>().map_err(|_| Malformed { expected, got: got.to_owned() })
    };
    let rss_kib = match field("VmRSS") {
        None => 0,
        Some(got) => got
            .strip_suffix("kB")
            .and_then(|kib| kib.trim().parse::<u64>().ok())
            .ok_or(Malformed { expected: "`VmRSS:` with a size in kB", got: got.to_owned() })?,
    };
    Ok(Status {
        rss_bytes: rss_kib * 1_024,
        threads: number("Threads", "`Threads:` with a number")?,
        voluntary_switches: number(
            "voluntary_ctxt_switches",
            "`voluntary_ctxt_switches:` with a number",
        )?,
        involuntary_switches: number(
            "nonvoluntary_ctxt_switches",
            "`nonvoluntary_ctxt_switches:` with a number",
        )?,
    })
}

pub(crate) fn read(path: &Path) -> Result<String, ProcError> {
    fs::read_to_string(path).map_err(|source| failed(path, source))
}

/// `None` where a thread ended between the listing of its folder and the reading of its file.
pub(crate) fn read_if_there(path: &Path) -> Result<Option<String>, ProcError> {
    match read(path) {
        Ok(text) => Ok(Some(text)),
        Err(ProcError::Gone { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

pub(crate) fn failed(path: &Path, source: io::Error) -> ProcError {
    /// "No such process": what reading an open file of an ended process gives on Linux.
    const ESRCH: i32 = 3;
    if source.kind() == io::ErrorKind::NotFound || source.raw_os_error() == Some(ESRCH) {
        ProcError::Gone { path: path.to_owned() }
    } else {
        ProcError::Read { path: path.to_owned(), source }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const STATUS: &str = "Name:\tringserve\nState:\tS (sleeping)\nVmHWM:\t    9000 kB\n\
                          VmRSS:\t    8420 kB\nThreads:\t3\nvoluntary_ctxt_switches:\t150\n\
                          nonvoluntary_ctxt_switches:\t7\n";

    /// A made-up process folder, removed when dropped.
    pub(crate) struct Folder(pub(crate) PathBuf);

    impl Folder {
        pub(crate) fn new(name: &str) -> Self {
            let path =
                std::env::temp_dir().join(format!("ringbench-{name}-{}", std::process::id()));
            fs::create_dir_all(path.join("task")).unwrap();
            Self(path)
        }

        pub(crate) fn write(&self, file: &str, text: &str) {
            let path = self.0.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn schedstat_is_its_first_field() {
        assert_eq!(parse_schedstat("123456789 42 7\n"), Ok(123_456_789));
        for text in ["", "\n", "x 1 2", "-5 0 0"] {
            assert!(parse_schedstat(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn status_fields() {
        let status = parse_status(STATUS).unwrap();
        assert_eq!(status.rss_bytes, 8_420 * 1_024);
        assert_eq!(
            (status.threads, status.voluntary_switches, status.involuntary_switches),
            (3, 150, 7)
        );
    }

    #[test]
    fn a_zombie_has_no_memory() {
        let text = STATUS.replace("VmRSS", "VmNone");
        assert_eq!(parse_status(&text).unwrap().rss_bytes, 0);
    }

    #[test]
    fn a_field_that_is_wrong_is_named() {
        let error = parse_status(&STATUS.replace("8420 kB", "8420 MB")).unwrap_err();
        assert_eq!(error.got, "8420 MB");
        let error = parse_status(&STATUS.replace("Threads", "Strands")).unwrap_err();
        assert_eq!(error.expected, "`Threads:` with a number");
        let message = error.at(Path::new("/proc/7/status")).to_string();
        assert_eq!(message, "/proc/7/status: expected `Threads:` with a number, got ``");
    }

    #[test]
    fn threads_are_summed_and_one_that_just_ended_is_left_out() {
        let folder = Folder::new("sum");
        folder.write("status", STATUS);
        folder.write("task/10/schedstat", "1000 0 0\n");
        folder.write("task/10/status", STATUS);
        folder.write("task/11/schedstat", "500 0 0\n");
        folder.write("task/11/status", STATUS);
        fs::create_dir_all(folder.0.join("task/12")).unwrap();
        let sample = sample_folder(&folder.0).unwrap();
        assert_eq!(sample.cpu_ns, 1_500);
        assert_eq!(sample.threads, 3);
        assert_eq!((sample.voluntary_switches, sample.involuntary_switches), (300, 14));
    }

    #[test]
    fn a_kernel_without_run_times_is_an_error_and_not_zero() {
        let folder = Folder::new("norun");
        folder.write("status", STATUS);
        folder.write("task/10/status", STATUS);
        let error = sample_folder(&folder.0).unwrap_err();
        assert!(matches!(error, ProcError::NoRunTimes { .. }), "{error}");
        assert!(error.to_string().contains("CONFIG_SCHED_INFO"));
    }

    #[test]
    fn malformed_files_are_named() {
        let folder = Folder::new("malformed");
        folder.write("status", STATUS);
        folder.write("task/10/schedstat", "many 0 0\n");
        let message = sample_folder(&folder.0).unwrap_err().to_string();
        assert!(message.contains("task/10/schedstat") && message.contains("`many`"), "{message}");
    }

    #[test]
    fn no_such_process_is_said_with_its_pid() {
        // Linux gives out pids up to 2^22.
        let error = sample(u32::MAX).unwrap_err();
        assert!(matches!(error, ProcError::Gone { .. }), "{error}");
        assert!(error.to_string().contains(&u32::MAX.to_string()));
    }

    #[test]
    fn this_process_is_alive_and_its_cpu_time_grows() {
        let before = sample_self().unwrap();
        assert!(before.rss_bytes > 100_000 && before.threads >= 1);
        let thread_before = thread_cpu_ns().unwrap();
        // Spins until the scheduler has booked some time; its run times are what is tested.
        let mut spins = 0_u64;
        while thread_cpu_ns().unwrap() < thread_before + 1_000_000 {
            spins += 1;
            assert!(spins < 10_000_000, "CPU time does not grow");
        }
        assert!(sample_self().unwrap().cpu_ns >= thread_cpu_ns().unwrap() / 2);
    }
}
