//! Listening sockets that come from somebody else: a service manager, or a server that this one
//! succeeds.

mod common;

use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use command_fds::{CommandFdExt, FdMapping};
use common::{Client, PATIENCE, Ringserve, request};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

const ENGINES: &[&str] = &[
    "uring",
    "epoll",
    #[cfg(feature = "glommio")]
    "glommio",
];

/// Hands `listeners` over as systemd does.
fn activate(command: &mut Command, listeners: &[TcpListener]) {
    let mappings = (3..)
        .zip(listeners)
        .map(|(child_fd, listener)| {
            let parent_fd = listener.try_clone().unwrap().into();
            FdMapping { parent_fd, child_fd }
        })
        .collect();
    command.env("LISTEN_FDS", listeners.len().to_string()).fd_mappings(mappings).unwrap();
}

#[test]
fn sockets_that_are_handed_over_are_served_before_and_after_a_restart() {
    for engine in ENGINES {
        let listeners: Vec<_> = (0..2).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let mut expected: Vec<SocketAddr> =
            listeners.iter().map(|listener| listener.local_addr().unwrap()).collect();
        expected.sort();
        // Somebody connects before there is a server.
        let mut early = Client::connect(expected[0]);
        early.send(request("GET", "/"));
        for _ in 0..2 {
            // What --listen says is not needed then: it would be taken.
            let mut command = Ringserve::prepare(engine, &[&expected[1].to_string()], &[]);
            activate(&mut command, &listeners);
            let mut server = Ringserve::spawn(&mut command, 2);
            let mut announced = server.addresses.clone();
            announced.sort();
            assert_eq!(announced, expected, "{engine}");
            assert_eq!(early.response().status, 200);
            for &address in &expected {
                // Several, so that each shard has some.
                for _ in 0..20 {
                    let mut client = Client::connect(address);
                    assert_eq!(client.exchange(request("GET", "/json")).status, 200, "{engine}");
                }
            }
            server.signal(Signal::TERM);
            assert_eq!(server.wait().code(), Some(0));
            // Nobody is there now, and nobody is refused.
            early = Client::connect(expected[0]);
            early.send(request("GET", "/"));
        }
    }
}

#[test]
fn what_is_no_listening_socket_is_an_error_that_names_the_variable() {
    let mut command = Ringserve::prepare("auto", &["127.0.0.1:0"], &[]);
    let file = std::fs::File::open("/dev/null").unwrap();
    let mapping = FdMapping { parent_fd: file.into(), child_fd: 3 };
    command.env("LISTEN_FDS", "1").fd_mappings(vec![mapping]).unwrap();
    let output = command.stderr(std::process::Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("LISTEN_FDS"), "{said}");
}

#[test]
fn a_number_of_sockets_that_is_none_is_an_error_and_nothing_listens() {
    let mut command = Ringserve::prepare("auto", &["127.0.0.1:0"], &[]);
    command.env("LISTEN_FDS", "1x").stderr(std::process::Stdio::piped());
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("LISTEN_FDS is \"1x\""), "{said}");
}

/// Asks again and again on connections of their own, until told to stop, and counts.
struct Crowd {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Crowd {
    fn start(address: SocketAddr) -> Self {
        let (stop, answered) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let threads = (0..4)
            .map(|_| {
                let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
                thread::spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        let mut client = Client::connect(address);
                        // A server that drains says when a connection is over.
                        for _ in 0..50 {
                            let answer = client.exchange(request("GET", "/"));
                            assert_eq!(answer.status, 200);
                            answered.fetch_add(1, Ordering::Relaxed);
                            if answer.header("Connection") == Some("close") {
                                break;
                            }
                        }
                    }
                })
            })
            .collect();
        Self { stop, answered, threads }
    }

    /// Waits until so many more have been answered.
    fn wait_for(&self, more: u64) {
        let target = self.answered.load(Ordering::Relaxed) + more;
        let start = std::time::Instant::now();
        while self.answered.load(Ordering::Relaxed) < target {
            assert!(start.elapsed() < PATIENCE, "nothing is answered any more");
            assert!(!self.threads.iter().any(thread::JoinHandle::is_finished), "one has failed");
            thread::yield_now();
        }
    }

    fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().expect("all were answered"));
    }
}

#[test]
fn a_successor_takes_over_and_no_request_fails() {
    for engine in ENGINES {
        let mut server = Ringserve::start_heard(engine, &[]);
        let address = server.addresses[0];
        let crowd = Crowd::start(address);
        crowd.wait_for(1000);
        server.signal(Signal::USR2);
        server.read_ready_line();
        assert_eq!(server.addresses[1], address);
        crowd.wait_for(1000);
        server.signal(Signal::TERM);
        let said = server.end();
        let line = said.lines().find(|line| line.contains(" takes over")).unwrap();
        let pid = line.split_whitespace().find_map(|word| word.parse().ok()).unwrap();
        let successor = Pid::from_raw(pid).unwrap();
        // Alone now.
        crowd.wait_for(1000);
        crowd.stop();
        kill_process(successor, Signal::TERM).unwrap();
        while test_kill_process(successor).is_ok() {
            thread::yield_now();
        }
    }
}

#[test]
fn two_servers_may_share_a_port_if_both_want_to() {
    let mut server = Ringserve::start("auto", &["--reuse-port"]);
    let address = server.addresses[0].to_string();
    let second = Ringserve::start_on("auto", &[&address], &["--reuse-port"]);
    for _ in 0..20 {
        assert_eq!(server.connect().exchange(request("GET", "/")).status, 200);
    }
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    for _ in 0..20 {
        assert_eq!(second.connect().exchange(request("GET", "/")).status, 200);
    }
}

#[test]
fn the_service_manager_is_told() {
    let path = std::env::temp_dir().join(format!("ringserve-notify-{}", std::process::id()));
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut command = Ringserve::prepare("auto", &["127.0.0.1:0"], &[]);
    let mut server = Ringserve::spawn(command.env("NOTIFY_SOCKET", &path), 1);
    let mut buffer = [0; 256];
    let count = socket.recv(&mut buffer).unwrap();
    assert!(buffer[..count].starts_with(b"READY=1"));
    server.signal(Signal::TERM);
    let count = socket.recv(&mut buffer).unwrap();
    assert!(buffer[..count].starts_with(b"STOPPING=1"));
    assert_eq!(server.wait().code(), Some(0));
    std::fs::remove_file(&path).unwrap();
    // A socket that is not there is no reason to fail.
    let mut command = Ringserve::prepare("auto", &["127.0.0.1:0"], &[]);
    let server = Ringserve::spawn(command.env("NOTIFY_SOCKET", &path), 1);
    assert_eq!(server.connect().exchange(request("GET", "/")).status, 200);
}
