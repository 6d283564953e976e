//! What a script is told, and what it says, around its requests.

use super::*;

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
