//! Reads the tables of requests in `server/tests/corpus`; its README explains the format. Used by
//! the tests of the codec and, by `#[path]`, by those of the server.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of this")]

use std::fs;
use std::path::{Path, PathBuf};

/// Where the tables are, from the codec's directory or from the server's.
pub fn directory() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let places = ["../../server/tests/corpus", "tests/corpus"].map(|place| package.join(place));
    places.into_iter().find(|place| place.join("ours.txt").exists()).expect("the tables are there")
}

/// What is sent after each case to see whether the connection still takes requests.
pub const PROBE: &[u8] = b"GET /probe HTTP/1.1\r\nHost: probe\r\n\r\n";

/// What one connection sends, and what must come of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    pub name: String,
    /// Where in its table it is, for messages.
    pub line: usize,
    /// The bytes, without the [`PROBE`].
    pub input: Vec<u8>,
    /// What the RFC says: a section and a reason.
    pub reason: String,
    /// Whether the RFC leaves the outcome open. What is wanted then is our choice among what it
    /// allows.
    pub open: bool,
    /// What must come, in this order; never empty.
    pub wants: Vec<Want>,
    /// Whether the connection takes more requests afterwards, so that the [`PROBE`] is answered.
    pub goes_on: bool,
}

/// One outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Want {
    /// A request that is accepted with this meaning.
    Request(Wanted),
    /// A refusal with one of these status codes, after which the connection is closed.
    Refusal(Vec<u16>),
    /// Nothing yet: the message is not whole. Nothing may be sent after it.
    More,
}

/// The meaning of an accepted request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    pub method: String,
    /// As `RequestHead::target` gives it: of an absolute-form, path and query. If the case says.
    pub target: Option<String>,
    /// As `RequestHead::host` gives it, if the case says.
    pub host: Option<String>,
    /// Header fields that must be among those of the request.
    pub fields: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
    /// Whether the refusal that follows comes in the middle of this request's body, so that
    /// `body` is only what came before it.
    pub unfinished: bool,
    /// Whether the client waits for `100 Continue`.
    pub expects_continue: bool,
}

impl Case {
    /// The bytes to send: the input, and the [`PROBE`] unless more is awaited.
    pub fn stream(&self) -> Vec<u8> {
        let probe = if self.wants.contains(&Want::More) { &b""[..] } else { PROBE };
        [&self.input, probe].concat()
    }

    /// Whether the first thing that is wanted is a refusal.
    pub fn is_refused(&self) -> bool {
        matches!(self.wants[0], Want::Refusal(_))
    }

    /// Whether the first thing that is wanted is an accepted request.
    pub fn is_accepted(&self) -> bool {
        matches!(self.wants[0], Want::Request(_))
    }
}

/// The cases of the table `name`, such as `ours.txt`.
///
/// # Panics
///
/// If the table cannot be read or is malformed; the message names file and line.
pub fn load(name: &str) -> Vec<Case> {
    let path = directory().join(name);
    let text =
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    parse(&text).unwrap_or_else(|(line, error)| panic!("{}:{line}: {error}", path.display()))
}

fn parse(text: &str) -> Result<Vec<Case>, (usize, String)> {
    let mut cases: Vec<Case> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, value) = line.split_once(' ').unwrap_or((line, ""));
        let result = if key == "case" {
            cases.last().map_or(Ok(()), complete).map(|()| {
                cases.push(Case {
                    name: value.to_owned(),
                    line: number,
                    input: Vec::new(),
                    reason: String::new(),
                    open: false,
                    wants: Vec::new(),
                    goes_on: true,
                });
            })
        } else {
            match cases.last_mut() {
                Some(case) => add(case, key, value),
                None => Err("the first line must be a `case`".to_owned()),
            }
        };
        result.map_err(|error| (number, error))?;
    }
    cases.last().map_or(Ok(()), complete).map_err(|error| (text.lines().count(), error))?;
    let mut names: Vec<_> = cases.iter().map(|case| &case.name).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err((0, format!("{} is there twice", pair[0]))),
        None => Ok(cases),
    }
}

fn complete(case: &Case) -> Result<(), String> {
    if case.wants.is_empty() || case.reason.is_empty() || case.input.is_empty() {
        return Err(format!("`{}` lacks what to send, what to want, or a reason", case.name));
    }
    Ok(())
}

/// Adds one line to a case.
fn add(case: &mut Case, key: &str, value: &str) -> Result<(), String> {
    match key {
        "rfc" | "open" => {
            value.clone_into(&mut case.reason);
            case.open = key == "open";
        }
        "file" => case.input = decode_gunicorn(&read(value)?)?,
        "add-host" => case.input = add_host(&case.input),
        "want" => case.wants.push(want(value)),
        "then" if value == "closed" => case.goes_on = false,
        _ if key == "send" || key.starts_with("send*") => {
            case.input.extend(repeated(key, value)?);
        }
        _ => match case.wants.last_mut() {
            Some(Want::Request(wanted)) => add_to_request(wanted, key, value)?,
            _ => return Err(format!("`{key} {value}` is not understood here")),
        },
    }
    if matches!(case.wants.last(), Some(Want::Refusal(_) | Want::More)) {
        case.goes_on = false;
    }
    Ok(())
}

fn add_to_request(wanted: &mut Wanted, key: &str, value: &str) -> Result<(), String> {
    match key {
        "host" => wanted.host = Some(value.to_owned()),
        "field" => {
            let (name, value) = value.split_once(": ").ok_or("a field is `Name: value`")?;
            wanted.fields.push((name.to_owned(), unescape(value)?));
        }
        "unfinished" => wanted.unfinished = true,
        "continue" => wanted.expects_continue = true,
        _ if key == "body" || key.starts_with("body*") => {
            wanted.body.extend(repeated(key, value)?);
        }
        _ => return Err(format!("`{key}` is not understood after a request")),
    }
    Ok(())
}

fn want(value: &str) -> Want {
    if value == "more" {
        return Want::More;
    }
    // A method may be a number, but no target is one.
    if let Ok(codes) = value.split(' ').map(str::parse).collect() {
        return Want::Refusal(codes);
    }
    let (method, target) = match value.split_once(' ') {
        Some((method, target)) => (method, Some(target.to_owned())),
        None => (value, None),
    };
    Want::Request(Wanted { method: method.to_owned(), target, ..Wanted::default() })
}

/// The value of `key` or of `key*COUNT`.
fn repeated(key: &str, value: &str) -> Result<Vec<u8>, String> {
    let bytes = unescape(value)?;
    match key.split_once('*') {
        None => Ok(bytes),
        Some((_, count)) => {
            let count = count.parse().map_err(|error| format!("`{key}`: {error}"))?;
            Ok(bytes.repeat(count))
        }
    }
}

/// `\r`, `\n`, `\t`, `\0`, `\\` and `\xHH` stand for bytes; all else stands for itself.
fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    loop {
        rest = match rest {
            [] => return Ok(bytes),
            [b'\\', b'x', high, low, rest @ ..] => {
                bytes.push(hex(*high, *low).ok_or(format!("`{text}`: not two hex digits"))?);
                rest
            }
            [b'\\', code, rest @ ..] => {
                bytes.push(match code {
                    b'r' => b'\r',
                    b'n' => b'\n',
                    b't' => b'\t',
                    b'0' => 0,
                    b'\\' => b'\\',
                    _ => return Err(format!("`{text}`: unknown escape")),
                });
                rest
            }
            [byte, rest @ ..] if byte.is_ascii() && *byte != b'\\' => {
                bytes.push(*byte);
                rest
            }
            _ => return Err(format!("`{text}`: write bytes beyond ASCII as \\xHH")),
        };
    }
}

fn hex(high: u8, low: u8) -> Option<u8> {
    let digit = |byte| char::from(byte).to_digit(16);
    Some((digit(high)? * 16 + digit(low)?) as u8)
}

fn read(name: &str) -> Result<Vec<u8>, String> {
    fs::read(directory().join(name)).map_err(|error| format!("{name}: {error}"))
}

/// gunicorn's notation: line feeds of the file mean nothing, and `\r\n`, `\n`, `\t`, `\0` and
/// `\xHH` stand for bytes. Bytes beyond ASCII stand for themselves.
fn decode_gunicorn(file: &[u8]) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut rest = file;
    loop {
        rest = match rest {
            [] => return Ok(bytes),
            [b'\n', rest @ ..] => rest,
            [b'\\', b'x', high, low, rest @ ..] => {
                bytes.push(hex(*high, *low).ok_or("not two hex digits")?);
                rest
            }
            [b'\\', b'r', rest @ ..] => {
                bytes.push(b'\r');
                rest
            }
            [b'\\', b'n', rest @ ..] => {
                bytes.push(b'\n');
                rest
            }
            [b'\\', b't', rest @ ..] => {
                bytes.push(b'\t');
                rest
            }
            [b'\\', b'0', rest @ ..] => {
                bytes.push(0);
                rest
            }
            [b'\\', ..] => return Err("unknown escape".to_owned()),
            [byte, rest @ ..] => {
                bytes.push(*byte);
                rest
            }
        };
    }
}

/// A Host field after each request line of HTTP/1.1: many of gunicorn's cases lack one, which
/// would hide what they are about.
fn add_host(input: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in input.split_inclusive(|&byte| byte == b'\n') {
        bytes.extend_from_slice(line);
        if line.ends_with(b" HTTP/1.1\r\n") {
            bytes.extend_from_slice(b"Host: added\r\n");
        }
    }
    bytes
}
