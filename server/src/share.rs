//! How much of a turn long answers may have.
//!
//! What a shard sends in one turn is what everybody on it waits for. Thousands of long answers at a
//! time, of each no more than a piece, would be hundreds of megabytes, and turns of a second. So a
//! turn has a share for them, and whoever comes when it is used up is called in a later turn, in
//! the order of coming.

use std::collections::VecDeque;

use ringbench_engine::ConnId;

use crate::rest::{FIRST_BYTES, LONE_PIECE_BYTES, PIECE_BYTES};

/// What long answers may have of a turn. The kernel takes some 0.3 ms for it where memory is hard to
/// get, and as good as nothing is gained by more: handing it over costs one system call.
pub(crate) const TURN_BYTES: usize = 128 * 1024;

const _: () = assert!(TURN_BYTES >= LONE_PIECE_BYTES, "somebody must get on in each turn");

/// The share of this turn, and who waits for one of a later turn.
#[derive(Debug)]
pub(crate) struct Share {
    /// What is left of this turn's. Nothing, if somebody waits whose turn is a later one.
    left_bytes: usize,
    waiting: VecDeque<ConnId>,
}

impl Default for Share {
    fn default() -> Self {
        Self { left_bytes: TURN_BYTES, waiting: VecDeque::new() }
    }
}

impl Share {
    /// How much of a long answer may be made together with its head.
    #[inline]
    pub(crate) fn at_once_bytes(&self) -> usize {
        match self.left_bytes {
            TURN_BYTES => LONE_PIECE_BYTES,
            0 => FIRST_BYTES,
            _ => PIECE_BYTES,
        }
    }

    /// Counts an answer of so many bytes, if it is a long one.
    #[inline]
    pub(crate) fn count(&mut self, bytes: usize) {
        if bytes > FIRST_BYTES {
            self.left_bytes = self.left_bytes.saturating_sub(bytes);
        }
    }

    /// How large a piece of `conn` there is room for in this turn. If for none, it is called when
    /// there is.
    pub(crate) fn admit(&mut self, conn: ConnId) -> Option<usize> {
        if self.left_bytes == 0 {
            self.waiting.push_back(conn);
            return None;
        }
        let piece_bytes = self.at_once_bytes();
        self.left_bytes = self.left_bytes.saturating_sub(piece_bytes);
        Some(piece_bytes)
    }

    /// Begins the share of the next turn with those who wait, for as many as it has room for. `call`
    /// says whether a connection still wants a piece.
    #[inline]
    pub(crate) fn begin_turn(&mut self, call: impl FnMut(ConnId) -> bool) {
        self.left_bytes = TURN_BYTES;
        if !self.waiting.is_empty() {
            self.call_waiting(call);
        }
    }

    #[cold]
    fn call_waiting(&mut self, mut call: impl FnMut(ConnId) -> bool) {
        while self.left_bytes > 0
            && let Some(conn) = self.waiting.pop_front()
        {
            if call(conn) {
                self.left_bytes = self.left_bytes.saturating_sub(PIECE_BYTES);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ringbench_engine::{EngineConfig, Handler, Ops, start};

    use super::*;

    /// Names of connections can only be had from a shard.
    struct Namer(Vec<ConnId>);

    impl Handler for Namer {
        fn started(&mut self, ops: &mut Ops) {
            let nowhere =
                ops.add_target("127.0.0.1:9".parse::<std::net::SocketAddr>().expect("an address"));
            self.0 = (0..10).map(|_| ops.connect(nowhere)).collect();
            ops.stop();
        }

        fn received(&mut self, _: &mut Ops, _: ConnId, _: &[u8]) {}
    }

    fn names() -> Vec<ConnId> {
        let shards = start(&EngineConfig::default(), Vec::new(), |_| Namer(Vec::new())).unwrap();
        shards.join().unwrap().remove(0).handler.0
    }

    #[test]
    fn a_turn_has_room_for_so_much_and_the_rest_is_called_in_the_order_of_coming() {
        let (mut share, names) = (Share::default(), names());
        let admitted: Vec<usize> = names.iter().map_while(|&name| share.admit(name)).collect();
        assert_eq!(admitted, [LONE_PIECE_BYTES, PIECE_BYTES, PIECE_BYTES]);
        assert_eq!(admitted.iter().sum::<usize>(), TURN_BYTES);
        // The fourth waits already, and all behind it.
        assert!(names[4..].iter().all(|&name| share.admit(name).is_none()));
        let waiting = &names[3..];
        let most = TURN_BYTES / PIECE_BYTES;
        let mut called = Vec::new();
        // One is gone, which costs no other one its turn.
        let gone = waiting[1];
        let turn = |share: &mut Share, called: &mut Vec<ConnId>| {
            share.begin_turn(|name| {
                if name != gone {
                    called.push(name);
                }
                name != gone
            });
        };
        turn(&mut share, &mut called);
        assert_eq!(called.len(), most);
        // All of this turn is for those who were called: who comes now goes behind those who wait.
        assert_eq!(share.admit(names[0]), None);
        assert_eq!(share.at_once_bytes(), FIRST_BYTES);
        turn(&mut share, &mut called);
        let mut expected = waiting.to_vec();
        expected.retain(|&name| name != gone);
        expected.push(names[0]);
        assert_eq!(called, expected);
    }

    #[test]
    fn long_answers_count_and_short_ones_do_not() {
        let mut share = Share::default();
        (0..10_000).for_each(|_| share.count(FIRST_BYTES));
        assert_eq!(share.at_once_bytes(), LONE_PIECE_BYTES);
        share.count(FIRST_BYTES + 1);
        assert_eq!(share.at_once_bytes(), PIECE_BYTES);
        share.count(TURN_BYTES);
        assert_eq!(share.at_once_bytes(), FIRST_BYTES);
        share.begin_turn(|_| unreachable!("nobody waits"));
        assert_eq!(share.at_once_bytes(), LONE_PIECE_BYTES);
    }
}
