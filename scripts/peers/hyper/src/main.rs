//! hyper 1.x as a peer of ringserve.
//!
//! Tuned as hyper's users do for such tests: a current-thread tokio runtime and an SO_REUSEPORT
//! listener of its own on each thread, so that no connection ever changes threads; answers to
//! pipelined requests flushed together (`pipeline_flush`); no timeouts, so no timers; mimalloc; fat
//! LTO. Fair because it parses and answers every request through hyper's public interface, with the
//! same status, body, Content-Type and Date as the others.

use std::convert::Infallible;
use std::io;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, body::Incoming};
use hyper_util::rt::TokioIo;
use records::{Order, Ping};
use serde::Serialize;

#[path = "../../args.rs"]
mod args;
#[path = "../../listener.rs"]
mod listener;
#[path = "../../records.rs"]
mod records;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TEXT_PLAIN: HeaderValue = HeaderValue::from_static("text/plain");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

fn ok(content_type: HeaderValue, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

fn json(value: &(impl Serialize + ?Sized)) -> Response<Full<Bytes>> {
    ok(JSON, serde_json::to_vec(value).expect("records have no maps that could fail"))
}

fn refuse(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

async fn ping(request: Request<Incoming>) -> Response<Full<Bytes>> {
    let Ok(body) = request.into_body().collect().await else {
        return refuse(StatusCode::BAD_REQUEST);
    };
    match serde_json::from_slice::<Ping>(&body.to_bytes()) {
        Ok(ping) => json(&ping),
        Err(_) => refuse(StatusCode::BAD_REQUEST),
    }
}

async fn answer(
    request: Request<Incoming>,
    orders: &[Order],
) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(match request.uri().path() {
        "/" => ok(TEXT_PLAIN, args::BODY),
        "/orders" => json(orders),
        "/ping" if request.method() == Method::POST => ping(request).await,
        _ => refuse(StatusCode::NOT_FOUND),
    })
}

async fn serve(listener: std::net::TcpListener, orders: &'static [Order]) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = match listener.accept().await {
            Ok(accepted) => accepted,
            // Out of descriptors, or gone before it was accepted: the next may do better.
            Err(error) => {
                eprintln!("accept: {error}");
                tokio::task::yield_now().await;
                continue;
            }
        };
        stream.set_nodelay(true)?;
        tokio::task::spawn_local(async move {
            // An error here is a client that went away.
            let _ = http1::Builder::new()
                .pipeline_flush(true)
                .serve_connection(
                    TokioIo::new(stream),
                    service_fn(|request| answer(request, orders)),
                )
                .await;
        });
    }
}

fn serve_on_this_thread(
    listener: std::net::TcpListener,
    orders: &'static [Order],
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, serve(listener, orders))
}

fn main() -> io::Result<()> {
    let args = args::parse();
    let orders = records::orders();
    let listeners =
        (0..args.threads).map(|_| listener::bind(&args)).collect::<io::Result<Vec<_>>>()?;
    args::say_ready("peer-hyper", &args);
    let threads: Vec<_> = listeners
        .into_iter()
        .map(|listener| std::thread::spawn(move || serve_on_this_thread(listener, orders)))
        .collect();
    for thread in threads {
        thread.join().expect("a thread that does not panic")?;
    }
    Ok(())
}
