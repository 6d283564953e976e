//! What limited a run: from a [`RunReport`] to one line, with the evidence for it. Pure.
//!
//! Evidence is weighed in this order, and the first that holds decides:
//!
//! | order | [`Limit`] | holds when | why it stands there |
//! |---|---|---|---|
//! | 1 | `nothing`, `errors` | no response came, or most of what was tried failed | nothing else means anything then |
//! | 2 | `rate`, or `loader` | an open loop got what it asked for; ringload's own lateness is a visible part of the latencies | less was asked than could be had, however busy somebody was |
//! | 3 | `server`, `server_and_loader` | the server's busiest thread, or all its cores, were used up | it was seen, and with a server at its end nothing else would have given more |
//! | 4 | `ports`, `connections` | connects failed for want of ports or descriptors | a connect that finds no port costs the kernel milliseconds, so that the shards look busy: the want is the cause |
//! | 5 | `loader` | a shard's core was used up | seen directly |
//! | 6 | `machine` | hardly a core was idle, and threads of either side waited for one; or the server's did | nobody is at their own end, they take from each other |
//! | 7 | `loader` | its shards waited for a core; its queues overflowed; its requests left late | what a loader does when it is short of something |
//! | 8 | `connections` | fewer were open than asked for | the load was not what was asked for |
//! | 9 | `network` | segments were lost, or most of a latency is the way | the way is known, and it explains the latency |
//! | 10 | `connections` | the server was seen to have slack, and all connections were in use | each waited for its response; more of them would have asked for more (Little's law) |
//! | 11 | `server` | nobody saw the server, but the way is short next to the latency | by exclusion: probable, not sure |
//! | 12 | `unknown` | | says what is missing to know more |
//!
//! The thresholds are constants at the head of `facts.rs`.

use std::fmt::Write as _;

use ringbench_measure::units::duration_us;

use crate::report::RunReport;

mod facts;
mod so_far;

#[cfg(test)]
mod tests;

use facts::{Facts, percent};
pub use so_far::{SoFar, so_far};

/// What limited a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// The server.
    Server,
    /// Ringload.
    Loader,
    /// Both at once.
    ServerAndLoader,
    /// The cores of this machine, which server and load (or others) had to share.
    Machine,
    /// Local ports.
    Ports,
    /// The number of connections: of those that could be opened, or of those that were asked for.
    Connections,
    /// The rate that was asked for: it was achieved.
    Rate,
    /// The way between ringload and the server.
    Network,
    /// Most of what was tried failed.
    Errors,
    /// No response came.
    Nothing,
    /// It cannot be told.
    Unknown,
}

impl Limit {
    /// Its name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Loader => "loader",
            Self::ServerAndLoader => "server_and_loader",
            Self::Machine => "machine",
            Self::Ports => "ports",
            Self::Connections => "connections",
            Self::Rate => "rate",
            Self::Network => "network",
            Self::Errors => "errors",
            Self::Nothing => "nothing",
            Self::Unknown => "unknown",
        }
    }
}

/// What limited a run, and how that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What it was.
    pub limit: Limit,
    /// Whether that was seen, rather than concluded because nothing else is left.
    pub sure: bool,
    /// One line for people.
    pub line: String,
    /// What it rests on, and what is missing to know more, a line each.
    pub evidence: Vec<String>,
}

/// The verdict on a run.
pub fn of(report: &RunReport) -> Verdict {
    let facts = Facts::of(report);
    let rules: [fn(&Facts<'_>) -> Option<Found>; 11] = [
        failure,
        rate,
        server,
        ports_or_files,
        busy_loader,
        machine,
        loader,
        too_few_open,
        network,
        connections,
        by_exclusion,
    ];
    let found = rules.iter().find_map(|rule| rule(&facts)).unwrap_or_else(|| unknown(&facts));
    Verdict { limit: found.limit, sure: found.sure, line: found.line, evidence: facts.evidence() }
}

struct Found {
    limit: Limit,
    sure: bool,
    line: String,
}

fn seen(limit: Limit, line: String) -> Found {
    Found { limit, sure: true, line }
}

fn failure(facts: &Facts<'_>) -> Option<Found> {
    let report = facts.report;
    let (requests, errors) = (report.counters.requests, report.counters.errors);
    if requests == 0 {
        let line = "Limited by nothing that can be named: no response came".to_owned();
        return Some(seen(Limit::Nothing, line));
    }
    let tried = requests + errors.socket();
    (errors.total() * 2 > tried).then(|| {
        let share = percent(errors.total() as f64 / tried as f64);
        let line = format!("Limited by errors: {share} of what was tried failed");
        seen(Limit::Errors, line)
    })
}

fn rate(facts: &Facts<'_>) -> Option<Found> {
    let open = facts.report.open_loop.as_ref()?;
    if !facts.rate_achieved() {
        return None;
    }
    let asked = open.rate_asked;
    if let Some(lag) = facts.visible_lag() {
        let line = format!(
            "Limited by ringload: it kept the rate of {asked:.0}/s that was asked for, but {lag}"
        );
        return Some(seen(Limit::Loader, line));
    }
    let line =
        format!("Limited by the rate asked for: {asked:.0} requests/s were asked for and answered");
    Some(seen(Limit::Rate, line))
}

fn server(facts: &Facts<'_>) -> Option<Found> {
    let busy = facts.server_busy()?;
    let (limit, mut line) = if facts.loader_busy() {
        (Limit::ServerAndLoader, format!("Limited by both the server and ringload: {busy}"))
    } else {
        (Limit::Server, format!("Limited by the server: {busy}"))
    };
    if let Some(share) = facts.busiest_shard() {
        let _ = write!(line, ", ringload's busiest shard {}", percent(share));
    }
    Some(seen(limit, line))
}

fn ports_or_files(facts: &Facts<'_>) -> Option<Found> {
    let tried = facts.report.counters.opened + facts.report.counters.errors.connect;
    let matters = |failed: u64| failed as f64 >= facts::FAILED_CONNECTS_SHARE * tried as f64;
    let (ports, files) = (facts.no_local_port(), facts.no_descriptor());
    if ports > 0 && matters(ports) {
        let line = format!(
            "Limited by local ports: {ports} connects found none free; widen \
             net.ipv4.ip_local_port_range or set net.ipv4.tcp_tw_reuse"
        );
        return Some(seen(Limit::Ports, line));
    }
    (files > 0 && matters(files)).then(|| Found {
        limit: Limit::Connections,
        sure: true,
        line: format!(
            "Limited by the number of connections that may be open: {files} found no free file \
             descriptor; raise the limit on open files (ulimit -n)"
        ),
    })
}

fn busy_loader(facts: &Facts<'_>) -> Option<Found> {
    facts.loader_busy().then(|| {
        let share = percent(facts.busiest_shard().unwrap_or_default());
        let mut line = format!("Limited by ringload: its busiest shard used {share} of a core");
        if let Some(server) = facts.server_use() {
            let _ = write!(line, ", the server's busiest thread {}", percent(server));
        }
        line.push_str("; give it more shards (-t) on cores of their own");
        seen(Limit::Loader, line)
    })
}

fn machine(facts: &Facts<'_>) -> Option<Found> {
    let (loader, server) = (facts.loader_starved(), facts.server_starved());
    let line = if facts.machine_full() && (loader.is_some() || server.is_some()) {
        let idle = facts.report.observed.machine.map_or(0.0, |machine| machine.idle);
        format!(
            "Limited by this machine's cores: {} of their time was idle, and {}",
            percent(idle),
            [server, loader].into_iter().flatten().collect::<Vec<_>>().join(", and ")
        )
    } else if loader.is_none()
        && let Some(server) = server
    {
        format!("Limited by the cores that the server may use: {server}")
    } else {
        return None;
    };
    Some(seen(Limit::Machine, line))
}

fn loader(facts: &Facts<'_>) -> Option<Found> {
    let because = facts
        .loader_starved()
        .map(|starved| format!("{starved}; give it cores of its own (--cores)"))
        .or_else(|| facts.queues_overflowed())
        .or_else(|| facts.visible_lag())?;
    Some(seen(Limit::Loader, format!("Limited by ringload: {because}")))
}

fn too_few_open(facts: &Facts<'_>) -> Option<Found> {
    let (peak, wanted) = (facts.report.connections_peak, facts.report.connections_wanted);
    (peak < wanted).then(|| Found {
        limit: Limit::Connections,
        sure: true,
        line: format!(
            "Limited by the connections that could be opened: {peak} of {wanted} were open at once"
        ),
    })
}

fn network(facts: &Facts<'_>) -> Option<Found> {
    if let Some(share) = facts.lost_segments() {
        let line = format!("Limited by the network: {share} of the segments had to be sent again");
        return Some(seen(Limit::Network, line));
    }
    let (path_us, service_us) = (facts.path_rtt_us()?, facts.service_p50_us()?);
    let far = path_us > facts::FAR_US && path_us >= facts::PATH_SHARE * service_us;
    (far && facts.all_in_use()).then(|| Found {
        limit: Limit::Network,
        sure: true,
        line: format!(
            "Limited by the network's round trip: {} of the median of {}; more connections (-c) would \
             ask for more",
            duration_us(path_us),
            duration_us(service_us)
        ),
    })
}

fn connections(facts: &Facts<'_>) -> Option<Found> {
    let report = facts.report;
    let server = facts.server_use()?;
    let shard = facts.busiest_shard()?;
    if !facts.all_in_use() {
        return None;
    }
    let (slots, mean_us) = (facts.slots(), facts.service_mean_us()?);
    let mean = duration_us(mean_us);
    let slack = format!(
        "while the server's busiest thread used {} of a core and ringload's busiest shard {}; \
         more (-c) would ask for more",
        percent(server),
        percent(shard)
    );
    let line = match &report.open_loop {
        Some(open) => format!(
            "Limited by the number of connections: {:.0} requests/s of {mean} each need {:.0} at \
             once, {slots} were there, {slack}",
            open.rate_asked,
            open.rate_asked * mean_us / 1e6,
        ),
        None => format!(
            "Limited by the number of connections: {slots} requests at once waited {mean} each \
             for their responses, {slack}"
        ),
    };
    Some(seen(Limit::Connections, line))
}

fn by_exclusion(facts: &Facts<'_>) -> Option<Found> {
    if facts.report.observed.server.is_some() || !facts.all_in_use() {
        return None;
    }
    let shard = facts.busiest_shard()?;
    let (path_us, service_us) = (facts.path_rtt_us()?, facts.service_p50_us()?);
    (path_us <= facts::SHORT_PATH_SHARE * service_us).then(|| Found {
        limit: Limit::Server,
        sure: false,
        line: format!(
            "Probably limited by the server: of the median of {} the way there and back takes {}, and \
             ringload's busiest shard used {} of a core",
            duration_us(service_us),
            duration_us(path_us),
            percent(shard)
        ),
    })
}

fn unknown(facts: &Facts<'_>) -> Found {
    let line = match (facts.busiest_shard(), facts.report.observed.server.is_some()) {
        (Some(share), false) => format!(
            "Limited by the server or the way to it: ringload's busiest shard used {} of a core",
            percent(share)
        ),
        _ => "What limited the run cannot be told from what was seen".to_owned(),
    };
    Found { limit: Limit::Unknown, sure: false, line }
}
