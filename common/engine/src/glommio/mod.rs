//! The glommio back end: that executor with its own net types, one per shard, to compare with.
//!
//! Each connection has a task of glommio's that waits until its socket can be received from, or
//! sent to, and brings what happens to the shard's one state; each listener has one that accepts.
//! The first of them that has something wakes the shard's own task, which runs behind all that
//! were ready before: so a turn is a pass over glommio's queue of tasks, and as on the other back
//! ends what the handler writes in one leaves together. A task borrows the state within a poll and
//! never across one, so the handler is never entered twice.
//!
//! What differs from the other back ends is glommio's way:
//!
//! - it tries `recv`, `send` and `accept` first and only then has a ring tell it when to try again;
//!   its rings are its own, so [`UringOptions`](crate::UringOptions) do not apply to it, and as it
//!   does not count its system calls, [`enters`](crate::EngineStats::enters) are turns;
//! - a socket that is closed is open for the kernel until a ring has taken back what waits for it,
//!   which is in the same pass or the next;
//! - it cannot watch a foreign descriptor: a thread of its pool sleeps on the shard's eventfd;
//! - it sets up three rings per shard, wants 512 KiB of locked memory to be allowed, opens
//!   accepted sockets without `O_CLOEXEC`, and never closes the eventfd of an executor.
//!
//! Its parts:
//!
//! - `shard`: the state and its turn: timers, flush, settle
//! - `conn`: the task of a connection, and what it brings
//! - `accept`: listeners

mod accept;
mod conn;
mod shard;

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use glommio::timer::Timer;
use glommio::{LocalExecutor, LocalExecutorBuilder, Placement, executor, spawn_local};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Resource, getrlimit};

use self::shard::Shard;
use crate::shard::now_ns;
use crate::turn::next_wake_ns;
use crate::{Engine, EngineConfig, EngineError, EngineStats, Handler, ShardControl, uring};

/// A shard's state, as its tasks share it.
type Shared<H> = Rc<RefCell<Shard<H>>>;

/// Entries of each of glommio's rings. It hands over no more than these at a time, and its own
/// figure, 128, is meant for storage.
const RING_DEPTH: usize = 1024;

/// What glommio checks the limit on locked memory for. Its own error has no number to tell it by.
const MIN_MEMLOCK_BYTES: u64 = 512 * 1024;

/// An executor that is set up, on the thread that will use it.
pub(crate) struct Executor {
    local: LocalExecutor,
    /// Each with a second descriptor, for glommio to own.
    listeners: Vec<(TcpListener, OwnedFd)>,
    control: Arc<ShardControl>,
    peer_addresses: bool,
}

fn failed(what: &'static str) -> impl FnOnce(io::Error) -> EngineError {
    move |errno| EngineError::System { engine: Engine::Glommio, what, errno }
}

impl Executor {
    /// Sets up the calling thread's shard.
    pub(crate) fn new(
        config: &EngineConfig,
        listeners: Vec<TcpListener>,
        control: Arc<ShardControl>,
    ) -> Result<Self, EngineError> {
        // Where there can be no ring at all glommio panics; this tells why.
        uring::probe(&config.uring)?;
        let may_lock_bytes = getrlimit(Resource::Memlock).current.unwrap_or(u64::MAX);
        if may_lock_bytes < MIN_MEMLOCK_BYTES {
            let errno = io::Error::from_raw_os_error(libc::ENOMEM);
            return Err(failed("locking the 512 KiB of memory that it insists on")(errno));
        }
        let local = LocalExecutorBuilder::new(Placement::Unbound)
            .name(config.thread_name)
            .ring_depth(RING_DEPTH)
            // For files, of which there are none.
            .io_memory(0)
            .make()
            .map_err(|error| failed("setting up the executor")(error.into()))?;
        let listeners = listeners
            .into_iter()
            .map(|listener| {
                listener.set_nonblocking(true)?;
                let twin = listener.try_clone()?;
                Ok((listener, OwnedFd::from(twin)))
            })
            .collect::<Result<_, _>>()
            .map_err(failed("duplicating a listener"))?;
        Ok(Self { local, listeners, control, peer_addresses: config.peer_addresses })
    }

    /// Turns until the handler stops the shard, somebody else does, or a drain is complete.
    #[allow(clippy::unnecessary_wraps, reason = "the other back ends can fail here")]
    pub(crate) fn run<H: Handler + 'static>(
        self,
        handler: H,
    ) -> Result<(H, EngineStats), EngineError> {
        let Self { local, listeners, control, peer_addresses } = self;
        let shard = Rc::new(RefCell::new(Shard::new(handler, peer_addresses)));
        Ok(local.run(live(shard, listeners, control)))
    }
}

/// The shard's own task.
async fn live<H: Handler + 'static>(
    shard: Shared<H>,
    listeners: Vec<(TcpListener, OwnedFd)>,
    control: Arc<ShardControl>,
) -> (H, EngineStats) {
    shard.borrow_mut().start();
    accept::open(&shard, listeners);
    let watch = spawn_local(watch(Rc::clone(&shard), Arc::clone(&control)));
    let mut bell = None;
    while !shard.borrow_mut().turn() {
        let dials = std::mem::take(&mut shard.borrow_mut().dials);
        for (conn, target) in dials {
            spawn_local(conn::dial(Rc::clone(&shard), conn, target)).detach();
        }
        wait(&shard, &mut bell).await;
    }
    shard.borrow_mut().teardown();
    accept::close(&shard).await;
    // Nothing else ends the watch when the shard has ended by itself.
    control.stop();
    watch.await;
    // The answer of a thread comes with a look after the rings: what waits for closed sockets is
    // taken back by then, and the sockets go.
    executor().spawn_blocking(|| ()).await;
    let shard = last_share(shard).await;
    (shard.handler, shard.ops.stats)
}

/// A wake-up of the shard's own task.
struct Bell {
    at_ns: u64,
    timer: Timer,
}

/// Waits until something has happened, or the next deadline or alarm has come.
async fn wait<H>(shard: &Shared<H>, bell: &mut Option<Bell>) {
    let mut others_had_their_turn = false;
    poll_fn(|cx| {
        let mut shard = shard.borrow_mut();
        shard.keep_root(cx.waker());
        if shard.is_due {
            if !std::mem::replace(&mut others_had_their_turn, true) {
                // Even a handler that always has something new to hand over must let input in.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            return Poll::Ready(());
        }
        others_had_their_turn = true;
        let Some(at_ns) = next_wake_ns(&shard.ops) else { return Poll::Pending };
        // A bell that rings too early is left alone: the turn that it causes sets it anew.
        if bell.as_ref().is_none_or(|bell| bell.at_ns > at_ns) {
            let timer = Timer::new(Duration::from_nanos(at_ns.saturating_sub(now_ns())));
            *bell = Some(Bell { at_ns, timer });
        }
        let rung = bell.as_mut().is_some_and(|bell| Pin::new(&mut bell.timer).poll(cx).is_ready());
        if !rung {
            return Poll::Pending;
        }
        *bell = None;
        shard.begin();
        Poll::Ready(())
    })
    .await;
}

/// Waits for words from outside until the shard is to stop.
async fn watch<H: Handler + 'static>(shard: Shared<H>, control: Arc<ShardControl>) {
    let mut draining = false;
    loop {
        let asked = Arc::clone(&control);
        // An error is a signal's, or else the next look at the control finds nothing new.
        executor()
            .spawn_blocking(move || {
                let mut word = [PollFd::new(asked.wake_fd(), PollFlags::IN)];
                poll(&mut word, None).is_ok()
            })
            .await;
        control.acknowledge();
        if control.stop_asked() {
            return shard.borrow_mut().stop();
        }
        if control.drain_asked() && !std::mem::replace(&mut draining, true) {
            accept::drain(&shard).await;
        }
    }
}

/// Waits until all other tasks have ended, which are all on their way.
async fn last_share<T>(mut shared: Rc<RefCell<T>>) -> T {
    loop {
        match Rc::try_unwrap(shared) {
            Ok(cell) => return cell.into_inner(),
            Err(still_shared) => shared = still_shared,
        }
        executor().yield_task_queue_now().await;
    }
}

/// Lets the tasks that are ready go first.
async fn others_first() {
    let mut had_their_turn = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut had_their_turn, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
