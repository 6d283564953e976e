//! The floor under ringserve: the engine with nothing on top of it.
//!
//! Answers every piece of input with the same bytes, unread: what a request costs here is the
//! kernel's TCP and the ring, and what ringserve costs above it is HTTP. For measurements only:
//!
//! ```text
//! cargo run --release -p ringbench-engine --example floor -- 127.0.0.1:8080 0
//! wrk -t1 -c64 -d3 http://127.0.0.1:8080/
//! ```

use std::env;
use std::error::Error;

use ringbench_engine::{ConnId, Engine, EngineConfig, Handler, ListenOptions, Ops, listen, start};

/// As long as ringserve's answer to `GET /`.
const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\nServer: floor\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
    Content-Type: text/plain\r\nContent-Length: 17\r\n\r\nHello, World!\r\n\r\n";

struct Floor;

impl Handler for Floor {
    fn received(&mut self, ops: &mut Ops, conn: ConnId, _: &[u8]) {
        ops.output(conn).extend_from_slice(ANSWER);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let address = arguments.next().ok_or("usage: floor ADDRESS [CORE]")?.parse()?;
    let cores = arguments.next().map(|core| core.parse()).transpose()?.into_iter().collect();
    let config = EngineConfig {
        engine: Engine::Uring,
        cores,
        thread_name: "floor",
        ..EngineConfig::default()
    };
    let shards = start(&config, vec![listen(address, &ListenOptions::default(), 1)?], |_| Floor)?;
    println!("floor: listening on http://{address}");
    shards.join()?;
    Ok(())
}
