//! What a script costs: nanoseconds per call into Lua, without a network. `cargo bench -p ringload
//! --bench script`; the least of many rounds, because everything that disturbs only adds.
#![allow(missing_docs)]

use std::hint::black_box;
use std::time::Instant;

use ringload::script::{Script, ScriptTarget, ShardScript};

const ROUNDS: u32 = 200;
const CALLS: u32 = 10_000;

const CONSTANT: &str = "local text = wrk.format() function request() return text end";
const FORMAT: &str = "
    local path = '/items'
    function request() return wrk.format(nil, path) end";
const COUNTER: &str = "
    local n = 0
    function request()
        n = n + 1
        wrk.headers['X-Counter'] = n
        return wrk.format(nil, '/' .. n)
    end";
const POST: &str = "
    wrk.method = 'POST'
    wrk.headers['Content-Type'] = 'application/json'
    function request() return wrk.format(nil, '/items', nil, '{\"a\": 1}') end";
const PIPELINE: &str = "
    local text
    function init() text = wrk.format() .. wrk.format(nil, '/2') .. wrk.format(nil, '/3') end
    function request() return text end";
const COUNT_RESPONSES: &str = "n = 0 function response() n = n + 1 end";
const READ_RESPONSES: &str = "
    n = 0
    function response(status, headers, body) n = n + #headers['Content-Type'] + #body end";
const DELAY: &str = "function delay() return 10 end";

const HEADERS: [(&str, &[u8]); 4] = [
    ("Server", b"ringserve"),
    ("Date", b"Fri, 27 Nov 2026 10:00:00 GMT"),
    ("Content-Type", b"text/plain"),
    ("Content-Length", b"13"),
];

fn load(text: &str) -> ShardScript {
    let path = std::env::temp_dir().join(format!("ringload-bench-{}.lua", std::process::id()));
    std::fs::write(&path, text).expect("the temporary folder can be written");
    let target = ScriptTarget {
        url: &"http://127.0.0.1:8080/".parse().expect("a URL"),
        addresses: &[],
        method: "GET",
        headers: &[],
        body: None,
        prints_to_stderr: false,
    };
    let mut script = Script::load(&path, &target, &[], 1).expect("a good script");
    std::fs::remove_file(&path).expect("it was written");
    script.take_shards().remove(0)
}

/// Prints the least time of a call.
fn measure(name: &str, text: &str, mut call: impl FnMut(&mut ShardScript)) {
    let mut shard = load(text);
    let mut least_ns = f64::INFINITY;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..CALLS {
            call(&mut shard);
        }
        least_ns = least_ns.min(start.elapsed().as_nanos() as f64 / f64::from(CALLS));
    }
    println!("{name:<40} {least_ns:7.1} ns");
}

fn main() {
    let mut out = Vec::with_capacity(4096);
    let mut request = |shard: &mut ShardScript| {
        out.clear();
        black_box(shard.request(&mut out).expect("a good script"));
    };
    measure("request: none, static", "", &mut request);
    measure("request: a constant string", CONSTANT, &mut request);
    measure("request: wrk.format(nil, path)", FORMAT, &mut request);
    measure("request: wrk.format, counter in it", COUNTER, &mut request);
    measure("request: wrk.format, POST with a body", POST, &mut request);
    measure("request: three in one string", PIPELINE, &mut request);
    let respond = |shard: &mut ShardScript| {
        shard.response(200, HEADERS, b"Hello, World!").expect("a good script");
    };
    measure("response: without parameters", COUNT_RESPONSES, respond);
    measure("response: 4 headers and a body", READ_RESPONSES, respond);
    let mut number = 0_u64;
    measure("response: the same, one always another", READ_RESPONSES, |shard| {
        number += 1;
        let mut headers = HEADERS;
        let value = number.to_ne_bytes().map(|byte| b'0' + (byte & 7));
        headers[0].1 = &value;
        shard.response(200, headers, b"Hello, World!").expect("a good script");
    });
    measure("delay: a constant", DELAY, |shard| {
        black_box(shard.delay().expect("a good script"));
    });
}
