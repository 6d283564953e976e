//! The tables of requests in `tests/corpus`, over sockets: each case is sent whole, and byte by
//! byte.

#[path = "../../../common/http/tests/common/corpus.rs"]
mod table;

use std::io::{Read, Write};

use self::table::{Case, Want, load};
use crate::common::{Client, Ringserve};

/// A case longer than this is sent in small pieces instead of bytes.
const LONG_BYTES: usize = 4096;

pub(crate) fn requests_mean_what_the_rfc_says(engine: &str) {
    let server = Ringserve::start(engine, &[]);
    for table in ["ours.txt", "gunicorn.txt"] {
        let cases = load(table);
        assert!(cases.len() > 200);
        let failures: Vec<String> = cases
            .iter()
            .flat_map(|case| [(case, usize::MAX), (case, 1)])
            .filter_map(|(case, piece_bytes)| {
                let answers = exchange(&server, case, piece_bytes);
                let error = judge(case, &answers).err()?;
                let text = String::from_utf8_lossy(&answers);
                Some(format!("{table}:{} {}: {error}; got {text:?}", case.line, case.name))
            })
            .collect();
        assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n"));
    }
}

/// All that the server says to the case.
fn exchange(server: &Ringserve, case: &Case, piece_bytes: usize) -> Vec<u8> {
    let Client { mut stream, .. } = server.connect();
    let bytes = case.stream();
    let piece_bytes = if bytes.len() > LONG_BYTES { piece_bytes.max(97) } else { piece_bytes };
    for piece in bytes.chunks(piece_bytes.min(bytes.len())) {
        // A server that has refused the case need not take the rest of it.
        if stream.write_all(piece).is_err() {
            break;
        }
    }
    // It may have closed before.
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut answers = Vec::new();
    if let Err(error) = stream.read_to_end(&mut answers) {
        // Who asks for the end and sends on may find a reset behind the answer (RFC 9112 section
        // 9.6). A refusal is followed by a close in stages, lest that take it along.
        let asked_for_it = case.wants.iter().all(|want| matches!(want, Want::Request(_)));
        let is_reset = error.kind() == std::io::ErrorKind::ConnectionReset;
        assert!(is_reset && asked_for_it && !case.goes_on, "{}: {error}", case.name);
    }
    answers
}

fn judge(case: &Case, mut answers: &[u8]) -> Result<(), String> {
    for want in &case.wants {
        match want {
            Want::Request(wanted) if wanted.unfinished => {}
            Want::Request(wanted) => {
                let answer = Answer::take(&mut answers, wanted.method == "HEAD")?;
                if !matches!(answer.status, 200..300 | 404 | 405 | 501) {
                    return Err(format!("{} {:?}", answer.status, wanted.target));
                }
                let echo = wanted.method == "POST" && wanted.target.as_deref() == Some("/echo");
                if echo && answer.body != wanted.body {
                    return Err(format!("the body {:?} came back", answer.body));
                }
            }
            Want::Refusal(statuses) => {
                let before = case.wants.iter().rev().nth(1);
                let head_only = matches!(before, Some(Want::Request(w)) if w.unfinished && w.method == "HEAD")
                    || case.input.starts_with(b"HEAD ");
                let answer = Answer::take(&mut answers, head_only)?;
                if !statuses.contains(&answer.status) || !answer.closes {
                    return Err(format!(
                        "{} where {statuses:?} and a close were due",
                        answer.status
                    ));
                }
            }
            Want::More => {
                // The end of input cuts the message off, which is told, or nothing has come of it.
                if !answers.is_empty() {
                    let answer = Answer::take(&mut answers, case.input.starts_with(b"HEAD "))?;
                    if answer.status != 400 || !answer.closes {
                        return Err(format!("{} where more was awaited", answer.status));
                    }
                }
            }
        }
    }
    if case.goes_on && !case.wants.contains(&Want::More) {
        let answer = Answer::take(&mut answers, false)?;
        if answer.status != 404 {
            return Err(format!("the probe was answered with {}", answer.status));
        }
    }
    if answers.is_empty() { Ok(()) } else { Err("an answer too many".to_owned()) }
}

struct Answer {
    status: u16,
    closes: bool,
    body: Vec<u8>,
}

impl Answer {
    /// The next final response.
    fn take(answers: &mut &[u8], head_only: bool) -> Result<Self, String> {
        loop {
            let end = answers.windows(4).position(|bytes| bytes == b"\r\n\r\n");
            let end = end.ok_or("an answer is missing")? + 4;
            let (head, rest) = answers.split_at(end);
            let head = str::from_utf8(head).map_err(|error| error.to_string())?;
            let status =
                head.strip_prefix("HTTP/1.1 ").and_then(|line| line.get(..3)?.parse().ok());
            let status: u16 = status.ok_or_else(|| format!("no status line: {head:?}"))?;
            let field = |name: &str| {
                let line = head.lines().find_map(|line| line.strip_prefix(name));
                line.map(str::trim)
            };
            let length = field("Content-Length:").map_or(0, |text| text.parse().unwrap_or(0));
            let length = if head_only { 0 } else { length };
            let body = rest.get(..length).ok_or("a body is cut off")?.to_vec();
            *answers = &rest[length..];
            if status != 100 {
                return Ok(Self { status, closes: field("Connection:") == Some("close"), body });
            }
        }
    }
}
