//! What was seen during a run of the server's process, of the machine and of TCP.

/// All of it; what could not be had is `None`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// The server's process, if it runs on this machine and could be found.
    pub server: Option<ServerUse>,
    /// This machine.
    pub machine: Option<MachineUse>,
    /// Samples of `TCP_INFO` of the connections.
    pub tcp: Option<TcpUse>,
}

/// What the server's process used during the run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServerUse {
    /// Its process id; of several the master's, which started the others.
    pub pid: u32,
    /// The name of its program (`comm`).
    pub name: String,
    /// Processes that were watched: those that serve the socket, and all that they started.
    pub processes: u64,
    /// Cores that its threads may run on; 0 where unknown.
    pub allowed_cores: u64,
    /// CPU time of all threads of these processes.
    pub cpu_ns: u64,
    /// The time over which `cpu_ns` was used.
    pub wall_ns: u64,
    /// The share of one core that its busiest thread used, 0 to 1.
    pub busiest_thread_share: f64,
    /// How long its threads were ready to run but had no core, summed up.
    pub run_delay_ns: u64,
    /// The largest resident memory seen; memory that several processes share counts several times.
    pub rss_max_bytes: u64,
    /// Threads, at the end.
    pub threads: u64,
    /// Voluntary context switches: it waited.
    pub voluntary_switches: u64,
    /// Involuntary context switches: its core was taken.
    pub involuntary_switches: u64,
}

impl ServerUse {
    /// The CPU time that it used, in cores: 1.5 is one core and half of another.
    pub fn core_share(&self) -> f64 {
        if self.wall_ns == 0 { 0.0 } else { self.cpu_ns as f64 / self.wall_ns as f64 }
    }
}

/// How the machine spent its time during the run, as shares (0 to 1) of all cores.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MachineUse {
    /// Cores that are on line.
    pub cores: u64,
    /// Time that a hypervisor gave to others.
    pub steal: f64,
    /// Time in soft interrupts, where most of the network's work is accounted.
    pub softirq: f64,
    /// Idle time, waiting for disks included.
    pub idle: f64,
}

/// Samples of `TCP_INFO`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TcpUse {
    /// Samples taken, each of one connection.
    pub samples: u64,
    /// Smoothed round-trip times: smallest, in microseconds.
    pub rtt_min_us: u64,
    /// Median.
    pub rtt_p50_us: u64,
    /// 99th percentile.
    pub rtt_p99_us: u64,
    /// Largest.
    pub rtt_max_us: u64,
    /// The median of the shortest round trips that the kernel saw on each connection: what the way
    /// alone takes. A smoothed round-trip time has the server's work in it where its kernel leaves
    /// the acknowledgement to the response.
    pub path_rtt_us: u64,
    /// Segments sent, of the connections as last seen.
    pub segments_sent: u64,
    /// Segments that were sent again, of the connections as last seen.
    pub retransmits: u64,
    /// Connections of which a retransmission was seen.
    pub connections_with_retransmits: u64,
}
