//! Where connections lead, and where they come from.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// A place to connect to, and the local address to do it from. See
/// [`Ops::add_target`](crate::Ops::add_target).
///
/// An address that cannot be used (a path that is too long, a source that is not of this machine)
/// is not found out here: each connection to it ends with
/// [`CloseReason::ConnectFailed`](crate::CloseReason::ConnectFailed).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    address: Address,
    source: Option<IpAddr>,
}

/// The address of a [`Target`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// A TCP port.
    Tcp(SocketAddr),
    /// A stream socket in the file system, or, if it begins with `@`, in the abstract namespace.
    Unix(PathBuf),
}

impl Target {
    /// A TCP port.
    pub fn tcp(address: SocketAddr) -> Self {
        Self { address: Address::Tcp(address), source: None }
    }

    /// A unix stream socket: a path, or with `@` in front a name in the abstract namespace.
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Self { address: Address::Unix(path.into()), source: None }
    }

    /// Connects from this local address. The port is chosen when it is known where the connection
    /// leads (`IP_BIND_ADDRESS_NO_PORT`), so that one port serves for every destination: each
    /// source has all ephemeral ports for each of them. Without effect on a unix socket.
    ///
    /// With `io_uring` it needs Linux 6.11.
    #[must_use]
    pub fn with_source(self, source: IpAddr) -> Self {
        Self { source: Some(source), ..self }
    }

    /// Where it leads.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The local address that it is connected to from, if one was asked for.
    pub fn source(&self) -> Option<IpAddr> {
        self.source
    }

    /// The addresses as the kernel wants them.
    pub(crate) fn route(&self) -> io::Result<Route> {
        match &self.address {
            Address::Tcp(address) => Ok(Route {
                address: (*address).into(),
                source: self.source.map(|source| local(source, address).into()),
            }),
            Address::Unix(path) => {
                Ok(Route { address: SockAddr::unix(kernel_path(path))?, source: None })
            }
        }
    }
}

impl From<SocketAddr> for Target {
    fn from(address: SocketAddr) -> Self {
        Self::tcp(address)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            Address::Tcp(address) => write!(f, "{address}")?,
            Address::Unix(path) => write!(f, "unix:{}", path.display())?,
        }
        self.source.map_or(Ok(()), |source| write!(f, " from {source}"))
    }
}

/// The source with its port still open. One that holds for one link only is on that of the
/// destination.
fn local(source: IpAddr, destination: &SocketAddr) -> SocketAddr {
    match (source, destination) {
        (IpAddr::V6(source), SocketAddr::V6(destination)) => {
            SocketAddrV6::new(source, 0, 0, destination.scope_id()).into()
        }
        _ => SocketAddr::new(source, 0),
    }
}

/// The path with the abstract namespace marked in the kernel's way, by a zero byte.
fn kernel_path(path: &Path) -> PathBuf {
    match path.as_os_str().as_bytes().split_first() {
        Some((b'@', name)) => OsString::from_vec([&[0], name].concat()).into(),
        _ => path.to_owned(),
    }
}

/// The addresses of a [`Target`] as the kernel reads them.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) address: SockAddr,
    /// What to bind to before.
    pub(crate) source: Option<SockAddr>,
}

impl Route {
    pub(crate) fn is_tcp(&self) -> bool {
        self.protocol().is_some()
    }

    /// The protocol of its sockets; `None` for that of the family.
    pub(crate) fn protocol(&self) -> Option<Protocol> {
        let is_ip = matches!(self.address.domain(), Domain::IPV4 | Domain::IPV6);
        is_ip.then_some(Protocol::TCP)
    }

    /// Begins to connect a non-blocking socket, on back ends that poll. Room to send tells that it
    /// is connected. A unix socket is so at once; a listener of that kind whose queue is full makes
    /// it fail (`EAGAIN`), as there is nothing that would tell of room.
    pub(crate) fn begin(&self) -> io::Result<Socket> {
        let kind = Type::STREAM.nonblocking();
        let socket = Socket::new(self.address.domain(), kind, self.protocol())?;
        if self.is_tcp() {
            socket.set_tcp_nodelay(true)?;
        }
        if let Some(source) = &self.source {
            leave_port_open(&socket)?;
            socket.bind(source)?;
        }
        match socket.connect(&self.address) {
            Err(errno) if errno.raw_os_error() != Some(libc::EINPROGRESS) => Err(errno),
            _ => Ok(socket),
        }
    }
}

/// The value of options that are switched on; the kernel may read it at any time.
pub(crate) static ON: libc::c_int = 1;

/// Has a later bind choose no port; it is chosen when the socket is connected. The option is IPv4's
/// by its level and serves for both families.
fn leave_port_open(socket: &Socket) -> io::Result<()> {
    // SAFETY: the descriptor is open as long as `socket`, and the value is a static of that length.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_IP,
            libc::IP_BIND_ADDRESS_NO_PORT,
            (&raw const ON).cast(),
            size_of_val(&ON) as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    #[test]
    fn a_target_is_named_as_it_was_given() {
        let port: SocketAddr = "127.0.0.1:80".parse().unwrap();
        assert_eq!(Target::from(port).to_string(), "127.0.0.1:80");
        let source = Ipv4Addr::new(127, 0, 0, 2).into();
        let sourced = Target::tcp(port).with_source(source);
        assert_eq!(sourced.to_string(), "127.0.0.1:80 from 127.0.0.2");
        assert_eq!((sourced.address(), sourced.source()), (&Address::Tcp(port), Some(source)));
        assert_eq!(Target::unix("/run/x.sock").to_string(), "unix:/run/x.sock");
        assert_eq!(Target::unix("@x").to_string(), "unix:@x");
    }

    #[test]
    fn a_unix_name_is_a_path_or_abstract() {
        let address = Target::unix("/run/x.sock").route().unwrap().address;
        assert_eq!(address.as_pathname(), Some(Path::new("/run/x.sock")));
        let route = Target::unix("@name").with_source(Ipv4Addr::LOCALHOST.into()).route().unwrap();
        assert_eq!(route.address.as_abstract_namespace(), Some(&b"name"[..]));
        assert!(!route.is_tcp() && route.source.is_none());
        let long = Target::unix("x".repeat(200)).route().unwrap_err();
        assert_eq!(long.kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn a_source_has_no_port_and_the_scope_of_its_destination() {
        let link_local = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
        let there = SocketAddr::V6(SocketAddrV6::new(link_local, 80, 0, 7));
        let route = Target::tcp(there).with_source(link_local.into()).route().unwrap();
        assert!(route.is_tcp());
        let source = route.source.unwrap().as_socket_ipv6().unwrap();
        assert_eq!((source.port(), source.scope_id()), (0, 7));
    }
}
