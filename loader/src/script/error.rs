//! What can be wrong with a script.

use std::io;
use std::path::PathBuf;

use super::state::CHUNK;

/// Why a script could not be loaded, or why a run with it must end. The text names the script and,
/// wherever Lua knows it, the line.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// The file.
    #[error("-s/--script {}: cannot be read: {source}", .script.display())]
    Read {
        /// The file.
        script: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Its main chunk: a syntax error, or an error while it ran.
    #[error("-s/--script {}: {cause}", .script.display())]
    Load {
        /// The file.
        script: PathBuf,
        /// What Lua says.
        cause: String,
    },
    /// One of its functions failed.
    #[error("-s/--script {}: in {hook}(): {cause}", .script.display())]
    Call {
        /// The file.
        script: PathBuf,
        /// The function.
        hook: &'static str,
        /// What Lua says.
        cause: String,
    },
    /// What its `request` returned is not what can be sent and answered.
    #[error("-s/--script {}: what request() returned is no HTTP request: {flaw}", .script.display())]
    Request {
        /// The file.
        script: PathBuf,
        /// What is wrong with it.
        flaw: RequestFlaw,
    },
}

/// What is wrong with the text of a request, and where in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} at {line}:{column}")]
pub struct RequestFlaw {
    /// What is wrong.
    pub what: String,
    /// Line within the text, from 1.
    pub line: usize,
    /// Column within the line, from 1.
    pub column: usize,
}

/// What Lua says, without the trace of calls, which is mostly about this program's inside.
pub(super) fn cause_of(error: &mlua::Error) -> String {
    match error {
        mlua::Error::SyntaxError { message, .. } => message.clone(),
        mlua::Error::RuntimeError(message) => without_trace(message).to_owned(),
        mlua::Error::CallbackError { traceback, cause } => {
            // An error of a function in Rust does not say which line called it.
            let cause = cause_of(cause);
            script_line(traceback).map_or_else(|| cause.clone(), |at| format!("{at}: {cause}"))
        }
        mlua::Error::BadArgument { cause, .. } => cause_of(cause),
        other => without_trace(&other.to_string()).to_owned(),
    }
}

fn without_trace(message: &str) -> &str {
    message.split("\nstack traceback:").next().unwrap_or(message)
}

/// The innermost `file:line` of a trace that is the script's own: not C, not mlua's, not the Lua
/// side of this module.
fn script_line(traceback: &str) -> Option<&str> {
    let places = traceback.lines().filter_map(|line| line.trim().split_once(": in "));
    let foreign = ["[", "__mlua", CHUNK];
    let mut places = places.map(|(place, _)| place);
    places.find(|place| !foreign.iter().any(|start| place.starts_with(start)))
}
