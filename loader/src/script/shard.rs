//! The script on one shard.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mlua::{BString, Function, Lua};
use ringbench_http::RequestKind;

use super::ScriptError;
use super::requests::{first_kind, read_kinds};
use super::state::{State, call_error};
use super::thread::Shared;

/// One thread's state of a script, to be moved to that thread.
///
/// What a script has is decided once, after its `init`, as wrk does: [`is_static`](Self::is_static),
/// [`burst`](Self::burst), [`has_delay`](Self::has_delay), [`has_response`](Self::has_response).
#[derive(Debug)]
pub struct ShardScript {
    path: Arc<Path>,
    shared: Arc<Shared>,
    hooks: Hooks,
    /// The request, if it is always the same.
    fixed: Option<Vec<u8>>,
    /// Of the requests that were returned last.
    kinds: Vec<RequestKind>,
    burst: u32,
    has_delay: bool,
    /// How many of `response`'s parameters the script looks at; `None` without a `response`.
    response_parameters: Option<u8>,
    /// The header fields of a response on their way to Lua.
    fields: Vec<u8>,
}

/// The functions that are called in a run.
#[derive(Debug)]
struct Hooks {
    lua: Lua,
    request: Function,
    delay: Function,
    response: Function,
}

impl ShardScript {
    /// Looks at what the script is, after its `init`. The first shard asks for a request to see how
    /// many are in it, and throws that away, as wrk does; the others have `burst` from it.
    pub(super) fn new(
        state: &State,
        shared: Arc<Shared>,
        burst: Option<u32>,
    ) -> Result<Self, ScriptError> {
        let has_response = state.has("response")?;
        let parameters: u8 = state
            .call("response_parameters", ())
            .map_err(|error| state.call_error("response", &error))?;
        let mut script = Self {
            path: Arc::clone(state.path()),
            shared,
            hooks: Hooks {
                lua: state.lua.clone(),
                request: state.hook("request")?,
                delay: state.hook("delay")?,
                response: state.hook("response")?,
            },
            fixed: None,
            kinds: Vec::new(),
            burst: burst.unwrap_or(1),
            has_delay: state.has("delay")?,
            response_parameters: has_response.then_some(parameters),
            fields: Vec::new(),
        };
        let is_static = !state.has("request")?;
        if is_static || burst.is_none() {
            let mut text = Vec::new();
            script.append_request(&mut text)?;
            script.read_kinds(&text)?;
            script.burst = script.kinds.len() as u32;
            script.fixed = is_static.then_some(text);
        }
        Ok(script)
    }

    /// Whether the script has no `request` of its own: every request is the same, and Lua is not
    /// asked for it.
    pub fn is_static(&self) -> bool {
        self.fixed.is_some()
    }

    /// How many requests one call of [`request`](Self::request) gives, as found at the start.
    pub fn burst(&self) -> u32 {
        self.burst
    }

    /// Whether [`delay`](Self::delay) is to be called before each request.
    pub fn has_delay(&self) -> bool {
        self.has_delay
    }

    /// Whether [`response`](Self::response) is to be called for each complete response.
    pub fn has_response(&self) -> bool {
        self.response_parameters.is_some()
    }

    /// Whether the script's `response` has a parameter for the header fields.
    pub fn wants_headers(&self) -> bool {
        self.response_parameters.is_some_and(|parameters| parameters >= 2)
    }

    /// Whether the script's `response` has a parameter for the body: if not, none need be kept.
    pub fn wants_body(&self) -> bool {
        self.response_parameters.is_some_and(|parameters| parameters >= 3)
    }

    /// Whether the script has called `thread:stop()` for this thread.
    pub fn is_stopped(&self) -> bool {
        self.shared.is_stopped()
    }

    /// Where this thread is to connect to, if the script has set `thread.addr`. It may do so at any
    /// time; connections that are opened later go there.
    pub fn address(&self) -> Option<SocketAddr> {
        self.shared.address()
    }

    /// Appends to `out` what is to be sent next, and says what requests there are in it.
    ///
    /// A script whose `request` gave one request at the start is believed to give one each time, and
    /// only the method is looked at; where there were several, they are counted each time.
    ///
    /// # Errors
    ///
    /// When the script fails, or what it returns cannot be sent. `out` is as it was.
    pub fn request(&mut self, out: &mut Vec<u8>) -> Result<&[RequestKind], ScriptError> {
        if let Some(fixed) = &self.fixed {
            out.extend_from_slice(fixed);
            return Ok(&self.kinds);
        }
        let start = out.len();
        self.append_request(out)?;
        if self.burst == 1 && out.len() > start {
            self.kinds.clear();
            self.kinds.push(first_kind(&out[start..]));
        } else if let Err(error) = self.read_kinds(&out[start..]) {
            out.truncate(start);
            return Err(error);
        }
        Ok(&self.kinds)
    }

    /// How long the connection is to wait before its next request. Whole milliseconds, as in wrk.
    ///
    /// # Errors
    ///
    /// When the script fails.
    pub fn delay(&mut self) -> Result<Duration, ScriptError> {
        let delay_ms: f64 =
            self.hooks.delay.call(()).map_err(|error| call_error(&self.path, "delay", &error))?;
        // Not a number and what is below zero become 0.
        Ok(Duration::from_millis(delay_ms as u64))
    }

    /// Tells the script of a complete response. `headers` and `body` may be left out (empty) where
    /// the script does not [want](Self::wants_headers) them. Of fields with the same name the last
    /// is seen, as in wrk.
    ///
    /// # Errors
    ///
    /// When the script fails.
    pub fn response<'h>(
        &mut self,
        status: u16,
        headers: impl IntoIterator<Item = (&'h str, &'h [u8])>,
        body: &[u8],
    ) -> Result<(), ScriptError> {
        self.fields.clear();
        if self.wants_headers() {
            for (name, value) in headers {
                self.fields.extend_from_slice(name.as_bytes());
                self.fields.push(b'\n');
                self.fields.extend_from_slice(value);
                self.fields.push(b'\n');
            }
        }
        let Hooks { lua, response, .. } = &self.hooks;
        let string = |wanted: bool, bytes| wanted.then(|| lua.create_string(bytes)).transpose();
        let call = || {
            let fields = string(self.wants_headers(), self.fields.as_slice())?;
            response.call::<()>((status, fields, string(self.wants_body(), body)?))
        };
        call().map_err(|error| call_error(&self.path, "response", &error))
    }

    #[cfg(test)]
    pub(super) fn lua(&self) -> &Lua {
        &self.hooks.lua
    }

    fn append_request(&mut self, out: &mut Vec<u8>) -> Result<(), ScriptError> {
        let text: BString = self.hooks.request.call(()).map_err(|error| match error {
            mlua::Error::FromLuaConversionError { from, .. } => ScriptError::Call {
                script: self.path.to_path_buf(),
                hook: "request",
                cause: format!("it must return a string, not {from}"),
            },
            error => call_error(&self.path, "request", &error),
        })?;
        out.extend_from_slice(&text);
        Ok(())
    }

    fn read_kinds(&mut self, text: &[u8]) -> Result<(), ScriptError> {
        read_kinds(text, &mut self.kinds)
            .map_err(|flaw| ScriptError::Request { script: self.path.to_path_buf(), flaw })
    }
}
