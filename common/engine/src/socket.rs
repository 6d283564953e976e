//! Listening sockets, and the limits on open files and locked memory.

mod steering;

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, RawFd};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::EngineError;

/// How listeners are opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenOptions {
    /// Connections that may wait to be accepted, per listener; the kernel lowers it to
    /// `net.core.somaxconn`.
    pub backlog: i32,
    /// `TCP_NODELAY` on accepted connections, which inherit it: it costs no call of their own.
    pub nodelay: bool,
    /// `TCP_NOTSENT_LOWAT` of accepted connections, in bytes: so much that cannot be sent yet does
    /// the kernel take; 0 leaves the system's, which is as much as the send buffer holds.
    pub notsent_lowat: u32,
    /// The congestion control of accepted connections (`TCP_CONGESTION`); `None` leaves the
    /// system's.
    pub congestion: Option<String>,
    /// Give a connection to the shard of the core that its packets come in on
    /// (`SO_ATTACH_REUSEPORT_CBPF`): the cores that shards are pinned to in turn, as in
    /// [`EngineConfig::cores`](crate::EngineConfig::cores), but not empty. Counts on the port being
    /// shared with nobody else.
    pub incoming_cpu: Option<Vec<usize>>,
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self {
            backlog: 65_535,
            nodelay: true,
            notsent_lowat: 0,
            congestion: None,
            incoming_cpu: None,
        }
    }
}

/// Opens one listener per shard on `address`, all sharing the port through `SO_REUSEPORT`, so that
/// the kernel spreads connections over the shards and no shard waits for another's accept lock.
/// With port 0 all share the port that the first was given.
///
/// # Errors
///
/// [`EngineError::Listen`] with the kernel's reason, or [`EngineError::Refused`] for an option that
/// this machine does not have.
pub fn listen(
    address: SocketAddr,
    options: &ListenOptions,
    shards: usize,
) -> Result<Vec<TcpListener>, EngineError> {
    let mut actual = address;
    let listeners = (0..shards)
        .map(|_| {
            let (listener, local) = listen_one(actual, options)?;
            actual = local;
            Ok(listener)
        })
        .collect::<Result<Vec<_>, _>>()?;
    if let Some(cores) = options.incoming_cpu.as_deref().filter(|cores| !cores.is_empty()) {
        // Only now: the program names listeners by position. Nobody has accepted anything yet.
        steering::attach(&listeners, cores).map_err(|errno| EngineError::Refused {
            what: "choosing shards by incoming core".to_owned(),
            cause: format!("SO_ATTACH_REUSEPORT_CBPF: {errno}"),
        })?;
    }
    Ok(listeners)
}

fn listen_one(
    address: SocketAddr,
    options: &ListenOptions,
) -> Result<(TcpListener, SocketAddr), EngineError> {
    let failed = |errno| EngineError::Listen { address, errno };
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))
        .map_err(failed)?;
    set_tcp_options(&SockRef::from(&socket), address, options)?;
    let listen = || {
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(true)?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.bind(&address.into())?;
        socket.listen(options.backlog)
    };
    listen().map_err(failed)?;
    let listener = TcpListener::from(socket);
    let local = listener.local_addr().map_err(failed)?;
    Ok((listener, local))
}

/// Sets what connections inherit from a listener, which saves a call for each of them: on one that
/// was opened elsewhere and handed over.
///
/// # Errors
///
/// As for [`listen`].
pub fn configure(listener: &TcpListener, options: &ListenOptions) -> Result<(), EngineError> {
    let address = listener.local_addr();
    let address = address.map_err(|errno| EngineError::Listen { address: UNKNOWN, errno })?;
    set_tcp_options(&SockRef::from(listener), address, options)
}

/// The address of a socket that has none.
const UNKNOWN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

fn set_tcp_options(
    socket: &SockRef<'_>,
    address: SocketAddr,
    options: &ListenOptions,
) -> Result<(), EngineError> {
    let set = || {
        socket.set_tcp_nodelay(options.nodelay)?;
        if options.notsent_lowat > 0 {
            socket.set_tcp_notsent_lowat(options.notsent_lowat)?;
        }
        Ok(())
    };
    set().map_err(|errno| EngineError::Listen { address, errno })?;
    options.congestion.as_ref().map_or(Ok(()), |algorithm| {
        socket
            .set_tcp_congestion(algorithm.as_bytes())
            .map_err(|errno| no_congestion(algorithm, &errno))
    })
}

/// Why a congestion control cannot be chosen, and which could be.
fn no_congestion(algorithm: &str, errno: &io::Error) -> EngineError {
    let list = |which| {
        let path = format!("/proc/sys/net/ipv4/tcp_{which}_congestion_control");
        fs::read_to_string(path).unwrap_or_default().trim().replace(' ', ", ")
    };
    let cause = match errno.raw_os_error() {
        Some(libc::EPERM) => format!(
            "without CAP_NET_ADMIN only those in net.ipv4.tcp_allowed_congestion_control are \
             allowed: {}",
            list("allowed")
        ),
        Some(libc::ENOENT | libc::EINVAL) => format!("this kernel has {}", list("available")),
        _ => format!("{errno}; this kernel has {}", list("available")),
    };
    EngineError::Refused { what: format!("the congestion control {algorithm:?}"), cause }
}

/// Where the other end of a connected socket is. It may be gone already.
pub(crate) fn peer(fd: RawFd) -> Option<SocketAddr> {
    // SAFETY: the caller has just accepted the descriptor and closes it later, on this thread.
    let socket = unsafe { BorrowedFd::borrow_raw(fd) };
    SockRef::from(&socket).peer_addr().ok()?.as_socket()
}

/// Makes the close that follows a reset, which throws away what the kernel has yet to send.
pub(crate) fn reset_by_close<S: AsFd>(socket: &S) {
    // It fails on no TCP socket; and if it did, the close would be the usual one.
    let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
}

/// Raises the soft limit on open files to the hard one, which needs no privilege, and returns it.
/// A ring's table of direct descriptors can have as many entries as this.
pub fn raise_nofile_limit() -> u64 {
    raise(Resource::Nofile)
}

/// Raises the soft limit on locked memory, in bytes, to the hard one, which needs no privilege, and
/// returns it. The rings of all shards and their provided buffers count against it, per user.
pub fn raise_memlock_limit() -> u64 {
    raise(Resource::Memlock)
}

/// `u64::MAX` where there is no limit.
fn raise(resource: Resource) -> u64 {
    let limit = getrlimit(resource);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if limit.current != limit.maximum && setrlimit(resource, raised).is_err() {
        return limit.current.unwrap_or(u64::MAX);
    }
    limit.maximum.unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_raised_as_far_as_they_go() {
        let limits: [(_, fn() -> u64); 2] =
            [(Resource::Nofile, raise_nofile_limit), (Resource::Memlock, raise_memlock_limit)];
        for (resource, raise) in limits {
            let raised = raise();
            let limit = getrlimit(resource);
            assert_eq!(limit.current, limit.maximum);
            assert_eq!(raised, limit.current.unwrap_or(u64::MAX));
        }
    }
}
