//! may_minihttp as a peer of ringserve.
//!
//! Tuned as in the published benchmarks it takes part in: may without its optional features (no
//! cancellation of I/O, no timeouts), a worker per core and pinned, small coroutine stacks from a
//! pool, mimalloc, fat LTO. Fair with a reservation: it has the same status, body, Content-Type and
//! Date as the others, but is less of a server. It has no timeouts or limits on connections, ignores
//! `Connection: close`, and takes at most 16 header fields.

use std::io;

use may_minihttp::{HttpService, HttpServiceFactory, Request, Response};

#[path = "../../args.rs"]
mod args;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Hello;

impl HttpService for Hello {
    fn call(&mut self, request: Request, response: &mut Response) -> io::Result<()> {
        match request.path() {
            "/" => response.header("Content-Type: text/plain").body(args::BODY),
            _ => {
                response.status_code(404, "Not Found");
            }
        }
        Ok(())
    }
}

struct Factory;

impl HttpServiceFactory for Factory {
    type Service = Hello;

    fn new_service(&self, _id: usize) -> Hello {
        Hello
    }
}

fn main() -> io::Result<()> {
    let args = args::parse();
    may::config().set_workers(args.threads).set_pool_capacity(1000).set_stack_size(0x1000);
    let server = Factory.start(args.listen)?;
    args::say_ready("peer-may_minihttp", &args);
    server.join().map_err(|_| io::Error::other("the accepting coroutine panicked"))
}
