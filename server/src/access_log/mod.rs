//! The access log: a line for each answer, in the combined format.
//!
//! A shard never waits for the file. It fills a buffer of its own and hands it to the one thread that
//! writes, a whole buffer at a time and at least once a second; buffers come back when they are
//! written. A shard has a fixed number of them: when all are on their way, its lines are dropped and
//! counted.

mod line;
mod writer;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

pub(crate) use line::{Line, RequestLine};

use writer::Writer;

/// A buffer is handed over when it holds this much.
const BUFFER_BYTES: usize = 64 * 1024;

/// Buffers of each shard: with them a shard may be half a mebibyte ahead of the file.
const BUFFERS: usize = 8;

/// A line waits no longer than this for its buffer to be full.
const MAX_WAIT_NS: u64 = 1_000_000_000;

/// How long the end of the server waits for lines that a pipe does not take.
const END_PATIENCE: Duration = Duration::from_secs(2);

/// Another name of this process's standard error. It is not opened by that name: that fails where it
/// is a socket, as under systemd.
const STDERR: &str = "/dev/stderr";

/// What has become of the lines so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogCounts {
    /// Lines that the file has taken.
    pub written: u64,
    /// Lines dropped by shards, as the file took them too slowly.
    pub dropped: u64,
    /// Lines lost because writing them failed: a full disk, for one.
    pub failed: u64,
}

/// The log of a server; its clones are the same one.
#[derive(Debug, Clone)]
pub struct AccessLog {
    shared: Arc<Shared>,
    messages: SyncSender<Message>,
    /// Disconnected when the writing thread has ended.
    done: Arc<Mutex<Receiver<()>>>,
}

/// What the shards, the writing thread and others have in common. The shards touch it once for each
/// buffer that they drop.
#[derive(Debug, Default)]
struct Shared {
    written: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicU64,
    reopen: AtomicBool,
    ending: AtomicBool,
}

/// What the writing thread is told.
#[derive(Debug)]
enum Message {
    /// Write this.
    Batch(Batch),
    /// See what is asked for in [`Shared`].
    Look,
}

/// A buffer of whole lines.
#[derive(Debug)]
struct Batch {
    bytes: Vec<u8>,
    lines: u64,
    /// Where the buffer goes when it is written.
    home: SyncSender<Vec<u8>>,
}

impl AccessLog {
    /// Opens the log for so many shards, and starts the thread that writes it.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened for writing, or the thread cannot be started.
    pub(crate) fn open(path: &Path, shards: usize) -> io::Result<Self> {
        let target = Target::open(path)?;
        let shared = Arc::new(Shared::default());
        // Room for every buffer there is, and for a few words beside them.
        let (messages, inbox) = mpsc::sync_channel(shards * BUFFERS + 4);
        let (ended, done) = mpsc::channel();
        let writer = Writer::new(path.to_owned(), target, inbox, Arc::clone(&shared), ended);
        thread::Builder::new().name("ringserve-log".to_owned()).spawn(move || writer.run())?;
        Ok(Self { shared, messages, done: Arc::new(Mutex::new(done)) })
    }

    /// The part of one shard.
    pub(crate) fn of_shard(&self) -> ShardLog {
        let (home, spare) = mpsc::sync_channel(BUFFERS);
        for _ in 1..BUFFERS {
            // There is room for all of them. Their memory comes with their first use.
            let _ = home.try_send(Vec::new());
        }
        ShardLog {
            shared: Arc::clone(&self.shared),
            messages: self.messages.clone(),
            home,
            spare,
            buffer: Vec::with_capacity(BUFFER_BYTES),
            lines: 0,
            is_awaited: false,
        }
    }

    /// Opens the file anew under its name, after it was moved away (logrotate). Lines that are on
    /// their way go to the new one.
    pub fn reopen(&self) {
        // Once until it is done, so that such messages never take the room of others.
        if !self.shared.reopen.swap(true, Ordering::AcqRel) {
            self.nudge();
        }
    }

    /// What has become of the lines so far.
    pub fn counts(&self) -> LogCounts {
        LogCounts {
            written: self.shared.written.load(Ordering::Relaxed),
            dropped: self.shared.dropped.load(Ordering::Relaxed),
            failed: self.shared.failed.load(Ordering::Relaxed),
        }
    }

    /// Writes what the shards have handed over. Waits for a file that takes nothing only for
    /// [`END_PATIENCE`] and a bit; what is left then counts as dropped.
    pub(crate) fn end(&self) -> LogCounts {
        self.shared.ending.store(true, Ordering::Release);
        self.nudge();
        // Nothing is ever sent: this waits for the other end to be gone. A disk that hangs can keep
        // the thread, but not the process.
        if let Ok(done) = self.done.lock() {
            let _ = done.recv_timeout(END_PATIENCE + Duration::from_secs(1));
        }
        self.counts()
    }

    /// Has the writing thread look at what is asked for. Without room for the message it has others
    /// before it, and looks with each.
    fn nudge(&self) {
        let _ = self.messages.try_send(Message::Look);
    }
}

/// Where lines go.
#[derive(Debug)]
struct Target {
    file: File,
    /// It is no regular file, so that its reader may be slow or gone.
    is_pipe: bool,
}

impl Target {
    fn open(path: &Path) -> io::Result<Self> {
        if path == Path::new(STDERR) {
            let file = File::from(io::stderr().as_fd().try_clone_to_owned()?);
            return Self::of(file);
        }
        let is_fifo = fs::metadata(path).is_ok_and(|about| about.file_type().is_fifo());
        // A FIFO that is opened for both does not wait for its reader (fifo(7)). Who asked for what
        // and from where is not for everybody to read.
        let mut options = OpenOptions::new();
        Self::of(options.create(true).append(true).read(is_fifo).mode(0o640).open(path)?)
    }

    fn of(file: File) -> io::Result<Self> {
        let is_pipe = !file.metadata()?.is_file();
        Ok(Self { file, is_pipe })
    }
}

/// The log of one shard.
#[derive(Debug)]
pub(crate) struct ShardLog {
    shared: Arc<Shared>,
    messages: SyncSender<Message>,
    home: SyncSender<Vec<u8>>,
    spare: Receiver<Vec<u8>>,
    buffer: Vec<u8>,
    /// Lines in it.
    lines: u64,
    /// An alarm is set for it.
    is_awaited: bool,
}

impl ShardLog {
    /// Adds a line.
    pub(crate) fn add(&mut self, line: &Line<'_>) {
        line.write(&mut self.buffer);
        self.lines += 1;
        if self.buffer.len() >= BUFFER_BYTES {
            self.hand_over();
        }
    }

    /// Call at the end of each turn: when the alarm is to be set, if there is something to wait for
    /// and it is not set yet.
    #[inline]
    pub(crate) fn next_alarm_ns(&mut self, now_ns: u64) -> Option<u64> {
        if self.is_awaited || self.lines == 0 {
            return None;
        }
        self.is_awaited = true;
        Some(now_ns + MAX_WAIT_NS)
    }

    /// The alarm.
    pub(crate) fn alarm(&mut self) {
        self.is_awaited = false;
        self.hand_over();
    }

    /// Hands the lines to the writing thread, or drops them if it is too far behind.
    pub(crate) fn hand_over(&mut self) {
        if self.lines == 0 {
            return;
        }
        let lines = std::mem::take(&mut self.lines);
        let handed_over = self.spare.try_recv().is_ok_and(|mut next| {
            next.reserve(BUFFER_BYTES);
            let bytes = std::mem::replace(&mut self.buffer, next);
            let batch = Batch { bytes, lines, home: self.home.clone() };
            self.messages.try_send(Message::Batch(batch)).is_ok()
        });
        if !handed_over {
            self.buffer.clear();
            self.shared.dropped.fetch_add(lines, Ordering::Relaxed);
        }
    }
}

/// Why the log cannot be opened, with its name.
#[derive(Debug)]
pub struct LogError {
    pub(crate) path: PathBuf,
    pub(crate) errno: io::Error,
}

impl std::fmt::Display for LogError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "--access-log: cannot write to {}: {}", self.path.display(), self.errno)
    }
}

impl std::error::Error for LogError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.errno)
    }
}
