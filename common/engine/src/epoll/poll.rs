//! The epoll instance, and what an event belongs to.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::time::Timespec;

use crate::ConnId;

/// The most events that one wait brings. More would save few waits, and the first connection of a
/// batch waits for the last one's request to be answered.
const MAX_EVENTS: usize = 512;

/// What an event belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Conn(ConnId),
    /// By its position in the shard's list.
    Listener(u32),
    /// The shard's eventfd.
    Control,
    /// The shard's timer.
    Bell,
}

/// The kind is in the four bits above a generation's 28.
const KIND_SHIFT: u32 = 60;
const CONN: u64 = 0;
const LISTENER: u64 = 1;
const CONTROL: u64 = 2;
const BELL: u64 = 3;

impl Source {
    #[inline]
    fn encode(self) -> EventData {
        EventData::new_u64(match self {
            Self::Conn(ConnId { index, generation }) => {
                CONN << KIND_SHIFT | u64::from(generation) << 32 | u64::from(index)
            }
            Self::Listener(position) => LISTENER << KIND_SHIFT | u64::from(position),
            Self::Control => CONTROL << KIND_SHIFT,
            Self::Bell => BELL << KIND_SHIFT,
        })
    }

    #[inline]
    pub(super) fn decode(data: EventData) -> Self {
        let data = data.u64();
        match data >> KIND_SHIFT {
            CONN => Self::Conn(ConnId { index: data as u32, generation: (data >> 32) as u32 }),
            LISTENER => Self::Listener(data as u32),
            CONTROL => Self::Control,
            _ => Self::Bell,
        }
    }
}

/// An epoll instance and the events that it brought last.
pub(super) struct Poll {
    epoll: OwnedFd,
    pub(super) events: Vec<Event>,
}

impl Poll {
    pub(super) fn new() -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        Ok(Self { epoll, events: Vec::with_capacity(MAX_EVENTS) })
    }

    /// Watches a connection for everything that can happen to it, for as long as its descriptor is
    /// open: a descriptor that is closed leaves the instance by itself.
    pub(super) fn add_conn(&self, fd: impl AsFd, conn: ConnId) -> Result<(), Errno> {
        let flags =
            EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::PRI | EventFlags::ET;
        epoll::add(&self.epoll, fd, Source::Conn(conn).encode(), flags)
    }

    /// Watches something else for input, one event for each time that it comes.
    pub(super) fn add_input(&self, fd: impl AsFd, source: Source) -> Result<(), Errno> {
        epoll::add(&self.epoll, fd, source.encode(), EventFlags::IN | EventFlags::ET)
    }

    /// Waits until something happens, or only looks whether something has.
    pub(super) fn wait(&mut self, at_once: bool) -> Result<(), Errno> {
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        self.events.clear();
        let events = spare_capacity(&mut self.events);
        match epoll::wait(&self.epoll, events, at_once.then_some(&zero)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(errno),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slots::GENERATION_MASK;

    #[test]
    fn a_source_comes_back_whole() {
        let conn = |index, generation| Source::Conn(ConnId { index, generation });
        for source in [
            conn(0, 0),
            conn(u32::MAX, GENERATION_MASK),
            Source::Listener(0),
            Source::Listener(u32::MAX),
            Source::Control,
            Source::Bell,
        ] {
            assert_eq!(Source::decode(source.encode()), source);
        }
    }
}
