//! Why connections end, or never begin: counted by cause and by the kernel's reason.

use std::fmt;
use std::io;

/// What became of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CloseCause {
    /// It had carried as many requests as it was to carry.
    Spent,
    /// The server ended it: announced in a response, or while nothing was asked.
    ServerClosed,
    /// The server ended it in the middle of a response, or with requests unanswered.
    Truncated,
    /// The server sent what is no HTTP response.
    Malformed,
    /// A response did not come in time.
    Timeout,
    /// The server reset it.
    Reset,
    /// Reading failed in another way.
    ReadFailed,
    /// Sending failed.
    WriteFailed,
    /// It could not be opened: nobody listens.
    Refused,
    /// It could not be opened in time.
    ConnectTimeout,
    /// It could not be opened: no local port was free.
    NoLocalPort,
    /// It could not be opened for another reason.
    ConnectFailed,
}

impl CloseCause {
    /// All of them, in the order of reports.
    pub const ALL: [Self; 12] = [
        Self::Spent,
        Self::ServerClosed,
        Self::Truncated,
        Self::Malformed,
        Self::Timeout,
        Self::Reset,
        Self::ReadFailed,
        Self::WriteFailed,
        Self::Refused,
        Self::ConnectTimeout,
        Self::NoLocalPort,
        Self::ConnectFailed,
    ];

    /// Its name in JSON and CSV.
    pub fn name(self) -> &'static str {
        match self {
            Self::Spent => "spent",
            Self::ServerClosed => "server_closed",
            Self::Truncated => "truncated",
            Self::Malformed => "malformed",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::ReadFailed => "read_failed",
            Self::WriteFailed => "write_failed",
            Self::Refused => "refused",
            Self::ConnectTimeout => "connect_timeout",
            Self::NoLocalPort => "no_local_port",
            Self::ConnectFailed => "connect_failed",
        }
    }

    /// The cause with that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.name() == name)
    }

    /// Whether the connection had been open.
    pub fn was_open(self) -> bool {
        !matches!(
            self,
            Self::Refused | Self::ConnectTimeout | Self::NoLocalPort | Self::ConnectFailed
        )
    }
}

/// For people.
impl fmt::Display for CloseCause {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Spent => "closed by ringload, all their requests answered",
            Self::ServerClosed => "closed by the server, which it may do",
            Self::Truncated => "closed by the server before a response was complete",
            Self::Malformed => "closed by ringload, as what came is no HTTP response",
            Self::Timeout => "closed by ringload, as a response did not come within --timeout",
            Self::Reset => "reset by the server",
            Self::ReadFailed => "broke while reading",
            Self::WriteFailed => "broke while sending",
            Self::Refused => "refused",
            Self::ConnectTimeout => "not opened within --timeout",
            Self::NoLocalPort => "not opened, as no local port was free",
            Self::ConnectFailed => "could not be opened",
        })
    }
}

/// One line of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloseLine {
    /// What became of the connections.
    pub cause: CloseCause,
    /// The name of the kernel's error, such as `ECONNRESET`, if there was one.
    pub errno: Option<String>,
    /// How many there were.
    pub count: u64,
}

/// Counts closes by cause and error. There are few kinds, and closes are rare next to requests.
#[derive(Clone, Debug, Default)]
pub struct Closes {
    counts: Vec<(CloseCause, i32, u64)>,
}

impl Closes {
    /// Room for as many kinds as a run usually has, so that counting allocates nothing.
    pub fn new() -> Self {
        Self { counts: Vec::with_capacity(CloseCause::ALL.len() * 2) }
    }

    /// Counts one, with the kernel's error if there was one.
    pub fn count(&mut self, cause: CloseCause, error: Option<&io::Error>) {
        let errno = error.and_then(io::Error::raw_os_error).unwrap_or(0);
        self.add(cause, errno, 1);
    }

    fn add(&mut self, cause: CloseCause, errno: i32, count: u64) {
        let known = self.counts.iter_mut().find(|known| (known.0, known.1) == (cause, errno));
        match known {
            Some(known) => known.2 += count,
            None => self.counts.push((cause, errno, count)),
        }
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: &Self) {
        for &(cause, errno, count) in &other.counts {
            self.add(cause, errno, count);
        }
    }

    /// How many there were of a cause.
    pub fn of(&self, cause: CloseCause) -> u64 {
        self.counts.iter().filter(|counted| counted.0 == cause).map(|counted| counted.2).sum()
    }

    /// The lines of the ledger, most frequent first.
    pub fn lines(&self) -> Vec<CloseLine> {
        let mut counts = self.counts.clone();
        counts.sort_by_key(|&(cause, errno, count)| (std::cmp::Reverse(count), cause, errno));
        let line = |(cause, errno, count)| CloseLine {
            cause,
            errno: (errno != 0).then(|| errno_name(errno)),
            count,
        };
        counts.into_iter().map(line).collect()
    }
}

/// The kernel's name for an error.
fn errno_name(errno: i32) -> String {
    ringbench_engine::errno_name(errno).map_or_else(|| format!("errno {errno}"), str::to_owned)
}
