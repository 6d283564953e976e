//! The table of a shard's connections: a dense array with generations and a free list.

use crate::ConnId;

/// "No segment".
pub(crate) const NO_SEGMENT: u32 = u32::MAX;

/// Where a connection stands in its life, the same on every back end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The slot is on the free list.
    Free,
    /// Asked for with `connect`, not established yet.
    Connecting,
    /// Bytes may flow.
    Open,
    /// The handler closed it; what it wrote before is still being sent.
    Closing,
    /// As `Closing`, but then half-close and read on until the peer is done (RFC 9112 9.6).
    ClosingLinger,
    /// Half-closed: everything is sent, what still comes in is thrown away.
    Lingering,
    /// Over for the handler; the back end waits for its last operations to come back.
    Closed,
}

impl Phase {
    /// Whether the handler may still write to it and hear of it.
    pub(crate) fn is_live(self) -> bool {
        matches!(self, Self::Connecting | Self::Open)
    }
}

/// Output that the kernel did not take at once.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    /// Being sent; its memory is the kernel's until the send completes.
    pub(crate) in_flight: Vec<u8>,
    /// How much of `in_flight` has been taken.
    pub(crate) sent: usize,
    /// Written since; sent when `in_flight` is done.
    pub(crate) pending: Vec<u8>,
}

/// The part of a connection's state that all back ends share.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) generation: u32,
    pub(crate) phase: Phase,
    pub(crate) notify_drained: bool,
    /// The handler holds its input back.
    pub(crate) held: bool,
    /// The close is to throw away what the kernel has, and to tell the peer so.
    pub(crate) resets: bool,
    /// Its segment in the outbox being filled, or [`NO_SEGMENT`].
    pub(crate) segment: u32,
    pub(crate) backlog: Option<Box<Backlog>>,
}

/// All connections of a shard.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

impl Slots {
    /// Takes a free slot, or makes one.
    pub(crate) fn alloc(&mut self, phase: Phase) -> ConnId {
        if let Some(index) = self.free.pop() {
            let slot = &mut self.slots[index as usize];
            slot.phase = phase;
            return ConnId { index, generation: slot.generation };
        }
        let index = self.slots.len() as u32;
        // Room for all to be free at once, so that giving one back never allocates. None is now.
        self.free.reserve(self.slots.len() + 1);
        self.slots.push(Slot {
            generation: 0,
            phase,
            notify_drained: false,
            held: false,
            resets: false,
            segment: NO_SEGMENT,
            backlog: None,
        });
        ConnId { index, generation: 0 }
    }

    /// Gives a slot back; its id is dead from here on.
    pub(crate) fn release(&mut self, conn: ConnId) {
        let slot = &mut self.slots[conn.index as usize];
        debug_assert!(slot.generation == conn.generation && slot.phase == Phase::Closed);
        debug_assert!(slot.segment == NO_SEGMENT);
        // Generations are compared within 28 bits, which is what a completion can carry.
        slot.generation = (slot.generation + 1) & GENERATION_MASK;
        slot.phase = Phase::Free;
        slot.notify_drained = false;
        slot.held = false;
        slot.resets = false;
        slot.backlog = None;
        self.free.push(conn.index);
    }

    /// The connection's slot, unless the id is dead.
    #[inline]
    pub(crate) fn get_mut(&mut self, conn: ConnId) -> Option<&mut Slot> {
        self.slots
            .get_mut(conn.index as usize)
            .filter(|slot| slot.generation == conn.generation && slot.phase != Phase::Free)
    }

    /// The connection's slot, unless the id is dead.
    #[inline]
    pub(crate) fn get(&self, conn: ConnId) -> Option<&Slot> {
        self.slots
            .get(conn.index as usize)
            .filter(|slot| slot.generation == conn.generation && slot.phase != Phase::Free)
    }

    /// The id of whoever has slot `index` now.
    #[inline]
    pub(crate) fn id_at(&self, index: u32) -> Option<ConnId> {
        let slot = self.slots.get(index as usize)?;
        (slot.phase != Phase::Free).then_some(ConnId { index, generation: slot.generation })
    }

    /// Whether the close of `conn` is to be a reset.
    pub(crate) fn resets(&self, conn: ConnId) -> bool {
        self.get(conn).is_some_and(|slot| slot.resets)
    }

    /// Slots in use.
    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// The ids of all slots in use.
    pub(crate) fn ids(&self) -> impl Iterator<Item = ConnId> + '_ {
        (0..self.slots.len() as u32).filter_map(|index| self.id_at(index))
    }
}

/// Generations wrap after 28 bits, so that kind, generation and index fit a completion's 64 bits.
pub(crate) const GENERATION_MASK: u32 = (1 << 28) - 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_id_finds_nothing() {
        let mut slots = Slots::default();
        let first = slots.alloc(Phase::Open);
        slots.get_mut(first).unwrap().phase = Phase::Closed;
        slots.release(first);
        assert_eq!(slots.len(), 0);
        let second = slots.alloc(Phase::Open);
        assert_eq!(second.index, first.index);
        assert!(slots.get(first).is_none() && slots.get(second).is_some());
        assert_eq!(slots.ids().collect::<Vec<_>>(), [second]);
    }
}
