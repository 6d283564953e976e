//! The task of a connection, and what it brings to the shard.

use std::future::poll_fn;
use std::io;
use std::os::fd::{FromRawFd, IntoRawFd};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use futures_io::{AsyncRead, AsyncWrite};
use glommio::net::TcpStream;

use super::Shared;
use super::shard::{Conn, Shard};
use crate::slots::Phase;
use crate::turn::{notify_if_drained, wants_input};
use crate::{Address, CloseReason, ConnId, Handler, Target};

/// Sends as much as the socket takes. If that is not everything, the task of `cx` is woken when
/// there is room.
pub(super) fn send_some(
    stream: &mut TcpStream,
    cx: &mut Context<'_>,
    bytes: &[u8],
) -> io::Result<usize> {
    let mut sent = 0;
    while sent < bytes.len() {
        match Pin::new(&mut *stream).poll_write(cx, &bytes[sent..]) {
            Poll::Ready(Ok(count)) => sent += count,
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            Poll::Ready(Err(error)) => return Err(error),
            Poll::Pending => break,
        }
    }
    Ok(sent)
}

/// The life of a connection that is established.
pub(super) async fn serve<H: Handler>(shard: Shared<H>, conn: ConnId) {
    poll_fn(|cx| shard.borrow_mut().go_on(conn, cx)).await;
}

/// The life of a connection that is still to be made.
pub(super) async fn dial<H: Handler>(shard: Shared<H>, conn: ConnId, target: Target) {
    let result = {
        let mut connecting = pin!(connect(target));
        poll_fn(|cx| {
            if !shard.borrow_mut().keep_task(conn, cx) {
                return Poll::Ready(None);
            }
            connecting.as_mut().poll(cx).map(Some)
        })
        .await
    };
    let Some(result) = result else { return };
    let is_connected = shard.borrow_mut().connected(conn, result);
    if is_connected {
        serve(shard, conn).await;
    }
}

/// Makes a connection, in glommio's own way where that is one.
async fn connect(target: Target) -> io::Result<TcpStream> {
    if let (Address::Tcp(address), None) = (target.address(), target.source()) {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        return Ok(stream);
    }
    let socket = target.route()?.begin()?;
    // SAFETY: the descriptor is that of a stream socket, and nobody else owns it any more. Of TCP
    // nothing is asked of it but the peer, and that only where it was accepted.
    let mut stream = unsafe { TcpStream::from_raw_fd(socket.into_raw_fd()) };
    // Nothing can be sent, not even no bytes, before it is connected, nor when that has failed.
    poll_fn(|cx| Pin::new(&mut stream).poll_write(cx, &[])).await?;
    Ok(stream)
}

impl<H: Handler> Shard<H> {
    /// Remembers how to wake the connection's task; false if it has nothing left to do.
    fn keep_task(&mut self, conn: ConnId, cx: &Context<'_>) -> bool {
        // An index that somebody else has by now goes by another id.
        let state = &mut self.conns[conn.index()];
        if self.ops.slots.get(conn).is_none() || state.ended {
            return false;
        }
        if !state.task.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
            state.task = Some(cx.waker().clone());
        }
        true
    }

    /// Somebody has connected to a listener. None if it comes too late.
    pub(super) fn accepted(&mut self, stream: TcpStream) -> Option<ConnId> {
        if self.is_over {
            return None;
        }
        self.begin();
        let peer = if self.ops.wants_peers() { stream.peer_addr().ok() } else { None };
        let conn = self.ops.slots.alloc(Phase::Open);
        *self.conn_mut(conn) = Conn { stream: Some(stream), ..Conn::default() };
        self.ops.set_peer(conn, peer);
        self.ops.stats.accepts += 1;
        self.ops.stats.completions += 1;
        self.count_peak();
        self.handler.accepted(&mut self.ops, conn);
        Some(conn)
    }

    /// What came of a connection of ours: whether it is established, and wanted still.
    fn connected(&mut self, conn: ConnId, result: io::Result<TcpStream>) -> bool {
        let Some(slot) = self.ops.slots.get_mut(conn) else { return false };
        if slot.phase != Phase::Connecting {
            return false;
        }
        let result = result.map(|stream| {
            slot.phase = Phase::Open;
            self.conns[conn.index()].stream = Some(stream);
        });
        self.begin();
        self.ops.stats.completions += 1;
        match result {
            Ok(()) => self.handler.connected(&mut self.ops, conn),
            Err(error) => self.end(conn, CloseReason::ConnectFailed(error)),
        }
        true
    }

    /// Takes a connection as far as its socket lets it; ready when it has ended.
    fn go_on(&mut self, conn: ConnId, cx: &mut Context<'_>) -> Poll<()> {
        if !self.keep_task(conn, cx) {
            return Poll::Ready(());
        }
        self.send_rest(conn, cx);
        self.receive(conn, cx);
        if self.conns[conn.index()].ended { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Whether the connection is to have what came in.
    fn wants_input(&mut self, conn: ConnId) -> bool {
        let state = &mut self.conns[conn.index()];
        !state.eof && wants_input(&self.ops, conn, &mut state.paused)
    }

    /// Receives a connection's share of this turn, and has its task woken when there is more.
    fn receive(&mut self, conn: ConnId, cx: &mut Context<'_>) {
        while self.wants_input(conn) {
            let Some(stream) = &mut self.conns[conn.index()].stream else { return };
            let len = match Pin::new(stream).poll_read(cx, &mut self.buffer) {
                Poll::Pending => return,
                Poll::Ready(Ok(0)) => return self.input_ended(conn),
                Poll::Ready(Ok(len)) => len,
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => continue,
                Poll::Ready(Err(error)) => {
                    self.begin();
                    return self.end(conn, CloseReason::ReceiveFailed(error));
                }
            };
            self.begin();
            self.ops.stats.completions += 1;
            if self.ops.slots.get(conn).is_some_and(|slot| slot.phase == Phase::Open) {
                self.handler.received(&mut self.ops, conn, &self.buffer[..len]);
            }
            if len == self.buffer.len() {
                // There may be more, after the others have had theirs.
                return cx.waker().wake_by_ref();
            }
        }
    }

    fn input_ended(&mut self, conn: ConnId) {
        self.begin();
        self.ops.stats.completions += 1;
        self.conns[conn.index()].eof = true;
        match self.ops.slots.get(conn).map(|slot| slot.phase) {
            Some(Phase::Open) => self.handler.eof(&mut self.ops, conn),
            Some(Phase::Lingering) => self.end(conn, CloseReason::Local),
            // Closed as soon as all is sent.
            _ => {}
        }
    }

    /// Goes on with a backlog, if there is one and the connection was not aborted.
    fn send_rest(&mut self, conn: ConnId, cx: &mut Context<'_>) {
        loop {
            let slot = self.ops.slots.get(conn).filter(|slot| slot.phase != Phase::Closed);
            let Some(backlog) = slot.and_then(|slot| slot.backlog.as_deref()) else { return };
            let Some(stream) = &mut self.conns[conn.index()].stream else { return };
            let rest = &backlog.in_flight[backlog.sent..];
            let len = rest.len();
            let result = send_some(stream, cx, rest);
            if !matches!(result, Ok(0)) {
                self.begin();
            }
            match result {
                Ok(count) if !self.ops.backlog_sent(conn, count) => break,
                Ok(count) if count < len => return,
                Ok(_) => {}
                Err(error) => return self.end(conn, CloseReason::SendFailed(error)),
            }
        }
        self.ops.stats.completions += 1;
        self.conns[conn.index()].paused = false;
        self.close_when_sent(conn);
        notify_if_drained(&mut self.ops, &mut self.handler, conn);
    }
}
