//! The threads of a process, one by one: run time, run delay, context switches, cores.
//!
//! A sum over threads hides which of them is busy, and goes backwards when one ends; whoever
//! watches a process over time keeps the threads apart.

use std::fs;
use std::path::{Path, PathBuf};

use crate::proc::{Malformed, ProcError, failed, parse_status, read, read_if_there};

/// A tick of `/proc/PID/stat`: `USER_HZ` is 100 on every architecture that Ringbench runs on.
const NS_PER_TICK: u64 = 10_000_000;

/// What the scheduler has booked for a thread since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ThreadTimes {
    /// The time it ran.
    pub cpu_ns: u64,
    /// The time it was ready to run, but waited for a core.
    pub run_delay_ns: u64,
}

/// A thread at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ThreadSample {
    /// Its id, unique among the threads that are alive.
    pub tid: u32,
    /// Its name (`comm`), at most 15 bytes.
    pub name: String,
    /// Its run time and its run delay.
    pub times: ThreadTimes,
    /// Context switches because it waited for something.
    pub voluntary_switches: u64,
    /// Context switches because another thread was to run.
    pub involuntary_switches: u64,
    /// The cores that it may run on, in order.
    pub cores: Vec<u32>,
}

/// A process at one moment, its threads kept apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessThreads {
    /// Resident memory.
    pub rss_bytes: u64,
    /// The threads that are alive, in no order.
    pub threads: Vec<ThreadSample>,
}

/// Samples a process with all of its threads.
///
/// # Errors
///
/// When the process is not there, or its files are not readable or not as expected.
pub fn sample(pid: u32) -> Result<ProcessThreads, ProcError> {
    sample_folder(&PathBuf::from(format!("/proc/{pid}")))
}

/// Run time and run delay of the calling thread: what a thread that is about to end can still tell
/// of itself.
///
/// # Errors
///
/// When they are not readable or not as expected.
pub fn thread_times() -> Result<ThreadTimes, ProcError> {
    let folder = Path::new("/proc/thread-self");
    times(folder)?.ok_or_else(|| ProcError::Gone { path: folder.to_owned() })
}

/// Name and times of those threads of a process whose name starts so: less to read than all.
///
/// # Errors
///
/// As [`sample`].
pub fn named(pid: u32, prefix: &str) -> Result<Vec<(u32, String, ThreadTimes)>, ProcError> {
    let mut found = Vec::new();
    for (tid, task) in tasks(&PathBuf::from(format!("/proc/{pid}")))? {
        let Some(name) = read_if_there(&task.join("comm"))? else { continue };
        let name = name.trim_end_matches('\n');
        if name.starts_with(prefix)
            && let Some(times) = times(&task)?
        {
            found.push((tid, name.to_owned(), times));
        }
    }
    Ok(found)
}

fn sample_folder(folder: &Path) -> Result<ProcessThreads, ProcError> {
    let status_path = folder.join("status");
    let status = parse_status(&read(&status_path)?).map_err(|error| error.at(&status_path))?;
    let mut sample = ProcessThreads { rss_bytes: status.rss_bytes, threads: Vec::new() };
    for (tid, task) in tasks(folder)? {
        let path = task.join("status");
        // A thread that ends while it is looked at is left out.
        let (Some(text), Some(times)) = (read_if_there(&path)?, times(&task)?) else { continue };
        let status = parse_status(&text).map_err(|error| error.at(&path))?;
        let line = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
        sample.threads.push(ThreadSample {
            tid,
            name: line("Name:").unwrap_or_default().trim().to_owned(),
            times,
            voluntary_switches: status.voluntary_switches,
            involuntary_switches: status.involuntary_switches,
            cores: line("Cpus_allowed_list:").map(parse_core_list).unwrap_or_default(),
        });
    }
    Ok(sample)
}

/// The threads' ids and folders.
fn tasks(folder: &Path) -> Result<Vec<(u32, PathBuf)>, ProcError> {
    let tasks = folder.join("task");
    let mut found = Vec::new();
    for entry in fs::read_dir(&tasks).map_err(|source| failed(&tasks, source))? {
        let entry = entry.map_err(|source| failed(&tasks, source))?;
        if let Some(tid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) {
            found.push((tid, entry.path()));
        }
    }
    Ok(found)
}

/// `None` where the thread has ended.
fn times(task: &Path) -> Result<Option<ThreadTimes>, ProcError> {
    let path = task.join("schedstat");
    if let Some(text) = read_if_there(&path)? {
        let times = parse_times(&text).map_err(|error| error.at(&path))?;
        // No thread is there without having run: zeros are what a kernel writes that does not
        // count.
        if times.cpu_ns > 0 {
            return Ok(Some(times));
        }
    }
    let path = task.join("stat");
    let Some(text) = read_if_there(&path)? else { return Ok(None) };
    let cpu_ns = parse_stat(&text).map_err(|error| error.at(&path))?.cpu_ns;
    Ok(Some(ThreadTimes { cpu_ns, run_delay_ns: 0 }))
}

/// Run time and run delay: the first two fields of a thread's `schedstat`.
///
/// # Errors
///
/// When the text does not start with two numbers.
pub fn parse_times(text: &str) -> Result<ThreadTimes, Malformed> {
    let mut fields = text.split_ascii_whitespace();
    let mut number = |expected| {
        let field = fields.next().unwrap_or_default();
        field.parse().map_err(|_| Malformed { expected, got: field.to_owned() })
    };
    Ok(ThreadTimes {
        cpu_ns: number("run time in nanoseconds as the first field")?,
        run_delay_ns: number("run delay in nanoseconds as the second field")?,
    })
}

/// What is of use here of a `stat` file, a process's or a thread's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// The process that started it, or that has taken it over.
    pub parent: u32,
    /// CPU time in user space and in the kernel, to 10 ms.
    pub cpu_ns: u64,
}

/// The fields of interest of a `stat` file.
///
/// # Errors
///
/// When it has too few fields, or other than numbers in them.
pub fn parse_stat(text: &str) -> Result<Stat, Malformed> {
    // The name stands in parentheses, and may have spaces and parentheses in it.
    let rest = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let number = |index: usize, expected| {
        let field = fields.get(index).copied().unwrap_or_default();
        field.parse::<u64>().map_err(|_| Malformed { expected, got: field.to_owned() })
    };
    // Counted from the state, which is field 3 of proc(5).
    let ticks = number(11, "utime as field 14")? + number(12, "stime as field 15")?;
    Ok(Stat {
        parent: number(1, "ppid as field 4")? as u32,
        cpu_ns: ticks.saturating_mul(NS_PER_TICK),
    })
}

/// The processes that are there, as `(pid, parent)`; those that end meanwhile are left out.
///
/// # Errors
///
/// When `/proc` cannot be listed.
pub fn processes() -> Result<Vec<(u32, u32)>, ProcError> {
    let proc = Path::new("/proc");
    let mut found = Vec::new();
    for entry in fs::read_dir(proc).map_err(|source| failed(proc, source))? {
        let entry = entry.map_err(|source| failed(proc, source))?;
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let stat = fs::read_to_string(entry.path().join("stat")).ok();
        if let Some(stat) = stat.and_then(|text| parse_stat(&text).ok()) {
            found.push((pid, stat.parent));
        }
    }
    Ok(found)
}

/// A list such as `0,2-4`. What cannot be read is left out.
fn parse_core_list(text: &str) -> Vec<u32> {
    text.trim()
        .split(',')
        .filter_map(|range| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            Some(first.parse::<u32>().ok()?..=last.parse().ok()?)
        })
        .flatten()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proc::tests::Folder;

    const STATUS: &str = "Name:\tring serve\nVmRSS:\t    8420 kB\nThreads:\t3\n\
                          Cpus_allowed_list:\t0,2-3\nvoluntary_ctxt_switches:\t150\n\
                          nonvoluntary_ctxt_switches:\t7\n";
    const STAT: &str = "10 (a) b) c) S 4 10 10 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 3 0 5 6 7\n";

    #[test]
    fn schedstat_is_run_time_and_run_delay() {
        let times = ThreadTimes { cpu_ns: 123, run_delay_ns: 42 };
        assert_eq!(parse_times("123 42 7\n"), Ok(times));
        for text in ["", "5", "x 1 2", "1 x"] {
            assert!(parse_times(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn stat_has_a_name_that_may_be_anything() {
        assert_eq!(parse_stat(STAT), Ok(Stat { parent: 4, cpu_ns: 3_000_000_000 }));
        for text in ["", "1 (a", "1 (a) S 4", "1 (a) S four 1 1 0 0 0 0 0 0 0 1 1"] {
            assert!(parse_stat(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn core_lists() {
        assert_eq!(parse_core_list("\t0,2-4,7\n"), [0, 2, 3, 4, 7]);
        assert_eq!(parse_core_list("5"), [5]);
        assert_eq!(parse_core_list("x,1-y,3"), [3]);
    }

    #[test]
    fn threads_are_kept_apart() {
        let folder = Folder::new("apart");
        folder.write("status", STATUS);
        folder.write("task/10/status", STATUS);
        folder.write("task/10/schedstat", "1000 30 5\n");
        // This one has just ended: its folder was listed, its files are gone.
        fs::create_dir_all(folder.0.join("task/12")).unwrap();
        let sample = sample_folder(&folder.0).unwrap();
        assert_eq!(sample.rss_bytes, 8_420 * 1_024);
        let thread = ThreadSample {
            tid: 10,
            name: "ring serve".to_owned(),
            times: ThreadTimes { cpu_ns: 1_000, run_delay_ns: 30 },
            voluntary_switches: 150,
            involuntary_switches: 7,
            cores: vec![0, 2, 3],
        };
        assert_eq!(sample.threads, [thread]);
    }

    #[test]
    fn ticks_stand_in_where_the_scheduler_does_not_count() {
        let folder = Folder::new("ticks");
        folder.write("task/10/stat", STAT);
        let task = folder.0.join("task/10");
        let ticks = ThreadTimes { cpu_ns: 3_000_000_000, run_delay_ns: 0 };
        assert_eq!(times(&task).unwrap(), Some(ticks), "without the file");
        folder.write("task/10/schedstat", "0 0 0\n");
        assert_eq!(times(&task).unwrap(), Some(ticks), "with zeros in it");
        folder.write("task/10/schedstat", "5 6 7\n");
        assert_eq!(times(&task).unwrap(), Some(ThreadTimes { cpu_ns: 5, run_delay_ns: 6 }));
    }

    #[test]
    fn this_process_and_its_parent_are_there() {
        let own = std::process::id();
        let (_, parent) = *processes().unwrap().iter().find(|(pid, _)| *pid == own).unwrap();
        assert_eq!(parent, std::os::unix::process::parent_id());
        let sample = sample(own).unwrap();
        assert!(sample.threads.iter().all(|thread| !thread.cores.is_empty()), "{sample:?}");
        assert!(thread_times().unwrap().cpu_ns > 0);
    }

    #[test]
    fn threads_are_found_by_name() {
        let (told, tell) = std::sync::mpsc::channel::<()>();
        let waits = std::thread::Builder::new()
            .name("measured-7".to_owned())
            .spawn(move || tell.recv())
            .unwrap();
        // A new thread gives itself its name.
        let found = loop {
            let found = named(std::process::id(), "measured-").unwrap();
            if !found.is_empty() {
                break found;
            }
            std::thread::yield_now();
        };
        drop(told);
        assert!(waits.join().unwrap().is_err());
        assert_eq!((found.len(), found[0].1.as_str()), (1, "measured-7"));
        assert!(found[0].2.cpu_ns > 0);
    }
}
