//! The object as a whole: its keys in their order, and the way back.

use ringbench_measure::{Counters, Errors, Histogram, RateSamples};
use serde::{Deserialize, Serialize};

use super::parts::{
    Close, Connections, Engine, ErrorCounts, Latency, Loader, Machine, OneOfSeveral, Rates,
    Requested, Scheduled, Server, Statuses, Tcp, Waiting, Whole,
};
use super::{ReadError, rounded};
use crate::report::interval::Line;
use crate::report::observed::Observed;
use crate::report::remarks::Remarks;
use crate::report::{Corrected, EngineCounts, Judgement, OpenLoop, RunReport, Unanswered};

#[derive(Serialize, Deserialize)]
pub(super) struct Document {
    url: String,
    started_unix_ms: u64,
    engine_name: String,
    shards: usize,
    r#loop: Loop,
    pipeline_depth: u32,
    requests_per_connection: Option<u64>,
    requests: u64,
    #[serde(with = "ErrorCounts")]
    errors: Errors,
    bytes_read: u64,
    bytes_written: u64,
    duration_us: u64,
    requested: Requested,
    interrupted: bool,
    requests_per_sec: f64,
    transfer_bytes_per_sec: f64,
    latency_us: Latency,
    service_time_us: Option<Latency>,
    send_lag_us: Option<Latency>,
    own_lag_us: Option<Latency>,
    open_loop: Option<Scheduled>,
    corrected_latency_us: Option<Latency>,
    expected_interval_us: Option<u64>,
    shard_requests_per_sec: Rates,
    connections: Connections,
    reconnects: u64,
    closes: Vec<Close>,
    status: Statuses,
    #[serde(with = "Waiting")]
    unanswered: Unanswered,
    loader: Loader,
    #[serde(with = "Engine")]
    engine: EngineCounts,
    server: Option<Server>,
    machine: Option<Machine>,
    tcp: Option<Tcp>,
    machines: Vec<OneOfSeveral>,
    intervals: Vec<Line>,
    verdict: Option<serde_json::Value>,
    warnings: Vec<String>,
    notes: Vec<String>,
    histograms: Option<Histograms>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Loop {
    Closed,
    Open,
}

/// The histograms that the figures were taken from. Those that a run has not are null.
#[derive(Serialize, Deserialize)]
struct Histograms {
    latency: Whole,
    service_time: Option<Whole>,
    send_lag: Option<Whole>,
    own_lag: Option<Whole>,
    corrected_latency: Option<Whole>,
    shard_requests_per_sec: Whole,
}

impl Histograms {
    fn of(report: &RunReport) -> Self {
        let open = report.open_loop.as_ref();
        Self {
            latency: Whole::latency(&report.latency),
            service_time: open.map(|open| Whole::latency(&open.service_time)),
            send_lag: open.map(|open| Whole::latency(&open.send_lag)),
            own_lag: open.map(|open| Whole::latency(&open.own_lag)),
            corrected_latency: report.corrected.as_ref().map(|it| Whole::latency(&it.latency)),
            shard_requests_per_sec: Whole::rates(&report.rates),
        }
    }

    fn open_loop(&self, open: Scheduled) -> Result<OpenLoop, ReadError> {
        Ok(OpenLoop {
            schedule: open.schedule,
            rate_asked: open.rate_asked,
            due: open.due,
            shed: open.shed,
            unsent: open.unsent,
            oldest_unsent_us: open.oldest_unsent_us,
            waited_for_connection: open.waited_for_connection,
            service_time: latency(self.service_time.as_ref(), "service_time")?,
            send_lag: latency(self.send_lag.as_ref(), "send_lag")?,
            own_lag: latency(self.own_lag.as_ref(), "own_lag")?,
        })
    }

    fn corrected(&self, expected_interval_us: u64) -> Result<Corrected, ReadError> {
        let latency = latency(self.corrected_latency.as_ref(), "corrected_latency")?;
        Ok(Corrected { expected_interval_us, latency })
    }
}

fn latency(whole: Option<&Whole>, name: &'static str) -> Result<Histogram, ReadError> {
    whole.ok_or(ReadError::Missing(name))?.restore(name, Histogram::unpack)
}

impl Document {
    pub(super) fn of(report: &RunReport, judgement: Option<&Judgement>) -> Self {
        let Remarks { warnings, notes } = Remarks::of(report);
        let (counters, open) = (&report.counters, report.open_loop.as_ref());
        let corrected = report.corrected.as_ref();
        Self {
            url: report.url.clone(),
            started_unix_ms: report.started_unix_ms,
            engine_name: report.engine_name.clone(),
            shards: report.shards,
            r#loop: if open.is_some() { Loop::Open } else { Loop::Closed },
            pipeline_depth: report.pipeline_depth,
            requests_per_connection: report.requests_per_connection,
            requests: counters.requests,
            errors: counters.errors,
            bytes_read: counters.bytes_read,
            bytes_written: counters.bytes_written,
            duration_us: report.duration_us,
            requested: Requested::of(report.extent),
            interrupted: report.interrupted,
            requests_per_sec: rounded(report.requests_per_sec()),
            transfer_bytes_per_sec: rounded(report.transfer_bytes_per_sec()),
            latency_us: Latency::of(&report.latency),
            service_time_us: open.map(|open| Latency::of(&open.service_time)),
            send_lag_us: open.map(|open| Latency::of(&open.send_lag)),
            own_lag_us: open.map(|open| Latency::of(&open.own_lag)),
            open_loop: open.map(Scheduled::of),
            corrected_latency_us: corrected.map(|it| Latency::of(&it.latency)),
            expected_interval_us: corrected.map(|it| it.expected_interval_us),
            shard_requests_per_sec: Rates::of(&report.rates),
            connections: Connections {
                wanted: report.connections_wanted,
                peak: report.connections_peak,
                opened: counters.opened,
                closed: counters.closed,
                answered: report.connections_answered,
                all_open_us: report.all_open_us,
            },
            reconnects: counters.reconnects,
            closes: report.closes.iter().map(Close::of).collect(),
            status: Statuses::of(counters.status_classes),
            unanswered: report.unanswered,
            loader: Loader::of(report),
            engine: report.engine,
            server: Server::of(report),
            machine: report.observed.machine.map(Machine::from),
            tcp: report.observed.tcp.map(Tcp::from),
            machines: report.machines.iter().map(OneOfSeveral::of).collect(),
            intervals: report.intervals.iter().map(Line::of).collect(),
            verdict: judgement.map(|judgement| judgement.object.clone()),
            warnings,
            notes,
            histograms: Some(Histograms::of(report)),
        }
    }

    /// The report that it was made of. How it is to be printed is not in it: it asks for the
    /// latency distribution and no more.
    pub(super) fn restore(self) -> Result<RunReport, ReadError> {
        let counters = self.counters();
        let histograms = self.histograms.ok_or(ReadError::NoHistograms)?;
        let open_loop = match (self.r#loop, self.open_loop) {
            (Loop::Closed, _) => None,
            (Loop::Open, None) => return Err(ReadError::Missing("open_loop")),
            (Loop::Open, Some(open)) => Some(histograms.open_loop(open)?),
        };
        let corrected = self.expected_interval_us.map(|us| histograms.corrected(us)).transpose()?;
        let closes: Result<_, _> = self.closes.into_iter().map(Close::restore).collect();
        let mut report = RunReport {
            url: self.url,
            started_unix_ms: self.started_unix_ms,
            engine_name: self.engine_name,
            shards: self.shards,
            connections_wanted: self.connections.wanted,
            connections_peak: self.connections.peak,
            connections_answered: self.connections.answered,
            all_open_us: self.connections.all_open_us,
            closes: closes?,
            extent: self.requested.restore(),
            duration_us: self.duration_us,
            interrupted: self.interrupted,
            pipeline_depth: self.pipeline_depth,
            requests_per_connection: self.requests_per_connection,
            show_latency: true,
            show_spectrum: false,
            show_uncorrected: false,
            latency: latency(Some(&histograms.latency), "latency")?,
            open_loop,
            corrected,
            rates: histograms
                .shard_requests_per_sec
                .restore("shard_requests_per_sec", RateSamples::unpack)?,
            counters,
            unanswered: self.unanswered,
            loader_cpu_ns: self.loader.cpu_ns,
            shard_core_shares: self.loader.shard_core_shares,
            shard_run_delay_shares: self.loader.shard_run_delay_shares,
            engine: self.engine,
            intervals: self.intervals.into_iter().map(Line::restore).collect(),
            observed: Observed {
                server: self.server.map(Server::restore),
                machine: self.machine.map(Into::into),
                tcp: self.tcp.map(Into::into),
            },
            machines: self.machines.into_iter().map(OneOfSeveral::restore).collect(),
            warnings: Vec::new(),
            notes: Vec::new(),
        };
        // Remarks that follow from the figures will follow from them again.
        let Remarks { warnings, notes } = Remarks::of(&report);
        report.warnings = without(self.warnings, &warnings);
        report.notes = without(self.notes, &notes);
        Ok(report)
    }

    fn counters(&self) -> Counters {
        Counters {
            requests: self.requests,
            bytes_read: self.bytes_read,
            bytes_written: self.bytes_written,
            errors: self.errors,
            reconnects: self.reconnects,
            opened: self.connections.opened,
            closed: self.connections.closed,
            status_classes: self.status.restore(),
        }
    }
}

/// `all` less those that are in `found`, too.
fn without(mut all: Vec<String>, found: &[String]) -> Vec<String> {
    all.retain(|line| !found.contains(line));
    all
}
