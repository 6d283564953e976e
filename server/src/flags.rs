//! The command line: each flag with its meaning, its form and its test. Flags only check what can
//! be checked from the text alone; what depends on the machine is [`Config`](crate::Config)'s.

#![allow(clippy::doc_markdown, reason = "these are help texts")]

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use ringbench_engine::{CoreList, UringOptions};
use ringbench_http::{Limits, MAX_HEADERS};
use ringbench_measure::units;

/// A thread-per-core `io_uring` HTTP/1.1 server for extreme-throughput experiments.
///
/// Prints one line on stdout when it is ready; everything else goes to stderr. SIGTERM and SIGINT
/// finish what was received and stop; a second one stops at once. SIGUSR2 starts a successor, which
/// takes over the listening sockets; SIGUSR1 opens the access log anew. Sockets that are handed over
/// by systemd (`LISTEN_FDS`) are used in place of --listen, and readiness is told to
/// `NOTIFY_SOCKET`.
#[derive(Debug, Clone, Parser)]
#[command(name = "ringserve", version, max_term_width = 100)]
pub struct Flags {
    /// Address to listen on, such as `127.0.0.1:8080` or `[::1]:8080`; may be given several times.
    /// Port 0 takes a free one
    #[arg(
        long,
        value_name = "ADDR",
        default_value = "127.0.0.1:8080",
        value_parser = parse_address
    )]
    pub listen: Vec<SocketAddr>,

    /// Number of shards, each a pinned thread with its own ring and listeners; `auto` is one per
    /// core in use
    #[arg(long, value_name = "N|auto", default_value = "auto", value_parser = parse_shards)]
    pub shards: ShardCount,

    /// Cores to pin the shards to in turn, such as 0,2-3 [default: all that are allowed]
    #[arg(long, value_name = "LIST")]
    pub cores: Option<CoreList>,

    /// How the shards talk to the kernel; `auto` takes the best that this machine allows
    #[arg(long, value_enum, default_value_t = Engine::Auto)]
    pub engine: Engine,

    /// Connections that may wait to be accepted, per shard and address; the kernel lowers it to
    /// net.core.somaxconn
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        default_value_t = 65_535,
        value_parser = clap::value_parser!(i32).range(1..)
    )]
    pub backlog: i32,

    /// Listen although another server does on the same address: the kernel spreads connections over
    /// both, until one of them ends. Both need the flag or `SO_REUSEPORT`, and the same user
    #[arg(long)]
    pub reuse_port: bool,

    /// JSON file with the items that GET /json/{count} answers with, in the format of
    /// HttpArena's dataset.json [default: 50 items of its own]
    #[arg(long, value_name = "FILE")]
    pub dataset: Option<PathBuf>,

    /// Directory whose files GET /static/PATH serves; links are followed as far as they are relative
    /// and stay below it
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,

    /// Address on which GET /metrics (Prometheus text format) and GET /healthz are answered, by a
    /// thread of its own and until the very end [default: none]
    #[arg(long, value_name = "ADDR", value_parser = parse_address)]
    pub admin: Option<SocketAddr>,

    /// File to append a line to for each answer, in combined format; /dev/stderr for standard error.
    /// Lines are dropped rather than waited for. SIGUSR1 opens it anew after a rotation. With
    /// io_uring it implies --no-direct-descriptors, and each accept takes a syscall more [default:
    /// none]
    #[arg(long, value_name = "FILE", value_parser = parse_log)]
    pub access_log: Option<PathBuf>,

    /// Show what this machine's kernel offers and what would be in use, and end
    #[arg(long)]
    pub print_engine: bool,

    /// How long a drain may take after SIGTERM or SIGINT before what is left is dropped
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_any_time)]
    pub drain_timeout: Duration,

    /// How long a drain leaves idle connections open: a request that comes by then is answered, and
    /// its client told that it was the last; one that meets the close is lost. As long as clients are
    /// idle between requests, nothing is
    #[arg(long, value_name = "TIME", default_value = "100ms", value_parser = parse_time)]
    pub drain_grace: Duration,

    /// What clients may send, and how long they may take.
    #[command(flatten)]
    pub limits: LimitFlags,

    /// For tests of what finds leaks (scripts/soak.sh): forget so many bytes of memory whenever a
    /// connection has closed
    #[arg(
        long,
        value_name = "BYTES",
        allow_negative_numbers = true,
        default_value_t = 0,
        hide = true,
        value_parser = clap::value_parser!(u32).range(..=1 << 20)
    )]
    pub debug_leak_bytes: u32,

    /// How connections are set up.
    #[command(flatten)]
    pub tcp: TcpFlags,

    /// How the rings are set up.
    #[command(flatten)]
    pub uring: UringFlags,
}

/// What clients may send, and how long they may take.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Limits")]
pub struct LimitFlags {
    /// The longest request head; more is answered with 431
    #[arg(
        long,
        value_name = "BYTES",
        allow_negative_numbers = true,
        default_value_t = Limits::default().max_head_bytes as u32,
        value_parser = clap::value_parser!(u32).range(1024..=1 << 20)
    )]
    pub max_head_bytes: u32,

    /// The most header fields of a request; more is answered with 431
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        default_value_t = MAX_HEADERS as u32,
        value_parser = clap::value_parser!(u32).range(1..=MAX_HEADERS as i64)
    )]
    pub max_headers: u32,

    /// The longest request body; more is answered with 413
    #[arg(
        long,
        value_name = "BYTES",
        allow_negative_numbers = true,
        default_value_t = Limits::default().max_body_bytes,
        value_parser = clap::value_parser!(u64).range(..=MAX_BODY_BYTES)
    )]
    pub max_body_bytes: u64,

    /// The longest body of POST /upload, of which none is kept; more is answered with 413
    #[arg(
        long,
        value_name = "BYTES",
        allow_negative_numbers = true,
        default_value_t = DEFAULT_MAX_UPLOAD_BYTES
    )]
    pub max_upload_bytes: u64,

    /// Connections that each shard keeps; one more is answered with 503 and closed [default: as
    /// many as there can be files]
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        value_parser = clap::value_parser!(u32).range(1..=MAX_CONNECTIONS)
    )]
    pub max_connections: Option<u32>,

    /// Requests answered on one connection before it is closed; 0: any number
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = 0)]
    pub max_requests_per_connection: u32,

    /// How long a request head may take, from its first byte (or from the connection's start) to
    /// its last
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_time)]
    pub header_timeout: Duration,

    /// How long a request body may make no progress
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_time)]
    pub body_timeout: Duration,

    /// How long a client may take nothing of its answers
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_time)]
    pub send_timeout: Duration,

    /// How long a connection may be idle between requests
    #[arg(long, value_name = "TIME", default_value = "75s", value_parser = parse_time)]
    pub keepalive_timeout: Duration,
}

/// How connections are set up.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "TCP")]
pub struct TcpFlags {
    /// Send small answers at once (TCP_NODELAY); `off` lets the kernel wait for more to send with
    /// them, which costs latency
    #[arg(
        long,
        value_name = "on|off",
        default_value = "on",
        default_missing_value = "on",
        num_args = 0..=1,
        value_parser = parse_switch
    )]
    pub tcp_nodelay: bool,

    /// What the kernel takes at most of answers that a connection cannot send yet: the bound of
    /// what a client that does not read costs; 0: as much as its send buffers hold
    #[arg(
        long,
        value_name = "BYTES",
        allow_negative_numbers = true,
        default_value_t = 128 * 1024,
        value_parser = clap::value_parser!(u32).range(..=i64::from(i32::MAX))
    )]
    pub tcp_notsent_lowat: u32,

    /// Congestion control of the connections, such as cubic or reno [default: the system's]
    #[arg(long, value_name = "NAME")]
    pub tcp_congestion: Option<String>,

    /// Give a connection to the shard on the core that its packets come in on; on a real network
    /// with as many receive queues as shards it keeps a request on one core
    #[arg(long)]
    pub incoming_cpu: bool,
}

/// How the rings are set up: sizes, and switches to measure what each feature is worth.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "io_uring")]
pub struct UringFlags {
    /// Submission queue entries of each ring
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        default_value_t = UringOptions::default().ring_entries,
        value_parser = clap::value_parser!(u32).range(8..=32_768)
    )]
    pub ring_entries: u32,

    /// Provided receive buffers of each shard, a power of two
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        default_value_t = UringOptions::default().buffers,
        value_parser = UringOptions::parse_buffers
    )]
    pub buffers: u16,

    /// Bytes of each receive buffer
    #[arg(
        long,
        value_name = "BYTES",
        allow_negative_numbers = true,
        default_value_t = UringOptions::default().buffer_size,
        value_parser = clap::value_parser!(u32).range(64..=1 << 20)
    )]
    pub buffer_size: u32,

    /// Completions to wait for before a batch is handled; more saves syscalls and costs latency
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        default_value_t = UringOptions::default().batch_wait,
        value_parser = clap::value_parser!(u32).range(1..=4096)
    )]
    pub batch_wait: u32,

    /// The longest wait, in microseconds, for --batch-wait completions once one has come
    #[arg(
        long,
        value_name = "US",
        allow_negative_numbers = true,
        default_value_t = UringOptions::default().batch_wait_us,
        value_parser = clap::value_parser!(u32).range(..=1_000_000)
    )]
    pub batch_wait_us: u32,

    /// Use ordinary file descriptors instead of the ring's own table: one process-wide number for
    /// each connection, which other tools can see
    #[arg(long)]
    pub no_direct_descriptors: bool,

    /// Accept and receive once per submission: an operation more for each request
    #[arg(long)]
    pub no_multishot: bool,

    /// Let the kernel run completion work whenever it likes, instead of in batches
    #[arg(long)]
    pub no_defer_taskrun: bool,

    /// Let a thread of the kernel submit, so that a busy shard makes no syscalls; it takes a core
    /// while it is awake, and sleeps after MS milliseconds without work
    #[arg(long, value_name = "MS", num_args = 0..=1, default_missing_value = "1000")]
    pub sqpoll: Option<u32>,

    /// Poll the network card for so many microseconds before waiting (6.9): latency for CPU. Nothing
    /// on loopback
    #[arg(
        long,
        value_name = "US",
        allow_negative_numbers = true,
        default_value_t = 0,
        value_parser = clap::value_parser!(u32).range(..=1_000_000)
    )]
    pub napi_busy_poll_us: u32,

    /// Send output of at least so many bytes without the kernel's copy of it; 0: never. Two
    /// completions for each send, so that it is for large answers
    #[arg(long, value_name = "BYTES", allow_negative_numbers = true, default_value_t = 0)]
    pub send_zc_bytes: u32,

    /// Let several receives share a buffer (6.12): fewer buffers for many small requests
    #[arg(long)]
    pub incremental_buffers: bool,
}

/// How many shards to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShardCount {
    /// One per core in use.
    Auto,
    /// That many.
    Count(NonZeroUsize),
}

/// Which back end carries the shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    /// `io_uring`, or epoll where that is forbidden.
    Auto,
    /// Linux `io_uring`.
    Uring,
    /// Edge-triggered epoll.
    Epoll,
    /// The glommio executor.
    Glommio,
}

impl From<Engine> for ringbench_engine::Engine {
    fn from(engine: Engine) -> Self {
        match engine {
            Engine::Auto => Self::Auto,
            Engine::Uring => Self::Uring,
            Engine::Epoll => Self::Epoll,
            Engine::Glommio => Self::Glommio,
        }
    }
}

/// More shards than this are a typing error.
const MAX_SHARDS: usize = 1024;

/// The default of `--max-upload-bytes`: 1 TiB.
const DEFAULT_MAX_UPLOAD_BYTES: u64 = 1 << 40;

/// More connections of one shard than this are a typing error; a file table has no more entries.
const MAX_CONNECTIONS: i64 = 1 << 20;

/// A body lies in memory until it is whole, for each connection that sends one.
const MAX_BODY_BYTES: u64 = 1 << 30;

/// No timeout is longer: the sum of it and any clock reading fits 64 bits of nanoseconds.
const MAX_TIME: Duration = Duration::from_secs(24 * 3600);

fn parse_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        "expected an IP address and a port, such as 127.0.0.1:8080, 0.0.0.0:80 or [::1]:8080"
            .to_owned()
    })
}

fn parse_log(text: &str) -> Result<PathBuf, String> {
    match text {
        "" => Err("expected the name of a file".to_owned()),
        "-" => Err("stdout is for the line that says where the server listens; to see the log on \
              standard error, name /dev/stderr"
            .to_owned()),
        path => Ok(path.into()),
    }
}

fn parse_shards(text: &str) -> Result<ShardCount, String> {
    if text == "auto" {
        return Ok(ShardCount::Auto);
    }
    text.parse::<NonZeroUsize>()
        .ok()
        .filter(|count| count.get() <= MAX_SHARDS)
        .map(ShardCount::Count)
        .ok_or_else(|| format!("expected `auto` or a number from 1 to {MAX_SHARDS}"))
}

fn parse_switch(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("expected `on` or `off`".to_owned()),
    }
}

fn parse_any_time(text: &str) -> Result<Duration, String> {
    let time = units::parse_duration(text).map_err(|error| error.to_string())?;
    if time > MAX_TIME { Err("must not be longer than 24h".to_owned()) } else { Ok(time) }
}

fn parse_time(text: &str) -> Result<Duration, String> {
    // The deadline wheel ticks in milliseconds.
    parse_any_time(text).and_then(|time| {
        if time < Duration::from_millis(1) {
            Err("must be at least 1ms".to_owned())
        } else {
            Ok(time)
        }
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use clap::error::ErrorKind;

    use super::*;

    fn parse(arguments: &[&str]) -> Result<Flags, clap::Error> {
        Flags::try_parse_from(std::iter::once("ringserve").chain(arguments.iter().copied()))
    }

    #[test]
    fn the_definition_is_consistent() {
        Flags::command().debug_assert();
        assert_eq!(ringbench_flags::undocumented(&Flags::command()).unwrap(), [""; 0]);
    }

    #[test]
    fn defaults_are_those_of_the_contract() {
        let flags = parse(&[]).unwrap();
        assert_eq!(flags.listen, ["127.0.0.1:8080".parse().unwrap()]);
        assert_eq!(flags.shards, ShardCount::Auto);
        assert_eq!(flags.cores, None);
        assert_eq!(flags.engine, Engine::Auto);
        assert_eq!(flags.drain_timeout, Duration::from_secs(30));
        assert_eq!(flags.drain_grace, Duration::from_millis(100));
        assert_eq!(flags.limits.header_timeout, Duration::from_secs(60));
        assert_eq!(flags.limits.body_timeout, Duration::from_secs(60));
        assert_eq!(flags.limits.send_timeout, Duration::from_secs(60));
        assert_eq!(flags.limits.keepalive_timeout, Duration::from_secs(75));
    }

    #[test]
    fn what_only_tests_need_is_not_shown() {
        assert_eq!(parse(&[]).unwrap().debug_leak_bytes, 0);
        assert_eq!(parse(&["--debug-leak-bytes", "64"]).unwrap().debug_leak_bytes, 64);
        assert!(!Flags::command().render_long_help().to_string().contains("debug-leak"));
    }

    #[test]
    fn listen_can_be_repeated() {
        let flags = parse(&["--listen", "0.0.0.0:80", "--listen=[::1]:0"]).unwrap();
        assert_eq!(flags.listen, ["0.0.0.0:80".parse().unwrap(), "[::1]:0".parse().unwrap()]);
    }

    #[test]
    fn core_lists_keep_their_order() {
        let flags = parse(&["--cores", "3,0-1"]).unwrap();
        assert_eq!(flags.cores, Some(CoreList(vec![3, 0, 1])));
    }

    #[test]
    fn errors_name_the_flag() {
        for arguments in [
            ["--listen", "localhost"],
            ["--listen", "127.0.0.1"],
            ["--shards", "0"],
            ["--shards", "many"],
            ["--cores", "1-0"],
            ["--engine", "kqueue"],
            ["--backlog", "0"],
            ["--buffers", "100"],
            ["--buffers", "0"],
            ["--buffer-size", "1"],
            ["--ring-entries", "0"],
            ["--batch-wait", "0"],
            ["--batch-wait-us", "1000001"],
            ["--max-head-bytes", "10"],
            ["--max-body-bytes", "-1"],
            ["--max-body-bytes", "1073741825"],
            ["--header-timeout", "0s"],
            ["--max-headers", "101"],
            ["--max-connections", "0"],
            ["--max-requests-per-connection", "-1"],
            ["--max-upload-bytes", "1T"],
            ["--send-timeout", "0s"],
            ["--tcp-nodelay", "maybe"],
            ["--napi-busy-poll-us", "1000001"],
            ["--send-zc-bytes", "x"],
            ["--body-timeout", "1x"],
            ["--keepalive-timeout", "25h"],
            ["--drain-timeout", ""],
            ["--drain-grace", "0s"],
            ["--admin", "9090"],
            ["--debug-leak-bytes", "1048577"],
            ["--access-log", "-"],
            ["--access-log", ""],
        ] {
            let error = parse(&arguments).expect_err("a bad value was accepted");
            assert!(error.to_string().contains(arguments[0]), "{arguments:?}: {error}");
            assert_eq!(error.exit_code(), 2);
        }
        assert_eq!(parse(&["--frobnicate"]).unwrap_err().kind(), ErrorKind::UnknownArgument);
    }

    #[test]
    fn the_longest_body_has_a_bound_and_the_error_names_it() {
        let flags = parse(&["--max-body-bytes", "1073741824"]).unwrap();
        assert_eq!(flags.limits.max_body_bytes, MAX_BODY_BYTES);
        let error = parse(&["--max-body-bytes", "18446744073709551615"]).unwrap_err();
        assert!(error.to_string().contains("0..=1073741824"), "{error}");
    }

    #[test]
    fn times_have_units() {
        assert_eq!(parse_time("1500ms").unwrap(), Duration::from_millis(1500));
        assert_eq!(parse_time("2m").unwrap(), Duration::from_secs(120));
        assert_eq!(parse_any_time("0s").unwrap(), Duration::ZERO);
        assert!(parse_time("10us").is_err());
    }
}
