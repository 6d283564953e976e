//! The program from outside: the real binary against servers that behave and servers that do not.

mod support;

use std::process::Stdio;
use std::sync::mpsc::channel;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use support::{HELLO, Ran, Server, command, ringload, ringload_json};

const ERROR_KINDS: [&str; 5] = ["connect", "read", "write", "timeout", "status"];

fn number(report: &Value, pointer: &str) -> u64 {
    let found = report.pointer(pointer).and_then(Value::as_u64);
    found.unwrap_or_else(|| panic!("no number at {pointer}: {report}"))
}

fn no_errors(report: &Value) {
    for kind in ERROR_KINDS {
        assert_eq!(number(report, &format!("/errors/{kind}")), 0, "{kind}: {report}");
    }
}

/// A run of 60 requests against a server that is in order, whatever its ways.
fn sixty(server: &Server, args: &[&str]) -> Value {
    let url = server.url();
    let fixed = ["-n", "60", "-c", "3", "-t", "2", url.as_str()];
    let report = ringload_json(&[&fixed, args].concat()).json(0);
    assert_eq!(number(&report, "/requests"), 60);
    assert_eq!(number(&report, "/latency_us/count"), 60);
    no_errors(&report);
    report
}

/// Of a run by [`sixty`].
fn one_request_per_connection(report: &Value) {
    let opened = number(report, "/connections/opened");
    // Two that end together are both replaced, even if one request is left.
    assert!((60..=61).contains(&opened), "{report}");
    assert_eq!(number(report, "/reconnects"), opened - 3);
}

#[test]
fn the_report_has_the_lines_of_wrk() {
    let server = Server::answering(HELLO);
    let ran = ringload(&["-t1", "-c2", "-d1s", "--latency", &server.url()]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.stderr, "", "no progress without a terminal");
    let mut lines = ran.stdout.lines();
    assert_eq!(lines.next(), Some(format!("Running 1s test @ {}", server.url()).as_str()));
    for start in [
        "  1 threads and 2 connections",
        "  Thread Stats   Avg      Stdev     Max   +/- Stdev",
        "    Latency  ",
        "    Req/Sec  ",
        "  Latency Distribution",
        "     50%",
        "     75%",
        "     90%",
        "     99%",
    ] {
        let line = lines.next().unwrap_or_default();
        assert!(line.starts_with(start), "{start:?}: {line:?}");
    }
    let totals = lines.next().unwrap_or_default();
    assert!(totals.contains(" requests in 1.0") && totals.ends_with(" read"), "{totals}");
    assert!(lines.next().is_some_and(|line| line.starts_with("Requests/sec: ")));
    assert!(lines.next().is_some_and(|line| line.starts_with("Transfer/sec: ")));
}

#[test]
fn exactly_n_requests_are_completed_and_none_more_is_sent() {
    let server = Server::answering(HELLO);
    let url = server.url();
    let report = ringload_json(&["-n", "1001", "-c", "7", "-t", "3", &url]).json(0);
    assert_eq!(number(&report, "/requests"), 1_001);
    assert_eq!(number(&report, "/status/2xx"), 1_001);
    assert_eq!(number(&report, "/bytes_read"), 1_001 * HELLO.len() as u64);
    assert_eq!(server.requests(), 1_001);
    assert_eq!(number(&report, "/connections/opened"), 7);
    no_errors(&report);
}

#[test]
fn fewer_requests_than_threads() {
    let server = Server::answering(HELLO);
    let report = ringload_json(&["-n", "1", "-c", "4", "-t", "4", &server.url()]).json(0);
    assert_eq!((number(&report, "/requests"), server.requests()), (1, 1));
}

#[test]
fn a_run_lasts_as_long_as_it_was_told_to() {
    let server = Server::answering(HELLO);
    let report = ringload_json(&["-d", "300ms", "-c", "2", &server.url()]).json(0);
    let duration_us = number(&report, "/duration_us");
    assert!((300_000..600_000).contains(&duration_us), "{duration_us}");
    let rate = report["requests_per_sec"].as_f64().unwrap_or_default();
    let expected = number(&report, "/requests") as f64 * 1e6 / duration_us as f64;
    assert!((rate / expected - 1.0).abs() < 1e-3, "{rate} {expected}");
}

#[test]
fn more_threads_than_cores() {
    let server = Server::answering(HELLO);
    let report = ringload_json(&["-t12", "-c12", "-n", "240", &server.url()]).json(0);
    assert_eq!((number(&report, "/requests"), number(&report, "/shards")), (240, 12));
}

#[test]
fn pipelined_requests_leave_in_bursts() {
    // Whoever sends fewer than eight at once waits for ever.
    let server = Server::start(|mut client| {
        loop {
            for _ in 0..8 {
                if !client.read_request()? {
                    return Ok(());
                }
            }
            client.write(HELLO.repeat(8).as_bytes())?;
        }
    });
    let report = ringload_json(&["-p8", "-n96", "-c3", "-t1", &server.url()]).json(0);
    assert_eq!((number(&report, "/requests"), number(&report, "/pipeline_depth")), (96, 8));
    assert_eq!(number(&report, "/latency_us/count"), 96, "each request has its latency");
    no_errors(&report);
}

#[test]
fn a_body_and_headers_arrive_as_given() {
    let server = Server::answering(HELLO);
    let args = ["-b", r#"{"sequence":7}"#, "-H", "Content-Type: application/json"];
    sixty(&server, &args);
    let (head, body) = server.seen.last.lock().unwrap().clone();
    assert_eq!(body, br#"{"sequence":7}"#);
    let expected = format!(
        "POST / HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: 14\r\n\r\n",
        server.address
    );
    assert_eq!(head, expected);
}

#[test]
fn the_response_to_head_has_no_body() {
    let server = Server::answering("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
    sixty(&server, &["-m", "HEAD"]);
}

#[test]
fn chunked_and_interim_responses() {
    let chunked = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n\
                   HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                   5\r\nHello\r\n7;x=y\r\n, World\r\n0\r\nTrailer: z\r\n\r\n";
    let server = Server::answering(chunked);
    let report = sixty(&server, &["-p", "3"]);
    assert_eq!((number(&report, "/status/1xx"), number(&report, "/status/2xx")), (0, 60));
}

#[test]
fn a_response_in_many_pieces() {
    let server = Server::start(|mut client| {
        while client.read_request()? {
            for piece in HELLO.as_bytes().chunks(5) {
                client.write(piece)?;
            }
        }
        Ok(())
    });
    sixty(&server, &[]);
}

#[test]
fn a_large_body_comes_through() {
    let body = "x".repeat(100_000);
    let server =
        Server::answering(format!("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{body}"));
    let report = sixty(&server, &[]);
    assert!(number(&report, "/bytes_read") > 6_000_000);
}

#[test]
fn a_server_that_closes_after_each_response_is_no_error() {
    let server = Server::start(|mut client| {
        client.read_request()?;
        client.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
    });
    let report = sixty(&server, &[]);
    one_request_per_connection(&report);
}

#[test]
fn a_request_that_asks_for_the_end_is_the_last_on_its_connection() {
    // The server pays no heed and would go on.
    let server = Server::answering(HELLO);
    let report = sixty(&server, &["-H", "Connection: close"]);
    one_request_per_connection(&report);
    assert!(!report["notes"].to_string().contains("closed by the server"), "{report}");
}

#[test]
fn connections_are_closed_after_so_many_answers() {
    let (sender, ends) = channel();
    let server = Server::start(move |mut client| {
        let (mut requests, mut unread) = (0, true);
        while unread {
            unread = client.read_request()?;
            if unread {
                requests += 1;
                client.write(HELLO.as_bytes())?;
            }
        }
        // Only an orderly end comes here, not a reset.
        let _ = sender.send(requests);
        Ok(())
    });
    let args = ["-n", "100", "-c", "3", "-t", "1", "--requests-per-connection", "7"];
    let report = ringload_json(&[&args, &[server.url().as_str()][..]].concat()).json(0);
    assert_eq!((number(&report, "/requests"), server.requests()), (100, 100));
    assert_eq!(number(&report, "/requests_per_connection"), 7);
    no_errors(&report);
    let opened = number(&report, "/connections/opened");
    assert_eq!(number(&report, "/reconnects"), opened - 3);
    assert!(!report["notes"].to_string().contains("closed by the server"), "{report}");
    // ringload looks first whether anybody is there.
    let mut counts: Vec<u64> = (0..=opened)
        .map(|_| ends.recv_timeout(Duration::from_secs(20)).expect("every connection ends"))
        .filter(|&requests| requests > 0)
        .collect();
    counts.sort_unstable();
    assert_eq!(counts.iter().sum::<u64>(), 100);
    let full = counts.iter().filter(|&&requests| requests == 7).count();
    assert!(full >= 12 && counts.len() - full <= 3 && counts.ends_with(&[7]), "{counts:?}");
}

#[test]
fn one_request_for_each_connection() {
    let server = Server::answering(HELLO);
    one_request_per_connection(&sixty(&server, &["--requests-per-connection", "1"]));
    let text = ringload(&["-n2", "-c1", "--requests-per-connection", "1", &server.url()]);
    assert!(
        text.stdout.contains(
            " 1 reconnects, at most 1 requests each
"
        ),
        "{text:?}"
    );
}

#[test]
fn the_last_burst_of_a_connection_is_cut_short() {
    // Whoever sends anything but three and two waits for ever.
    let server = Server::start(|mut client| {
        for burst in [3, 2] {
            for _ in 0..burst {
                if !client.read_request()? {
                    return Ok(());
                }
            }
            client.write(HELLO.repeat(burst).as_bytes())?;
        }
        client.hang()
    });
    // One connection at a time: of several, one could be left with the rest of -n.
    let url = server.url();
    let args = ["-n60", "-c1", "-t1", "-p3", "--requests-per-connection", "5", &url];
    let report = ringload_json(&args).json(0);
    no_errors(&report);
    assert_eq!(number(&report, "/requests"), 60);
    assert_eq!(number(&report, "/pipeline_depth"), 3);
    assert_eq!(number(&report, "/reconnects"), 11, "{report}");
}

#[test]
fn a_body_that_lasts_as_long_as_the_connection() {
    let server = Server::start(|mut client| {
        client.read_request()?;
        client.write(b"HTTP/1.0 200 OK\r\n\r\nuntil the end")
    });
    let report = sixty(&server, &[]);
    assert!(number(&report, "/reconnects") >= 57);
}

#[test]
fn a_hung_server_makes_timeouts() {
    let server = Server::start(|mut client| client.hang());
    let ran = ringload_json(&["-d", "1s", "-c", "4", "--timeout", "200ms", &server.url()]);
    let report = ran.json(1);
    assert_eq!(number(&report, "/requests"), 0);
    // Four at a time, every 200 ms and a little.
    let timeouts = number(&report, "/errors/timeout");
    let most = 4 * (number(&report, "/duration_us") / 200_000);
    assert!((8..=most).contains(&timeouts), "{timeouts} of {most}");
    let message = format!("ringload: {} gave no response in 200ms\n", server.address);
    assert_eq!(ran.stderr, message);
}

#[test]
fn a_listener_that_does_not_accept_makes_timeouts_too() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let report = ringload_json(&["-d", "500ms", "-c", "2", "--timeout", "100ms", &url]).json(1);
    assert!(number(&report, "/errors/timeout") >= 2, "{report}");
}

#[test]
fn each_request_of_a_burst_times_out() {
    let server = Server::start(|mut client| {
        client.read_request()?;
        client.write(HELLO.as_bytes())?;
        client.hang()
    });
    let args = ["-d", "250ms", "-c", "1", "-p", "5", "--timeout", "150ms", &server.url()];
    let report = ringload_json(&args).json(0);
    assert_eq!((number(&report, "/requests"), number(&report, "/errors/timeout")), (2, 4));
}

#[test]
fn what_is_not_http_is_a_read_error() {
    let server = Server::start(|mut client| {
        client.write(b"SSH-2.0-OpenSSH_9.9\r\n")?;
        client.hang()
    });
    let ran = ringload_json(&["-d", "200ms", "-c", "2", &server.url()]);
    let report = ran.json(1);
    assert!(number(&report, "/errors/read") >= 2);
    assert!(ran.stderr.contains("gave no valid HTTP response"), "{ran:?}");
}

#[test]
fn a_byte_after_the_last_response_does_not_keep_a_run_going() {
    let server = Server::answering(format!("{HELLO}x"));
    let report = ringload_json(&["-n", "1", "-c", "1", &server.url()]).json(0);
    assert_eq!((number(&report, "/requests"), number(&report, "/errors/read")), (1, 1));
    assert!(number(&report, "/duration_us") < 5_000_000, "{report}");
}

#[test]
fn what_hangs_at_the_end_is_told() {
    let server = Server::start(|mut client| {
        client.read_request()?;
        client.write(HELLO.as_bytes())?;
        client.hang()
    });
    let args = ["-d", "400ms", "-c", "2", "--timeout", "5s", &server.url()];
    let report = ringload_json(&args).json(0);
    assert_eq!((number(&report, "/requests"), number(&report, "/unanswered/count")), (2, 2));
    assert!(number(&report, "/unanswered/oldest_us") > 200_000, "{report}");
    let warnings = report["warnings"].to_string();
    assert!(warnings.contains("2 requests were unanswered at the end"), "{warnings}");
}

#[test]
fn closed_pipes_are_no_failure() {
    let server = Server::answering(HELLO);
    let url = server.url();
    // Two threads on one core: there is something to say on stderr, too.
    let core = ringbench_engine::allowed_cores()[0].to_string();
    let mut child = command(&["-t2", "-c2", "-n", "100", "--cores", &core, &url])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("ringload can be started");
    drop((child.stdout.take(), child.stderr.take()));
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

#[test]
fn half_a_response_is_a_read_error() {
    let server = Server::start(|mut client| {
        client.read_request()?;
        client.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")
    });
    let ran = ringload_json(&["-d", "200ms", "-c", "2", &server.url()]);
    let report = ran.json(1);
    assert!(number(&report, "/errors/read") >= 2);
    assert!(ran.stderr.contains("closed the connection before its response was complete"));
    // Connections that lead to nothing are not reopened in a tight loop.
    assert!(number(&report, "/connections/opened") < 100, "{report}");
}

#[test]
fn requests_lost_with_a_connection_are_sent_again() {
    let server = Server::start(|mut client| {
        for _ in 0..5 {
            client.read_request()?;
            client.write(HELLO.as_bytes())?;
        }
        // Closed without a word while the next request is on its way.
        client.read_request().map(|_| ())
    });
    let report = ringload_json(&["-n", "50", "-c", "2", "-t", "1", &server.url()]).json(0);
    assert_eq!(number(&report, "/requests"), 50);
    let (read, reconnects) = (number(&report, "/errors/read"), number(&report, "/reconnects"));
    assert!(read >= 8 && reconnects >= 8, "{report}");
}

#[test]
fn error_statuses_are_counted_apart() {
    let server = Server::answering("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
    let url = server.url();
    let ran = ringload_json(&["-n", "20", "-c", "2", &url]);
    assert!(ran.stderr.contains("every response has a status above 399"), "{ran:?}");
    let report = ran.json(1);
    assert_eq!((number(&report, "/errors/status"), number(&report, "/status/5xx")), (20, 20));
    let text = ringload(&["-n", "20", "-c", "2", &url]);
    assert!(text.stdout.contains("\n  Non-2xx or 3xx responses: 20\n"), "{text:?}");
}

#[test]
fn nobody_at_the_port() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let ran = ringload(&["-d", "1s", &format!("http://{address}/")]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""));
    assert_eq!(ran.stderr, format!("ringload: cannot connect to {address}: connection refused\n"));
}

#[test]
fn a_host_that_nobody_knows() {
    let ran = ringload(&["-d", "1s", "http://no-such-host.invalid/"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""));
    assert!(ran.stderr.contains("cannot resolve the host `no-such-host.invalid`"), "{ran:?}");
}

#[test]
fn an_ipv6_literal() {
    let server = Server::start_at("[::1]:0", |mut client| {
        while client.read_request()? {
            client.write(HELLO.as_bytes())?;
        }
        Ok(())
    });
    sixty(&server, &[]);
    let head = server.seen.last.lock().unwrap().0.clone();
    assert!(head.contains(&format!("\r\nHost: [::1]:{}\r\n", server.address.port())), "{head}");
}

#[test]
fn a_name_whose_first_address_may_refuse() {
    // `localhost` is often ::1 first, where nobody listens here.
    let server = Server::answering(HELLO);
    let url = format!("http://localhost:{}/", server.address.port());
    let report = ringload_json(&["-n", "10", &url]).json(0);
    assert_eq!(number(&report, "/requests"), 10);
    let head = server.seen.last.lock().unwrap().0.clone();
    assert!(head.contains(&format!("\r\nHost: localhost:{}\r\n", server.address.port())), "{head}");
}

#[test]
fn intervals_are_told_one_per_line() {
    let server = Server::answering(HELLO);
    let args = ["--interval", "100ms", "-d", "550ms", "-c", "2", "-t", "2", &server.url()];
    let ran = ringload_json(&args);
    let report = ran.json(0);
    // On one core the two threads are warned of first.
    let told = |line: &&str| !line.starts_with("ringload: warning: ");
    let lines: Vec<Value> = ran
        .stderr
        .lines()
        .filter(told)
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    // A machine that is busy may end the run late.
    let most = number(&report, "/duration_us") / 100_000;
    assert!((1..=most).contains(&(lines.len() as u64)), "{ran:?}");
    let requests: u64 = lines.iter().map(|line| number(line, "/requests")).sum();
    let total = number(&report, "/requests");
    assert!(requests > 0 && requests <= total, "{requests} of {total}");
    assert_eq!(number(&report, "/latency_us/count"), total, "nothing is lost in between");

    let text = ringload(&args);
    let mut lines = text.stderr.lines().filter(told);
    assert!(lines.next().is_some_and(|line| line.contains("req/s")), "{text:?}");
    assert!(lines.next().is_some(), "{text:?}");
}

/// Sends a signal to a run that has got going.
fn signalled(signal: Signal) -> Ran {
    let server = Server::answering(HELLO);
    let child = command(&["--format", "json", "-d", "60s", "-c", "2", &server.url()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("ringload can be started");
    server.wait_for_requests(100);
    kill_process(Pid::from_child(&child), signal).expect("it is still running");
    child.wait_with_output().expect("it ends").into()
}

#[test]
fn an_interrupted_run_still_reports() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let ran = signalled(signal);
        let report = ran.json(code);
        assert_eq!(report["interrupted"], true);
        assert!(number(&report, "/requests") >= 50, "{report}");
        assert!(number(&report, "/duration_us") < 30_000_000);
    }
}

#[test]
fn bad_arguments() {
    for args in [
        &["-c", "0", "http://127.0.0.1/"][..],
        &["-c", "2", "-t", "3", "http://127.0.0.1/"],
        &["https://127.0.0.1/"],
        &["http://me:secret@127.0.0.1/"],
        &["-R", "0", "http://127.0.0.1/"],
        &["search", "http://127.0.0.1/"],
        &["report"],
        &[],
    ] {
        let ran = ringload(args);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{args:?}");
        assert!(ran.stderr.starts_with("error: "), "{ran:?}");
    }
}

#[test]
fn help_and_version() {
    let ran = ringload(&["-v"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "ringload 0.1.0\n"));
    let ran = ringload(&["--help"]);
    assert_eq!(ran.code, Some(0));
    for part in ["--connections", "--latency", "--batch-wait", "Load:", "Exit codes"] {
        assert!(ran.stdout.contains(part), "{part}: {}", ran.stdout);
    }
}
