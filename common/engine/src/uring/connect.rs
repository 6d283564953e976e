//! Connecting: socket, options, source address, connect, each when the one before is done.

use std::io;
use std::pin::Pin;

use super::driver::{Conn, Driver, NO_CONN};
use super::offer::{self, UringFeature};
use super::token::{Kind, Token};
use crate::ops::TargetId;
use crate::slots::Phase;
use crate::{CloseReason, ConnId, Handler};

fn errno(result: i32) -> io::Error {
    io::Error::from_raw_os_error(-result)
}

impl Driver<'_> {
    /// Starts the connections that the handler asked for.
    pub(super) fn make_sockets(&mut self) {
        for target in &self.ops.targets[self.routes.len()..] {
            let route = target.route().ok().filter(|way| way.source.is_none() || self.can_bind);
            // Pinned, as the kernel reads it while a connection is being made.
            self.routes.push(route.map(Box::pin));
        }
        let connects = std::mem::take(&mut self.ops.connects);
        for &(conn, TargetId(target)) in &connects {
            *self.conn_mut(conn) = Conn { in_kernel: 1, target, ..NO_CONN };
            match &self.routes[target as usize] {
                Some(route) => self.queue.socket(route, Token::conn(Kind::Socket, conn)),
                // The handler hears of it in its turn, as of any other failure.
                None => self.queue.nothing(Token::conn(Kind::NoRoute, conn)),
            }
        }
        self.count_peak();
        self.ops.connects = connects;
        self.ops.connects.clear();
    }

    /// Why there is no way to a target.
    fn no_route(&self, target: u32) -> io::Error {
        match self.ops.targets[target as usize].route() {
            Err(error) => error,
            Ok(_) => io::Error::new(
                io::ErrorKind::Unsupported,
                format!(
                    "{}; the epoll engine (--engine epoll) connects from a source address on any",
                    offer::lacking(UringFeature::Bind)
                ),
            ),
        }
    }

    /// The end of a connection that could not even be begun.
    pub(super) fn not_begun<H: Handler>(&mut self, handler: &mut H, conn: ConnId) {
        let state = &mut self.conns[conn.index()];
        state.in_kernel -= 1;
        if state.ended {
            return self.bury_if_done(conn);
        }
        let target = state.target;
        self.end(handler, conn, CloseReason::ConnectFailed(self.no_route(target)));
    }

    pub(super) fn socket_made<H: Handler>(&mut self, handler: &mut H, conn: ConnId, result: i32) {
        let state = &mut self.conns[conn.index()];
        if state.ended && result >= 0 {
            // Aborted meanwhile.
            self.queue.close(result);
        } else if result >= 0 {
            state.fd = result;
        }
        if self.is_done(handler, conn, result) {
            self.set_up(conn);
        }
    }

    /// The socket has its source address, and only now may it be connected: if it does not get the
    /// one that was asked for it must not leave from another.
    pub(super) fn bound<H: Handler>(&mut self, handler: &mut H, conn: ConnId, result: i32) {
        if self.is_done(handler, conn, result) {
            self.connect(conn);
        }
    }

    pub(super) fn connected<H: Handler>(&mut self, handler: &mut H, conn: ConnId, result: i32) {
        if !self.is_done(handler, conn, result) {
            return;
        }
        let Some(slot) = self.ops.slots.get_mut(conn) else {
            return;
        };
        if slot.phase == Phase::Connecting {
            slot.phase = Phase::Open;
            self.arm_receive(conn);
            handler.connected(&mut self.ops, conn);
        }
    }

    /// Takes the outcome of a step. False if there is no next one: it failed, or the connection is
    /// not wanted any more.
    fn is_done<H: Handler>(&mut self, handler: &mut H, conn: ConnId, result: i32) -> bool {
        let state = &mut self.conns[conn.index()];
        state.in_kernel -= 1;
        if state.ended {
            self.bury_if_done(conn);
            return false;
        }
        if result < 0 {
            self.end(handler, conn, CloseReason::ConnectFailed(errno(result)));
        }
        result >= 0
    }

    /// Gives a fresh socket its options, which need no answer, and its source address, which does.
    fn set_up(&mut self, conn: ConnId) {
        let Conn { fd, target, .. } = self.conns[conn.index()];
        let Some(route) = &self.routes[target as usize] else {
            debug_assert!(false, "a socket without a route: {conn:?}");
            return;
        };
        if route.is_tcp() {
            self.queue.switch_on(fd, libc::IPPROTO_TCP, libc::TCP_NODELAY);
        }
        let Some(source) = &route.source else { return self.connect(conn) };
        self.queue.switch_on(fd, libc::SOL_IP, libc::IP_BIND_ADDRESS_NO_PORT);
        self.conns[conn.index()].in_kernel += 1;
        // SAFETY: routes are pinned and live as long as the driver, or for good if at its end an
        // operation has not come back.
        unsafe { self.queue.bind(fd, source, Token::conn(Kind::Bind, conn)) };
    }

    fn connect(&mut self, conn: ConnId) {
        let Conn { fd, target, .. } = self.conns[conn.index()];
        let Some(route) = self.routes[target as usize].as_ref().map(Pin::as_ref) else { return };
        self.conns[conn.index()].in_kernel += 1;
        // SAFETY: as for the source.
        unsafe { self.queue.connect(fd, &route.address, Token::conn(Kind::Connect, conn)) };
    }
}
