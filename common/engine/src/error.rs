//! What can go wrong with an engine, sorted by whose fault it is.

use std::io;
use std::net::SocketAddr;

use crate::Engine;

/// Why a shard could not start or had to end.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The system forbids or lacks `io_uring`; the text says which it is and what would help.
    #[error("io_uring cannot be used: {cause}")]
    UringUnavailable {
        /// The likely cause, with the command or setting that would change it.
        cause: String,
    },
    /// This program was built without the engine that was asked for.
    #[error("the engine {engine} is not part of this program: build it with --features {engine}")]
    NotBuilt {
        /// The engine.
        engine: Engine,
    },
    /// A system call that an engine cannot do without failed.
    #[error("{engine}: {what} failed: {errno}{}", hint(errno))]
    System {
        /// The engine.
        engine: Engine,
        /// What was tried.
        what: &'static str,
        /// The kernel's answer.
        errno: io::Error,
    },
    /// A part of the ring could not be set up for want of a resource.
    #[error("cannot set up the ring: {what}: {errno}{}", hint(errno))]
    UringSetup {
        /// What was being set up.
        what: &'static str,
        /// The kernel's answer.
        errno: io::Error,
    },
    /// Waiting for completions failed in a way that cannot be repaired.
    #[error("io_uring_enter failed: {0}")]
    UringEnter(io::Error),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {errno}")]
    Listen {
        /// The address that was asked for.
        address: SocketAddr,
        /// The kernel's answer.
        errno: io::Error,
    },
    /// Something that was asked for is not to be had on this machine.
    #[error("{what} cannot be had: {cause}")]
    Refused {
        /// What was asked for.
        what: String,
        /// Why not, and what could be had.
        cause: String,
    },
    /// A core in the list is not one this process may run on.
    #[error("core {core} is not among the cores this process may use ({allowed})")]
    NoSuchCore {
        /// The core that was asked for.
        core: usize,
        /// The cores that could be.
        allowed: String,
    },
    /// The operating system refused a thread.
    #[error("cannot start the thread of shard {shard}: {errno}")]
    Spawn {
        /// Which shard.
        shard: usize,
        /// The system's answer.
        errno: io::Error,
    },
    /// A shard's thread panicked: a defect in this program.
    #[error("shard {shard} panicked; this is a defect, please report it")]
    Panicked {
        /// Which shard.
        shard: usize,
    },
}

/// What usually helps against an error of ring set-up.
fn hint(errno: &io::Error) -> &'static str {
    match errno.raw_os_error() {
        Some(libc::ENOMEM) => {
            " (locked memory: raise `ulimit -l`, or wait a second after stopping another ring)"
        }
        Some(libc::EMFILE | libc::ENFILE) => " (raise `ulimit -n`)",
        _ => "",
    }
}
