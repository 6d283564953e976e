//! The same scripts in wrk and in `ringload::script`: what each sends is compared, request by
//! request. The order of header lines is not defined (it is that of a Lua table), all else is.

use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;
use std::{env, thread};

use ringload::script::{Script, ScriptTarget};

/// How many requests of each script are compared.
const REQUESTS: usize = 12;
/// What every request is answered with.
const HEADERS: [(&str, &str); 2] = [("X-Token", "s3cret"), ("Content-Length", "2")];
const BODY: &str = "ok";

/// A request, in a form that can be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Request {
    line: String,
    headers: BTreeSet<String>,
    body: Vec<u8>,
}

/// Reads one request; `None` at the end of input.
fn read_request(input: &mut impl BufRead) -> io::Result<Option<Request>> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if input.read_line(&mut head)? == 0 {
            return if head.is_empty() {
                Ok(None)
            } else {
                Err(io::ErrorKind::UnexpectedEof.into())
            };
        }
    }
    let mut lines = head.trim_end().split("\r\n").map(str::to_owned);
    let line = lines.next().expect("a first line");
    let lines: Vec<_> = lines.collect();
    let headers: BTreeSet<_> = lines.iter().cloned().collect();
    assert_eq!(headers.len(), lines.len(), "a line came twice: {head}");
    let length = lines.iter().find_map(|line| line.strip_prefix("Content-Length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().expect("a length"))];
    input.read_exact(&mut body)?;
    Ok(Some(Request { line, headers, body }))
}

/// Answers all requests of a connection, and hands them over.
fn serve(stream: &TcpStream, seen: &Sender<Request>) -> io::Result<()> {
    let fields = HEADERS.map(|(name, value)| format!("{name}: {value}\r\n")).concat();
    let response = format!("HTTP/1.1 200 OK\r\n{fields}\r\n{BODY}");
    let (mut input, mut output) = (BufReader::new(stream), stream);
    while let Some(request) = read_request(&mut input)? {
        if seen.send(request).is_err() {
            break;
        }
        output.write_all(response.as_bytes())?;
    }
    Ok(())
}

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

/// The first requests that wrk sends with a script, on one connection to `listener`.
fn from_wrk(script: &Path, url: &str, args: &[&str], listener: TcpListener) -> Vec<Request> {
    let (seen, requests) = channel();
    thread::spawn(move || {
        // wrk opens one connection to try the address, which it closes, and then the one it uses.
        for stream in listener.incoming().map_while(Result::ok) {
            let seen = seen.clone();
            // Its end is wrk's end.
            thread::spawn(move || serve(&stream, &seen));
        }
    });
    let mut wrk = Command::new("wrk")
        .args(["-t1", "-c1", "-d60s", "-H", "Accept: text/*", "-s"])
        .arg(script)
        .args([url, "--"])
        .args(args)
        .stdout(Stdio::null())
        .spawn()
        .expect("wrk can be started");
    let next = || requests.recv_timeout(Duration::from_secs(20));
    let found: Vec<_> = (0..REQUESTS).map_while(|_| next().ok()).collect();
    wrk.kill().expect("wrk can be killed");
    wrk.wait().expect("wrk ends");
    assert_eq!(found.len(), REQUESTS, "wrk has sent too little");
    found
}

/// The first requests of the same script here.
fn from_ringload(script: &Path, url: &str, args: &[&str]) -> Vec<Request> {
    let url: ringload::Url = url.parse().expect("a URL");
    let listening = format!("{}:{}", url.host(), url.port()).parse().expect("a literal address");
    let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
    let target = ScriptTarget {
        url: &url,
        addresses: &[listening],
        method: "GET",
        headers: &[("Accept".to_owned(), "text/*".to_owned())],
        body: None,
        prints_to_stderr: false,
    };
    let mut script =
        Script::load(script, &target, &args, 1).unwrap_or_else(|error| panic!("{error}"));
    let mut shard = script.take_shards().remove(0);
    let mut requests = Vec::new();
    while requests.len() < REQUESTS {
        let mut text = Vec::new();
        let count = shard.request(&mut text).unwrap_or_else(|error| panic!("{error}")).len();
        let mut input = text.as_slice();
        for _ in 0..count {
            requests.extend(read_request(&mut input).expect("a request"));
            if shard.has_response() {
                let headers = HEADERS.map(|(name, value)| (name, value.as_bytes()));
                shard.response(200, headers, BODY.as_bytes()).expect("a good script");
            }
        }
        assert!(input.is_empty(), "more requests than were counted");
    }
    requests.truncate(REQUESTS);
    requests
}

/// Compares a script of `tests/scripts`.
fn compare(name: &str, path: &str, args: &[&str]) {
    if !has_wrk() {
        return;
    }
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/scripts").join(name);
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let url = format!("http://{}{path}", listener.local_addr().expect("an address"));
    let here = from_ringload(&script, &url, args);
    let wrk = from_wrk(&script, &url, args, listener);
    for (index, (here, wrk)) in here.iter().zip(&wrk).enumerate() {
        assert_eq!(here, wrk, "request {index} of {name}: left is ringload's, right is wrk's");
    }
}

#[test]
fn static_request() {
    compare("static.lua", "/a/b?c=d&e", &[]);
}

#[test]
fn a_url_without_a_path() {
    compare("static.lua", "", &[]);
}

#[test]
fn pipelined_requests() {
    compare("pipeline.lua", "/", &[]);
}

#[test]
fn post_with_a_body() {
    compare("post.lua", "/form", &[]);
}

#[test]
fn token_from_a_response() {
    compare("auth.lua", "/", &[]);
}

#[test]
fn counter() {
    compare("counter.lua", "/", &[]);
}

#[test]
fn own_headers() {
    compare("headers.lua", "/", &[]);
}

#[test]
fn arguments() {
    compare("args.lua", "/", &["/first", "/second?x=y"]);
}

#[test]
fn own_counters_of_a_thread() {
    compare("threads.lua", "/", &[]);
}
