//! The scripts of `tests/scripts` and some more, without a network.

use std::path::PathBuf;
use std::process;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use std::{env, fs, thread};

use mlua::{FromLua, Value};
use ringbench_http::RequestKind;
use ringbench_measure::Errors;

use super::*;

/// A script in a file that is deleted with this.
struct File(PathBuf);

impl File {
    fn of(text: &str) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("ringload-{}-{number}.lua", process::id()));
        fs::write(&path, text).expect("the temporary folder can be written");
        Self(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // A file left behind is no reason to fail.
        let _ = fs::remove_file(&self.0);
    }
}

/// Loads a script for a URL, with no more than is needed.
fn load_file(path: &Path, url: &str, args: &[&str], shards: usize) -> Result<Script, ScriptError> {
    let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
    let url: Url = url.parse().expect("a URL");
    let addresses = url.resolve().unwrap_or_default();
    let headers = [("Accept".to_owned(), "text/*".to_owned())];
    let target = ScriptTarget {
        url: &url,
        addresses: &addresses,
        method: "GET",
        headers: &headers,
        body: None,
    };
    Script::load(path, &target, &args, shards)
}

const URL: &str = "http://127.0.0.1:8080/a?b=c";

/// One of `tests/scripts`.
fn known(name: &str, shards: usize) -> Script {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts").join(name);
    load_file(&path, URL, &["/x", "/y"], shards).unwrap_or_else(|error| panic!("{error}"))
}

fn load(text: &str) -> Result<Script, ScriptError> {
    load_file(&File::of(text).0, URL, &[], 1)
}

/// The one shard of a script that is right.
fn shard(text: &str) -> ShardScript {
    load(text).unwrap_or_else(|error| panic!("{error}")).take_shards().remove(0)
}

fn first(mut script: Script) -> ShardScript {
    script.take_shards().remove(0)
}

/// The next request, with its header lines in alphabetical order.
fn request(shard: &mut ShardScript) -> String {
    let mut out = Vec::new();
    shard.request(&mut out).unwrap_or_else(|error| panic!("{error}"));
    let text = String::from_utf8(out).expect("text");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let mut lines: Vec<_> = head.split("\r\n").collect();
    lines[1..].sort_unstable();
    format!("{}\n\n{body}", lines.join("\n"))
}

/// A global of the main state.
fn global<T: FromLua>(script: &Script, name: &str) -> T {
    script.main.lua.globals().get(name).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn done(script: &mut Script) -> Result<(), ScriptError> {
    script.done(Summary::default(), &Histogram::new(), &RateSamples::new())
}

/// What the error of a script says after the name of its file.
fn failure<T>(result: Result<T, ScriptError>) -> String {
    let Err(error) = result else { panic!("no error") };
    let text = error.to_string();
    assert!(text.starts_with("-s/--script "), "{text}");
    assert!(!text.contains("traceback"), "{text}");
    text
}

#[test]
fn without_functions_the_request_is_fixed() {
    let mut shard = first(known("static.lua", 1));
    assert!(shard.is_static() && !shard.has_delay() && !shard.has_response());
    assert_eq!((shard.burst(), shard.address()), (1, None));
    let expected = "GET /a?b=c HTTP/1.1\n\
                    Accept: text/*\nHost: 127.0.0.1:8080\nX-Script: static\n\n";
    assert_eq!(request(&mut shard), expected);
    assert_eq!(request(&mut shard), expected);
    let mut out = b"before".to_vec();
    assert_eq!(shard.request(&mut out).unwrap(), [RequestKind::Normal]);
    assert!(out.starts_with(b"beforeGET "));
}

#[test]
fn the_host_is_as_in_the_url() {
    let host = |url: &str| {
        let script = load_file(&File::of("").0, url, &[], 1).unwrap();
        let request = request(&mut first(script));
        request.lines().find_map(|line| line.strip_prefix("Host: ")).unwrap().to_owned()
    };
    assert_eq!(host("http://127.0.0.1"), "127.0.0.1");
    assert_eq!(host("http://localhost:81/"), "localhost:81");
    assert_eq!(host("http://[::1]:81/"), "[::1]:81");
    assert_eq!(host("http://[::1]/"), "[::1]");
}

#[test]
fn a_request_may_be_several() {
    let mut shard = first(known("pipeline.lua", 1));
    assert!(!shard.is_static());
    assert_eq!(shard.burst(), 3);
    let mut out = Vec::new();
    assert_eq!(shard.request(&mut out).unwrap(), [RequestKind::Normal; 3]);
    let text = String::from_utf8(out).unwrap();
    let starts: Vec<_> = text.lines().filter(|line| line.ends_with("HTTP/1.1")).collect();
    assert_eq!(starts, ["GET /one HTTP/1.1", "GET /two?x=1 HTTP/1.1", "GET /three HTTP/1.1"]);
    assert_eq!(text.matches("Host: 127.0.0.1:8080\r\n").count(), 3);
}

#[test]
fn several_requests_are_counted_each_time() {
    use RequestKind::{Head, Normal};
    let mut shard = shard(
        "local turn = 0
         function request()
            turn = turn + 1
            local all = wrk.format('HEAD') .. wrk.format('POST', '/', nil, 'HEAD / ')
            return turn % 2 == 0 and all .. wrk.format('HEAD') or all
         end",
    );
    assert_eq!(shard.burst(), 2);
    let mut out = Vec::new();
    assert_eq!(shard.request(&mut out).unwrap(), [Head, Normal, Head]);
    assert_eq!(shard.request(&mut out).unwrap(), [Head, Normal]);
}

#[test]
fn a_body_brings_its_length() {
    let mut shard = first(known("post.lua", 1));
    assert!(shard.is_static());
    assert_eq!(
        request(&mut shard),
        "POST /a?b=c HTTP/1.1\nAccept: text/*\nContent-Length: 29\n\
         Content-Type: application/x-www-form-urlencoded\nHost: 127.0.0.1:8080\n\n\
         name=ring&colour=blue%20green"
    );
}

#[test]
fn method_and_body_of_the_command_line_are_the_defaults() {
    let url: Url = "http://h/".parse().unwrap();
    let target = ScriptTarget {
        url: &url,
        addresses: &[],
        method: "PUT",
        headers: &[("host".to_owned(), "mine".to_owned())],
        body: Some(b"\0\xff"),
    };
    let script = Script::load(&File::of("").0, &target, &[], 1).unwrap();
    let mut out = Vec::new();
    first(script).request(&mut out).unwrap();
    assert_eq!(out, b"PUT / HTTP/1.1\r\nhost: mine\r\nContent-Length: 2\r\n\r\n\0\xff");
}

#[test]
fn a_token_from_a_response_goes_into_the_requests_that_follow() {
    let mut shard = first(known("auth.lua", 1));
    assert!(shard.has_response() && shard.wants_headers() && shard.wants_body());
    assert!(request(&mut shard).starts_with("GET /login HTTP/1.1\nAccept: text/*\nHost"));
    let headers: [(&str, &[u8]); 2] = [("X-Token", b"s3cret"), ("Content-Length", b"0")];
    shard.response(200, headers, b"").unwrap();
    let after = "GET /private HTTP/1.1\nAccept: text/*\nAuthorization: Bearer s3cret\n\
                 Host: 127.0.0.1:8080\n\n";
    assert_eq!(request(&mut shard), after);
    shard.response(200, [("X-Token", &b"another"[..])], b"").unwrap();
    assert_eq!(request(&mut shard), after);
}

#[test]
fn the_first_shard_is_asked_once_more_than_it_sends() {
    let mut shards = known("counter.lua", 2).take_shards();
    assert!(request(&mut shards[0]).starts_with("GET /item/2 HTTP/1.1\n"));
    assert!(request(&mut shards[0]).starts_with("DELETE /item/3 HTTP/1.1\n"));
    let second = request(&mut shards[1]);
    assert!(second.starts_with("GET /item/1 HTTP/1.1\n") && second.contains("X-Count: 1\n"));
}

#[test]
fn arguments_reach_init() {
    let mut shard = first(known("args.lua", 1));
    let paths: Vec<_> = (0..3).map(|_| request(&mut shard)).collect();
    for (text, path) in paths.iter().zip(["/y", "/27", "/x"]) {
        assert!(text.starts_with(&format!("GET {path} HTTP/1.1\n")), "{text}");
    }
}

#[test]
fn threads_count_for_themselves_and_done_adds_up() {
    let mut script = known("threads.lua", 2);
    let run = |(mut shard, count): (ShardScript, u64)| {
        for number in 0..count {
            request(&mut shard);
            shard.response(if number == 0 { 404 } else { 200 }, [], b"").unwrap();
        }
    };
    let shards = script.take_shards().into_iter().zip([3, 5]);
    let threads: Vec<_> = shards.map(|shard| thread::spawn(move || run(shard))).collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert!(script.take_shards().is_empty());

    assert!(script.has_done().unwrap());
    done(&mut script).unwrap();
    assert_eq!(global::<u64>(&script, "total"), 9, "eight, and the one that was looked at");
    let statuses: std::collections::BTreeMap<u16, u64> = global(&script, "statuses");
    assert_eq!(statuses.into_iter().collect::<Vec<_>>(), [(200, 6), (404, 2)]);
    let report: Vec<String> = global(&script, "report");
    assert_eq!(report, ["thread 1 sent 4", "thread 2 sent 5"]);
}

#[test]
fn values_are_copied_between_the_states() {
    let script = load(
        "function setup(thread)
            thread:set('number', 1.5)
            thread:set('text', 'a\\0b')
            thread:set('yes', true)
            thread:set('none', nil)
            local nested = { 1, 2, { deep = 'down' }, [true] = false }
            thread:set('nested', nested)
            nested[1] = 'changed later'
            back = thread:get('nested')
            missing = thread:get('nowhere')
            text = thread:get('text')
            unknown = thread.unknown
            _, no_function = pcall(thread.set, thread, 'f', print)
            nested.nested = nested
            _, no_end = pcall(thread.set, thread, 'nested', nested)
            _, no_field = pcall(function() thread.name = 1 end)
         end
         function init()
            assert(number == 1.5 and #text == 3 and yes == true and none == nil)
            assert(nested[1] == 1 and nested[3].deep == 'down' and nested[true] == false)
            wrk.thread:set('own', { nested })
            assert(own[1][2] == 2 and own[1] ~= nested and wrk.thread:get('number') == 1.5)
         end",
    );
    let script = script.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(global::<mlua::Table>(&script, "back").get::<u32>(1).unwrap(), 1);
    assert_eq!(global::<mlua::LuaString>(&script, "text").as_bytes().as_ref(), b"a\0b");
    assert!(global::<Value>(&script, "missing").is_nil());
    assert!(global::<Value>(&script, "unknown").is_nil());
    let message = |name| global::<Value>(&script, name).to_string().unwrap();
    let refused = message("no_function");
    assert!(refused.contains("cannot transfer 'function' to thread"), "{refused}");
    let refused = message("no_end");
    assert!(refused.contains("nested more than 100 deep"), "{refused}");
    let refused = message("no_field");
    assert!(refused.contains("name"), "{refused}");
}

#[test]
fn delays_are_whole_milliseconds() {
    let mut growing = first(known("delay.lua", 1));
    assert!(growing.has_delay() && growing.is_static());
    assert_eq!(growing.delay().unwrap(), Duration::from_millis(10));
    assert_eq!(growing.delay().unwrap(), Duration::from_millis(20));
    for (text, expected_ms) in
        [("1.9", 1), ("'15'", 15), ("-5", 0), ("0/0", 0), ("nil", 0), ("{}", 0), ("2^40", 1 << 40)]
    {
        let mut shard = shard(&format!("function delay() return {text} end"));
        assert_eq!(shard.delay().unwrap(), Duration::from_millis(expected_ms), "{text}");
    }
    assert_eq!(shard("function delay() end").delay().unwrap(), Duration::ZERO);
}

#[test]
fn setup_chooses_where_a_thread_connects() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts/addr.lua");
    let script = load_file(&path, &format!("http://{address}/"), &[], 3).unwrap();
    let other = SocketAddr::new([127, 0, 0, 9].into(), address.port());
    assert_eq!(script.address(0), Some(address));
    assert_eq!(script.address(1), Some(other));
    assert_eq!(script.address(2), Some(address));
    assert_eq!(script.address(3), None, "there is no such shard");
    assert_eq!(global::<String>(&script, "names"), format!("{address} {other} {address} "));
}

#[test]
fn addresses_can_be_looked_up_tried_and_changed() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let script = load(&format!(
        "function setup(thread)
            before = tostring(thread.addr)
            first = tostring(wrk.addrs[1])
            service = tostring(wrk.lookup('127.0.0.1', 'https')[1])
            open = wrk.connect(wrk.lookup('127.0.0.1', '{0}')[1])
            wrk.resolve('127.0.0.1', '{0}')
            none_answers = #wrk.addrs == 0
            wrong = pcall(function() thread.addr = '127.0.0.1:1' end)
         end
         function response() wrk.thread.addr = wrk.lookup('127.0.0.2', 82)[1] end",
        closed.port()
    ));
    let mut script = script.unwrap_or_else(|error| panic!("{error}"));
    for (name, value) in
        [("before", "127.0.0.1:8080"), ("first", "127.0.0.1:8080"), ("service", "127.0.0.1:443")]
    {
        assert_eq!(global::<String>(&script, name), value, "{name}");
    }
    assert!(global::<bool>(&script, "none_answers"));
    assert!(!global::<bool>(&script, "open") && !global::<bool>(&script, "wrong"));
    assert_eq!(script.address(0), None, "it was not set");
    let mut shard = script.take_shards().remove(0);
    shard.response(200, [], b"").unwrap();
    let moved = Some("127.0.0.2:82".parse().unwrap());
    assert_eq!((shard.address(), script.address(0)), (moved, moved));
}

#[test]
fn a_thread_stops_itself_or_is_stopped_by_setup() {
    let mut shards = known("stop.lua", 2).take_shards();
    for _ in 0..2 {
        shards[0].response(200, [], b"").unwrap();
    }
    assert!(!shards[0].is_stopped());
    shards[0].response(200, [], b"").unwrap();
    assert!(shards[0].is_stopped() && !shards[1].is_stopped());
    assert!(shard("function setup(thread) thread:stop() end").is_stopped());
}

#[test]
fn responses_come_with_headers_and_body() {
    let mut script = known("print.lua", 1);
    let mut shard = script.take_shards().remove(0);
    let headers: [(&str, &[u8]); 4] =
        [("Empty", b""), ("X-A", b"first"), ("X-A", b"last: \xe9"), ("Z", b"a b")];
    shard.response(418, headers, b"tea\n\0").unwrap();
    let first: Vec<mlua::LuaString> = shard_global(&shard, "lines");
    assert_eq!(first.len(), 4);
    shard.response(200, [], b"").unwrap();
    shard.response(200, [("Only", &b"one"[..])], b"").unwrap();
    let all: Vec<mlua::LuaString> = shard_global(&shard, "lines");
    let again: std::collections::BTreeSet<_> =
        all.iter().map(|line| line.as_bytes().to_vec()).collect();
    assert!(again.contains(&b"200 0 "[..]) && again.contains(&b"Only: one"[..]));
    assert_eq!(all.len(), 7, "nothing is left of the headers before");
    let lines = first;
    let lines: Vec<_> = lines.iter().map(|line| line.as_bytes().to_vec()).collect();
    assert_eq!(lines, [&b"Empty: "[..], b"X-A: last: \xe9", b"Z: a b", b"418 5 tea\n\0"]);
}

/// A global of a shard's state.
fn shard_global<T: FromLua>(shard: &ShardScript, name: &str) -> T {
    shard.lua().globals().get(name).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn what_a_response_has_no_parameter_for_is_not_wanted() {
    for (parameters, headers, body) in [
        ("", false, false),
        ("status", false, false),
        ("status, headers", true, false),
        ("status, headers, body", true, true),
        ("...", true, true),
    ] {
        let shard = shard(&format!("function response({parameters}) end"));
        assert!(shard.has_response());
        assert_eq!((shard.wants_headers(), shard.wants_body()), (headers, body), "{parameters}");
    }
    assert!(shard("response = print").wants_body(), "a function of C's may want all");
    let none = shard("response = 1");
    assert!(!none.has_response() && !none.wants_headers() && !none.wants_body());
}

#[test]
fn functions_may_be_replaced_during_the_run() {
    let mut changing = shard(
        "function request() return wrk.format(nil, '/before') end
         function response(status)
            request = function() return wrk.format(nil, '/after') end
            response = function() count = (count or 0) + 1 end
         end",
    );
    assert!(request(&mut changing).starts_with("GET /before "));
    for _ in 0..3 {
        changing.response(200, [], b"").unwrap();
    }
    assert!(request(&mut changing).starts_with("GET /after "));
    assert_eq!(shard_global::<u64>(&changing, "count"), 2);

    let mut greedy =
        shard("function response(status) response = function(status, headers, body) end end");
    greedy.response(200, [], b"").unwrap();
    let message = failure(greedy.response(200, [], b""));
    assert!(message.contains("in response(): `response` was replaced"), "{message}");
}

#[test]
fn done_is_given_all_figures() {
    let mut script = known("report.lua", 1);
    let (mut latency, mut rates) = (Histogram::new(), RateSamples::new());
    for value_ns in [100_000, 200_000, 200_100, 1_000_400] {
        latency.record(value_ns);
    }
    rates.record(50);
    rates.record(70);
    let errors = Errors { connect: 1, read: 2, write: 3, timeout: 4, status: 5 };
    let summary = Summary { duration_us: 1_500_000, requests: 4, bytes: 99, errors };
    script.done(summary, &latency, &rates).unwrap();
    // Summary, errors, min, max, mean, stdev, then 50, 90, 99, 99.999 %.
    let report = "1500000,4,99,1,2,3,5,4,100,1000,375.1,419.510,200,1000,1000,1000";
    assert_eq!(global::<String>(&script, "report"), report);
    assert_eq!(global::<Vec<String>>(&script, "values"), ["100x1", "200x2", "1000x1"]);
    assert_eq!(global::<u64>(&script, "counted"), 4);
    assert_eq!(global::<Vec<f64>>(&script, "rates"), [2.0, 50.0, 70.0, 60.0, 70.0]);
}

#[test]
fn done_without_a_single_response() {
    let mut script = load(
        "function done(summary, latency, requests)
            all = { #latency, latency.min, latency.max, latency.mean, latency.stdev,
               latency:percentile(99), #requests, requests.min, requests:percentile(50) }
            all[10], all[11] = latency(1)
            all[12], all[13] = latency(0)
         end",
    )
    .unwrap();
    done(&mut script).unwrap();
    assert_eq!(global::<Vec<f64>>(&script, "all"), [0.0; 13]);
    let mut none = load("").unwrap();
    assert!(!none.has_done().unwrap());
    done(&mut none).unwrap();
}

#[test]
fn format_adds_what_is_missing() {
    let mut shard = shard(
        "local turn, calls = 0, {
            function() return wrk.format('GET', '/1', { A = 'b' }) end,
            function() return wrk.format(nil, '/2', { host = 'x', ['content-length'] = 7 }) end,
            function() return wrk.format(nil, nil, { ['CONTENT-LENGTH'] = 1 }, 'four') end,
            function() return wrk.format(nil, '/4', { [1] = true, N = 2.5 }, 12) end,
            function()
               local value = setmetatable({}, { __tostring = function() return wrk.format() end })
               return wrk.format(nil, '/5', { A = #tostring(value), B = setmetatable({}, {
                  __tostring = function() return tostring(#wrk.format(nil, '/other')) end }) })
            end,
            function() return wrk.format('GET', wrk.headers.A or 'unchanged') end,
         }
         function request()
            turn = turn % #calls + 1
            return calls[turn]()
         end",
    );
    let texts: Vec<_> = (0..6).map(|_| request(&mut shard)).collect();
    let host = "Host: 127.0.0.1:8080";
    assert_eq!(texts[0], "GET /2 HTTP/1.1\nhost: x\n\n");
    assert_eq!(texts[1], format!("GET /a?b=c HTTP/1.1\nContent-Length: 4\n{host}\n\nfour"));
    let expected = format!("GET /4 HTTP/1.1\n1: true\nContent-Length: 2\n{host}\nN: 2.5\n\n12");
    assert_eq!(texts[2], expected);
    assert_eq!(texts[3], format!("GET /5 HTTP/1.1\nA: 61\nB: 61\n{host}\n\n"));
    assert_eq!(texts[4], format!("GET unchanged HTTP/1.1\nAccept: text/*\n{host}\n\n"));
    assert_eq!(texts[5], format!("GET /1 HTTP/1.1\nA: b\n{host}\n\n"));
}

#[test]
fn scripts_of_old_versions_call_init_themselves() {
    let mut shard = shard(
        "init = function(args)
            wrk.init(args)
            text = wrk.format(nil, '/old')
         end
         request = function() return text end",
    );
    assert!(request(&mut shard).starts_with("GET /old HTTP/1.1\n"));
}

#[test]
fn a_script_may_do_what_it_likes_with_its_output() {
    let mut script = load(
        "io.output(io.tmpfile())
         print, type, pairs, tostring, io, string, table = nil
         function done() finished = true end",
    )
    .unwrap_or_else(|error| panic!("{error}"));
    script.flush().unwrap();
    done(&mut script).unwrap();
    assert!(global::<bool>(&script, "finished"));
}

#[test]
fn the_libraries_are_there() {
    let folder = env::temp_dir();
    let module = File::of("return { value = 42 }");
    let name = module.0.file_stem().unwrap().to_str().unwrap();
    let text = format!(
        "#!/usr/bin/env wrk
         package.path = '{}/?.lua;' .. package.path
         assert(require('{name}').value == 42)
         assert(io.open and os.time and string.format and math.random and bit.band and jit)
         local done, trace = xpcall(function() error('x') end, debug.traceback)
         assert(not done and trace:find('traceback'))
         assert(pcall(error) == false and coroutine.wrap(function() return true end)())
         local found, why = pcall(require, 'ffi')
         assert(not found and tostring(why):find('not available in ringload'), tostring(why))",
        folder.display()
    );
    shard(&text);
}

#[test]
fn errors_at_load_name_file_and_line() {
    let message = failure(load("local x = 1\nlocal y = = 2"));
    assert!(message.contains(".lua:2: unexpected symbol near '='"), "{message}");
    let message = failure(load("#!shebang\n\nnowhere.field = 1"));
    assert!(message.contains(".lua:3: attempt to index global 'nowhere'"), "{message}");
    let message = failure(load("function setup(thread)\n thread:get(nil, 1)() end"));
    assert!(message.contains("in setup(): ") && message.contains(".lua:2: "), "{message}");
    let message = failure(load("function init()\n\n error('no way') end"));
    assert!(message.contains("in init(): ") && message.contains(".lua:3: no way"), "{message}");
    let message = failure(load("\nwrk.lookup('127.0.0.1', 'no such service')"));
    assert!(message.contains(".lua:2: unable to resolve 127.0.0.1:no such service"), "{message}");
    let message = failure(load("error({})"));
    assert!(message.contains("table"), "{message}");
    let none = Path::new("/nonexistent/script.lua");
    let message = failure(load_file(none, URL, &[], 1));
    assert!(message.contains("/nonexistent/script.lua: cannot be read: No such file"), "{message}");
}

#[test]
fn requests_that_are_none_are_refused_at_the_start() {
    let message = failure(load("function request() return 'GET / HTTP/1.1\\r\\n' end"));
    assert!(message.contains("no HTTP request: an incomplete request at 1:1"), "{message}");
    let message = failure(load("function request() end"));
    assert!(message.contains("in request(): ") && message.contains("nil"), "{message}");
    let message = failure(load("function request() return '' end"));
    assert!(message.contains("an empty string"), "{message}");
}

#[test]
fn errors_in_the_run_name_function_and_line() {
    let mut failing = shard(
        "local calls = 0
         function request()
            calls = calls + 1
            if calls == 2 then return nil end
            if calls == 3 then return '' end
            if calls == 4 then error('enough') end
            return wrk.format()
         end
         function delay() return nil + 1 end
         function response() wrk.thread.addr = 5 end",
    );
    let mut out = b"kept".to_vec();
    let message = failure(failing.request(&mut out));
    assert!(message.contains("in request(): ") && message.contains("nil"), "{message}");
    let message = failure(failing.request(&mut out));
    assert!(message.contains("an empty string"), "{message}");
    let message = failure(failing.request(&mut out));
    assert!(message.contains("in request(): ") && message.contains(".lua:6: enough"), "{message}");
    assert_eq!(out, b"kept");
    assert_eq!(failing.request(&mut out).unwrap().len(), 1, "the state is still sound");
    let message = failure(failing.delay());
    assert!(message.contains("in delay(): ") && message.contains(".lua:9: "), "{message}");
    let message = failure(failing.response(200, [], b""));
    assert!(message.contains("in response(): ") && message.contains(".lua:10: "), "{message}");
    assert!(message.contains("userdata of type 'Addr'"), "{message}");

    let mut script = load("function done(summary)\n  return summary.none.x end").unwrap();
    let message = failure(done(&mut script));
    assert!(message.contains("in done(): ") && message.contains(".lua:2: "), "{message}");
}

#[test]
fn a_shard_can_be_moved_to_its_thread() {
    fn assert_send<T: Send>() {}
    assert_send::<ShardScript>();
    assert_send::<Script>();
    assert_send::<ScriptError>();
}
