use ringbench_measure::{Errors, Histogram};

use super::*;
use crate::ledger::{CloseCause, CloseLine};
use crate::report::fixtures;
use crate::report::observed::{MachineUse, ServerUse, TcpUse};
use crate::report::{EngineCounts, OpenLoop};

const SECOND: u64 = 1_000_000_000;

/// A closed loop of 64 connections for 2 s. Both sides have slack, nothing of the network is known.
fn run() -> RunReport {
    let mut report = fixtures::healthy();
    report.observed.server = Some(server(0.50));
    report.observed.machine = Some(MachineUse { cores: 8, idle: 0.7, ..MachineUse::default() });
    report
}

/// A server with two threads that use as much of a core each.
fn server(share: f64) -> ServerUse {
    ServerUse {
        pid: 7,
        name: "ringserve".to_owned(),
        processes: 1,
        allowed_cores: 8,
        cpu_ns: (share * 4.0 * SECOND as f64) as u64,
        wall_ns: 2 * SECOND,
        busiest_thread_share: share,
        threads: 2,
        ..ServerUse::default()
    }
}

fn times(count: u64, value_us: u64) -> Histogram {
    let mut times = Histogram::new();
    (0..count).for_each(|_| times.record(value_us * 1_000));
    times
}

/// `answered` of `due` requests within 2 s, each served in so many microseconds.
fn open_loop(due: u64, answered: u64, service_us: u64) -> RunReport {
    let mut report = run();
    report.counters.requests = answered;
    report.latency = times(answered, service_us);
    report.open_loop = Some(OpenLoop {
        schedule: format!("constant {}/s", due / 2),
        rate_asked: due as f64 / 2.0,
        due,
        shed: 0,
        unsent: due - answered,
        oldest_unsent_us: 0,
        waited_for_connection: due - answered,
        service_time: times(answered, service_us),
        send_lag: times(answered, 20),
        own_lag: times(answered, 20),
    });
    report
}

fn close(cause: CloseCause, errno: Option<&str>, count: u64) -> CloseLine {
    CloseLine { cause, errno: errno.map(str::to_owned), count }
}

/// Checks limit, sureness and line; gives the evidence.
#[track_caller]
fn is(report: &RunReport, limit: Limit, sure: bool, line: &str) -> Vec<String> {
    let verdict = of(report);
    assert_eq!((verdict.limit, verdict.sure), (limit, sure), "{verdict:?}");
    assert_eq!(verdict.line, line);
    verdict.evidence
}

#[test]
fn a_busy_server() {
    let mut report = run();
    report.observed.server = Some(server(0.99));
    let evidence = is(
        &report,
        Limit::Server,
        true,
        "Limited by the server: its busiest thread used 99 % of a core, ringload's busiest shard \
         39 %",
    );
    assert_eq!(
        evidence,
        [
            "ringload's busiest shard used 39 % of a core",
            "the server (ringserve, pid 7) used 1.98 cores, its busiest thread 99 %; 39.60 us of \
             CPU per response",
            "70 % of the time of 8 cores was idle",
            "missing: TCP's round trips",
        ]
    );
    report.observed.server.as_mut().unwrap().busiest_thread_share = 0.899;
    assert_eq!(of(&report).limit, Limit::Connections, "just below");
}

#[test]
fn a_server_whose_cores_are_used_up_by_many_threads() {
    let mut report = run();
    // Four threads that share one core.
    let mut server = server(0.24);
    (server.cpu_ns, server.allowed_cores) = (2 * SECOND * 96 / 100, 1);
    report.observed.server = Some(server);
    is(
        &report,
        Limit::Server,
        true,
        "Limited by the server: it used 0.96 of the 1 core that it may run on, ringload's busiest \
         shard 39 %",
    );
}

#[test]
fn both_at_their_end() {
    let mut report = run();
    report.observed.server = Some(server(0.97));
    report.shard_core_shares = vec![0.4, 0.95];
    is(
        &report,
        Limit::ServerAndLoader,
        true,
        "Limited by both the server and ringload: its busiest thread used 97 % of a core, \
         ringload's busiest shard 95 %",
    );
}

#[test]
fn a_busy_shard() {
    let mut report = run();
    report.shard_core_shares = vec![0.4, 0.95];
    is(
        &report,
        Limit::Loader,
        true,
        "Limited by ringload: its busiest shard used 95 % of a core, the server's busiest thread \
         50 %; give it more shards (-t) on cores of their own",
    );
    report.observed.server = None;
    let line = of(&report).line;
    assert!(line.contains("95 % of a core; give it"), "{line}");
    report.shard_core_shares = vec![0.90];
    assert_ne!(of(&report).limit, Limit::Loader, "just not");
}

#[test]
fn a_starved_shard() {
    let mut report = run();
    report.shard_run_delay_shares = vec![0.02, 0.15];
    is(
        &report,
        Limit::Loader,
        true,
        "Limited by ringload: one of ringload's shards was ready but had no core for 15 % of the \
         run; give it cores of its own (--cores)",
    );
    report.shard_run_delay_shares = vec![0.08];
    let verdict = of(&report);
    assert_eq!(verdict.limit, Limit::Connections);
    assert!(verdict.evidence.iter().any(|line| line.contains("for 8.0 % of the run")));
}

#[test]
fn sides_that_take_each_others_cores() {
    let mut report = run();
    report.observed.machine = Some(MachineUse { cores: 2, idle: 0.01, steal: 0.03, softirq: 0.2 });
    report.shard_run_delay_shares = vec![0.30, 0.25];
    let mut server = server(0.60);
    server.run_delay_ns = server.cpu_ns;
    report.observed.server = Some(server);
    let evidence = is(
        &report,
        Limit::Machine,
        true,
        "Limited by this machine's cores: 1.0 % of their time was idle, and the server's threads \
         had no core for 50 % of the time they were ready, and one of ringload's shards was ready \
         but had no core for 30 % of the run",
    );
    let said = |part: &str| evidence.iter().any(|line| line.contains(part));
    assert!(said("2 cores was idle, 20 % in soft interrupts"), "{evidence:?}");
    assert!(said("gave 3.0 % of the cores' time to others"), "{evidence:?}");
    // Of 2 cores the server used 1.2 and ringload 0.38.
    assert!(!said("other processes"), "{evidence:?}");
    report.observed.server.as_mut().unwrap().cpu_ns = SECOND;
    report.observed.machine.as_mut().unwrap().softirq = 0.0;
    let evidence = of(&report).evidence;
    assert!(
        evidence.contains(&"other processes used 52 % of the cores' time".to_owned()),
        "{evidence:?}"
    );
}

#[test]
fn a_server_that_is_starved_by_others() {
    let mut report = run();
    report.observed.server.as_mut().unwrap().run_delay_ns = SECOND;
    is(
        &report,
        Limit::Machine,
        true,
        "Limited by the cores that the server may use: the server's threads had no core for 33 % \
         of the time they were ready",
    );
    let mut idle = server(0.001);
    idle.run_delay_ns = idle.cpu_ns;
    report.observed.server = Some(idle);
    assert_eq!(of(&report).limit, Limit::Connections, "little to do, and late with that");
}

#[test]
fn no_ports() {
    let mut report = run();
    report.counters.errors.connect = 10;
    report.closes = vec![close(CloseCause::NoLocalPort, Some("EADDRNOTAVAIL"), 10)];
    // Looking for a port costs the kernel much, in the shard's name.
    report.shard_core_shares = vec![0.99];
    is(
        &report,
        Limit::Ports,
        true,
        "Limited by local ports: 10 connects found none free; widen net.ipv4.ip_local_port_range \
         or set net.ipv4.tcp_tw_reuse",
    );
    report.observed.server = Some(server(0.99));
    assert_eq!(of(&report).limit, Limit::ServerAndLoader, "a server at its end gives no more");
    report.observed.server = Some(server(0.50));
    report.shard_core_shares = vec![0.5];
    report.counters.opened = 10_000;
    let verdict = of(&report);
    assert_eq!(verdict.limit, Limit::Connections, "a few of many");
    assert!(verdict.evidence.iter().any(|line| line == "10 connects found no local port"));
}

#[test]
fn no_descriptors() {
    let mut report = run();
    report.counters.errors.connect = 10;
    report.closes = vec![
        close(CloseCause::ConnectFailed, Some("EMFILE"), 6),
        close(CloseCause::ConnectFailed, Some("ENFILE"), 4),
    ];
    is(
        &report,
        Limit::Connections,
        true,
        "Limited by the number of connections that may be open: 10 found no free file descriptor; \
         raise the limit on open files (ulimit -n)",
    );
}

#[test]
fn fewer_connections_than_asked_for() {
    let mut report = run();
    report.connections_peak = 60;
    is(
        &report,
        Limit::Connections,
        true,
        "Limited by the connections that could be opened: 60 of 64 were open at once",
    );
}

#[test]
fn a_closed_loop_with_slack_on_both_sides() {
    is(
        &run(),
        Limit::Connections,
        true,
        "Limited by the number of connections: 64 requests at once waited 50.00ms each for their \
         responses, while the server's busiest thread used 50 % of a core and ringload's busiest \
         shard 39 %; more (-c) would ask for more",
    );
}

#[test]
fn a_rate_that_was_achieved() {
    let line = "Limited by the rate asked for: 5000 requests/s were asked for and answered";
    let mut report = open_loop(10_000, 10_000, 300);
    is(&report, Limit::Rate, true, line);
    // However busy the server was meanwhile.
    report.observed.server = Some(server(0.97));
    let evidence = is(&report, Limit::Rate, true, line);
    assert!(
        evidence.contains(
            &"5000 requests/s were asked for, 5000 answered; by Little's law they need 1.5 \
              connections, 64 were open"
                .to_owned()
        ),
        "{evidence:?}"
    );
    // Those under way at the end are not missing: at 100 ms each there are always 500.
    let mut report = open_loop(10_000, 9_500, 100_000);
    report.open_loop.as_mut().unwrap().unsent = 0;
    assert_eq!(of(&report).limit, Limit::Rate);
    // At 300 us each they are.
    let mut report = open_loop(10_000, 9_500, 300);
    report.open_loop.as_mut().unwrap().unsent = 0;
    assert_ne!(of(&report).limit, Limit::Rate);
}

#[test]
fn a_rate_that_was_kept_late() {
    let mut report = open_loop(10_000, 10_000, 3_000);
    report.open_loop.as_mut().unwrap().own_lag = times(10_000, 1_500);
    is(
        &report,
        Limit::Loader,
        true,
        "Limited by ringload: it kept the rate of 5000/s that was asked for, but 1 % of its \
         requests left 1.5 ms late or later although a connection was idle",
    );
    // Next to latencies of 30 ms that does not matter.
    report.latency = times(10_000, 30_000);
    assert_eq!(of(&report).limit, Limit::Rate);
    report.open_loop.as_mut().unwrap().own_lag = times(10_000, 900);
    report.latency = times(10_000, 1_000);
    assert_eq!(of(&report).limit, Limit::Rate, "less than a millisecond");
}

#[test]
fn requests_that_waited_for_a_connection() {
    // 64 connections at 20 ms are good for 3,200 a second.
    is(
        &open_loop(10_000, 6_400, 20_000),
        Limit::Connections,
        true,
        "Limited by the number of connections: 5000 requests/s of 20.00ms each need 100 at once, \
         64 were there, while the server's busiest thread used 50 % of a core and ringload's \
         busiest shard 39 %; more (-c) would ask for more",
    );
    // At 1 ms five were enough; what kept the requests back is not known.
    is(
        &open_loop(10_000, 6_400, 1_000),
        Limit::Unknown,
        false,
        "What limited the run cannot be told from what was seen",
    );
    let mut report = open_loop(10_000, 6_400, 20_000);
    report.observed.server = Some(server(0.95));
    assert_eq!(of(&report).limit, Limit::Server, "slow as it is busy");
}

#[test]
fn queues_that_overflow() {
    let mut report = run();
    report.engine = EngineCounts { enters: 1_000, cq_overflows: 11, ..EngineCounts::default() };
    is(
        &report,
        Limit::Loader,
        true,
        "Limited by ringload: its completion queues overflowed 11 times in 1000 calls",
    );
    report.engine = EngineCounts { enters: 1_000, enobufs: 1_001, ..EngineCounts::default() };
    let line = of(&report).line;
    assert!(line.contains("1001 receives found no provided buffer"), "{line}");
    report.engine =
        EngineCounts { enters: 1_000, cq_overflows: 10, enobufs: 1_000, ..report.engine };
    assert_eq!(of(&report).limit, Limit::Connections);
}

#[test]
fn the_way_to_the_server() {
    let mut report = run();
    report.observed.server = None;
    let tcp = TcpUse { samples: 64, segments_sent: 10_000, ..TcpUse::default() };
    report.observed.tcp = Some(TcpUse { path_rtt_us: 40_000, rtt_p50_us: 41_000, ..tcp });
    is(
        &report,
        Limit::Network,
        true,
        "Limited by the network's round trip: 40.00ms of the median of 50.00ms; more connections \
         (-c) would ask for more",
    );
    // On loopback the way is most of a fast response's time, and says nothing.
    report.latency = times(100_000, 60);
    report.observed.tcp = Some(TcpUse { path_rtt_us: 50, ..tcp });
    assert_eq!(of(&report).limit, Limit::Unknown);
    report.observed.tcp = Some(TcpUse { path_rtt_us: 40_000, retransmits: 101, ..tcp });
    is(
        &report,
        Limit::Network,
        true,
        "Limited by the network: 1.0 % of the segments had to be sent again",
    );
}

#[test]
fn what_is_left_when_nobody_saw_the_server() {
    let mut report = run();
    report.observed.server = None;
    let tcp = TcpUse { samples: 64, segments_sent: 10_000, ..TcpUse::default() };
    report.observed.tcp = Some(TcpUse { path_rtt_us: 90, ..tcp });
    let evidence = is(
        &report,
        Limit::Server,
        false,
        "Probably limited by the server: of the median of 50.00ms the way there and back takes \
         90.00us, and ringload's busiest shard used 39 % of a core",
    );
    assert!(evidence.iter().any(|line| line.contains("--server-pid")), "{evidence:?}");
    report.observed.tcp = Some(TcpUse { path_rtt_us: 20_000, ..tcp });
    is(
        &report,
        Limit::Unknown,
        false,
        "Limited by the server or the way to it: ringload's busiest shard used 39 % of a core",
    );
    report.observed.tcp = None;
    report.shard_core_shares = Vec::new();
    let evidence = is(
        &report,
        Limit::Unknown,
        false,
        "What limited the run cannot be told from what was seen",
    );
    assert_eq!(evidence.iter().filter(|line| line.starts_with("missing: ")).count(), 3);
}

#[test]
fn failures_come_first() {
    let mut report = fixtures::silent();
    report.observed.server = Some(server(0.99));
    is(&report, Limit::Nothing, true, "Limited by nothing that can be named: no response came");
    let mut report = run();
    report.observed.server = Some(server(0.99));
    report.counters.requests = 100;
    report.counters.errors = Errors { status: 20, connect: 50, timeout: 50, ..Errors::default() };
    is(&report, Limit::Errors, true, "Limited by errors: 60 % of what was tried failed");
    report.counters.errors = Errors { status: 20, timeout: 20, ..Errors::default() };
    assert_eq!(of(&report).limit, Limit::Server);
}

#[test]
fn names_are_stable() {
    use Limit::{
        Connections, Errors, Loader, Machine, Network, Nothing, Ports, Rate, Server,
        ServerAndLoader, Unknown,
    };
    let all = [
        Server,
        Loader,
        ServerAndLoader,
        Machine,
        Ports,
        Connections,
        Rate,
        Network,
        Errors,
        Nothing,
        Unknown,
    ];
    assert_eq!(
        all.map(Limit::name).join(" "),
        "server loader server_and_loader machine ports connections rate network errors nothing \
         unknown"
    );
}
