//! Output: what a turn hands over, what becomes of it, and backlogs.

use std::io;

use super::Shard;
use crate::ops::Segment;
use crate::sim::net::{Event, Net};
use crate::slots::Phase;
use crate::turn;
use crate::{CloseReason, ConnId, Handler as _};

impl Shard {
    /// Carries out what the handler asked for in this turn.
    pub(super) fn flush(&mut self, net: &mut Net, now_ns: u64) {
        self.ops.now_ns = now_ns;
        self.connect_all(net, now_ns);
        while let Some(conn) = self.ops.input_changes.pop() {
            // One that is held is seen to when the next input comes.
            self.arm(net, conn);
        }
        if self.unanswered > 0 {
            return;
        }
        if std::mem::take(&mut self.ops.written) {
            self.call(net, |handler, _| handler.submitting(now_ns));
        }
        self.send_all(net, now_ns);
        let mut closes = std::mem::take(&mut self.ops.closes);
        closes.drain(..).for_each(|conn| self.close_when_sent(net, conn));
        self.ops.closes = closes;
        let mut asks = std::mem::take(&mut self.ops.drain_asks);
        for conn in asks.drain(..).filter(|&conn| self.is_sent(conn)) {
            // Nothing is under way whose answer would bring the call.
            let at_ns = now_ns + net.delay_ns();
            net.schedule(self.id, at_ns, Event::Drained(conn));
        }
        self.ops.drain_asks = asks;
        // Only now, as nothing in the outbox names them any more.
        for conn in self.dead.drain(..) {
            self.ops.slots.release(conn);
        }
    }

    fn connect_all(&mut self, net: &mut Net, now_ns: u64) {
        for (conn, target) in std::mem::take(&mut self.ops.connects) {
            self.add_socket(conn, None);
            if self.phase(conn) == Some(Phase::Connecting) {
                let address = self.ops.targets[target.0 as usize].address();
                let end = net.connect(self.id, conn, address, now_ns);
                self.sockets[conn.index()].end = end;
            }
        }
    }

    fn send_all(&mut self, net: &mut Net, now_ns: u64) {
        let mut empty = std::mem::take(&mut self.flying);
        empty.clear();
        self.flying = self.ops.take_outbox(empty);
        let together_ns = now_ns + net.delay_ns();
        for segment in &self.flying.segments {
            let &Segment { conn, start, end } = segment;
            let Some(socket) = self.sockets.get_mut(conn.index()).filter(|s| s.conn == conn) else {
                continue;
            };
            let Some(slot) = self.ops.slots.get(conn) else { continue };
            let socket_end = socket.end.filter(|_| slot.phase != Phase::Closed && start < end);
            let Some(socket_end) = socket_end else { continue };
            debug_assert!(!socket.sending && slot.backlog.is_none(), "{conn:?}: two sends");
            socket.sending = true;
            let bytes = &self.flying.bytes[start..end];
            let taken = net.send(socket_end, bytes, now_ns);
            net.trace.add(now_ns, self.id, Some(conn), "send", bytes.len());
            net.trace.add(now_ns, self.id, Some(conn), "taken", taken.unwrap_or(0));
            // Most answers are there together, some straggle.
            let straggles_ns = if net.rng.chance(0.1) { net.delay_ns() } else { 0 };
            let answer = Event::Sent { conn, start, end, taken };
            net.schedule(self.id, together_ns + straggles_ns, answer);
            self.unanswered += 1;
        }
    }

    /// What became of the connection's part of the last turn's output.
    pub(super) fn sent(
        &mut self,
        net: &mut Net,
        conn: ConnId,
        start: usize,
        end: usize,
        taken: Result<usize, i32>,
    ) {
        self.unanswered -= 1;
        let Some(socket) = self.socket(conn) else { return };
        socket.sending = false;
        let socket_end = socket.end;
        if self.phase(conn).is_none_or(|phase| phase == Phase::Closed) {
            return;
        }
        match taken {
            Ok(count) if count == end - start => {
                self.ops.stats.sends += 1;
                self.output_done(net, conn);
            }
            Ok(count) => {
                self.ops.stats.sends_blocked += 1;
                let rest = &self.flying.bytes[start + count..end];
                self.ops.push_back(conn, rest);
                if let Some(socket_end) = socket_end {
                    net.wait_for_room(socket_end, self.ops.now_ns);
                }
            }
            Err(errno) => {
                let error = io::Error::from_raw_os_error(errno);
                self.end(net, conn, CloseReason::SendFailed(error));
            }
        }
    }

    /// Goes on with a backlog.
    pub(super) fn writable(&mut self, net: &mut Net, conn: ConnId) {
        if self.phase(conn).is_none_or(|phase| phase == Phase::Closed) {
            return;
        }
        let Some(end) = self.socket(conn).and_then(|socket| socket.end) else { return };
        let now_ns = self.ops.now_ns;
        let Some(backlog) = self.ops.slots.get(conn).and_then(|slot| slot.backlog.as_deref())
        else {
            return;
        };
        match net.send(end, &backlog.in_flight[backlog.sent..], now_ns) {
            Ok(count) if self.ops.backlog_sent(conn, count) => net.wait_for_room(end, now_ns),
            Ok(_) => {
                self.ops.stats.sends += 1;
                self.output_done(net, conn);
            }
            Err(errno) => {
                let error = io::Error::from_raw_os_error(errno);
                self.end(net, conn, CloseReason::SendFailed(error));
            }
        }
    }

    /// All that was handed over for `conn` has been taken.
    fn output_done(&mut self, net: &mut Net, conn: ConnId) {
        if std::mem::take(&mut self.sockets[conn.index()].paused) {
            self.arm(net, conn);
        }
        if self.phase(conn) == Some(Phase::Open) {
            self.drained(net, conn);
        } else {
            self.close_when_sent(net, conn);
        }
    }

    /// Tells the handler that everything is sent, if it wants to know and if it is so.
    pub(super) fn drained(&mut self, net: &mut Net, conn: ConnId) {
        if self.is_sent(conn) {
            self.call(net, |handler, ops| turn::notify_if_drained(ops, handler, conn));
        }
    }

    /// Whether nothing that was written to `conn` is still on this side of the socket.
    pub(super) fn is_sent(&self, conn: ConnId) -> bool {
        let sending = self.sockets.get(conn.index()).is_some_and(|s| s.conn == conn && s.sending);
        !sending && !self.has_segment(conn) && !self.has_backlog(conn)
    }
}
