//! The processes below a process.

use ringbench_measure::threads;
use rustix::process::{Pid, Signal, kill_process};

use crate::observe::server::family;

/// All that a process has started, and what that has started. `/proc` is read for it, some 15 us for
/// each process of the machine.
pub fn descendants(of: u32) -> Vec<u32> {
    // Without /proc there is nobody to be seen.
    let table = threads::processes().unwrap_or_default();
    let mut found = family(&[of], &table, 0);
    found.retain(|pid| *pid != of);
    found
}

/// Sends a signal to processes, of which some may have ended.
pub(super) fn signal_all(pids: &[u32], signal: Signal) {
    for pid in pids.iter().filter_map(|pid| Pid::from_raw(pid.cast_signed())) {
        let _ = kill_process(pid, signal);
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn children_of_children_are_found() {
        let mut shell = Command::new("sh")
            .args(["-c", "sleep 60 & echo $!; wait"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("there is a shell");
        let mut line = String::new();
        let stdout = shell.stdout.take().expect("it was asked for");
        std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line)
            .expect("it says its child");
        let sleeps: u32 = line.trim().parse().expect("a pid");
        assert_eq!(descendants(shell.id()), [sleeps]);
        assert!(descendants(std::process::id()).contains(&sleeps));
        // The last is none: Linux gives out pids below 2^22.
        signal_all(&[sleeps, shell.id(), 1 << 22], Signal::KILL);
        shell.wait().expect("it was killed");
    }
}
