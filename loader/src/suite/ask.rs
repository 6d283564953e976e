//! Waits until a server listens, and asks it for what it will be loaded with.
//!
//! It is a process of its own, for the server may be in a network namespace in which ringload is
//! not: a question comes in on stdin, what became of it goes out on stdout, both as JSON.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use ringbench_http::{ClientConn, ClientEvent, EofOutcome, HeaderScratch, Limits, RequestKind};
use serde::{Deserialize, Serialize};

use super::check::{Answer, judge};
use super::spec::Expect;
use crate::config::{Config, Variety};
use crate::flags::Flags;
use crate::plan::Plan;
use crate::requests::{Mix, MixState, RequestFile};

/// How long to wait before another attempt.
const AGAIN_AFTER: Duration = Duration::from_millis(10);
/// So many requests of a file are asked at most.
const MOST_REQUESTS: usize = 64;
/// A longer body is not kept.
const MOST_BODY_BYTES: usize = 256 << 20;

/// What is asked.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct Question {
    /// The load's flags.
    pub(super) load: Vec<String>,
    /// Where the server is to be.
    pub(super) url: String,
    /// What an answer has to be.
    pub(super) expect: Expect,
    /// How long it may take until it listens.
    pub(super) ready_ms: u64,
    /// How long an answer may take.
    pub(super) answer_ms: u64,
}

/// What became of it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum Asked {
    /// All answers are as expected.
    Right,
    /// Nobody listens.
    NobodyListens {
        /// What was tried.
        told: String,
    },
    /// An answer is another one.
    Wrong {
        /// What was expected and what came.
        told: String,
    },
    /// There was no answer in time.
    Silent {
        /// What was waited for.
        told: String,
    },
}

/// The process: reads a question and writes what became of it.
///
/// # Errors
///
/// When the question cannot be read or asked, or nobody takes the answer.
pub fn ask_from_stdin() -> io::Result<()> {
    let question: Question = serde_json::from_reader(io::stdin().lock())?;
    let asked = ask(&question).map_err(io::Error::other)?;
    let mut stdout = io::stdout().lock();
    serde_json::to_writer(&mut stdout, &asked)?;
    stdout.flush()
}

/// A request as it is sent.
struct Request {
    bytes: Vec<u8>,
    kind: RequestKind,
}

impl Request {
    /// Its first line, without the version.
    fn shown(&self) -> String {
        let line = self.bytes.split(|byte| *byte == b'\r').next().unwrap_or_default();
        String::from_utf8_lossy(line).trim_end_matches(" HTTP/1.1").to_owned()
    }
}

fn ask(question: &Question) -> Result<Asked, String> {
    let program = std::iter::once("ringload".to_owned());
    let flags = program.chain(question.load.iter().cloned()).chain([question.url.clone()]);
    let config = Flags::try_parse_from(flags).and_then(Flags::config);
    let config = config.map_err(|error| error.to_string())?;
    let ip = config.url.host().parse::<IpAddr>().map_err(|error| error.to_string())?;
    let address = SocketAddr::new(ip, config.url.port());
    let answer_limit = Duration::from_millis(question.answer_ms);
    let ready_until = Instant::now() + Duration::from_millis(question.ready_ms);
    let mut is_first = true;
    for request in requests(&config)? {
        // One that begins may accept connections and drop them for a while.
        let until = if is_first { ready_until } else { Instant::now() };
        let answer = match exchange(address, &request, until, answer_limit) {
            Ok(answer) => answer,
            Err(asked) => return Ok(asked),
        };
        if let Err(told) = judge(&question.expect, &answer) {
            return Ok(Asked::Wrong { told: format!("{}: {told}", request.shown()) });
        }
        is_first = false;
    }
    Ok(Asked::Right)
}

/// The requests that a load with this configuration sends, each kind once.
fn requests(config: &Config) -> Result<Vec<Request>, String> {
    match &config.variety {
        Variety::None => {
            let plan = Plan::new(config).map_err(|error| error.to_string())?;
            Ok(vec![Request { bytes: plan.requests(1).to_vec(), kind: plan.kind() }])
        }
        Variety::File(path) => {
            let file = RequestFile::read(path).map_err(|error| error.to_string())?;
            let mix = Mix::new(&file, &config.url, &config.headers);
            let mix = Arc::new(mix.map_err(|error| error.to_string())?);
            let count = mix.cycle_len().min(MOST_REQUESTS);
            let mut state = MixState::new(mix, 0, 1, config.seed);
            let mut next = || {
                let mut bytes = Vec::new();
                let kind = state.next(&mut bytes);
                Request { bytes, kind }
            };
            Ok((0..count).map(|_| next()).collect())
        }
        Variety::Script(..) => Err("the requests of a script cannot be checked".to_owned()),
    }
}

/// Asks once, and again until `until` while nobody listens or connections end without an answer.
fn exchange(
    address: SocketAddr,
    request: &Request,
    until: Instant,
    answer_limit: Duration,
) -> Result<Answer, Asked> {
    let began = Instant::now();
    loop {
        let failed = match connect(address, answer_limit) {
            Err(error) => {
                let waited_s = began.elapsed().as_secs();
                let told = format!(
                    "it does not listen on port {} after {waited_s} s: {error}",
                    address.port()
                );
                Asked::NobodyListens { told }
            }
            Ok(stream) => match answer(stream, request, answer_limit) {
                Ok(answer) => return Ok(answer),
                Err(asked @ Asked::Silent { .. }) => return Err(asked),
                Err(asked) => asked,
            },
        };
        if Instant::now() >= until {
            return Err(failed);
        }
        thread::sleep(AGAIN_AFTER);
    }
}

fn connect(address: SocketAddr, limit: Duration) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, limit)?;
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(limit))?;
    Ok(stream)
}

fn answer(mut stream: TcpStream, request: &Request, limit: Duration) -> Result<Answer, Asked> {
    let until = Instant::now() + limit;
    let silent = || Asked::Silent {
        told: format!("no answer to {} within {} s", request.shown(), limit.as_secs_f64()),
    };
    let broken = |error: &dyn std::fmt::Display| Asked::Wrong {
        told: format!("{}: no answer: {error}", request.shown()),
    };
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => silent(),
        _ => broken(&error),
    };
    stream.write_all(&request.bytes).map_err(failed)?;
    let mut conn = ClientConn::new();
    conn.sent(request.kind);
    let (mut input, mut piece, mut found) = (Vec::new(), vec![0; 64 << 10], Answer::default());
    loop {
        if read_events(&mut conn, &mut input, &mut found).map_err(|error| broken(&error))? {
            return Ok(found);
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(silent());
        }
        stream.set_read_timeout(Some(left)).map_err(failed)?;
        match stream.read(&mut piece) {
            Ok(0) if conn.eof() == EofOutcome::BodyEnd => return Ok(found),
            Ok(0) => return Err(broken(&"the connection was closed")),
            Ok(count) => input.extend_from_slice(&piece[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
}

/// Takes in what has come; whether the answer is complete.
fn read_events(
    conn: &mut ClientConn,
    input: &mut Vec<u8>,
    found: &mut Answer,
) -> Result<bool, String> {
    let limits = Limits::client();
    let mut at = 0;
    let complete = loop {
        let mut scratch = HeaderScratch::new();
        let step = conn.next(&input[at..], &mut scratch, &limits);
        at += step.consumed;
        match step.event {
            ClientEvent::NeedMore => break false,
            ClientEvent::Interim(_) => {}
            ClientEvent::Head(head) => found.status = head.status,
            ClientEvent::Body(part) => {
                if found.body.len() + part.len() > MOST_BODY_BYTES {
                    return Err(format!("its body is longer than {} MiB", MOST_BODY_BYTES >> 20));
                }
                found.body.extend_from_slice(part);
            }
            ClientEvent::End { .. } | ClientEvent::Closed => break true,
            ClientEvent::Error(error) => return Err(error.to_string()),
        }
    };
    input.drain(..at);
    Ok(complete)
}

#[cfg(test)]
mod tests {
    use std::io::BufRead;
    use std::net::TcpListener;

    use super::*;

    /// A server that answers each connection with one of these, and then closes.
    fn server(answers: &'static [&'static str]) -> (u16, thread::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let port = listener.local_addr().expect("bound").port();
        let serves = thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().expect("a client");
                let mut lines = io::BufReader::new(stream.try_clone().expect("a copy")).lines();
                while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
                stream.write_all(answer.as_bytes()).expect("the client reads");
            }
        });
        (port, serves)
    }

    fn question(port: u16) -> Question {
        Question {
            load: ["-c", "1", "-t", "1"].map(str::to_owned).to_vec(),
            url: format!("http://127.0.0.1:{port}/x"),
            expect: Expect { body: Some("hello".to_owned()), ..Expect::default() },
            ready_ms: 10_000,
            answer_ms: 10_000,
        }
    }

    fn asked(answers: &'static [&'static str]) -> Asked {
        let (port, serves) = server(answers);
        let asked = ask(&question(port)).expect("it can be asked");
        serves.join().expect("it only serves");
        asked
    }

    #[test]
    fn answers_in_every_framing() {
        for answer in [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello",
        ] {
            let answers: &'static [&'static str] = Box::leak(Box::new([answer]));
            assert_eq!(asked(answers), Asked::Right, "{answer}");
        }
    }

    #[test]
    fn a_connection_that_ends_without_an_answer_is_tried_again() {
        assert_eq!(asked(&["", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"]), Asked::Right);
        let (port, serves) = server(&[""]);
        let question = Question { ready_ms: 0, ..question(port) };
        let told = ask(&question).expect("it can be asked");
        let Asked::Wrong { told } = told else { panic!("{told:?}") };
        assert_eq!(told, "GET /x: no answer: the connection was closed");
        serves.join().expect("it only serves");
    }

    #[test]
    fn wrong_answers_are_told_with_the_request() {
        let told = asked(&["HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbye"]);
        let expected = "GET /x: expected the body `hello`, got `bye`";
        assert_eq!(told, Asked::Wrong { told: expected.to_owned() });
        let (port, serves) = server(&["SSH-2.0-x\r\n"]);
        let told = ask(&Question { ready_ms: 0, ..question(port) }).expect("it can be asked");
        assert!(matches!(told, Asked::Wrong { .. }), "{told:?}");
        serves.join().expect("it only serves");
    }

    #[test]
    fn silence_and_nobody_are_told_apart() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let port = listener.local_addr().expect("bound").port();
        let question = Question { ready_ms: 50, answer_ms: 50, ..question(port) };
        let told = ask(&question).expect("it can be asked");
        let silent = Asked::Silent { told: "no answer to GET /x within 0.05 s".to_owned() };
        assert_eq!(told, silent);
        drop(listener);
        let told = ask(&question).expect("it can be asked");
        let Asked::NobodyListens { told } = told else { panic!("{told:?}") };
        assert!(
            told.starts_with(&format!("it does not listen on port {port} after 0 s")),
            "{told}"
        );
    }

    #[test]
    fn each_request_of_a_file_is_asked() {
        let path = std::env::temp_dir().join(format!("ringload-ask-{}.toml", std::process::id()));
        let text = "[[request]]\npath = \"/a\"\n[[request]]\npath = \"/b/{{seq}}\"\nweight = 2\n";
        std::fs::write(&path, text).expect("can be written");
        let line = ["ringload", "--requests", path.to_str().expect("UTF-8"), "http://127.0.0.1:1/"];
        let config = Flags::try_parse_from(line).and_then(Flags::config).expect("in order");
        let requests = requests(&config).expect("in order");
        std::fs::remove_file(&path).expect("it is there");
        let mut shown: Vec<String> = requests.iter().map(Request::shown).collect();
        shown.sort_unstable();
        assert_eq!(shown, ["GET /a", "GET /b/0", "GET /b/1"]);
    }
}
