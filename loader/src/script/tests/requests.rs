//! What a script sends.

use super::*;

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
        prints_to_stderr: false,
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
