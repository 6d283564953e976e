//! What each completion leads to.

use std::io;

use io_uring::cqueue;

use super::driver::{Draining, Driver, MAX_SEND_BYTES};
use super::token::{Kind, Token};
use crate::ops::HIGH_WATER_BYTES;
use crate::slots::Phase;
use crate::turn::{end_connection, notify_if_drained};
use crate::{CloseReason, ConnId, Handler};

fn errno(result: i32) -> io::Error {
    io::Error::from_raw_os_error(-result)
}

impl Driver<'_> {
    pub(super) fn complete<H: Handler>(&mut self, handler: &mut H, entry: &cqueue::Entry) {
        let token = Token::decode(entry.user_data());
        let (result, flags) = (entry.result(), entry.flags());
        match token.kind {
            Kind::Receive => self.received(handler, token.conn_id(), result, flags),
            Kind::Send => self.send_reported(handler, token, result),
            Kind::SendRest => self.rest_sent(handler, token.conn_id(), result),
            Kind::Accept => self.accepted(handler, token.index, result, flags),
            Kind::Socket => self.socket_made(handler, token.conn_id(), result),
            Kind::Bind => self.bound(handler, token.conn_id(), result),
            Kind::Connect => self.connected(handler, token.conn_id(), result),
            Kind::NoRoute => self.not_begun(handler, token.conn_id()),
            Kind::Wake => self.woken(flags),
            Kind::Bell => self.rung(),
            Kind::Shutdown => self.half_closed(token.conn_id()),
            Kind::SendLent => self.lent_sent(handler, token.index, result, flags),
            Kind::Ignore => {}
        }
    }

    fn received<H: Handler>(&mut self, handler: &mut H, conn: ConnId, result: i32, flags: u32) {
        let Some(phase) = self.ops.slots.get(conn).map(|slot| slot.phase) else {
            // Cannot be: a slot is kept until its receive has ended. Give the buffer back anyway.
            debug_assert!(false, "a completion for a dead {conn:?}");
            if let Some(buffer) = cqueue::buffer_select(flags) {
                self.pool.used(buffer, result.max(0) as usize, cqueue::buffer_more(flags));
            }
            return;
        };
        let more = cqueue::more(flags);
        if !more {
            let state = &mut self.conns[conn.index()];
            state.receiving = false;
            state.in_kernel -= 1;
        }
        if let Some(buffer) = cqueue::buffer_select(flags) {
            if result > 0 && phase == Phase::Open {
                let bytes = self.pool.bytes(buffer, result as usize);
                handler.received(&mut self.ops, conn, bytes);
            }
            self.pool.used(buffer, result.max(0) as usize, cqueue::buffer_more(flags));
        }
        if result <= 0 {
            self.receive_ended(handler, conn, phase, result);
        }
        if !more {
            if result == -libc::ENOBUFS {
                // Not at once: the buffers that are back are the kernel's only when published, and
                // until then every receive would end like this one.
                self.starved.push(conn);
            } else {
                self.arm_receive(conn);
            }
            self.bury_if_done(conn);
        }
        self.pause_if_full(conn);
    }

    /// A receive that brought nothing: the end of the input, an error, or a reason to arm again.
    fn receive_ended<H: Handler>(
        &mut self,
        handler: &mut H,
        conn: ConnId,
        phase: Phase,
        result: i32,
    ) {
        let held = self.ops.slots.get(conn).is_some_and(|slot| slot.held);
        match (-result, phase) {
            // It came before the hold was in force. The receive of the resumption finds it again.
            (0, Phase::Open) if held => {}
            (0, Phase::Open) => {
                self.conns[conn.index()].eof = true;
                handler.eof(&mut self.ops, conn);
            }
            (0, Phase::Closing | Phase::ClosingLinger) => self.conns[conn.index()].eof = true,
            (0, Phase::Lingering) => self.end(handler, conn, CloseReason::Local),
            // Every buffer was in use; they are back when the next submission goes out.
            (libc::ENOBUFS, _) => self.ops.stats.enobufs += 1,
            // Cancelled: for a pause or by a close.
            (libc::ECANCELED | libc::EINTR, _) => {}
            (_, Phase::Open) => {
                self.end(handler, conn, CloseReason::ReceiveFailed(errno(result)));
            }
            (_, _) => self.end(handler, conn, CloseReason::Local),
        }
    }

    /// Arms a receive if the connection is to have one and has none.
    pub(super) fn arm_receive(&mut self, conn: ConnId) {
        let Some(slot) = self.ops.slots.get(conn) else {
            return;
        };
        let wanted = matches!(slot.phase, Phase::Open | Phase::ClosingLinger | Phase::Lingering);
        // What is thrown away fills no memory.
        let paused = self.conns[conn.index()].paused && slot.phase == Phase::Open;
        let state = &mut self.conns[conn.index()];
        if wanted && !slot.held && !state.receiving && !paused && !state.eof {
            state.receiving = true;
            state.in_kernel += 1;
            self.queue.receive(state.fd, Token::conn(Kind::Receive, conn));
        }
    }

    /// Carries out what the handler wants of a connection's input.
    pub(super) fn hold_or_resume(&mut self, conn: ConnId) {
        let held = self.ops.slots.get(conn).is_some_and(|slot| slot.held);
        if held && self.conns[conn.index()].receiving {
            self.queue.cancel_token(Token::conn(Kind::Receive, conn));
        } else if !held {
            self.arm_receive(conn);
        }
    }

    /// Holds a connection's input back while its output does not leave, so that a peer that does
    /// not read cannot fill our memory.
    fn pause_if_full(&mut self, conn: ConnId) {
        let slot = self.ops.slots.get(conn).filter(|slot| slot.phase == Phase::Open);
        let Some(backlog) = slot.and_then(|slot| slot.backlog.as_ref()) else {
            return;
        };
        let state = &mut self.conns[conn.index()];
        if backlog.pending.len() > HIGH_WATER_BYTES && !state.paused {
            state.paused = true;
            if state.receiving {
                self.queue.cancel_token(Token::conn(Kind::Receive, conn));
            }
        }
    }

    /// A send out of an outbox was not taken in full, or it was and the success is reported too.
    fn send_reported<H: Handler>(&mut self, handler: &mut H, token: Token, result: i32) {
        let Some(submitted) =
            self.submitted.as_mut().filter(|submitted| submitted.batch == token.generation)
        else {
            debug_assert!(false, "a send completed after its outbox was forgotten");
            return;
        };
        submitted.awaited = submitted.awaited.saturating_sub(1);
        let segment = submitted.outbox.segments[token.index as usize];
        let bytes = &submitted.outbox.bytes[segment.start..segment.end];
        if result < 0 && result != -libc::EAGAIN {
            return self.send_failed(handler, segment.conn, result);
        }
        let sent = result.max(0) as usize;
        let alive =
            self.ops.slots.get(segment.conn).is_some_and(|slot| slot.phase != Phase::Closed);
        if sent < bytes.len() && alive && self.ops.push_back(segment.conn, &bytes[sent..]) {
            self.ops.stats.sends_blocked += 1;
            self.send_rest(segment.conn);
        }
    }

    fn send_failed<H: Handler>(&mut self, handler: &mut H, conn: ConnId, result: i32) {
        match self.ops.slots.get(conn).map(|slot| slot.phase) {
            Some(Phase::Open) => self.end(handler, conn, CloseReason::SendFailed(errno(result))),
            Some(Phase::Closing | Phase::ClosingLinger) => {
                self.end(handler, conn, CloseReason::Local);
            }
            _ => {}
        }
    }

    /// Sends what is left of the backlog's part that is in flight, without a copy if it is large
    /// enough for that.
    pub(super) fn send_rest(&mut self, conn: ConnId) {
        self.send_rest_lending(conn, self.lend_from_bytes);
    }

    fn send_rest_lending(&mut self, conn: ConnId, lend_from_bytes: usize) {
        let Some(backlog) = self.ops.slots.get(conn).and_then(|slot| slot.backlog.as_ref()) else {
            return;
        };
        let state = &mut self.conns[conn.index()];
        state.in_kernel += 1;
        let len = MAX_SEND_BYTES.min(backlog.in_flight.len() - backlog.sent);
        let rest: *const [u8] = &raw const backlog.in_flight[backlog.sent..backlog.sent + len];
        if len >= lend_from_bytes {
            let index = self.loans.lend(conn);
            let token = Token { kind: Kind::SendLent, generation: 0, index }.encode();
            // SAFETY: until the result has come, as below. `in_flight` has a loan now, and so
            // `settle_loan` sees to it that it is then sent on from unchanged, or moved as a whole
            // to `loans`, where its bytes stay in place until every notification has come.
            unsafe { self.queue.send_lent(state.fd, rest, token) };
            return;
        }
        let token = Token::conn(Kind::SendRest, conn);
        // SAFETY: `in_flight` is left alone until this send has completed: writes go to `pending`,
        // and the slot, which owns the backlog, is kept while `in_kernel` is not zero.
        unsafe { self.queue.send_with_patience(state.fd, rest, token) };
    }

    /// A send of lent memory has its result, or the kernel is done with the memory.
    fn lent_sent<H: Handler>(&mut self, handler: &mut H, loan: u32, result: i32, flags: u32) {
        if cqueue::notif(flags) {
            return self.loans.returned(loan);
        }
        let conn = self.loans.sent(loan, cqueue::more(flags));
        let closed = self.ops.slots.get(conn).is_none_or(|slot| slot.phase == Phase::Closed);
        // Lent memory counts against RLIMIT_MEMLOCK, and to a unix socket nothing can be lent. What
        // may not be lent can still be copied.
        if !closed && matches!(-result, libc::ENOBUFS | libc::ENOMEM | libc::EOPNOTSUPP) {
            self.conns[conn.index()].in_kernel -= 1;
            return self.send_rest_lending(conn, usize::MAX);
        }
        self.rest_sent(handler, conn, result);
    }

    /// Moves the memory that is in flight to the loan it is under, unless more of it is about to be
    /// sent: what the kernel may still read must neither be written to nor go with the backlog.
    fn settle_loan(&mut self, conn: ConnId, result: i32) {
        if !self.loans.has(conn) {
            return;
        }
        let Some(slot) = self.ops.slots.get_mut(conn) else {
            debug_assert!(false, "a loan without a slot: {conn:?}");
            return;
        };
        let Some(backlog) = slot.backlog.as_deref_mut() else { return };
        let failed = result < 0 && result != -libc::EAGAIN && result != -libc::EINTR;
        let sent = backlog.sent + result.max(0) as usize;
        if slot.phase == Phase::Closed || failed || sent >= backlog.in_flight.len() {
            backlog.sent = 0;
            self.loans.end(conn, std::mem::take(&mut backlog.in_flight));
        }
    }

    fn rest_sent<H: Handler>(&mut self, handler: &mut H, conn: ConnId, result: i32) {
        self.conns[conn.index()].in_kernel -= 1;
        self.settle_loan(conn, result);
        let Some(slot) = self.ops.slots.get_mut(conn) else {
            return;
        };
        if slot.phase == Phase::Closed {
            return self.bury_if_done(conn);
        }
        if result < 0 && result != -libc::EAGAIN && result != -libc::EINTR {
            return self.send_failed(handler, conn, result);
        }
        if self.ops.backlog_sent(conn, result.max(0) as usize) {
            return self.send_rest(conn);
        }
        let state = &mut self.conns[conn.index()];
        if std::mem::take(&mut state.paused) {
            self.arm_receive(conn);
        }
        self.close_when_sent(handler, conn);
        notify_if_drained(&mut self.ops, handler, conn);
    }

    fn woken(&mut self, flags: u32) {
        self.control.acknowledge();
        if self.control.stop_asked() {
            self.ops.stopping = true;
        }
        if self.control.drain_asked() && self.draining == Draining::No {
            self.draining = Draining::Asked;
            self.cancel_accepts();
        }
        if !cqueue::more(flags) && !self.is_over {
            self.watch();
        }
    }

    /// Closes a connection, whatever state it is in, and tells the handler, once.
    pub(super) fn end<H: Handler>(&mut self, handler: &mut H, conn: ConnId, why: CloseReason) {
        let state = &mut self.conns[conn.index()];
        if self.ops.slots.get(conn).is_none() || state.ended {
            return;
        }
        state.ended = true;
        self.close_descriptor(conn);
        self.bury_if_done(conn);
        end_connection(&mut self.ops, handler, conn, why);
    }

    /// Closes the descriptor of a connection that has ended, unless a half-close is still to look
    /// it up.
    fn close_descriptor(&mut self, conn: ConnId) {
        let state = &mut self.conns[conn.index()];
        if state.fd < 0 || state.half_closing {
            return;
        }
        if self.ops.slots.resets(conn) {
            self.queue.reset_by_close(state.fd);
        }
        // The kernel finds a receive by its token at once. By the descriptor it searches through
        // all that is under way on the ring: with 15,000 connections that takes half a millisecond.
        match state.in_kernel {
            0 => {}
            1 if state.receiving => self.queue.cancel_token(Token::conn(Kind::Receive, conn)),
            _ => self.queue.cancel_descriptor(state.fd),
        }
        self.queue.close(state.fd);
        state.fd = -1;
    }

    fn half_closed(&mut self, conn: ConnId) {
        let state = &mut self.conns[conn.index()];
        state.in_kernel -= 1;
        state.half_closing = false;
        if state.ended {
            self.close_descriptor(conn);
            self.bury_if_done(conn);
        }
    }

    /// Lets the slot of a connection that has ended go when its last operation is back.
    pub(super) fn bury_if_done(&mut self, conn: ConnId) {
        let state = &mut self.conns[conn.index()];
        if state.ended && state.in_kernel == 0 && !state.buried {
            state.buried = true;
            self.dead.push(conn);
        }
    }
}
