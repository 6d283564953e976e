//! Listeners.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with, acceptfrom_with};

use super::driver::{Conn, Driver};
use crate::slots::Phase;
use crate::turn::{ACCEPT_PAUSE_NS, MAX_ACCEPTS, MAX_LAST_ACCEPTS};
use crate::{Control, Handler};

/// A listener.
pub(super) struct Door {
    pub(super) listener: TcpListener,
    /// Somebody may be waiting: there was an event, and the queue has not been seen empty since.
    pub(super) is_knocked: bool,
    /// Accepting failed; until then it is not tried again.
    pub(super) rests_until_ns: Option<u64>,
}

impl Door {
    pub(super) fn new(listener: TcpListener) -> Self {
        Self { listener, is_knocked: false, rests_until_ns: None }
    }

    /// Whether it is worth trying to accept.
    pub(super) fn has_someone(&self) -> bool {
        self.is_knocked && self.rests_until_ns.is_none()
    }

    fn accept(&self, wants_peer: bool) -> Result<(OwnedFd, Option<SocketAddr>), Errno> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        if !wants_peer {
            return Ok((accept_with(&self.listener, flags)?, None));
        }
        let (fd, peer) = acceptfrom_with(&self.listener, flags)?;
        Ok((fd, peer.and_then(|peer| peer.try_into().ok())))
    }
}

impl Driver {
    /// Accepts from every listener at which somebody waits.
    pub(super) fn accept<H: Handler>(&mut self, handler: &mut H) {
        for position in 0..self.doors.len() {
            let door = &mut self.doors[position];
            if door.rests_until_ns.is_some_and(|until_ns| until_ns <= self.ops.now_ns) {
                door.rests_until_ns = None;
            }
            if door.has_someone() {
                self.accept_from(handler, position, MAX_ACCEPTS);
            }
        }
    }

    fn accept_from<H: Handler>(&mut self, handler: &mut H, position: usize, most: usize) {
        for _ in 0..most {
            let door = &mut self.doors[position];
            let result = match door.accept(self.ops.wants_peers()) {
                Ok((fd, peer)) => self.accepted(handler, fd, peer),
                Err(Errno::AGAIN) => {
                    door.is_knocked = false;
                    return;
                }
                // A client that gave up while it waited, a signal: nothing that would come again
                // at once.
                Err(Errno::CONNABORTED | Errno::INTR) => Ok(()),
                Err(errno) => Err(errno),
            };
            if result.is_err() {
                // Out of descriptors or memory: asking again at once would spin.
                self.ops.stats.accept_errors += 1;
                self.doors[position].rests_until_ns = Some(self.ops.now_ns + ACCEPT_PAUSE_NS);
                return;
            }
        }
    }

    fn accepted<H: Handler>(
        &mut self,
        handler: &mut H,
        fd: OwnedFd,
        peer: Option<SocketAddr>,
    ) -> Result<(), Errno> {
        let conn = self.ops.slots.alloc(Phase::Open);
        if let Err(errno) = self.poll.add_conn(&fd, conn) {
            // The handler has never heard of it.
            *self.conn_mut(conn) = Conn { ended: true, ..Conn::default() };
            if let Some(slot) = self.ops.slots.get_mut(conn) {
                slot.phase = Phase::Closed;
            }
            self.handover.dead.push(conn);
            return Err(errno);
        }
        *self.conn_mut(conn) = Conn { fd: Some(fd), ..Conn::default() };
        self.ops.set_peer(conn, peer);
        self.ops.stats.accepts += 1;
        self.count_peak();
        handler.accepted(&mut self.ops, conn);
        Ok(())
    }

    /// Takes those who wait, closes the listeners and tells the handler.
    pub(super) fn drain<H: Handler>(&mut self, handler: &mut H) {
        for position in 0..self.doors.len() {
            self.accept_from(handler, position, MAX_LAST_ACCEPTS);
        }
        self.doors.clear();
        self.ops.draining = true;
        handler.control(&mut self.ops, Control::Drain);
    }
}
