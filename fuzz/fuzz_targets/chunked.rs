//! The chunked decoder against a second one that is written for nothing but to be plain: what the
//! one reads to its end, the other does, with the same body and the same end.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringbench_http::{HeaderScratch, Limits, ServerConn, ServerEvent, is_token};

const HEAD: &[u8] = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

fuzz_target!(|input: &[u8]| {
    // No limit, so that the two differ in nothing but their reading of the grammar.
    let limits = Limits {
        max_body_bytes: u64::MAX,
        max_chunk_extension_bytes: u32::MAX,
        max_trailer_bytes: u32::MAX,
        ..Limits::default()
    };
    assert_eq!(decode(input, &limits), reference(input));
});

/// The body and how many bytes it took, if it came to its end.
fn decode(input: &[u8], limits: &Limits) -> Option<(Vec<u8>, usize)> {
    let (mut conn, mut scratch) = (ServerConn::new(), HeaderScratch::new());
    let step = conn.next(HEAD, &mut scratch, limits);
    assert!(matches!(step.event, ServerEvent::Request(_)) && step.consumed == HEAD.len());
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let step = conn.next(&input[at..], &mut scratch, limits);
        at += step.consumed;
        match step.event {
            ServerEvent::Body(piece) => body.extend_from_slice(piece),
            ServerEvent::End => return Some((body, at)),
            ServerEvent::NeedMore | ServerEvent::Reject(_) => return None,
            ServerEvent::Request(_) | ServerEvent::Closed => panic!("not before the end"),
        }
    }
}

/// The same after the grammar of RFC 9112 section 7.1, line by line.
fn reference(input: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut body, mut rest) = (Vec::new(), input);
    loop {
        let size = size_of_line(take_line(&mut rest)?)?;
        if size == 0 {
            break;
        }
        let size = usize::try_from(size).ok()?;
        let (data, after) = rest.split_at_checked(size)?;
        body.extend_from_slice(data);
        rest = after.strip_prefix(b"\r\n")?;
    }
    loop {
        match take_line(&mut rest)? {
            [] => return Some((body, input.len() - rest.len())),
            field => {
                let colon = field.iter().position(|&byte| byte == b':')?;
                let sound = is_token(&field[..colon]) && field[colon + 1..].iter().all(is_text);
                if !sound {
                    return None;
                }
            }
        }
    }
}

/// A line that ends with CRLF and has neither of the two within.
fn take_line<'b>(rest: &mut &'b [u8]) -> Option<&'b [u8]> {
    let end = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n'))?;
    let line = &rest[..end];
    *rest = rest[end..].strip_prefix(b"\r\n")?;
    Some(line)
}

fn size_of_line(line: &[u8]) -> Option<u64> {
    let end = line.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(line.len());
    let mut extensions = &line[end..];
    while !extensions.is_empty() {
        extensions = after_extension(extensions)?;
    }
    u64::from_str_radix(std::str::from_utf8(&line[..end]).ok()?, 16).ok()
}

/// What follows `BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ]`.
fn after_extension(text: &[u8]) -> Option<&[u8]> {
    let text = after_space(after_space(text).strip_prefix(b";")?);
    let text = after_token(text)?;
    let Some(value) = after_space(text).strip_prefix(b"=") else { return Some(text) };
    let value = after_space(value);
    match value.strip_prefix(b"\"") {
        Some(quoted) => after_quoted(quoted),
        None => after_token(value),
    }
}

fn after_space(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|byte| !matches!(byte, b' ' | b'\t')).unwrap_or(text.len());
    &text[end..]
}

fn after_token(text: &[u8]) -> Option<&[u8]> {
    let end = text.iter().position(|&byte| !is_token(&[byte])).unwrap_or(text.len());
    (end > 0).then(|| &text[end..])
}

fn after_quoted(mut text: &[u8]) -> Option<&[u8]> {
    loop {
        text = match text {
            [b'"', rest @ ..] => return Some(rest),
            [b'\\', escaped, rest @ ..] if is_text(escaped) => rest,
            [byte, rest @ ..] if is_text(byte) && *byte != b'\\' => rest,
            _ => return None,
        };
    }
}

fn is_text(byte: &u8) -> bool {
    *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f)
}
