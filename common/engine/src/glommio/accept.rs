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

use super::{Shared, conn, others_first};
use crate::Handler;
use crate::turn::{ACCEPT_PAUSE_NS, MAX_ACCEPTS, MAX_LAST_ACCEPTS};

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
    let mut pause = Timer::new(Duration::from_nanos(ACCEPT_PAUSE_NS));
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

/// Ends the tasks of the listeners, after those that have something to bring.
///
/// The sockets may be shared with another process, so that they are not shut down. Dropping an
/// accept that is under way can lose a connection that the kernel gives it at this very moment.
pub(super) async fn close<H: Handler>(shard: &Shared<H>) {
    let doors = {
        let mut shard = shard.borrow_mut();
        shard.is_shut = true;
        shard.resting.drain(..).for_each(std::task::Waker::wake);
        std::mem::take(&mut shard.doors)
    };
    others_first().await;
    for door in doors {
        door.task.cancel().await;
    }
}
