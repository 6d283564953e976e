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
use ntex::http::{HttpService, HttpServiceConfig, KeepAlive, Request, Response};
use ntex::time::Seconds;
use ntex::util::Ready;

#[path = "../../args.rs"]
mod args;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TEXT_PLAIN: HeaderValue = HeaderValue::from_static("text/plain");

fn answer(request: &Request) -> Response {
    if request.path() != "/" {
        return Response::NotFound().finish();
    }
    let mut response = Response::Ok();
    response.header(CONTENT_TYPE, TEXT_PLAIN);
    response.body(args::BODY)
}

#[ntex::main]
async fn main() -> io::Result<()> {
    let args = args::parse();
    // A time of zero means no check.
    let http = HttpServiceConfig::new().set_keepalive(KeepAlive::Os).set_headers_read_rate(
        Seconds::ZERO,
        Seconds::ZERO,
        0,
    );
    let server = ntex::server::build()
        .workers(args.threads)
        .backlog(i32::from(args::BACKLOG))
        .maxconn(20_000)
        .disable_signals()
        .bind("peer", args.listen, async |_| {
            HttpService::h1(|request: Request| Ready::Ok::<_, io::Error>(answer(&request)))
        })?
        .config("peer", SharedCfg::new("PEER").add(http));
    args::say_ready("peer-ntex", &args);
    server.run().await
}
