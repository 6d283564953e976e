//! What becomes of connections: to servers that behave badly, and as the flags would have them. The
//! real binary, on either engine.

mod support;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixListener};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{HELLO, Ran, Server, ringload_json};

const ENGINES: [&str; 2] = ["uring", "epoll"];

/// From the longest time that a run here may take by its flags to its end, on a machine with other
/// things to do.
const GRACE: Duration = Duration::from_secs(15);

fn number(report: &Value, pointer: &str) -> u64 {
    let found = report.pointer(pointer).and_then(Value::as_u64);
    found.unwrap_or_else(|| panic!("no number at {pointer}: {report}"))
}

/// How many connections ended for that cause and with that error of the kernel.
fn closes(report: &Value, cause: &str, errno: Option<&str>) -> u64 {
    let lines = report["closes"].as_array().expect("a list");
    let wanted = |line: &&Value| line["cause"] == cause && line["errno"].as_str() == errno;
    lines.iter().filter(wanted).map(|line| number(line, "/count")).sum()
}

fn limit(report: &Value) -> &str {
    report["verdict"]["limit"].as_str().unwrap_or_else(|| panic!("no verdict: {report}"))
}

/// A run on an engine that has to be over in time, whatever the server does.
fn run(engine: &str, args: &[&str], url: &str) -> Ran {
    let from = Instant::now();
    let ran = ringload_json(&[&["--engine", engine, "-t1"], args, &[url]].concat());
    assert!(from.elapsed() < GRACE, "{engine}: {:?}: {ran:?}", from.elapsed());
    ran
}

/// A run of half a second against a server that gives no response, on each engine.
fn in_vain(url: &str, check: impl Fn(&Value)) {
    for engine in ENGINES {
        let args = ["-c3", "-d500ms", "--timeout", "200ms"];
        let report = run(engine, &args, url).json(1);
        assert_eq!((number(&report, "/requests"), limit(&report)), (0, "nothing"), "{report}");
        assert_eq!(number(&report, "/connections/answered"), 0);
        assert!(number(&report, "/duration_us") < 5_000_000, "{report}");
        check(&report);
    }
}

#[test]
fn a_hung_server_is_given_up_request_by_request() {
    let server = Server::start(|mut client| client.hang());
    in_vain(&server.url(), |report| {
        let timeouts = number(report, "/errors/timeout");
        assert!(timeouts >= 3, "{report}");
        assert_eq!(closes(report, "timeout", None), timeouts, "{report}");
    });
}

#[test]
fn a_byte_now_and_then_is_no_response() {
    let server = Server::start(|mut client| {
        client.read_request()?;
        // Each byte comes in time, and all of them do not.
        for byte in HELLO.as_bytes() {
            client.write(&[*byte])?;
            thread::park_timeout(Duration::from_millis(50));
        }
        Ok(())
    });
    in_vain(&server.url(), |report| {
        assert!(closes(report, "timeout", None) >= 3, "{report}");
        assert!(number(report, "/bytes_read") > 0);
    });
}

#[test]
fn a_server_that_resets() {
    let server = Server::start(|mut client| {
        client.read_request()?;
        client.reset()
    });
    in_vain(&server.url(), |report| {
        let resets = closes(report, "reset", Some("ECONNRESET"));
        assert!(resets >= 3, "{report}");
        assert_eq!(number(report, "/errors/read"), resets);
    });
}

#[test]
fn a_server_that_talks_something_else() {
    let server = Server::start(|mut client| {
        client.read_request()?;
        client.write(b"220 mail.example ESMTP\r\n")?;
        client.hang()
    });
    in_vain(&server.url(), |report| {
        assert!(closes(report, "malformed", None) >= 3, "{report}");
    });
}

#[test]
fn a_server_that_does_not_open_the_door() {
    let args = ["-c4", "-d700ms", "--timeout", "200ms"];
    for engine in ENGINES {
        // Two have room in such a queue: ringload's first knock and one connection.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        rustix::net::listen(&listener, 1).unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let report = run(engine, &args, &url).json(1);
        assert_eq!(limit(&report), "nothing");
        assert!(closes(&report, "connect_timeout", None) >= 3, "{report}");
        assert!(number(&report, "/errors/connect") >= 3, "{report}");
        // They are still in the queue, so that another first knock finds no room.
        let ran = run(engine, &args, &url);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{ran:?}");
        assert!(ran.stderr.contains("cannot connect to 127.0.0.1:"), "{ran:?}");
    }
}

/// A server that takes the first knock, then answers `answers` requests, each on a connection of
/// its own, and leaves.
fn leaving(answers: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        drop(listener.accept().expect("a knock"));
        for _ in 0..answers {
            let (mut stream, _) = listener.accept().expect("a connection");
            if read_head(&mut BufReader::new(&stream)) {
                let close = HELLO.replacen("\r\n", "\r\nConnection: close\r\n", 1);
                stream.write_all(close.as_bytes()).expect("it can be answered");
            }
        }
    });
    address
}

/// Reads the head of a request; false at the end.
fn read_head(input: &mut impl BufRead) -> bool {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if input.read_line(&mut head).unwrap_or(0) == 0 {
            return false;
        }
    }
    true
}

#[test]
fn a_port_where_nobody_listens_any_more() {
    for engine in ENGINES {
        for (answers, code, verdict) in [(0, 1, "nothing"), (2, 0, "errors")] {
            let url = format!("http://{}/", leaving(answers));
            let report = run(engine, &["-c3", "-d1s", "--timeout", "500ms"], &url).json(code);
            assert_eq!(number(&report, "/requests"), answers as u64, "{report}");
            let refused = closes(&report, "refused", Some("ECONNREFUSED"));
            assert!(refused >= 3, "{report}");
            assert_eq!(limit(&report), verdict, "{report}");
            // Whoever refuses is not knocked at in a tight loop.
            assert!(refused < 60, "{report}");
        }
    }
}

#[test]
fn a_server_that_closes_without_saying_so() {
    for engine in ENGINES {
        let server = Server::start(|mut client| {
            client.read_request()?;
            client.write(HELLO.as_bytes())
        });
        let report = run(engine, &["-c3", "-n60", "--timeout", "5s"], &server.url()).json(0);
        assert_eq!(number(&report, "/requests"), 60);
        // The next request was on its way, or not yet: that is the server's fault, or nobody's.
        let ended = closes(&report, "truncated", None)
            + closes(&report, "reset", Some("ECONNRESET"))
            + closes(&report, "write_failed", Some("EPIPE"))
            + closes(&report, "write_failed", Some("ECONNRESET"))
            + closes(&report, "server_closed", None);
        assert_eq!(ended, number(&report, "/connections/closed"), "{report}");
        assert!((57..=60).contains(&ended), "{report}");
        assert!((60..=63).contains(&number(&report, "/connections/opened")), "{report}");
        assert_eq!(number(&report, "/connections/answered"), 60);
        assert_eq!(number(&report, "/errors/timeout"), 0, "{report}");
    }
}

#[test]
fn a_server_that_says_that_it_closes() {
    for engine in ENGINES {
        let close = HELLO.replacen("\r\n", "\r\nConnection: close\r\n", 1);
        let server = Server::start(move |mut client| {
            client.read_request()?;
            client.write(close.as_bytes())
        });
        let report = run(engine, &["-c3", "-n60"], &server.url()).json(0);
        assert_eq!(number(&report, "/errors/read"), 0, "{report}");
        let ended = closes(&report, "server_closed", None);
        assert_eq!(ended, number(&report, "/connections/closed"), "{report}");
        assert!(ended >= 57, "{report}");
        assert!(!["errors", "nothing"].contains(&limit(&report)), "{report}");
    }
}

#[test]
fn no_keepalive_says_so() {
    for engine in ENGINES {
        let server = Server::answering(HELLO);
        let report = run(engine, &["-c3", "-n30", "--no-keepalive"], &server.url()).json(0);
        let opened = number(&report, "/connections/opened");
        assert!((30..=32).contains(&opened), "{report}");
        assert_eq!(number(&report, "/connections/answered"), 30);
        assert!(closes(&report, "spent", None) >= 27, "{report}");
        let head = server.seen.last.lock().unwrap().0.to_ascii_lowercase();
        assert!(head.contains("\r\nconnection: close\r\n"), "{head}");
    }
}

/// Twenty connections that are to be opened within about a second, on each engine.
fn twenty_in_a_second(flags: &[&str]) {
    for engine in ENGINES {
        let server = Server::answering(HELLO);
        let args = [&["-c20", "-d2s"], flags].concat();
        let report = run(engine, &args, &server.url()).json(0);
        assert_eq!(number(&report, "/connections/opened"), 20, "{report}");
        let all_open_us = number(&report, "/connections/all_open_us");
        assert!(all_open_us >= 900_000, "{report}");
        let times = server.seen.accepted.lock().unwrap();
        // The first was a knock. That the server's thread comes to it late cannot be helped.
        let spread = times[20].0 - times[1].0;
        assert!(spread > Duration::from_millis(600), "{spread:?}");
        let in_first_half = times[1..].iter().filter(|(at, _)| *at - times[1].0 < spread / 2);
        assert!((3..=17).contains(&in_first_half.count()), "{times:?}");
    }
}

#[test]
fn connections_at_a_rate() {
    twenty_in_a_second(&["--connect-rate", "20"]);
}

#[test]
fn connections_over_a_time() {
    twenty_in_a_second(&["--ramp-up", "1s"]);
}

/// Whether the kernel can bind a socket from a ring (6.11); without, ringload refuses.
fn ring_can_bind() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("procfs");
    let mut parts = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    (parts.next(), parts.next()) >= (Some(6), Some(11))
}

#[test]
fn sources_take_turns() {
    for engine in ENGINES.into_iter().filter(|engine| *engine != "uring" || ring_can_bind()) {
        let server = Server::answering(HELLO);
        let args = ["-c20", "-n200", "--source", "127.0.0.2-127.0.0.4,127.0.0.9"];
        let report = run(engine, &args, &server.url()).json(0);
        assert_eq!(number(&report, "/connections/opened"), 20, "{report}");
        let mut counts = BTreeMap::new();
        for (_, peer) in &server.seen.accepted.lock().unwrap()[1..] {
            *counts.entry(peer.ip().to_string()).or_insert(0) += 1;
        }
        let expected = ["127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.9"];
        assert_eq!(counts, expected.map(|ip| (ip.to_owned(), 5)).into(), "{engine}");
    }
}

#[test]
fn a_source_that_is_nobodys() {
    for engine in ENGINES.into_iter().filter(|engine| *engine != "uring" || ring_can_bind()) {
        let server = Server::answering(HELLO);
        // An address for documentation, RFC 5737.
        let args = ["-c2", "-d300ms", "--source", "192.0.2.1"];
        let ran = run(engine, &args, &server.url());
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert_eq!(server.seen.accepted.lock().unwrap().len(), 1, "none leaves from another");
    }
}

/// Serves a unix socket, each connection on a thread of its own, as long as the process lives.
fn serve_unix(listener: UnixListener) {
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                let mut input = BufReader::new(stream.try_clone()?);
                while read_head(&mut input) {
                    stream.write_all(HELLO.as_bytes())?;
                }
                std::io::Result::Ok(())
            });
        }
    });
}

#[test]
fn unix_sockets_with_and_without_a_path() {
    let name = format!("ringload connections {}", std::process::id());
    let path = std::env::temp_dir().join(&name);
    serve_unix(UnixListener::bind(&path).unwrap());
    let address = UnixAddress::from_abstract_name(&name).unwrap();
    serve_unix(UnixListener::bind_addr(&address).unwrap());
    for engine in ENGINES {
        for place in [path.to_str().unwrap(), &format!("@{name}")] {
            let args = ["-c3", "-n60", "--unix", place];
            let report = run(engine, &args, "http://some.name/").json(0);
            assert_eq!(number(&report, "/connections/answered"), 3, "{place}: {report}");
        }
    }
    std::fs::remove_file(&path).unwrap();
    for place in [path.to_str().unwrap(), "@ringload: nobody is there"] {
        let ran = ringload_json(&["-d1s", "--unix", place, "http://some.name/"]);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{ran:?}");
        let said = format!("ringload: cannot connect to the unix socket {place}: ");
        assert!(ran.stderr.starts_with(&said), "{ran:?}");
    }
}

#[test]
fn a_name_is_led_elsewhere() {
    for engine in ENGINES {
        for host in ["127.0.0.1", "[::1]"] {
            let server = Server::start_at(&format!("{host}:0"), |mut client| {
                while client.read_request()? {
                    client.write(HELLO.as_bytes())?;
                }
                Ok(())
            });
            let port = server.address.port();
            // Nobody knows that name, RFC 6761.
            let connect_to = ["--connect-to", &format!("{host}:{port}")];
            let resolve = ["--resolve", &format!("no.invalid:{port}:{host}")];
            let with_port = format!("http://no.invalid:{port}/");
            for (flags, url, expected) in [
                (connect_to, "http://no.invalid/", "no.invalid".to_owned()),
                (resolve, &with_port, format!("no.invalid:{port}")),
            ] {
                let args = [&["-c2", "-n20"], &flags[..]].concat();
                let report = run(engine, &args, url).json(0);
                assert_eq!(number(&report, "/requests"), 20, "{report}");
                let head = server.seen.last.lock().unwrap().0.clone();
                assert!(head.contains(&format!("\r\nHost: {expected}\r\n")), "{head}");
            }
        }
    }
}

#[test]
fn a_server_named_by_its_pid() {
    let server = Server::answering(HELLO);
    let pid = std::process::id();
    let args = ["-c2", "-d300ms", "--server-pid", &pid.to_string()];
    let report = run("auto", &args, &server.url()).json(0);
    assert_eq!(number(&report, "/server/pid"), u64::from(pid), "{report}");
    let evidence = report["verdict"]["evidence"].to_string();
    assert!(evidence.contains(&format!("pid {pid})")), "{evidence}");
}

#[test]
fn all_of_many_connections_are_used() {
    let server = Server::answering(HELLO);
    for engine in ENGINES {
        let report = run(engine, &["-c300", "-d1s", "-R900"], &server.url()).json(0);
        let of = |name: &str| number(&report, &format!("/connections/{name}"));
        assert_eq!((of("opened"), of("answered"), of("closed")), (300, 300, 0), "{report}");
    }
}
