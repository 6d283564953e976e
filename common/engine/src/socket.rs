//! Listening sockets and the limit on open files.

use std::io;
use std::net::{SocketAddr, TcpListener};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Protocol, Socket, Type};

use crate::EngineError;

/// Opens one listener per shard on `address`, all sharing the port through `SO_REUSEPORT`, so that
/// the kernel spreads connections over the shards and no shard waits for another's accept lock.
/// With port 0 all share the port that the first was given.
///
/// # Errors
///
/// [`EngineError::Listen`] with the kernel's reason.
pub fn listen(
    address: SocketAddr,
    backlog: i32,
    shards: usize,
) -> Result<Vec<TcpListener>, EngineError> {
    let mut actual = address;
    (0..shards)
        .map(|_| {
            let listener = listen_one(actual, backlog)
                .and_then(|listener| listener.local_addr().map(|local| (listener, local)));
            let (listener, local) =
                listener.map_err(|errno| EngineError::Listen { address, errno })?;
            actual = local;
            Ok(listener)
        })
        .collect()
}

fn listen_one(address: SocketAddr, backlog: i32) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    // Accepted sockets inherit it, which saves a call per connection.
    socket.set_tcp_nodelay(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    Ok(socket.into())
}

/// Raises the soft limit on open files to the hard one, which needs no privilege, and returns it.
/// A ring's table of direct descriptors can have as many entries as this.
pub fn raise_nofile_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if limit.current != limit.maximum && setrlimit(Resource::Nofile, raised).is_err() {
        return limit.current.unwrap_or(u64::MAX);
    }
    limit.maximum.unwrap_or(u64::MAX)
}
