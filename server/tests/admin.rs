//! Seeing inside: metrics, health and the access log of the real program.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, PipeReader, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use common::{Client, PATIENCE, Response, Ringserve, command, post, request};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::{Pid, Signal, kill_process};

/// One module for each engine, with one test for each function.
macro_rules! on_engines {
    ($($test:ident,)+) => {
        on_engines!(uring: $($test,)+);
        on_engines!(epoll: $($test,)+);
        #[cfg(feature = "glommio")]
        on_engines!(glommio: $($test,)+);
    };
    ($engine:ident: $($test:ident,)+) => {
        mod $engine {
            $(
                #[test]
                fn $test() {
                    super::$test(stringify!($engine));
                }
            )+
        }
    };
}

on_engines! {
    metrics_are_what_was_sent,
    timeouts_and_connections_turned_away_are_counted,
    health_and_metrics_stay_until_the_end_of_a_drain,
    the_admin_address_keeps_to_its_routes,
    admin_clients_are_bounded,
    every_answer_has_a_line,
    a_rotated_log_is_opened_anew,
    a_log_that_nobody_reads_drops_lines_and_never_blocks,
    a_full_disk_costs_lines_and_is_told_once,
}

/// A server with an admin address, and its stderr.
struct Watched {
    server: Ringserve,
    admin: SocketAddr,
    stderr: BufReader<PipeReader>,
}

impl Watched {
    fn start(engine: &str, arguments: &[&str]) -> Self {
        let all = [&["--admin", "127.0.0.1:0"], arguments].concat();
        Self::spawn(Ringserve::prepare(engine, &["127.0.0.1:0"], &all))
    }

    fn spawn(mut command: Command) -> Self {
        let (reader, writer) = std::io::pipe().unwrap();
        let server = Ringserve::spawn(command.stderr(writer), 1);
        // Its copy of the pipe's end.
        drop(command);
        let mut stderr = BufReader::new(reader);
        let line = line_with(&mut stderr, "metrics on http://");
        let address = line.split("http://").nth(1).unwrap().strip_suffix("/metrics\n").unwrap();
        Self { server, admin: address.parse().unwrap(), stderr }
    }

    fn metrics(&self) -> Metrics {
        let response = Client::connect(self.admin).exchange(request("GET", "/metrics"));
        assert_eq!(response.status, 200);
        let content_type = response.header("Content-Type").unwrap();
        assert_eq!(content_type, "text/plain; version=0.0.4; charset=utf-8");
        Metrics::parse(response.text())
    }

    /// Waits until the metrics are as wanted.
    fn metrics_when(&self, what: &str, wanted: impl Fn(&Metrics) -> bool) -> Metrics {
        let start = Instant::now();
        loop {
            let metrics = self.metrics();
            if wanted(&metrics) {
                return metrics;
            }
            assert!(start.elapsed() < PATIENCE, "never came: {what}\n{metrics:?}");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    fn health(&self) -> (u16, String) {
        let response = Client::connect(self.admin).exchange(request("GET", "/healthz"));
        (response.status, response.text().to_owned())
    }

    /// Ends it; gives the rest of its stderr.
    fn stop(mut self) -> String {
        self.server.signal(Signal::TERM);
        assert_eq!(self.server.wait().code(), Some(0));
        let mut said = String::new();
        self.stderr.read_to_string(&mut said).unwrap();
        said
    }
}

/// Reads on to the line that has `wanted` in it.
fn line_with(stderr: &mut impl BufRead, wanted: &str) -> String {
    loop {
        let mut line = String::new();
        assert!(stderr.read_line(&mut line).unwrap() > 0, "stderr ended without {wanted:?}");
        if line.contains(wanted) {
            return line;
        }
    }
}

/// An exposition, taken apart strictly.
#[derive(Debug)]
struct Metrics {
    /// By name and labels as they were written.
    series: BTreeMap<String, f64>,
}

impl Metrics {
    fn parse(text: &str) -> Self {
        assert!(text.ends_with('\n'));
        let (mut families, mut series) = (BTreeSet::new(), BTreeMap::new());
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            let help = line.strip_prefix("# HELP ").unwrap_or_else(|| panic!("no HELP: {line}"));
            let (name, help) = help.split_once(' ').unwrap();
            assert!(is_name(name) && !help.is_empty(), "{line}");
            assert!(families.insert(name), "{name} is there twice");
            let kind = lines.next().unwrap().strip_prefix(&format!("# TYPE {name} ")).unwrap();
            assert!(["counter", "gauge"].contains(&kind), "{name}: {kind}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
            let mut labels = BTreeSet::new();
            while let Some(sample) = lines.next_if(|line| !line.starts_with('#')) {
                let (found, value) = sample.rsplit_once(' ').unwrap();
                let value: f64 = value.parse().unwrap();
                assert!(value >= 0.0 && value.is_finite(), "{sample}");
                labels.insert(label_names(name, found));
                assert!(series.insert(found.to_owned(), value).is_none(), "{found} is there twice");
            }
            assert_eq!(labels.len(), 1, "the series of {name} have the same labels");
        }
        Self { series }
    }

    /// The sum of a metric's series that have this label, such as `class="2xx"`; all for an empty
    /// one.
    fn sum(&self, name: &str, label: &str) -> f64 {
        let mut found = self
            .series
            .iter()
            .filter(|(series, _)| series.split('{').next() == Some(name) && series.contains(label))
            .map(|(_, value)| value)
            .peekable();
        assert!(found.peek().is_some(), "no series of {name} with {label:?}");
        found.sum()
    }

    #[track_caller]
    fn assert(&self, name: &str, label: &str, expected: usize) {
        let sum = self.sum(name, label);
        assert!((sum - expected as f64).abs() < 0.5, "{name} {label}: {sum}, not {expected}");
    }
}

fn is_name(name: &str) -> bool {
    let is_start = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.starts_with(is_start) && name.chars().all(|c| is_start(c) || c.is_ascii_digit())
}

/// The names in `metric{name="value",...}`.
fn label_names<'a>(metric: &str, series: &'a str) -> Vec<&'a str> {
    let labels = series.strip_prefix(metric).unwrap_or_else(|| panic!("{series} in {metric}"));
    if labels.is_empty() {
        return Vec::new();
    }
    let labels = labels.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap();
    labels
        .split(',')
        .map(|label| {
            let (name, value) = label.split_once('=').unwrap();
            let value = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap();
            assert!(is_name(name) && !value.contains(['"', '\\', '\n']), "{series}");
            name
        })
        .collect()
}

/// A client that counts bytes.
struct Counting {
    client: Client,
    sent: usize,
    received: usize,
}

impl Counting {
    fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.sent += bytes.as_ref().len();
        self.client.send(bytes);
    }

    fn count(&mut self, response: &Response) {
        self.received += response.head.len() + response.body.len();
    }

    fn expect(&mut self, status: u16) {
        let response = self.client.response();
        assert_eq!(response.status, status);
        self.count(&response);
    }
}

fn metrics_are_what_was_sent(engine: &str) {
    let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    let watched = Watched::start(engine, &[]);
    let connect = || Counting { client: watched.server.connect(), sent: 0, received: 0 };
    let (mut first, mut second, mut refused) = (connect(), connect(), connect());
    first.send(request("GET", "/").repeat(5));
    (0..5).for_each(|_| first.expect(200));
    first.send(request("GET", "/nothing"));
    first.expect(404);
    first.send(request("GET", "/status/503"));
    first.expect(503);
    first.send(post("/echo", &b"x".repeat(200_000)));
    first.expect(200);
    second.send(request("GET", "/status/301"));
    second.expect(301);
    second.send(request("HEAD", "/"));
    let head = second.client.head();
    second.count(&head);
    second.send("POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n");
    second.send("Content-Length: 4\r\n\r\n");
    let interim = second.client.head();
    assert_eq!(interim.status, 100);
    second.count(&interim);
    second.send("body");
    second.expect(200);
    second.send(request("GET", "/bytes/1000000"));
    second.expect(200);
    second.send(request("GET", "/sleep?ms=20"));
    second.expect(200);
    refused.send("nonsense\r\n\r\n");
    refused.expect(400);
    refused.client.expect_end();

    // An answer that is here was counted before it left: nothing has to be waited for.
    let metrics = watched.metrics();
    let (sent, received) = [&first, &second, &refused]
        .iter()
        .fold((0, 0), |sums, client| (sums.0 + client.sent, sums.1 + client.received));
    metrics.assert("ringserve_requests_total", "", 13);
    metrics.assert("ringserve_requests_refused_total", "", 1);
    for (class, count) in [("2xx", 10), ("3xx", 1), ("4xx", 2), ("5xx", 1)] {
        metrics.assert("ringserve_responses_total", &format!("class=\"{class}\""), count);
    }
    metrics.assert("ringserve_received_bytes_total", "", sent);
    metrics.assert("ringserve_written_bytes_total", "", received);
    metrics.assert("ringserve_connections_accepted_total", "", 3);
    assert!(metrics.sum("ringserve_connections_peak", "") >= 2.0);
    let at_least_one = ["enters", "completions", "sends"];
    for name in at_least_one.map(|name| format!("ringserve_engine_{name}_total")) {
        assert!(metrics.sum(&name, "") >= 1.0, "{name}");
    }
    for name in ["cq_overflows", "accept_errors"] {
        metrics.assert(&format!("ringserve_engine_{name}_total"), "", 0);
    }
    for shard in ["shard=\"0\"", "shard=\"1\""] {
        assert!(metrics.sum("ringserve_shard_cpu_seconds_total", shard) > 0.0);
    }
    assert!(metrics.sum("process_cpu_seconds_total", "") > 0.0);
    assert!(metrics.sum("process_resident_memory_bytes", "") > 1e6);
    assert!(metrics.sum("process_open_fds", "") < metrics.sum("process_max_fds", ""));
    let started = metrics.sum("process_start_time_seconds", "");
    assert!(before <= started && started < before + PATIENCE.as_secs_f64());
    let build = format!("version=\"{}\",engine=\"{engine}\"", env!("CARGO_PKG_VERSION"));
    metrics.assert("ringserve_build_info", &build, 1);

    drop((first, second, refused));
    let metrics = watched.metrics_when("the end of all connections", |metrics| {
        metrics.sum("ringserve_connections_open", "") < 0.5
    });
    metrics.assert("ringserve_connections_closed_total", "", 3);
    metrics.assert("ringserve_connections_closed_total", "reason=\"client\"", 2);
    metrics.assert("ringserve_connections_closed_total", "reason=\"server\"", 1);
    let said = watched.stop();
    assert!(said.contains("stopped after 13 requests on 3 connections (1 refused,"), "{said}");
}

fn timeouts_and_connections_turned_away_are_counted(engine: &str) {
    let watched = Watched::start(
        engine,
        &[
            ["--shards", "1"],
            ["--max-connections", "3"],
            ["--header-timeout", "100ms"],
            ["--body-timeout", "100ms"],
            ["--keepalive-timeout", "300ms"],
        ]
        .concat(),
    );
    let mut head = watched.server.connect();
    head.send("GET / HT");
    let mut body = watched.server.connect();
    body.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf");
    let mut idle = watched.server.connect();
    assert_eq!(idle.exchange(request("GET", "/")).status, 200);
    assert_eq!(watched.server.connect().response().status, 503);
    assert_eq!(head.response().status, 408);
    assert_eq!(body.response().status, 408);
    idle.expect_end();
    let metrics = watched.metrics_when("the idle timeout", |metrics| {
        metrics.sum("ringserve_timeouts_total", "kind=\"idle\"") > 0.5
    });
    for (kind, count) in [("header", 1), ("body", 1), ("idle", 1), ("send", 0)] {
        metrics.assert("ringserve_timeouts_total", &format!("kind=\"{kind}\""), count);
    }
    metrics.assert("ringserve_connections_turned_away_total", "", 1);
    metrics.assert("ringserve_responses_total", "class=\"4xx\"", 2);
    metrics.assert("ringserve_responses_total", "class=\"5xx\"", 1);
}

fn health_and_metrics_stay_until_the_end_of_a_drain(engine: &str) {
    let mut watched = Watched::start(engine, &["--drain-timeout", "60s"]);
    let mut kept = Client::connect(watched.admin);
    assert_eq!(kept.exchange(request("GET", "/healthz")).text(), "ok\n");
    let mut idle = watched.server.connect();
    assert_eq!(idle.exchange(request("GET", "/")).status, 200);
    let mut uploading = watched.server.connect();
    uploading.send("POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n");
    uploading.send("Content-Length: 4\r\n\r\n");
    assert_eq!(uploading.head().status, 100);
    watched.metrics().assert("ringserve_draining", "", 0);

    watched.server.signal(Signal::TERM);
    idle.expect_end();
    assert_eq!(watched.health(), (503, "draining\n".to_owned()));
    assert_eq!(kept.exchange(request("GET", "/healthz")).status, 503);
    let metrics = watched.metrics_when("the idle connection's end", |metrics| {
        metrics.sum("ringserve_connections_open", "") < 1.5
    });
    metrics.assert("ringserve_draining", "", 1);
    metrics.assert("ringserve_connections_open", "", 1);
    uploading.send("done");
    assert_eq!(uploading.response().text(), "done");
    uploading.half_close();
    assert_eq!(watched.server.wait().code(), Some(0));
    assert!(TcpStream::connect_timeout(&watched.admin, PATIENCE).is_err());
}

fn the_admin_address_keeps_to_its_routes(engine: &str) {
    let watched = Watched::start(engine, &[]);
    let mut client = Client::connect(watched.admin);
    for _ in 0..3 {
        let response = client.exchange(request("GET", "/healthz?verbose"));
        assert_eq!((response.status, response.text()), (200, "ok\n"));
        assert!(response.header("Date").is_some());
    }
    client.send(request("HEAD", "/metrics"));
    let head = client.head();
    assert_eq!(head.status, 200);
    assert!(head.header("Content-Length").unwrap().parse::<usize>().unwrap() > 1000);
    for path in ["/", "/metrics/", "/plaintext", "/healthz/x"] {
        assert_eq!(client.exchange(request("GET", path)).status, 404, "{path}");
    }
    for method in ["DELETE", "OPTIONS", "BREW"] {
        let response = client.exchange(request(method, "/metrics"));
        assert_eq!((response.status, response.header("Allow")), (405, Some("GET, HEAD")));
    }
    // What comes in pieces is read as it comes.
    for byte in request("GET", "/healthz").bytes() {
        client.send([byte]);
    }
    assert_eq!(client.response().status, 200);
    for (bad, status) in [
        (post("/metrics", b"body"), 413),
        (b"GET /metrics HTTP/1.1\r\n\r\n".to_vec(), 400),
        (request("GET", &"/x".repeat(5000)).into_bytes(), 414),
    ] {
        let mut client = Client::connect(watched.admin);
        let response = client.exchange(bad);
        assert_eq!((response.status, response.header("Connection")), (status, Some("close")));
        client.expect_end();
    }
    // The requests of the server proper are not those of its admin address.
    watched.metrics().assert("ringserve_connections_accepted_total", "", 0);
    let taken = watched.admin.to_string();
    let listen = ["--listen", "127.0.0.1:0", "--shards", "1", "--admin", &taken];
    let output = command(&listen).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains(&format!("cannot listen on {taken}")), "{stderr}");
}

fn admin_clients_are_bounded(engine: &str) {
    let times = ["--header-timeout", "1s", "--send-timeout", "100ms"];
    let watched = Watched::start(engine, &[&times[..], &["--keepalive-timeout", "100ms"]].concat());
    // Those that do not come to an end are let go after a while, and one more has no place.
    let mut slow: Vec<Client> = (0..64).map(|_| Client::connect(watched.admin)).collect();
    slow.iter_mut().for_each(|client| client.send("GET /metr"));
    let mut surplus = TcpStream::connect_timeout(&watched.admin, PATIENCE).unwrap();
    surplus.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(matches!(surplus.read(&mut [0; 1]), Ok(0) | Err(_)), "one too many was answered");
    slow.iter_mut().for_each(Client::expect_end);
    drop(slow);
    // One that does not wait for its answers gets one, and the end.
    let mut hasty = Client::connect(watched.admin);
    hasty.send(request("GET", "/metrics").repeat(100));
    assert_eq!(hasty.response().header("Connection"), Some("close"));
    hasty.expect_end();
    // One that has said all it has to say is let go, too.
    let mut idle = Client::connect(watched.admin);
    assert_eq!(idle.exchange(request("GET", "/healthz")).status, 200);
    idle.expect_end();
    assert_eq!(watched.health().0, 200);
}

/// A folder of its own, removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str, engine: &str) -> Self {
        let name = format!("ringserve-{name}-{engine}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn path(&self, file: &str) -> String {
        self.0.join(file).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder that is left behind harms nobody.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Waits until the file has so many lines.
fn lines_of(path: impl AsRef<Path>, count: usize) -> Vec<String> {
    let start = Instant::now();
    loop {
        let text = fs::read_to_string(&path).unwrap_or_default();
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        if lines.len() >= count && text.ends_with('\n') {
            assert_eq!(lines.len(), count, "{lines:#?}");
            return lines;
        }
        assert!(start.elapsed() < PATIENCE, "{} of {count} lines: {lines:#?}", lines.len());
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

/// Checks what is before the request of a line and takes it off.
fn after_time(line: &str) -> &str {
    let rest = line.strip_prefix("127.0.0.1 - - [").unwrap_or_else(|| panic!("{line}"));
    let (time, rest) = rest.split_at(26);
    // 10/Oct/2000:13:55:36 +0000
    let shape: String = time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    let month = &time[3..6];
    assert_eq!(shape, format!("00/{month}/0000:00:00:00 +0000"), "{line}");
    assert!("JanFebMarAprMayJunJulAugSepOctNovDec".contains(month));
    rest.strip_prefix("] ").unwrap_or_else(|| panic!("{line}"))
}

fn every_answer_has_a_line(engine: &str) {
    let folder = Folder::new("lines", engine);
    let path = folder.path("access.log");
    let arguments = [
        ["--access-log", &path],
        ["--header-timeout", "300ms"],
        ["--body-timeout", "300ms"],
        ["--max-body-bytes", "100000"],
        ["--shards", "1"],
    ];
    let watched = Watched::start(engine, &arguments.concat());
    let mut client = watched.server.connect();
    client.send(
        "GET /?a=b HTTP/1.1\r\nHost: h\r\nReferer: http://r/\r\nUser-Agent: x \"y\" \\\r\n\r\n",
    );
    assert_eq!(client.response().status, 200);
    client.send(request("HEAD", "/"));
    assert_eq!(client.head().status, 200);
    client.send(request("GET", "/json") + &request("GET", "/nothing") + &request("BREW", "/"));
    let lengths = [200, 404, 501].map(|status| {
        let response = client.response();
        assert_eq!(response.status, status);
        response.body.len()
    });
    // In pieces: its head is kept; long: it is sent in pieces; late; without content.
    client.send("POST /echo HTTP/1.1\r\nHost: h\r\nUser-Agent: z\r\nContent-Length: 8\r\n\r\n");
    client.send("in t");
    client.send("wo s");
    assert_eq!(client.response().text(), "in two s");
    assert_eq!(client.exchange(request("GET", "/bytes/1000000")).body.len(), 1_000_000);
    assert_eq!(client.exchange(request("GET", "/sleep?ms=20")).status, 200);
    assert_eq!(client.exchange(request("OPTIONS", "*")).status, 204);
    // Refused: while the head is read, because of it, and in the body.
    for (bad, status) in [
        (&b"\x16\x03\x01 nonsense\r\n\r\n"[..], 400),
        (b"POST /echo HTTP/1.1\r\nHost: h\r\nReferer: r\r\nContent-Length: 100001\r\n\r\n", 413),
        (b"POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", 400),
    ] {
        let mut client = watched.server.connect();
        assert_eq!(client.exchange(bad).status, status);
        client.expect_end();
    }
    // Given up: in the head, in the body, and by the client.
    for start in
        ["GET /slow HTTP/1.1\r\nHo", "PUT /slow HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nx"]
    {
        let mut client = watched.server.connect();
        client.send(start);
        assert_eq!(client.response().status, 408);
    }
    let mut client = watched.server.connect();
    client.send("GET /cut");
    client.half_close();
    assert_eq!(client.response().status, 400);

    // The server is idle now, and yet they come.
    let lines = lines_of(&path, 15);
    let [json, not_found, not_implemented] = lengths;
    let expected = [
        "\"GET /?a=b HTTP/1.1\" 200 13 \"http://r/\" \"x \\x22y\\x22 \\x5C\"".to_owned(),
        "\"HEAD / HTTP/1.1\" 200 0 \"-\" \"-\"".to_owned(),
        format!("\"GET /json HTTP/1.1\" 200 {json} \"-\" \"-\""),
        format!("\"GET /nothing HTTP/1.1\" 404 {not_found} \"-\" \"-\""),
        format!("\"BREW / HTTP/1.1\" 501 {not_implemented} \"-\" \"-\""),
        "\"POST /echo HTTP/1.1\" 200 8 \"-\" \"z\"".to_owned(),
        "\"GET /bytes/1000000 HTTP/1.1\" 200 1000000 \"-\" \"-\"".to_owned(),
        "\"GET /sleep?ms=20 HTTP/1.1\" 200 16 \"-\" \"-\"".to_owned(),
        "\"OPTIONS * HTTP/1.1\" 204 0 \"-\" \"-\"".to_owned(),
        "\"\\x16\\x03\\x01 nonsense\" 400 ".to_owned(),
        "\"POST /echo HTTP/1.1\" 413 ".to_owned(),
        "\"POST /echo HTTP/1.1\" 400 ".to_owned(),
        "\"GET /slow HTTP/1.1\" 408 ".to_owned(),
        "\"PUT /slow HTTP/1.1\" 408 ".to_owned(),
        "\"GET /cut\" 400 ".to_owned(),
    ];
    for (line, expected) in lines.iter().zip(&expected) {
        let line = after_time(line);
        let whole = expected.ends_with('"');
        assert!(line == expected || (!whole && line.starts_with(expected)), "{line}: {expected}");
    }
    assert!(lines[10].ends_with(" \"r\" \"-\""), "{}", lines[10]);
    let metrics = watched.metrics();
    metrics.assert("ringserve_access_log_written_lines_total", "", 15);
    metrics.assert("ringserve_access_log_dropped_lines_total", "", 0);
    metrics.assert("ringserve_requests_total", "", 9);
    // What is still in the shard's buffer is written at the end.
    assert_eq!(watched.server.connect().exchange(request("GET", "/last")).status, 404);
    let said = watched.stop();
    assert!(said.contains("16 lines logged (0 dropped, 0 failed)"), "{said}");
    assert!(lines_of(&path, 16)[15].contains("GET /last"));
}

fn a_rotated_log_is_opened_anew(engine: &str) {
    let folder = Folder::new("rotate", engine);
    let (path, old) = (folder.path("access.log"), folder.path("access.log.1"));
    let watched = Watched::start(engine, &["--access-log", &path]);
    let mut client = watched.server.connect();
    assert_eq!(client.exchange(request("GET", "/1")).status, 404);
    lines_of(&path, 1);
    fs::rename(&path, &old).unwrap();
    watched.server.signal(Signal::USR1);
    let start = Instant::now();
    while !Path::new(&path).exists() {
        assert!(start.elapsed() < PATIENCE, "the log was not opened anew");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert_eq!(client.exchange(request("GET", "/2")).status, 404);
    assert!(lines_of(&path, 1)[0].contains("GET /2"));
    assert!(lines_of(&old, 1)[0].contains("GET /1"));
    // A folder that is gone is told, and the old file goes on.
    fs::rename(&folder.0, folder.0.with_extension("moved")).unwrap();
    watched.server.signal(Signal::USR1);
    let Watched { mut server, mut stderr, .. } = watched;
    line_with(&mut stderr, "cannot reopen");
    assert_eq!(client.exchange(request("GET", "/3")).status, 404);
    fs::rename(folder.0.with_extension("moved"), &folder.0).unwrap();
    assert!(lines_of(&path, 2)[1].contains("GET /3"));
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
}

fn a_log_that_nobody_reads_drops_lines_and_never_blocks(engine: &str) {
    const REQUESTS: usize = 2_000;
    let folder = Folder::new("fifo", engine);
    let path = folder.path("fifo");
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let watched = Watched::start(engine, &["--access-log", &path, "--shards", "1"]);
    let mut client = watched.server.connect();
    // Lines of 2 KiB and more: several times what the pipe and the buffers hold.
    let burst = request("GET", &format!("/{}", "x".repeat(2_000))).repeat(10);
    for _ in 0..REQUESTS / 10 {
        client.send(&burst);
        (0..10).for_each(|_| assert_eq!(client.response().status, 404));
    }
    let dropped = "ringserve_access_log_dropped_lines_total";
    let metrics = watched.metrics_when("dropped lines", |metrics| metrics.sum(dropped, "") > 0.5);
    metrics.assert("ringserve_requests_total", "", REQUESTS);
    let Watched { mut server, mut stderr, .. } = watched;
    let line = line_with(&mut stderr, "lines dropped so far");
    assert!(line.contains(&path), "{line}");
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    let mut said = String::new();
    stderr.read_to_string(&mut said).unwrap();
    let counts = said.split(" connections ").nth(1).unwrap();
    let numbers: Vec<usize> = counts
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|number| number.parse().ok())
        .collect();
    let [_refused, _timed_out, written, dropped, failed, ..] = numbers[..] else {
        panic!("{said}")
    };
    assert_eq!((written + dropped, failed), (REQUESTS, 0), "{said}");
    assert!(written > 0 && dropped > REQUESTS / 2, "{said}");
    assert!(!said.contains("dropped so far"), "told more than once in ten seconds: {said}");
}

fn a_full_disk_costs_lines_and_is_told_once(engine: &str) {
    let watched = Watched::start(engine, &["--access-log", "/dev/full", "--shards", "1"]);
    let mut client = watched.server.connect();
    for round in 1..=2 {
        assert_eq!(client.exchange(request("GET", "/")).status, 200);
        watched.metrics_when("the failure", |metrics| {
            metrics.sum("ringserve_access_log_failed_lines_total", "") > f64::from(round) - 0.5
        });
    }
    drop(client);
    let said = watched.stop();
    assert_eq!(said.matches("access log: /dev/full: No space left").count(), 1, "{said}");
    assert!(said.contains(", 0 lines logged (0 dropped, 2 failed)"), "{said}");
}

#[test]
fn the_log_can_be_standard_error() {
    let watched = Watched::start("epoll", &["--access-log", "/dev/stderr"]);
    assert_eq!(watched.server.connect().exchange(request("GET", "/there")).status, 404);
    assert!(watched.stop().contains("\"GET /there HTTP/1.1\" 404 "));
}

#[test]
fn a_log_that_cannot_be_written_is_an_error() {
    for path in ["/nowhere/access.log", "/"] {
        let output = command(&["--listen", "127.0.0.1:0", "--access-log", path]).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), &*output.stdout), (Some(1), &b""[..]), "{stderr}");
        assert!(stderr.contains(&format!("--access-log: cannot write to {path}: ")), "{stderr}");
    }
}

/// A process that is not our child, ended when dropped.
struct Stranger(Pid);

impl Drop for Stranger {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = kill_process(self.0, Signal::KILL);
    }
}

#[test]
fn a_successor_has_the_same_admin_address() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let admin = free.local_addr().unwrap().to_string();
    drop(free);
    let arguments = ["--admin", &*admin, "--shards", "1"];
    let command = Ringserve::prepare("epoll", &["127.0.0.1:0"], &arguments);
    let mut watched = Watched::spawn(command);
    watched.server.signal(Signal::USR2);
    let line = line_with(&mut watched.stderr, "takes over");
    let pid = line.split_whitespace().nth(2).unwrap().parse().unwrap();
    let successor = Stranger(Pid::from_raw(pid).unwrap());
    watched.server.read_ready_line();
    watched.server.signal(Signal::TERM);
    assert_eq!(watched.server.wait().code(), Some(0));
    assert_eq!(watched.health(), (200, "ok\n".to_owned()));
    assert_eq!(watched.server.connect().exchange(request("GET", "/")).status, 200);
    watched.metrics().assert("ringserve_requests_total", "", 1);
    kill_process(successor.0, Signal::TERM).unwrap();
    let mut said = String::new();
    watched.stderr.read_to_string(&mut said).unwrap();
    assert!(said.contains("stopped after 1 requests"), "{said}");
}
