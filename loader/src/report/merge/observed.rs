//! What several machines saw of the server, of themselves and of TCP.

use super::super::RunReport;
use super::super::observed::{MachineUse, Observed, TcpUse};

/// Puts together what can be; says what could not.
pub(super) fn merge(reports: &[(String, RunReport)], notes: &mut Vec<String>) -> Observed {
    let seen = || reports.iter().map(|(_, report)| &report.observed);
    // Machines that share a process (two ringload on the server's own machine) saw the same one.
    let mut servers = seen().filter_map(|observed| observed.server.as_ref());
    let mut server = servers.next().cloned();
    if let Some(first) = &server
        && servers.any(|other| other.pid != first.pid)
    {
        notes.push("several servers were watched: see the machines' own reports".to_owned());
        server = None;
    }
    Observed {
        server,
        machine: machine(&seen().filter_map(|observed| observed.machine).collect::<Vec<_>>()),
        tcp: tcp(seen().filter_map(|observed| observed.tcp).collect(), notes),
    }
}

/// Shares of all cores of all machines.
fn machine(machines: &[MachineUse]) -> Option<MachineUse> {
    let cores: u64 = machines.iter().map(|machine| machine.cores).sum();
    let share = |of: fn(&MachineUse) -> f64| {
        let sum: f64 = machines.iter().map(|machine| of(machine) * machine.cores as f64).sum();
        sum / cores as f64
    };
    (cores > 0).then(|| MachineUse {
        cores,
        steal: share(|it| it.steal),
        softirq: share(|it| it.softirq),
        idle: share(|it| it.idle),
    })
}

fn tcp(machines: Vec<TcpUse>, notes: &mut Vec<String>) -> Option<TcpUse> {
    if machines.len() > 1 {
        notes.push(
            "p50 and p99 of the round trips are the highest of any machine, those of all together \
             are at most that"
                .to_owned(),
        );
    }
    machines.into_iter().reduce(|sum, other| TcpUse {
        samples: sum.samples + other.samples,
        rtt_min_us: sum.rtt_min_us.min(other.rtt_min_us),
        rtt_p50_us: sum.rtt_p50_us.max(other.rtt_p50_us),
        rtt_p99_us: sum.rtt_p99_us.max(other.rtt_p99_us),
        rtt_max_us: sum.rtt_max_us.max(other.rtt_max_us),
        path_rtt_us: sum.path_rtt_us.min(other.path_rtt_us),
        segments_sent: sum.segments_sent + other.segments_sent,
        retransmits: sum.retransmits + other.retransmits,
        connections_with_retransmits: sum.connections_with_retransmits
            + other.connections_with_retransmits,
    })
}
