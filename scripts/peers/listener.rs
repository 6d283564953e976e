//! Listeners for peers with a runtime on each thread. Included by them with `#[path]`, like args.rs.

use std::io;

use socket2::{Domain, Socket, Type};

use crate::args::{Args, BACKLOG};

/// One of `args.threads` listeners at the same address, among which the kernel deals out connections.
pub fn bind(args: &Args) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(args.listen), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(args.threads > 1)?;
    socket.set_nonblocking(true)?;
    socket.bind(&args.listen.into())?;
    socket.listen(i32::from(BACKLOG))?;
    Ok(socket.into())
}
