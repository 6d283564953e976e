//! What one message costs. Each figure is per buffer, so that of the pipelined buffers is to be
//! divided by 16.
#![allow(missing_docs, reason = "criterion's macros make a public function")]

use std::hint::black_box;
use std::mem::MaybeUninit;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ringbench_http::{
    ClientConn, ClientEvent, HeaderScratch, Limits, RequestKind, ResponseBuilder, ServerConn,
    ServerEvent, write_request,
};

/// What wrk sends.
const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n";

const BROWSER: &[u8] = b"GET /forums/1/topics/2375?page=1&sort=new HTTP/1.1\r\n\
    Host: www.example.com\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
    Accept-Language: en-GB,en;q=0.5\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Referer: https://www.example.com/forums/1/topics\r\n\
    Connection: keep-alive\r\n\
    Cookie: csrftoken=XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX; sessionid=YYYYYYYYYYYYYYYYYYYYYYYYYYYY\r\n\
    Upgrade-Insecure-Requests: 1\r\n\
    Sec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: same-origin\r\n\
    Priority: u=0, i\r\n\r\n";

const POST: &[u8] = b"POST /ping HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\
    Content-Type: application/json\r\nContent-Length: 18\r\n\r\n{\"sequence\": 1234}";

const CHUNKED: &[u8] = b"POST /echo HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\
    Transfer-Encoding: chunked\r\n\r\n12\r\n{\"sequence\": 1234}\r\n0\r\n\r\n";

const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nServer: ringserve\r\n\
    Date: Sun, 22 Nov 2026 02:05:00 GMT\r\nContent-Type: text/plain\r\n\
    Content-Length: 13\r\n\r\nHello, World!";

/// Reads all requests in `input`, and says how many there were.
fn serve(conn: &mut ServerConn, input: &[u8], limits: &Limits) -> usize {
    let mut scratch = HeaderScratch::new();
    let mut at = 0;
    let mut requests = 0;
    loop {
        let step = conn.next(&input[at..], &mut scratch, limits);
        at += step.consumed;
        match step.event {
            ServerEvent::NeedMore => return requests,
            ServerEvent::Request(request) => {
                black_box(request.path);
                requests += 1;
            }
            ServerEvent::Body(piece) => drop(black_box(piece.len())),
            ServerEvent::End => {}
            ServerEvent::Reject(_) | ServerEvent::Closed => panic!("all requests are good"),
        }
    }
}

/// Reads all responses in `input`, and says how many there were.
fn collect(conn: &mut ClientConn, input: &[u8], limits: &Limits) -> usize {
    let mut scratch = HeaderScratch::new();
    let mut at = 0;
    let mut responses = 0;
    loop {
        let step = conn.next(&input[at..], &mut scratch, limits);
        at += step.consumed;
        match step.event {
            ClientEvent::NeedMore => return responses,
            ClientEvent::Head(head) => drop(black_box(head.status)),
            ClientEvent::Body(piece) => drop(black_box(piece.len())),
            ClientEvent::End { .. } => responses += 1,
            _ => panic!("all responses are good"),
        }
    }
}

/// httparse alone, without any check of what it finds: the floor under the figures of the server.
fn floor(c: &mut Criterion) {
    let mut group = c.benchmark_group("httparse alone");
    for (name, input) in [("get", GET), ("browser", BROWSER)] {
        group.throughput(Throughput::Elements(1));
        group.bench_function(name, |b| {
            b.iter(|| {
                let mut headers = [const { MaybeUninit::uninit() }; 100];
                let mut request = httparse::Request::new(&mut []);
                let parsed = request.parse_with_uninit_headers(black_box(input), &mut headers);
                assert!(parsed.is_ok_and(|status| status.is_complete()));
                black_box(request.headers.len())
            });
        });
    }
    group.finish();
}

fn requests(c: &mut Criterion) {
    let mut group = c.benchmark_group("server");
    let limits = Limits::default();
    let sixteen = GET.repeat(16);
    for (name, input, count) in [
        ("get", GET, 1),
        ("get x16 pipelined", &sixteen, 16),
        ("browser", BROWSER, 1),
        ("post with a body", POST, 1),
        ("post in chunks", CHUNKED, 1),
    ] {
        group.throughput(Throughput::Elements(count as u64));
        let mut conn = ServerConn::new();
        group.bench_function(name, |b| {
            b.iter(|| assert_eq!(serve(&mut conn, black_box(input), &limits), count));
        });
    }
    group.throughput(Throughput::Elements(1));
    group.bench_function("browser, cut in three", |b| {
        let (mut conn, mut scratch) = (ServerConn::new(), HeaderScratch::new());
        b.iter(|| {
            for cut in [50, 300] {
                let step = conn.next(black_box(&BROWSER[..cut]), &mut scratch, &limits);
                assert!(matches!(step.event, ServerEvent::NeedMore));
            }
            assert_eq!(serve(&mut conn, black_box(BROWSER), &limits), 1);
        });
    });
    group.finish();
}

fn responses(c: &mut Criterion) {
    let mut group = c.benchmark_group("client");
    let limits = Limits::client();
    let sixteen = RESPONSE.repeat(16);
    for (name, input, count) in
        [("response", RESPONSE, 1), ("response x16 pipelined", &sixteen, 16)]
    {
        group.throughput(Throughput::Elements(count as u64));
        let mut conn = ClientConn::new();
        group.bench_function(name, |b| {
            b.iter(|| {
                for _ in 0..count {
                    conn.sent(RequestKind::Normal);
                }
                assert_eq!(collect(&mut conn, black_box(input), &limits), count);
            });
        });
    }
    group.finish();
}

fn encode(c: &mut Criterion) {
    let mut group = c.benchmark_group("encode");
    let mut out = Vec::with_capacity(1024);
    group.bench_function("response", |b| {
        b.iter(|| {
            out.clear();
            let builder = ResponseBuilder::new(&mut out, black_box(200)).unwrap();
            let builder = builder.prepared(b"Server: ringserve\r\n");
            builder.header("Content-Type", "text/plain").unwrap().body(b"Hello, World!").unwrap();
        });
    });
    group.bench_function("request", |b| {
        b.iter(|| {
            out.clear();
            let headers = [("Accept", "*/*")];
            write_request(&mut out, "GET", black_box("/"), "127.0.0.1:8080", &headers, None)
                .unwrap();
        });
    });
    group.finish();
}

criterion_group! {
    name = codec;
    config = Criterion::default()
        .warm_up_time(std::time::Duration::from_millis(300))
        .measurement_time(std::time::Duration::from_secs(1))
        .without_plots();
    targets = floor, requests, responses, encode
}
criterion_main!(codec);
