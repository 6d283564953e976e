//! The parts of a turn that are the same on every back end, or on those that call `send` and `recv`
//! themselves.

use std::io;

use crate::handler::{CloseReason, ConnId, Handler};
use crate::ops::{HIGH_WATER_BYTES, Ops, Outbox};
use crate::shard::now_ns;
use crate::slots::{NO_SEGMENT, Phase};

/// How long accepting pauses after it failed for want of descriptors; nginx's figure.
pub(crate) const ACCEPT_PAUSE_NS: u64 = 500_000_000;

/// The most connections that a back end which asks for each takes from one listener in a turn,
/// lest those that are there have to wait while many come.
pub(crate) const MAX_ACCEPTS: usize = 256;

/// The most that a drain accepts of what has come before it: as many as a listener can hold. It
/// must come to an end even if connections come faster than they are accepted.
pub(crate) const MAX_LAST_ACCEPTS: usize = 65_536;

/// When the shard has to wake up even if nothing comes in.
pub(crate) fn next_wake_ns(ops: &Ops) -> Option<u64> {
    end_of_sleep_ns(ops, 0)
}

/// The same for a shard that is awake from `spin_ns` before the alarm on. Its turns do not wait when
/// this is over.
pub(crate) fn end_of_sleep_ns(ops: &Ops, spin_ns: u64) -> Option<u64> {
    let alarm_ns = ops.alarm_ns.map(|at_ns| at_ns.saturating_sub(spin_ns));
    match (alarm_ns, ops.wheel.next_ns()) {
        (Some(alarm_ns), Some(wheel_ns)) => Some(alarm_ns.min(wheel_ns)),
        (alarm_ns, wheel_ns) => alarm_ns.or(wheel_ns),
    }
}

/// What a back end keeps between turns for [`fire_timers`], so that it allocates nothing.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    due: Vec<(ConnId, Phase)>,
    /// Connections whose close took too long: the back end drops them. Filled by [`fire_timers`].
    pub(crate) stuck: Vec<ConnId>,
}

/// Tells the handler of every deadline that is over at `ops.now_ns` and of the alarm. Connections
/// that are being closed and have run out of time for it are left in `timers.stuck`.
pub(crate) fn fire_timers<H: Handler + ?Sized>(
    ops: &mut Ops,
    handler: &mut H,
    timers: &mut Timers,
) {
    let Timers { due, stuck } = timers;
    due.clear();
    stuck.clear();
    // The phase is that of the moment of expiry: a handler that closes one connection in the
    // deadline of another gives it a new deadline, and its time for closing has only begun.
    ops.wheel.advance(ops.now_ns, |index| {
        let Some(conn) = ops.slots.id_at(index) else { return };
        if let Some(slot) = ops.slots.get(conn) {
            due.push((conn, slot.phase));
        }
    });
    for &(conn, phase) in due.iter() {
        match phase {
            Phase::Connecting | Phase::Open => {
                if ops.slots.get(conn).is_some_and(|slot| slot.phase.is_live()) {
                    handler.deadline(ops, conn);
                }
            }
            Phase::Closing | Phase::ClosingLinger | Phase::Lingering => stuck.push(conn),
            Phase::Free | Phase::Closed => {}
        }
    }
    if ops.alarm_ns.is_some_and(|alarm_ns| alarm_ns <= ops.now_ns) {
        ops.alarm_ns = None;
        handler.alarm(ops);
    }
}

/// Tells the handler that all output of `conn` has been taken, if it asked for that and if nothing
/// has been written since. To be called when no send of the connection is under way.
pub(crate) fn notify_if_drained<H: Handler + ?Sized>(ops: &mut Ops, handler: &mut H, conn: ConnId) {
    // Output may have been written since, with a new request to be notified: it has its own end.
    if let Some(slot) = ops.slots.get_mut(conn)
        && slot.phase == Phase::Open
        && slot.backlog.is_none()
        && slot.segment == NO_SEGMENT
        && std::mem::take(&mut slot.notify_drained)
    {
        handler.drained(ops, conn);
    }
}

/// As [`notify_if_drained`], for one that asked for it before the output of this turn. What was
/// written meanwhile has an end of its own, which is what the handler waits for then.
pub(crate) fn notify_or_ask_again<H: Handler + ?Sized>(
    ops: &mut Ops,
    handler: &mut H,
    conn: ConnId,
) {
    notify_if_drained(ops, handler, conn);
    if let Some(slot) = ops.slots.get(conn)
        && slot.notify_drained
        && slot.segment != NO_SEGMENT
    {
        ops.drain_asks.push(conn);
    }
}

/// Whether a connection whose peer may have sent something is to have it. `paused` is whether its
/// input is held back until its backlog is gone.
pub(crate) fn wants_input(ops: &Ops, conn: ConnId, paused: &mut bool) -> bool {
    let Some(slot) = ops.slots.get(conn).filter(|slot| !slot.held) else { return false };
    match slot.phase {
        Phase::Open => {
            // A peer that does not read must not fill our memory.
            *paused = *paused || ops.backlog_bytes(conn) > HIGH_WATER_BYTES;
            !*paused
        }
        // What is thrown away fills no memory.
        Phase::ClosingLinger | Phase::Lingering => true,
        Phase::Free | Phase::Connecting | Phase::Closing | Phase::Closed => false,
    }
}

/// A turn's output on its way, on a back end that sends it by itself, and what waits for that.
#[derive(Debug, Default)]
pub(crate) struct Handover {
    spare: Outbox,
    pub(crate) closing: Vec<ConnId>,
    pub(crate) awaiting_drain: Vec<ConnId>,
    pub(crate) failures: Vec<(ConnId, CloseReason)>,
    /// Connections that have ended, whose slots the next flush gives back.
    pub(crate) dead: Vec<ConnId>,
}

impl Handover {
    /// Hands over what the handler has written. The handler is not called while that goes on, but
    /// to tell it the time: what went wrong waits in `failures`.
    ///
    /// `send` takes what goes into the socket at once, and sees to it that the rest goes on when
    /// there is room; it gives `None` for a connection without a socket.
    pub(crate) fn flush<H: Handler>(
        &mut self,
        ops: &mut Ops,
        handler: &mut H,
        send: impl FnMut(ConnId, &[u8]) -> Option<io::Result<usize>>,
    ) {
        self.closing.append(&mut ops.closes);
        self.awaiting_drain.append(&mut ops.drain_asks);
        if std::mem::take(&mut ops.written) {
            let submit_ns = now_ns();
            handler.submitting(submit_ns);
            ops.now_ns = submit_ns;
            self.send(ops, send);
        }
        // Only now, as nothing in the outbox names them any more.
        for conn in self.dead.drain(..) {
            ops.slots.release(conn);
        }
    }

    fn send(
        &mut self,
        ops: &mut Ops,
        mut send: impl FnMut(ConnId, &[u8]) -> Option<io::Result<usize>>,
    ) {
        let mut outbox = ops.take_outbox(std::mem::take(&mut self.spare));
        for segment in &outbox.segments {
            let conn = segment.conn;
            let bytes = &outbox.bytes[segment.start..segment.end];
            let slot = ops.slots.get(conn);
            if bytes.is_empty() || slot.is_none_or(|slot| slot.phase == Phase::Closed) {
                continue;
            }
            let Some(result) = send(conn, bytes) else { continue };
            ops.stats.sends += 1;
            match result {
                Ok(count) if count == bytes.len() => {}
                Ok(count) => {
                    ops.stats.sends_blocked += 1;
                    ops.push_back(conn, &bytes[count..]);
                }
                Err(errno) => self.failures.push((conn, CloseReason::SendFailed(errno))),
            }
        }
        outbox.clear();
        self.spare = outbox;
    }

    /// Whether something waited for the output: seeing to it may bring something new to hand over.
    pub(crate) fn is_awaited(&self) -> bool {
        !(self.failures.is_empty() && self.closing.is_empty() && self.awaiting_drain.is_empty())
    }
}

/// Tells the handler that `conn` is gone. The reason is what the back end found, unless the handler
/// had closed the connection before. To be called once per connection; the slot is given back with
/// `Slots::release` in a later turn, when nothing refers to it any more.
pub(crate) fn end_connection<H: Handler + ?Sized>(
    ops: &mut Ops,
    handler: &mut H,
    conn: ConnId,
    found: CloseReason,
) {
    let Some(slot) = ops.slots.get_mut(conn) else {
        debug_assert!(false, "{conn:?} ended twice");
        return;
    };
    let why = if slot.phase.is_live() { found } else { CloseReason::Local };
    slot.phase = Phase::Closed;
    slot.notify_drained = false;
    // The index's next owner must not inherit the deadline.
    ops.wheel.clear(conn.index);
    handler.closed(ops, conn, why);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::CLOSE_TIMEOUT_NS;

    /// Closes every other connection in the first deadline, writes in every `drained`.
    #[derive(Default)]
    struct Busy {
        conns: Vec<ConnId>,
        deadlines: Vec<ConnId>,
        drained: usize,
        alarms: usize,
        ended: Vec<CloseReason>,
    }

    impl Handler for Busy {
        fn received(&mut self, _: &mut Ops, _: ConnId, _: &[u8]) {}

        fn deadline(&mut self, ops: &mut Ops, conn: ConnId) {
            self.deadlines.push(conn);
            self.conns.iter().filter(|&&other| other != conn).for_each(|&other| ops.close(other));
        }

        fn drained(&mut self, ops: &mut Ops, conn: ConnId) {
            self.drained += 1;
            ops.output(conn).push(0);
            ops.notify_drained(conn);
        }

        fn alarm(&mut self, _: &mut Ops) {
            self.alarms += 1;
        }

        fn closed(&mut self, _: &mut Ops, _: ConnId, why: CloseReason) {
            self.ended.push(why);
        }
    }

    fn busy(connections: usize) -> (Ops, Busy, Timers) {
        let mut ops = Ops::new(0);
        let conns = (0..connections).map(|_| ops.slots.alloc(Phase::Open)).collect();
        (ops, Busy { conns, ..Busy::default() }, Timers::default())
    }

    #[test]
    fn a_close_in_another_ones_deadline_has_all_its_time() {
        let (mut ops, mut handler, mut timers) = busy(2);
        for &conn in &handler.conns {
            ops.set_deadline(conn, 1_000_000);
        }
        ops.now_ns = 5_000_000;
        fire_timers(&mut ops, &mut handler, &mut timers);
        assert_eq!(handler.deadlines.len(), 1, "the other one is closed");
        assert_eq!(timers.stuck, []);
        ops.now_ns += CLOSE_TIMEOUT_NS + 1_000_000;
        fire_timers(&mut ops, &mut handler, &mut timers);
        assert_eq!(handler.deadlines.len(), 1);
        assert_eq!(timers.stuck.len(), 1);
    }

    #[test]
    fn the_next_wake_is_the_earlier_of_alarm_and_deadline() {
        let (mut ops, mut handler, mut timers) = busy(1);
        assert_eq!(next_wake_ns(&ops), None);
        ops.set_deadline(handler.conns[0], 2_000_000);
        assert_eq!(next_wake_ns(&ops), Some(2_000_000));
        ops.set_alarm(Some(1_000_001));
        assert_eq!(next_wake_ns(&ops), Some(1_000_001));
        assert_eq!(end_of_sleep_ns(&ops, 1), Some(1_000_000));
        assert_eq!(end_of_sleep_ns(&ops, 2_000_000), Some(0));
        ops.now_ns = 1_000_001;
        fire_timers(&mut ops, &mut handler, &mut timers);
        assert_eq!((handler.alarms, handler.deadlines.len()), (1, 0));
        assert_eq!(next_wake_ns(&ops), Some(2_000_000));
        assert_eq!(end_of_sleep_ns(&ops, 1), Some(2_000_000), "deadlines are slept for");
    }

    #[test]
    fn what_is_written_in_drained_is_not_drained_yet() {
        let (mut ops, mut handler, _) = busy(1);
        let conn = handler.conns[0];
        ops.notify_drained(conn);
        for _ in 0..2 {
            notify_if_drained(&mut ops, &mut handler, conn);
            assert_eq!(handler.drained, 1);
        }
        ops.take_outbox(crate::ops::Outbox::default());
        notify_if_drained(&mut ops, &mut handler, conn);
        assert_eq!(handler.drained, 2);
    }

    #[test]
    fn whoever_closed_is_told_local() {
        let (mut ops, mut handler, _) = busy(2);
        let conns = handler.conns.clone();
        ops.close(conns[0]);
        for conn in conns {
            end_connection(&mut ops, &mut handler, conn, CloseReason::Stopped);
        }
        assert!(matches!(handler.ended[..], [CloseReason::Local, CloseReason::Stopped]));
    }
}
