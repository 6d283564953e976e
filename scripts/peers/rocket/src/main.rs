//! Rocket 0.5 as a peer of ringserve.
//!
//! Tuned as in the published benchmarks it takes part in: its log off, as many workers as asked for,
//! connections kept alive for long, mimalloc, fat LTO. The header fields that it adds by itself are left
//! in (Server, and those of its default shield, about 130 bytes). Fair because it has the same status,
//! body and Date as the others; its text has a charset in the Content-Type. It runs on a runtime that is
//! built here, because Rocket's own takes the number of workers from the environment.

use std::io;

use records::{Order, Ping};
use rocket::fairing::AdHoc;
use rocket::serde::json::Json;
use rocket::{Config, State, config::LogLevel, config::Shutdown, get, post, routes, tokio};

#[path = "../../args.rs"]
mod args;
#[path = "../../records.rs"]
mod records;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[get("/")]
fn hello() -> &'static str {
    args::BODY
}

#[get("/orders")]
fn orders(orders: &State<&'static [Order]>) -> Json<&'static [Order]> {
    Json(*orders.inner())
}

#[post("/ping", data = "<ping>")]
fn ping(ping: Json<Ping>) -> Json<Ping> {
    ping
}

fn main() -> io::Result<()> {
    let args = args::parse();
    let config = Config {
        address: args.listen.ip(),
        port: args.listen.port(),
        workers: args.threads,
        keep_alive: 300,
        log_level: LogLevel::Off,
        // Signals end the program at once, like the others.
        shutdown: Shutdown { ctrlc: false, signals: [].into(), ..Shutdown::default() },
        ..Config::release_default()
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(args.threads)
        .enable_all()
        .build()?;
    let server = rocket::custom(config)
        .manage(records::orders())
        .mount("/", routes![hello, orders, ping])
        .attach(AdHoc::on_liftoff("ready", move |_| {
            Box::pin(async move { args::say_ready("peer-rocket", &args) })
        }));
    match runtime.block_on(server.launch()) {
        Ok(_) => Ok(()),
        Err(error) => Err(io::Error::other(error.to_string())),
    }
}
