//! The scripts of `tests/scripts` and some more, without a network.

use std::net::ToSocketAddrs;
use std::path::PathBuf;
use std::process;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use std::{env, fs, thread};

use mlua::{FromLua, Value};
use ringbench_http::RequestKind;
use ringbench_measure::Errors;

use super::*;

mod errors;
mod requests;
mod run;

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
    let addresses = (url.host(), url.port()).to_socket_addrs();
    let addresses: Vec<_> = addresses.map_or_else(|_| Vec::new(), Iterator::collect);
    let headers = [("Accept".to_owned(), "text/*".to_owned())];
    let target = ScriptTarget {
        url: &url,
        addresses: &addresses,
        method: "GET",
        headers: &headers,
        body: None,
        prints_to_stderr: false,
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

/// A global of a shard's state.
fn shard_global<T: FromLua>(shard: &ShardScript, name: &str) -> T {
    shard.lua().globals().get(name).unwrap_or_else(|error| panic!("{name}: {error}"))
}
