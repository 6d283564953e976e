//! One line per interval while a run goes on (`--interval`), as a table like dstat's: the load, and
//! where they are watched ringload's own CPU, the server and the machine.

use std::fmt;

use ringbench_measure::units;

use super::interval::{Interval, IntervalLatency};

/// The first line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    /// Whether the server and the machine are watched.
    pub watched: bool,
}

impl fmt::Display for Header {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [elapsed, rate, p50, p99, max, errors, open] =
            ["elapsed", "req/s", "p50", "p99", "max", "errors", "open"];
        write!(out, "{elapsed:>10}{rate:>11} {p50:>10}{p99:>10}{max:>10}{errors:>9}{open:>8}")?;
        if self.watched {
            let [load, server, cost, rss] = ["load%", "srv%", "srv/req", "srv rss"];
            let [switches, idle, softirq, steal] = ["csw/s", "idle%", "sirq%", "steal%"];
            write!(out, " |{load:>7}{server:>7}{cost:>10}{rss:>10}{switches:>9}")?;
            write!(out, " |{idle:>7}{softirq:>7}{steal:>7}")?;
        }
        writeln!(out)
    }
}

/// A line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// What happened.
    pub interval: &'a Interval,
    /// Whether the server and the machine are watched.
    pub watched: bool,
}

impl fmt::Display for Row<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let interval = self.interval;
        let time = |of: fn(&IntervalLatency) -> u64| {
            // Nothing was completed, so there is no latency; 0 would look like a fast server.
            let text = interval.latency.as_ref().map_or_else(
                || "-  ".to_owned(),
                |latency| units::cell(&units::duration_us(of(latency) as f64 / 1_000.0), 0),
            );
            format!("{text:>10}")
        };
        write!(
            out,
            "{:>9.2}s{:>12}{}{}{}{:>9}{:>8}",
            interval.elapsed_us as f64 / 1e6,
            units::cell(&units::count(interval.requests_per_sec()), 12),
            time(|latency| latency.p50_ns),
            time(|latency| latency.p99_ns),
            time(|latency| latency.max_ns),
            interval.errors.total(),
            interval.open_connections,
        )?;
        if self.watched {
            write_watched(out, interval)?;
        }
        writeln!(out)
    }
}

/// CPU in percent of one core; the machine's in percent of all.
fn write_watched(out: &mut fmt::Formatter<'_>, interval: &Interval) -> fmt::Result {
    let wall_ns = interval.length_us.max(1) as f64 * 1_000.0;
    let percent = |share: f64| format!("{:.1}", share * 100.0);
    let dash = || "-".to_owned();
    let cores = |cpu_ns: u64| percent(cpu_ns as f64 / wall_ns);
    let server = interval.server.as_ref();
    let cost = server.filter(|_| interval.requests > 0).map_or_else(dash, |server| {
        units::duration_us(server.cpu_ns as f64 / 1_000.0 / interval.requests as f64)
    });
    let switches = server.map(|server| server.switches as f64 * 1e9 / wall_ns);
    write!(
        out,
        " |{:>7}{:>7}{cost:>10}{:>10}{:>9}",
        cores(interval.loader_cpu_ns),
        server.map_or_else(dash, |server| cores(server.cpu_ns)),
        server.map_or_else(dash, |server| units::bytes(server.rss_bytes as f64)),
        switches.map_or_else(dash, units::count),
    )?;
    let machine = interval.machine.as_ref();
    let shares = machine.map(|machine| [machine.idle, machine.softirq, machine.steal]);
    let [idle, softirq, steal] =
        shares.map_or_else(|| [dash(), dash(), dash()], |shares| shares.map(percent));
    write!(out, " |{idle:>7}{softirq:>7}{steal:>7}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::interval::ServerInterval;
    use crate::report::interval::tests::{busy, stalled};
    use crate::report::observed::MachineUse;

    fn table(watched: bool, intervals: &[Interval]) -> String {
        let rows = intervals.iter().map(|interval| Row { interval, watched }.to_string());
        format!("\n{}{}", Header { watched }, rows.collect::<String>())
    }

    #[test]
    fn the_load() {
        let expected = "
   elapsed      req/s        p50       p99       max   errors    open
     1.00s    112.34k   243.20us  526.00us    1.50s         3      64
  3661.00s      0.00         -         -         -          3      64
";
        assert_eq!(table(false, &[busy(), stalled()]), expected);
    }

    #[test]
    fn the_load_the_server_and_the_machine() {
        let server =
            ServerInterval { cpu_ns: 250_000_000, rss_bytes: 6_643_712, threads: 4, switches: 500 };
        let machine = MachineUse { cores: 2, steal: 0.001, softirq: 0.253, idle: 0.104 };
        let watched = Interval { server: Some(server), machine: Some(machine), ..busy() };
        let silent = Interval { requests: 0, latency: None, ..watched };
        let expected = "
   elapsed      req/s        p50       p99       max   errors    open |  load%   srv%   srv/req   srv rss    csw/s |  idle%  sirq% steal%
     1.00s    112.34k   243.20us  526.00us    1.50s         3      64 |   80.0   50.0    4.45us    6.34MB    1.00k |   10.4   25.3    0.1
     1.00s      0.00         -         -         -          3      64 |   80.0   50.0         -    6.34MB    1.00k |   10.4   25.3    0.1
     1.00s    112.34k   243.20us  526.00us    1.50s         3      64 |   80.0      -         -         -        - |      -      -      -
";
        assert_eq!(table(true, &[watched, silent, busy()]), expected);
    }
}
