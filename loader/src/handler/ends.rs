//! What comes of connections that end, and of the requests on them; the end of the shard itself.

use std::io::{self, ErrorKind};

use ringbench_engine::{CloseReason, ConnId, Ops};

use super::Load;
use crate::connection::Phase;
use crate::ledger::CloseCause;
use crate::tally::Trouble;

impl Load {
    /// The connection's requests will not be answered. How many there were. In a closed loop they
    /// go back into the budget; in an open one each has its time, and that is over.
    fn take_unanswered(&mut self, id: ConnId) -> u32 {
        let unanswered = self.conns[id.index()].forget_unanswered();
        if self.open_loop.is_none() {
            self.budget.give_back(unanswered);
        }
        unanswered
    }

    /// Ends a connection because of what happened to it.
    pub(super) fn fail(&mut self, ops: &mut Ops, id: ConnId, trouble: Trouble) {
        let cause = match trouble {
            Trouble::Timeout => CloseCause::Timeout,
            Trouble::Malformed(_) => CloseCause::Malformed,
            _ => CloseCause::Truncated,
        };
        self.tally.closes.count(cause, None);
        let unanswered = self.take_unanswered(id);
        self.tally.trouble(ops.now_ns(), trouble, unanswered);
        self.conns[id.index()].phase = Phase::Closing;
        ops.abort(id);
        // What broke the rules may have come after the last response.
        self.finish_if_complete(ops);
    }

    /// The connection has ended without fault, because all its requests are answered or by the
    /// server's wish, who may do that: what is unanswered is lost, but no error.
    pub(super) fn close(&mut self, ops: &mut Ops, id: ConnId) {
        let unanswered = self.take_unanswered(id);
        let is_done = self.conns[id.index()].is_spent() && unanswered == 0;
        let cause = if is_done { CloseCause::Spent } else { CloseCause::ServerClosed };
        self.tally.closes.count(cause, None);
        self.tally.ledger.lost += u64::from(unanswered);
        self.conns[id.index()].phase = Phase::Closing;
        ops.close(id);
        self.finish_if_complete(ops);
    }

    /// A connection could not be made.
    fn not_connected(&mut self, now_ns: u64, trouble: Trouble) {
        let (cause, error) = match &trouble {
            Trouble::Connect(error) => {
                let cause = match error.kind() {
                    ErrorKind::ConnectionRefused => CloseCause::Refused,
                    ErrorKind::AddrNotAvailable => CloseCause::NoLocalPort,
                    ErrorKind::TimedOut => CloseCause::ConnectTimeout,
                    _ => CloseCause::ConnectFailed,
                };
                (cause, Some(error))
            }
            _ => (CloseCause::ConnectTimeout, None),
        };
        self.tally.closes.count(cause, error);
        self.tally.trouble(now_ns, trouble, 0);
        self.opener.not_connected(now_ns);
    }

    /// An open connection broke.
    fn broken(
        &mut self,
        now_ns: u64,
        id: ConnId,
        error: io::Error,
        wrap: fn(io::Error) -> Trouble,
    ) {
        let cause = match (error.kind(), wrap(io::ErrorKind::Other.into())) {
            (ErrorKind::ConnectionReset, _) => CloseCause::Reset,
            (_, Trouble::Send(_)) => CloseCause::WriteFailed,
            _ => CloseCause::ReadFailed,
        };
        self.tally.closes.count(cause, Some(&error));
        let unanswered = self.take_unanswered(id);
        // Where nothing was asked, nothing is lost.
        if unanswered > 0 {
            self.tally.trouble(now_ns, wrap(error), unanswered);
        }
    }

    /// The connection has completed its first response.
    #[cold]
    pub(super) fn prove(&mut self, id: ConnId) {
        let newness = std::mem::take(&mut self.conns[id.index()].newness);
        self.tally.ledger.answered += 1;
        self.opener.proven(newness);
    }

    /// The engine has let go of the connection.
    pub(super) fn gone(&mut self, ops: &mut Ops, id: ConnId, why: CloseReason) {
        let now_ns = ops.now_ns();
        let conn = &mut self.conns[id.index()];
        let phase = std::mem::replace(&mut conn.phase, Phase::Gone);
        let newness = std::mem::take(&mut conn.newness);
        conn.release(&mut self.spare);
        let was_open = matches!(phase, Phase::Open | Phase::Closing);
        if was_open {
            self.open -= 1;
        }
        // What the end of the run closes tells nothing of the server.
        if self.over {
            return;
        }
        self.tally.counters.closed += u64::from(was_open);
        match why {
            // Why it ends is counted already; that the last bytes did not get out changes nothing.
            _ if phase == Phase::Closing => {}
            CloseReason::ConnectFailed(error) => {
                self.not_connected(now_ns, Trouble::Connect(error));
            }
            CloseReason::ReceiveFailed(error) => self.broken(now_ns, id, error, Trouble::Receive),
            CloseReason::SendFailed(error) => self.broken(now_ns, id, error, Trouble::Send),
            CloseReason::Local | CloseReason::Stopped if phase == Phase::Abandoned => {
                self.not_connected(now_ns, Trouble::ConnectTimeout);
            }
            CloseReason::Local | CloseReason::Stopped => {}
        }
        if was_open {
            self.ended += 1;
            self.opener.gone(newness, now_ns);
            let turn = self.conns[id.index()].turn;
            if let Some(open_loop) = &mut self.open_loop {
                open_loop.leave_turn(id, turn);
            }
        }
        if self.open_loop.is_some() {
            self.finish_if_complete(ops);
        }
    }

    /// Ends the shard when its number of requests is reached.
    pub(super) fn finish_if_complete(&mut self, ops: &mut Ops) {
        let Some(total) = self.budget.total() else { return };
        let answered = self.tally.counters.requests;
        let settled = match &self.tally.open_loop {
            None => answered,
            // Whatever became of a request: it is not sent again.
            Some(open_loop) => {
                let counted = &self.tally;
                answered + counted.counters.errors.timeout + counted.ledger.lost + open_loop.shed
            }
        };
        // A script's last string may hold more requests than were asked for.
        if settled >= total {
            self.finish(ops);
        }
    }

    /// Ends the shard's part. Requests that are in flight are neither counted nor errors, but how
    /// long the oldest of them has waited is kept: the latencies know nothing of it.
    pub(super) fn finish(&mut self, ops: &mut Ops) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        let (now_ns, is_open_loop) = (ops.now_ns(), self.open_loop.is_some());
        if is_open_loop && self.tally.ledger.all_open_ns.is_none() {
            // The others need not wait for this shard.
            self.shared.clock().ready(now_ns);
        }
        // What was written in this batch has not waited at all.
        ringbench_engine::Handler::submitting(self, now_ns);
        let ledger = &mut self.tally.ledger;
        for conn in self.conns.iter().filter(|conn| conn.unanswered() > 0) {
            let times = conn.times();
            let from_ns = if is_open_loop { times.intended_ns } else { times.sent_ns };
            ledger.in_flight += u64::from(conn.unanswered());
            ledger.oldest_in_flight_ns =
                ledger.oldest_in_flight_ns.max(now_ns.saturating_sub(from_ns));
        }
        // They have ended, and whether the engine says so before or after this is chance.
        let closing = self.conns.iter().filter(|conn| conn.phase == Phase::Closing);
        self.tally.counters.closed += closing.count() as u64;
        self.take_stock(now_ns);
        self.tally.ended_ns = Some(now_ns);
        let used_ns = ringbench_engine::thread_cpu_ns().saturating_sub(self.tally.cpu_before_ns);
        self.tally.cpu_ns = Some(used_ns);
        self.publish();
        self.reporter.done();
        ops.stop();
    }
}
