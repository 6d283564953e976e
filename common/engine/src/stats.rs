//! What an engine counts about itself, per shard.

/// Counters of one shard's engine; merged when read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EngineStats {
    /// System calls that wait for events: `io_uring_enter`, which submits as well, or `epoll_wait`.
    /// glommio does not tell: there it is turns.
    pub enters: u64,
    /// Completions taken from the ring; with epoll, events and receives gone on with; with glommio,
    /// events that tasks reported.
    pub completions: u64,
    /// Sends handed over, one per connection and batch.
    pub sends: u64,
    /// Sends that found the socket full and had to wait.
    pub sends_blocked: u64,
    /// Times a receive ended because the provided buffers had run out.
    pub enobufs: u64,
    /// Times the completion queue was too short, so that completions came late.
    pub cq_overflows: u64,
    /// Connections accepted.
    pub accepts: u64,
    /// Accepts that failed (`EMFILE`, `ENFILE`, ...), each followed by a pause.
    pub accept_errors: u64,
    /// The most connections that were open at once.
    pub connections_peak: u64,
    /// CPU time of the shard's thread, in nanoseconds.
    pub cpu_ns: u64,
}

impl EngineStats {
    /// Adds another shard's counts; peaks are added too, since shards peak together under load.
    pub fn merge(&mut self, other: &Self) {
        self.enters += other.enters;
        self.completions += other.completions;
        self.sends += other.sends;
        self.sends_blocked += other.sends_blocked;
        self.enobufs += other.enobufs;
        self.cq_overflows += other.cq_overflows;
        self.accepts += other.accepts;
        self.accept_errors += other.accept_errors;
        self.connections_peak += other.connections_peak;
        self.cpu_ns += other.cpu_ns;
    }
}
