//! The program as a child process, and a plain HTTP client that shares no code with it.

#![allow(dead_code, reason = "not every test program uses all of it")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// No step of a test takes this long unless it hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A running ringserve, killed when dropped.
pub(crate) struct Ringserve {
    child: Child,
    stdout: BufReader<ChildStdout>,
    pub(crate) ready_lines: Vec<String>,
    pub(crate) addresses: Vec<SocketAddr>,
}

/// The program with `arguments`, not started yet.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringserve"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

impl Ringserve {
    /// Starts it on a free port of the loopback, with two small rings.
    pub(crate) fn start(engine: &str, arguments: &[&str]) -> Self {
        Self::start_on(engine, &["127.0.0.1:0"], arguments)
    }

    pub(crate) fn start_on(engine: &str, listen: &[&str], arguments: &[&str]) -> Self {
        Self::spawn(&mut Self::prepare(engine, listen, arguments), listen.len())
    }

    /// With a pipe as stderr that nobody reads any more.
    pub(crate) fn start_unheard(engine: &str, arguments: &[&str]) -> Self {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        Self::spawn(Self::prepare(engine, &["127.0.0.1:0"], arguments).stderr(writer), 1)
    }

    /// With its stderr kept for [`Ringserve::stop`].
    pub(crate) fn start_heard(engine: &str, arguments: &[&str]) -> Self {
        let mut command = Self::prepare(engine, &["127.0.0.1:0"], arguments);
        Self::spawn(command.stderr(Stdio::piped()), 1)
    }

    /// Ends it, and gives what it wrote to stderr.
    pub(crate) fn stop(self) -> String {
        self.signal(Signal::TERM);
        self.end()
    }

    /// Waits for its end, and gives what it wrote to stderr up to its last line.
    pub(crate) fn end(mut self) -> String {
        assert_eq!(self.wait().code(), Some(0));
        let mut said = String::new();
        // Not up to the pipe's end: a successor may hold it open.
        for line in BufReader::new(self.child.stderr.take().unwrap()).lines() {
            let line = line.unwrap();
            said.push_str(&line);
            said.push('\n');
            if line.contains("stopped after") {
                break;
            }
        }
        said
    }

    /// The command that starts it, for a test that has something to add.
    pub(crate) fn prepare(engine: &str, listen: &[&str], arguments: &[&str]) -> Command {
        let mut all = vec!["--engine", engine, "--ring-entries", "64", "--buffers", "64"];
        if !arguments.contains(&"--shards") {
            all.extend(["--shards", "2"]);
        }
        listen.iter().for_each(|address| all.extend(["--listen", address]));
        all.extend(arguments);
        let mut command = command(&all);
        command.stderr(Stdio::inherit());
        command
    }

    /// Starts it and waits until it listens on as many addresses.
    pub(crate) fn spawn(command: &mut Command, addresses: usize) -> Self {
        let mut child = command.spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let mut server = Self { child, stdout, ready_lines: Vec::new(), addresses: Vec::new() };
        (0..addresses).for_each(|_| server.read_ready_line());
        server
    }

    /// Waits for the next line that says where somebody listens: this process, or a successor,
    /// which writes to the same pipe.
    pub(crate) fn read_ready_line(&mut self) {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        let address = line.split_whitespace().find_map(|word| word.strip_prefix("http://"));
        self.addresses
            .push(address.unwrap_or_else(|| panic!("no address: {line:?}")).parse().unwrap());
        self.ready_lines.push(line);
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its resident memory.
    pub(crate) fn rss_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.addresses[0])
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().try_into().unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < PATIENCE, "the server does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Ringserve {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One connection.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    /// What was read beyond the last response.
    pending: Vec<u8>,
}

/// A response, read by its Content-Length.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    pub(crate) fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap()
    }
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, pending: Vec::new() }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    pub(crate) fn half_close(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// A response to anything but HEAD.
    pub(crate) fn response(&mut self) -> Response {
        let mut response = self.head();
        let length = response.header("Content-Length").map_or(0, |text| text.parse().unwrap());
        response.body = self.body(length);
        response
    }

    /// So many bytes.
    pub(crate) fn body(&mut self, length: usize) -> Vec<u8> {
        while self.pending.len() < length {
            assert!(self.fill(), "the body ended after {} of {length}", self.pending.len());
        }
        self.pending.drain(..length).collect()
    }

    /// A response without a body, whatever its Content-Length says.
    pub(crate) fn head(&mut self) -> Response {
        let end = loop {
            if let Some(at) = self.pending.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break at + 4;
            }
            assert!(self.fill(), "the connection ended without a response: {:?}", self.pending);
        };
        let head = String::from_utf8(self.pending.drain(..end).collect()).unwrap();
        assert!(head.starts_with("HTTP/1.1 "), "{head}");
        Response { status: head[9..12].parse().unwrap(), head, body: Vec::new() }
    }

    /// Sends a request and reads its response.
    pub(crate) fn exchange(&mut self, request: impl AsRef<[u8]>) -> Response {
        self.send(request);
        self.response()
    }

    /// The server has closed in an orderly way, and sent nothing more.
    pub(crate) fn expect_end(&mut self) {
        assert!(!self.fill() && self.pending.is_empty(), "more came: {:?}", self.pending);
    }

    fn fill(&mut self) -> bool {
        let mut buffer = [0; 16 * 1024];
        let count = self.stream.read(&mut buffer).unwrap();
        self.pending.extend_from_slice(&buffer[..count]);
        count > 0
    }
}

/// A request with a body.
pub(crate) fn post(path: &str, body: &[u8]) -> Vec<u8> {
    let mut request =
        format!("POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n", body.len())
            .into_bytes();
    request.extend_from_slice(body);
    request
}

/// A request without a body.
pub(crate) fn request(method: &str, path: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: test\r\n\r\n")
}

/// Bytes without a pattern that a mistake could hide in.
pub(crate) fn noise(length: usize, mut seed: u64) -> Vec<u8> {
    let mut next = || {
        // xorshift64
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed as u8
    };
    (0..length).map(|_| next()).collect()
}
