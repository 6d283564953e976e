//! What the kernel tells of this process.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use ringbench_measure::proc::{parse_schedstat, parse_status};
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

/// The process at one moment. What cannot be found out is `None`, and is not shown.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Process {
    pub(super) cpu_seconds: f64,
    pub(super) rss_bytes: Option<u64>,
    pub(super) threads: Option<u64>,
    pub(super) open_fds: Option<u64>,
    pub(super) max_fds: Option<u64>,
    pub(super) start_seconds: f64,
}

impl Process {
    pub(super) fn now(started: SystemTime) -> Self {
        let status = fs::read_to_string("/proc/self/status").ok();
        let status = status.and_then(|text| parse_status(&text).ok());
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        Self {
            cpu_seconds: cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9,
            rss_bytes: status.map(|status| status.rss_bytes),
            threads: status.map(|status| status.threads),
            open_fds: open_fds(),
            max_fds: getrlimit(Resource::Nofile).current,
            start_seconds: started.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64(),
        }
    }
}

fn open_fds() -> Option<u64> {
    let folder = "/proc/self/fd";
    // The size is their number since Linux 6.2; before, it is zero.
    match fs::metadata(folder).ok()?.len() {
        // The one that reads the folder is not counted.
        0 => Some(fs::read_dir(folder).ok()?.count().saturating_sub(1) as u64),
        count => Some(count),
    }
}

/// CPU time of a thread of this process; `None` when it has ended.
pub(super) fn thread_cpu_ns(thread: u64) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/self/task/{thread}/schedstat")).ok()?;
    parse_schedstat(&text).ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn this_process_has_everything() {
        let process = Process::now(UNIX_EPOCH + Duration::from_millis(1500));
        assert!(process.cpu_seconds > 0.0 && process.cpu_seconds < 3600.0);
        assert!(process.rss_bytes.is_some_and(|bytes| bytes > 100_000));
        assert!(process.threads.is_some_and(|threads| threads >= 2));
        assert!(process.open_fds.is_some_and(|count| count >= 3));
        assert!((process.start_seconds - 1.5).abs() < 1e-9);
    }

    #[test]
    fn a_thread_that_is_gone_has_no_cpu_time() {
        assert!(thread_cpu_ns(std::process::id().into()).is_some());
        assert_eq!(thread_cpu_ns(u64::MAX), None);
    }
}
