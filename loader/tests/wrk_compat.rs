//! wrk and ringload with the same command lines against the same servers: their reports are laid
//! beside each other, line by line and field by field. Where ringload differs on purpose, the test
//! says how, and docs/from-wrk.md why.

mod support;

use std::env;
use std::process::{Command, Stdio};

use support::{HELLO, Ran, Server, ringload};

/// Both take these.
const COMMON: [&str; 4] = ["-t1", "-c4", "-d1s", "--latency"];

/// Whether wrk can be run. Where everything must be tested it has to be there.
fn has_wrk() -> bool {
    let found = Command::new("wrk").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    let must = env::var("CI").is_ok_and(|ci| ci == "true");
    assert!(found || !must, "wrk is not installed, and CI=true asks for it: apt-get install wrk");
    if !found {
        eprintln!("skipped: wrk is not installed (apt-get install wrk)");
    }
    found
}

/// A report's part in wrk's layout.
#[derive(Debug)]
struct Report {
    lines: Vec<String>,
}

impl Report {
    fn of_wrk(args: &[&str]) -> Self {
        let ran = Ran::from(Command::new("wrk").args(args).output().expect("wrk can be started"));
        assert_eq!(ran.code, Some(0), "{ran:?}");
        Self { lines: ran.stdout.lines().map(str::to_owned).collect() }
    }

    /// ringload's own lines follow after an empty one.
    fn of_ringload(args: &[&str], code: i32) -> Self {
        let ran = ringload(args);
        assert_eq!(ran.code, Some(code), "{ran:?}");
        let wrks = ran.stdout.lines().take_while(|line| !line.is_empty());
        Self { lines: wrks.map(str::to_owned).collect() }
    }

    fn line(&self, pattern: &str) -> Option<&str> {
        self.lines.iter().map(String::as_str).find(|line| line.contains(pattern))
    }

    /// The number before or behind a word, without its unit.
    fn count(&self, pattern: &str, word: usize) -> u64 {
        let line = self.line(pattern).unwrap_or_else(|| panic!("no {pattern:?} in {self:#?}"));
        let word = line.split_whitespace().nth(word).unwrap_or_default();
        word.trim_end_matches(',').parse().unwrap_or_else(|_| panic!("no count in {line:?}"))
    }

    fn requests(&self) -> u64 {
        self.count(" requests in ", 0)
    }

    /// Connect, read, write, timeout.
    fn socket_errors(&self) -> [u64; 4] {
        let found = self.line("  Socket errors: ");
        [3, 5, 7, 9].map(|word| found.map_or(0, |_| self.count("  Socket errors: ", word)))
    }

    fn bad_statuses(&self) -> u64 {
        let pattern = "  Non-2xx or 3xx responses: ";
        self.line(pattern).map_or(0, |_| self.count(pattern, 4))
    }

    /// Bytes read in all, and to within how many that is known: two decimals of a unit.
    fn bytes_read(&self) -> (f64, f64) {
        let line = self.line(" requests in ").expect("totals");
        let word = line.split_whitespace().nth(4).expect("bytes");
        let digits = word.trim_end_matches(char::is_alphabetic);
        let unit = match &word[digits.len()..] {
            "B" => 1.0,
            "KB" => 1_024.0,
            "MB" => 1_048_576.0,
            "GB" => 1_073_741_824.0,
            unit => panic!("{unit:?} is none of wrk's units"),
        };
        (digits.parse::<f64>().expect("a number") * unit, 0.005 * unit + 1.0)
    }
}

/// A line with its figures taken out: every number with its unit is `N`, any stretch of blanks one.
/// What remains is what a reader's regular expression is made of.
fn shape(line: &str) -> String {
    // wrk writes this where it divides by nothing, ringload 0.00.
    let line = line.replace("-nan", "0.00");
    let mut shape = String::new();
    let mut rest = line.as_str();
    while let Some(first) = rest.chars().next() {
        let is_in = |c: char| if first == ' ' { c == ' ' } else { c.is_ascii_digit() || c == '.' };
        let is_stretch = first == ' ' || first.is_ascii_digit();
        let len = rest.find(|c| !is_stretch || !is_in(c)).unwrap_or(rest.len());
        let len = len.max(first.len_utf8());
        let (taken, after) = rest.split_at(len);
        rest = after;
        if first.is_ascii_digit() {
            let units = ["us", "ms", "s", "m", "h", "KB", "MB", "GB", "B", "k", "M"];
            let unit = units.iter().find_map(|unit| {
                rest.strip_prefix(unit).filter(|rest| !rest.starts_with(char::is_alphanumeric))
            });
            rest = unit.unwrap_or(rest);
            shape.push('N');
        } else {
            shape.push_str(if is_stretch { " " } else { taken });
        }
    }
    shape.trim_end().to_owned()
}

/// Lines in which every field has its column: a reader may cut them by position.
fn has_columns(line: &str) -> bool {
    let starts = ["  Thread Stats", "    Latency ", "    Req/Sec ", "     ", "Requests/sec:"];
    starts.iter().any(|start| line.starts_with(start))
}

fn same_layout(wrk: &Report, ours: &Report) {
    let shapes = |report: &Report| report.lines.iter().map(|line| shape(line)).collect::<Vec<_>>();
    assert_eq!(shapes(wrk), shapes(ours), "left is wrk's:\n{wrk:#?}\nright is ours:\n{ours:#?}");
    for (wrk, ours) in wrk.lines.iter().zip(&ours.lines) {
        assert!(!has_columns(wrk) || wrk.len() == ours.len(), "{wrk:?} {ours:?}");
    }
    assert_eq!(wrk.lines[..2], ours.lines[..2], "title and threads are the same to the letter");
}

/// Bytes per response, as far as two decimals of a unit and the responses that were cut off tell.
fn check_bytes(report: &Report, response_len: usize) {
    let (bytes, known_to) = report.bytes_read();
    let of_whole = report.requests() as f64 * response_len as f64;
    let cut_off = 4.0 * response_len as f64;
    assert!((-known_to..=known_to + cut_off).contains(&(bytes - of_whole)), "{report:#?}");
}

/// Runs both with these flags and looks at what both must have in common.
fn both(server: &Server, args: &[&str], ringload_code: i32) -> (Report, Report) {
    let url = server.url();
    let args = [&COMMON[..], args, &[&url]].concat();
    (Report::of_wrk(&args), Report::of_ringload(&args, ringload_code))
}

/// The last request that a server has seen, its fields in order.
fn last_request(server: &Server) -> (Vec<String>, Vec<u8>) {
    let (head, body) = server.seen.last.lock().expect("not poisoned").clone();
    let mut lines: Vec<_> = head.trim_end().lines().map(str::to_owned).collect();
    // wrk's order is that of a Lua table.
    lines[1..].sort();
    (lines, body)
}

#[test]
fn the_shape_of_a_line() {
    assert_eq!(shape("    Latency   635.91us    0.89ms  93.69%"), " Latency N N N%");
    assert_eq!(shape("  22464 requests in 30.00s, 17.76GB read"), " N requests in N, N read");
    assert_eq!(shape("Requests/sec: 748868.53"), "Requests/sec: N");
    assert_eq!(shape("     99%    1.50s "), " N% N");
    assert_eq!(shape("  2 threads and 4 connections"), " N threads and N connections");
}

#[test]
fn a_server_that_answers() {
    if !has_wrk() {
        return;
    }
    let (for_wrk, for_us) = (Server::answering(HELLO), Server::answering(HELLO));
    let headers = ["-H", "Accept: text/*", "-H", "X-Token: a b"];
    let wrk = Report::of_wrk(&[&COMMON[..], &headers, &[&for_wrk.url()]].concat());
    let ours = Report::of_ringload(&[&COMMON[..], &headers, &[&for_us.url()]].concat(), 0);
    for (report, server) in [(&wrk, &for_wrk), (&ours, &for_us)] {
        assert_eq!((report.socket_errors(), report.bad_statuses()), ([0; 4], 0), "{report:#?}");
        check_bytes(report, HELLO.len());
        let left = server.requests() - report.requests();
        assert!(left <= 4, "one that is under way for each connection: {left}");
    }
    let sent = |server: &Server| {
        let (mut lines, body) = last_request(server);
        lines.retain(|line| !line.starts_with("Host: "));
        (lines, body)
    };
    assert_eq!(sent(&for_wrk), sent(&for_us), "left is wrk's");
    let host =
        |server: &Server| last_request(server).0.contains(&format!("Host: {}", server.address));
    assert!(host(&for_wrk) && host(&for_us));
    let (wrk, ours) = both(&for_us, &headers, 0);
    same_layout(&wrk, &ours);
}

#[test]
fn without_latency() {
    if !has_wrk() {
        return;
    }
    let server = Server::answering(HELLO);
    let url = server.url();
    let args = ["-t", "1", "-c", "4", "-d", "1", &url];
    same_layout(&Report::of_wrk(&args), &Report::of_ringload(&args, 0));
}

#[test]
fn a_script_that_posts() {
    if !has_wrk() {
        return;
    }
    let server = Server::answering(HELLO);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scripts/post.lua");
    let url = server.url();
    let args = [&COMMON[..], &["-s", script, &url]].concat();
    let wrk = Report::of_wrk(&args);
    let sent = last_request(&server);
    let ours = Report::of_ringload(&args, 0);
    assert_eq!(last_request(&server), sent, "right is wrk's");
    assert!(!sent.1.is_empty(), "a body");
    same_layout(&wrk, &ours);
    for report in [&wrk, &ours] {
        check_bytes(report, HELLO.len());
        assert_eq!(report.socket_errors(), [0; 4]);
    }
}

#[test]
fn a_page_that_is_not_there() {
    if !has_wrk() {
        return;
    }
    let response = "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone";
    // With nothing but errors ringload ends with 1; wrk always with 0.
    let (wrk, ours) = both(&Server::answering(response), &[], 1);
    same_layout(&wrk, &ours);
    for report in [&wrk, &ours] {
        assert_eq!(report.bad_statuses(), report.requests(), "{report:#?}");
        assert_eq!(report.socket_errors(), [0; 4], "{report:#?}");
        check_bytes(report, response.len());
    }
}

#[test]
fn a_redirect_is_no_error() {
    if !has_wrk() {
        return;
    }
    let response = "HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n";
    let (wrk, ours) = both(&Server::answering(response), &[], 0);
    same_layout(&wrk, &ours);
    assert_eq!((wrk.bad_statuses(), ours.bad_statuses()), (0, 0));
}

#[test]
fn a_server_that_says_that_it_closes() {
    if !has_wrk() {
        return;
    }
    let server = Server::start(|mut client| {
        client.read_request()?;
        client.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
    });
    let (wrk, ours) = both(&server, &[], 0);
    same_layout(&wrk, &ours);
    assert_eq!((wrk.socket_errors(), ours.socket_errors()), ([0; 4], [0; 4]));
}

/// Both call it a read error. The numbers differ: wrk connects again as fast as it can, ringload
/// more and more slowly while connections bring nothing.
#[test]
fn a_server_that_closes_instead_of_answering() {
    if !has_wrk() {
        return;
    }
    let server = Server::start(|mut client| {
        client.read_request()?;
        client.write(b"HTTP/1.1 200 OK\r\nContent-Le")
    });
    let (wrk, ours) = both(&server, &[], 1);
    same_layout(&wrk, &ours);
    for report in [&wrk, &ours] {
        assert_eq!(report.requests(), 0, "{report:#?}");
        let [connect, read, write, timeout] = report.socket_errors();
        assert!(connect == 0 && read >= 4 && timeout == 0, "{report:#?}");
        assert_eq!(write, 0, "{report:#?}");
    }
}

/// With a request under way that is a read error for both: nobody can tell whether it was done.
#[test]
fn a_server_that_closes_without_a_word() {
    if !has_wrk() {
        return;
    }
    let server = Server::start(|mut client| {
        for _ in 0..10 {
            client.read_request()?;
            client.write(HELLO.as_bytes())?;
        }
        // The eleventh request is read, so that the end is no reset.
        client.read_request().map(|_| ())
    });
    let (wrk, ours) = both(&server, &[], 0);
    same_layout(&wrk, &ours);
    for report in [&wrk, &ours] {
        let [connect, read, write, timeout] = report.socket_errors();
        assert_eq!((connect, write, timeout), (0, 0, 0), "{report:#?}");
        assert!(read.abs_diff(report.requests() / 10) <= 4, "one in ten: {report:#?}");
    }
}

/// While a connection is idle a server may close it (RFC 9112 9.3): wrk counts that as a read error
/// as well, ringload does not.
#[test]
fn a_server_that_closes_idle_connections() {
    if !has_wrk() {
        return;
    }
    let server = Server::start(|mut client| {
        client.read_request()?;
        client.write(HELLO.as_bytes())
    });
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scripts/idle.lua");
    let (wrk, ours) = both(&server, &["-s", script], 0);
    let [_, read, ..] = wrk.socket_errors();
    assert!(read > 0 && read.abs_diff(wrk.requests()) <= 4, "{wrk:#?}");
    assert_eq!((ours.requests() > 0, ours.socket_errors()), (true, [0; 4]), "{ours:#?}");
}

/// wrk counts a timeout when a response has come too late, and so none while none comes. ringload
/// gives up the request when its time is over.
#[test]
fn a_server_that_hangs() {
    if !has_wrk() {
        return;
    }
    let server = Server::start(|mut client| client.hang());
    let url = server.url();
    let args = ["-t1", "-c4", "-d3s", "--timeout", "1s", &url];
    let (wrk, ours) = (Report::of_wrk(&args), Report::of_ringload(&args, 1));
    assert_eq!((wrk.requests(), wrk.socket_errors()), (0, [0; 4]), "{wrk:#?}");
    assert_eq!(ours.requests(), 0);
    let [connect, read, write, timeout] = ours.socket_errors();
    assert_eq!((connect, read, write), (0, 0, 0), "{ours:#?}");
    assert!((4..=12).contains(&timeout), "once or more on each of four connections: {ours:#?}");
}

/// wrk2 is in no distribution: what is compared with is its layout, as published in its README.
/// What it prints of its calibration has no counterpart, as nothing is calibrated here.
#[test]
fn the_layout_of_wrk2() {
    let server = Server::answering(HELLO);
    let ran = ringload(&["-t1", "-c4", "-d1s", "-R", "500", "-L", "-U", &server.url()]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let shapes: Vec<_> = ran.stdout.lines().map(shape).collect();
    let spectrum = |of: &str| {
        let mut lines = vec![format!(" Latency Distribution (HdrHistogram - {of})")];
        lines.extend(["N% N"; 8].map(str::to_owned));
        // The first three rows are indented by a blank: 50.000% to 99.999% are shorter than 100.000%.
        lines[1..8].iter_mut().for_each(|line| line.insert(0, ' '));
        lines.extend(["", " Detailed Percentile spectrum:"].map(str::to_owned));
        lines.extend([" Value Percentile TotalCount N/(N-Percentile)", ""].map(str::to_owned));
        lines
    };
    let mut expected = vec![
        format!("Running N test @ {}", shape(&server.url())),
        " N threads and N connections".to_owned(),
        " Thread Stats Avg Stdev Max +/- Stdev".to_owned(),
        " Latency N N N N%".to_owned(),
        " Req/Sec N N N N%".to_owned(),
    ];
    let rows_end = [
        " N N N inf",
        "#[Mean = N, StdDeviation = N]",
        "#[Max = N, Total count = N]",
        "#[Buckets = N, SubBuckets = N]",
        "----------------------------------------------------------",
    ];
    expected.extend(spectrum("Recorded Latency"));
    expected.extend(rows_end.map(str::to_owned));
    expected.push(String::new());
    let uncorrected = "Uncorrected Latency (measured without taking delayed starts into account)";
    expected.extend(spectrum(uncorrected));
    expected.extend(rows_end.map(str::to_owned));
    expected.extend(
        [" N requests in N, N read", "Requests/sec: N", "Transfer/sec: N", ""].map(str::to_owned),
    );
    // Rows of the tables, of which there are as many as the latencies need, all of one shape.
    let found: Vec<_> = shapes.into_iter().filter(|shape| shape != " N N N N").collect();
    assert_eq!(found[..expected.len()], expected, "{}", ran.stdout);
}
