//! How long a script's `delay()` makes a connection wait, in virtual time: as long as it says, and not
//! until the next tick of some wheel.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;

use clap::Parser;
use ringbench_engine::sim::{Outcome, Sim, SimOptions};
use ringbench_engine::{ConnId, Handler, Ops};
use ringload::Flags;
use ringload::handler::{Load, Shared};
use ringload::script::{Script, ScriptTarget};
use ringload::source::Material;

/// What tests/scripts/idle.lua waits before each request.
const DELAY_NS: u64 = 50_000_000;
/// More than the simulated network takes for an exchange.
const EXCHANGE_NS: u64 = 10_000;
const RUN_NS: u64 = 10_000_000_000;

/// Answers at once, and remembers when it was asked.
#[derive(Default)]
struct Site {
    asked_ns: Vec<(ConnId, u64)>,
}

impl Handler for Site {
    fn received(&mut self, ops: &mut Ops, conn: ConnId, bytes: &[u8]) {
        assert!(bytes.ends_with(b"\r\n\r\n"), "a request in pieces");
        self.asked_ns.push((conn, ops.now_ns()));
        ops.output(conn).extend_from_slice(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    }
}

#[test]
fn a_delay_is_as_long_as_the_script_says() {
    const CONNECTIONS: u64 = 7;
    let address: SocketAddr = "10.0.0.1:80".parse().expect("an address");
    let url = format!("http://{address}/");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts/idle.lua");
    let script = path.to_string_lossy();
    let connections = CONNECTIONS.to_string();
    let args = ["ringload", "-t1", "-c", &connections, "-d10s", "-s", &script, &url];
    let config = Flags::try_parse_from(args).and_then(Flags::config).expect("flags");
    let target = ScriptTarget {
        url: &url.parse().expect("a URL"),
        addresses: &[address],
        method: "GET",
        headers: &[],
        body: None,
        prints_to_stderr: false,
    };
    let mut script = Script::load(&path, &target, &[], 1).expect("a script");
    let material = Material::script(script.take_shards());
    let shared = Arc::new(Shared::new(&config, material, vec![address.into()]));
    let mut sim = Sim::new(SimOptions { max_delay_ns: 10, ..SimOptions::calm() });
    let server = sim.add_server(address, Site::default());
    let (sender, _messages) = channel();
    let load = sim.add_client(Load::new(shared, 0, sender));
    assert_eq!(sim.run_until_idle(10_000_000), Outcome::Idle);

    let requests = sim.handler(load).tally().counters.requests;
    let expected = CONNECTIONS * (RUN_NS / DELAY_NS);
    assert!((expected - CONNECTIONS..=expected).contains(&requests), "{requests} of {expected}");
    let asked_ns = &sim.handler(server).asked_ns;
    for (number, &(conn, at_ns)) in asked_ns.iter().enumerate() {
        let next = asked_ns[number + 1..].iter().find(|(other, _)| *other == conn);
        let Some((_, next_ns)) = next else { continue };
        let waited_ns = next_ns - at_ns;
        assert!((DELAY_NS..DELAY_NS + EXCHANGE_NS).contains(&waited_ns), "{conn:?}: {waited_ns}");
    }
}
