//! The examples of docs/request-files.md.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ringload::requests::{Mix, MixState, RequestFile};

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/requests").join(name)
}

/// The first requests of one of two shards, as text.
fn requests(name: &str, count: usize) -> Vec<String> {
    let file = RequestFile::read(&example(name)).unwrap_or_else(|error| panic!("{error}"));
    let url = "http://127.0.0.1:8080/".parse().expect("a URL");
    let mix = Mix::new(&file, &url, &[]).unwrap_or_else(|error| panic!("{error}"));
    let mut state = MixState::new(Arc::new(mix), 1, 2, 7);
    let mut next = || {
        let mut bytes = Vec::new();
        state.next(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    };
    (0..count).map(|_| next()).collect()
}

#[test]
fn a_list_of_paths() {
    let host = "HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n";
    let expected = ["/about", "/style.css", "/about"].map(|path| format!("GET {path} {host}"));
    assert_eq!(requests("paths.toml", 3), expected, "every second line: another shard has others");
}

#[test]
fn a_shop() {
    let sent = requests("shop.toml", 100);
    let count = |start: &str| sent.iter().filter(|request| request.starts_with(start)).count();
    let counts = [count("GET /products/"), count("GET /products?page="), count("POST /orders ")];
    assert_eq!(counts, [70, 20, 10]);
    assert!(sent.iter().all(|request| request.contains("\r\nAccept: application/json\r\n")));
    let users = [("ann", "t-8e1f"), ("bob", "t-22a0"), ("o\"neil, cy", "t-91c4")];
    for (number, order) in sent.iter().filter(|request| request.starts_with("POST")).enumerate() {
        assert!(order.contains(&format!("\r\nIdempotency-Key: order-{}\r\n", 1 + 2 * number)));
        let (head, body) = order.split_once("\r\n\r\n").expect("a head");
        let of_one_user = |(name, token): &(&str, &str)| {
            head.contains(&format!("Bearer {token}\r\n"))
                && body.starts_with(&format!("{{\"user\":\"{name}\","))
        };
        assert!(users.iter().any(of_one_user), "name and token of one line: {order}");
        assert!(head.ends_with(&format!("\r\nContent-Length: {}", body.len())), "{order}");
    }
}

#[test]
fn a_session() {
    let sent = requests("login.toml", 10);
    let starts = ["POST /login", "GET /inbox", "GET /inbox", "GET /inbox", "DELETE /session"];
    for (request, start) in sent.iter().zip(starts.iter().cycle()) {
        assert!(request.starts_with(start), "{start}: {request}");
    }
    assert!(sent[0].ends_with("\r\n\r\ntoken=t-22a0&n=1001"), "{}", sent[0]);
    assert!(sent[5].ends_with("\r\n\r\ntoken=t-8e1f&n=1003"), "{}", sent[5]);
}

#[test]
fn a_file_and_braces_are_sent_as_they_are() {
    let sent = requests("upload.toml", 40);
    let put = sent.iter().find(|request| request.starts_with("PUT /files/1 ")).expect("the first");
    assert!(put.ends_with("Content-Length: 12\r\n\r\n\0\x01{{seq}}\u{fffd}\r\n"), "{put:?}");
    let greeting = sent.iter().find(|request| request.starts_with("PUT /templates/greeting "));
    assert!(greeting.expect("a greeting").ends_with("\r\n\r\nHello {{name}}!"));
}

#[test]
fn files_are_found_beside_the_request_file() {
    let folder = std::env::temp_dir().join(format!("ringload-requests-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let path = folder.join("mix.toml");
    std::fs::write(&path, "[[request]]\npath = '/{{line missing.txt}}'\n").expect("written");
    let error = RequestFile::read(&path).expect_err("no such data file").to_string();
    std::fs::write(&path, [b'#', 0xff]).expect("written");
    let not_text = RequestFile::read(&path).expect_err("no text").to_string();
    std::fs::remove_dir_all(&folder).expect("removed");
    assert!(error.contains("mix.toml:2: path: `missing.txt` cannot be read: No such"), "{error}");
    assert!(not_text.contains("not UTF-8"), "{not_text}");
}

#[test]
fn the_page_shows_the_examples() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/request-files.md");
    let page = std::fs::read_to_string(page).expect("the page");
    for name in ["paths.toml", "shop.toml", "login.toml", "upload.toml"] {
        let text = std::fs::read_to_string(example(name)).expect("an example");
        assert!(page.contains(&format!("```toml\n{text}```\n")), "{name} is not as on the page");
    }
}
