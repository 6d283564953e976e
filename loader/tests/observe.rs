//! A server in a process of its own is found and watched: by address, by thread, by connection.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use clap::Parser;
use ringload::observe::tcp::TcpWatch;
use ringload::observe::{Watcher, find_server, find_unix_server, own_threads};
use ringload::verdict;
use ringload::{Flags, Outcome};

/// What the child says before its address.
const READY: &str = "serving ";
/// Where the child binds its Unix socket.
const UNIX_PATH: &str = "RINGLOAD_TEST_UNIX_PATH";

/// Not a test: the other process. It serves until its stdin ends, and that does when the test does.
#[test]
#[ignore = "started by the tests as a process of its own"]
fn child() {
    let Some(path) = std::env::var_os(UNIX_PATH) else { return };
    let _listener = UnixListener::bind(path).expect("bind");
    let flags = ["ringserve", "--listen", "127.0.0.1:0", "--shards", "2"];
    let flags = ringserve::Flags::try_parse_from(flags).expect("ringserve's flags");
    let config = ringserve::Config::from_flags(&flags).expect("ringserve's flags");
    let server = ringserve::start(&config).expect("io_uring can be used");
    // The harness may not have ended its own line.
    println!("\n{READY}{}", server.addresses()[0]);
    std::io::stdin().read_to_end(&mut Vec::new()).expect("stdin");
}

struct Server {
    child: Child,
    /// Kept, so that the child's harness can go on writing.
    _stdout: BufReader<ChildStdout>,
    address: SocketAddr,
    unix_path: PathBuf,
}

impl Server {
    fn start(name: &str) -> Self {
        let unix_path =
            std::env::temp_dir().join(format!("ringload {name} {}.sock", std::process::id()));
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "child", "--ignored", "--nocapture"])
            .env(UNIX_PATH, &unix_path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a child");
        let mut stdout = BufReader::new(child.stdout.take().expect("stdout"));
        let address = stdout
            .by_ref()
            .lines()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix(READY)?.parse().ok())
            .expect("the child says its address");
        Self { child, _stdout: stdout, address, unix_path }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.unix_path);
    }
}

#[test]
fn a_server_is_found_by_where_it_listens() {
    let server = Server::start("find");
    assert_eq!(find_server(server.address), [server.child.id()]);
    assert_eq!(find_unix_server(&server.unix_path), [server.child.id()]);
    let mut elsewhere = server.address;
    elsewhere.set_ip([127, 0, 0, 2].into());
    assert_eq!(find_server(elsewhere), [0; 0], "it listens at one address alone");
    assert_eq!(find_unix_server(server.unix_path.with_extension("not").as_path()), [0; 0]);
}

#[test]
fn a_run_is_watched() {
    let server = Server::start("watch");
    let (pid, address) = (server.child.id(), server.address);
    let args = format!("ringload -c8 -t2 -d1s http://{address}/");
    let config = Flags::try_parse_from(args.split(' ')).and_then(Flags::config).expect("flags");

    let now_ns = ringbench_engine::now_ns;
    let mut watcher = Watcher::new(&find_server(address), Some(address), now_ns());
    let run = ringload::run::Prepared::new(&config)
        .and_then(ringload::run::Prepared::start)
        .expect("it starts");
    watcher.begin(now_ns());
    let (mut intervals, mut names) = (Vec::new(), Vec::new());
    let outcome = run.finish(|_| {
        intervals.push(watcher.sample(now_ns()));
        let found: Vec<String> = own_threads().into_iter().map(|thread| thread.name).collect();
        // The last look may find that one shard has ended before the other.
        if found.len() > names.len() {
            names = found;
        }
    });
    let Outcome { mut report, .. } = outcome.expect("the run can be done");
    report.observed = watcher.observed();
    report.shard_run_delay_shares = watcher.run_delay_shares();

    let seen = report.observed.server.clone().expect("the server is watched");
    assert_eq!((seen.pid, seen.processes), (pid, 1));
    // Two shards, and the harness's own threads.
    assert!(seen.threads >= 3 && seen.allowed_cores >= 1, "{seen:?}");
    assert!(seen.rss_max_bytes > 1_000_000 && seen.voluntary_switches > 0, "{seen:?}");
    let us_per_response = seen.cpu_ns as f64 / 1e3 / report.counters.requests as f64;
    assert!((0.1..1_000.0).contains(&us_per_response), "{us_per_response} us: {seen:?}");
    let busiest = seen.busiest_thread_share;
    assert!(busiest > 0.0 && busiest * seen.wall_ns as f64 <= seen.cpu_ns as f64, "{seen:?}");
    let in_intervals: u64 = intervals.iter().filter_map(|seen| Some(seen.server?.cpu_ns)).sum();
    assert_eq!(in_intervals, seen.cpu_ns, "intervals add up");

    assert_eq!(names, ["ringload-0", "ringload-1"]);
    let delays = &report.shard_run_delay_shares;
    assert!(delays.len() == 2 && delays.iter().all(|share| (0.0..=1.0).contains(share)));
    let machine = report.observed.machine.expect("the machine is watched");
    assert!(machine.cores >= 1 && machine.idle < 1.0, "{machine:?}");
    if TcpWatch::new(address).is_some() {
        let tcp = report.observed.tcp.expect("TCP is watched");
        let most = 8 * intervals.len() as u64;
        assert!((1..=most).contains(&tcp.samples), "{tcp:?}");
        assert!(tcp.segments_sent > 0 && tcp.path_rtt_us < 1_000_000, "{tcp:?}");
    }
    let verdict = verdict::of(&report);
    assert!(
        verdict.evidence.iter().any(|line| line.contains(&format!("pid {pid}"))),
        "{verdict:?}"
    );
}
