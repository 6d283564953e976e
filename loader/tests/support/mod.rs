//! Small servers of many kinds, good and bad, each connection on a thread of its own.

#![allow(dead_code, reason = "no test program uses all of it")]

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) const HELLO: &str = "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nHello, World!";

/// What a server has seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Connections accepted.
    pub(crate) connections: AtomicU64,
    /// Requests read in full.
    pub(crate) requests: AtomicU64,
    /// The last request, head and body.
    pub(crate) last: Mutex<(String, Vec<u8>)>,
    /// When each connection was accepted, and from where it came.
    pub(crate) accepted: Mutex<Vec<(Instant, SocketAddr)>>,
    stopped: AtomicBool,
}

/// A server that runs until it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) seen: Arc<Seen>,
}

impl Server {
    /// Serves each connection with `serve`.
    pub(crate) fn start(serve: impl Fn(Client) -> io::Result<()> + Send + Sync + 'static) -> Self {
        Self::start_at("127.0.0.1:0", serve)
    }

    pub(crate) fn start_at(
        address: &str,
        serve: impl Fn(Client) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).expect("bind");
        let address = listener.local_addr().expect("local address");
        let seen = Arc::new(Seen::default());
        let (serve, shared) = (Arc::new(serve), Arc::clone(&seen));
        thread::spawn(move || {
            while let Ok((stream, peer)) = listener.accept() {
                if shared.stopped.load(Ordering::Relaxed) {
                    break;
                }
                shared.accepted.lock().expect("not poisoned").push((Instant::now(), peer));
                shared.connections.fetch_add(1, Ordering::Relaxed);
                let (serve, seen) = (Arc::clone(&serve), Arc::clone(&shared));
                // A connection that breaks is what some of these tests are about.
                thread::spawn(move || serve(Client::new(stream, seen)));
            }
        });
        Self { address, seen }
    }

    /// Answers every request with `response`.
    pub(crate) fn answering(response: impl Into<String>) -> Self {
        let response = response.into();
        Self::start(move |mut client| {
            while client.read_request()? {
                client.write(response.as_bytes())?;
            }
            Ok(())
        })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    pub(crate) fn requests(&self) -> u64 {
        self.seen.requests.load(Ordering::Relaxed)
    }

    /// Waits until so many requests were read; fails after 20 s.
    pub(crate) fn wait_for_requests(&self, requests: u64) {
        for _ in 0..20_000 {
            if self.requests() >= requests {
                return;
            }
            thread::park_timeout(Duration::from_millis(1));
        }
        panic!("{} of {requests} requests came", self.requests());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.seen.stopped.store(true, Ordering::Relaxed);
        // Wakes the acceptor.
        let _ = TcpStream::connect(self.address);
    }
}

/// The server's end of a connection.
pub(crate) struct Client {
    input: BufReader<TcpStream>,
    seen: Arc<Seen>,
}

impl Client {
    fn new(stream: TcpStream, seen: Arc<Seen>) -> Self {
        let _ = stream.set_nodelay(true);
        Self { input: BufReader::new(stream), seen }
    }

    /// Reads one request; false when the client is done.
    pub(crate) fn read_request(&mut self) -> io::Result<bool> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.input.read_line(&mut head)? == 0 {
                return Ok(false);
            }
        }
        let length = head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .map_or(0, |(_, value)| value.trim().parse().expect("a length"));
        let mut body = vec![0; length];
        self.input.read_exact(&mut body)?;
        *self.seen.last.lock().expect("not poisoned") = (head, body);
        self.seen.requests.fetch_add(1, Ordering::Relaxed);
        Ok(true)
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.input.get_mut().write_all(bytes)
    }

    /// Ends the connection with a reset, whatever is under way.
    #[allow(dead_code, reason = "not all programs that share this have a use for it")]
    pub(crate) fn reset(self) -> io::Result<()> {
        // What lingers for no time at all is not ended in order.
        let stream = self.input.get_ref();
        rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO))?;
        Ok(())
    }

    /// Reads and answers nothing until the client is gone.
    pub(crate) fn hang(&mut self) -> io::Result<()> {
        io::copy(&mut self.input, &mut io::sink()).map(|_| ())
    }
}

/// What a run of the program has left.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        let (stdout, stderr) = (text(output.stdout), text(output.stderr));
        Self { code: output.status.code(), stdout, stderr }
    }
}

impl Ran {
    /// The report as JSON, of a run that ended with `code`.
    pub(crate) fn json(&self, code: i32) -> serde_json::Value {
        assert_eq!(self.code, Some(code), "{self:?}");
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringload"));
    command.args(args);
    command
}

/// Runs the program to its end.
pub(crate) fn ringload(args: &[&str]) -> Ran {
    command(args).output().expect("ringload can be started").into()
}

/// Runs the program with `--format json`.
pub(crate) fn ringload_json(args: &[&str]) -> Ran {
    ringload(&[&["--format", "json"], args].concat())
}
