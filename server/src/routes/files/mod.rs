//! `GET /static/{path}`: the regular files below a directory, as they are or compressed beforehand
//! (`style.css.br` or `style.css.gz` beside `style.css`). Links are followed as far as they are
//! relative and stay below the directory.
//!
//! Each shard keeps what was asked for last: the bytes of small files, the open descriptors of
//! others. What is kept is compared with the directory once a second ([`RECHECK`]), so that a change
//! is seen after a second at the latest; in between, an answer takes no system call and allocates
//! nothing. (nginx calls it `open_file_cache_valid`.) What is not kept is read by the shard itself:
//! a directory on a slow disk stalls its other connections.

mod cache;
mod conditional;
mod encoding;
mod path;
mod range;
mod root;
#[cfg(test)]
mod tests;
mod types;

use std::cell::RefCell;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use ringbench_http::{Header, Method};

use crate::reply::Reply;
use crate::request::Request;
use crate::rest::Source;
use cache::Cache;
use conditional::Verdict;
use encoding::{Coding, Offered};
use range::Part;
pub use root::Root;
use root::{Content, Entry, Refusal};

/// For so long an answer may come from what a shard keeps of a file.
pub const RECHECK: Duration = Duration::from_secs(1);

/// The files of one directory, as one shard knows them.
#[derive(Debug)]
pub struct Files {
    root: Arc<Root>,
    kept: RefCell<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    cache: Cache,
    /// Where a path is decoded.
    decoded: Vec<u8>,
    /// Where the names of files are put together.
    name: Vec<u8>,
}

/// The time, as far as it is needed.
#[derive(Debug, Clone, Copy)]
struct Clock {
    now: Instant,
    /// Asked only when something is read.
    wall: fn() -> SystemTime,
}

impl Files {
    /// Nothing is kept yet.
    pub fn new(root: Arc<Root>) -> Self {
        Self { root, kept: RefCell::default() }
    }

    /// Answers with what is at `sent`, a path below the directory that is still percent-encoded.
    fn answer(&self, sent: &[u8], request: &Request<'_>, reply: &mut Reply<'_>, clock: Clock) {
        let mut kept = self.kept.borrow_mut();
        let Kept { cache, decoded, name } = &mut *kept;
        let found =
            path::decode(sent, decoded).and_then(|path| self.find(path, cache, name, clock));
        match found {
            Ok(entry) => answer_from(entry, request, reply),
            Err(refusal) => refuse(refusal, request, reply),
        }
    }

    /// What is at `path`: as it is kept, or as it is found now.
    fn find<'c>(
        &self,
        path: &[u8],
        cache: &'c mut Cache,
        name: &mut Vec<u8>,
        clock: Clock,
    ) -> Result<&'c Entry, Refusal> {
        let known = cache.find(path);
        if let Some(at) = known
            && clock.now < cache.get(at).recheck
        {
            return Ok(cache.get(at));
        }
        // Only a path that passed this is ever kept.
        path::check(path)?;
        let recheck = clock.now + RECHECK;
        let earlier = known.map(|at| cache.get(at));
        match (self.root.load(path, name, earlier, (clock.wall)(), recheck), known) {
            (Ok(entry), Some(at)) => Ok(cache.replace(at, entry)),
            (Ok(entry), None) => Ok(cache.insert(path, entry)),
            // It says nothing about the file: what is kept is still the best that is known.
            (Err(Refusal::Busy), Some(at)) => Ok(cache.put_off(at, recheck)),
            (Err(refusal), known) => {
                if let Some(at) = known {
                    cache.remove(at);
                }
                Err(refusal)
            }
        }
    }
}

/// `GET /static/{path}`: a file below `--root`.
pub fn serve(request: &Request<'_>, reply: &mut Reply<'_>) {
    match &request.site.files {
        Some(files) => {
            let clock = Clock { now: Instant::now(), wall: SystemTime::now };
            files.answer(request.rest(), request, reply, clock);
        }
        None => reply.error(404, "the server was started without --root"),
    }
}

/// The header fields of an answer in the making.
struct Fields<'a> {
    list: [(&'static str, &'a [u8]); 8],
    len: usize,
}

impl<'a> Fields<'a> {
    fn new() -> Self {
        Self { list: [("", b""); 8], len: 0 }
    }

    fn add(&mut self, name: &'static str, value: &'a [u8]) {
        self.list[self.len] = (name, value);
        self.len += 1;
    }

    fn as_slice(&self) -> &[(&'static str, &'a [u8])] {
        &self.list[..self.len]
    }
}

fn answer_from(entry: &Entry, request: &Request<'_>, reply: &mut Reply<'_>) {
    let headers = request.head.headers;
    let offered = Offered { brotli: entry.brotli.is_some(), gzip: entry.gzip.is_some() };
    let Some(coding) = encoding::choose(values(headers, "accept-encoding"), offered) else {
        return not_acceptable(reply);
    };
    let representation = entry.of(coding);
    match conditional::judge(headers, representation) {
        Verdict::Proceed => {}
        Verdict::Failed => return reply.error(412, "the file is not as the request expects it"),
        Verdict::NotModified => {
            // RFC 9110 section 15.4.5: what tells the client which of its copies is meant.
            let mut fields = Fields::new();
            fields.add("ETag", &representation.etag);
            if entry.varies() {
                fields.add("Vary", b"Accept-Encoding");
            }
            return reply.no_content(304, fields.as_slice());
        }
    }
    // RFC 9110 section 14.2: Range means nothing to HEAD.
    let part = if request.head.method == Method::Get
        && conditional::may_be_partial(headers, representation)
    {
        range::part_of(values(headers, "range"), representation.length)
    } else {
        Part::Whole
    };
    send(entry, coding, part, reply);
}

/// Answers with `part` of one of an entry's representations.
fn send(entry: &Entry, coding: Coding, part: Part, reply: &mut Reply<'_>) {
    let representation = entry.of(coding);
    let length = representation.length;
    let mut text = [0; CONTENT_RANGE_BYTES];
    let (status, start, end) = match part {
        Part::Whole => (200, 0, length),
        Part::Some { start, end } => (206, start, end),
        Part::None => {
            let content_range = write_range(&mut text, format_args!("bytes */{length}"));
            let fields: [(&str, &[u8]); 2] =
                [("Content-Range", content_range), ("Content-Type", b"text/plain")];
            return reply.send_with(416, &fields, UNSATISFIABLE);
        }
    };
    let mut fields = Fields::new();
    fields.add("Content-Type", entry.content_type.as_bytes());
    if let Some(name) = coding.name() {
        fields.add("Content-Encoding", name.as_bytes());
    }
    // RFC 9110 section 12.5.5: also with the answer that a client without Accept-Encoding gets.
    if entry.varies() {
        fields.add("Vary", b"Accept-Encoding");
    }
    fields.add("ETag", &representation.etag);
    if let Some(modified) = &representation.modified {
        fields.add("Last-Modified", &modified.text);
    }
    fields.add("Accept-Ranges", b"bytes");
    if status == 206 {
        let last = end - 1;
        let range = format_args!("bytes {start}-{last}/{length}");
        fields.add("Content-Range", write_range(&mut text, range));
    }
    match &representation.content {
        Content::Memory(bytes) => {
            reply.send_with(status, fields.as_slice(), &bytes[start as usize..end as usize]);
        }
        Content::File(file) => {
            let source = Source::File { file: Arc::clone(file), at: start, end };
            reply.stream(status, fields.as_slice(), source);
        }
    }
}

const UNSATISFIABLE: &[u8] = b"Range Not Satisfiable: the file ends before the range begins\n";

/// Room for three numbers of 64 bits: `bytes a-b/c`.
const CONTENT_RANGE_BYTES: usize = 72;

fn write_range<'t>(
    text: &'t mut [u8; CONTENT_RANGE_BYTES],
    range: std::fmt::Arguments<'_>,
) -> &'t [u8] {
    let mut rest = &mut text[..];
    // It fits.
    let _ = rest.write_fmt(range);
    let left = rest.len();
    &text[..CONTENT_RANGE_BYTES - left]
}

#[cold]
fn not_acceptable(reply: &mut Reply<'_>) {
    let fields: [(&str, &[u8]); 2] =
        [("Content-Type", b"text/plain"), ("Vary", b"Accept-Encoding")];
    let body = b"Not Acceptable: Accept-Encoding rules out every form that the file has\n";
    reply.send_with(406, &fields, body);
}

#[cold]
fn refuse(refusal: Refusal, request: &Request<'_>, reply: &mut Reply<'_>) {
    match refusal {
        Refusal::Malformed => reply.error(
            400,
            "expected /static/PATH with each % before two hexadecimal digits that are not 00",
        ),
        Refusal::NotFound => reply.error(404, "there is no such file"),
        Refusal::Forbidden => reply.error(403, "the server may not read this file"),
        Refusal::Directory => redirect(request, reply),
        Refusal::Busy => reply.error(503, "the file cannot be opened at the moment"),
        Refusal::Failed => reply.error(500, "the file cannot be read"),
    }
}

/// To a directory's own path, which ends in a slash: relative links on its page count from there.
fn redirect(request: &Request<'_>, reply: &mut Reply<'_>) {
    // As it was sent: it is encoded as it must be, and begins with the route's own path, so that it
    // cannot be taken for another host's (`//host/`).
    let mut location = [request.head.path, b"/"].concat();
    if let Some(query) = request.head.query {
        location.push(b'?');
        location.extend_from_slice(query);
    }
    let fields: [(&str, &[u8]); 2] = [("Location", &location), ("Content-Type", b"text/plain")];
    let body = b"Moved Permanently: the path of a directory ends in a slash\n";
    reply.send_with(301, &fields, body);
}

/// The values of all header fields called `name`, in their order (RFC 9110 section 5.3).
fn values<'a>(headers: &'a [Header<'a>], name: &'static str) -> impl Iterator<Item = &'a [u8]> {
    headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name)).map(|h| h.value)
}

/// The value of the only header field called `name`. Two of them are none where one is allowed.
fn single<'a>(headers: &'a [Header<'a>], name: &'static str) -> Option<&'a [u8]> {
    let mut found = values(headers, name);
    let first = found.next()?;
    found.next().is_none().then_some(first)
}
