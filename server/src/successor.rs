//! A hot restart: a new process of the same program takes the listening sockets over while this one
//! still accepts, so that no connection is refused or lost in between.

use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::process::{Child, Command};

use command_fds::{CommandFdExt, FdMapping};

/// The first descriptor that is handed over, as `sd_listen_fds(3)` has it.
const FIRST_FD: i32 = 3;

/// Starts the program that is at the path of this one by now, with this one's arguments and these
/// sockets.
///
/// # Errors
///
/// When it cannot be started.
pub(crate) fn start(listeners: &[TcpListener]) -> io::Result<Child> {
    let mut arguments = std::env::args_os();
    // As it was called, so that a new version at the same path is found.
    let program = arguments.next().ok_or(io::ErrorKind::NotFound)?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env("LISTEN_FDS", listeners.len().to_string())
        // Whoever started this process did not start that one.
        .env_remove("LISTEN_PID")
        .env_remove("LISTEN_FDNAMES");
    let mappings = (FIRST_FD..)
        .zip(listeners)
        .map(|(child_fd, listener)| {
            let parent_fd = OwnedFd::from(listener.try_clone()?);
            Ok(FdMapping { parent_fd, child_fd })
        })
        .collect::<io::Result<Vec<_>>>()?;
    command.fd_mappings(mappings).map_err(io::Error::other)?;
    command.spawn()
}
