//! ntex as a peer of ringserve.
//!
//! Tuned as in the published benchmarks it takes part in: the neon runtime on io_uring, the HTTP/1
//! service by itself (`HttpService::h1`) without the web framework's router above it,
//! connections kept alive without a timer, no rate check on request heads, mimalloc, fat LTO. The
//! still shorter way of some benchmarks, to write the response's bytes by hand through functions that
//! are hidden from the documentation, is left out: that is no server one could build from the manual.
//! Fair because it has the same status, body, Content-Type and Date as the others.
//!
//! ntex 3 and not 4, because 4 needs Rust 1.97.

use std::io;

use ntex::SharedCfg;
use ntex::http::header::{CONTENT_TYPE, HeaderValue};
use ntex::http::{HttpService, HttpServiceConfig, KeepAlive, Method, Request, Response};
use ntex::time::Seconds;
use ntex::util::BytesMut;
use records::{Order, Ping};

#[path = "../../args.rs"]
mod args;
#[path = "../../records.rs"]
mod records;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TEXT_PLAIN: HeaderValue = HeaderValue::from_static("text/plain");

async fn ping(mut request: Request) -> Response {
    let mut body = BytesMut::new();
    let mut payload = request.take_payload();
    while let Some(piece) = payload.recv().await {
        match piece {
            Ok(piece) => body.extend_from_slice(&piece),
            Err(_) => return Response::BadRequest().finish(),
        }
    }
    match serde_json::from_slice::<Ping>(&body) {
        Ok(ping) => Response::Ok().json(&ping),
        Err(_) => Response::BadRequest().finish(),
    }
}

async fn answer(request: Request, orders: &[Order]) -> Response {
    match request.path() {
        "/" => {
            let mut response = Response::Ok();
            response.header(CONTENT_TYPE, TEXT_PLAIN);
            response.body(args::BODY)
        }
        "/orders" => Response::Ok().json(&orders),
        "/ping" if request.method() == Method::POST => ping(request).await,
        _ => Response::NotFound().finish(),
    }
}

#[ntex::main]
async fn main() -> io::Result<()> {
    let args = args::parse();
    let orders = records::orders();
    // A time of zero means no check.
    let http = HttpServiceConfig::new().set_keepalive(KeepAlive::Os).set_headers_read_rate(
        Seconds::ZERO,
        Seconds::ZERO,
        0,
    );
    let server = ntex::server::build()
        .workers(args.threads)
        .backlog(i32::from(args::BACKLOG))
        .maxconn(25_000)
        .disable_signals()
        .bind("peer", args.listen, async move |_| {
            HttpService::h1(move |request: Request| async move {
                Ok::<_, io::Error>(answer(request, orders).await)
            })
        })?
        .config("peer", SharedCfg::new("PEER").add(http));
    args::say_ready("peer-ntex", &args);
    server.run().await
}
