//! Where connections lead: the host is resolved once and knocked at once, so that a run that cannot
//! be done is refused before it begins.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ringbench_engine::Target;

use crate::config::{ConnectConfig, Place};
use crate::tally::{cannot_connect, reason};
use crate::url::Url;

/// Why there is no server to load.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// The host's name has no address.
    #[error("cannot resolve the host `{host}`: {}", reason(source))]
    Resolve {
        /// The name.
        host: String,
        /// The resolver's answer.
        source: io::Error,
    },
    /// Nobody can be reached at any of the host's addresses.
    #[error("{}", cannot_connect(place, source))]
    Unreachable {
        /// The first place tried.
        place: Server,
        /// Why not.
        source: io::Error,
    },
    /// The source addresses are of another family than the server's.
    #[error(
        "--source has no {family} address, and the server is at {address}: an IPv4 server needs \
         IPv4 sources, an IPv6 server IPv6 ones"
    )]
    Family {
        /// Of the server.
        family: &'static str,
        /// Where it is.
        address: SocketAddr,
    },
}

/// Where a server was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Server {
    /// At a TCP port.
    Tcp(SocketAddr),
    /// At a unix socket.
    Unix(PathBuf),
}

impl fmt::Display for Server {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(out, "{address}"),
            Self::Unix(path) => write!(out, "the unix socket {}", path.display()),
        }
    }
}

impl Server {
    /// Finds the server of a run, which has to answer a first connect within `timeout`.
    ///
    /// # Errors
    ///
    /// When it has no address, or none that takes a connection.
    pub fn find(url: &Url, connect: &ConnectConfig, timeout: Duration) -> Result<Self, PlaceError> {
        match &connect.place {
            Place::Unix(path) => {
                let place = Self::Unix(path.clone());
                match connect_unix(path) {
                    Ok(_) => Ok(place),
                    Err(source) => Err(PlaceError::Unreachable { place, source }),
                }
            }
            Place::Address(address) => first_reachable(vec![*address], timeout),
            Place::Host(host, port) => first_reachable(resolve(host, *port)?, timeout),
            Place::Url => first_reachable(resolve(url.host(), url.port())?, timeout),
        }
    }

    /// What to connect to, in turn: the server once for each local address.
    ///
    /// # Errors
    ///
    /// When no source is of the server's family.
    pub fn targets(&self, sources: &[IpAddr]) -> Result<Vec<Target>, PlaceError> {
        let address = match self {
            Self::Unix(path) => return Ok(vec![Target::unix(path)]),
            Self::Tcp(address) => *address,
        };
        if sources.is_empty() {
            return Ok(vec![Target::tcp(address)]);
        }
        let of_family = sources.iter().filter(|source| source.is_ipv4() == address.is_ipv4());
        let targets: Vec<Target> =
            of_family.map(|source| Target::tcp(address).with_source(*source)).collect();
        if targets.is_empty() {
            let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
            return Err(PlaceError::Family { family, address });
        }
        Ok(targets)
    }

    /// Its TCP address, if it has one.
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }
}

/// The addresses of a host, in the order in which the system's resolver prefers them. Names are
/// looked up as every program on the system does, `/etc/hosts` included.
fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, PlaceError> {
    if let Ok(literal) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(literal, port)]);
    }
    let unresolved = |source| PlaceError::Resolve { host: host.to_owned(), source };
    let addresses: Vec<_> = (host, port).to_socket_addrs().map_err(unresolved)?.collect();
    if addresses.is_empty() {
        return Err(unresolved(io::Error::other("the name has no address")));
    }
    Ok(addresses)
}

/// The first address that takes a connection; if none does, why the first of them does not.
fn first_reachable(addresses: Vec<SocketAddr>, timeout: Duration) -> Result<Server, PlaceError> {
    let mut failed = None;
    for address in addresses {
        let place = Server::Tcp(address);
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(_) => return Ok(place),
            Err(source) => {
                failed.get_or_insert(PlaceError::Unreachable { place, source });
            }
        }
    }
    Err(failed.unwrap_or_else(|| unreachable!("there is at least one address")))
}

fn connect_unix(path: &Path) -> io::Result<UnixStream> {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::SocketAddr;
    match path.as_os_str().as_bytes().strip_prefix(b"@") {
        Some(name) => UnixStream::connect_addr(&SocketAddr::from_abstract_name(name)?),
        None => UnixStream::connect(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_source_of_the_servers_family_is_a_target() {
        let server = Server::Tcp("127.0.0.1:80".parse().unwrap());
        let sources = ["127.0.0.2", "::1", "127.0.0.3"].map(|source| source.parse().unwrap());
        let targets = server.targets(&sources).unwrap();
        assert_eq!(targets.len(), 2);
        assert_eq!(targets[1].source(), Some(sources[2]));
        assert_eq!(server.targets(&[]).unwrap().len(), 1);
        let error = server.targets(&sources[1..2]).unwrap_err().to_string();
        assert!(error.contains("--source has no IPv4 address"), "{error}");
    }

    #[test]
    fn names_come_from_the_hosts_file_and_literals_need_none() {
        assert_eq!(resolve("127.0.0.1", 81).unwrap(), ["127.0.0.1:81".parse().unwrap()]);
        assert_eq!(resolve("::1", 81).unwrap(), ["[::1]:81".parse().unwrap()]);
        let addresses = resolve("localhost", 81).unwrap();
        assert!(!addresses.is_empty());
        assert!(addresses.iter().all(|address| address.ip().is_loopback() && address.port() == 81));
    }

    #[test]
    fn nobody_at_a_unix_socket() {
        let connect = ConnectConfig {
            place: Place::Unix("/no/such/socket".into()),
            ..ConnectConfig::default()
        };
        let url = "http://h/".parse().unwrap();
        let error = Server::find(&url, &connect, Duration::from_secs(1)).unwrap_err().to_string();
        assert_eq!(
            error,
            "cannot connect to the unix socket /no/such/socket: no such file or directory"
        );
    }
}
