//! Flags of connections: how they are opened, from where, and to where.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::parse::{
    parse_host_port, parse_positive_duration, parse_positive_rate, parse_resolve, parse_sources,
};
use crate::config::{ConnectConfig, Place};
use crate::url::Url;

/// How connections are opened.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Connections")]
pub struct ConnectFlags {
    /// Open at most so many connections per second, over all threads, those that replace others
    /// among them.
    #[arg(long, value_name = "RATE", value_parser = parse_positive_rate)]
    pub connect_rate: Option<f64>,

    /// Open the first connections evenly over this time.
    #[arg(long, value_name = "TIME", value_parser = parse_positive_duration,
          conflicts_with = "connect_rate")]
    pub ramp_up: Option<Duration>,

    /// Open the first connections all at once, also where the server's accept queue is too short for
    /// them, instead of as fast as it takes them: what is lost is asked for again after a second.
    #[arg(long, conflicts_with_all = ["connect_rate", "ramp_up"])]
    pub connect_burst: bool,

    /// Local addresses to connect from in turn, as 127.0.0.2-127.0.0.9,127.0.1.1: each has ports
    /// of its own, so more than 64k connections to one server are possible.
    #[arg(long, value_name = "ADDR|RANGE,...", value_parser = parse_sources,
          conflicts_with = "unix")]
    pub source: Option<Sources>,

    /// Connect to this unix socket instead of the URL's host; @NAME is an abstract one.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["connect_to", "resolve"])]
    pub unix: Option<PathBuf>,

    /// Connect to this host and port instead of the URL's, which stay in the request.
    #[arg(long, value_name = "HOST:PORT", value_parser = parse_host_port)]
    pub connect_to: Option<HostPort>,

    /// Use this address for that host and port, as curl does; may be repeated.
    #[arg(long, value_name = "HOST:PORT:ADDR", value_parser = parse_resolve)]
    pub resolve: Vec<Resolve>,
}

/// Local addresses, from a list of addresses and ranges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sources(pub Vec<IpAddr>);

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// A name or an address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// What a host and port stand for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolve {
    /// The host as in the URL.
    pub host: String,
    /// Where it is; the port is that of the URL, too.
    pub address: SocketAddr,
}

impl ConnectFlags {
    pub(super) fn config(self, url: &Url) -> ConnectConfig {
        let (host, port) = match &self.connect_to {
            Some(HostPort { host, port }) => (host.as_str(), *port),
            None => (url.host(), url.port()),
        };
        let given = self
            .resolve
            .iter()
            .find(|given| given.host.eq_ignore_ascii_case(host) && given.address.port() == port);
        let place = match (self.unix, given, &self.connect_to) {
            (Some(path), ..) => Place::Unix(path),
            (None, Some(given), _) => Place::Address(given.address),
            (None, None, Some(_)) => Place::Host(host.to_owned(), port),
            (None, None, None) => Place::Url,
        };
        ConnectConfig {
            rate: self.connect_rate,
            ramp_up: self.ramp_up,
            is_burst: self.connect_burst,
            sources: self.source.map_or_else(Vec::new, |sources| sources.0),
            place,
        }
    }
}
