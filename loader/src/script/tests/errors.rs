//! What a script may do, and what is said when it fails.

use super::*;

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
    assert!(message.ends_with("in request(): it must return a string, not nil"), "{message}");
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
    assert!(message.ends_with("in request(): it must return a string, not nil"), "{message}");
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
