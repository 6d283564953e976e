//! The command line that all peers share: `--listen ADDR --threads N`. Included by each with
//! `#[path]`, so that a peer stays one small file that can be read in a minute.

use std::net::SocketAddr;
use std::num::NonZeroUsize;

/// What every peer answers to GET /, as ringserve does.
pub const BODY: &str = "Hello, World!";
/// The queue of connections that wait to be accepted; the kernel lowers it to net.core.somaxconn.
#[allow(dead_code)] // may_minihttp cannot be told
pub const BACKLOG: u16 = 16_384;

/// Where to listen, and with how many threads that serve.
pub struct Args {
    pub listen: SocketAddr,
    pub threads: usize,
}

/// Ends the program with code 2 where the arguments are not understood.
pub fn parse() -> Args {
    let mut args = Args { listen: SocketAddr::from(([127, 0, 0, 1], 8080)), threads: 1 };
    let mut words = std::env::args().skip(1);
    while let Some(flag) = words.next() {
        let value = words.next().unwrap_or_default();
        let known = match flag.as_str() {
            "--listen" => value.parse().map(|listen| args.listen = listen).is_ok(),
            "--threads" => value.parse().map(|n: NonZeroUsize| args.threads = n.get()).is_ok(),
            _ => false,
        };
        if !known {
            eprintln!("bad argument '{flag} {value}'; usage: [--listen ADDR] [--threads N]");
            std::process::exit(2);
        }
    }
    args
}

/// The line that scripts wait for; to be printed when connections are taken.
pub fn say_ready(name: &str, args: &Args) {
    println!("{name}: listening on http://{} ({} threads)", args.listen, args.threads);
}
