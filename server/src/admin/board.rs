//! Where each shard shows what it has counted, for one thread that reads it.
//!
//! A shard writes into cache lines of its own, by plain stores, at the end of each turn; it never
//! reads what somebody else writes. Each number is whole, but two of them may be of different turns.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ringbench_engine::EngineStats;

use crate::Counts;

/// Atomics with the fields of a struct of numbers.
macro_rules! mirror {
    ($name:ident of $original:ident { $($field:ident),+ $(,)? }) => {
        #[derive(Debug, Default)]
        struct $name {
            $($field: AtomicU64,)+
        }

        impl $name {
            #[inline]
            fn store(&self, original: &$original) {
                // By name, so that a field that is new there and missing here does not compile.
                let $original { $($field),+ } = *original;
                $(self.$field.store($field, Ordering::Relaxed);)+
            }

            fn load(&self) -> $original {
                $original { $($field: self.$field.load(Ordering::Relaxed)),+ }
            }
        }
    };
}

mirror!(SharedCounts of Counts {
    requests,
    refused,
    status_2xx,
    status_3xx,
    status_4xx,
    status_5xx,
    received_bytes,
    written_bytes,
    accepted,
    turned_away,
    header_timeouts,
    body_timeouts,
    send_timeouts,
    idle_timeouts,
    closed_here,
    closed_by_client,
    failed,
    stopped,
});

mirror!(SharedStats of EngineStats {
    enters,
    completions,
    sends,
    sends_blocked,
    enobufs,
    cq_overflows,
    accepts,
    accept_errors,
    connections_peak,
    cpu_ns,
});

/// What one shard shows. Processors fetch cache lines in pairs, hence 128.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Block {
    counts: SharedCounts,
    stats: SharedStats,
    /// The kernel's number of the shard's thread; 0 before it is up.
    thread: AtomicU64,
}

const _: () = assert!(size_of::<Block>().is_multiple_of(128));

/// The blocks of all shards.
#[derive(Debug)]
pub(crate) struct Board {
    blocks: Box<[Block]>,
    draining: AtomicBool,
}

/// What one shard showed last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub(crate) counts: Counts,
    /// Its CPU time is not the shard's to say.
    pub(crate) stats: EngineStats,
    /// The kernel's number of its thread, once it is up.
    pub(crate) thread: Option<u64>,
}

impl Board {
    pub(crate) fn new(shards: usize) -> Self {
        Self {
            blocks: (0..shards).map(|_| Block::default()).collect(),
            draining: AtomicBool::new(false),
        }
    }

    /// What every shard showed last.
    pub(crate) fn snapshots(&self) -> impl ExactSizeIterator<Item = Snapshot> {
        self.blocks.iter().map(|block| {
            let thread = block.thread.load(Ordering::Relaxed);
            Snapshot {
                counts: block.counts.load(),
                stats: block.stats.load(),
                thread: Some(thread).filter(|&thread| thread != 0),
            }
        })
    }

    /// Whether the server is on its way to its end.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// The end begins.
    pub(crate) fn set_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }
}

/// The one that writes a shard's block.
#[derive(Debug)]
pub(crate) struct Publisher {
    board: Arc<Board>,
    shard: usize,
}

impl Publisher {
    pub(crate) fn new(board: Arc<Board>, shard: usize) -> Self {
        Self { board, shard }
    }

    /// Call on the shard's thread, once.
    pub(crate) fn started(&self) {
        // PID/task/TID
        let link = fs::read_link("/proc/thread-self").unwrap_or_default();
        let thread = link.file_name().and_then(|name| name.to_str()?.parse().ok());
        self.board.blocks[self.shard].thread.store(thread.unwrap_or(0), Ordering::Relaxed);
    }

    /// Shows these numbers.
    #[inline]
    pub(crate) fn publish(&self, counts: &Counts, stats: &EngineStats) {
        let block = &self.board.blocks[self.shard];
        block.counts.store(counts);
        block.stats.store(stats);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shard_has_a_block_of_its_own() {
        let board = Arc::new(Board::new(3));
        let publisher = Publisher::new(Arc::clone(&board), 1);
        let counts = Counts { requests: 7, stopped: 8, ..Counts::default() };
        let stats = EngineStats { enters: 9, connections_peak: 10, ..EngineStats::default() };
        std::thread::scope(|scope| {
            scope.spawn(|| {
                publisher.started();
                publisher.publish(&counts, &stats);
            });
        });
        let shown: Vec<Snapshot> = board.snapshots().collect();
        assert_eq!([shown[0], shown[2]], [Snapshot::default(); 2]);
        assert_eq!((shown[1].counts, shown[1].stats), (counts, stats));
        assert!(shown[1].thread.is_some_and(|thread| thread != u64::from(std::process::id())));
    }

    #[test]
    fn blocks_share_no_cache_line() {
        let board = Board::new(2);
        let [first, second] = &board.blocks[..] else { panic!("two shards") };
        let distance = (&raw const *second).addr() - (&raw const *first).addr();
        assert!(distance >= 128 && (&raw const *first).addr().is_multiple_of(128));
    }
}
