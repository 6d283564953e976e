//! actix-web 4 as a peer of ringserve.
//!
//! Tuned as in the published benchmarks it takes part in: as many workers as asked for, connections
//! kept alive without a timer (`KeepAlive::Os`), no request timeout, three routes and no middleware,
//! none of the default features (compression, cookies, HTTP/2), mimalloc, fat LTO. Fair because it
//! answers through actix-web's public interface, with the same status, body, Content-Type and Date as
//! the others. It accepts on a thread of its own, whose CPU time is the server's, like the rest.

use std::time::Duration;

use actix_web::http::KeepAlive;
use actix_web::http::header::{CONTENT_TYPE, HeaderValue};
use actix_web::{App, HttpResponse, HttpServer, web};

#[path = "../../args.rs"]
mod args;
#[path = "../../records.rs"]
mod records;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TEXT_PLAIN: HeaderValue = HeaderValue::from_static("text/plain");

async fn answer() -> HttpResponse {
    HttpResponse::Ok().insert_header((CONTENT_TYPE, TEXT_PLAIN)).body(args::BODY)
}

async fn ping(ping: web::Json<records::Ping>) -> web::Json<records::Ping> {
    ping
}

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let args = args::parse();
    let orders = records::orders();
    let server = HttpServer::new(move || {
        App::new()
            .route("/", web::get().to(answer))
            .route("/orders", web::get().to(move || async move { HttpResponse::Ok().json(orders) }))
            .route("/ping", web::post().to(ping))
    })
    .workers(args.threads)
    .backlog(u32::from(args::BACKLOG))
    .max_connections(25_000)
    .max_connection_rate(20_000)
    .keep_alive(KeepAlive::Os)
    .client_request_timeout(Duration::ZERO)
    .disable_signals()
    .bind(args.listen)?;
    args::say_ready("peer-actix-web", &args);
    server.run().await
}
