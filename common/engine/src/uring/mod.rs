//! The `io_uring` back end: one ring per shard.
//!
//! Each turn makes one `io_uring_enter`, which submits what the turn before produced and waits for
//! completions. Receives are multishot into provided buffers, accepts multishot into direct
//! descriptors. A send leaves with `MSG_DONTWAIT` and without a completion: when the syscall
//! returns, either the socket took everything, and the memory is free, or a completion says how
//! much is left, and the rest becomes the connection's backlog, sent in the ordinary way.
//! Where a thread of the kernel submits (`sqpoll_idle_ms`) every send has its completion, and the
//! memory is free when all of a batch have come.
//!
//! - `setup`: the ring and its flags, with fallbacks; why there is none
//! - `offer`: what the kernel offers, and what of it is in use
//! - `queue`: the submission side
//! - `pool`: provided buffers
//! - `loans`: output that the kernel reads in place
//! - `token`: what a completion belongs to
//! - `driver`: the turn: flush, enter, drain, settle
//! - `complete`: what each completion leads to
//! - `accept`: what leads to connections, and its end
//! - `connect`: how those of our own are made
//! - `wait`: how long a turn waits, and what ends it

mod accept;
mod complete;
mod connect;
mod driver;
mod loans;
mod offer;
mod pool;
mod queue;
mod setup;
mod token;
mod wait;

use std::mem::ManuallyDrop;
use std::net::TcpListener;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;

use io_uring::IoUring;

use crate::{EngineConfig, EngineError, EngineStats, Handler, ShardControl};
use driver::Driver;
pub use offer::{KernelOffer, Offer, UringFeature, UringReport, probe_kernel};
use pool::BufferPool;

/// How a shard's ring is set up. Every feature can be switched off, to see what it is worth.
#[derive(Debug, Clone)]
pub struct UringOptions {
    /// Entries of the submission queue; the completion queue has four times as many.
    pub ring_entries: u32,
    /// Provided buffers per shard: a power of two, at most 32,768. At least twice the largest
    /// batch of completions, or receives must be armed again.
    pub buffers: u16,
    /// Bytes of a provided buffer.
    pub buffer_size: u32,
    /// Completions to wait for in one go. More saves syscalls and costs latency.
    pub batch_wait: u32,
    /// With `batch_wait` above 1: how long to wait for that many, in microseconds.
    pub batch_wait_us: u32,
    /// Keep connections in the ring's own file table: no process-wide descriptor per connection.
    pub direct_descriptors: bool,
    /// Arm accepts and receives once for many completions.
    pub multishot: bool,
    /// Work completions off only when the shard asks for them. Not with `sqpoll_idle_ms`.
    pub defer_taskrun: bool,
    /// Have a thread of the kernel submit, which takes a core while there is work and sleeps after
    /// so many milliseconds without (0: the kernel's default, a second). Every send has a
    /// completion then.
    pub sqpoll_idle_ms: Option<u32>,
    /// Poll the network card for so many microseconds before sleeping (NAPI, Linux 6.9); 0: never.
    /// Without effect on loopback.
    pub napi_busy_poll_us: u32,
    /// Output of at least so many bytes leaves by `SEND_ZC`, which lends memory to the kernel
    /// instead of copying it there; 0: never. That memory is copied from the batch's output first,
    /// each such send has two completions, and loopback copies all the same.
    pub send_zc_bytes: usize,
    /// Let one receive after the other fill a provided buffer (Linux 6.12), so that few large ones
    /// serve small and large input alike; what meets a buffer's end is received in two pieces.
    pub incremental_buffers: bool,
    /// Size of the file table, capped by the limit on open files.
    pub file_table_entries: u32,
}

impl UringOptions {
    /// Reads a number of provided buffers.
    ///
    /// # Errors
    ///
    /// When the kernel could not have so many in one ring; the text says what is expected.
    pub fn parse_buffers(text: &str) -> Result<u16, String> {
        text.parse::<u16>()
            .ok()
            .filter(|&count| count.is_power_of_two() && (2..=32_768).contains(&count))
            .ok_or_else(|| "expected a power of two from 2 to 32768".to_owned())
    }
}

impl Default for UringOptions {
    fn default() -> Self {
        Self {
            ring_entries: 1024,
            buffers: 1024,
            buffer_size: 2048,
            batch_wait: 1,
            batch_wait_us: 0,
            direct_descriptors: true,
            multishot: true,
            defer_taskrun: true,
            sqpoll_idle_ms: None,
            napi_busy_poll_us: 0,
            send_zc_bytes: 0,
            incremental_buffers: false,
            file_table_entries: 1 << 20,
        }
    }
}

/// What a ring would get on this machine: one is built and dropped.
pub(crate) fn probe(options: &UringOptions) -> Result<UringReport, EngineError> {
    let small = UringOptions { ring_entries: 8, ..options.clone() };
    apart(|| setup::build(&small).map(|(_, report)| report))
}

/// Does `work` on a thread of its own, for rings that are dropped soon: the kernel ends a ring
/// later, and interrupts the system calls of the thread that made it.
fn apart<T: Send>(work: impl Fn() -> T + Sync) -> T {
    let done = thread::scope(|scope| {
        let thread = thread::Builder::new().spawn_scoped(scope, &work).ok()?;
        Some(thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
    });
    // Where there is no thread to be had an interruption is the least of the troubles.
    done.unwrap_or_else(work)
}

/// A ring that is set up, on the thread that will use it.
pub(crate) struct Ring {
    io: IoUring,
    /// Never freed while the kernel may write to it: whoever drops it must know.
    pool: ManuallyDrop<BufferPool>,
    options: UringOptions,
    report: UringReport,
    listeners: Vec<TcpListener>,
    control: Arc<ShardControl>,
    peer_addresses: bool,
    spin_ns: u64,
}

impl Ring {
    /// Builds the ring of the calling thread's shard.
    pub(crate) fn new(
        config: &EngineConfig,
        listeners: Vec<TcpListener>,
        control: Arc<ShardControl>,
    ) -> Result<Self, EngineError> {
        let options = &config.uring;
        // Whether a listener blocks is left as it is: an accept waits in the ring either way, and the
        // flag is shared with every process that has the socket, one that polls it among them.
        let (ring, mut report) = setup::build(options)?;
        let failed = |what| move |errno| EngineError::UringSetup { what, errno };
        let incremental = options.incremental_buffers;
        let pool = BufferPool::new(options.buffers, options.buffer_size, incremental);
        let mut pool = ManuallyDrop::new(pool);
        // SAFETY: the pool is freed only when all receives are known to have ended, see `run`.
        unsafe { pool.register(&ring.submitter()) }.map_err(|errno| {
            if incremental && errno.raw_os_error() == Some(libc::EINVAL) {
                offer::lacking(UringFeature::IncrementalBuffers)
            } else {
                failed("provided buffers")(errno)
            }
        })?;
        if options.napi_busy_poll_us > 0 {
            setup::busy_poll(&ring, options.napi_busy_poll_us)?;
        }
        // A direct descriptor cannot be asked for its peer.
        if options.direct_descriptors && !config.peer_addresses {
            let limit = u32::try_from(crate::raise_nofile_limit()).unwrap_or(u32::MAX);
            ring.submitter()
                .register_files_sparse(options.file_table_entries.min(limit))
                .map_err(failed("the file table"))?;
            report.direct_descriptors = true;
        }
        Ok(Self {
            io: ring,
            pool,
            options: options.clone(),
            report,
            listeners,
            control,
            peer_addresses: config.peer_addresses,
            spin_ns: config.spin_ns,
        })
    }

    pub(crate) fn report(&self) -> &UringReport {
        &self.report
    }

    /// Runs the shard until it is stopped, or drained of its last connection.
    pub(crate) fn run<H: Handler>(self, handler: &mut H) -> Result<EngineStats, EngineError> {
        let Self { io: mut ring, mut pool, options, report, listeners, control, .. } = self;
        let (mut submitter, sq, cq) = ring.split();
        // An old kernel goes without.
        let _ = submitter.register_ring_fd();
        // Should the handler panic, what the kernel may still use is left to it.
        let mut driver = ManuallyDrop::new(Driver::new(
            &options, &report, submitter, sq, cq, &mut pool, listeners, &control,
        ));
        driver.ops.keep_peers(self.peer_addresses);
        driver.spin_ns = self.spin_ns;
        let outcome = driver.run(handler);
        let (stats, quiet) = ManuallyDrop::into_inner(driver).finish();
        drop(ring);
        if quiet {
            drop(ManuallyDrop::into_inner(pool));
        }
        outcome.map(|()| stats)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CloseReason, ConnId, Ops, Target};

    /// Connects from a source address, to where nobody listens.
    #[derive(Default)]
    struct Sourced {
        ended: Vec<CloseReason>,
    }

    impl Handler for Sourced {
        fn started(&mut self, ops: &mut Ops) {
            let loopback = std::net::Ipv4Addr::LOCALHOST;
            let target = Target::tcp((loopback, 1).into()).with_source(loopback.into());
            let target = ops.add_target(target);
            ops.connect(target);
        }

        fn received(&mut self, _: &mut Ops, _: ConnId, _: &[u8]) {}

        fn closed(&mut self, ops: &mut Ops, _: ConnId, why: CloseReason) {
            self.ended.push(why);
            ops.stop();
        }
    }

    #[test]
    fn a_kernel_that_cannot_bind_says_what_it_needs() {
        let control = Arc::new(ShardControl::new().unwrap());
        let mut ring = Ring::new(&EngineConfig::default(), Vec::new(), control).unwrap();
        ring.report.bind = false;
        let mut handler = Sourced::default();
        ring.run(&mut handler).unwrap();
        let [CloseReason::ConnectFailed(error)] = &handler.ended[..] else {
            panic!("{:?}", handler.ended)
        };
        assert_eq!(error.kind(), std::io::ErrorKind::Unsupported);
        let text = error.to_string();
        assert!(text.contains("Linux 6.11") && text.contains("--engine epoll"), "{text}");
    }
}
