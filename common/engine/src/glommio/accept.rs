//! Listeners.

use std::future::poll_fn;
use std::io;
use std::net::TcpListener;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use glommio::net::{TcpListener as GlommioListener, TcpStream};
use glommio::timer::Timer;
use glommio::{Task, spawn_local};
use rustix::net::{Shutdown, shutdown};

use super::{Shared, conn, others_first};
use crate::Handler;

/// How long accepting pauses after it failed for want of descriptors; nginx's figure.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);
/// The most connections that one listener gives in a turn, lest those that are there have to wait
/// while many come.
const MAX_ACCEPTS: usize = 256;
/// The most that a drain takes of what has come before it: as many as a listener can hold. It must
/// come to an end even if connections come faster than they are accepted.
const MAX_LAST_ACCEPTS: usize = 65_536;

/// A listener and the task that accepts from it.
pub(super) struct Door {
    listener: TcpListener,
    task: Task<()>,
}

/// Begins to accept.
pub(super) fn open<H: Handler + 'static>(
    shard: &Shared<H>,
    listeners: Vec<(TcpListener, OwnedFd)>,
) {
    for (listener, twin) in listeners {
        // SAFETY: the descriptor is that of a listening socket, and nobody else owns it any more.
        let twin = unsafe { GlommioListener::from_raw_fd(twin.into_raw_fd()) };
        let task = spawn_local(accept(Rc::clone(shard), twin));
        shard.borrow_mut().doors.push(Door { listener, task });
    }
}

/// The life of a listener.
async fn accept<H: Handler + 'static>(shard: Shared<H>, listener: GlommioListener) {
    for count in 1_usize.. {
        let result = listener.accept().await.map_err(io::Error::from);
        let failed = match result {
            Ok(stream) => {
                welcome(&shard, stream);
                false
            }
            // A client that gave up while it waited, a signal: nothing that would come again at
            // once.
            Err(error) => !matches!(error.raw_os_error(), Some(libc::ECONNABORTED | libc::EINTR)),
        };
        // The end of the listener fails its accept, too.
        if shard.borrow().is_shut {
            return;
        }
        if failed {
            shard.borrow_mut().ops.stats.accept_errors += 1;
            rest(&shard).await;
        } else if count % MAX_ACCEPTS == 0 {
            others_first().await;
        }
    }
}

/// Takes in a connection and gives it its task.
fn welcome<H: Handler + 'static>(shard: &Shared<H>, stream: TcpStream) {
    let conn = shard.borrow_mut().accepted(stream);
    if let Some(conn) = conn {
        spawn_local(conn::serve(Rc::clone(shard), conn)).detach();
    }
}

/// Pauses, out of descriptors or memory as we are: asking again at once would spin.
async fn rest<H>(shard: &Shared<H>) {
    let mut pause = Timer::new(ACCEPT_PAUSE);
    poll_fn(|cx| {
        let mut shard = shard.borrow_mut();
        if shard.is_shut {
            return Poll::Ready(());
        }
        if !shard.resting.iter().any(|resting| resting.will_wake(cx.waker())) {
            shard.resting.push(cx.waker().clone());
        }
        Pin::new(&mut pause).poll(cx).map(drop)
    })
    .await;
}

/// Takes those who wait, closes the listeners and tells the handler.
pub(super) async fn drain<H: Handler + 'static>(shard: &Shared<H>) {
    let doors = shard.borrow().doors.len();
    for door in 0..doors {
        for _ in 0..MAX_LAST_ACCEPTS {
            let result = shard.borrow().doors[door].listener.accept();
            let Ok((stream, _)) = result else { break };
            // SAFETY: the descriptor is that of a connected socket, and nobody else owns it any
            // more.
            welcome(shard, unsafe { TcpStream::from_raw_fd(stream.into_raw_fd()) });
        }
    }
    close(shard).await;
    shard.borrow_mut().tell_of_drain();
}

/// Ends the listeners and waits for their tasks, which may still bring a connection each.
///
/// Dropping an accept that is under way could lose the connection that the kernel is just giving
/// it, so the sockets are shut down instead, which fails it.
pub(super) async fn close<H: Handler>(shard: &Shared<H>) {
    let doors = {
        let mut shard = shard.borrow_mut();
        shard.is_shut = true;
        shard.resting.drain(..).for_each(std::task::Waker::wake);
        std::mem::take(&mut shard.doors)
    };
    for door in &doors {
        // It cannot fail on a listening socket.
        let _ = shutdown(&door.listener, Shutdown::Read);
    }
    for door in doors {
        door.task.await;
    }
}
