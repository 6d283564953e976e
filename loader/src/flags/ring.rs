//! Flags of the engine and its rings.

use clap::ValueEnum;
use ringbench_engine::{Engine, UringOptions};

/// Settings of the rings, one flag for each field of [`UringOptions`]; ringserve has the same.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Engine")]
pub struct RingFlags {
    /// What carries the connections.
    #[arg(long, value_enum, value_name = "ENGINE", default_value_t = EngineFlag::Auto)]
    pub engine: EngineFlag,

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

/// An engine that a load can run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EngineFlag {
    /// `io_uring` where the system allows it, else epoll.
    Auto,
    /// Linux `io_uring`.
    Uring,
    /// Edge-triggered epoll.
    Epoll,
}

impl RingFlags {
    pub(super) fn engine(&self) -> Engine {
        match self.engine {
            EngineFlag::Auto => Engine::Auto,
            EngineFlag::Uring => Engine::Uring,
            EngineFlag::Epoll => Engine::Epoll,
        }
    }

    pub(super) fn options(&self) -> UringOptions {
        UringOptions {
            ring_entries: self.ring_entries,
            buffers: self.buffers,
            buffer_size: self.buffer_size,
            batch_wait: self.batch_wait,
            batch_wait_us: self.batch_wait_us,
            direct_descriptors: !self.no_direct_descriptors,
            multishot: !self.no_multishot,
            defer_taskrun: !self.no_defer_taskrun,
            ..UringOptions::default()
        }
    }
}
