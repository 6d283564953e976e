//! Other processes: those that a test looks for, and those that it needs the right to set apart.

use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Whether namespaces can be made here. Failing that is an error in CI, and a skipped test elsewhere.
pub(crate) fn may_make_namespaces() -> bool {
    let tries = |arguments: &[&str]| {
        Command::new("unshare").args(arguments).arg("true").stderr(Stdio::null()).status()
    };
    let may = [&["--net"][..], &["--user", "--map-root-user", "--net"]]
        .into_iter()
        .any(|arguments| tries(arguments).is_ok_and(|status| status.success()));
    let is_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
    assert!(may || !is_ci, "network namespaces cannot be made here, and CI must test them");
    if !may {
        eprintln!(
            "skipped: network namespaces cannot be made here (needs root or user namespaces)"
        );
    }
    may
}

/// Processes whose command line holds this, each with its id before it.
pub(crate) fn processes_with(mark: &str) -> Vec<String> {
    let entries = fs::read_dir("/proc").expect("Linux has it");
    let lines = entries.flatten().filter_map(|entry| {
        let line = fs::read(entry.path().join("cmdline")).ok()?;
        let pid = entry.file_name().display().to_string();
        Some(format!("{pid} {}", String::from_utf8_lossy(&line).replace('\0', " ")))
    });
    lines.filter(|line| line.contains(mark)).collect()
}

/// Waits for a minute at the most.
pub(crate) fn wait_until(condition: impl Fn() -> bool, what: &str) {
    let until = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < until, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}
