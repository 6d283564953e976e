//! The open loop on one shard: requests leave when they are due.
//!
//! There is no queue of requests that wait: what is due and has not left is the stretch of the
//! schedule between the pacer and now. However long a server stalls, that takes no memory.

use ringbench_engine::{ConnId, Ops};

use super::Load;
use crate::config::{OpenLoopConfig, Sharing};
use crate::connection::Phase;
use crate::pace::clamp_ns;
use crate::schedule::Pacer;
use crate::tally::OpenTally;

/// What a shard keeps of the open loop.
#[derive(Debug)]
pub(super) struct OpenLoop {
    pacer: Pacer,
    deadline_ns: Option<u64>,
    /// Requests that leave together.
    burst: u32,
    /// Where each connection has a schedule of its own; empty where all share one.
    turns: Vec<Turn>,
    /// Turns that no connection takes at the moment.
    vacant: Vec<u32>,
}

/// Every n-th burst of a shard with n connections: what one of them has to send, and after its end
/// the one that replaces it.
#[derive(Clone, Copy, Debug)]
struct Turn {
    conn: Option<ConnId>,
    next_burst: u64,
}

impl OpenLoop {
    /// For one of several shards, with so many connections.
    pub(super) fn new(
        config: &OpenLoopConfig,
        place: (usize, usize),
        connections: usize,
        burst: u32,
        seed: u64,
    ) -> Self {
        let turns = match config.sharing {
            Sharing::Shared => Vec::new(),
            Sharing::PerConnection => {
                (0..connections as u64).map(|next_burst| Turn { conn: None, next_burst }).collect()
            }
        };
        Self {
            pacer: Pacer::new(config.schedule.clone(), config.arrival, place, burst, seed),
            deadline_ns: config.deadline.map(clamp_ns),
            burst,
            vacant: (0..turns.len() as u32).rev().collect(),
            turns,
        }
    }

    /// Whether the schedule has started.
    pub(super) fn is_started(&self) -> bool {
        self.pacer.is_started()
    }

    /// The schedule starts.
    pub(super) fn start(&mut self, start_ns: u64) {
        self.pacer.start(start_ns);
    }

    /// A connection takes a turn that nobody has; which, if each has its own.
    pub(super) fn take_turn(&mut self, id: ConnId) -> Option<u32> {
        let turn = self.vacant.pop()?;
        self.turns[turn as usize].conn = Some(id);
        Some(turn)
    }

    /// The connection that had a turn is gone.
    pub(super) fn leave_turn(&mut self, id: ConnId, turn: u32) {
        if let Some(left) = self.turns.get_mut(turn as usize).filter(|left| left.conn == Some(id)) {
            left.conn = None;
            self.vacant.push(turn);
        }
    }

    fn is_too_late(&self, due_ns: u64, now_ns: u64) -> bool {
        self.deadline_ns.is_some_and(|deadline_ns| now_ns.saturating_sub(due_ns) > deadline_ns)
    }

    fn turn_is_too_late(&self, turn: usize, now_ns: u64) -> bool {
        self.is_too_late(self.pacer.due_of_burst(self.turns[turn].next_burst), now_ns)
    }

    /// Whether all that was due has left.
    fn is_on_time(&self, now_ns: u64) -> bool {
        let has_left = |turn: &Turn| self.pacer.due_of_burst(turn.next_burst) > now_ns;
        self.pacer.due_ns() > now_ns && self.turns.iter().all(has_left)
    }

    /// When the shard has to look at the schedule again.
    pub(super) fn next_ns(&self, has_idle: bool) -> Option<u64> {
        let is_of_use = has_idle || !self.turns.is_empty();
        Some(self.pacer.due_ns()).filter(|due_ns| is_of_use && *due_ns != Pacer::NEVER)
    }

    /// Takes stock at the end: what was due at `now_ns` and has not left. `left` bounds it where the
    /// run has a number of requests.
    fn take_stock(&mut self, now_ns: u64, mut left: u64, tally: &mut OpenTally) {
        let late_ns = now_ns.saturating_sub(self.deadline_ns.unwrap_or(now_ns));
        if self.pacer.is_random() {
            // From one to the next: that is all that is known of them.
            let late = self.pacer.skip_to(late_ns);
            self.note_unsent(tally, &mut left, late, 0, 0);
            let waiting_ns = now_ns.saturating_sub(self.pacer.due_ns());
            let due = self.pacer.skip_to(now_ns);
            return self.note_unsent(tally, &mut left, 0, due, waiting_ns);
        }
        let (late, due) = (self.pacer.bursts_before(late_ns), self.pacer.bursts_before(now_ns));
        let stride = self.turns.len().max(1) as u64;
        // Without turns all of it is one.
        for turn in 0..stride as usize {
            let next = self.turns.get(turn).map_or(self.pacer.bursts(), |turn| turn.next_burst);
            let of_turn = |before: u64| before.saturating_sub(next).div_ceil(stride);
            let (late, due) = (of_turn(late), of_turn(due));
            let first_ns = self.pacer.due_of_burst(next + late * stride);
            let waiting_ns = now_ns.saturating_sub(first_ns);
            self.note_unsent(tally, &mut left, late, due - late, waiting_ns);
        }
    }

    /// So many bursts will not leave: some that are too late by now, and others.
    fn note_unsent(
        &self,
        tally: &mut OpenTally,
        left: &mut u64,
        late: u64,
        others: u64,
        waiting_ns: u64,
    ) {
        let mut take = |bursts: u64| {
            let requests = bursts.saturating_mul(self.burst.into()).min(*left);
            *left -= requests;
            requests
        };
        tally.shed += take(late);
        let unsent = take(others);
        tally.unsent += unsent;
        if unsent > 0 {
            tally.oldest_unsent_ns = tally.oldest_unsent_ns.max(waiting_ns);
        }
    }
}

impl Load {
    /// The schedule starts, if its time has come.
    pub(super) fn start_schedule(&mut self, ops: &mut Ops) {
        let now_ns = ops.now_ns();
        let go_ns = self.shared.clock.go_ns().filter(|go_ns| *go_ns <= now_ns);
        let Some((open_loop, go_ns)) = self.open_loop.as_mut().zip(go_ns) else { return };
        if open_loop.is_started() {
            return;
        }
        open_loop.start(go_ns);
        self.begin(go_ns);
        self.send_due(ops, false);
    }

    /// The connection can take a request.
    pub(super) fn free(&mut self, ops: &mut Ops, id: ConnId) {
        ops.clear_deadline(id);
        let has_turns = self.open_loop.as_ref().is_some_and(|open| !open.turns.is_empty());
        if has_turns {
            self.free_for_its_turn(ops, id);
        } else {
            // Whoever was idle could have sent what is due, had we looked earlier; if nobody was,
            // it has waited for this connection.
            let waited = !self.has_idle();
            self.idle.push_back(id);
            if self.has_many_stale(self.idle.len()) {
                // While nothing is due, those that ended stay in the queue.
                let mut idle = std::mem::take(&mut self.idle);
                idle.retain(|&id| self.is_idle(id));
                self.idle = idle;
            }
            self.send_due(ops, waited);
        }
        self.finish_if_complete(ops);
    }

    /// Sends what is due, as far as there are connections for it.
    pub(super) fn send_due(&mut self, ops: &mut Ops, waited: bool) {
        let now_ns = ops.now_ns();
        let Some(open_loop) = &mut self.open_loop else { return };
        if !open_loop.turns.is_empty() {
            return self.take_turns(ops);
        }
        while let Some(open_loop) = &mut self.open_loop
            && open_loop.pacer.due_ns() <= now_ns
            && !self.budget.is_empty()
            && !self.over
        {
            let (due_ns, burst) = (open_loop.pacer.due_ns(), open_loop.burst);
            if open_loop.is_too_late(due_ns, now_ns) {
                open_loop.pacer.advance();
                self.shed(burst);
                continue;
            }
            let Some(id) = self.pop_idle() else { break };
            self.advance();
            self.conns[id.index()].due(due_ns, waited);
            self.write(ops, id, burst);
        }
    }

    /// Gives everything that is due to the connection whose turn it is. One that is not ready will
    /// send it when it is.
    fn take_turns(&mut self, ops: &mut Ops) {
        let now_ns = ops.now_ns();
        while let Some(open_loop) = &mut self.open_loop
            && open_loop.pacer.due_ns() <= now_ns
            && !self.budget.is_empty()
            && !self.over
        {
            let (burst, due_ns) = (open_loop.pacer.bursts(), open_loop.pacer.due_ns());
            let count = open_loop.turns.len() as u64;
            let (turn, requests) = ((burst % count) as usize, open_loop.burst);
            open_loop.pacer.advance();
            let is_too_late = open_loop.is_too_late(due_ns, now_ns);
            let Turn { conn: Some(id), next_burst } = open_loop.turns[turn] else { continue };
            if next_burst == burst && self.is_idle(id) {
                self.count_turn(turn);
                if is_too_late {
                    self.shed(requests);
                    continue;
                }
                self.conns[id.index()].due(due_ns, false);
                self.write(ops, id, requests);
            }
        }
    }

    fn free_for_its_turn(&mut self, ops: &mut Ops, id: ConnId) {
        let (now_ns, turn) = (ops.now_ns(), self.conns[id.index()].turn as usize);
        while let Some(open_loop) = &self.open_loop
            && !self.budget.is_empty()
            && !self.over
        {
            let burst = open_loop.turns[turn].next_burst;
            let (due_ns, requests) = (open_loop.pacer.due_of_burst(burst), open_loop.burst);
            if due_ns > now_ns {
                return;
            }
            let was_passed = burst < open_loop.pacer.bursts();
            let is_too_late = open_loop.is_too_late(due_ns, now_ns);
            self.count_turn(turn);
            if !is_too_late {
                self.conns[id.index()].due(due_ns, was_passed);
                return self.write(ops, id, requests);
            }
            self.shed(requests);
        }
    }

    /// What is too late is so whether its connection comes back or not.
    pub(super) fn shed_what_is_late(&mut self, now_ns: u64) {
        let turns = self.open_loop.as_ref().map_or(0, |open_loop| open_loop.turns.len());
        for turn in 0..turns {
            while let Some(open_loop) = &self.open_loop
                && !self.budget.is_empty()
                && open_loop.turn_is_too_late(turn, now_ns)
            {
                let requests = open_loop.burst;
                self.count_turn(turn);
                self.shed(requests);
            }
        }
    }

    fn count_turn(&mut self, turn: usize) {
        if let Some(open_loop) = &mut self.open_loop {
            open_loop.turns[turn].next_burst += open_loop.turns.len() as u64;
        }
    }

    fn advance(&mut self) {
        if let Some(open_loop) = &mut self.open_loop {
            open_loop.pacer.advance();
        }
    }

    /// Requests will never be sent, as their deadline has passed.
    fn shed(&mut self, requests: u32) {
        let taken = self.budget.take(requests);
        if let Some(tally) = &mut self.tally.open_loop {
            tally.shed += u64::from(taken);
        }
    }

    /// Whether so many are so much more than there are connections that most of them must have ended.
    pub(super) fn has_many_stale(&self, count: usize) -> bool {
        /// So many may stand in a queue beside as many as there are twice.
        const MOST_STALE: usize = 64;
        count > 2 * self.conns.len() + MOST_STALE
    }

    /// Whether the connection waits for a request to send.
    pub(super) fn is_idle(&self, id: ConnId) -> bool {
        let conn = &self.conns[id.index()];
        conn.phase == Phase::Open && conn.id == Some(id) && conn.unanswered() == 0
    }

    /// Whether any connection of those that share a schedule is idle.
    pub(super) fn has_idle(&mut self) -> bool {
        while let Some(&id) = self.idle.front() {
            if self.is_idle(id) {
                return true;
            }
            self.idle.pop_front();
        }
        false
    }

    /// The connection that has been idle for longest, so that each is used.
    pub(super) fn pop_idle(&mut self) -> Option<ConnId> {
        self.has_idle().then(|| self.idle.pop_front()).flatten()
    }

    /// Where nothing is owed to the schedule, it is no wonder that nothing comes.
    pub(super) fn be_patient(&mut self, now_ns: u64) {
        let is_on_time = self.open_loop.as_ref().is_some_and(|open| open.is_on_time(now_ns));
        if let Some(patience) = self.patience.as_mut().filter(|_| is_on_time) {
            patience.start(now_ns);
        }
    }

    /// At the end: what was due and has not left. A shard that wakes up late finds the schedule gone
    /// on beyond the end of the run; that is none of it.
    pub(super) fn take_stock(&mut self, now_ns: u64) {
        let now_ns = self.shared.clock.end_ns().map_or(now_ns, |end_ns| end_ns.min(now_ns));
        let left = self.budget.left();
        if let (Some(open_loop), Some(tally)) = (&mut self.open_loop, &mut self.tally.open_loop) {
            open_loop.take_stock(now_ns, left, tally);
        }
    }
}
