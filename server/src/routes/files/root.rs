//! The directory: files are opened below it, and nowhere else.

use std::fs::{File, Metadata};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use httpdate::HttpDate;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::encoding::Coding;
use super::types;
use crate::date::DATE_BYTES;

/// Files up to this size are kept in memory; of others the descriptor is.
pub(super) const MAX_MEMORY_BYTES: u64 = 64 * 1024;

/// What an open file counts for in the bound on what is kept: it costs little memory, but
/// descriptors are few, too. 64 MiB are 512 of them.
const OPEN_FILE_COST_BYTES: usize = 128 * 1024;

/// What an entry takes beside its bytes, roughly.
const ENTRY_COST_BYTES: usize = 1024;

/// The kernel's clock for files has ticks of up to 10 ms, and Last-Modified has seconds. When the
/// last change is further back than this, the next one will show.
const SETTLE_TIME: Duration = Duration::from_secs(2);

/// The end of the year 9999, and of the format.
const MAX_DATE_SECS: u64 = 253_402_300_799;

/// How often a file is read, or its path walked, again because it changed meanwhile.
const ATTEMPTS: usize = 4;

/// What a directory's path stands for.
const INDEX: &[u8] = b"index.html";

/// A directory whose files are served; shared by all shards.
#[derive(Debug)]
pub struct Root {
    directory: OwnedFd,
}

/// Why there is no answer from a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The path cannot be decoded.
    Malformed,
    /// There is no such file, or nothing that may be known of.
    NotFound,
    /// It may not be read.
    Forbidden,
    /// It is a directory, and the path does not say so.
    Directory,
    /// There are no descriptors or no memory left, or the file changes as fast as it is read.
    Busy,
    /// The disk fails.
    Failed,
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::ACCESS | Errno::PERM => Self::Forbidden,
            Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::AGAIN | Errno::INTR => Self::Busy,
            Errno::IO | Errno::STALE => Self::Failed,
            // No such name (NOENT, NOTDIR, NAMETOOLONG, and INVAL or ILSEQ where a file system is
            // particular), a way out (XDEV) or round in circles (LOOP), a socket (NXIO).
            _ => Self::NotFound,
        }
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Errno::from_io_error(&error).map_or(Self::Failed, Self::from)
    }
}

/// What is at a path, in all its forms.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) content_type: &'static str,
    pub(super) plain: Arc<Representation>,
    pub(super) brotli: Option<Arc<Representation>>,
    pub(super) gzip: Option<Arc<Representation>>,
    /// When to look whether it is still so.
    pub(super) recheck: Instant,
}

impl Entry {
    /// One of its forms; the plain one where it has not that.
    pub(super) fn of(&self, coding: Coding) -> &Representation {
        let encoded = match coding {
            Coding::Identity => None,
            Coding::Brotli => self.brotli.as_ref(),
            Coding::Gzip => self.gzip.as_ref(),
        };
        encoded.unwrap_or(&self.plain)
    }

    /// Whether there are several forms, so that Accept-Encoding matters.
    pub(super) fn varies(&self) -> bool {
        self.brotli.is_some() || self.gzip.is_some()
    }

    /// What it takes to keep it.
    pub(super) fn cost_bytes(&self) -> usize {
        let forms = [Some(&self.plain), self.brotli.as_ref(), self.gzip.as_ref()];
        let content = forms.into_iter().flatten().map(|form| match &form.content {
            Content::Memory(bytes) => bytes.len(),
            Content::File(_) => OPEN_FILE_COST_BYTES,
        });
        ENTRY_COST_BYTES + content.sum::<usize>()
    }
}

/// One form of a file: its content and what is said about it, of one moment.
#[derive(Debug)]
pub(super) struct Representation {
    /// With its quotes.
    pub(super) etag: Box<[u8]>,
    /// None where it is senseless: before 1970 or in the future.
    pub(super) modified: Option<Modified>,
    pub(super) length: u64,
    pub(super) content: Content,
    /// The last change is so long ago that the next one will show.
    pub(super) settled: bool,
    stamp: Stamp,
}

/// When a file was changed.
#[derive(Debug)]
pub(super) struct Modified {
    /// Since 1970.
    pub(super) secs: u64,
    /// The same as a header field says it.
    pub(super) text: [u8; DATE_BYTES],
}

/// Where the bytes are.
#[derive(Debug)]
pub(super) enum Content {
    Memory(Box<[u8]>),
    File(Arc<File>),
}

/// What changes when a file does, or when it is replaced by another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Whether another change now would make another stamp. What counts is the time of change, which
    /// nobody can set back.
    fn is_settled(&self, wall: SystemTime) -> bool {
        let (secs, ns) = self.changed;
        let since_1970 = Duration::new(secs.try_into().unwrap_or(0), ns as u32);
        wall.duration_since(UNIX_EPOCH + since_1970).is_ok_and(|age| age >= SETTLE_TIME)
    }

    /// nginx's form, from the same two things, but with the time in nanoseconds: two changes in one
    /// second make two tags. RFC 9110 section 8.8.3: the forms of one file need tags of their own.
    fn etag(&self, coding: Coding) -> Box<[u8]> {
        let (secs, ns) = self.modified;
        let dash = if coding.name().is_some() { "-" } else { "" };
        let name = coding.name().unwrap_or_default();
        let length = self.length;
        format!("\"{secs:x}.{ns:x}-{length:x}{dash}{name}\"").into_bytes().into()
    }
}

impl Modified {
    /// RFC 9110 section 8.8.2.1: a date in the future may not be sent. One that cannot be written is
    /// none, either.
    fn new(secs: i64, wall: SystemTime) -> Option<Self> {
        let secs = u64::try_from(secs).ok()?;
        let now_secs = wall.duration_since(UNIX_EPOCH).ok()?.as_secs();
        (secs <= now_secs.min(MAX_DATE_SECS)).then(|| Self::at(secs))
    }

    fn at(secs: u64) -> Self {
        let date = HttpDate::from(UNIX_EPOCH + Duration::from_secs(secs));
        let mut text = [0; DATE_BYTES];
        write!(&mut text[..], "{date}").expect("a date has 29 bytes");
        Self { secs, text }
    }
}

impl Root {
    /// Opens a directory, whose files are served from then on even if it is renamed.
    ///
    /// # Errors
    ///
    /// When it is no directory, may not be opened, or the kernel lacks openat2.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::openat(CWD, path, flags, Mode::empty())?;
        let root = Self { directory };
        root.open_beneath(b".", flags).map_err(|errno| match errno {
            // Sandboxes answer system calls that they do not know with either.
            Errno::NOSYS | Errno::PERM => io::Error::new(
                io::ErrorKind::Unsupported,
                "files cannot be kept below it: openat2 is not allowed here (by a seccomp filter?)",
            ),
            errno => errno.into(),
        })?;
        Ok(root)
    }

    /// Opens what is at a path below the directory, wherever links on the way point, as long as it
    /// is below the directory as well.
    fn open_beneath(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let open = || rustix::fs::openat2(&self.directory, path, flags, Mode::empty(), resolve);
        // AGAIN: something was renamed meanwhile, so that the kernel cannot tell.
        let again = |opened: &Result<_, _>| matches!(opened, Err(Errno::AGAIN | Errno::INTR));
        (1..ATTEMPTS).map(|_| open()).find(|opened| !again(opened)).unwrap_or_else(open)
    }

    /// What is at `path`, which [`check`](super::path::check) let through, at the time `wall`. What
    /// is unchanged is taken from the `earlier` entry. `name` is overwritten.
    pub(super) fn load(
        &self,
        path: &[u8],
        name: &mut Vec<u8>,
        earlier: Option<&Entry>,
        wall: SystemTime,
        recheck: Instant,
    ) -> Result<Entry, Refusal> {
        name.clear();
        name.extend_from_slice(path);
        if path.is_empty() || path.ends_with(b"/") {
            name.extend_from_slice(INDEX);
        }
        let plain_len = name.len();
        let content_type = types::of(name);
        let plain = self.form(name, Coding::Identity, earlier.map(|e| &e.plain), wall)?;
        let mut encoded = |ending: &[u8], coding, earlier: Option<&Arc<Representation>>| {
            name.truncate(plain_len);
            name.extend_from_slice(ending);
            match self.form(name, coding, earlier, wall) {
                Ok(form) => Some(form),
                Err(Refusal::Busy) => earlier.cloned(),
                // Whatever it is, it is nothing to answer with; the plain file is.
                Err(_) => None,
            }
        };
        let brotli = encoded(b".br", Coding::Brotli, earlier.and_then(|e| e.brotli.as_ref()));
        let gzip = encoded(b".gz", Coding::Gzip, earlier.and_then(|e| e.gzip.as_ref()));
        Ok(Entry { content_type, plain, brotli, gzip, recheck })
    }

    /// One form of a file: the earlier one if that is still what is there.
    fn form(
        &self,
        name: &[u8],
        coding: Coding,
        earlier: Option<&Arc<Representation>>,
        wall: SystemTime,
    ) -> Result<Arc<Representation>, Refusal> {
        // A FIFO must not make us wait for its other end, nor a terminal become ours.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = File::from(self.open_beneath(name, flags)?);
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(Refusal::Directory);
        }
        if !metadata.is_file() {
            return Err(Refusal::NotFound);
        }
        let stamp = Stamp::of(&metadata);
        match earlier {
            Some(earlier) if earlier.settled && earlier.stamp == stamp => Ok(Arc::clone(earlier)),
            _ => Representation::read(file, stamp, coding, wall).map(Arc::new),
        }
    }
}

impl Representation {
    /// Takes in a file that was found to have this stamp.
    fn read(
        file: File,
        mut stamp: Stamp,
        coding: Coding,
        wall: SystemTime,
    ) -> Result<Self, Refusal> {
        let content = if stamp.length > MAX_MEMORY_BYTES {
            Content::File(Arc::new(file))
        } else {
            let bytes;
            (bytes, stamp) = read_unchanged(&file, stamp)?;
            Content::Memory(bytes)
        };
        Ok(Self {
            etag: stamp.etag(coding),
            modified: Modified::new(stamp.modified.0, wall),
            length: stamp.length,
            content,
            settled: stamp.is_settled(wall),
            stamp,
        })
    }

    /// One without a file.
    #[cfg(test)]
    pub(super) fn of_bytes(bytes: &[u8], etag: &str, secs: Option<u64>, settled: bool) -> Self {
        Self {
            etag: etag.as_bytes().into(),
            modified: secs.map(Modified::at),
            length: bytes.len() as u64,
            content: Content::Memory(bytes.into()),
            settled,
            stamp: Stamp::default(),
        }
    }
}

/// The bytes of a small file, none of which changed while they were read, and the stamp that they
/// had.
fn read_unchanged(file: &File, mut stamp: Stamp) -> Result<(Box<[u8]>, Stamp), Refusal> {
    for _ in 0..ATTEMPTS {
        let mut bytes = vec![0; stamp.length as usize];
        let read = file.read_exact_at(&mut bytes, 0);
        let after = Stamp::of(&file.metadata()?);
        match read {
            Ok(()) if after == stamp => return Ok((bytes.into(), stamp)),
            Ok(()) => {}
            // It was cut off.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
            Err(error) => return Err(error.into()),
        }
        stamp = after;
        if stamp.length > MAX_MEMORY_BYTES {
            break;
        }
    }
    Err(Refusal::Busy)
}
