//! The submission side: one method per operation, and the one syscall that submits and waits.

use std::collections::VecDeque;
use std::io;
use std::os::fd::RawFd;
use std::time::Duration;

use io_uring::squeue::{Entry, Flags};
use io_uring::types::{
    CancelBuilder, DestinationSlot, Fd, Fixed, SubmitArgs, TimeoutFlags, Timespec,
};
use io_uring::{SubmissionQueue, Submitter, opcode};
use socket2::SockAddr;

use super::UringReport;
use super::pool::BufferPool;
use super::token::Token;
use crate::shard::{monotonic_ns, now_ns};
use crate::target::{ON, Route};

/// How long to wait for completions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wait {
    /// Completions that end the wait; 0: do not wait, but have what is there worked off.
    pub(super) want: u32,
    /// Return with fewer than `want`, but at least one, after this.
    pub(super) min_wait_us: u32,
    /// Return with none at this time; `None`: never.
    pub(super) until_ns: Option<u64>,
}

impl Wait {
    /// No wait at all, not even to look whether its time is over.
    pub(super) const NONE: Self = Self { want: 0, min_wait_us: 0, until_ns: None };
}

/// `IORING_ENTER_GETEVENTS`, `IORING_ENTER_EXT_ARG` and `IORING_ENTER_ABS_TIMER`.
const ENTER_GETEVENTS: u32 = 1 << 0;
const ENTER_EXT_ARG: u32 = 1 << 3;
pub(super) const ENTER_ABS_TIMER: u32 = 1 << 5;

/// A send in full, by which the kernel must not wait and of which we hear only if it fails.
const AT_ONCE: i32 = libc::MSG_DONTWAIT | libc::MSG_WAITALL | libc::MSG_NOSIGNAL;
/// A send that waits in the kernel until the socket has room, for all of it or for some.
const WITH_PATIENCE: i32 = libc::MSG_NOSIGNAL;

/// `SO_LINGER`'s value for a close that is a reset.
static NO_LINGERING: libc::linger = libc::linger { l_onoff: 1, l_linger: 0 };

pub(super) struct Queue<'r> {
    submitter: Submitter<'r>,
    sq: SubmissionQueue<'r>,
    /// Entries that found the queue full and the kernel unwilling; go first at the next chance.
    spill: VecDeque<Entry>,
    /// Whether connections are direct descriptors.
    direct: bool,
    /// Whether receives and accepts are multishot.
    multishot: bool,
    /// Whether a thread of the kernel submits what is queued.
    pub(super) sqpoll: bool,
    /// Whether the kernel is told when waits end. Not where the call that waits does not submit.
    end_time: bool,
    /// What sends at once are marked with.
    at_once: Flags,
    buffer_bytes: u32,
    /// Whether the kernel took everything with the last `enter`.
    taken: bool,
    /// System calls made.
    pub(super) enters: u64,
    /// Times the completion queue was found too short.
    pub(super) overflows: u64,
}

impl<'r> Queue<'r> {
    pub(super) fn new(
        submitter: Submitter<'r>,
        sq: SubmissionQueue<'r>,
        report: &UringReport,
        buffer_bytes: u32,
    ) -> Self {
        let UringReport { direct_descriptors: direct, multishot, sqpoll, end_time, .. } = *report;
        let mut at_once = if sqpoll { Flags::empty() } else { Flags::SKIP_SUCCESS };
        at_once.set(Flags::FIXED_FILE, direct);
        Self {
            submitter,
            sq,
            spill: VecDeque::new(),
            direct,
            multishot,
            sqpoll,
            end_time: end_time && !sqpoll,
            at_once,
            buffer_bytes,
            taken: true,
            enters: 0,
            overflows: 0,
        }
    }

    /// Submits everything queued and waits, in one syscall.
    pub(super) fn enter(&mut self, wait: Wait) -> io::Result<()> {
        self.unspill();
        self.sq.sync();
        self.enters += 1;
        let result = self.submit_and_wait(wait);
        self.sq.sync();
        self.note_taken();
        match result {
            Ok(_) => Ok(()),
            Err(error) => match error.raw_os_error() {
                // The wait timed out or a signal came: nothing is wrong.
                // EBUSY: completions must be taken first. EAGAIN: memory was short for a moment.
                Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN) => Ok(()),
                // EBADR among them: completions were lost, and with them what was sent and what
                // was not.
                _ => Err(error),
            },
        }
    }

    fn submit_and_wait(&self, wait: Wait) -> io::Result<usize> {
        if wait.want == 0 && !self.sqpoll {
            let len = self.sq.len() as u32;
            // SAFETY: what is queued was promised to be valid, and there is no argument. The flag
            // has deferred completions worked off, which a call that wants none does not ask for.
            return unsafe {
                self.submitter.enter::<libc::sigset_t>(len, 0, ENTER_GETEVENTS, None)
            };
        }
        if wait.until_ns.is_none() && wait.min_wait_us == 0 {
            return self.submitter.submit_and_wait(wait.want as usize);
        }
        let timeout = wait.until_ns.map(|at_ns| self.timeout(at_ns));
        let mut args = SubmitArgs::new();
        if let Some(timeout) = &timeout {
            args = args.timespec(timeout);
        }
        if wait.min_wait_us > 0 {
            args = args.min_wait_usec(wait.min_wait_us);
        }
        if !self.end_time {
            return self.submitter.submit_with_args(wait.want as usize, &args);
        }
        let (len, flags) =
            (self.sq.len() as u32, ENTER_GETEVENTS | ENTER_EXT_ARG | ENTER_ABS_TIMER);
        // SAFETY: what is queued was promised to be valid; the argument is what the flags announce.
        unsafe { self.submitter.enter(len, wait.want, flags, Some(&args)) }
    }

    /// A wait's end as the kernel is told of it. Where it cannot be told the time it counts from when
    /// everything is submitted, and what that takes comes on top.
    fn timeout(&self, at_ns: u64) -> Timespec {
        Timespec::from(Duration::from_nanos(if self.end_time {
            monotonic_ns(at_ns)
        } else {
            at_ns.saturating_sub(now_ns())
        }))
    }

    /// Whether the kernel took everything that was queued at the last `enter` and holds back no
    /// completion. What was queued since does not count.
    pub(super) fn is_settled(&self) -> bool {
        self.taken && !self.sq.cq_overflow()
    }

    /// Whether nothing is queued that the kernel has not taken.
    pub(super) fn is_empty(&mut self) -> bool {
        self.sq.sync();
        self.sq.is_empty() && self.spill.is_empty()
    }

    /// Submits without waiting, to make room.
    fn submit(&mut self) {
        if self.sqpoll {
            self.wake_thread();
            if self.sq.is_full() {
                self.enters += 1;
                // Waits until the thread has taken something, or for a signal.
                let _ = self.submitter.squeue_wait();
            }
        } else {
            self.sq.sync();
            self.enters += 1;
            // What the kernel does not take now stays queued for the next call.
            let _ = self.submitter.submit();
        }
        self.sq.sync();
    }

    /// With a thread that submits: shows it what is queued, which takes a syscall only if it sleeps
    /// or if completions are held back.
    fn wake_thread(&mut self) {
        self.sq.sync();
        if self.sq.need_wakeup() || self.sq.cq_overflow() {
            self.enters += 1;
            let _ = self.submitter.submit();
        }
        self.sq.sync();
    }

    /// As [`Queue::enter`] without a wait, for a thread that submits.
    pub(super) fn hand_over(&mut self) {
        self.unspill();
        self.wake_thread();
        self.note_taken();
    }

    fn note_taken(&mut self) {
        self.taken = self.sq.is_empty() && self.spill.is_empty();
        self.overflows += u64::from(self.sq.cq_overflow());
    }

    /// Moves spilled entries into the queue while there is room.
    fn unspill(&mut self) {
        while let Some(entry) = self.spill.pop_front() {
            // SAFETY: the promise made to `push` for this entry still holds.
            if unsafe { self.sq.push(&entry) }.is_err() {
                self.spill.push_front(entry);
                self.submit();
                if self.sq.is_full() {
                    return;
                }
            }
        }
    }

    /// Queues an entry. It is submitted with the next [`Queue::enter`], or before if the queue is
    /// full.
    ///
    /// # Safety
    ///
    /// What the entry points to must stay valid and untouched until the kernel is done with it.
    #[inline]
    unsafe fn push(&mut self, entry: Entry) {
        if self.sq.is_full() {
            self.submit();
        }
        // SAFETY: the caller's promise.
        if !self.spill.is_empty() || unsafe { self.sq.push(&entry) }.is_err() {
            self.spill.push_back(entry);
        }
    }

    /// Queues an entry that points to no memory of ours.
    #[inline]
    fn push_plain(&mut self, entry: Entry) {
        // SAFETY: every caller in this file builds an operation without pointers.
        unsafe { self.push(entry) };
    }

    /// Marks an entry's descriptor as a direct one if connections are.
    #[inline]
    fn for_conn(&self, entry: Entry) -> Entry {
        if self.direct { entry.flags(Flags::FIXED_FILE) } else { entry }
    }

    /// Accepts connections on `listener` into the file table (or as descriptors).
    pub(super) fn accept(&mut self, listener: RawFd, token: Token) {
        let entry = if self.multishot {
            opcode::AcceptMulti::new(Fd(listener)).allocate_file_index(self.direct).build()
        } else {
            let slot = self.direct.then(DestinationSlot::auto_target);
            // Null addresses: the peer's address is not asked for.
            opcode::Accept::new(Fd(listener), std::ptr::null_mut(), std::ptr::null_mut())
                .file_index(slot)
                .build()
        };
        self.push_plain(entry.user_data(token.encode()));
    }

    /// Receives into provided buffers.
    #[inline]
    pub(super) fn receive(&mut self, fd: i32, token: u64) {
        let entry = if self.multishot {
            opcode::RecvMulti::new(Fd(fd), BufferPool::GROUP).build()
        } else {
            opcode::Recv::new(Fd(fd), std::ptr::null_mut(), self.buffer_bytes)
                .buf_group(BufferPool::GROUP)
                .build()
                .flags(Flags::BUFFER_SELECT)
        };
        let entry = self.for_conn(entry);
        self.push_plain(entry.user_data(token));
    }

    /// Sends what the socket takes at once. Completes inside the submitting syscall, and posts a
    /// completion only if not everything was taken: with the bytes that were, or an errno.
    ///
    /// A thread that submits does it at a time of its own: then every send posts a completion.
    ///
    /// # Safety
    ///
    /// `bytes` must stay valid and untouched until the kernel has consumed the entry and, if a
    /// completion was posted, that has been seen. With a thread that submits: until the completion
    /// has been seen.
    #[inline]
    pub(super) unsafe fn send_at_once(&mut self, fd: i32, bytes: *const [u8], token: u64) {
        let entry = opcode::Send::new(Fd(fd), bytes.cast(), bytes.len() as u32)
            .flags(AT_ONCE)
            .build()
            .flags(self.at_once)
            .user_data(token);
        // SAFETY: the caller's promise.
        unsafe { self.push(entry) };
    }

    /// Sends `bytes`, or as many as there is room for once there is some. Always completes.
    ///
    /// # Safety
    ///
    /// `bytes` must stay valid and untouched until the completion has been seen.
    pub(super) unsafe fn send_with_patience(&mut self, fd: i32, bytes: *const [u8], token: u64) {
        let entry = opcode::Send::new(Fd(fd), bytes.cast(), bytes.len() as u32)
            .flags(WITH_PATIENCE)
            .build()
            .user_data(token);
        let entry = self.for_conn(entry);
        // SAFETY: the caller's promise.
        unsafe { self.push(entry) };
    }

    /// As [`Queue::send_with_patience`], without copying `bytes` where the socket can do so. Completes
    /// with the result; if that has the flag `MORE`, a notification follows when the kernel has
    /// let go of the memory.
    ///
    /// # Safety
    ///
    /// `bytes` must stay valid and untouched until the completion has been seen, and the
    /// notification if there is to be one.
    pub(super) unsafe fn send_lent(&mut self, fd: i32, bytes: *const [u8], token: u64) {
        let entry = opcode::SendZc::new(Fd(fd), bytes.cast(), bytes.len() as u32)
            .flags(WITH_PATIENCE)
            .build()
            .user_data(token);
        let entry = self.for_conn(entry);
        // SAFETY: the caller's promise.
        unsafe { self.push(entry) };
    }

    /// Closes a connection. What is under way on it has to be cancelled before, or no FIN is sent: a
    /// close alone would leave the socket to the armed receive.
    pub(super) fn close(&mut self, fd: i32) {
        let close = if self.direct {
            opcode::Close::new(Fixed(fd as u32)).build()
        } else {
            opcode::Close::new(Fd(fd)).build()
        };
        self.push_plain(close.flags(Flags::SKIP_SUCCESS).user_data(Token::IGNORE));
    }

    /// Makes the close that follows a reset, where the kernel (6.7) can set that from here.
    pub(super) fn reset_by_close(&mut self, fd: i32) {
        let entry = opcode::SetSockOpt::new(
            Fd(fd),
            libc::SOL_SOCKET as u32,
            libc::SO_LINGER as u32,
            (&raw const NO_LINGERING).cast(),
            size_of::<libc::linger>() as u32,
        )
        .build();
        let entry = self.for_conn(entry).flags(Flags::SKIP_SUCCESS).user_data(Token::IGNORE);
        // SAFETY: the option's value is a static.
        unsafe { self.push(entry) };
    }

    /// Cancels every operation on a connection.
    pub(super) fn cancel_descriptor(&mut self, fd: i32) {
        self.cancel(if self.direct {
            CancelBuilder::fd(Fixed(fd as u32)).all()
        } else {
            CancelBuilder::fd(Fd(fd)).all()
        });
    }

    /// Cancels the operation with this token. Not all that there are, as there is one: the kernel
    /// would look for more of them.
    pub(super) fn cancel_token(&mut self, token: u64) {
        self.cancel(CancelBuilder::user_data(token));
    }

    /// Cancels everything on the ring.
    pub(super) fn cancel_all(&mut self) {
        self.cancel(CancelBuilder::any().all());
    }

    fn cancel(&mut self, what: CancelBuilder) {
        let entry = opcode::AsyncCancel2::new(what).build().flags(Flags::SKIP_SUCCESS);
        self.push_plain(entry.user_data(Token::IGNORE));
    }

    /// Half-closes a connection. The kernel does it on a helper thread, so it is for the rare
    /// case; and it looks the descriptor up there, so that it must not be closed before this has
    /// completed: by then it could be another connection's.
    pub(super) fn shutdown_write(&mut self, fd: i32, token: u64) {
        let entry = opcode::Shutdown::new(Fd(fd), libc::SHUT_WR).build();
        let entry = self.for_conn(entry).user_data(token);
        self.push_plain(entry);
    }

    /// Makes a stream socket for the way to a target.
    pub(super) fn socket(&mut self, route: &Route, token: u64) {
        // A direct descriptor has no close-on-exec flag to set; the kernel refuses it.
        let cloexec = if self.direct { 0 } else { libc::SOCK_CLOEXEC };
        let entry = opcode::Socket::new(
            i32::from(route.address.family()),
            libc::SOCK_STREAM | cloexec,
            route.protocol().map_or(0, i32::from),
        )
        .file_index(self.direct.then(DestinationSlot::auto_target))
        .build();
        self.push_plain(entry.user_data(token));
    }

    /// Switches an option of a fresh socket on, where the kernel (6.7) can do that from here.
    pub(super) fn switch_on(&mut self, fd: i32, level: libc::c_int, option: libc::c_int) {
        let entry = opcode::SetSockOpt::new(
            Fd(fd),
            level as u32,
            option as u32,
            (&raw const ON).cast(),
            size_of_val(&ON) as u32,
        )
        .build();
        let entry = self.for_conn(entry).flags(Flags::SKIP_SUCCESS).user_data(Token::IGNORE);
        // SAFETY: the option's value is a static.
        unsafe { self.push(entry) };
    }

    /// Binds a fresh socket to a local address.
    ///
    /// # Safety
    ///
    /// `address` must stay valid and where it is until the completion has been seen.
    pub(super) unsafe fn bind(&mut self, fd: i32, address: &SockAddr, token: u64) {
        let entry = opcode::Bind::new(Fd(fd), address.as_ptr().cast(), address.len()).build();
        let entry = self.for_conn(entry).user_data(token);
        // SAFETY: the caller's promise.
        unsafe { self.push(entry) };
    }

    /// Connects a fresh socket.
    ///
    /// # Safety
    ///
    /// As for [`Queue::bind`].
    pub(super) unsafe fn connect(&mut self, fd: i32, address: &SockAddr, token: u64) {
        let entry = opcode::Connect::new(Fd(fd), address.as_ptr().cast(), address.len()).build();
        let entry = self.for_conn(entry).user_data(token);
        // SAFETY: the caller's promise.
        unsafe { self.push(entry) };
    }

    /// Does nothing but to complete.
    pub(super) fn nothing(&mut self, token: u64) {
        self.push_plain(opcode::Nop::new().build().user_data(token));
    }

    /// Has a completion posted at `time` on the monotonic clock.
    ///
    /// # Safety
    ///
    /// `time` must stay valid until the kernel has consumed the entry.
    pub(super) unsafe fn set_timer(&mut self, time: *const Timespec, token: u64) {
        let entry = opcode::Timeout::new(time).flags(TimeoutFlags::ABS).build();
        // SAFETY: the caller's promise.
        unsafe { self.push(entry.user_data(token)) };
    }

    /// Sets a timer that is armed to a new time. If it has gone off meanwhile, its
    /// completion is on its way and nothing is changed.
    ///
    /// # Safety
    ///
    /// As for [`Queue::set_timer`].
    pub(super) unsafe fn move_timer(&mut self, time: *const Timespec, token: u64) {
        let entry = opcode::TimeoutUpdate::new(token, time).flags(TimeoutFlags::ABS).build();
        let entry = entry.flags(Flags::SKIP_SUCCESS).user_data(Token::IGNORE);
        // SAFETY: the caller's promise.
        unsafe { self.push(entry) };
    }

    /// Asks to be told whenever the shard's eventfd becomes readable.
    pub(super) fn watch(&mut self, eventfd: RawFd, token: Token) {
        let entry = opcode::PollAdd::new(Fd(eventfd), libc::POLLIN as u32).multi(true).build();
        self.push_plain(entry.user_data(token.encode()));
    }
}
