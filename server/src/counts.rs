//! What a shard counts.

use ringbench_engine::CloseReason;

/// Counters of one shard; merged when read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests answered.
    pub requests: u64,
    /// What was no valid request and was refused.
    pub refused: u64,
    /// Answers and refusals with a status of 200 to 299.
    pub status_2xx: u64,
    /// Of 300 to 399.
    pub status_3xx: u64,
    /// Of 400 to 499.
    pub status_4xx: u64,
    /// Of 500 to 599.
    pub status_5xx: u64,
    /// Bytes received.
    pub received_bytes: u64,
    /// Bytes of answers, heads included.
    pub written_bytes: u64,
    /// Connections accepted.
    pub accepted: u64,
    /// Connections turned away with 503, as there were too many.
    pub turned_away: u64,
    /// Connections given up because a head did not come in full in time.
    pub header_timeouts: u64,
    /// ... because a body did not come on.
    pub body_timeouts: u64,
    /// ... because the client did not take its answers.
    pub send_timeouts: u64,
    /// Connections closed because no request began in time.
    pub idle_timeouts: u64,
    /// Connections that ended as we closed them.
    pub closed_here: u64,
    /// ... as the client had closed its side.
    pub closed_by_client: u64,
    /// ... with an error, such as a reset.
    pub failed: u64,
    /// ... because the shard was stopped.
    pub stopped: u64,
}

impl Counts {
    /// Adds another shard's counts.
    pub fn merge(&mut self, other: &Self) {
        self.requests += other.requests;
        self.refused += other.refused;
        self.status_2xx += other.status_2xx;
        self.status_3xx += other.status_3xx;
        self.status_4xx += other.status_4xx;
        self.status_5xx += other.status_5xx;
        self.received_bytes += other.received_bytes;
        self.written_bytes += other.written_bytes;
        self.accepted += other.accepted;
        self.turned_away += other.turned_away;
        self.header_timeouts += other.header_timeouts;
        self.body_timeouts += other.body_timeouts;
        self.send_timeouts += other.send_timeouts;
        self.idle_timeouts += other.idle_timeouts;
        self.closed_here += other.closed_here;
        self.closed_by_client += other.closed_by_client;
        self.failed += other.failed;
        self.stopped += other.stopped;
    }

    /// Connections that are open.
    pub fn open(&self) -> u64 {
        let gone = self.closed_here + self.closed_by_client + self.failed + self.stopped;
        // What another thread reads may be of different moments.
        self.accepted.saturating_sub(gone)
    }

    /// Connections given up because nothing moved for too long.
    pub fn timed_out(&self) -> u64 {
        self.header_timeouts + self.body_timeouts + self.send_timeouts
    }

    #[inline]
    pub(crate) fn count_status(&mut self, status: u16) {
        match status {
            200..300 => self.status_2xx += 1,
            300..400 => self.status_3xx += 1,
            400..500 => self.status_4xx += 1,
            _ => self.status_5xx += 1,
        }
    }

    pub(crate) fn count_end(&mut self, why: &CloseReason, eof: bool) {
        match why {
            CloseReason::Local if eof => self.closed_by_client += 1,
            CloseReason::Local => self.closed_here += 1,
            CloseReason::Stopped => self.stopped += 1,
            _ => self.failed += 1,
        }
    }
}
