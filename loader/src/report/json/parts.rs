//! The small objects of the report, each made from a part of a [`RunReport`] and, where it holds
//! more than what follows from others, turned back into it.

use ringbench_measure::{Errors, Histogram, Packed, RateSamples, Summary, UnpackError};
use serde::{Deserialize, Serialize};

use super::{ReadError, rounded};
use crate::ledger::{CloseCause, CloseLine};
use crate::report::observed::{MachineUse, ServerUse, TcpUse};
use crate::report::{EngineCounts, Extent, LoadMachine, OpenLoop, RunReport, Unanswered};

/// Failures by kind.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(remote = "Errors")]
pub(in crate::report) struct ErrorCounts {
    connect: u64,
    read: u64,
    write: u64,
    timeout: u64,
    status: u64,
}

/// What the run was to last; the one that was not asked for is null.
#[derive(Serialize, Deserialize)]
pub(super) struct Requested {
    duration_us: Option<u64>,
    requests: Option<u64>,
}

impl Requested {
    pub(super) fn of(extent: Extent) -> Self {
        Self {
            duration_us: extent.duration().map(|time| time.as_micros() as u64),
            requests: extent.requests(),
        }
    }

    pub(super) fn restore(&self) -> Extent {
        let duration = self.duration_us.map(std::time::Duration::from_micros);
        match (self.requests, duration) {
            (Some(requests), Some(time)) => Extent::RequestsWithin(requests, time),
            (Some(requests), None) => Extent::Requests(requests),
            (None, time) => Extent::Time(time.unwrap_or_default()),
        }
    }
}

/// The figures of a histogram, in microseconds. They follow from the histogram itself.
#[derive(Serialize, Deserialize)]
pub(super) struct Latency {
    min: f64,
    mean: f64,
    stdev: f64,
    p50: f64,
    p75: f64,
    p90: f64,
    p99: f64,
    p999: f64,
    p9999: f64,
    max: f64,
    count: u64,
}

impl Latency {
    pub(super) fn of(histogram: &Histogram) -> Self {
        let Summary { min, mean, stdev, p50, p75, p90, p99, p999, p9999, max, count } =
            histogram.summary();
        let [min, mean, stdev] = [min, mean, stdev].map(rounded);
        Self { min, mean, stdev, p50, p75, p90, p99, p999, p9999, max, count }
    }
}

/// What the schedule of an open loop came to.
#[derive(Serialize, Deserialize)]
pub(super) struct Scheduled {
    pub(super) schedule: String,
    pub(super) rate_asked: f64,
    pub(super) due: u64,
    pub(super) shed: u64,
    pub(super) unsent: u64,
    pub(super) oldest_unsent_us: u64,
    pub(super) waited_for_connection: u64,
}

impl Scheduled {
    pub(super) fn of(open: &OpenLoop) -> Self {
        Self {
            schedule: open.schedule.clone(),
            rate_asked: open.rate_asked,
            due: open.due,
            shed: open.shed,
            unsent: open.unsent,
            oldest_unsent_us: open.oldest_unsent_us,
            waited_for_connection: open.waited_for_connection,
        }
    }
}

/// Request rates of a shard in 100 ms. They follow from their histogram.
#[derive(Serialize, Deserialize)]
pub(super) struct Rates {
    mean: f64,
    stdev: f64,
    max: u64,
    within_stdev_percent: f64,
    count: u64,
}

impl Rates {
    pub(super) fn of(rates: &RateSamples) -> Self {
        let moments = rates.moments();
        Self {
            mean: rounded(moments.mean()),
            stdev: rounded(moments.stdev()),
            max: moments.max(),
            within_stdev_percent: rounded(rates.within_stdev_percent()),
            count: moments.count(),
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct Connections {
    pub(super) wanted: u64,
    pub(super) peak: u64,
    pub(super) opened: u64,
    pub(super) closed: u64,
    /// Reports of before it was counted have none.
    #[serde(default)]
    pub(super) answered: u64,
    /// From the start until all wanted were open at once; null if they never were.
    pub(super) all_open_us: Option<u64>,
}

/// One line of the ledger.
#[derive(Serialize, Deserialize)]
pub(super) struct Close {
    cause: String,
    errno: Option<String>,
    count: u64,
}

impl Close {
    pub(super) fn of(line: &CloseLine) -> Self {
        Self { cause: line.cause.name().to_owned(), errno: line.errno.clone(), count: line.count }
    }

    pub(super) fn restore(self) -> Result<CloseLine, ReadError> {
        match CloseCause::from_name(&self.cause) {
            Some(cause) => Ok(CloseLine { cause, errno: self.errno, count: self.count }),
            None => Err(ReadError::Cause(self.cause)),
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct Statuses {
    #[serde(rename = "1xx")]
    informational: u64,
    #[serde(rename = "2xx")]
    success: u64,
    #[serde(rename = "3xx")]
    redirection: u64,
    #[serde(rename = "4xx")]
    client_error: u64,
    #[serde(rename = "5xx")]
    server_error: u64,
}

impl Statuses {
    pub(super) fn of(classes: [u64; 5]) -> Self {
        let [informational, success, redirection, client_error, server_error] = classes;
        Self { informational, success, redirection, client_error, server_error }
    }

    pub(super) fn restore(&self) -> [u64; 5] {
        [self.informational, self.success, self.redirection, self.client_error, self.server_error]
    }
}

/// What was in flight at the end.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Unanswered")]
pub(super) struct Waiting {
    count: u64,
    oldest_us: u64,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Loader {
    cpu_us_per_request: Option<f64>,
    pub(super) cpu_ns: Option<u64>,
    pub(super) shard_core_shares: Vec<f64>,
    #[serde(default)]
    pub(super) shard_run_delay_shares: Vec<f64>,
}

impl Loader {
    pub(super) fn of(report: &RunReport) -> Self {
        Self {
            cpu_us_per_request: report.cpu_us_per_request().map(rounded),
            cpu_ns: report.loader_cpu_ns,
            shard_core_shares: report.shard_core_shares.clone(),
            shard_run_delay_shares: report.shard_run_delay_shares.clone(),
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "EngineCounts")]
pub(super) struct Engine {
    enters: u64,
    completions: u64,
    enobufs: u64,
    cq_overflows: u64,
}

/// The server's process.
#[derive(Serialize, Deserialize)]
pub(super) struct Server {
    pid: u32,
    name: String,
    processes: u64,
    allowed_cores: u64,
    cpu_us_per_request: Option<f64>,
    core_share: f64,
    busiest_thread_share: f64,
    cpu_ns: u64,
    wall_ns: u64,
    run_delay_ns: u64,
    rss_max_bytes: u64,
    threads: u64,
    voluntary_switches: u64,
    involuntary_switches: u64,
}

impl Server {
    pub(super) fn of(report: &RunReport) -> Option<Self> {
        let server = report.observed.server.as_ref()?;
        Some(Self {
            pid: server.pid,
            name: server.name.clone(),
            processes: server.processes,
            allowed_cores: server.allowed_cores,
            cpu_us_per_request: report.server_cpu_us_per_request().map(rounded),
            core_share: rounded(server.core_share()),
            busiest_thread_share: server.busiest_thread_share,
            cpu_ns: server.cpu_ns,
            wall_ns: server.wall_ns,
            run_delay_ns: server.run_delay_ns,
            rss_max_bytes: server.rss_max_bytes,
            threads: server.threads,
            voluntary_switches: server.voluntary_switches,
            involuntary_switches: server.involuntary_switches,
        })
    }

    pub(super) fn restore(self) -> ServerUse {
        ServerUse {
            pid: self.pid,
            name: self.name,
            processes: self.processes,
            allowed_cores: self.allowed_cores,
            cpu_ns: self.cpu_ns,
            wall_ns: self.wall_ns,
            busiest_thread_share: self.busiest_thread_share,
            run_delay_ns: self.run_delay_ns,
            rss_max_bytes: self.rss_max_bytes,
            threads: self.threads,
            voluntary_switches: self.voluntary_switches,
            involuntary_switches: self.involuntary_switches,
        }
    }
}

/// The machine, in shares of all its cores.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(in crate::report) struct Machine {
    cores: u64,
    steal_share: f64,
    softirq_share: f64,
    idle_share: f64,
}

impl From<MachineUse> for Machine {
    fn from(MachineUse { cores, steal, softirq, idle }: MachineUse) -> Self {
        Self { cores, steal_share: steal, softirq_share: softirq, idle_share: idle }
    }
}

impl From<Machine> for MachineUse {
    fn from(machine: Machine) -> Self {
        let Machine { cores, steal_share, softirq_share, idle_share } = machine;
        Self { cores, steal: steal_share, softirq: softirq_share, idle: idle_share }
    }
}

/// Samples of `TCP_INFO`.
#[derive(Serialize, Deserialize)]
pub(super) struct Tcp {
    samples: u64,
    rtt_us: RoundTrips,
    path_rtt_us: u64,
    segments_sent: u64,
    retransmits: u64,
    connections_with_retransmits: u64,
}

#[derive(Serialize, Deserialize)]
struct RoundTrips {
    min: u64,
    p50: u64,
    p99: u64,
    max: u64,
}

impl From<TcpUse> for Tcp {
    fn from(tcp: TcpUse) -> Self {
        Self {
            samples: tcp.samples,
            rtt_us: RoundTrips {
                min: tcp.rtt_min_us,
                p50: tcp.rtt_p50_us,
                p99: tcp.rtt_p99_us,
                max: tcp.rtt_max_us,
            },
            path_rtt_us: tcp.path_rtt_us,
            segments_sent: tcp.segments_sent,
            retransmits: tcp.retransmits,
            connections_with_retransmits: tcp.connections_with_retransmits,
        }
    }
}

impl From<Tcp> for TcpUse {
    fn from(tcp: Tcp) -> Self {
        Self {
            samples: tcp.samples,
            rtt_min_us: tcp.rtt_us.min,
            rtt_p50_us: tcp.rtt_us.p50,
            rtt_p99_us: tcp.rtt_us.p99,
            rtt_max_us: tcp.rtt_us.max,
            path_rtt_us: tcp.path_rtt_us,
            segments_sent: tcp.segments_sent,
            retransmits: tcp.retransmits,
            connections_with_retransmits: tcp.connections_with_retransmits,
        }
    }
}

/// One of several load machines.
#[derive(Serialize, Deserialize)]
pub(super) struct OneOfSeveral {
    name: String,
    started_unix_ms: u64,
    duration_us: u64,
    shards: u64,
    connections_wanted: u64,
    requests: u64,
    requests_per_sec: f64,
    bytes_read: u64,
    #[serde(with = "ErrorCounts")]
    errors: Errors,
}

impl OneOfSeveral {
    pub(super) fn of(machine: &LoadMachine) -> Self {
        Self {
            name: machine.name.clone(),
            started_unix_ms: machine.started_unix_ms,
            duration_us: machine.duration_us,
            shards: machine.shards,
            connections_wanted: machine.connections_wanted,
            requests: machine.requests,
            requests_per_sec: rounded(machine.requests_per_sec()),
            bytes_read: machine.bytes_read,
            errors: machine.errors,
        }
    }

    pub(super) fn restore(self) -> LoadMachine {
        LoadMachine {
            name: self.name,
            started_unix_ms: self.started_unix_ms,
            duration_us: self.duration_us,
            shards: self.shards,
            connections_wanted: self.connections_wanted,
            requests: self.requests,
            bytes_read: self.bytes_read,
            errors: self.errors,
        }
    }
}

/// A whole histogram. The sums have more digits than readers of JSON keep, so they are strings.
#[derive(Serialize, Deserialize)]
pub(super) struct Whole {
    unit: Unit,
    hdr_v2: String,
    min: u64,
    max: u64,
    sum: String,
    sum_squares: String,
}

/// What the numbers of a histogram are.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Unit {
    #[serde(rename = "ns")]
    Nanoseconds,
    #[serde(rename = "requests_per_sec")]
    RequestsPerSec,
}

impl Whole {
    pub(super) fn latency(histogram: &Histogram) -> Self {
        Self::of(Unit::Nanoseconds, histogram.pack())
    }

    pub(super) fn rates(rates: &RateSamples) -> Self {
        Self::of(Unit::RequestsPerSec, rates.pack())
    }

    fn of(unit: Unit, packed: Packed) -> Self {
        let Packed { hdr_v2, min, max, sum, sum_squares } = packed;
        let [sum, sum_squares] = [sum, sum_squares].map(|sum| sum.to_string());
        Self { unit, hdr_v2, min, max, sum, sum_squares }
    }

    /// The histogram again. `name` is its key, for the error.
    pub(super) fn restore<H>(
        &self,
        name: &'static str,
        unpack: fn(&Packed) -> Result<H, UnpackError>,
    ) -> Result<H, ReadError> {
        let sum =
            |text: &str| text.parse().map_err(|_| ReadError::Sum { name, text: text.to_owned() });
        let packed = Packed {
            sum: sum(&self.sum)?,
            sum_squares: sum(&self.sum_squares)?,
            hdr_v2: self.hdr_v2.clone(),
            min: self.min,
            max: self.max,
        };
        unpack(&packed).map_err(|source| ReadError::Histogram { name, source })
    }
}
