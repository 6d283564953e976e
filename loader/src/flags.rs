//! The command line. A flag, its help and its check stand in one place.

use std::fs::File;
use std::io::Read;
use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{ArgAction, CommandFactory, Parser, ValueEnum};
use ringbench_engine::{UringOptions, allowed_cores};
use ringbench_http::ClientConn;
use ringbench_measure::units::{parse_count, parse_duration};

use crate::config::{Config, Ending};
use crate::plan::{self, Plan};
use crate::url::Url;

/// The duration of a run when neither `-d` nor `-n` is given.
const DEFAULT_DURATION: Duration = Duration::from_secs(10);
/// More threads than any machine has cores are a slip of the finger.
const MAX_THREADS: u64 = 4096;
/// A table of direct descriptors has no more entries than this.
const MAX_CONNECTIONS: u64 = 1 << 20;
/// The codec keeps track of so many requests on a connection.
const MAX_PIPELINE: u64 = ClientConn::MAX_PIPELINE as u64;

const LOAD: &str = "Load";
const REQUEST: &str = "Request";
const OUTPUT: &str = "Output";
const RING: &str = "io_uring";

/// Loads an HTTP/1.1 server from threads that have a core and a ring each, and reports as wrk
/// does.
///
/// Closed loop: a connection sends its next request when the last response is complete. A latency
/// runs from when the request was handed to the kernel to when its response was complete.
#[derive(Debug, Parser)]
#[command(
    name = "ringload",
    version,
    disable_version_flag = true,
    after_help = "Durations take us, ms, s, m or h, and counts k, M or G.\n\
                  Exit codes: 0 done, 1 the run could not be done, was given up, or has no \
                  response that is no error, 2 bad arguments, 130/143 interrupted."
)]
pub struct Flags {
    /// What to load.
    #[arg(
        help = "What to load: http://HOST[:PORT][/PATH][?QUERY], where HOST is a name, an IPv4 \
                  address or an [IPv6] address"
    )]
    pub url: Url,

    /// Connections to keep open, over all threads.
    #[arg(short, long, value_name = "N", default_value = "10", help_heading = LOAD,
          value_parser = parse_connections)]
    pub connections: usize,

    /// How long to run [default: 10s, no limit with -n].
    #[arg(short, long, value_name = "TIME", help_heading = LOAD,
          value_parser = parse_positive_duration)]
    pub duration: Option<Duration>,

    /// Threads, each with its own ring and share of the connections [default: one per core that
    /// may be used, at most one per connection].
    #[arg(short, long, value_name = "N", help_heading = LOAD, value_parser = parse_threads)]
    pub threads: Option<usize>,

    /// Stop when exactly this many responses are complete.
    #[arg(short = 'n', long, value_name = "N", help_heading = LOAD, value_parser = parse_requests)]
    pub requests: Option<NonZeroU64>,

    /// Pipelining depth: a connection sends N requests at once, and the next N when all of them are
    /// answered.
    #[arg(short, long, value_name = "N", default_value = "1", help_heading = LOAD,
          value_parser = parse_pipeline)]
    pub pipeline: NonZeroU32,

    /// Close a connection when N requests on it are answered, and open a new one at once; a burst
    /// that would go past N is cut short [default: any number].
    #[arg(long, value_name = "N", help_heading = LOAD, value_parser = parse_requests)]
    pub requests_per_connection: Option<NonZeroU64>,

    /// How long a response, or a connection's opening, may take.
    #[arg(short = 'T', long, value_name = "TIME", default_value = "2s", help_heading = LOAD,
          value_parser = parse_positive_duration)]
    pub timeout: Duration,

    /// Cores to run on, as 0,2,4-7; threads are pinned to them in turn [default: all that may be
    /// used].
    #[arg(long, value_name = "LIST", help_heading = LOAD, value_parser = parse_cores)]
    pub cores: Option<Cores>,

    /// A header field, `Name: value`; may be repeated.
    #[arg(short = 'H', long = "header", value_name = "FIELD", help_heading = REQUEST,
          value_parser = plan::parse_header)]
    pub headers: Vec<(String, String)>,

    /// The method [default: GET, with a body POST].
    #[arg(short, long, value_name = "METHOD", help_heading = REQUEST,
          value_parser = plan::parse_method)]
    pub method: Option<String>,

    /// The body: the text itself, or @FILE for what is in a file.
    #[arg(short, long, value_name = "TEXT|@FILE", help_heading = REQUEST, value_parser = parse_body,
          allow_hyphen_values = true)]
    pub body: Option<Body>,

    /// Show the distribution of latencies.
    #[arg(short = 'L', long, help_heading = OUTPUT)]
    pub latency: bool,

    /// The report's format.
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Text,
          help_heading = OUTPUT)]
    pub format: Format,

    /// Write a line on stderr at this interval, such as 1s.
    #[arg(long, value_name = "TIME", help_heading = OUTPUT, value_parser = parse_interval)]
    pub interval: Option<Duration>,

    /// Draw no progress bar; without a terminal on stderr there is none anyway.
    #[arg(long, help_heading = OUTPUT)]
    pub no_progress: bool,

    /// Print the version.
    #[arg(short, long, action = ArgAction::Version)]
    pub version: Option<bool>,

    // Last, as its heading holds for all that follows.
    /// Settings of the rings.
    #[command(flatten)]
    pub ring: RingFlags,
}

/// How the report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// wrk's layout, followed by what Ringbench adds.
    Text,
    /// One JSON object.
    Json,
}

/// Cores, from a list such as `0,2,4-7`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cores(pub Vec<usize>);

/// A request's body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body(pub Vec<u8>);

/// Settings of the rings, one flag for each field of [`UringOptions`]; ringserve has the same.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = RING)]
pub struct RingFlags {
    /// Submission queue entries of each ring.
    #[arg(long, value_name = "N", default_value_t = UringOptions::default().ring_entries,
          value_parser = clap::value_parser!(u32).range(8..=32_768))]
    pub ring_entries: u32,

    /// Provided receive buffers of each thread, a power of two.
    #[arg(long, value_name = "N", default_value_t = UringOptions::default().buffers,
          value_parser = UringOptions::parse_buffers)]
    pub buffers: u16,

    /// Bytes of each receive buffer.
    #[arg(long, value_name = "BYTES", default_value_t = UringOptions::default().buffer_size,
          value_parser = clap::value_parser!(u32).range(64..=1 << 20))]
    pub buffer_size: u32,

    /// Completions to wait for before a batch is handled. More than 1 saves CPU time and adds to
    /// the latencies that are measured.
    #[arg(long, value_name = "N", default_value_t = UringOptions::default().batch_wait,
          value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub batch_wait: u32,

    /// The longest wait, in microseconds, for --batch-wait completions once one has come.
    #[arg(long, value_name = "US", default_value_t = UringOptions::default().batch_wait_us,
          value_parser = clap::value_parser!(u32).range(..=1_000_000))]
    pub batch_wait_us: u32,

    /// Use ordinary file descriptors instead of the ring's own table.
    #[arg(long)]
    pub no_direct_descriptors: bool,

    /// Receive once per submission.
    #[arg(long)]
    pub no_multishot: bool,

    /// Let the kernel run completion work whenever it likes.
    #[arg(long)]
    pub no_defer_taskrun: bool,
}

impl RingFlags {
    fn options(&self) -> UringOptions {
        let defaults = UringOptions::default();
        UringOptions {
            ring_entries: self.ring_entries,
            buffers: self.buffers,
            buffer_size: self.buffer_size,
            batch_wait: self.batch_wait,
            batch_wait_us: self.batch_wait_us,
            direct_descriptors: !self.no_direct_descriptors,
            multishot: !self.no_multishot,
            defer_taskrun: !self.no_defer_taskrun,
            ..defaults
        }
    }
}

impl Flags {
    /// The run that these flags describe, all defaults filled in.
    ///
    /// # Errors
    ///
    /// When flags contradict each other; the text names them.
    pub fn config(self) -> Result<Config, clap::Error> {
        let cores = self.cores.map_or_else(Vec::new, |cores| cores.0);
        let allowed = allowed_cores();
        if let Some(core) = cores.iter().find(|core| !allowed.contains(core)) {
            return Err(conflict(&format!(
                "--cores: core {core} is not among those that may be used here ({})",
                allowed.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
            )));
        }
        let usable = if cores.is_empty() { allowed.len() } else { cores.len() };
        let threads = self.threads.unwrap_or_else(|| usable.clamp(1, self.connections));
        if self.connections < threads {
            return Err(conflict(&format!(
                "-c/--connections {} is less than -t/--threads {threads}: each thread needs at \
                 least one connection",
                self.connections
            )));
        }
        let body = self.body.map(|body| body.0);
        let method =
            self.method.unwrap_or_else(|| if body.is_some() { "POST" } else { "GET" }.to_owned());
        let requests = self.requests.map(NonZeroU64::get);
        let config = Config {
            url: self.url,
            connections: self.connections,
            threads,
            ending: Ending {
                duration: self.duration.or(requests.is_none().then_some(DEFAULT_DURATION)),
                requests,
            },
            pipeline: self.pipeline.get(),
            requests_per_connection: self.requests_per_connection.map(NonZeroU64::get),
            timeout: self.timeout,
            method,
            headers: self.headers,
            body,
            latency: self.latency,
            interval: self.interval,
            progress: !self.no_progress,
            cores,
            uring: self.ring.options(),
        };
        Plan::new(&config).map_err(|error| conflict(&error.to_string()))?;
        Ok(config)
    }
}

/// An error about several flags, reported as clap reports one about a single flag.
fn conflict(message: &str) -> clap::Error {
    Flags::command().error(ErrorKind::ArgumentConflict, message)
}

fn parse_range(text: &str, least: u64, most: u64) -> Result<u64, String> {
    let value = parse_count(text).map_err(|error| error.to_string())?;
    if (least..=most).contains(&value) {
        return Ok(value);
    }
    Err(format!("must be from {least} to {most}"))
}

fn parse_connections(text: &str) -> Result<usize, String> {
    parse_range(text, 1, MAX_CONNECTIONS).map(|value| value as usize)
}

fn parse_threads(text: &str) -> Result<usize, String> {
    parse_range(text, 1, MAX_THREADS).map(|value| value as usize)
}

fn parse_requests(text: &str) -> Result<NonZeroU64, String> {
    let count = parse_count(text).map_err(|error| error.to_string())?;
    NonZeroU64::new(count).ok_or_else(|| "must be at least 1".to_owned())
}

fn parse_pipeline(text: &str) -> Result<NonZeroU32, String> {
    let depth = parse_range(text, 1, MAX_PIPELINE)?;
    NonZeroU32::new(depth as u32).ok_or_else(|| "must be at least 1".to_owned())
}

fn parse_positive_duration(text: &str) -> Result<Duration, String> {
    let duration = parse_duration(text).map_err(|error| error.to_string())?;
    if duration.is_zero() {
        return Err("must be longer than nothing".to_owned());
    }
    Ok(duration)
}

fn parse_interval(text: &str) -> Result<Duration, String> {
    const LEAST: Duration = Duration::from_millis(10);
    let interval = parse_positive_duration(text)?;
    if interval < LEAST {
        return Err("must be at least 10ms".to_owned());
    }
    Ok(interval)
}

fn parse_cores(text: &str) -> Result<Cores, String> {
    let expected = || format!("`{text}` is not a list of cores such as 0,2,4-7");
    let number = |text: &str| text.trim().parse::<usize>().map_err(|_| expected());
    let mut cores = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (number(first)?, number(last)?);
        if first > last || last >= MAX_THREADS as usize {
            return Err(expected());
        }
        for core in first..=last {
            if cores.contains(&core) {
                return Err(format!("core {core} is named twice"));
            }
            cores.push(core);
        }
    }
    Ok(Cores(cores))
}

fn parse_body(text: &str) -> Result<Body, String> {
    match text.strip_prefix('@') {
        None => Ok(Body(text.as_bytes().to_vec())),
        Some(path) => {
            // One byte more than can be sent is enough for it to be refused, even of /dev/zero.
            let most = plan::MAX_BURST_LEN as u64 + 1;
            let mut body = Vec::new();
            File::open(path)
                .and_then(|file| file.take(most).read_to_end(&mut body))
                .map_err(|error| format!("cannot read `{path}`: {error}"))?;
            Ok(Body(body))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn config(args: &str) -> Config {
        let words = ["ringload"].into_iter().chain(args.split_whitespace());
        Flags::try_parse_from(words)
            .and_then(Flags::config)
            .unwrap_or_else(|error| panic!("{args}: {error}"))
    }

    fn error(args: &[&str]) -> String {
        let words = ["ringload"].iter().chain(args);
        let error = Flags::try_parse_from(words).and_then(Flags::config).expect_err("not refused");
        assert_eq!(error.exit_code(), 2, "{args:?}");
        error.to_string()
    }

    #[test]
    fn clap_finds_no_fault_with_the_flags() {
        Flags::command().debug_assert();
    }

    #[test]
    fn defaults() {
        let config = config("http://127.0.0.1:8080/");
        assert_eq!(config.connections, 10);
        assert_eq!(config.threads, allowed_cores().len().clamp(1, 10));
        assert_eq!(config.ending, Ending { duration: Some(DEFAULT_DURATION), requests: None });
        assert_eq!((config.pipeline, config.timeout), (1, Duration::from_secs(2)));
        assert_eq!(config.requests_per_connection, None);
        assert_eq!((config.method.as_str(), config.body), ("GET", None));
        assert!(config.progress && !config.latency && config.interval.is_none());
    }

    #[test]
    fn wrk_command_lines_run_unchanged() {
        let wrk = config("-t12 -c400 -d30s --latency --timeout 5 http://localhost:8080/index.html");
        assert_eq!((wrk.threads, wrk.connections), (12, 400));
        assert_eq!(wrk.ending.duration, Some(Duration::from_secs(30)));
        assert_eq!(wrk.timeout, Duration::from_secs(5));
        assert!(wrk.latency);
        let wrk = config("http://h -t 1 -c 1k -d 2m -L -H X:1 -H Y:2");
        assert!(wrk.latency);
        assert_eq!(wrk.connections, 1_000);
        assert_eq!(wrk.ending.duration, Some(Duration::from_secs(120)));
        assert_eq!(wrk.headers.len(), 2);
    }

    #[test]
    fn fewer_connections_than_cores_make_fewer_threads() {
        assert_eq!(config("-c 1 http://h").threads, 1);
        let message = error(&["-c", "2", "-t", "3", "http://h"]);
        assert!(
            message.contains("--connections 2") && message.contains("--threads 3"),
            "{message}"
        );
    }

    #[test]
    fn a_number_of_requests_lifts_the_default_duration_only() {
        let ending = |args| config(args).ending;
        let requests = Some(5_000);
        assert_eq!(ending("-n 5k http://h"), Ending { duration: None, requests });
        let duration = Some(Duration::from_secs(1));
        assert_eq!(ending("-n 5k -d 1s http://h"), Ending { duration, requests });
    }

    #[test]
    fn connections_can_be_made_short_lived() {
        let per_connection = |args| config(args).requests_per_connection;
        assert_eq!(per_connection("--requests-per-connection 10 -p 16 http://h"), Some(10));
        assert_eq!(per_connection("--requests-per-connection 2k -n 1 http://h"), Some(2_000));
    }

    #[test]
    fn the_method_follows_from_the_body() {
        assert_eq!(config("-b x http://h").method, "POST");
        assert_eq!(config("-b x -m PUT http://h").method, "PUT");
        assert_eq!(config("-b -5 http://h").body.unwrap(), b"-5");
    }

    #[test]
    fn a_body_can_be_read_from_a_file() {
        let path = std::env::temp_dir().join(format!("ringload-body-{}", std::process::id()));
        fs::write(&path, b"from\0a file").unwrap();
        let config = config(&format!("-b @{} http://h", path.display()));
        fs::remove_file(&path).unwrap();
        assert_eq!(config.body.unwrap(), b"from\0a file");
        let message = error(&["-b", "@/no/such/file", "http://h"]);
        assert!(message.contains("--body") && message.contains("No such file"), "{message}");
    }

    #[test]
    fn ring_flags_switch_features_off() {
        let uring = config("http://h --no-multishot --batch-wait 32 --batch-wait-us 100").uring;
        assert!(!uring.multishot && uring.direct_descriptors && uring.defer_taskrun);
        assert_eq!((uring.batch_wait, uring.batch_wait_us), (32, 100));
        let uring = config("http://h --no-direct-descriptors --no-defer-taskrun").uring;
        assert!(uring.multishot && !uring.direct_descriptors && !uring.defer_taskrun);
    }

    #[test]
    fn cores_are_a_list_of_ranges() {
        assert_eq!(parse_cores("0,2,4-7").unwrap().0, [0, 2, 4, 5, 6, 7]);
        for list in ["", "a", "1-", "3-1", "-1", "0,,1", "0-99999999", "1,0-2"] {
            assert!(parse_cores(list).is_err(), "{list}");
        }
        let core = allowed_cores()[0];
        let config = config(&format!("-c 9 --cores {core} http://h"));
        assert_eq!((config.threads, config.cores), (1, vec![core]));
        let message = error(&["--cores", "4000", "http://h"]);
        assert!(message.contains("--cores: core 4000 is not among"), "{message}");
    }

    #[test]
    fn errors_name_the_flag() {
        for (flag, args) in [
            ("--connections", ["-c", "0", "http://h"]),
            ("--connections", ["-c", "many", "http://h"]),
            ("--duration", ["-d", "10x", "http://h"]),
            ("--duration", ["-d", "0", "http://h"]),
            ("--threads", ["-t", "0", "http://h"]),
            ("--requests", ["-n", "1.5", "http://h"]),
            ("--pipeline", ["-p", "129", "http://h"]),
            ("--requests-per-connection", ["--requests-per-connection", "0", "http://h"]),
            ("--timeout", ["--timeout", "0s", "http://h"]),
            ("--interval", ["--interval", "1us", "http://h"]),
            ("--buffers", ["--buffers", "1000", "http://h"]),
            ("--cores", ["--cores", "x", "http://h"]),
            ("--header", ["-H", "no colon", "http://h"]),
            ("--method", ["-m", "G T", "http://h"]),
            ("--format", ["--format", "xml", "http://h"]),
            ("<URL>", ["--latency", "--no-progress", "https://h"]),
            ("-s", ["-s", "script.lua", "http://h"]),
        ] {
            let message = error(&args);
            assert!(message.contains(flag), "{args:?}: {message}");
        }
    }
}
