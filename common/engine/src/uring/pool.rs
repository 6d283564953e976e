//! The ring of provided buffers: memory that the kernel fills, in the order in which it is given
//! back. An idle connection holds none of it.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::Submitter;
use io_uring::types::{BufRingEntry, IOU_PBUF_RING_INC};

const PAGE_BYTES: usize = 4096;

/// A zeroed allocation that frees itself.
struct Pages {
    start: NonNull<u8>,
    layout: Layout,
}

impl Pages {
    fn new(bytes: usize) -> Self {
        let layout = Layout::from_size_align(bytes.max(1), PAGE_BYTES)
            .expect("buffer sizes are bounded when options are checked");
        // SAFETY: the layout's size is at least 1.
        let start = unsafe { alloc_zeroed(layout) };
        let start = NonNull::new(start).unwrap_or_else(|| handle_alloc_error(layout));
        Self { start, layout }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: `start` came from `alloc_zeroed` with this same layout and is freed only here.
        unsafe { dealloc(self.start.as_ptr(), self.layout) };
    }
}

/// Provided buffers of one size, registered with one ring.
///
/// Usually a receive takes a whole buffer. Incremental buffers (Linux 6.12) are filled by one
/// receive after the other, whichever connections they belong to: a completion says whether the
/// buffer is to be used further, and its bytes begin where those of the completion before ended. No
/// completion says where; it follows from their order, which the kernel keeps.
pub(crate) struct BufferPool {
    /// The array that is shared with the kernel; its tail lies in the first entry.
    entries: Pages,
    memory: Pages,
    count: u16,
    buffer_bytes: u32,
    /// The tail as far as we have written; the kernel sees it after [`BufferPool::publish`].
    tail: u16,
    published: u16,
    /// How much of each buffer has been filled, if buffers are incremental; else empty.
    filled: Vec<u32>,
}

impl BufferPool {
    /// The buffer group all receives of a ring use.
    pub(crate) const GROUP: u16 = 0;

    /// Allocates `count` (a power of two, at most 32,768) buffers, all in our hands.
    pub(crate) fn new(count: u16, buffer_bytes: u32, incremental: bool) -> Self {
        assert!(count.is_power_of_two() && count <= 1 << 15, "checked with the options");
        Self {
            entries: Pages::new(usize::from(count) * size_of::<BufRingEntry>()),
            memory: Pages::new(usize::from(count) * buffer_bytes as usize),
            count,
            buffer_bytes,
            tail: 0,
            published: 0,
            filled: if incremental { vec![0; usize::from(count)] } else { Vec::new() },
        }
    }

    /// Registers the pool with a ring and hands all buffers to the kernel.
    ///
    /// # Safety
    ///
    /// The pool must outlive the ring, or at least every receive that was started on it.
    pub(crate) unsafe fn register(&mut self, submitter: &Submitter<'_>) -> io::Result<()> {
        let flags = if self.filled.is_empty() { 0 } else { IOU_PBUF_RING_INC as u16 };
        // SAFETY: `entries` is page-aligned, holds `count` entries, and lives as long as the
        // caller promised.
        unsafe {
            submitter.register_buf_ring_with_flags(
                self.entries.start.as_ptr() as u64,
                self.count,
                Self::GROUP,
                flags,
            )
        }?;
        for buffer in 0..self.count {
            self.recycle(buffer);
        }
        self.publish();
        Ok(())
    }

    /// The `len` bytes that a completion has brought in a buffer.
    pub(crate) fn bytes(&self, buffer: u16, len: usize) -> &[u8] {
        let start = self.filled.get(usize::from(buffer)).map_or(0, |&filled| filled as usize);
        assert!(
            buffer < self.count && start + len <= self.buffer_bytes as usize,
            "named by the kernel"
        );
        // SAFETY: the range lies in `memory`, which is initialised. The kernel has finished with
        // it, as the completion says so: in what is left of an incremental buffer it goes on behind
        // this range. It writes here again only after `recycle` and `publish`, which borrow the
        // pool mutably and so end this slice first.
        unsafe {
            std::slice::from_raw_parts(
                self.memory
                    .start
                    .as_ptr()
                    .add(usize::from(buffer) * self.buffer_bytes as usize + start),
                len,
            )
        }
    }

    /// What a completion brought has been used: `len` bytes of a buffer. The buffer goes back to
    /// the kernel, unless that has kept it (`more`) to fill it further.
    #[inline]
    pub(crate) fn used(&mut self, buffer: u16, len: usize, more: bool) {
        if more {
            self.filled[usize::from(buffer)] += len as u32;
        } else {
            self.recycle(buffer);
        }
    }

    /// Gives a buffer back; the kernel sees it after [`BufferPool::publish`].
    fn recycle(&mut self, buffer: u16) {
        let position = self.tail & (self.count - 1);
        let offset = usize::from(buffer) * self.buffer_bytes as usize;
        if let Some(filled) = self.filled.get_mut(usize::from(buffer)) {
            *filled = 0;
        }
        // The kernel reads entries, and changes those of incremental buffers, only between its head
        // and the published tail.
        // SAFETY: `position < count`, so the entry lies in `entries`. It is not published: at most
        // `count` buffers exist, so the position's former one has been consumed. The tail that
        // shares memory with entry 0 is in `resv`, which no setter touches.
        let entry = unsafe { &mut *self.ring().add(usize::from(position)) };
        // SAFETY: `offset` is within `memory`, as `buffer < count`.
        let start = unsafe { self.memory.start.as_ptr().add(offset) };
        entry.set_addr(start as u64);
        entry.set_len(self.buffer_bytes);
        entry.set_bid(buffer);
        self.tail = self.tail.wrapping_add(1);
    }

    /// The array shared with the kernel.
    #[allow(clippy::cast_ptr_alignment, reason = "pages are aligned for anything")]
    fn ring(&self) -> *mut BufRingEntry {
        self.entries.start.as_ptr().cast()
    }

    /// Makes all buffers given back so far visible to the kernel; once per batch.
    pub(crate) fn publish(&mut self) {
        if self.published == self.tail {
            return;
        }
        self.published = self.tail;
        // SAFETY: `entries` starts with entry 0 and is initialised (zeroed), as `tail` asks; the
        // tail is aligned for `u16` and is only ever read by the kernel, atomically.
        let tail = unsafe { AtomicU16::from_ptr(BufRingEntry::tail(self.ring()).cast_mut()) };
        tail.store(self.tail, Ordering::Release);
    }
}
