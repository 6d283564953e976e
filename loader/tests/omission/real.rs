//! The stall on a real machine: the program, its sockets and clocks, and a server of threads.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use ringbench_measure::Histogram;
use ringload::report::{RunReport, json};

use super::law::Stall;
use super::support::{Client, HELLO, Server, ringload_json};

const RUN: Duration = Duration::from_secs(5);
const STALL: Duration = Duration::from_secs(1);
/// From the first request to the stall.
const BEFORE: Duration = Duration::from_secs(2);
/// So few that working off what the stall has left takes no time to speak of.
const RATE: u64 = 50;
/// Of the closed loop, which needs no more to be as wrong as it can be.
const CLOSED_RUN: Duration = Duration::from_secs(2);
const CLOSED_STALL: Duration = Duration::from_millis(400);
const CLOSED_BEFORE: Duration = Duration::from_millis(800);
const CONNECTIONS: u64 = 4;

/// All stall, or nobody: the tests here take turns, for what one costs is a delay for the other.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// When what happened.
#[derive(Debug, Default)]
struct Seen {
    /// A request was the first to find the server in its stall.
    held_since: OnceLock<Instant>,
    /// The stall was over.
    over: OnceLock<Instant>,
}

/// A server that answers at once, but nobody while it stalls.
struct Stalling {
    server: Server,
    seen: Arc<Seen>,
}

impl Stalling {
    fn start(before: Duration, stall: Duration) -> Self {
        let (first, begun) = channel();
        let (gate, seen) = (Arc::new(RwLock::new(())), Arc::new(Seen::default()));
        {
            let (gate, seen) = (Arc::clone(&gate), Arc::clone(&seen));
            thread::spawn(move || hold(&begun, before, stall, &gate, &seen));
        }
        let of_server = Arc::clone(&seen);
        let server = Server::start(move |client| serve(client, &first, &gate, &of_server));
        Self { server, seen }
    }

    /// How long the first request of the stall waited for its end.
    fn longest_ns(&self) -> u64 {
        let times = self.seen.over.get().zip(self.seen.held_since.get());
        let (over, since) = times.expect("there was a stall with requests in it");
        over.duration_since(*since).as_nanos() as u64
    }
}

/// Closes the gate for the time of the stall. That it waits is what the test is about.
fn hold(begun: &Receiver<()>, before: Duration, stall: Duration, gate: &RwLock<()>, seen: &Seen) {
    // Without a first request the run has failed, and says so.
    if begun.recv().is_err() {
        return;
    }
    thread::sleep(before);
    let closed = gate.write().unwrap_or_else(PoisonError::into_inner);
    thread::sleep(stall);
    let _ = seen.over.set(Instant::now());
    drop(closed);
}

fn serve(mut client: Client, first: &Sender<()>, gate: &RwLock<()>, seen: &Seen) -> io::Result<()> {
    while client.read_request()? {
        if gate.try_read().is_err() {
            seen.held_since.get_or_init(Instant::now);
        }
        // Once it is open again nobody asks what was sent here.
        let _ = first.send(());
        let open = gate.read().unwrap_or_else(PoisonError::into_inner);
        drop(open);
        client.write(HELLO.as_bytes())?;
    }
    Ok(())
}

/// One run of the program, and its report as the program reads it itself.
fn run(server: &Server, length: Duration, args: &[&str]) -> RunReport {
    let (url, length) = (server.url(), format!("{}ms", length.as_millis()));
    let fixed = ["-t", "1", "-d", &length, "--no-observe", &url];
    let ran = ringload_json(&[&fixed, args].concat());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    json::read(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
}

/// How late the machine made what happened, by the program's own account and in a request's usual
/// time: on a quiet one far below a millisecond.
fn disturbance_ns(report: &RunReport) -> u64 {
    let open_loop = report.open_loop.as_ref().expect("an open loop");
    open_loop.own_lag.max_ns() + open_loop.service_time.percentile_ns(75.0)
}

/// Whether the machine did not let the program run when it wanted to: it says so itself.
fn is_disturbed(report: &RunReport) -> bool {
    let open_loop = report.open_loop.as_ref().expect("an open loop");
    let is_late = open_loop.own_lag.max_ns() > 1_000_000;
    is_late || open_loop.unsent > 0 || report.counters.errors.total() > 0
}

fn service_time(report: &RunReport) -> &Histogram {
    &report.open_loop.as_ref().expect("an open loop").service_time
}

/// Percentiles that have to be within 1 % of the law.
const PERCENTS: [f64; 5] = [90.0, 95.0, 99.0, 99.9, 100.0];

/// What fails on a machine that is disturbed tells nothing of the program, and is done again so often.
const ATTEMPTS: u32 = 4;

fn open_loop(connections: u64, schedule: &str) {
    let (rate, c) = (RATE.to_string(), connections.to_string());
    let args = ["-R", &rate, "-c", &c, "--schedule", schedule];
    for attempt in 1.. {
        let stalling = Stalling::start(BEFORE, STALL);
        let report = run(&stalling.server, RUN, &args);
        match check(&report, stalling.longest_ns(), connections) {
            Ok(()) => break,
            Err(why) if attempt < ATTEMPTS && is_disturbed(&report) => {
                eprintln!("again, as the machine was disturbed: {args:?}: {why}");
            }
            Err(why) => panic!("{args:?}: {why}"),
        }
    }
}

fn check(report: &RunReport, longest_ns: u64, connections: u64) -> Result<(), String> {
    must(report.counters.errors.total() == 0, || format!("{:?}", report.counters.errors))?;
    let requests = report.latency.count();
    must(requests == RATE * RUN.as_secs(), || format!("{requests} requests"))?;
    let gap_ns = 1_000_000_000 / RATE;
    let stall = Stall { longest_ns, gap_ns };
    stall.check(&report.latency, &PERCENTS, (0.01, disturbance_ns(report)))?;
    let stall_ns = STALL.as_nanos() as u64;
    let p75_ns = report.latency.percentile_ns(75.0);
    must(p75_ns < stall_ns / 20, || format!("p75 is of the stall: {p75_ns} ns"))?;
    // What was under way in the stall, and no other: all of it only if there is a connection for
    // each request. Those that came in the stall's end are not told from others.
    let long_ns = stall_ns.saturating_sub((connections + 1) * gap_ns).max(stall_ns / 5);
    let held = connections.min((stall_ns - long_ns) / gap_ns);
    let found = service_time(report).count_above(long_ns);
    must(found.abs_diff(held) <= 1, || format!("{found} service times of {held}"))?;
    // For some connections that is what a closed loop would say; the truth is 750 ms.
    let p95_ns = service_time(report).percentile_ns(95.0);
    let tells_nothing = p95_ns < stall_ns / 20;
    must(tells_nothing == (connections <= CONNECTIONS), || format!("service p95 {p95_ns} ns"))
}

fn must(holds: bool, why_not: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(why_not()) }
}

#[test]
fn an_open_loop_tells_what_all_users_saw() {
    let _alone = alone();
    thread::scope(|scope| {
        scope.spawn(|| open_loop(1, "shared"));
        scope.spawn(|| open_loop(CONNECTIONS, "shared"));
        scope.spawn(|| open_loop(CONNECTIONS, "per-connection"));
        scope.spawn(|| open_loop(128, "shared"));
    });
}

/// How far the correction may be from the truth if it knows the interval at which requests were sent,
/// which it does only afterwards. Latencies that are long for other reasons are "corrected" as well,
/// so that p95 is off by more on a busy machine.
const CORRECTION_TOLERANCE: f64 = 0.05;
/// What it is told beforehand.
const GUESSED_INTERVAL_US: u64 = 1_000;

#[test]
fn a_closed_loop_hides_the_stall_and_the_correction_guesses_it() {
    let _alone = alone();
    let stalling = Stalling::start(CLOSED_BEFORE, CLOSED_STALL);
    let (connections, guess) = (CONNECTIONS.to_string(), format!("{GUESSED_INTERVAL_US}us"));
    let args = ["-c", &connections, "--expected-interval", &guess];
    let report = run(&stalling.server, CLOSED_RUN, &args);
    assert_eq!(report.counters.errors.total(), 0, "{:?}", report.counters);
    let stall_ns = CLOSED_STALL.as_nanos() as u64;
    let (latency, longest_ns) = (&report.latency, stalling.longest_ns());
    assert_eq!(latency.count_above(stall_ns / 2), CONNECTIONS, "one for each connection");
    assert!(latency.max_ns().abs_diff(longest_ns) < longest_ns / 20, "{}", latency.max_ns());
    let p99_ns = latency.percentile_ns(99.0);
    // The truth is S - 0.01 * D, 380 ms.
    assert!(p99_ns < stall_ns / 20, "p99 is {p99_ns} ns, and was to be far too small");

    let guessed = &report.corrected.as_ref().expect("it was asked for").latency;
    let by_guess = latency.corrected(GUESSED_INTERVAL_US * 1_000);
    let run_ns = CLOSED_RUN.as_nanos() as u64;
    let interval_ns = (run_ns - longest_ns) * CONNECTIONS / latency.count();
    let by_fact = latency.corrected(interval_ns);
    assert!(guessed.percentile_ns(99.0) > p99_ns, "better than nothing");
    for percent in [99.0, 99.9, 100.0] {
        assert_eq!(guessed.percentile_ns(percent), by_guess.percentile_ns(percent));
        let law_ns = longest_ns as f64 - (1.0 - percent / 100.0) * run_ns as f64;
        let error = by_fact.percentile_ns(percent) as f64 / law_ns - 1.0;
        assert!(error.abs() <= CORRECTION_TOLERANCE, "p{percent}: {:+.2} %", 100.0 * error);
    }
}
