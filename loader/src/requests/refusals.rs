//! What a mix refuses, and the fields that it chooses.

use std::path::Path;

use super::*;

fn mix_with(text: &str, extra: &[(&str, &str)]) -> Result<Mix, String> {
    let file = RequestFile::parse(Path::new("mix.toml"), text, &mut |name| {
        Ok(match name {
            "ok" => "/a,1\n/b,2\n",
            "blank" => "/a\n\n/a b\n",
            "cr" => "/a\n/a\rb\n",
            "nul" => "/a\0b\n",
            "short" => "a,b\na\n",
            _ => panic!("{name}"),
        }
        .into())
    });
    let extra: Vec<_> =
        extra.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    file.and_then(|file| Mix::new(&file, &"http://h/start?q".parse().unwrap(), &extra))
        .map_err(|error| error.to_string())
}

fn first(text: &str, extra: &[(&str, &str)]) -> String {
    let mix = mix_with(text, extra).unwrap();
    let mut bytes = Vec::new();
    MixState::new(mix.into(), 0, 1, 0).next(&mut bytes);
    String::from_utf8(bytes).unwrap()
}

#[test]
fn the_url_has_what_the_file_leaves_out() {
    assert_eq!(first("[[request]]", &[]), "GET /start?q HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(
        first("[[request]]\nmethod = 'PATCH'\npath = '/p'", &[]),
        "PATCH /p HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"
    );
}

#[test]
fn the_nearest_field_of_a_name_wins() {
    let text = "headers = ['A: file', 'B: file', 'B: twice', 'C: file']\n\
                [[request]]\nheaders = ['b: own', 'D: own', 'D: twice']";
    assert_eq!(
        first(text, &[("c", "{{seq}}"), ("d", "x")]),
        "GET /start?q HTTP/1.1\r\nHost: h\r\nc: {{seq}}\r\nd: x\r\nb: own\r\nA: file\r\n\r\n"
    );
    assert_eq!(
        first("[[request]]\nheaders = ['host: {{line ok 2}}.example']", &[]),
        "GET /start?q HTTP/1.1\r\nhost: 1.example\r\n\r\n"
    );
}

#[test]
fn a_changing_body_has_a_changing_length() {
    let text =
        "first_seq = 9\n[[request]]\nbody = 'n={{seq}}{{line ok 1}}'\npath = '{{line ok 1}}'";
    let mut state = MixState::new(mix_with(text, &[]).unwrap().into(), 0, 1, 0);
    let mut bytes = Vec::new();
    state.next(&mut bytes);
    state.next(&mut bytes);
    assert_eq!(
        String::from_utf8(bytes).unwrap(),
        "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nn=9/a\
         POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\nn=10/b"
    );
}

#[test]
fn whether_connections_end_is_known() {
    let closes = |text: &str| mix_with(text, &[]).unwrap().closes();
    assert!(closes("headers = ['Connection: x, Close']\n[[request]]\n[[request]]"));
    assert!(!closes("[[request]]\nheaders = ['Connection: keep-alive']"));
}

#[test]
fn what_cannot_be_sent_is_refused_with_its_place() {
    let r = "[[request]]\n";
    for (text, expected) in [
        ("method = 'CONNECT'", ":1: method: CONNECT opens a tunnel"),
        ("path = 'a'", ":2: path: a path begins with /"),
        ("path = ''", ":2: path: a path begins with /"),
        ("path = '{{seq}}'", ":2: path: a path begins with /"),
        ("path = '/a b'", ":2: path: ' ' may not stand in a path: percent-encode"),
        ("path = '/a#b'", ":2: path: '#' may not"),
        ("path = '/\u{e9}'", ":2: path: '\u{e9}' may not"),
        ("path = '/{{line blank}}'", ":2: path: data file `blank`, line 3: ' ' may not stand in"),
        ("path = '/{{line ok 3}}'", ":2: path: data file `ok`, line 1: there is no column 3"),
        ("path = '{{line ok 2}}'", ":2: path: data file `ok`, line 1: a path begins with /"),
        ("path = '/{{line cr}}'", ":2: path: data file `cr`, line 2: '\\r' may not"),
        (
            "headers = ['A: {{line cr}}']",
            ":2: headers: data file `cr`, line 2: '\\r' may not stand",
        ),
        ("headers = ['A: {{line nul}}']", ":2: headers: data file `nul`, line 1: '\\0' may"),
        ("body = '{{line short 2}}'", ":2: body: data file `short`, line 2: there is no column 2"),
        ("body = '{{line ok}}{{random_line ok}}'", ":2: body: one request takes one line of `ok`"),
        ("headers = [\"A: b\\nC: d\"]", ":2: headers: the value of `A` has a control character"),
        ("headers = ['Host: a',\n'host: b']", ":3: headers: Host is given more than once"),
        ("headers = ['Content-Length: {{seq}}']", ":2: headers: no placeholder may stand in Con"),
        ("headers = ['Connection: {{line ok}}']", ":2: headers: no placeholder may stand in Con"),
        ("headers = ['Content-Length: 1']\nbody = '{{seq}}'", ":2: headers: Content-Length is not"),
        ("headers = ['Content-Length: 3']\nbody = 'ab'", ":1: Content-Length is not the length"),
        ("headers = ['Transfer-Encoding: chunked']", ":2: headers: Transfer-Encoding needs a body"),
        (
            "headers = ['Transfer-Encoding: chunked']\nbody = \"{{seq}}\\r\\n\\r\\n\"",
            ":1: body: a body with Transfer-Encoding is sent as it is",
        ),
        (
            "headers = ['Transfer-Encoding: chunked', 'Content-Length: 5']\n\
             body = \"0\\r\\n\\r\\n\"",
            ":1: Transfer-Encoding and Content-Length exclude",
        ),
        ("headers = ['Connection: close']\n[[request]]", ": Connection: close must be in all"),
        ("weight = 1000000\n[[request]]", ": weight: the weights add up to 1000001"),
    ] {
        let message = mix_with(&format!("{r}{text}"), &[]).expect_err(text);
        assert!(message.starts_with(&format!("mix.toml{expected}")), "{text}: {message}");
    }
    let body_of_any_bytes = "[[request]]\nbody = '{{line cr}}'\n[[request]]\nbody = '{{line nul}}'";
    assert!(mix_with(body_of_any_bytes, &[]).is_ok());
}

#[test]
fn extra_fields_are_checked_too() {
    let length = mix_with("[[request]]", &[("Content-Length", "5")]).unwrap_err();
    assert!(length.contains("Content-Length is not the length"), "{length}");
    let host = mix_with("[[request]]", &[("Host", "a"), ("host", "b")]).unwrap_err();
    assert!(host.contains("Host is given more than once"), "{host}");
}
