//! What each event leads to.

use std::os::fd::OwnedFd;

use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send, sockopt};

use super::driver::Driver;
use crate::slots::Phase;
use crate::turn::{notify_if_drained, wants_input};
use crate::{CloseReason, ConnId, Handler};

/// The most that is given to one send; the kernel takes no more than about 2 GiB at a time, and
/// that it took less than it was given must mean that the socket is full.
const MAX_SEND_BYTES: usize = 1 << 30;

/// Sends as much as the socket takes. If that is not everything, an event will tell of room.
pub(super) fn send_some(fd: &OwnedFd, bytes: &[u8]) -> Result<usize, Errno> {
    let mut sent = 0;
    loop {
        let len = MAX_SEND_BYTES.min(bytes.len() - sent);
        match send(fd, &bytes[sent..sent + len], SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
            Ok(count) => {
                sent += count;
                if count < len || sent == bytes.len() {
                    return Ok(sent);
                }
            }
            Err(Errno::AGAIN) => return Ok(sent),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

impl Driver {
    /// Something happened to a connection.
    pub(super) fn happened<H: Handler>(
        &mut self,
        handler: &mut H,
        conn: ConnId,
        flags: EventFlags,
    ) {
        // It may have ended earlier in this very batch.
        let Some(phase) = self.ops.slots.get(conn).map(|slot| slot.phase) else { return };
        if phase == Phase::Closed
            || (phase == Phase::Connecting && !self.connected(handler, conn, flags))
        {
            return;
        }
        let broken = flags.intersects(EventFlags::ERR | EventFlags::HUP);
        let ending = broken || flags.intersects(EventFlags::RDHUP | EventFlags::PRI);
        let state = &mut self.conns[conn.index()];
        state.ending |= ending;
        state.readable |= ending || flags.contains(EventFlags::IN);
        if broken || flags.contains(EventFlags::OUT) {
            self.send_rest(handler, conn);
        }
        if !self.conns[conn.index()].queued {
            self.receive(handler, conn);
        }
    }

    /// Whether a connection that is being made is established now; if it failed it has ended.
    fn connected<H: Handler>(&mut self, handler: &mut H, conn: ConnId, flags: EventFlags) -> bool {
        let Some(fd) = &self.conns[conn.index()].fd else { return false };
        if flags.intersects(EventFlags::ERR | EventFlags::HUP)
            && let Err(errno) = sockopt::socket_error(fd).and_then(|error| error)
        {
            self.end(handler, conn, CloseReason::ConnectFailed(errno.into()));
            return false;
        }
        let is_connected = flags.contains(EventFlags::OUT);
        if let Some(slot) = self.ops.slots.get_mut(conn).filter(|_| is_connected) {
            slot.phase = Phase::Open;
            handler.connected(&mut self.ops, conn);
        }
        is_connected
    }

    /// Whether the connection is to have what came in.
    fn wants_input(&mut self, conn: ConnId) -> bool {
        let Some(state) = self.conns.get_mut(conn.index()) else { return false };
        state.readable && !state.eof && wants_input(&self.ops, conn, &mut state.paused)
    }

    /// Has the connection's input received in the next turn, if it has some and is to have it.
    pub(super) fn queue(&mut self, conn: ConnId) {
        if self.wants_input(conn) {
            let state = &mut self.conns[conn.index()];
            if !std::mem::replace(&mut state.queued, true) {
                self.ready.push(conn);
            }
        }
    }

    /// Goes on with what was left in the turn before.
    pub(super) fn go_on_receiving<H: Handler>(&mut self, handler: &mut H, conn: ConnId) {
        if self.ops.slots.get(conn).is_some() {
            self.conns[conn.index()].queued = false;
            self.receive(handler, conn);
        }
    }

    /// Receives a connection's share of this turn.
    fn receive<H: Handler>(&mut self, handler: &mut H, conn: ConnId) {
        while self.wants_input(conn) {
            let state = &mut self.conns[conn.index()];
            let Some(fd) = &state.fd else { return };
            let len = match recv(fd, &mut self.buffer[..], RecvFlags::empty()) {
                Ok((0, _)) => return self.input_ended(handler, conn),
                Ok((len, _)) => len,
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => {
                    state.readable = false;
                    return;
                }
                Err(errno) => {
                    return self.end(handler, conn, CloseReason::ReceiveFailed(errno.into()));
                }
            };
            // Less than there was room for: that was all there is, and an event will tell of more,
            // but not again of an end that it has told of.
            let is_all = len < self.buffer.len();
            state.readable = !is_all || state.ending;
            if self.ops.slots.get(conn).is_some_and(|slot| slot.phase == Phase::Open) {
                handler.received(&mut self.ops, conn, &self.buffer[..len]);
            }
            if !is_all {
                return self.queue(conn);
            }
        }
    }

    fn input_ended<H: Handler>(&mut self, handler: &mut H, conn: ConnId) {
        let state = &mut self.conns[conn.index()];
        state.readable = false;
        state.eof = true;
        match self.ops.slots.get(conn).map(|slot| slot.phase) {
            Some(Phase::Open) => handler.eof(&mut self.ops, conn),
            Some(Phase::Lingering) => self.end(handler, conn, CloseReason::Local),
            // Closed as soon as all is sent.
            _ => {}
        }
    }

    /// Goes on with a backlog, now that there may be room.
    fn send_rest<H: Handler>(&mut self, handler: &mut H, conn: ConnId) {
        loop {
            let Some(backlog) = self.ops.slots.get(conn).and_then(|slot| slot.backlog.as_deref())
            else {
                return;
            };
            let Some(fd) = &self.conns[conn.index()].fd else { return };
            let rest = &backlog.in_flight[backlog.sent..];
            let len = rest.len();
            let sent = match send_some(fd, rest) {
                Ok(sent) => sent,
                Err(errno) => {
                    return self.end(handler, conn, CloseReason::SendFailed(errno.into()));
                }
            };
            if !self.ops.backlog_sent(conn, sent) {
                break;
            }
            if sent < len {
                return;
            }
        }
        self.conns[conn.index()].paused = false;
        self.queue(conn);
        self.close_when_sent(handler, conn);
        notify_if_drained(&mut self.ops, handler, conn);
    }
}
