//! The last step before a program: on its cores, and bound to the one that started it.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};
use rustix::thread::{CpuSet, sched_setaffinity};

/// Becomes a program, in this very process: on `cores` (none given: as it is), and to be killed when
/// the thread of `parent` ends that has started it. It returns only where that fails, with an error
/// that names the program.
pub fn become_program(parent: u32, cores: &[usize], command: &[OsString]) -> io::Error {
    let Some((program, arguments)) = command.split_first() else {
        return io::Error::new(io::ErrorKind::InvalidInput, "there is no program to become");
    };
    if let Err(error) = bind(parent, cores) {
        return error;
    }
    let error = Command::new(program).args(arguments).exec();
    let told = format!("cannot start `{}`: {error}", program.to_string_lossy());
    io::Error::new(error.kind(), told)
}

fn bind(parent: u32, cores: &[usize]) -> io::Result<()> {
    if !cores.is_empty() {
        pin(cores)?;
    }
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // Who ended before that line sends no signal any more.
    if getppid() != Pid::from_raw(parent.cast_signed()) {
        return Err(io::Error::other("who wanted it is gone"));
    }
    Ok(())
}

/// Moves this thread, and those that it starts, to these cores.
///
/// # Errors
///
/// When one of them may not be used.
pub fn pin(cores: &[usize]) -> io::Result<()> {
    let mut set = CpuSet::new();
    cores.iter().for_each(|core| set.set(*core));
    sched_setaffinity(None, &set)
        .map_err(|error| io::Error::other(format!("cannot run on cores {cores:?}: {error}")))
}
