//! The intervals of a run as CSV: a line of names, then a line for each interval. What is not known
//! is left empty. Units are the last part of a name; shares are of all cores, 0 to 1.

use std::fmt::Write as _;

use super::interval::{Interval, IntervalLatency, ServerInterval};
use super::json::rounded;
use super::observed::MachineUse;

/// The names, in the order of the cells.
pub const COLUMNS: [&str; 26] = [
    "elapsed_us",
    "interval_us",
    "requests",
    "requests_per_sec",
    "bytes_read",
    "errors_connect",
    "errors_read",
    "errors_write",
    "errors_timeout",
    "errors_status",
    "opened",
    "closed",
    "open_connections",
    "latency_p50_us",
    "latency_p90_us",
    "latency_p99_us",
    "latency_p999_us",
    "latency_max_us",
    "loader_cpu_us",
    "server_cpu_us",
    "server_rss_bytes",
    "server_threads",
    "server_switches",
    "machine_idle_share",
    "machine_softirq_share",
    "machine_steal_share",
];

/// Writes intervals as CSV.
pub fn render(intervals: &[Interval]) -> String {
    let mut text = COLUMNS.join(",");
    text.push('\n');
    for interval in intervals {
        let cells = cells(interval);
        for (number, cell) in cells.iter().enumerate() {
            let comma = if number == 0 { "" } else { "," };
            // Writing into a string cannot fail.
            let _ = write!(text, "{comma}{cell}");
        }
        text.push('\n');
    }
    text
}

fn cells(interval: &Interval) -> [String; COLUMNS.len()] {
    let us = |ns: u64| (ns as f64 / 1_000.0).to_string();
    let latency = |of: fn(&IntervalLatency) -> u64| {
        interval.latency.as_ref().map_or_else(String::new, |latency| us(of(latency)))
    };
    let server =
        |of: fn(&ServerInterval) -> String| interval.server.as_ref().map_or_else(String::new, of);
    let machine = |of: fn(&MachineUse) -> f64| {
        interval.machine.as_ref().map_or_else(String::new, |machine| of(machine).to_string())
    };
    let errors = interval.errors;
    [
        interval.elapsed_us.to_string(),
        interval.length_us.to_string(),
        interval.requests.to_string(),
        rounded(interval.requests_per_sec()).to_string(),
        interval.bytes_read.to_string(),
        errors.connect.to_string(),
        errors.read.to_string(),
        errors.write.to_string(),
        errors.timeout.to_string(),
        errors.status.to_string(),
        interval.opened.to_string(),
        interval.closed.to_string(),
        interval.open_connections.to_string(),
        latency(|latency| latency.p50_ns),
        latency(|latency| latency.p90_ns),
        latency(|latency| latency.p99_ns),
        latency(|latency| latency.p999_ns),
        latency(|latency| latency.max_ns),
        us(interval.loader_cpu_ns),
        server(|server| (server.cpu_ns as f64 / 1_000.0).to_string()),
        server(|server| server.rss_bytes.to_string()),
        server(|server| server.threads.to_string()),
        server(|server| server.switches.to_string()),
        machine(|machine| machine.idle),
        machine(|machine| machine.softirq),
        machine(|machine| machine.steal),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixtures;

    #[test]
    fn a_line_for_each_interval() {
        let expected = "
elapsed_us,interval_us,requests,requests_per_sec,bytes_read,errors_connect,errors_read,\
errors_write,errors_timeout,errors_status,opened,closed,open_connections,latency_p50_us,\
latency_p90_us,latency_p99_us,latency_p999_us,latency_max_us,loader_cpu_us,server_cpu_us,\
server_rss_bytes,server_threads,server_switches,machine_idle_share,machine_softirq_share,\
machine_steal_share
1000000,1000000,41000,41000,6520000,0,0,0,0,1,1,1,64,50000.128,90000,99024.895,99900.001,100000,\
375000,800000,12000000,3,40000,0.1,0.25,0.001
2000000,1000000,42000,42000,6520000,0,1,0,0,1,2,2,64,,,,,,375000,,,,,,,
";
        assert_eq!(format!("\n{}", render(&fixtures::full().intervals)), expected);
    }

    #[test]
    fn all_columns_are_in_the_document() {
        let document = include_str!("../../../docs/reports.md");
        for column in COLUMNS {
            assert!(document.contains(&format!("`{column}`")), "{column}");
        }
    }

    #[test]
    fn names_without_intervals() {
        assert_eq!(render(&[]), COLUMNS.join(",") + "\n");
    }
}
