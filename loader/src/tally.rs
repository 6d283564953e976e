//! What a shard writes down: its own histogram and counters, merged with the others' at the end.

use std::fmt;
use std::io;
use std::time::Duration;

use ringbench_http::ClientError;
use ringbench_measure::{Counters, Histogram, RateSampler};

use crate::connection::{Sink, Times};
use crate::ledger::Closes;

/// All that one shard has measured.
#[derive(Debug)]
pub struct Tally {
    /// Latencies of complete responses, less those handed over with an interval.
    pub latency: Histogram,
    /// What is counted in every load generator.
    pub counters: Counters,
    /// What became of requests.
    pub ledger: Ledger,
    /// What became of connections.
    pub closes: Closes,
    /// What an open loop measures beside latencies.
    pub open_loop: Option<Box<OpenTally>>,
    /// The "Req/Sec" row.
    pub rates: RateSampler,
    /// When the shard was done; `None` if it never was.
    pub ended_ns: Option<u64>,
    /// CPU time of the shard's thread when the load began.
    pub cpu_before_ns: u64,
    /// What it used from then until it was done; `None` if it never was.
    pub cpu_ns: Option<u64>,
    /// The first thing that went wrong, and when.
    pub first_trouble: Option<(u64, Trouble)>,
    /// Whether the run was given up because nothing came any more.
    pub gave_up: bool,
}

/// What an open loop measures beside latencies, which are response times there.
#[derive(Debug, Default)]
pub struct OpenTally {
    /// From the actual send to the end of the response.
    pub service_time: Histogram,
    /// From the intended start to the actual send.
    pub send_lag: Histogram,
    /// The same of requests for which a connection was there when they were due.
    pub own_lag: Histogram,
    /// Requests that were never sent, as their deadline had passed.
    pub shed: u64,
    /// Requests for which no connection was there when they were due.
    pub waited: u64,
    /// Requests that were due at the end of the run and had not been sent.
    pub unsent: u64,
    /// How long the oldest of them had been waiting.
    pub oldest_unsent_ns: u64,
}

impl OpenTally {
    /// A burst of `requests` is handed to the kernel.
    #[inline]
    pub fn sent(&mut self, times: Times, requests: u32) {
        let lag_ns = times.sent_ns.saturating_sub(times.intended_ns);
        let requests = u64::from(requests);
        self.send_lag.record_n(lag_ns, requests);
        if times.waited {
            self.waited += requests;
        } else {
            self.own_lag.record_n(lag_ns, requests);
        }
    }

    /// Adds all of `other`. Of the oldest requests the older one counts.
    pub fn merge(&mut self, other: &Self) {
        self.service_time.merge(&other.service_time);
        self.send_lag.merge(&other.send_lag);
        self.own_lag.merge(&other.own_lag);
        self.shed += other.shed;
        self.waited += other.waited;
        self.unsent += other.unsent;
        self.oldest_unsent_ns = self.oldest_unsent_ns.max(other.oldest_unsent_ns);
    }
}

/// What became of requests that were not answered. All that were sent are answered, timed out, lost
/// or in flight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// The most connections that were open at once.
    pub peak: u64,
    /// Connections that gave a response, each counted once.
    pub answered: u64,
    /// When the shard had all its connections open for the first time.
    pub all_open_ns: Option<u64>,
    /// Requests handed over for sending.
    pub sent: u64,
    /// Requests that went down with their connection.
    pub lost: u64,
    /// Requests that were neither answered nor given up when the run ended: no errors.
    pub in_flight: u64,
    /// How long the oldest of those had been waiting.
    pub oldest_in_flight_ns: u64,
}

impl Ledger {
    /// Adds all of `other`. Peaks add up: under load all shards are at theirs together. Of the
    /// oldest requests the older one counts, and all are open when the last shard's are.
    pub fn merge(&mut self, other: &Self) {
        self.peak += other.peak;
        self.answered += other.answered;
        self.all_open_ns = self.all_open_ns.zip(other.all_open_ns).map(|(a, b)| a.max(b));
        self.sent += other.sent;
        self.lost += other.lost;
        self.in_flight += other.in_flight;
        self.oldest_in_flight_ns = self.oldest_in_flight_ns.max(other.oldest_in_flight_ns);
    }
}

/// Writes responses into a tally: the time from when their request was sent, and in an open loop
/// from when it was due.
pub struct Recorder<'t> {
    /// Where to.
    pub tally: &'t mut Tally,
    /// When the bytes that are being read were picked up.
    pub now_ns: u64,
}

impl Sink for Recorder<'_> {
    #[inline]
    fn end(&mut self, status: u16, times: Times) {
        let service_ns = self.now_ns.saturating_sub(times.sent_ns);
        match &mut self.tally.open_loop {
            None => self.tally.response(status, service_ns),
            Some(open_loop) => {
                open_loop.service_time.record(service_ns);
                self.tally.response(status, self.now_ns.saturating_sub(times.intended_ns));
            }
        }
    }
}

/// A failure that counts as an error of the run.
#[derive(Debug)]
pub enum Trouble {
    /// The connection could not be made.
    Connect(io::Error),
    /// The connection did not come to be in time.
    ConnectTimeout,
    /// Reading failed.
    Receive(io::Error),
    /// Sending failed.
    Send(io::Error),
    /// The connection ended before a response did.
    Truncated,
    /// What came is not a response.
    Malformed(ClientError),
    /// A response did not come in time.
    Timeout,
}

impl Trouble {
    /// What happened, for people.
    pub fn describe(&self, address: &str, timeout: Duration) -> String {
        match self {
            Self::Connect(error) => cannot_connect(address, error),
            Self::ConnectTimeout => {
                format!("cannot connect to {address}: no answer in {timeout:?}")
            }
            Self::Receive(error) => format!("reading from {address} failed: {}", reason(error)),
            Self::Send(error) => format!("sending to {address} failed: {}", reason(error)),
            Self::Truncated => {
                format!("{address} closed the connection before its response was complete")
            }
            Self::Malformed(error) => format!("{address} gave no valid HTTP response: {error}"),
            Self::Timeout => format!("{address} gave no response in {timeout:?}"),
        }
    }
}

/// Says that there is no connection to `address`, why, and what would help.
pub fn cannot_connect(address: impl fmt::Display, error: &io::Error) -> String {
    let hint = match error.kind() {
        io::ErrorKind::AddrNotAvailable => {
            " (no local port is free: widen net.ipv4.ip_local_port_range, lower -c, or give \
             connections more requests before they are closed)"
        }
        _ => "",
    };
    format!("cannot connect to {address}: {}{hint}", reason(error))
}

/// The reason alone, without the number of the error.
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let (text, _number) = text.split_once(" (os error").unwrap_or((&text, ""));
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

impl Tally {
    /// Nothing yet.
    pub fn new() -> Self {
        Self {
            latency: Histogram::new(),
            counters: Counters::default(),
            ledger: Ledger::default(),
            closes: Closes::new(),
            open_loop: None,
            rates: RateSampler::new(0),
            ended_ns: None,
            cpu_before_ns: 0,
            cpu_ns: None,
            first_trouble: None,
            gave_up: false,
        }
    }

    /// Takes one complete response in.
    #[inline]
    pub fn response(&mut self, status: u16, latency_ns: u64) {
        self.latency.record(latency_ns);
        self.counters.count_response(status);
    }

    /// Counts a failure under its kind, `requests` being those that it cost.
    #[cold]
    pub fn trouble(&mut self, now_ns: u64, trouble: Trouble, requests: u32) {
        let errors = &mut self.counters.errors;
        match &trouble {
            Trouble::Connect(_) | Trouble::ConnectTimeout => errors.connect += 1,
            Trouble::Receive(_) | Trouble::Truncated | Trouble::Malformed(_) => errors.read += 1,
            Trouble::Send(_) => errors.write += 1,
            // Each request timed out on its own; the other failures are the connection's.
            Trouble::Timeout => errors.timeout += u64::from(requests),
        }
        if !matches!(trouble, Trouble::Timeout) {
            self.ledger.lost += u64::from(requests);
        }
        self.first_trouble.get_or_insert((now_ns, trouble));
    }
}

impl Default for Tally {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_counted_by_kind_and_the_first_is_kept() {
        let mut tally = Tally::new();
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        tally.trouble(5, Trouble::Truncated, 3);
        tally.trouble(6, Trouble::Timeout, 4);
        tally.trouble(7, Trouble::Connect(refused()), 0);
        tally.trouble(8, Trouble::Send(refused()), 1);
        let errors = tally.counters.errors;
        assert_eq!((errors.connect, errors.read, errors.write, errors.timeout), (1, 1, 1, 4));
        assert_eq!(tally.ledger.lost, 4);
        assert!(matches!(tally.first_trouble, Some((5, Trouble::Truncated))));
    }

    #[test]
    fn troubles_read_well() {
        let address = "127.0.0.1:1";
        let text = |trouble: Trouble| trouble.describe(address, Duration::from_secs(2));
        let refused = io::Error::from_raw_os_error(111);
        assert_eq!(
            text(Trouble::Connect(refused)),
            "cannot connect to 127.0.0.1:1: connection refused"
        );
        assert_eq!(text(Trouble::Timeout), "127.0.0.1:1 gave no response in 2s");
        let ports = io::Error::from(io::ErrorKind::AddrNotAvailable);
        assert!(text(Trouble::Connect(ports)).contains("ip_local_port_range"));
    }
}
