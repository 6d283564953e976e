//! The thread that writes the log.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{BUFFER_BYTES, Batch, END_PATIENCE, Message, Shared, Target};
use crate::cli::tell;

/// A pipe that is ready takes so much without waiting (`PIPE_BUF`, pipe(7)).
const PIPE_BYTES: usize = 4096;

/// How often we look up from waiting for a pipe.
const LOOK_UP: Timespec = Timespec { tv_sec: 0, tv_nsec: 250_000_000 };

const NO_TIME: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// Trouble is told no more often than this.
const TELL_EVERY: Duration = Duration::from_secs(10);

pub(super) struct Writer {
    path: PathBuf,
    target: Target,
    inbox: Receiver<Message>,
    shared: Arc<Shared>,
    /// When the end gives up on what is left.
    give_up: Option<Instant>,
    /// A write has failed after a part of a line: the next begins with a line's end.
    is_torn: bool,
    /// The last write has failed, which has been told.
    is_failing: bool,
    told: Told,
    /// Gone with the thread, which tells that it is.
    _ended: Sender<()>,
}

/// What was last said of dropped lines.
#[derive(Default)]
struct Told {
    at: Option<Instant>,
    dropped: u64,
}

impl Writer {
    pub(super) fn new(
        path: PathBuf,
        target: Target,
        inbox: Receiver<Message>,
        shared: Arc<Shared>,
        ended: Sender<()>,
    ) -> Self {
        Self {
            path,
            target,
            inbox,
            shared,
            give_up: None,
            is_torn: false,
            is_failing: false,
            told: Told::default(),
            _ended: ended,
        }
    }

    /// Writes until the log has been ended and nothing is left, or nobody is left who could write.
    pub(super) fn run(mut self) {
        while let Ok(message) = self.inbox.recv() {
            self.work_off(message);
            if self.shared.ending.load(Ordering::Acquire) {
                while let Ok(message) = self.inbox.try_recv() {
                    self.work_off(message);
                }
                break;
            }
        }
    }

    fn work_off(&mut self, message: Message) {
        if self.shared.reopen.swap(false, Ordering::AcqRel) {
            self.reopen();
        }
        if let Message::Batch(batch) = message {
            self.write(batch);
        }
        self.tell_of_drops();
    }

    fn reopen(&mut self) {
        match Target::open(&self.path) {
            Ok(target) => {
                self.target = target;
                self.is_torn = false;
            }
            Err(errno) => {
                let path = self.path.display();
                tell(format_args!(
                    "access log: cannot reopen {path}: {errno}; the old file goes on"
                ));
            }
        }
    }

    fn write(&mut self, batch: Batch) {
        let Batch { mut bytes, lines, home } = batch;
        let (left, outcome) = self.write_all(&bytes);
        // The line that was cut in two counts as one that is missing.
        let missing = memchr::memchr_iter(b'\n', &bytes[bytes.len() - left..]).count() as u64;
        self.shared.written.fetch_add(lines - missing, Ordering::Relaxed);
        match outcome {
            Ok(()) => {
                self.is_failing = false;
                self.shared.dropped.fetch_add(missing, Ordering::Relaxed);
            }
            Err(errno) => {
                self.shared.failed.fetch_add(missing, Ordering::Relaxed);
                self.is_torn |= left < bytes.len() && bytes[bytes.len() - left - 1] != b'\n';
                if !std::mem::replace(&mut self.is_failing, true) {
                    let path = self.path.display();
                    tell(format_args!(
                        "access log: {path}: {errno}; lines are lost until it can be written"
                    ));
                }
            }
        }
        bytes.clear();
        bytes.shrink_to(2 * BUFFER_BYTES);
        // Its shard may have ended.
        let _ = home.try_send(bytes);
    }

    /// Writes `bytes`; the number is what is left of them, with what went wrong. Without an error
    /// something is left when the log has ended and its reader takes nothing.
    fn write_all(&mut self, bytes: &[u8]) -> (usize, io::Result<()>) {
        if self.is_torn {
            match self.write_some(b"\n") {
                Ok(0) => return (bytes.len(), Ok(())),
                Ok(_) => self.is_torn = false,
                Err(errno) => return (bytes.len(), Err(errno)),
            }
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.write_some(rest) {
                Ok(0) => break,
                Ok(count) => rest = &rest[count..],
                Err(errno) => return (rest.len(), Err(errno)),
            }
        }
        (rest.len(), Ok(()))
    }

    /// Writes some of `bytes`; 0 when it is time to give up.
    fn write_some(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.target.is_pipe {
            return write_once(&self.target.file, bytes);
        }
        while !self.is_ready()? {
            self.tell_of_drops();
            if self.is_time_to_give_up() {
                return Ok(0);
            }
        }
        write_once(&self.target.file, &bytes[..bytes.len().min(PIPE_BYTES)])
    }

    fn has_given_up(&self) -> bool {
        self.give_up.is_some_and(|give_up| Instant::now() >= give_up)
    }

    /// Whether the log has ended and its reader has had its time.
    fn is_time_to_give_up(&mut self) -> bool {
        if !self.shared.ending.load(Ordering::Acquire) {
            return false;
        }
        self.give_up.get_or_insert_with(|| Instant::now() + END_PATIENCE);
        self.has_given_up()
    }

    /// Whether the pipe takes something, now or soon.
    fn is_ready(&self) -> io::Result<bool> {
        let mut fds = [PollFd::from_borrowed_fd(self.target.file.as_fd(), PollFlags::OUT)];
        let patience = if self.has_given_up() { &NO_TIME } else { &LOOK_UP };
        match poll(&mut fds, Some(patience)) {
            // Also when its reader is gone: then writing says so.
            Ok(count) => Ok(count > 0),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    fn tell_of_drops(&mut self) {
        let dropped = self.shared.dropped.load(Ordering::Relaxed);
        if dropped > self.told.dropped && self.told.at.is_none_or(|at| at.elapsed() >= TELL_EVERY) {
            self.told = Told { at: Some(Instant::now()), dropped };
            let path = self.path.display();
            tell(format_args!(
                "access log: {dropped} lines dropped so far: {path} takes them too slowly"
            ));
        }
    }
}

/// One write that takes something or fails.
fn write_once(mut file: &File, bytes: &[u8]) -> io::Result<usize> {
    loop {
        match file.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Err(errno) if errno.kind() == io::ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read;
    use std::os::fd::OwnedFd;
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    fn batch(line: &str, lines: u64, home: &mpsc::SyncSender<Vec<u8>>) -> Batch {
        Batch { bytes: line.repeat(lines as usize).into_bytes(), lines, home: home.clone() }
    }

    #[test]
    fn a_line_that_was_cut_in_two_does_not_spoil_the_next() {
        let (mut reader, pipe) = io::pipe().unwrap();
        let target = Target { file: File::from(OwnedFd::from(pipe)), is_pipe: true };
        let path = std::env::temp_dir().join(format!("ringserve-torn-{}", std::process::id()));
        let (_messages, inbox) = mpsc::sync_channel(1);
        let (ended, _done) = mpsc::channel();
        let (home, spare) = mpsc::sync_channel(2);
        let shared = Arc::new(Shared::default());
        let mut writer = Writer::new(path.clone(), target, inbox, Arc::clone(&shared), ended);

        // Its reader goes away. What the pipe took by then ends within a line, as 101 is a prime.
        let line = format!("{}\n", "x".repeat(100));
        let mut taken = vec![0; 20_000];
        let leaving = thread::spawn(move || reader.read_exact(&mut taken).unwrap());
        writer.write(batch(&line, 2000, &home));
        leaving.join().unwrap();
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let (written, failed) = (count(&shared.written), count(&shared.failed));
        assert!(written >= 198 && failed > 0 && written + failed == 2000, "{written} {failed}");
        assert!(writer.is_torn && writer.is_failing);

        writer.target = Target::open(&path).unwrap();
        writer.write(batch("next\n", 2, &home));
        assert_eq!(fs::read(&path).unwrap(), b"\nnext\nnext\n");
        fs::remove_file(&path).unwrap();
        assert_eq!(count(&shared.written), written + 2);
        assert!(!writer.is_failing);
        let buffers: Vec<Vec<u8>> = spare.try_iter().collect();
        assert!(buffers.len() == 2 && buffers.iter().all(Vec::is_empty));
        assert!(buffers[0].capacity() <= 2 * BUFFER_BYTES);
    }
}
