//! axum 0.8 as a peer of ringserve.
//!
//! Tuned as in the published benchmarks it takes part in: its router on hyper's HTTP/1 connections
//! (`axum::serve` would also look for HTTP/2 and for upgrades), a current-thread tokio runtime and an
//! SO_REUSEPORT listener of its own on each thread, answers to pipelined requests flushed together
//! (`pipeline_flush`), no timeouts, no middleware, mimalloc, fat LTO. Fair because requests go through
//! axum's router, extractors and answers, with the same status, body, Content-Type and Date as the
//! others.

use std::io;

use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use records::{Order, Ping};

#[path = "../../args.rs"]
mod args;
#[path = "../../listener.rs"]
mod listener;
#[path = "../../records.rs"]
mod records;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TEXT_PLAIN: HeaderValue = HeaderValue::from_static("text/plain");

async fn hello() -> impl IntoResponse {
    ([(CONTENT_TYPE, TEXT_PLAIN)], args::BODY)
}

async fn orders(State(orders): State<&'static [Order]>) -> Json<&'static [Order]> {
    Json(orders)
}

async fn ping(ping: Json<Ping>) -> Json<Ping> {
    ping
}

async fn serve(listener: std::net::TcpListener, app: Router) -> io::Result<()> {
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
        let service = TowerToHyperService::new(app.clone());
        tokio::spawn(async move {
            // An error here is a client that went away.
            let _ = http1::Builder::new()
                .pipeline_flush(true)
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

fn serve_on_this_thread(listener: std::net::TcpListener, app: Router) -> io::Result<()> {
    tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?
        .block_on(serve(listener, app))
}

fn main() -> io::Result<()> {
    let args = args::parse();
    let app = Router::new()
        .route("/", get(hello))
        .route("/orders", get(orders))
        .route("/ping", post(ping))
        .with_state(records::orders());
    let listeners =
        (0..args.threads).map(|_| listener::bind(&args)).collect::<io::Result<Vec<_>>>()?;
    args::say_ready("peer-axum", &args);
    let threads: Vec<_> = listeners
        .into_iter()
        .map(|listener| {
            let app = app.clone();
            std::thread::spawn(move || serve_on_this_thread(listener, app))
        })
        .collect();
    for thread in threads {
        thread.join().expect("a thread that does not panic")?;
    }
    Ok(())
}
