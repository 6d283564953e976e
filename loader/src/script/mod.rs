//! wrk's Lua scripts.
//!
//! A script written for wrk runs as it is. There is one Lua state on the main thread and one for
//! each shard, in all of which the script's main chunk runs first, with the global `wrk` prepared:
//!
//! | when | where | what |
//! |---|---|---|
//! | [`Script::load`], for each shard in turn | main state | `setup(thread)` |
//! | | shard's state | `init(args)`; the first shard is then asked for one request to look at |
//! | [`ShardScript::delay`], before a request | shard's state | `delay()`, milliseconds |
//! | [`ShardScript::request`] | shard's state | `request()`, a string; not called if there is none |
//! | [`ShardScript::response`] | shard's state | `response(status, headers, body)` |
//! | [`Script::done`], after the run | main state | `done(summary, latency, requests)` |
//!
//! # Where this is not wrk
//!
//! - An error in a script ends the run. wrk prints the error and goes on without the script if its
//!   main chunk fails, and crashes if a function does.
//! - `wrk.format` leaves the table of headers that it is given as it is, and takes Host and
//!   Content-Length for what they are in whatever case they are written.
//! - `wrk.init` may be called from `init`, as scripts for old versions of wrk do.
//! - `response` is not given what it has no parameter for.
//! - The fragment of a URL is not sent, and the latencies given to `done` are not "corrected".
//! - `ffi`, the `debug` library (but for `debug.traceback`) and modules in C are not there: they
//!   could break this program's memory safety.

mod addr;
mod error;
mod requests;
mod shard;
mod state;
mod stats;
mod thread;

use std::iter;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use ringbench_measure::{Histogram, RateSamples};

pub use error::{RequestFlaw, ScriptError};
pub use shard::ShardScript;
pub use stats::Summary;

use crate::url::Url;
use state::{Source, State};
use stats::Stats;
use thread::{Shared, Thread};

/// What a script is told of the run: what `wrk` holds before it starts.
#[derive(Clone, Copy, Debug)]
pub struct ScriptTarget<'a> {
    /// `wrk.host`, `wrk.port` (nil if the URL has none), `wrk.path`, and `args[0]` of `init`.
    pub url: &'a Url,
    /// `wrk.addrs`; the first is what `thread.addr` is until the script sets it.
    pub addresses: &'a [SocketAddr],
    /// `wrk.method`.
    pub method: &'a str,
    /// `wrk.headers`; of those with the same name the last counts.
    pub headers: &'a [(String, String)],
    /// `wrk.body`.
    pub body: Option<&'a [u8]>,
    /// Whether what the script prints goes to stderr, as stdout is for something else.
    pub prints_to_stderr: bool,
}

/// A script with all its states.
pub struct Script {
    main: State,
    shards: Vec<ShardScript>,
    shared: Vec<Arc<Shared>>,
}

impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = self.main.path();
        f.debug_struct("Script").field("path", path).finish_non_exhaustive()
    }
}

impl Script {
    /// Runs the script's main chunk in all states, and `setup` and `init` for each of `shards`
    /// shards. `args` are those after `--` on the command line.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or the script fails, or its requests are none.
    pub fn load(
        path: &Path,
        target: &ScriptTarget<'_>,
        args: &[String],
        shards: usize,
    ) -> Result<Self, ScriptError> {
        let source = Source::read(path)?;
        let main = State::new(&source, target)?;
        let mut script = Self { main, shards: Vec::new(), shared: Vec::new() };
        for _ in 0..shards {
            let state = State::new(&source, target)?;
            let shared = Arc::new(Shared::new(target.addresses.first().copied()));
            state.set_thread(Thread::own(&shared))?;
            script.main.setup(Thread::of(&shared, &state.lua))?;
            state.init(iter::once(target.url.as_str()).chain(args.iter().map(String::as_str)))?;
            let burst = script.shards.first().map(ShardScript::burst);
            script.shards.push(ShardScript::new(&state, Arc::clone(&shared), burst)?);
            script.shared.push(shared);
        }
        script.flush()?;
        Ok(script)
    }

    /// The shards' states, in the order in which the script has seen the threads; none the second
    /// time.
    pub fn take_shards(&mut self) -> Vec<ShardScript> {
        std::mem::take(&mut self.shards)
    }

    /// Where a shard is to connect to, if the script has set `thread.addr`.
    pub fn address(&self, shard: usize) -> Option<SocketAddr> {
        self.shared.get(shard)?.address()
    }

    /// Brings out what the script has printed so far. Lua's output has a buffer of its own: call
    /// this before something is written to stdout that is to come after it.
    ///
    /// # Errors
    ///
    /// When Lua is out of memory.
    pub fn flush(&self) -> Result<(), ScriptError> {
        self.main.flush()
    }

    /// Whether the script has a `done`.
    ///
    /// # Errors
    ///
    /// When Lua is out of memory.
    pub fn has_done(&self) -> Result<bool, ScriptError> {
        self.main.has("done")
    }

    /// Calls the script's `done`, if it has one. The run is over: what it asks with `thread:get` is
    /// as the shards left it, whether their [`ShardScript`]s are still there or not.
    ///
    /// # Errors
    ///
    /// When the script fails.
    pub fn done(
        &mut self,
        summary: Summary,
        latency: &Histogram,
        rates: &RateSamples,
    ) -> Result<(), ScriptError> {
        if !self.has_done()? {
            return Ok(());
        }
        let summary = summary
            .to_table(&self.main.lua)
            .map_err(|error| self.main.call_error("done", &error))?;
        let args = (summary, Stats::of_latency(latency), Stats::of_rates(rates));
        self.main.call_global("done", args)?;
        self.flush()
    }
}

#[cfg(test)]
mod tests;
