//! The figures that conditions are about.

use std::fmt;
use std::str::FromStr;

use ringbench_measure::Histogram;

use super::{GateError, Kind};
use crate::report::observed::ServerUse;
use crate::report::{OpenLoop, RunReport};

/// A figure of a report.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// As it was given.
    name: String,
    figure: Figure,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Figure {
    Time(Times, Statistic),
    Rps,
    Transfer,
    ServerCpu,
    LoaderCpu,
    ServerRss,
    Count(Counted),
}

/// Which times.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Times {
    /// The latencies of the report: response times in an open loop.
    Latency,
    /// From the send, of an open loop.
    Service,
    /// From the intended start to the send, of an open loop.
    Lag,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Statistic {
    Min,
    Mean,
    Stdev,
    Max,
    Percentile(f64),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Counted {
    Errors,
    Timeouts,
    Non2xx,
    Unanswered,
    Requests,
    Connections,
    Reconnects,
    Shed,
    Unsent,
}

const NO_RESPONSE: &str = "no response was complete";
const NO_REQUEST: &str = "no request was answered or failed";
const NO_OPEN_LOOP: &str = "only an open loop (-R) has it";
const NO_SERVER: &str = "the server's process was not observed";

impl Metric {
    /// What the figure is an amount of, unless it is given as a share.
    pub fn kind(&self) -> Kind {
        match self.figure {
            Figure::Time(..) => Kind::Time,
            Figure::Rps => Kind::Rate,
            Figure::Transfer => Kind::ByteRate,
            Figure::ServerCpu | Figure::LoaderCpu => Kind::CpuTime,
            Figure::ServerRss => Kind::Bytes,
            Figure::Count(_) => Kind::Count,
        }
    }

    /// Whether it can also be had as a share: of the requests that were answered or failed; of the
    /// responses (`non2xx`); of the requests that were due (`shed`, `unsent`).
    pub fn has_share(&self) -> bool {
        use Counted::{Errors, Non2xx, Shed, Timeouts, Unanswered, Unsent};
        matches!(
            self.figure,
            Figure::Count(Errors | Timeouts | Non2xx | Unanswered | Shed | Unsent)
        )
    }

    /// The figure of a run, in the base unit of `kind`; why it cannot be known if it cannot.
    pub(super) fn of(&self, report: &RunReport, kind: Kind) -> Result<f64, &'static str> {
        let requests = report.counters.requests;
        match self.figure {
            Figure::Time(times, statistic) => time_us(report, times, statistic),
            Figure::Rps => Ok(report.requests_per_sec()),
            Figure::Transfer => Ok(report.transfer_bytes_per_sec()),
            Figure::ServerRss => Ok(server(report)?.rss_max_bytes as f64),
            Figure::ServerCpu | Figure::LoaderCpu if requests == 0 => Err(NO_RESPONSE),
            Figure::ServerCpu => Ok(server(report)?.cpu_ns as f64 / 1e3 / requests as f64),
            Figure::LoaderCpu => {
                report.cpu_us_per_request().ok_or("ringload could not read its own CPU time")
            }
            Figure::Count(counted) => {
                let (count, of) = counted.of(report)?;
                match kind {
                    Kind::Percent if of == 0 => Err(NO_REQUEST),
                    Kind::Percent => Ok(count as f64 * 100.0 / of as f64),
                    _ => Ok(count as f64),
                }
            }
        }
    }
}

impl Counted {
    /// A count, and what it is a share of.
    fn of(self, report: &RunReport) -> Result<(u64, u64), &'static str> {
        let (counters, errors) = (&report.counters, report.counters.errors);
        // A request is answered, or lost with its connection.
        let tried = counters.requests + errors.socket();
        let open = || report.open_loop.as_ref().ok_or(NO_OPEN_LOOP);
        Ok(match self {
            Self::Errors | Self::Timeouts if tried == 0 => return Err(NO_REQUEST),
            Self::Errors => (errors.total(), tried),
            Self::Timeouts => (errors.timeout, tried),
            Self::Non2xx if counters.requests == 0 => return Err(NO_RESPONSE),
            // Statuses above 599 have no class.
            Self::Non2xx => (counters.requests - counters.status_classes[1], counters.requests),
            Self::Unanswered => (report.unanswered.count, tried + report.unanswered.count),
            Self::Requests => (counters.requests, tried),
            Self::Connections => (report.connections_peak, report.connections_wanted),
            Self::Reconnects => (counters.reconnects, tried),
            Self::Shed => open().map(|open: &OpenLoop| (open.shed, open.due))?,
            Self::Unsent => open().map(|open| (open.unsent, open.due))?,
        })
    }
}

fn server(report: &RunReport) -> Result<&ServerUse, &'static str> {
    report.observed.server.as_ref().ok_or(NO_SERVER)
}

fn time_us(report: &RunReport, times: Times, statistic: Statistic) -> Result<f64, &'static str> {
    let open = report.open_loop.as_ref().ok_or(NO_OPEN_LOOP);
    let histogram: &Histogram = match times {
        Times::Latency => &report.latency,
        Times::Service => &open?.service_time,
        Times::Lag => &open?.send_lag,
    };
    if histogram.is_empty() {
        return Err(match times {
            Times::Lag => "no request was sent",
            Times::Latency | Times::Service => NO_RESPONSE,
        });
    }
    let nanoseconds = match statistic {
        Statistic::Min => histogram.min_ns() as f64,
        Statistic::Mean => histogram.mean_ns(),
        Statistic::Stdev => histogram.stdev_ns(),
        Statistic::Max => histogram.max_ns() as f64,
        Statistic::Percentile(percent) => histogram.percentile_ns(percent) as f64,
    };
    Ok(nanoseconds / 1e3)
}

impl FromStr for Metric {
    type Err = GateError;

    fn from_str(name: &str) -> Result<Self, GateError> {
        let count = Figure::Count;
        let figure = match name {
            "rps" => Figure::Rps,
            "transfer" => Figure::Transfer,
            "errors" => count(Counted::Errors),
            "timeouts" => count(Counted::Timeouts),
            "non2xx" => count(Counted::Non2xx),
            "unanswered" => count(Counted::Unanswered),
            "requests" => count(Counted::Requests),
            "connections" => count(Counted::Connections),
            "reconnects" => count(Counted::Reconnects),
            "shed" => count(Counted::Shed),
            "unsent" => count(Counted::Unsent),
            "server_cpu_us_per_request" => Figure::ServerCpu,
            "loader_cpu_us_per_request" => Figure::LoaderCpu,
            "server_rss" => Figure::ServerRss,
            _ => parse_time(name)?,
        };
        Ok(Self { name: name.to_owned(), figure })
    }
}

fn parse_time(name: &str) -> Result<Figure, GateError> {
    let unknown = || GateError::Metric(name.to_owned());
    let (times, statistic) = match name.split_once('.') {
        Some(("service", statistic)) => (Times::Service, statistic),
        Some(("lag", statistic)) => (Times::Lag, statistic),
        // The dot may be that of p99.9.
        _ => (Times::Latency, name),
    };
    let statistic = match statistic {
        "min" => Statistic::Min,
        "mean" => Statistic::Mean,
        "stdev" => Statistic::Stdev,
        "max" => Statistic::Max,
        // What JSON reports call them.
        "p999" => Statistic::Percentile(99.9),
        "p9999" => Statistic::Percentile(99.99),
        _ => {
            let percent = statistic.strip_prefix('p').ok_or_else(unknown)?;
            if !percent.starts_with(|c: char| c.is_ascii_digit()) {
                return Err(unknown());
            }
            let percent =
                percent.parse().ok().filter(|percent| *percent > 0.0 && *percent <= 100.0);
            Statistic::Percentile(
                percent.ok_or_else(|| GateError::Percentile(statistic.to_owned()))?,
            )
        }
    };
    Ok(Figure::Time(times, statistic))
}

/// As it was given.
impl fmt::Display for Metric {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.name)
    }
}
