//! Whole requests on real files in a directory of their own.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use ringbench_http::{HeaderScratch, Limits, ServerConn, ServerEvent};
use rustix::fs::{CWD, FileType, Mode};

use super::root::MAX_MEMORY_BYTES;
use super::*;
use crate::reply::Persist;
use crate::reply::testing::{Response, write};
use crate::rest::{PIECE_BYTES, Rest};
use crate::routes::Target;
use crate::site::Site;

/// A directory `root` in a directory of this test's own, which goes with it; and a clock.
struct Place {
    directory: PathBuf,
    files: Files,
    now: Instant,
    wall: fn() -> SystemTime,
}

impl Place {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("ringserve-files-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(directory.join("root")).unwrap();
        let root = Root::open(&directory.join("root")).unwrap();
        let files = Files::new(Arc::new(root));
        let wall = || SystemTime::now() + Duration::from_secs(10);
        Self { directory, files, now: Instant::now(), wall }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join("root").join(name)
    }

    fn put(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    fn link(&self, target: impl AsRef<Path>, name: &str) {
        symlink(target, self.path(name)).unwrap();
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    fn request(&self, method: &str, path: &str, headers: &str) -> Response {
        let head = format!("{method} /static/{path} HTTP/1.1\r\nHost: a\r\n{headers}\r\n");
        let (mut conn, mut scratch) = (ServerConn::new(), HeaderScratch::new());
        let limits =
            Limits { max_head_bytes: 1 << 20, max_target_bytes: 1 << 20, ..Limits::default() };
        let event = conn.next(head.as_bytes(), &mut scratch, &limits).event;
        let ServerEvent::Request(head) = event else { panic!("{event:?} to {head}") };
        let (target, site) = (Target::of(&head), Site::default());
        let request = Request { target, head: &head, body: b"", body_bytes: 0, site: &site };
        let clock = Clock { now: self.now, wall: self.wall };
        write(Persist::Open, method == "HEAD", |reply: &mut Reply<'_>| {
            let sent = head.path.strip_prefix(b"/static/").unwrap();
            self.files.answer(sent, &request, reply, clock);
        })
    }

    fn get(&self, path: &str) -> Response {
        self.request("GET", path, "")
    }

    fn get_with(&self, path: &str, headers: &str) -> Response {
        self.request("GET", path, headers)
    }

    /// A GET's status and whole body, from wherever that comes.
    fn content(&self, path: &str, headers: &str) -> (u16, Vec<u8>) {
        let Response { status, mut body, rest, .. } = self.get_with(path, headers);
        if let Some(Rest::Body(mut source)) = rest {
            while source.left() > 0 {
                source.write_piece(&mut body, PIECE_BYTES).unwrap();
            }
        }
        (status, body)
    }

    fn status(&self, path: &str) -> u16 {
        self.get(path).status
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What is left is in the way of nobody.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn set_modified(path: &Path, secs: u64) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(secs);
    fs::File::options().append(true).open(path).unwrap().set_modified(time).unwrap();
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 31 % 251) as u8).collect()
}

#[test]
fn a_file_comes_with_all_that_is_said_about_it() {
    let place = Place::new();
    set_modified(&place.put("css/style.css", "a { }"), 784_111_777);
    let response = place.get("css/style.css?v=3");
    assert_eq!((response.status, &*response.body), (200, &b"a { }"[..]));
    assert_eq!(
        str::from_utf8(&response.raw).unwrap(),
        "HTTP/1.1 200 OK\r\nServer: test\r\nContent-Type: text/css; charset=utf-8\r\n\
         ETag: \"2ebc98a1.0-5\"\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
         Accept-Ranges: bytes\r\nContent-Length: 5\r\n\r\na { }"
    );
    let again = place.get("css/%73tyle.css");
    assert_eq!(again.raw, response.raw);
    let head = place.request("HEAD", "css/style.css", "");
    assert_eq!(head.raw, response.raw[..response.raw.len() - 5]);
    place.put("empty", "");
    assert_eq!(place.get("empty").header("Content-Length"), Some("0"));
}

#[test]
fn large_files_come_from_where_they_are() {
    let place = Place::new();
    for len in [MAX_MEMORY_BYTES as usize, MAX_MEMORY_BYTES as usize + 1, 1_000_003] {
        let content = pattern(len);
        let name = format!("{len}.bin");
        place.put(&name, &content);
        for _ in 0..2 {
            assert!(place.content(&name, "") == (200, content.clone()), "{len}");
        }
        let range = format!("Range: bytes=100-{}\r\n", len - 101);
        assert!(place.content(&name, &range) == (206, content[100..len - 100].to_vec()), "{len}");
        let head = place.request("HEAD", &name, "");
        assert_eq!(head.header("Content-Length"), Some(&*len.to_string()));
        assert!(head.body.is_empty() && head.rest.is_none());
    }
}

#[test]
fn directories_have_an_index_and_a_slash() {
    let place = Place::new();
    place.put("index.html", "top");
    place.put("a b/index.html", "inner");
    place.put("none/file", "x");
    assert_eq!(place.get("").body, b"top");
    assert_eq!(place.get("a%20b/").body, b"inner");
    assert_eq!(place.get("a%20b/").header("Content-Type"), Some("text/html; charset=utf-8"));
    for (path, location) in [
        ("a%20b", "/static/a%20b/"),
        ("a%20b?x=/y&z", "/static/a%20b/?x=/y&z"),
        ("none", "/static/none/"),
    ] {
        let response = place.get(path);
        assert_eq!((response.status, response.header("Location")), (301, Some(location)));
    }
    for path in ["none/", "nothing/", "index.html/", "none/file/"] {
        assert_eq!(place.status(path), 404, "{path}");
    }
}

#[test]
fn only_regular_files_that_may_be_read() {
    let place = Place::new();
    let mode = Mode::RUSR | Mode::WUSR;
    rustix::fs::mknodat(CWD, place.path("fifo"), FileType::Fifo, mode, 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(place.path("socket")).unwrap();
    for path in ["fifo", "socket", "nothing", "fifo/x", &"n".repeat(300), &"d/".repeat(1990)] {
        assert_eq!(place.status(path), 404, "{path}");
    }
    assert_eq!(place.status(&"long/".repeat(10_000)), 404);
    assert_eq!(place.status("%zz"), 400);
    let secret = place.put("secret", "x");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).unwrap();
    // The superuser may read it all the same.
    let expected = if fs::read(&secret).is_ok() { 200 } else { 403 };
    assert_eq!(place.status("secret"), expected);
}

#[test]
fn a_refusal_of_the_kernel_has_its_status() {
    use rustix::io::Errno;
    for (errno, refusal) in [
        (Errno::NOENT, Refusal::NotFound),
        (Errno::NOTDIR, Refusal::NotFound),
        (Errno::NAMETOOLONG, Refusal::NotFound),
        (Errno::LOOP, Refusal::NotFound),
        (Errno::XDEV, Refusal::NotFound),
        (Errno::NXIO, Refusal::NotFound),
        (Errno::ACCESS, Refusal::Forbidden),
        (Errno::PERM, Refusal::Forbidden),
        (Errno::MFILE, Refusal::Busy),
        (Errno::NFILE, Refusal::Busy),
        (Errno::IO, Refusal::Failed),
    ] {
        assert_eq!(Refusal::from(errno), refusal, "{errno}");
    }
}

#[test]
fn every_refusal_has_its_status() {
    let input = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let (mut conn, mut scratch) = (ServerConn::new(), HeaderScratch::new());
    let event = conn.next(input, &mut scratch, &Limits::default()).event;
    let ServerEvent::Request(head) = event else { panic!("{event:?}") };
    let (target, site) = (Target::of(&head), Site { files: None, ..Site::default() });
    let request = Request { target, head: &head, body: b"", body_bytes: 0, site: &site };
    for (refusal, status) in [
        (Refusal::Malformed, 400),
        (Refusal::NotFound, 404),
        (Refusal::Forbidden, 403),
        (Refusal::Directory, 301),
        (Refusal::Busy, 503),
        (Refusal::Failed, 500),
    ] {
        let response = write(Persist::Open, false, |reply| refuse(refusal, &request, reply));
        assert_eq!(response.status, status);
    }
    // Without --root nothing is there.
    assert_eq!(write(Persist::Open, false, |reply| serve(&request, reply)).status, 404);
}

#[test]
fn nothing_outside_is_served() {
    let place = Place::new();
    fs::write(place.directory.join("outside.txt"), "outside").unwrap();
    fs::create_dir(place.directory.join("root-too")).unwrap();
    fs::write(place.directory.join("root-too/x"), "outside").unwrap();
    place.put("dir/inside.txt", "inside");
    place.put("dir/sub/x", "inside");
    let absolute = place.directory.join("outside.txt");
    place.link("../outside.txt", "out");
    place.link("../../outside.txt", "dir/out");
    place.link(&absolute, "absolute");
    place.link("..", "up");
    place.link("../root-too", "dir/too");
    place.link("/", "top");
    place.link("/proc/self/fd", "magic");
    place.link("round", "round");
    place.link("gone", "dangling");
    place.link(place.path("dir/inside.txt"), "absolute-inside");
    let absolute = absolute.to_str().unwrap();
    for path in [
        "../outside.txt",
        "dir/../../outside.txt",
        "%2e%2e/outside.txt",
        ".%2E/outside.txt",
        "%2e%2e%2foutside.txt",
        "..%2foutside.txt",
        "dir/..%2f..%2foutside.txt",
        "..%5coutside.txt",
        "..\\outside.txt",
        "..%c0%afoutside.txt",
        "%252e%252e/outside.txt",
        "..;/outside.txt",
        "/etc/passwd",
        "//etc/passwd",
        "%2fetc/passwd",
        absolute,
        "out",
        "dir/out",
        "absolute",
        "up/outside.txt",
        "up/root/dir/inside.txt",
        "up/root-too/x",
        "dir/too/x",
        "top/etc/passwd",
        "magic/0",
        "round",
        "dangling",
        // A link that begins at the top is not followed, wherever it leads.
        "absolute-inside",
    ] {
        assert_eq!(place.status(path), 404, "{path}");
    }
    for path in ["%00", "dir/inside.txt%00", "..%00/outside.txt"] {
        assert_eq!(place.status(path), 400, "{path}");
    }
}

#[test]
fn links_inside_are_followed() {
    let place = Place::new();
    place.put("dir/inside.txt", "inside");
    place.link("dir/inside.txt", "in");
    place.link("../dir/./inside.txt", "dir/around");
    place.link("dir", "other");
    for path in ["in", "dir/around", "other/inside.txt"] {
        assert_eq!(place.get(path).body, b"inside", "{path}");
    }
    assert_eq!(place.get("other").header("Location"), Some("/static/other/"));
}

#[test]
fn a_link_that_is_turned_outwards_is_not_followed_any_more() {
    let mut place = Place::new();
    fs::write(place.directory.join("outside"), "outside").unwrap();
    place.put("inside", "inside");
    place.link("inside", "link");
    assert_eq!(place.get("link").body, b"inside");
    fs::remove_file(place.path("link")).unwrap();
    place.link("../outside", "link");
    place.pass(RECHECK);
    assert_eq!(place.status("link"), 404);
}

#[test]
fn the_root_is_the_directory_and_not_its_name() {
    let place = Place::new();
    place.put("a", "first");
    fs::rename(place.directory.join("root"), place.directory.join("moved")).unwrap();
    place.put("a", "second");
    assert_eq!(place.get("a").body, b"first");
}

#[test]
fn a_root_must_be_a_directory() {
    let place = Place::new();
    let error = Root::open(&place.put("file", "x")).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotADirectory);
    let error = Root::open(&place.path("nothing")).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    place.link(".", "link");
    place.put("index.html", "x");
    let files = Files::new(Arc::new(Root::open(&place.path("link")).unwrap()));
    assert!(files.root.load(b"", &mut Vec::new(), None, SystemTime::now(), place.now).is_ok());
}

#[test]
fn what_the_client_has_is_not_sent_again() {
    let place = Place::new();
    let file = place.put("a.txt", "content");
    set_modified(&file, 784_111_777);
    place.put("a.txt.gz", "gz");
    let first = place.get("a.txt");
    let etag = first.header("ETag").unwrap();
    for headers in [
        format!("If-None-Match: {etag}\r\n"),
        format!("If-None-Match: \"x\", W/{etag}\r\n"),
        "If-None-Match: *\r\n".to_owned(),
        "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n".to_owned(),
        "If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT\r\n".to_owned(),
        "If-Modified-Since: Sun Nov  6 08:49:37 1994\r\n".to_owned(),
        format!("If-None-Match: {etag}\r\nRange: bytes=0-1\r\n"),
    ] {
        for method in ["GET", "HEAD"] {
            let response = place.request(method, "a.txt", &headers);
            assert_eq!((response.status, &*response.body), (304, &b""[..]), "{headers}");
            assert_eq!(response.header("ETag"), Some(etag));
            assert_eq!(response.header("Vary"), Some("Accept-Encoding"));
            assert_eq!(response.header("Content-Length"), None);
        }
    }
    for headers in ["If-None-Match: \"x\"\r\n", "If-Modified-Since: Sun Nov  6 08:49:36 1994\r\n"] {
        assert_eq!(place.get_with("a.txt", headers).status, 200, "{headers}");
    }
    for headers in ["If-Match: \"x\"\r\n", "If-Unmodified-Since: Sun Nov  6 08:49:36 1994\r\n"] {
        assert_eq!(place.get_with("a.txt", headers).status, 412, "{headers}");
    }
    // RFC 9110 section 13.2.1: conditions are for what would be answered with 2xx.
    assert_eq!(place.get_with("nothing", "If-None-Match: *\r\n").status, 404);
    assert_eq!(place.get_with("nothing", "If-Match: \"x\"\r\n").status, 404);
}

#[test]
fn single_ranges() {
    let place = Place::new();
    place.put("digits", "0123456789");
    place.put("empty", "");
    for (range, content_range, body) in [
        ("bytes=0-0", "bytes 0-0/10", "0"),
        ("bytes=2-4", "bytes 2-4/10", "234"),
        ("bytes=7-", "bytes 7-9/10", "789"),
        ("bytes=-2", "bytes 8-9/10", "89"),
        ("bytes=5-500", "bytes 5-9/10", "56789"),
        ("bytes=-500", "bytes 0-9/10", "0123456789"),
    ] {
        let response = place.get_with("digits", &format!("Range: {range}\r\n"));
        assert_eq!(response.status, 206, "{range}");
        assert_eq!(response.header("Content-Range"), Some(content_range));
        assert_eq!(response.header("Content-Length"), Some(&*body.len().to_string()));
        assert!(response.header("ETag").is_some() && response.header("Last-Modified").is_some());
        assert_eq!(response.body, body.as_bytes());
    }
    for (path, range, content_range) in [
        ("digits", "bytes=10-", "bytes */10"),
        ("digits", "bytes=-0", "bytes */10"),
        ("empty", "bytes=0-0", "bytes */0"),
    ] {
        let response = place.get_with(path, &format!("Range: {range}\r\n"));
        assert_eq!((response.status, response.header("Content-Range")), (416, Some(content_range)));
    }
    for range in ["bytes=0-1,3-4", "lines=0-1", "bytes=4-2", "bytes=0-1\r\nRange: bytes=0-1"] {
        let response = place.get_with("digits", &format!("Range: {range}\r\n"));
        assert_eq!((response.status, &*response.body), (200, &b"0123456789"[..]), "{range}");
        assert_eq!(response.header("Content-Range"), None);
    }
    let head = place.request("HEAD", "digits", "Range: bytes=0-1\r\n");
    assert_eq!((head.status, head.header("Content-Length")), (200, Some("10")));
}

#[test]
fn a_range_of_what_there_was_is_all_of_what_there_is() {
    let mut place = Place::new();
    let file = place.put("digits", "0123456789");
    set_modified(&file, 784_111_777);
    let etag = place.get("digits").header("ETag").unwrap().to_owned();
    let status = |place: &Place, validator: &str| {
        let headers = format!("Range: bytes=0-0\r\nIf-Range: {validator}\r\n");
        place.get_with("digits", &headers).status
    };
    assert_eq!(status(&place, &etag), 206);
    assert_eq!(status(&place, "Sun, 06 Nov 1994 08:49:37 GMT"), 206);
    assert_eq!(status(&place, &format!("W/{etag}")), 200);
    assert_eq!(status(&place, "Sun, 06 Nov 1994 08:49:38 GMT"), 200);
    place.put("digits", "01234567890");
    place.pass(RECHECK);
    assert_eq!(status(&place, &etag), 200);
}

#[test]
fn compressed_forms_are_sent_to_those_that_take_them() {
    let place = Place::new();
    place.put("a.js", "plain");
    place.put("a.js.gz", "gz");
    place.put("a.js.br", "br");
    place.put("b.js", "plain");
    place.put("sub/index.html", "plain");
    place.put("sub/index.html.gz", "gz");
    let mut etags = Vec::new();
    for (accept, coding, body) in
        [("gzip, br", Some("br"), "br"), ("gzip", Some("gzip"), "gz"), ("identity", None, "plain")]
    {
        let response = place.get_with("a.js", &format!("Accept-Encoding: {accept}\r\n"));
        assert_eq!(response.header("Content-Encoding"), coding, "{accept}");
        assert_eq!(response.header("Content-Type"), Some("text/javascript; charset=utf-8"));
        assert_eq!(response.header("Vary"), Some("Accept-Encoding"));
        assert_eq!(response.body, body.as_bytes());
        etags.push(response.header("ETag").unwrap().to_owned());
    }
    assert!(etags[0].ends_with("-br\"") && etags[1].ends_with("-gzip\""), "{etags:?}");
    let had = format!("If-None-Match: {}\r\n", etags[1]);
    assert_eq!(place.get_with("a.js", &had).status, 200);
    assert_eq!(place.get_with("a.js", &format!("Accept-Encoding: gzip\r\n{had}")).status, 304);
    let part = place.get_with("a.js", "Accept-Encoding: gzip\r\nRange: bytes=1-\r\n");
    assert_eq!((part.header("Content-Range"), &*part.body), (Some("bytes 1-1/2"), &b"z"[..]));
    assert_eq!(place.get("a.js").header("Vary"), Some("Accept-Encoding"));
    assert_eq!(place.get_with("sub/", "Accept-Encoding: gzip\r\n").body, b"gz");

    let only_one = place.get_with("b.js", "Accept-Encoding: gzip, br\r\n");
    assert_eq!(only_one.header("Content-Encoding").or(only_one.header("Vary")), None);
    let none = place.get_with("b.js", "Accept-Encoding: gzip, identity;q=0\r\n");
    assert_eq!(none.status, 406);
    // The compressed file itself is a file like any other.
    let itself = place.get_with("a.js.gz", "Accept-Encoding: gzip\r\n");
    assert_eq!(itself.header("Content-Type"), Some("application/gzip"));
    assert_eq!(itself.header("Content-Encoding"), None);
}

#[test]
fn compressed_forms_come_and_go_and_are_never_alone() {
    let mut place = Place::new();
    place.put("a", "plain");
    let coding = |place: &Place| {
        let response = place.get_with("a", "Accept-Encoding: gzip\r\n");
        response.header("Content-Encoding").map(str::to_owned)
    };
    assert_eq!(coding(&place), None);
    place.put("a.gz", "gz");
    place.pass(RECHECK);
    assert_eq!(coding(&place).as_deref(), Some("gzip"));
    fs::remove_file(place.path("a.gz")).unwrap();
    fs::create_dir(place.path("a.gz")).unwrap();
    place.pass(RECHECK);
    assert_eq!(coding(&place), None);
    fs::remove_dir(place.path("a.gz")).unwrap();
    place.put("a.gz", "gz");
    fs::remove_file(place.path("a")).unwrap();
    place.pass(RECHECK);
    assert_eq!(place.get_with("a", "Accept-Encoding: gzip\r\n").status, 404);
    fs::write(place.directory.join("outside.gz"), "gz").unwrap();
    place.put("b", "plain");
    place.link("../outside.gz", "b.gz");
    assert_eq!(place.get_with("b", "Accept-Encoding: gzip\r\n").body, b"plain");
}

#[test]
fn changes_show_after_a_second_and_never_in_part() {
    let large = pattern(MAX_MEMORY_BYTES as usize + 10);
    let short = b"short".to_vec();
    let versions = [b"0123456789".to_vec(), b"9876543210".to_vec(), short, large, b"0".to_vec()];
    for replaced in [false, true] {
        let mut place = Place::new();
        place.put("file", &versions[0]);
        let mut before = place.get("file");
        for (version, secs) in versions[1..].iter().zip(784_111_777..) {
            let new = place.put(if replaced { "new" } else { "file" }, version);
            // Kernels whose clock for files is coarse would give two of them the same time.
            set_modified(&new, secs);
            fs::rename(new, place.path("file")).unwrap();
            place.pass(Duration::from_millis(999));
            // Of a large one only the descriptor is kept.
            if before.rest.is_none() {
                assert!(place.get("file").raw == before.raw, "it is still the one before");
            }
            place.pass(Duration::from_millis(1));
            assert!(place.content("file", "") == (200, version.clone()));
            let after = place.get("file");
            assert_ne!(after.header("ETag"), before.header("ETag"));
            before = after;
        }
        fs::remove_file(place.path("file")).unwrap();
        assert_eq!(place.status("file"), 200);
        place.pass(RECHECK);
        assert_eq!(place.status("file"), 404);
        place.put("file", "back");
        assert_eq!(place.get("file").body, b"back", "what is missing is not remembered");
    }
}

#[test]
fn what_may_have_changed_unseen_is_read_again() {
    let mut place = Place::new();
    // As seen at this moment, the file is not older than it.
    place.wall = || SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let file = place.put("file", "first!");
    set_modified(&file, 784_111_777);
    let first = place.get("file");
    let date = "If-Range: Sun, 06 Nov 1994 08:49:37 GMT\r\nRange: bytes=0-0\r\n";
    assert_eq!(place.get_with("file", date).status, 200, "too young for a date to tell");
    let kept = |place: &Place| {
        let mut kept = place.files.kept.borrow_mut();
        let at = kept.cache.find(b"file").unwrap();
        Arc::clone(&kept.cache.get(at).plain)
    };
    let young = kept(&place);
    place.pass(RECHECK);
    assert_eq!(place.get("file").raw, first.raw);
    assert!(!Arc::ptr_eq(&young, &kept(&place)), "it was read again");
    place.wall = || SystemTime::now() + Duration::from_secs(10);
    place.pass(RECHECK);
    assert_eq!(place.get("file").raw, first.raw);
    let settled = kept(&place);
    place.pass(RECHECK);
    assert_eq!(place.get("file").raw, first.raw);
    assert!(Arc::ptr_eq(&settled, &kept(&place)), "it was not");
    assert_eq!(place.get_with("file", date).status, 206);
}

#[test]
fn a_senseless_time_is_not_told() {
    let place = Place::new();
    let soon = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() + 3600;
    set_modified(&place.put("future", "x"), soon);
    let early = place.put("early", "x");
    let time = SystemTime::UNIX_EPOCH - Duration::from_secs(5);
    fs::File::options().append(true).open(&early).unwrap().set_modified(time).unwrap();
    for path in ["future", "early"] {
        let response = place.get(path);
        assert_eq!((response.status, response.header("Last-Modified")), (200, None), "{path}");
        assert!(response.header("ETag").is_some());
    }
}

#[test]
fn a_file_that_grows_while_it_is_read_is_whole_or_refused() {
    // Its length divides a page's: the kernel shows a write across two of them in two steps.
    const LINE: &[u8; 8] = b"1234567\n";
    let place = Place::new();
    let path = place.put("log", "");
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let writer = std::thread::spawn({
        let stop = Arc::clone(&stop);
        move || {
            let mut file = fs::File::options().append(true).open(path).unwrap();
            for _ in 0..2000 {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                file.write_all(LINE).unwrap();
            }
        }
    });
    let mut name = Vec::new();
    for _ in 0..200 {
        match place.files.root.load(b"log", &mut name, None, (place.wall)(), place.now) {
            Ok(entry) => {
                let Content::Memory(bytes) = &entry.plain.content else { panic!("{entry:?}") };
                assert_eq!(bytes.len() as u64, entry.plain.length);
                assert!(bytes.chunks(LINE.len()).all(|line| line == LINE));
            }
            Err(refusal) => assert_eq!(refusal, Refusal::Busy),
        }
    }
    stop.store(true, Ordering::Relaxed);
    writer.join().unwrap();
}

#[test]
fn more_files_than_are_kept_are_all_served() {
    let place = Place::new();
    for number in 0..1100 {
        place.put(&number.to_string(), number.to_string());
    }
    for _ in 0..2 {
        for number in 0..1100 {
            assert_eq!(place.get(&number.to_string()).body, number.to_string().into_bytes());
        }
    }
}
