//! monoio with monoio-http as a peer of ringserve.
//!
//! Tuned as monoio's users do for such tests: a runtime on io_uring and an SO_REUSEPORT listener of its
//! own on each thread, HTTP/1 by monoio-http's server codec, mimalloc, fat LTO. The codec is lower than
//! what the others have: the Date is left to the program (made once a second here), and so is what HEAD
//! and `Connection: close` mean. It cannot tell whether another pipelined request has come already, so
//! each answer is written by itself. Fair because it has the same status, body, Content-Type and Date as
//! the others.

use std::cell::RefCell;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, DATE};
use http::{HeaderValue, Method, StatusCode};
use monoio::io::{sink::SinkExt, stream::Stream};
use monoio::net::{ListenerOpts, TcpListener, TcpStream};
use monoio_http::common::body::BodyExt;
use monoio_http::common::request::Request;
use monoio_http::common::response::Response;
use monoio_http::h1::codec::ServerCodec;
use monoio_http::h1::codec::decoder::FillPayload;
use monoio_http::h1::payload::{FixedPayload, Payload};
use records::{Order, Ping};
use serde::Serialize;

#[path = "../../args.rs"]
mod args;
#[path = "../../records.rs"]
mod records;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TEXT_PLAIN: HeaderValue = HeaderValue::from_static("text/plain");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

thread_local! {
    /// The second since 1970 that the text is for.
    static NOW: RefCell<(u64, HeaderValue)> =
        const { RefCell::new((0, HeaderValue::from_static(""))) };
}

fn date() -> HeaderValue {
    let now = SystemTime::now();
    let second = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    NOW.with_borrow_mut(|(made, text)| {
        if *made != second {
            *made = second;
            *text =
                HeaderValue::try_from(httpdate::fmt_http_date(now)).expect("a date is plain text");
        }
        text.clone()
    })
}

fn response(status: StatusCode, content_type: HeaderValue, body: Bytes) -> Response {
    let mut response = Response::new(Payload::Fixed(FixedPayload::new(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(DATE, date());
    response
}

fn refuse(status: StatusCode) -> Response {
    response(status, TEXT_PLAIN, Bytes::new())
}

fn json(value: &(impl Serialize + ?Sized)) -> Response {
    let body = serde_json::to_vec(value).expect("records have no maps that could fail");
    response(StatusCode::OK, JSON, body.into())
}

async fn ping(request: Request) -> Response {
    let Ok(body) = request.into_body().bytes().await else {
        return refuse(StatusCode::BAD_REQUEST);
    };
    match serde_json::from_slice::<Ping>(&body) {
        Ok(ping) => json(&ping),
        Err(_) => refuse(StatusCode::BAD_REQUEST),
    }
}

async fn answer(request: Request, orders: &[Order]) -> Response {
    match request.uri().path() {
        "/" => response(StatusCode::OK, TEXT_PLAIN, Bytes::from_static(args::BODY.as_bytes())),
        "/orders" => json(orders),
        "/ping" if request.method() == Method::POST => ping(request).await,
        _ => refuse(StatusCode::NOT_FOUND),
    }
}

async fn serve_connection(stream: TcpStream, orders: &'static [Order]) {
    // Where that fails, answers come later, and are right all the same.
    let _ = stream.set_nodelay(true);
    let mut codec = ServerCodec::new(stream);
    while let Some(Ok(request)) = codec.next().await {
        // The body, where there is one, must be fetched before it can be awaited.
        if codec.fill_payload().await.is_err() {
            break;
        }
        let last = request.headers().get(CONNECTION).is_some_and(|value| value == "close");
        let head = request.method() == Method::HEAD;
        let mut response = answer(request, orders).await;
        if head {
            *response.body_mut() = Payload::None;
        }
        let answered = codec.send_and_flush(response).await;
        // An error here is a client that went away.
        if last || answered.is_err() {
            break;
        }
    }
}

struct Peer {
    args: args::Args,
    orders: &'static [Order],
    listening: AtomicUsize,
}

async fn serve(peer: &Peer) -> io::Result<()> {
    let options = ListenerOpts::new().reuse_port(true).backlog(i32::from(args::BACKLOG));
    let listener = TcpListener::bind_with_config(peer.args.listen, &options)?;
    if peer.listening.fetch_add(1, Ordering::Relaxed) + 1 == peer.args.threads {
        args::say_ready("peer-monoio", &peer.args);
    }
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(monoio::spawn(serve_connection(stream, peer.orders))),
            // Out of descriptors, or gone before it was accepted: the next may do better.
            Err(error) => {
                eprintln!("accept: {error}");
                monoio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
}

fn serve_on_this_thread(peer: &Peer) -> io::Result<()> {
    monoio::RuntimeBuilder::<monoio::IoUringDriver>::new()
        .enable_timer()
        .with_entries(4096)
        .build()?
        .block_on(serve(peer))
}

fn main() -> io::Result<()> {
    let peer =
        Peer { args: args::parse(), orders: records::orders(), listening: AtomicUsize::new(0) };
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..peer.args.threads).map(|_| scope.spawn(|| serve_on_this_thread(&peer))).collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().expect("a thread that does not panic"))
    })
}
