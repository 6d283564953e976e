use std::fs;

use super::*;
use crate::config::{Place, Sharing};
use crate::schedule::Arrival;

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
    assert!(message.contains("--connections 2") && message.contains("--threads 3"), "{message}");
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
fn cores_are_those_that_may_be_used() {
    assert!(error(&["--cores", "3-1", "http://h"]).contains("--cores"));
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
        ("--total-requests", ["-n", "1.5", "http://h"]),
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
        ("--rate", ["--rate", "0", "http://h"]),
        ("--rate", ["-R", "fast", "http://h"]),
        ("--ramp", ["--ramp", "5", "http://h"]),
        ("--stages", ["--stages", "10s", "http://h"]),
        ("--stages", ["--stages", "10s@0,1s@0", "http://h"]),
        ("--arrival", ["--arrival", "poisson", "http://h"]),
        ("--spin", ["--spin", "50us", "http://h"]),
        ("--deadline", ["--deadline", "1s", "http://h"]),
        ("--u_latency", ["-U", "--latency", "http://h"]),
        ("--source", ["--source", "127.0.0.9-127.0.0.2", "http://h"]),
        ("--source", ["--source", "localhost", "http://h"]),
        ("--connect-to", ["--connect-to", "h", "http://h"]),
        ("--resolve", ["--resolve", "h:80", "http://h"]),
        ("--connect-rate", ["--connect-rate", "0", "http://h"]),
        ("--script", ["http://h", "--", "argument"]),
    ] {
        let message = error(&args);
        assert!(message.contains(flag), "{args:?}: {message}");
    }
}

#[test]
fn wrk2_command_lines_run_unchanged() {
    let wrk2 = config("-t2 -c100 -d30s -R2000 -L -U http://127.0.0.1:80/index.html");
    let open_loop = wrk2.open_loop.expect("an open loop");
    assert_eq!(open_loop.schedule.time_ns(2_000.0), Some(1_000_000_000));
    assert_eq!((open_loop.arrival, open_loop.sharing), (Arrival::Constant, Sharing::Shared));
    assert!(wrk2.latency && wrk2.uncorrected && open_loop.deadline.is_none());
    assert!(config("http://h").open_loop.is_none());
}

#[test]
fn schedules() {
    let of = |args: &str| config(args).open_loop.expect("an open loop").schedule.to_string();
    assert_eq!(of("-R 1.5k http://h"), "1500/s");
    assert_eq!(of("--ramp 0:2k -d 10s http://h"), "10s@0-2000/s");
    assert_eq!(of("--stages 500ms@10,1s@10-20 http://h"), "500ms@10/s,1s@10-20/s");
    let stages = config("--stages 500ms@10,1s@10-20 http://h");
    assert_eq!(stages.ending.duration, Some(Duration::from_millis(1_500)));
    let message = error(&["--ramp", "1:2", "-n", "5", "http://h"]);
    assert!(message.contains("--ramp needs -d"), "{message}");
    let message =
        error(&["-R1", "--arrival", "poisson", "--schedule", "per-connection", "http://h"]);
    assert!(message.contains("--schedule per-connection"), "{message}");
    let message = error(&["-R1", "--expected-interval", "1ms", "http://h"]);
    assert!(message.contains("cannot be used with"), "{message}");
}

#[test]
fn places_to_connect_to() {
    let place = |args: &str| config(args).connect.place;
    assert_eq!(place("http://h"), Place::Url);
    assert_eq!(place("--unix @x http://h"), Place::Unix("@x".into()));
    assert_eq!(place("--connect-to [::1]:81 http://h"), Place::Host("::1".to_owned(), 81));
    let resolved = Place::Address("127.0.0.1:80".parse().unwrap());
    assert_eq!(place("--resolve H:80:127.0.0.1 http://h/x"), resolved);
    assert_eq!(place("--resolve other:80:127.0.0.1 http://h/x"), Place::Url);
    let sources = config("--source 127.0.0.2-127.0.0.4,::1 http://h").connect.sources;
    assert_eq!(sources.len(), 4);
    assert_eq!(sources[2].to_string(), "127.0.0.4");
}

#[test]
fn without_keep_alive_each_request_asks_to_close() {
    let config = config("--no-keepalive -H Connection:keep-alive http://h");
    assert_eq!(config.headers, [("Connection".to_owned(), "close".to_owned())]);
}

#[test]
fn scripts_have_arguments() {
    let variety = config("-s post.lua http://h -- a -b").variety;
    let arguments = ["a", "-b"].map(str::to_owned).to_vec();
    assert_eq!(variety, Variety::Script("post.lua".into(), arguments));
    assert_eq!(config("--requests mix.toml http://h").variety, Variety::File("mix.toml".into()));
}
