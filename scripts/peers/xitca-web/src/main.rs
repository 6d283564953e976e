//! xitca-web as a peer of ringserve.
//!
//! Tuned as in the published benchmarks it takes part in, those that use the web framework and not only
//! the HTTP crate below it: as many workers as asked for, no vectored writes, no middleware, none of the
//! default features but HTTP/1, long keep-alive, mimalloc, fat LTO. Fair because requests go through its
//! router, extractors and answers, with the same status, body, Content-Type and Date as the others.

use std::io;
use std::time::Duration;

use records::{Order, Ping};
use xitca_web::App;
use xitca_web::handler::handler_service;
use xitca_web::handler::json::Json;
use xitca_web::handler::state::StateRef;
use xitca_web::http::WebResponse;
use xitca_web::http::header::{CONTENT_TYPE, HeaderValue};
use xitca_web::route::{get, post};

#[path = "../../args.rs"]
mod args;
#[path = "../../records.rs"]
mod records;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TEXT_PLAIN: HeaderValue = HeaderValue::from_static("text/plain");
const FOR_LONG: Duration = Duration::from_secs(300);

async fn hello() -> WebResponse {
    let mut response = WebResponse::new(args::BODY.into());
    response.headers_mut().insert(CONTENT_TYPE, TEXT_PLAIN);
    response
}

async fn orders(StateRef(orders): StateRef<'_, &'static [Order]>) -> Json<&'static [Order]> {
    Json(*orders)
}

async fn ping(ping: Json<Ping>) -> Json<Ping> {
    ping
}

fn main() -> io::Result<()> {
    let args = args::parse();
    let server = App::new()
        .with_state(records::orders())
        .at("/", get(handler_service(hello)))
        .at("/orders", get(handler_service(orders)))
        .at("/ping", post(handler_service(ping)))
        .serve()
        .worker_threads(args.threads)
        .backlog(u32::from(args::BACKLOG))
        .keep_alive_timeout(FOR_LONG)
        .request_head_timeout(FOR_LONG)
        .disable_vectored_write()
        .disable_signal()
        .bind(args.listen)?;
    args::say_ready("peer-xitca-web", &args);
    server.run().wait()
}
