//! Samples `TCP_INFO` of the run's connections, through `sock_diag(7)`.
//!
//! A connection may be a direct descriptor of a ring, which has no file descriptor to ask; the
//! kernel's own list of sockets has it all the same. The kernel picks those whose peer has the
//! server's port, writes them buffer by buffer as they are read, and stops when the reader does: so
//! a look costs what is looked at, not what there is. Sockets are listed by a hash of their
//! addresses, so that the first of the list are as good a choice as any.
//!
//! Measured with a table of 262,144 buckets: 0.6 ms of CPU time where there are 20,000 connections, and
//! 1 ms where there are 50, as then the whole table is searched in vain.
//!
//! What other programs of this network namespace have open to the server is seen, too.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};

use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6, IPPROTO_TCP};
use netlink_packet_sock_diag::inet::nlas::{Nla, TcpInfo};
use netlink_packet_sock_diag::inet::{
    ExtensionFlags, InetRequest, InetResponse, SocketId, StateFlags,
};
use ringbench_measure::Histogram;
use rustix::fd::OwnedFd;
use rustix::net::netlink::{SOCK_DIAG, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use crate::report::observed::TcpUse;

/// Connections looked at in a sample.
const MAX_PER_SAMPLE: usize = 128;
/// Connections whose segments and retransmissions are remembered.
const MAX_KNOWN: usize = 16 * 1024;
/// The kernel fills no larger buffer in a dump.
pub(super) const BUFFER_LEN: usize = 32 * 1024;

/// What is kept of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seen {
    rtt_us: u32,
    min_rtt_us: u32,
    segments_sent: u32,
    retransmits: u32,
}

impl Seen {
    fn of(info: &TcpInfo) -> Self {
        Self {
            rtt_us: info.rtt,
            min_rtt_us: info.min_rtt,
            segments_sent: info.segs_out,
            retransmits: info.total_retrans,
        }
    }
}

/// Watches the connections to an address.
#[derive(Debug)]
pub struct TcpWatch {
    peer: SocketAddr,
    buffer: Vec<u8>,
    rtt: Histogram,
    path_rtt: Histogram,
    /// By the kernel's cookie, which no other socket gets.
    known: HashMap<[u8; 8], Counted>,
}

/// Segments of a connection: at the beginning, and as last seen.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    base: Seen,
    last: Seen,
}

impl TcpWatch {
    /// Watches connections to `peer`; `None` where the kernel does not tell, or not to everybody.
    pub fn new(peer: SocketAddr) -> Option<Self> {
        let mut watch = Self {
            peer,
            buffer: vec![0; BUFFER_LEN],
            rtt: Histogram::new(),
            path_rtt: Histogram::new(),
            known: HashMap::new(),
        };
        watch.look().ok()?;
        Some(watch)
    }

    /// What was until now no longer counts.
    pub fn begin(&mut self) {
        self.rtt.reset();
        self.path_rtt.reset();
        self.known.values_mut().for_each(|counted| counted.base = counted.last);
    }

    /// Looks at some of the connections. One look that fails is one sample less.
    pub fn sample(&mut self) {
        if let Ok(found) = self.look() {
            found.into_iter().for_each(|(cookie, seen)| self.take(cookie, seen));
        }
    }

    fn take(&mut self, cookie: [u8; 8], seen: Seen) {
        self.rtt.record(u64::from(seen.rtt_us) * 1_000);
        // All ones until there was a round trip.
        if seen.min_rtt_us != u32::MAX {
            self.path_rtt.record(u64::from(seen.min_rtt_us) * 1_000);
        }
        if self.known.len() < MAX_KNOWN || self.known.contains_key(&cookie) {
            self.known.entry(cookie).or_default().last = seen;
        }
    }

    /// All samples from the beginning; `None` if there is none.
    pub fn total(&self) -> Option<TcpUse> {
        let percentile_us = |histogram: &Histogram, percentile| {
            if histogram.is_empty() { 0 } else { histogram.percentile_ns(percentile) / 1_000 }
        };
        let retransmits = |counted: &Counted| {
            u64::from(counted.last.retransmits.saturating_sub(counted.base.retransmits))
        };
        let segments = |counted: &Counted| {
            u64::from(counted.last.segments_sent.saturating_sub(counted.base.segments_sent))
        };
        let with_retransmits = self.known.values().filter(|counted| retransmits(counted) > 0);
        (!self.rtt.is_empty()).then(|| TcpUse {
            samples: self.rtt.count(),
            rtt_min_us: self.rtt.min_ns() / 1_000,
            rtt_p50_us: percentile_us(&self.rtt, 50.0),
            rtt_p99_us: percentile_us(&self.rtt, 99.0),
            rtt_max_us: self.rtt.max_ns() / 1_000,
            path_rtt_us: percentile_us(&self.path_rtt, 50.0),
            segments_sent: self.known.values().map(segments).sum(),
            retransmits: self.known.values().map(retransmits).sum(),
            connections_with_retransmits: with_retransmits.count() as u64,
        })
    }

    /// Up to [`MAX_PER_SAMPLE`] of the connections.
    fn look(&mut self) -> io::Result<Vec<([u8; 8], Seen)>> {
        let socket = open()?;
        let kernel = SocketAddrNetlink::new(0, 0);
        let mut socket_id = any(self.peer);
        socket_id.destination_port = self.peer.port();
        let request = request(socket_id, self.peer, StateFlags::ESTABLISHED);
        rustix::net::sendto(&socket, &request, SendFlags::empty(), &kernel)?;
        let mut found = Vec::new();
        loop {
            // The kernel answers before it returns from the call.
            let (len, _) = rustix::net::recv(&socket, &mut self.buffer[..], RecvFlags::DONTWAIT)?;
            let peer = self.peer.ip();
            let more = read_answers(&self.buffer[..len], |response| {
                found.extend(seen_of(response, peer));
            })?;
            if !more || found.len() >= MAX_PER_SAMPLE {
                found.truncate(MAX_PER_SAMPLE);
                return Ok(found);
            }
        }
    }
}

/// A socket of its own for each look: what the kernel has not written yet goes with it.
pub(super) fn open() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC;
    let protocol = Some(SOCK_DIAG);
    Ok(rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, protocol)?)
}

/// Any socket of the family of an address.
pub(super) fn any(address: SocketAddr) -> SocketId {
    if address.is_ipv4() { SocketId::new_v4() } else { SocketId::new_v6() }
}

/// Asks for all sockets of the family of `address` in these states that have what is named in
/// `socket_id`.
pub(super) fn request(socket_id: SocketId, address: SocketAddr, states: StateFlags) -> Vec<u8> {
    let family = if address.is_ipv4() { AF_INET } else { AF_INET6 };
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    let message = SockDiagMessage::InetRequest(InetRequest {
        family,
        protocol: IPPROTO_TCP,
        extensions: ExtensionFlags::INFO,
        states,
        socket_id,
    });
    let mut packet = NetlinkMessage::new(header, message.into());
    packet.finalize();
    let mut bytes = vec![0; packet.buffer_len()];
    packet.serialize(&mut bytes);
    bytes
}

/// What a connection has to say, if it leads to `peer`.
fn seen_of(response: &InetResponse, peer: IpAddr) -> Option<([u8; 8], Seen)> {
    let id = &response.header.socket_id;
    let info = response.nlas.iter().find_map(|nla| match nla {
        Nla::TcpInfo(info) => Some(Seen::of(info)),
        _ => None,
    });
    let leads_there = id.destination_address.to_canonical() == peer.to_canonical();
    info.filter(|_| leads_there).map(|seen| (id.cookie, seen))
}

/// Reads what the kernel wrote; whether there is more to come.
pub(super) fn read_answers(
    mut bytes: &[u8],
    mut take: impl FnMut(&InetResponse),
) -> io::Result<bool> {
    let malformed = || io::Error::from(io::ErrorKind::InvalidData);
    while !bytes.is_empty() {
        let message = NetlinkMessage::<SockDiagMessage>::deserialize(bytes);
        let message = message.map_err(|_| malformed())?;
        match message.payload {
            NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(response)) => {
                take(&response);
            }
            NetlinkPayload::Done(_) => return Ok(false),
            NetlinkPayload::Error(error) => return Err(error.to_io()),
            _ => {}
        }
        // Messages begin at multiples of four.
        let len = (message.header.length as usize).next_multiple_of(4);
        bytes = bytes.get(len..).unwrap_or_default();
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    fn watch() -> TcpWatch {
        TcpWatch {
            peer: "127.0.0.1:1".parse().unwrap(),
            buffer: Vec::new(),
            rtt: Histogram::new(),
            path_rtt: Histogram::new(),
            known: HashMap::new(),
        }
    }

    fn seen(rtt_us: u32, segments_sent: u32, retransmits: u32) -> Seen {
        Seen { rtt_us, min_rtt_us: rtt_us / 2, segments_sent, retransmits }
    }

    #[test]
    fn connections_count_as_last_seen() {
        let mut watch = watch();
        assert_eq!(watch.total(), None);
        watch.take([1; 8], seen(5_000, 10, 4));
        watch.begin();
        assert_eq!(watch.total(), None);
        for (rtt_us, segments, retransmits) in [(100, 20, 5), (300, 60, 6)] {
            watch.take([1; 8], seen(rtt_us, segments, retransmits));
        }
        watch.take([2; 8], seen(200, 7, 0));
        watch.take([3; 8], Seen { min_rtt_us: u32::MAX, ..seen(200, 3, 1) });
        let total = watch.total().unwrap();
        assert_eq!((total.samples, total.segments_sent, total.retransmits), (4, 60, 3));
        assert_eq!(total.connections_with_retransmits, 2);
        assert_eq!((total.rtt_min_us, total.rtt_max_us), (100, 300));
        assert_eq!((total.rtt_p50_us, total.path_rtt_us), (200, 100));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut watch = watch();
        for cookie in 0..MAX_KNOWN as u64 + 10 {
            watch.take(cookie.to_ne_bytes(), seen(100, 1, 0));
        }
        watch.take([0; 8], seen(100, 9, 0));
        let total = watch.total().unwrap();
        assert_eq!(total.samples, MAX_KNOWN as u64 + 11);
        assert_eq!(total.segments_sent, MAX_KNOWN as u64 + 8);
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        for bytes in [&[1; 7][..], &[0; 16], &[0xff; 40]] {
            assert!(read_answers(bytes, |_| ()).is_err(), "{bytes:?}");
        }
    }

    /// Where the kernel has no `inet_diag` there is nothing to see, and no error.
    fn connections(address: &str) -> Option<usize> {
        let listener = TcpListener::bind(address).ok()?;
        let peer = listener.local_addr().unwrap();
        let mut watch = TcpWatch::new(peer)?;
        assert_eq!(watch.look().unwrap(), [], "nobody is connected yet");
        let open = || TcpStream::connect(peer).unwrap();
        let _connections: Vec<TcpStream> = (0..3).map(|_| open()).collect();
        watch.sample();
        let total = watch.total().unwrap();
        assert!(total.path_rtt_us < 1_000_000 && total.segments_sent > 0, "{total:?}");
        let elsewhere = SocketAddr::new("127.0.0.9".parse().unwrap(), peer.port());
        assert_eq!(TcpWatch::new(elsewhere).unwrap().look().unwrap(), []);
        Some(total.samples as usize)
    }

    #[test]
    fn connections_of_either_family_are_seen() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            assert!(connections(address).is_none_or(|count| count == 3), "{address}");
        }
    }

    #[test]
    fn a_look_is_bounded() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = listener.local_addr().unwrap();
        let pairs: Vec<_> = (0..MAX_PER_SAMPLE + 40)
            .map(|_| (TcpStream::connect(peer).unwrap(), listener.accept().unwrap()))
            .collect();
        let Some(mut watch) = TcpWatch::new(peer) else { return };
        assert_eq!(watch.look().unwrap().len(), MAX_PER_SAMPLE);
        drop(pairs);
    }
}
