//! Accepting: arming, pausing, and what a drain does about those who wait.

use std::os::fd::{AsRawFd, RawFd};

use io_uring::cqueue;

use super::driver::{Conn, Draining, Driver, NO_CONN};
use super::token::{Kind, Token};
use crate::slots::Phase;
use crate::turn::{ACCEPT_PAUSE_NS, MAX_LAST_ACCEPTS};
use crate::{Control, Handler};

impl Driver<'_> {
    pub(super) fn accepted<H: Handler>(
        &mut self,
        handler: &mut H,
        listener: u32,
        result: i32,
        flags: u32,
    ) {
        let more = cqueue::more(flags);
        self.armed_accepts -= u32::from(!more);
        if self.is_over {
            if result >= 0 {
                self.queue.close(result);
            }
            return;
        }
        if result >= 0 {
            let conn = self.ops.slots.alloc(Phase::Open);
            *self.conn_mut(conn) = Conn { fd: result, ..NO_CONN };
            if self.ops.wants_peers() {
                self.ops.set_peer(conn, crate::socket::peer(result));
            }
            self.ops.stats.accepts += 1;
            self.count_peak();
            self.arm_receive(conn);
            handler.accepted(&mut self.ops, conn);
        }
        // A client that gave up while it waited, a signal: nothing that would come again at once.
        let passing = [libc::ECONNABORTED, libc::EINTR, libc::EAGAIN, libc::ECANCELED];
        let failed = result < 0 && !passing.contains(&-result);
        self.ops.stats.accept_errors += u64::from(failed);
        if more || self.draining != Draining::No {
            return;
        }
        if failed {
            self.rest_listener(listener);
        } else {
            if result == -libc::EAGAIN {
                self.make_blocking(listener);
            }
            self.arm_accept(listener);
        }
    }

    /// The next step of a drain, with no accept in the kernel.
    pub(super) fn go_on_draining<H: Handler>(&mut self, handler: &mut H) {
        let accepted = self.ops.stats.accepts;
        match self.draining {
            Draining::No | Draining::Told => return,
            Draining::Asked => self.swept_from = accepted,
            Draining::Sweeping(before)
                if accepted > before && accepted - self.swept_from < MAX_LAST_ACCEPTS as u64 => {}
            Draining::Sweeping(_) => {
                self.draining = Draining::Told;
                self.listeners.clear();
                self.ops.draining = true;
                return handler.control(&mut self.ops, Control::Drain);
            }
        }
        // An accept takes what is in the queue at once, if there is anything, and the cancel behind
        // it ends one that would wait.
        self.draining = Draining::Sweeping(accepted);
        (0..self.listeners.len() as u32).for_each(|listener| self.arm_accept(listener));
        self.cancel_accepts();
    }

    /// Ends the accepts; the listeners themselves are closed when the handler is told to drain.
    pub(super) fn cancel_accepts(&mut self) {
        for index in 0..self.listeners.len() as u32 {
            let token = Token { kind: Kind::Accept, generation: 0, index };
            self.queue.cancel_token(token.encode());
        }
        self.resting_listeners.clear();
    }

    pub(super) fn arm_accept(&mut self, listener: u32) {
        if let Some(socket) = self.listeners.get(listener as usize) {
            let fd: RawFd = socket.as_raw_fd();
            self.queue.accept(fd, Token { kind: Kind::Accept, generation: 0, index: listener });
            self.armed_accepts += 1;
        }
    }

    /// For a kernel whose accepts do not wait on a listener that is non-blocking: to ask again at
    /// once would spin.
    pub(super) fn make_blocking(&mut self, listener: u32) {
        if let Some(socket) = self.listeners.get(listener as usize)
            && socket.set_nonblocking(false).is_err()
        {
            self.ops.stats.accept_errors += 1;
        }
    }

    /// Pauses accepting: the listener is out of descriptors, and asking again at once would spin.
    pub(super) fn rest_listener(&mut self, listener: u32) {
        self.resting_listeners.push(listener);
        self.accept_at_ns = self.ops.now_ns + ACCEPT_PAUSE_NS;
    }
}
