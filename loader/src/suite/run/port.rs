//! Ports for servers: each run has one of its own, so that what is left of the connections of the run
//! before cannot be in its way.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener};

/// Ports that this takes begin here.
const FIRST: u16 = 10_000;
/// What the kernel gives to clients begins here where nobody says: ports below it are free of them.
const EPHEMERAL: u16 = 32_768;
/// So many ports are tried at the most.
const TRIES: u16 = 2_000;

/// Gives out ports, one after the other.
#[derive(Debug)]
pub(super) struct Ports {
    first: u16,
    count: u16,
    next: u16,
}

impl Ports {
    /// Below those that the kernel gives to clients, from a place that differs between programs.
    pub(super) fn new() -> Self {
        let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok();
        let ephemeral =
            range.as_deref().and_then(|text| text.split_whitespace().next()?.parse().ok());
        Self::below(ephemeral.unwrap_or(EPHEMERAL), std::process::id())
    }

    fn below(ephemeral: u16, place: u32) -> Self {
        // A tuned machine may give nearly all ports to clients: then there is no better place.
        let end = if ephemeral > FIRST + TRIES { ephemeral } else { EPHEMERAL };
        let count = end - FIRST;
        // Neighbours in time are far from each other.
        let next = place.wrapping_mul(2_654_435_761) % u32::from(count);
        Self { first: FIRST, count, next: next as u16 }
    }

    /// A port at which nobody listens.
    pub(super) fn next(&mut self) -> io::Result<u16> {
        let mut refused = None;
        for _ in 0..TRIES {
            let port = self.first + self.next;
            self.next = (self.next + 1) % self.count;
            match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
                Ok(_) => return Ok(port),
                Err(error) => refused = Some(error),
            }
        }
        Err(refused.unwrap_or_else(|| io::Error::other("no port was tried")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_free_and_differ() {
        let mut ports = Ports::new();
        let first = ports.next().expect("there is one");
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, first + 1));
        let second = ports.next().expect("there is one");
        assert!(second != first, "{first}");
        assert!(taken.is_err() || second != first + 1, "{second} is taken");
    }

    #[test]
    fn ports_stay_below_those_of_clients() {
        for (ephemeral, place, end) in
            [(32_768, 7, 32_768), (1_024, 8, EPHEMERAL), (15_000, 9, 15_000)]
        {
            let ports = Ports::below(ephemeral, place);
            assert_eq!(ports.first + ports.count, end);
            assert!(ports.next < ports.count);
        }
        assert_ne!(Ports::below(32_768, 100).next, Ports::below(32_768, 101).next);
    }
}
