//! What a script has to say in a run. Without one, none of this is on the way of a request.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use ringbench_engine::{ConnId, Ops, Target};
use ringbench_http::EofOutcome;

use super::Load;
use crate::connection::Outcome;
use crate::intervals::Message;
use crate::pace::clamp_ns;
use crate::script::ScriptError;
use crate::source::Source;
use crate::tally::Recorder;

/// A connection that waits as long as a script's `delay()` has said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Waiting {
    until_ns: u64,
    id: ConnId,
}

impl Ord for Waiting {
    /// The one whose time comes first is the greatest.
    fn cmp(&self, other: &Self) -> Ordering {
        other.until_ns.cmp(&self.until_ns).then_with(|| other.id.index().cmp(&self.id.index()))
    }
}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The connections that wait between two requests because a script's `delay()` says so. Not in the
/// engine's wheel of deadlines, whose ticks of a millisecond would make each delay longer by one.
#[derive(Debug, Default)]
pub(super) struct Delays(BinaryHeap<Waiting>);

impl Delays {
    /// When the first of them is to send.
    pub(super) fn next_ns(&self) -> Option<u64> {
        self.0.peek().map(|waiting| waiting.until_ns)
    }

    fn pop_due(&mut self, now_ns: u64) -> Option<ConnId> {
        self.next_ns().filter(|until_ns| *until_ns <= now_ns)?;
        self.0.pop().map(|waiting| waiting.id)
    }
}

impl Load {
    /// Waits as long as the script says, then sends the next request.
    #[cold]
    pub(super) fn write_after_delay(&mut self, ops: &mut Ops, id: ConnId) {
        let Source::Script(scripted) = &mut self.source else { return };
        match scripted.script.delay() {
            Ok(delay) if delay.is_zero() => self.write(ops, id, self.burst),
            Ok(delay) => {
                ops.clear_deadline(id);
                let until_ns = ops.now_ns().saturating_add(clamp_ns(delay));
                let mut delays = std::mem::take(&mut self.delays);
                delays.0.push(Waiting { until_ns, id });
                if self.has_many_stale(delays.0.len()) {
                    delays.0.retain(|waiting| self.is_idle(waiting.id));
                }
                self.delays = delays;
            }
            Err(error) => self.script_failed(ops, &error),
        }
    }

    /// Sends on the connections that have waited long enough.
    #[cold]
    pub(super) fn send_delayed(&mut self, ops: &mut Ops) {
        while !self.over
            && let Some(id) = self.delays.pop_due(ops.now_ns())
        {
            // It may have ended meanwhile.
            if self.is_idle(id) {
                self.write(ops, id, self.burst);
            }
        }
    }

    /// A script has written more or fewer requests than it was asked for, or none as it failed.
    #[cold]
    pub(super) fn wrote_otherwise(
        &mut self,
        ops: &mut Ops,
        id: ConnId,
        wanted: u32,
        written: u32,
        error: Option<ScriptError>,
    ) {
        if let Some(error) = error {
            self.budget.give_back(wanted);
            return self.script_failed(ops, &error);
        }
        match written.checked_sub(wanted) {
            Some(more) => _ = self.budget.take(more),
            None => self.budget.give_back(wanted - written),
        }
        self.wrote(ops, id, written);
    }

    /// Takes in what was received and tells the script of the responses in it.
    #[cold]
    pub(super) fn receive_for_script(
        &mut self,
        ops: &mut Ops,
        id: ConnId,
        bytes: &[u8],
    ) -> Outcome {
        let Source::Script(scripted) = &mut self.source else { return Outcome::Waiting };
        let recorder = Recorder { tally: &mut self.tally, now_ns: ops.now_ns() };
        let mut sink = scripted.sink(id.index(), recorder);
        let conn = &mut self.conns[id.index()];
        let outcome = conn.receive(bytes, &self.limits, &mut sink, &mut self.spare);
        let failure = sink.failure;
        self.heed_script(ops, failure);
        outcome
    }

    /// The server has ended the connection, and with it perhaps a response.
    #[cold]
    pub(super) fn eof_for_script(&mut self, ops: &mut Ops, id: ConnId) -> EofOutcome {
        let Source::Script(scripted) = &mut self.source else { return EofOutcome::Clean };
        let recorder = Recorder { tally: &mut self.tally, now_ns: ops.now_ns() };
        let mut sink = scripted.sink(id.index(), recorder);
        let outcome = self.conns[id.index()].eof(&mut sink);
        let failure = sink.failure;
        self.heed_script(ops, failure);
        outcome
    }

    fn heed_script(&mut self, ops: &mut Ops, failure: Option<ScriptError>) {
        if let Some(error) = failure {
            self.script_failed(ops, &error);
        } else if self.is_stopped_by_script() {
            self.finish(ops);
        }
    }

    /// Whether the script has stopped this thread.
    pub(super) fn is_stopped_by_script(&mut self) -> bool {
        self.source.script().is_some_and(|scripted| scripted.script.is_stopped())
    }

    /// Connects to where the script wants, if it has changed its mind.
    pub(super) fn follow_script(&mut self, ops: &mut Ops) {
        let Some(scripted) = self.source.script() else { return };
        let Some(address) = scripted.script.address() else { return };
        if scripted.address.replace(address) != Some(address) {
            self.targets = vec![ops.add_target(Target::tcp(address))];
        }
    }

    /// The script cannot go on, and so neither can the run.
    pub(super) fn script_failed(&mut self, ops: &mut Ops, error: &ScriptError) {
        self.reporter.tell(Message::Failed(error.to_string()));
        self.finish(ops);
    }
}
