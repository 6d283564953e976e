//! What the server is to do, checked against the machine it runs on.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ringbench_engine::{EngineConfig, ListenOptions, UringOptions, allowed_cores};
use ringbench_http::Limits;

use crate::Settings;
use crate::flags::{Flags, LimitFlags, ShardCount, UringFlags};
use crate::routes::arena::Dataset;
use crate::routes::files::Root;

/// Everything [`start`](crate::start) needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen; port 0 takes a free one.
    pub listen: Vec<SocketAddr>,
    /// How the listeners are opened.
    pub listen_options: ListenOptions,
    /// Whether another server may listen on the same addresses.
    pub reuse_port: bool,
    /// The shards and their rings.
    pub engine: EngineConfig,
    /// What clients may send, and how long they may take.
    pub settings: Settings,
    /// What `GET /json/{count}` answers from.
    pub dataset: Arc<Dataset>,
    /// The directory that `GET /static/{path}` serves.
    pub root: Option<Arc<Root>>,
    /// Where `/metrics` and `/healthz` are; port 0 takes a free one.
    pub admin: Option<SocketAddr>,
    /// The file of the access log.
    pub access_log: Option<PathBuf>,
    /// How long a drain may take.
    pub drain_timeout: Duration,
}

/// How long clients may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For a request head, from its first byte or the connection's start.
    pub header: Duration,
    /// For a body, between two pieces of it.
    pub body: Duration,
    /// For answers, between two moments at which the client takes some of them.
    pub send: Duration,
    /// Between requests.
    pub keepalive: Duration,
}

impl Default for Timeouts {
    /// nginx's.
    fn default() -> Self {
        Self {
            header: Duration::from_secs(60),
            body: Duration::from_secs(60),
            send: Duration::from_secs(60),
            keepalive: Duration::from_secs(75),
        }
    }
}

/// What is wrong with the command line: the caller's mistake, exit code 2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigError {
    /// `--cores` names a core that this process may not run on.
    NoSuchCore {
        /// The core.
        core: usize,
        /// Those that could be named.
        allowed: Vec<usize>,
    },
    /// `--listen` has the same address twice.
    RepeatedAddress(SocketAddr),
    /// `--admin` and `--listen` have the same address.
    AdminAddress(SocketAddr),
    /// `--dataset` names a file that is none.
    Dataset(String),
    /// `--root` names no directory that can be served.
    Root {
        /// The directory.
        path: PathBuf,
        /// Why not.
        why: String,
    },
}

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoSuchCore { core, allowed } => {
                let allowed: Vec<String> = allowed.iter().map(ToString::to_string).collect();
                write!(
                    f,
                    "--cores: core {core} is not among those this process may use ({})",
                    allowed.join(",")
                )
            }
            Self::RepeatedAddress(address) => {
                write!(f, "--listen: {address} is given twice")
            }
            Self::AdminAddress(address) => {
                write!(f, "--admin: {address} is the server's own address, by --listen")
            }
            Self::Dataset(why) => f.write_str(why),
            Self::Root { path, why } => write!(f, "--root: {}: {why}", path.display()),
        }
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// The configuration that `flags` ask for.
    ///
    /// # Errors
    ///
    /// What this machine does not allow, with the flag's name.
    pub fn from_flags(flags: &Flags) -> Result<Self, ConfigError> {
        Self::on_cores(flags, allowed_cores())
    }

    fn on_cores(flags: &Flags, allowed: Vec<usize>) -> Result<Self, ConfigError> {
        for (position, &address) in flags.listen.iter().enumerate() {
            if address.port() != 0 && flags.listen[..position].contains(&address) {
                return Err(ConfigError::RepeatedAddress(address));
            }
        }
        if let Some(address) = flags.admin
            && address.port() != 0
            && flags.listen.contains(&address)
        {
            return Err(ConfigError::AdminAddress(address));
        }
        let cores = flags.cores.as_ref().map(|list| list.0.clone()).unwrap_or_default();
        if let Some(&core) = cores.iter().find(|core| !allowed.contains(core)) {
            return Err(ConfigError::NoSuchCore { core, allowed });
        }
        let in_use = if cores.is_empty() { allowed.len() } else { cores.len() };
        let shards = match flags.shards {
            ShardCount::Auto => in_use.max(1),
            ShardCount::Count(count) => count.get(),
        };
        let dataset = match &flags.dataset {
            Some(path) => Dataset::read(path).map_err(|e| ConfigError::Dataset(e.to_string()))?,
            None => Dataset::embedded(),
        };
        let root = flags.root.as_deref().map(|path| {
            let failed = |e: io::Error| ConfigError::Root { path: path.into(), why: e.to_string() };
            Root::open(path).map(Arc::new).map_err(failed)
        });
        let shard_cores = if cores.is_empty() { &allowed } else { &cores };
        Ok(Self {
            listen: flags.listen.clone(),
            listen_options: ListenOptions {
                backlog: flags.backlog,
                nodelay: flags.tcp.tcp_nodelay,
                notsent_lowat: flags.tcp.tcp_notsent_lowat,
                congestion: flags.tcp.tcp_congestion.clone(),
                incoming_cpu: flags.tcp.incoming_cpu.then(|| shard_cores.clone()),
            },
            reuse_port: flags.reuse_port,
            engine: EngineConfig {
                engine: flags.engine.into(),
                shards,
                cores,
                thread_name: "ringserve",
                peer_addresses: flags.access_log.is_some(),
                uring: uring_options(&flags.uring),
                ..EngineConfig::default()
            },
            settings: settings(flags),
            dataset: Arc::new(dataset),
            root: root.transpose()?,
            admin: flags.admin,
            access_log: flags.access_log.clone(),
            drain_timeout: flags.drain_timeout,
        })
    }
}

fn settings(Flags { limits: flags, drain_grace, debug_leak_bytes, .. }: &Flags) -> Settings {
    Settings {
        limits: limits(flags),
        max_upload_bytes: flags.max_upload_bytes,
        timeouts: Timeouts {
            header: flags.header_timeout,
            body: flags.body_timeout,
            send: flags.send_timeout,
            keepalive: flags.keepalive_timeout,
        },
        max_requests_per_connection: flags.max_requests_per_connection,
        max_connections: flags.max_connections.map_or(usize::MAX, |count| count as usize),
        drain_grace: *drain_grace,
        debug_leak_bytes: *debug_leak_bytes as usize,
    }
}

fn limits(flags: &LimitFlags) -> Limits {
    let default = Limits::default();
    let max_head_bytes = flags.max_head_bytes as usize;
    Limits {
        max_head_bytes,
        // A larger head is asked for because of long cookies or long targets.
        max_target_bytes: default.max_target_bytes.max(max_head_bytes / 2),
        max_headers: flags.max_headers as usize,
        max_body_bytes: flags.max_body_bytes,
        ..default
    }
}

fn uring_options(flags: &UringFlags) -> UringOptions {
    UringOptions {
        ring_entries: flags.ring_entries,
        buffers: flags.buffers,
        buffer_size: flags.buffer_size,
        batch_wait: flags.batch_wait,
        batch_wait_us: flags.batch_wait_us,
        direct_descriptors: !flags.no_direct_descriptors,
        multishot: !flags.no_multishot,
        defer_taskrun: !flags.no_defer_taskrun,
        sqpoll_idle_ms: flags.sqpoll,
        napi_busy_poll_us: flags.napi_busy_poll_us,
        send_zc_bytes: flags.send_zc_bytes as usize,
        incremental_buffers: flags.incremental_buffers,
        ..UringOptions::default()
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn config(arguments: &str) -> Result<Config, ConfigError> {
        let arguments = std::iter::once("ringserve").chain(arguments.split_whitespace());
        Config::on_cores(&Flags::try_parse_from(arguments).unwrap(), vec![0, 1, 5])
    }

    #[test]
    fn auto_is_one_shard_per_core_in_use() {
        assert_eq!(config("").unwrap().engine.shards, 3);
        assert_eq!(config("--cores 0,5").unwrap().engine.shards, 2);
        assert_eq!(config("--cores 0,5 --shards 4").unwrap().engine.shards, 4);
        assert_eq!(config("--cores 5,0").unwrap().engine.cores, [5, 0]);
    }

    #[test]
    fn cores_must_be_there() {
        let error = config("--cores 0-2").unwrap_err();
        assert_eq!(
            error.to_string(),
            "--cores: core 2 is not among those this process may use (0,1,5)"
        );
    }

    #[test]
    fn an_address_can_be_given_once() {
        let error = config("--listen 127.0.0.1:80 --listen 127.0.0.1:80").unwrap_err();
        assert!(error.to_string().starts_with("--listen: 127.0.0.1:80"));
        assert!(config("--listen 127.0.0.1:0 --listen 127.0.0.1:0").is_ok());
        let error = config("--listen 127.0.0.1:80 --admin 127.0.0.1:80").unwrap_err();
        assert!(error.to_string().starts_with("--admin: 127.0.0.1:80"));
        assert!(config("--listen 127.0.0.1:0 --admin 127.0.0.1:0").is_ok());
    }

    #[test]
    fn every_ring_flag_reaches_the_ring() {
        let options = config(
            "--ring-entries 64 --buffers 128 --buffer-size 512 --batch-wait 9 --batch-wait-us 70 \
             --no-direct-descriptors --no-multishot --no-defer-taskrun",
        )
        .unwrap()
        .engine
        .uring;
        assert_eq!((options.ring_entries, options.buffers, options.buffer_size), (64, 128, 512));
        assert_eq!((options.batch_wait, options.batch_wait_us), (9, 70));
        assert!(!(options.direct_descriptors || options.multishot || options.defer_taskrun));
    }

    #[test]
    fn limits_and_times_are_taken_over() {
        let config = config(
            "--max-head-bytes 65536 --max-body-bytes 5 --max-upload-bytes 6 --max-headers 7 \
             --max-connections 8 --max-requests-per-connection 9 --header-timeout 1s \
             --body-timeout 2s --keepalive-timeout 3s --send-timeout 4s --drain-timeout 5s \
             --drain-grace 6s --debug-leak-bytes 10",
        )
        .unwrap();
        let Settings { limits, max_upload_bytes, timeouts, .. } = config.settings;
        assert_eq!((limits.max_head_bytes, limits.max_target_bytes), (65_536, 32_768));
        assert_eq!((limits.max_body_bytes, max_upload_bytes, limits.max_headers), (5, 6, 7));
        assert_eq!(config.settings.max_connections, 8);
        assert_eq!(config.settings.max_requests_per_connection, 9);
        assert_eq!(config.settings.debug_leak_bytes, 10);
        assert_eq!(config.settings.drain_grace, Duration::from_secs(6));
        let [header, body, keepalive, send] = [1, 2, 3, 4].map(Duration::from_secs);
        assert_eq!(timeouts, Timeouts { header, body, send, keepalive });
        assert_eq!(config.drain_timeout, Duration::from_secs(5));
    }
}
