//! One Lua state with a script in it: the libraries, the global `wrk`, then the script's main chunk.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mlua::{FromLuaMulti, Function, IntoLuaMulti, Lua, LuaOptions, StdLib, Table, Value};

use super::error::cause_of;
use super::thread::Thread;
use super::{ScriptError, ScriptTarget, addr};

/// What the Lua side of this module is called in traces; no script's path looks like it.
pub(super) const CHUNK: &str = "(ringload)";

/// A script as it was read.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) path: Arc<Path>,
    text: Vec<u8>,
}

impl Source {
    pub(super) fn read(path: &Path) -> Result<Self, ScriptError> {
        let mut text = fs::read(path)
            .map_err(|source| ScriptError::Read { script: path.to_owned(), source })?;
        // Lua's own reader skips a first line that starts with #; lines must keep their numbers.
        if text.starts_with(b"#") {
            let line_end = text.iter().position(|&b| b == b'\n').unwrap_or(text.len());
            text[..line_end].fill(b' ');
        }
        Ok(Self { path: path.into(), text })
    }

    fn name(&self) -> String {
        format!("@{}", self.path.display())
    }

    fn load_error(&self, error: &mlua::Error) -> ScriptError {
        ScriptError::Load { script: self.path.to_path_buf(), cause: cause_of(error) }
    }
}

/// A state and the ways into it.
pub(super) struct State {
    pub(super) lua: Lua,
    path: Arc<Path>,
    hooks: Table,
}

impl State {
    /// Runs the script's main chunk in a new state, in which `wrk` tells of `target`.
    pub(super) fn new(source: &Source, target: &ScriptTarget<'_>) -> Result<Self, ScriptError> {
        let failed = |error| source.load_error(&error);
        let (lua, hooks) = prepare(target).map_err(failed)?;
        lua.load(source.text.as_slice()).set_name(source.name()).exec().map_err(failed)?;
        Ok(Self { lua, path: Arc::clone(&source.path), hooks })
    }

    /// Sets `wrk.thread`.
    pub(super) fn set_thread(&self, thread: Thread) -> Result<(), ScriptError> {
        let set = || self.wrk()?.set("thread", thread);
        set().map_err(|error| self.call_error("wrk.init", &error))
    }

    /// Calls `wrk.setup` for a thread, which calls the script's `setup`.
    pub(super) fn setup(&self, thread: Thread) -> Result<(), ScriptError> {
        let call = || self.wrk()?.get::<Function>("setup")?.call::<()>(thread);
        call().map_err(|error| self.call_error("setup", &error))
    }

    /// Calls `wrk.init`, which calls the script's `init`. `args[0]` is the URL.
    pub(super) fn init<'a>(&self, args: impl Iterator<Item = &'a str>) -> Result<(), ScriptError> {
        let call = || {
            let table = self.lua.create_table()?;
            for (index, arg) in args.enumerate() {
                table.raw_set(index, arg)?;
            }
            self.wrk()?.get::<Function>("init")?.call::<()>(table)
        };
        call().map_err(|error| self.call_error("init", &error))
    }

    /// Whether the script has a global function of this name.
    pub(super) fn has(&self, name: &'static str) -> Result<bool, ScriptError> {
        self.call("is", name).map_err(|error| self.call_error(name, &error))
    }

    /// Calls the script's global function of this name.
    pub(super) fn call_global(
        &self,
        name: &'static str,
        args: impl IntoLuaMulti,
    ) -> Result<(), ScriptError> {
        let call = || self.lua.globals().get::<Function>(name)?.call::<()>(args);
        call().map_err(|error| self.call_error(name, &error))
    }

    /// One of the functions through which the script is called.
    pub(super) fn hook(&self, name: &'static str) -> Result<Function, ScriptError> {
        self.hooks.get(name).map_err(|error| self.call_error(name, &error))
    }

    /// Calls one of them, outside of the hot path.
    pub(super) fn call<R: FromLuaMulti>(
        &self,
        hook: &str,
        args: impl IntoLuaMulti,
    ) -> mlua::Result<R> {
        self.hooks.get::<Function>(hook)?.call(args)
    }

    /// Brings what the script has printed out of the C library's buffer, which is not Rust's.
    pub(super) fn flush(&self) -> Result<(), ScriptError> {
        self.call("flush", ()).map_err(|error| self.call_error("io.flush", &error))
    }

    pub(super) fn path(&self) -> &Arc<Path> {
        &self.path
    }

    pub(super) fn call_error(&self, hook: &'static str, error: &mlua::Error) -> ScriptError {
        call_error(&self.path, hook, error)
    }

    fn wrk(&self) -> mlua::Result<Table> {
        self.lua.globals().get("wrk")
    }
}

/// Outside of [`State`] for the shards, which keep no more of it than they need.
#[cold]
pub(super) fn call_error(path: &Path, hook: &'static str, error: &mlua::Error) -> ScriptError {
    ScriptError::Call { script: PathBuf::from(path), hook, cause: cause_of(error) }
}

/// A state with the global `wrk` in it, and the functions through which a script is called.
fn prepare(target: &ScriptTarget<'_>) -> mlua::Result<(Lua, Table)> {
    // Rust's panics end the program; without that guard `pcall` is LuaJIT's own and is compiled.
    let options = LuaOptions::new().catch_rust_panics(false);
    let lua = Lua::new_with(StdLib::ALL_SAFE, options)?;
    let lookup = lua.create_function(addr::lookup)?;
    let connect = lua.create_function(addr::connect)?;
    let (wrk, hooks): (Table, Table) = lua
        .load(include_str!("wrk.lua"))
        .set_name(format!("={CHUNK}"))
        .call((lookup, connect, target.prints_to_stderr))?;
    wrk.set("scheme", "http")?;
    wrk.set("host", target.url.host())?;
    wrk.set("port", port_in(target.url.authority()))?;
    wrk.set("path", target.url.target())?;
    wrk.set("method", target.method)?;
    wrk.set("body", target.body.map(|body| lua.create_string(body)).transpose()?)?;
    let headers: Table = wrk.get("headers")?;
    for (name, value) in target.headers {
        headers.set(name.as_str(), value.as_str())?;
    }
    let addrs = target.addresses.iter().map(|&address| addr::Addr(address));
    wrk.set("addrs", lua.create_sequence_from(addrs)?)?;
    without_unsafe_libraries(&lua)?;
    Ok((lua, hooks))
}

/// `ffi`, `debug` and modules in C could break the memory safety of this program. Scripts that want
/// them are told so; `debug.traceback`, which is harmless and often used with `xpcall`, is there.
fn without_unsafe_libraries(lua: &Lua) -> mlua::Result<()> {
    let traceback = lua.create_function(|lua, (message, _): (Value, Value)| match message {
        Value::Nil => lua.traceback(None, 1).map(Value::String),
        Value::String(text) => {
            let text = text.to_string_lossy();
            lua.traceback(Some(&text), 1).map(Value::String)
        }
        other => Ok(other),
    })?;
    let debug = lua.create_table()?;
    debug.set("traceback", traceback)?;
    lua.globals().set("debug", debug)?;
    let refused = lua.create_function(|_, name: String| -> mlua::Result<()> {
        Err(mlua::Error::runtime(format!("`{name}` is not available in ringload's scripts")))
    })?;
    lua.globals().get::<Table>("package")?.get::<Table>("preload")?.set("ffi", refused)
}

/// The port, if the URL gives one: `wrk.port` is nil otherwise.
fn port_in(authority: &str) -> Option<&str> {
    let (_, port) = authority.rsplit_once(':')?;
    // The last colon may be within an IPv6 address.
    (!port.is_empty() && port.bytes().all(|b| b.is_ascii_digit())).then_some(port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_port_that_was_given_is_one() {
        assert_eq!(port_in("127.0.0.1:8080"), Some("8080"));
        assert_eq!(port_in("[::1]:81"), Some("81"));
        for none in ["host", "host:", "[::1]", "[fe80::12]"] {
            assert_eq!(port_in(none), None, "{none}");
        }
    }
}
