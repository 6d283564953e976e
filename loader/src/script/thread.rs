//! A thread as scripts see it: `setup` gets one for each, in the main state; in its own state it is
//! `wrk.thread`.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use mlua::{Lua, LuaString, UserData, UserDataFields, UserDataMethods, UserDataRef, Value};

use super::addr::Addr;

/// How deep a table may be that is copied from one state to another; a table that contains itself
/// has no end.
const MAX_DEPTH: u32 = 100;

/// What a script has said of one thread.
#[derive(Debug, Default)]
pub(super) struct Shared {
    address: Mutex<Option<SocketAddr>>,
    /// What `thread.addr` is before the script sets it.
    default: Option<SocketAddr>,
    stopped: AtomicBool,
}

impl Shared {
    pub(super) fn new(default: Option<SocketAddr>) -> Self {
        Self { default, ..Self::default() }
    }

    /// The address, if the script has set one.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        *self.address.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_address(&self, address: SocketAddr) {
        *self.address.lock().unwrap_or_else(PoisonError::into_inner) = Some(address);
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}

/// The value in Lua.
pub(super) struct Thread {
    shared: Arc<Shared>,
    /// The thread's state; `None` in that state itself, which would hold itself alive otherwise.
    state: Option<Lua>,
}

impl Thread {
    /// For the main state.
    pub(super) fn of(shared: &Arc<Shared>, state: &Lua) -> Self {
        Self { shared: Arc::clone(shared), state: Some(state.clone()) }
    }

    /// For the thread's own state.
    pub(super) fn own(shared: &Arc<Shared>) -> Self {
        Self { shared: Arc::clone(shared), state: None }
    }
}

impl UserData for Thread {
    fn add_fields<F: UserDataFields<Self>>(fields: &mut F) {
        fields.add_field_method_get("addr", |_, this| {
            Ok(this.shared.address().or(this.shared.default).map(Addr))
        });
        fields.add_field_method_set("addr", |_, this, address: UserDataRef<Addr>| {
            this.shared.set_address(address.0);
            Ok(())
        });
    }

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("get", |lua, this, name: LuaString| {
            let state = this.state.as_ref().unwrap_or(lua);
            let name = state.create_string(name.as_bytes())?;
            copy(&state.globals().get(name)?, lua, 0)
        });
        methods.add_method("set", |lua, this, (name, value): (LuaString, Value)| {
            let state = this.state.as_ref().unwrap_or(lua);
            let name = state.create_string(name.as_bytes())?;
            state.globals().set(name, copy(&value, state, 0)?)
        });
        methods.add_method("stop", |_, this, ()| {
            this.shared.stopped.store(true, Ordering::Relaxed);
            Ok(())
        });
    }
}

/// A copy of `value` in the state `to`; tables with all that is in them.
fn copy(value: &Value, to: &Lua, depth: u32) -> mlua::Result<Value> {
    match value {
        Value::Nil => Ok(Value::Nil),
        Value::Boolean(value) => Ok(Value::Boolean(*value)),
        Value::Integer(value) => Ok(Value::Integer(*value)),
        Value::Number(value) => Ok(Value::Number(*value)),
        Value::String(value) => to.create_string(value.as_bytes()).map(Value::String),
        Value::Table(_) if depth == MAX_DEPTH => Err(mlua::Error::runtime(format!(
            "cannot transfer a table that is nested more than {MAX_DEPTH} deep to thread"
        ))),
        Value::Table(table) => {
            let copied = to.create_table()?;
            for pair in table.pairs::<Value, Value>() {
                let (key, value) = pair?;
                copied.raw_set(copy(&key, to, depth + 1)?, copy(&value, to, depth + 1)?)?;
            }
            Ok(Value::Table(copied))
        }
        other => {
            Err(mlua::Error::runtime(format!("cannot transfer '{}' to thread", other.type_name())))
        }
    }
}
