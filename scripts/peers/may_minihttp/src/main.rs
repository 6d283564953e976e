//! may_minihttp as a peer of ringserve.
//!
//! Tuned as in the published benchmarks it takes part in: may without its optional features (no
//! cancellation of I/O, no timeouts), a worker per core and pinned, small coroutine stacks from a
//! pool, mimalloc, fat LTO. Fair with a reservation: it has the same status, body, Content-Type and
//! Date as the others, but is less of a server. It has no timeouts or limits on connections, ignores
//! `Connection: close`, answers HEAD with content, and takes at most 16 header fields.

use std::io;

use bytes::BufMut;
use may_minihttp::{HttpService, HttpServiceFactory, Request, Response};
use records::{Order, Ping};
use serde::Serialize;

#[path = "../../args.rs"]
mod args;
#[path = "../../records.rs"]
mod records;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Peer {
    orders: &'static [Order],
}

fn json(response: &mut Response, value: &(impl Serialize + ?Sized)) -> io::Result<()> {
    response.header("Content-Type: application/json");
    Ok(serde_json::to_writer(response.body_mut().writer(), value)?)
}

impl HttpService for Peer {
    fn call(&mut self, request: Request, response: &mut Response) -> io::Result<()> {
        match request.path() {
            "/" => response.header("Content-Type: text/plain").body(args::BODY),
            "/orders" => json(response, self.orders)?,
            "/ping" if request.method() == "POST" => {
                match serde_json::from_reader::<_, Ping>(request.body()) {
                    Ok(ping) => json(response, &ping)?,
                    Err(_) => {
                        response.status_code(400, "Bad Request");
                    }
                }
            }
            _ => {
                response.status_code(404, "Not Found");
            }
        }
        Ok(())
    }
}

struct Factory {
    orders: &'static [Order],
}

impl HttpServiceFactory for Factory {
    type Service = Peer;

    fn new_service(&self, _id: usize) -> Peer {
        Peer { orders: self.orders }
    }
}

fn main() -> io::Result<()> {
    let args = args::parse();
    may::config().set_workers(args.threads).set_pool_capacity(1000).set_stack_size(0x1000);
    let server = Factory { orders: records::orders() }.start(args.listen)?;
    args::say_ready("peer-may_minihttp", &args);
    server.join().map_err(|_| io::Error::other("the accepting coroutine panicked"))
}
