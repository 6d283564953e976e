//! The listening sockets: opened here, or handed over by whoever started this process.

use std::env;
use std::ffi::OsString;
use std::io;
use std::net::{SocketAddr, TcpListener};

use listenfd::ListenFd;
use ringbench_engine::{EngineError, configure, listen};
use socket2::{Domain, Protocol, Socket, Type};

use crate::Config;

/// The listening sockets of all shards.
#[derive(Debug)]
pub struct Listeners {
    /// Those of each shard.
    pub(crate) per_shard: Vec<Vec<TcpListener>>,
    /// Where they listen.
    pub(crate) addresses: Vec<SocketAddr>,
    /// Whether they were handed over, so that a predecessor may still be there.
    pub(crate) handed_over: bool,
}

impl Listeners {
    /// Opens those that `config` asks for.
    ///
    /// # Errors
    ///
    /// When an address cannot be listened on.
    pub fn open(config: &Config) -> Result<Self, EngineError> {
        let shards = config.engine.shards;
        let mut opened =
            Self { per_shard: empty(shards), addresses: Vec::new(), handed_over: false };
        if !config.reuse_port {
            // All before any is opened: our own listeners would be in the way.
            config.listen.iter().try_for_each(|&address| check_free(address))?;
        }
        for &address in &config.listen {
            let failed = |errno| EngineError::Listen { address, errno };
            let listeners = listen(address, &config.listen_options, shards)?;
            opened.addresses.push(listeners[0].local_addr().map_err(failed)?);
            for (own, listener) in opened.per_shard.iter_mut().zip(listeners) {
                own.push(listener);
            }
        }
        Ok(opened)
    }

    /// Takes those that were handed over: by systemd's socket activation (`LISTEN_FDS`, see
    /// `sd_listen_fds(3)`), or by a ringserve that this one succeeds. `None` if there are none.
    ///
    /// # Errors
    ///
    /// When `LISTEN_FDS` or `LISTEN_PID` is no number, when one of the sockets is no listening TCP
    /// socket, or not enough descriptors are left.
    pub fn inherited(shards: usize) -> io::Result<Option<Self>> {
        check_variables(|name| env::var_os(name), std::process::id())?;
        let mut handed_over = ListenFd::from_env();
        let mut sockets = Vec::new();
        for position in 0..handed_over.len() {
            sockets.extend(handed_over.take_tcp_listener(position)?);
        }
        if sockets.is_empty() { Ok(None) } else { Self::shared(&sockets, shards).map(Some) }
    }

    /// Lets each shard accept from one of the sockets of each address: from its own where there are
    /// enough, else several from the same.
    fn shared(sockets: &[TcpListener], shards: usize) -> io::Result<Self> {
        let mut by_address: Vec<(SocketAddr, Vec<&TcpListener>)> = Vec::new();
        for socket in sockets {
            let address = socket.local_addr()?;
            match by_address.iter_mut().find(|(known, _)| *known == address) {
                Some((_, group)) => group.push(socket),
                None => by_address.push((address, vec![socket])),
            }
        }
        let mut per_shard = empty(shards);
        for (_, group) in &by_address {
            // With more sockets than shards, a shard has several: none may be left unheard.
            for turn in 0..shards.max(group.len()) {
                let socket = group[turn % group.len()].try_clone()?;
                per_shard[turn % shards].push(socket);
            }
        }
        let addresses = by_address.into_iter().map(|(address, _)| address).collect();
        Ok(Self { per_shard, addresses, handed_over: true })
    }

    /// With the TCP options of `config`, which connections inherit from a listener. Address and
    /// backlog were chosen by whoever opened it.
    ///
    /// # Errors
    ///
    /// When an option cannot be set.
    pub fn configured(self, config: &Config) -> Result<Self, EngineError> {
        for listener in self.per_shard.iter().flatten() {
            configure(listener, &config.listen_options)?;
        }
        Ok(self)
    }

    /// A second descriptor of each socket, to be handed over. While it is open its socket listens,
    /// whoever accepts from it or does not.
    ///
    /// # Errors
    ///
    /// When not enough descriptors are left.
    pub fn duplicates(&self) -> io::Result<Vec<TcpListener>> {
        self.per_shard.iter().flatten().map(TcpListener::try_clone).collect()
    }
}

/// Fails where a number is expected and something else is there, which `listenfd` takes for nothing:
/// the server would then listen elsewhere than whoever started it believes.
fn check_variables(variable: impl Fn(&str) -> Option<OsString>, own_pid: u32) -> io::Result<()> {
    let wrong = |name, value: &OsString, what| {
        let why = format!("{name} is \"{}\", and must be {what}", value.display());
        Err(io::Error::new(io::ErrorKind::InvalidInput, why))
    };
    let (Some(count), pid) = (variable("LISTEN_FDS"), variable("LISTEN_PID")) else {
        return Ok(());
    };
    if let Some(pid) = pid.filter(|pid| !pid.is_empty()) {
        match pid.to_str().and_then(|text| text.parse::<u32>().ok()) {
            None => return wrong("LISTEN_PID", &pid, "the id of the process they are for"),
            // They are for somebody else.
            Some(pid) if pid != own_pid => return Ok(()),
            Some(_) => {}
        }
    }
    match count.to_str().and_then(|text| text.parse::<u16>().ok()) {
        None => wrong("LISTEN_FDS", &count, "how many sockets are handed over, at most 65535"),
        Some(_) => Ok(()),
    }
}

fn empty(shards: usize) -> Vec<Vec<TcpListener>> {
    (0..shards).map(|_| Vec::new()).collect()
}

/// Fails if somebody listens on `address` already. The shards share their port by `SO_REUSEPORT`,
/// and so would a second server of the same user, unnoticed: each would get some of the
/// connections. The probe is bound like a listener but without that option, and never listens, so
/// that no client can reach it.
pub(crate) fn check_free(address: SocketAddr) -> Result<(), EngineError> {
    let probe = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        // Connections of an earlier server in TIME_WAIT are no obstacle.
        socket.set_reuse_address(true)?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.bind(&address.into())
    };
    if address.port() == 0 {
        return Ok(());
    }
    probe().map_err(|errno| EngineError::Listen { address, errno })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sockets(counts: &[usize]) -> Vec<TcpListener> {
        counts
            .iter()
            .flat_map(|&count| {
                let first = TcpListener::bind("127.0.0.1:0").unwrap();
                let more: Vec<_> = (1..count).map(|_| first.try_clone().unwrap()).collect();
                std::iter::once(first).chain(more)
            })
            .collect()
    }

    #[test]
    fn what_is_no_number_of_sockets_is_not_overlooked() {
        let check = |count: Option<&str>, pid: Option<&str>| {
            let variable = |name: &str| match name {
                "LISTEN_FDS" => count.map(OsString::from),
                "LISTEN_PID" => pid.map(OsString::from),
                _ => None,
            };
            check_variables(variable, 42).map_err(|error| error.to_string())
        };
        for (count, pid) in [
            (None, None),
            (None, Some("x")),
            (Some("0"), None),
            (Some("2"), Some("42")),
            (Some("2"), Some("")),
            (Some("two"), Some("41")),
        ] {
            assert_eq!(check(count, pid), Ok(()), "{count:?}, {pid:?}");
        }
        for count in ["two", "", "-1", "1 ", "65536"] {
            for pid in [None, Some("42")] {
                let error = check(Some(count), pid).unwrap_err();
                assert!(error.contains(&format!("LISTEN_FDS is {count:?}")), "{error}");
            }
        }
        let error = check(Some("1"), Some("self")).unwrap_err();
        assert!(error.starts_with("LISTEN_PID is \"self\""), "{error}");
    }

    #[test]
    fn every_shard_hears_every_address_and_no_socket_is_left_out() {
        for (counts, shards, expected) in [
            (&[1][..], 3, vec![1, 1, 1]),
            (&[3], 3, vec![1, 1, 1]),
            (&[2, 1], 2, vec![2, 2]),
            (&[5], 2, vec![3, 2]),
        ] {
            let listeners = Listeners::shared(&sockets(counts), shards).unwrap();
            let got: Vec<usize> = listeners.per_shard.iter().map(Vec::len).collect();
            assert_eq!(got, expected);
            assert_eq!(listeners.addresses.len(), counts.len());
            assert_eq!(listeners.duplicates().unwrap().len(), expected.iter().sum::<usize>());
        }
    }
}
