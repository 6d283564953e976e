//! What holds for every mix: its bytes are read by the codec's own server.

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use ringbench_http::{HeaderScratch, Limits, RequestKind, ServerConn, ServerEvent, write_request};

use super::*;

/// Lines of the data file that is read in order, and of the one that is read at random.
const IN_ORDER: [&str; 3] = ["ann,/1", "bob,/22", "cy,/333"];
const AT_RANDOM: [&str; 4] = ["/w,s", "/x,", "/y,u", "/z,v"];
const METHODS: [&str; 6] = ["GET", "POST", "PUT", "HEAD", "DELETE", "OPTIONS"];

/// A part of a text, as a user would think of it. Literals hold no digits, so that a random number
/// ends where it ends.
#[derive(Clone, Debug)]
enum Part {
    Literal(String),
    Seq,
    Random(u64, u64),
    InOrder(Option<usize>),
    AtRandom(Option<usize>),
}

#[derive(Clone, Debug)]
struct Wanted {
    method: Option<&'static str>,
    path: Vec<Part>,
    header: Vec<Part>,
    body: Option<Vec<Part>>,
    weight: u64,
}

fn part() -> impl Strategy<Value = Part> {
    let column = || prop::option::of(1..=2_usize);
    prop_oneof![
        3 => "[a-z/&=._{}-]{1,6}".prop_map(Part::Literal),
        1 => Just(Part::Seq),
        1 => (0..1_000_u64, 0..100_000_u64).prop_map(|(low, span)| Part::Random(low, low + span)),
        1 => column().prop_map(Part::InOrder),
        1 => column().prop_map(Part::AtRandom),
    ]
}

fn wanted() -> impl Strategy<Value = Wanted> {
    let parts = || prop::collection::vec(part(), 0..5);
    let method = prop::option::of(prop::sample::select(&METHODS[..]));
    (method, parts(), parts(), prop::option::of(parts()), 1..5_u64).prop_map(
        |(method, mut path, header, body, weight)| {
            path.insert(0, Part::Literal("/".to_owned()));
            Wanted { method, path, header, body, weight }
        },
    )
}

/// A text as it is written in the file. Between placeholders there are dots, so that a brace of a
/// literal does not become part of them and random numbers stay apart.
fn written(parts: &[Part]) -> String {
    let one = |part: &Part| {
        let column = |column: &Option<usize>| column.map_or(String::new(), |c| format!(" {c}"));
        match part {
            Part::Literal(text) => text.replace("{{", "{{{{"),
            Part::Seq => "{{seq}}".to_owned(),
            Part::Random(low, high) => format!("{{{{random {low} {high}}}}}"),
            Part::InOrder(of) => format!("{{{{ line order.csv{} }}}}", column(of)),
            Part::AtRandom(of) => format!("{{{{random_line 'random.csv'{}}}}}", column(of)),
        }
    };
    parts.iter().map(one).collect::<Vec<_>>().join(".")
}

fn load(text: &str) -> RequestFile {
    RequestFile::parse(Path::new("mix.toml"), text, &mut |name| {
        Ok(if name == "order.csv" { IN_ORDER.join("\n") } else { AT_RANDOM.join("\r\n") }.into())
    })
    .unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn compile(text: &str) -> Arc<Mix> {
    let mix = Mix::new(&load(text), &"http://127.0.0.1:81/".parse().unwrap(), &[]);
    Arc::new(mix.unwrap_or_else(|error| panic!("{error}\n{text}")))
}

fn file_of(requests: &[Wanted], order: &str) -> String {
    let mut text = format!("order = '{order}'\nfirst_seq = 5\n");
    for (index, request) in requests.iter().enumerate() {
        let _ = writeln!(text, "[[request]]\npath = \"{}\"", written(&request.path));
        let _ =
            writeln!(text, "headers = [\"A: x{}\", 'Index: {index}']", written(&request.header));
        let _ = writeln!(text, "weight = {}", request.weight);
        if let Some(method) = request.method {
            let _ = writeln!(text, "method = '{method}'");
        }
        if let Some(body) = &request.body {
            let _ = writeln!(text, "body = \"{}\"", written(body));
        }
    }
    text
}

/// What a server makes of the bytes.
#[derive(Debug, PartialEq)]
struct Seen {
    method: String,
    target: String,
    index: usize,
    header: String,
    body: String,
}

/// Reads exactly one request.
fn serve(bytes: &[u8]) -> Seen {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let mut scratch = HeaderScratch::new();
    let (mut conn, mut at, mut seen) = (ServerConn::new(), 0, None::<Seen>);
    loop {
        let step = conn.next(&bytes[at..], &mut scratch, &Limits::default());
        at += step.consumed;
        match step.event {
            ServerEvent::Request(request) => {
                assert!(seen.is_none() && request.keep_alive, "one request");
                let field = |name: &str| {
                    let mut found = request.headers.iter().filter(|field| field.name == name);
                    let value = text(found.next().unwrap().value);
                    assert!(found.next().is_none(), "{name} once");
                    value
                };
                assert_eq!(field("Host"), "127.0.0.1:81");
                seen = Some(Seen {
                    method: request.method_name.to_owned(),
                    target: text(request.target),
                    index: field("Index").parse().unwrap(),
                    header: field("A"),
                    body: String::new(),
                });
            }
            ServerEvent::Body(piece) => seen.as_mut().unwrap().body += &text(piece),
            ServerEvent::End => {}
            ServerEvent::NeedMore if at == bytes.len() => return seen.expect("a request"),
            other => panic!("{other:?} after {at} of {} bytes", bytes.len()),
        }
    }
}

/// Whether a text that was sent is what was written, for the given number and lines.
fn is(sent: &str, parts: &[Part], seq: u64, in_order: usize, at_random: usize) -> bool {
    let value = |line: &str, column: Option<usize>| match column {
        None => line.to_owned(),
        Some(column) => line.split(',').nth(column - 1).unwrap().to_owned(),
    };
    let mut rest = sent;
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            let Some(after) = rest.strip_prefix('.') else { return false };
            rest = after;
        }
        let expected = match part {
            Part::Literal(text) => text.clone(),
            Part::Seq => seq.to_string(),
            Part::InOrder(column) => value(IN_ORDER[in_order], *column),
            Part::AtRandom(column) => value(AT_RANDOM[at_random], *column),
            Part::Random(low, high) => {
                let len = rest.bytes().take_while(u8::is_ascii_digit).count();
                match rest[..len].parse::<u64>() {
                    Ok(number) if (*low..=*high).contains(&number) => rest[..len].to_owned(),
                    _ => return false,
                }
            }
        };
        let Some(after) = rest.strip_prefix(expected.as_str()) else { return false };
        rest = after;
    }
    rest.is_empty()
}

/// Any text as TOML writes it.
fn toml_string(text: &str) -> String {
    let mut written = "\"".to_owned();
    for c in text.chars() {
        let _ = write!(written, "\\U{:08X}", u32::from(c));
    }
    written + "\""
}

fn uses(request: &Wanted, wanted: fn(&Part) -> bool) -> bool {
    let body = request.body.iter().flatten();
    request.path.iter().chain(&request.header).chain(body).any(wanted)
}

proptest! {
    /// Everything about every request: that it is one, and which values are in it.
    #[test]
    fn a_server_reads_what_was_written(
        requests in prop::collection::vec(wanted(), 1..5),
        order in prop::sample::select(&["weighted", "sequential", "random"][..]),
        (shards, shard) in (1..5_usize).prop_flat_map(|shards| (Just(shards), 0..shards)),
        seed: u64,
    ) {
        let mix = compile(&file_of(&requests, order));
        let mut state = MixState::new(Arc::clone(&mix), shard, shards, seed);
        let (mut numbers, mut lines) = (0, 0);
        for _ in 0..40 {
            let mut bytes = Vec::new();
            let kind = state.next(&mut bytes);
            prop_assert!(bytes.len() <= mix.request_len_max());
            let seen = serve(&bytes);
            let wanted = &requests[seen.index];
            let default = if wanted.body.is_some() { "POST" } else { "GET" };
            prop_assert_eq!(&seen.method, wanted.method.unwrap_or(default));
            let is_head = seen.method == "HEAD";
            prop_assert_eq!(kind, if is_head { RequestKind::Head } else { RequestKind::Normal });
            let seq = 5 + (shard + numbers * shards) as u64;
            let line = (shard + lines * shards) % IN_ORDER.len();
            let matches = |at_random| {
                let is = |sent: &str, parts: &[Part]| is(sent, parts, seq, line, at_random);
                is(&seen.target, &wanted.path)
                    && is(seen.header.strip_prefix('x').unwrap(), &wanted.header)
                    && is(&seen.body, wanted.body.as_deref().unwrap_or_default())
            };
            prop_assert!((0..AT_RANDOM.len()).any(matches), "{:?} is not {:?}", seen, wanted);
            numbers += usize::from(uses(wanted, |part| matches!(part, Part::Seq)));
            lines += usize::from(uses(wanted, |part| matches!(part, Part::InOrder(_))));
        }
    }

    #[test]
    fn weights_are_exact_over_a_cycle(
        weights in prop::collection::vec(1..50_u64, 1..8),
        order in prop::sample::select(&["weighted", "sequential"][..]),
        (shards, shard) in (1..5_usize).prop_flat_map(|shards| (Just(shards), 0..shards)),
        skipped in 0..100_usize,
    ) {
        let requests: Vec<Wanted> = weights.iter().map(|&weight| Wanted {
            method: None, path: vec![Part::Literal("/".to_owned())], header: vec![], body: None, weight,
        }).collect();
        let mix = compile(&file_of(&requests, order));
        let mut state = MixState::new(Arc::clone(&mix), shard, shards, 0);
        let mut bytes = Vec::new();
        for _ in 0..skipped {
            state.next(&mut bytes);
        }
        let mut counts = vec![0_u64; weights.len()];
        for _ in 0..mix.cycle_len() {
            bytes.clear();
            state.next(&mut bytes);
            counts[serve(&bytes).index] += 1;
        }
        // The cycle is as short as it can be.
        let factor = weights[0] / counts[0];
        prop_assert_eq!(counts.iter().map(|count| count * factor).collect::<Vec<_>>(), weights);
    }

    #[test]
    fn numbers_and_lines_of_all_shards_are_distinct_and_without_gaps(
        shards in 1..9_usize, each in 1..30_usize, first in 0..1_000_u64,
    ) {
        let mix = compile(&format!(
            "first_seq = {first}\n[[request]]\npath = '/{{{{seq}}}}/{{{{seq}}}}'\n\
             headers = ['A: {{{{line order.csv 1}}}}', 'Index: 0']\n"
        ));
        let (mut numbers, mut lines) = (Vec::new(), [0_usize; IN_ORDER.len()]);
        for shard in 0..shards {
            let mut state = MixState::new(Arc::clone(&mix), shard, shards, 0);
            for _ in 0..each {
                let mut bytes = Vec::new();
                state.next(&mut bytes);
                let seen = serve(&bytes);
                let (_, number) = seen.target.rsplit_once('/').unwrap();
                prop_assert_eq!(&seen.target, &format!("/{number}/{number}"), "one per request");
                numbers.push(number.parse::<u64>().unwrap());
                lines[IN_ORDER.iter().position(|line| line.starts_with(&seen.header)).unwrap()] += 1;
            }
        }
        numbers.sort_unstable();
        let expected: Vec<u64> = (first..first + (shards * each) as u64).collect();
        prop_assert_eq!(numbers, expected);
        let (least, most) = (lines.iter().min().unwrap(), lines.iter().max().unwrap());
        prop_assert!(most - least <= 1, "all lines equally often: {:?}", lines);
    }

    /// No text is too odd to be read or refused, and what is read is sent without a panic.
    #[test]
    fn any_text_is_a_request_or_an_error(
        path in "/?(\\{\\{|\\}\\}|seq|random|line|random_line| |order.csv|[0-9]{1,3}|'|\\PC){0,12}",
    ) {
        let text = format!("[[request]]\npath = {}\n", toml_string(&path));
        let file = RequestFile::parse(Path::new("mix.toml"), &text, &mut |_| Ok(b"a,b\n".to_vec()));
        let url = "http://h".parse().unwrap();
        match file.and_then(|file| Mix::new(&file, &url, &[])) {
            Ok(mix) => {
                let mut bytes = Vec::new();
                MixState::new(Arc::new(mix), 0, 1, 0).next(&mut bytes);
                prop_assert!(bytes.starts_with(b"GET /") && bytes.ends_with(b"\r\n\r\n"));
            }
            Err(error) => {
                prop_assert!(error.to_string().starts_with("mix.toml:2: path: "), "{}", error);
            }
        }
    }

    /// Without placeholders, a request is byte for byte the codec's own.
    #[test]
    fn a_request_that_stays_the_same_is_that_of_the_codec(
        method in prop::sample::select(&METHODS[..]),
        path in "/[a-z/?=]{0,9}",
        value in "[a-z ,;]{0,9}",
        body in prop::option::of("[ -~]{0,20}".prop_filter("braces", |body| !body.contains("{{"))),
    ) {
        let mut text = format!("[[request]]\nmethod = '{method}'\npath = '{path}'\n");
        let _ = writeln!(text, "headers = ['A: {value}', 'B: c']");
        if let Some(body) = &body {
            let _ = writeln!(text, "body = '''{}'''", body.replace('\'', "!"));
        }
        let body = body.map(|body| body.replace('\'', "!"));
        let headers = [("A", value.trim_matches(' ')), ("B", "c")];
        let (mut expected, mut bytes) = (Vec::new(), Vec::new());
        let body = body.as_ref().map(String::as_bytes);
        write_request(&mut expected, method, &path, "127.0.0.1:81", &headers, body).unwrap();
        MixState::new(compile(&text), 0, 1, 0).next(&mut bytes);
        prop_assert_eq!(bytes, expected);
    }
}

#[test]
fn the_seed_decides_what_is_sent() {
    let text = "order = 'random'\n[[request]]\npath = '/{{random 0 99999}}'\n\
                [[request]]\npath = '/{{random_line random.csv 1}}'\n";
    let mix = compile(text);
    let run = |shard, seed| {
        let mut state = MixState::new(Arc::clone(&mix), shard, 2, seed);
        let mut bytes = Vec::new();
        for _ in 0..50 {
            state.next(&mut bytes);
        }
        bytes
    };
    assert_eq!(run(0, 1), run(0, 1));
    assert_ne!(run(0, 1), run(0, 2));
    assert_ne!(run(0, 1), run(1, 1));
}

#[test]
fn random_order_follows_the_weights() {
    let wanted = |weight| Wanted {
        method: None,
        path: vec![Part::Literal("/".to_owned())],
        header: vec![],
        body: None,
        weight,
    };
    let mix = compile(&file_of(&[wanted(1), wanted(3)], "random"));
    let mut state = MixState::new(mix, 0, 1, 42);
    let mut rare = 0_u32;
    for _ in 0..40_000 {
        let mut bytes = Vec::new();
        state.next(&mut bytes);
        rare += u32::from(serve(&bytes).index == 0);
    }
    // Six standard deviations are 520.
    assert!(rare.abs_diff(10_000) < 520, "{rare}");
}
