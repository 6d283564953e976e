//! Any split of any byte stream gives the same events.

mod common;

use common::{client, every_byte, server, whole};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use ringbench_http::{Limits, RequestKind};

/// Limits that short inputs reach.
fn small() -> Limits {
    Limits {
        max_head_bytes: 200,
        max_target_bytes: 40,
        max_headers: 5,
        max_body_bytes: 50,
        max_chunk_extension_bytes: 12,
        max_trailer_bytes: 30,
    }
}

/// What requests are made of, good and bad.
const REQUEST_PARTS: &[&str] = &[
    "GET / HTTP/1.1\r\n",
    "POST /a?b HTTP/1.1\r\n",
    "HEAD / HTTP/1.0\r\n",
    "GET / HTTP/1.3\n",
    "GET http://b/c HTTP/1.1\r\n",
    "OPTIONS * HTTP/1.1\r\n",
    "CONNECT a:1 HTTP/1.1\r\n",
    "PRI * HTTP/2.0\r\n",
    "GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa HTTP/1.1\r\n",
    "GET  / HTTP/1.1\r\n",
    "Host: a\r\n",
    "host:b:80\n",
    "Content-Length: 5\r\n",
    "Content-Length: 0\r\n",
    "Content-Length: 60\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: gzip\r\n",
    "Connection: close\r\n",
    "Connection: keep-alive\r\n",
    "Expect: 100-continue\r\n",
    "A: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\r\n",
    "A :b\r\n",
    " fold\r\n",
    "\r\n",
    "\n",
    "\r",
    "\r\n\r\n",
    "hello",
    "5\r\nhello\r\n",
    "3;a=\"b\"\r\nfoo\r\n",
    "0\r\n\r\n",
    "0\r\nT: u\r\n\r\n",
    "1 \r\nx\r\n",
    "ffff\r\n",
    "\0",
    "\u{e9}",
    ":",
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
];

/// What responses are made of, good and bad.
const RESPONSE_PARTS: &[&str] = &[
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.0 200 OK\r\n",
    "HTTP/1.1 100 Continue\r\n\r\n",
    "HTTP/1.1 204\n",
    "HTTP/1.1  304 \r\n",
    "HTTP/1.1 20\r\n",
    "HTTP/2.0 200\r\n",
    "HTTP",
    "SSH-2.0\r\n",
    "Content-Length: 5\r\n",
    "Content-Length: x\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Connection: close\r\n",
    "A : b\r\n",
    "A: b\r\n fold\r\n",
    "A:\r\n \r\n",
    " \r\n",
    "bad\r\n",
    "A: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\r\n",
    "\r\n",
    "\n",
    "\r",
    "\r\n\r\n",
    "hello",
    "5\r\nhello\r\n",
    "5  \r\nhello\r\n",
    "0\r\n\r\n",
    "0\r\nT: u\r\n\r\n",
    "\0",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
];

/// Parts put together, then some of the bytes changed, dropped or doubled.
fn stream(parts: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let joined = vec(select(parts), 1..14).prop_map(|parts| parts.concat().into_bytes());
    let mutation = (any::<Index>(), any::<u8>(), 0..3u8);
    (
        joined,
        prop_oneof![3 => Just(0..1), 1 => Just(1..4)]
            .prop_flat_map(move |n| vec(mutation.clone(), n)),
    )
        .prop_map(|(mut bytes, mutations)| {
            for (place, byte, how) in mutations {
                let at = place.index(bytes.len());
                match how {
                    0 => bytes[at] = byte,
                    1 => bytes.insert(at, byte),
                    _ if bytes.len() > 1 => drop(bytes.remove(at)),
                    _ => {}
                }
            }
            bytes
        })
}

fn cuts() -> impl Strategy<Value = Vec<usize>> {
    vec(1..400usize, 0..12).prop_map(|mut cuts| {
        cuts.sort_unstable();
        cuts.dedup();
        cuts
    })
}

fn kinds() -> impl Strategy<Value = Vec<RequestKind>> {
    let some =
        vec(select(&[RequestKind::Normal, RequestKind::Normal, RequestKind::Head][..]), 0..6);
    (some, any::<bool>()).prop_map(|(mut kinds, connect)| {
        if connect {
            kinds.push(RequestKind::Connect);
        }
        kinds
    })
}

fn same_on_server(input: &[u8], cuts: &[usize]) -> Result<(), TestCaseError> {
    for limits in [small(), Limits::default()] {
        let expected = server(input, whole(), &limits);
        prop_assert_eq!(&server(input, cuts.iter().copied(), &limits), &expected);
        prop_assert_eq!(&server(input, every_byte(input), &limits), &expected);
    }
    Ok(())
}

fn same_on_client(
    input: &[u8],
    cuts: &[usize],
    kinds: &[RequestKind],
) -> Result<(), TestCaseError> {
    for limits in [small(), Limits::client()] {
        let expected = client(input, whole(), kinds, &limits);
        prop_assert_eq!(&client(input, cuts.iter().copied(), kinds, &limits), &expected);
        prop_assert_eq!(&client(input, every_byte(input), kinds, &limits), &expected);
    }
    Ok(())
}

proptest! {
    // PROPTEST_CASES asks for more. No file is written: proptest prints what failed, and a case worth
    // keeping belongs into rfc9112.rs or pair.rs.
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(4096), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn requests(input in stream(REQUEST_PARTS), cuts in cuts()) {
        same_on_server(&input, &cuts)?;
    }

    #[test]
    fn responses(input in stream(RESPONSE_PARTS), cuts in cuts(), kinds in kinds()) {
        same_on_client(&input, &cuts, &kinds)?;
    }

    #[test]
    fn random_bytes(input in vec(any::<u8>(), 0..400), cuts in cuts(), kinds in kinds()) {
        same_on_server(&input, &cuts)?;
        same_on_client(&input, &cuts, &kinds)?;
    }
}
