//! Finds the local process that serves an address: the kernel's table of sockets gives the inodes of
//! those that listen there, `/proc/PID/fd` who holds them.
//!
//! Processes of other users can be looked into by root alone, and what is behind a forwarder (a
//! container's proxy, say) or in another network namespace is not seen: then the process has to be
//! named.

use std::collections::HashSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::Path;

/// The first process of the system; with socket activation it holds the sockets of others.
const INIT: u32 = 1;
/// A socket in the state LISTEN, in `/proc/net/tcp`.
const LISTEN: &str = "0A";
/// The flag of a Unix socket that listens.
const ACCEPTS_CONNECTIONS: u32 = 1 << 16;

/// The processes that listen at a TCP address, in ascending order: several where they share the
/// port, or one inherited its socket from another. Empty if the address is not of this machine or
/// nobody can be found. The calling process is never among them.
pub fn find_server(address: SocketAddr) -> Vec<u32> {
    if !is_local(address) {
        return Vec::new();
    }
    let mut listeners = Vec::new();
    for path in ["/proc/net/tcp", "/proc/net/tcp6"] {
        // Without IPv6 there is no such file.
        let Ok(file) = fs::File::open(path) else { continue };
        let lines = BufReader::new(file).lines().map_while(Result::ok);
        listeners.extend(lines.filter_map(|line| Listener::parse(&line)));
    }
    holders(&chosen(&listeners, address))
}

/// The processes that listen at a Unix socket, as [`find_server`].
pub fn find_unix_server(path: &Path) -> Vec<u32> {
    let Ok(text) = fs::read_to_string("/proc/net/unix") else { return Vec::new() };
    let path = path.to_string_lossy();
    let absolute = fs::canonicalize(path.as_ref()).ok();
    let wanted = |bound: &str| {
        bound == path || absolute.is_some() && fs::canonicalize(bound).ok() == absolute
    };
    holders(&unix_listeners(&text, wanted))
}

/// A socket may be bound to a local address alone. No packet leaves for it.
pub(super) fn is_local(mut address: SocketAddr) -> bool {
    address.set_port(0);
    address.ip().is_loopback() || UdpSocket::bind(address).is_ok()
}

/// A TCP socket that listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Listener {
    pub(super) address: SocketAddr,
    pub(super) inode: u64,
}

impl Listener {
    /// From a line of `/proc/net/tcp` or `tcp6`; `None` for other sockets and for the heading.
    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split_ascii_whitespace();
        let address = fields.nth(1)?;
        if fields.nth(1)? != LISTEN {
            return None;
        }
        let inode = fields.nth(5)?.parse().ok()?;
        let (ip, port) = address.split_once(':')?;
        let port = u16::from_str_radix(port, 16).ok()?;
        // Each word of the address is printed as this machine reads it.
        let word = |at: usize| {
            let digits = ip.get(at * 8..at * 8 + 8)?;
            Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
        };
        let ip = if ip.len() == 8 {
            IpAddr::V4(Ipv4Addr::from(word(0)?))
        } else {
            let mut octets = [0; 16];
            for (at, chunk) in octets.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&word(at)?);
            }
            IpAddr::V6(Ipv6Addr::from(octets))
        };
        Some(Self { address: SocketAddr::new(ip, port), inode })
    }
}

/// The inodes of those listeners that the kernel would choose for a connection: bound to the very
/// address, else to all of its family, else (for IPv4) to all of both.
pub(super) fn chosen(listeners: &[Listener], address: SocketAddr) -> HashSet<u64> {
    let ip = address.ip().to_canonical();
    let fits: [&dyn Fn(IpAddr) -> bool; 3] = [
        &|bound| bound.to_canonical() == ip,
        &|bound| bound.is_unspecified() && bound.is_ipv4() == ip.is_ipv4(),
        &|bound| bound == IpAddr::V6(Ipv6Addr::UNSPECIFIED) && ip.is_ipv4(),
    ];
    let at_port = || listeners.iter().filter(|listener| listener.address.port() == address.port());
    fits.iter()
        .map(|fits| {
            let fitting = at_port().filter(|listener| fits(listener.address.ip()));
            fitting.map(|listener| listener.inode).collect::<HashSet<_>>()
        })
        .find(|inodes| !inodes.is_empty())
        .unwrap_or_default()
}

fn unix_listeners(text: &str, wanted: impl Fn(&str) -> bool) -> HashSet<u64> {
    let inode = |line: &str| {
        // The path is the eighth field and may have spaces in it.
        let (mut rest, mut fields) = (line, [""; 7]);
        for field in &mut fields {
            (*field, rest) = rest.trim_start().split_once(' ')?;
        }
        let flags = u32::from_str_radix(fields[3], 16).ok()?;
        let listens = flags & ACCEPTS_CONNECTIONS != 0;
        if listens && wanted(rest) { fields[6].parse().ok() } else { None }
    };
    text.lines().filter_map(inode).collect()
}

/// Who has one of these sockets open.
fn holders(inodes: &HashSet<u64>) -> Vec<u32> {
    if inodes.is_empty() {
        return Vec::new();
    }
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let own = std::process::id();
    let mut pids: Vec<u32> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|&pid| pid != own && holds(pid, inodes))
        .collect();
    pids.sort_unstable();
    if pids.len() > 1 {
        pids.retain(|&pid| pid != INIT);
    }
    pids
}

fn holds(pid: u32, inodes: &HashSet<u64>) -> bool {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    entries.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok()).any(|target| {
        let inode = target.to_str().and_then(|target| target.strip_prefix("socket:["));
        let inode = inode.and_then(|rest| rest.strip_suffix(']')?.parse().ok());
        inode.is_some_and(|inode: u64| inodes.contains(&inode))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(address: &str, inode: u64) -> Listener {
        Listener { address: address.parse().unwrap(), inode }
    }

    fn line(address: &str, state: &str) -> String {
        format!(
            "   0: {address} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000  1000   \
                  0 4711 1 0000000000000000 100 0 0 10 0"
        )
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn lines_of_the_kernel() {
        let parse = |address| Listener::parse(&line(address, "0A"));
        assert_eq!(parse("0100007F:1F90"), Some(listener("127.0.0.1:8080", 4711)));
        assert_eq!(
            parse("00000000000000000000000001000000:0050"),
            Some(listener("[::1]:80", 4711))
        );
        assert_eq!(
            parse("B80D0120000000000000000001000000:0050"),
            Some(listener("[2001:db8::1]:80", 4711))
        );
        assert_eq!(Listener::parse(&line("0100007F:1F90", "01")), None, "established");
        for text in ["", "  sl  local_address rem_address   st tx_queue rx_queue tr", "a b:c d 0A"]
        {
            assert_eq!(Listener::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn the_kernels_choice_among_listeners() {
        let all = [
            listener("127.0.0.1:80", 1),
            listener("0.0.0.0:80", 2),
            listener("[::]:80", 3),
            listener("[::ffff:127.0.0.2]:80", 4),
            listener("[::1]:80", 5),
            listener("127.0.0.1:81", 6),
            listener("127.0.0.1:80", 7),
            listener("[::]:82", 8),
        ];
        let chosen = |address: &str| {
            let mut inodes: Vec<_> = chosen(&all, address.parse().unwrap()).into_iter().collect();
            inodes.sort_unstable();
            inodes
        };
        assert_eq!(chosen("127.0.0.1:80"), [1, 7], "two that share the port");
        assert_eq!(chosen("127.0.0.2:80"), [4], "an IPv4 address in IPv6's clothes");
        assert_eq!(chosen("127.0.0.3:80"), [2]);
        assert_eq!(chosen("[::1]:80"), [5]);
        assert_eq!(chosen("[::2]:80"), [3]);
        assert_eq!(chosen("127.0.0.1:82"), [8], "dual-stack");
        assert_eq!(chosen("127.0.0.1:83"), [0; 0]);
    }

    #[test]
    fn unix_sockets_by_path() {
        let text = "Num       RefCount Protocol Flags    Type St Inode Path\n\
                    ffff: 00000002 00000000 00010000 0001 01 100 /run/a\n\
                    ffff: 00000003 00000000 00000000 0001 03 101 /run/a\n\
                    ffff: 00000002 00000000 00010000 0001 01 102 /run/a b\n\
                    ffff: 00000002 00000000 00010000 0001 01 103\n\
                    ffff: 00000002 00000000 00010000 0001 01 104 @hidden\n";
        let found = |wanted: &str| unix_listeners(text, |path| path == wanted);
        assert_eq!(found("/run/a"), HashSet::from([100]));
        assert_eq!(found("/run/a b"), HashSet::from([102]));
        assert_eq!(found("@hidden"), HashSet::from([104]));
        assert_eq!(found(""), HashSet::new());
    }

    #[test]
    fn which_addresses_are_of_this_machine() {
        for address in ["127.0.0.1:80", "127.9.9.9:80", "[::1]:80"] {
            assert!(is_local(address.parse().unwrap()), "{address}");
        }
        // Addresses for documentation, RFC 5737 and RFC 3849.
        for address in ["192.0.2.1:80", "[2001:db8::1]:80"] {
            assert!(!is_local(address.parse().unwrap()), "{address}");
            assert_eq!(find_server(address.parse().unwrap()), [0; 0]);
        }
    }

    #[test]
    fn a_holder_is_found_by_its_descriptor() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let text = fs::read_to_string("/proc/net/tcp").unwrap();
        let listeners: Vec<_> = text.lines().filter_map(Listener::parse).collect();
        let inodes = chosen(&listeners, address);
        assert_eq!(inodes.len(), 1, "{address}: {listeners:?}");
        assert!(holds(std::process::id(), &inodes));
        assert_eq!(find_server(address), [0; 0], "ringload itself is not the server");
        drop(socket);
        assert!(!holds(std::process::id(), &inodes));
    }
}
