//! The file as it is written: TOML, read with the data files that it names.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde::Deserialize;
use toml::Spanned;

use super::data::DataFile;
use super::error::{DataProblem, Problem, RequestFileError};
use super::placeholder::{Piece, parse};
use crate::lines::Lines;
use crate::plan::{MAX_BURST_LEN, parse_header, parse_method};

/// Which request is next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// As often as its weight says, evenly spread, the same in every cycle.
    #[default]
    Weighted,
    /// As in the file, each as many times in a row as its weight says.
    Sequential,
    /// By chance, with its weight as the probability.
    Random,
}

/// A request file, read and checked as far as that is possible without a URL.
#[derive(Clone, Debug)]
pub struct RequestFile {
    pub(super) source: Source,
    pub(super) order: Order,
    pub(super) first_seq: u64,
    pub(super) headers: Vec<Field>,
    pub(super) requests: Vec<Request>,
    pub(super) data: Vec<DataFile>,
}

/// A request as it is written.
#[derive(Clone, Debug)]
pub(super) struct Request {
    /// Where it begins.
    pub(super) line: usize,
    pub(super) method: Option<String>,
    pub(super) path: Option<Text>,
    pub(super) headers: Vec<Field>,
    pub(super) body: Option<Text>,
    pub(super) weight: u64,
}

/// A text with placeholders and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Text {
    pub(super) line: usize,
    pub(super) pieces: Vec<Piece>,
}

/// A header field.
#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) value: Text,
}

impl RequestFile {
    /// Reads a request file and all files that it names, whose paths are relative to its own.
    ///
    /// # Errors
    ///
    /// When one of them cannot be read, or something in them cannot be sent. The text names the
    /// file, the line and the key.
    pub fn read(path: &Path) -> Result<Self, RequestFileError> {
        let source =
            |problem| RequestFileError { path: path.to_owned(), line: None, key: None, problem };
        let unreadable =
            |why: String| source(Problem::Read { name: path.display().to_string(), why });
        let bytes = read(path).map_err(|error| unreadable(error.to_string()))?;
        let text = String::from_utf8(bytes)
            .map_err(|_| unreadable("it is not UTF-8: put other bytes into a body_file".into()))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::parse(path, &text, &mut |name| read(&folder.join(name)))
    }

    /// The paths of its requests without their queries; `/` where the URL decides, and `*` for what
    /// comes from the first placeholder on.
    pub fn paths(&self) -> Vec<String> {
        let path = |request: &Request| {
            let Some(path) = &request.path else { return "/".to_owned() };
            let start = match path.pieces.first() {
                Some(Piece::Literal(start)) => String::from_utf8_lossy(start),
                _ => "".into(),
            };
            match start.split_once('?') {
                Some((path, _)) => path.to_owned(),
                None if path.pieces.len() > 1 => format!("{start}*"),
                None => start.into_owned(),
            }
        };
        self.requests.iter().map(path).collect()
    }

    /// Reads a request file from its text; `read` reads those that it names.
    pub(super) fn parse(
        path: &Path,
        text: &str,
        read: &mut dyn FnMut(&str) -> io::Result<Vec<u8>>,
    ) -> Result<Self, RequestFileError> {
        let source = Source { lines: Lines::new(path, text) };
        let raw: RawFile = toml::from_str(text).map_err(|error| {
            let line = error.span().map(|span| source.lines.line(span.start));
            source.error(line, None, Problem::Toml(error.message().to_owned()))
        })?;
        if raw.request.is_empty() {
            return Err(source.error(None, None, Problem::NoRequests));
        }
        let mut reader = Reader { source: &source, data: Vec::new(), read };
        let headers = reader.fields(&raw.headers)?;
        let requests =
            raw.request.into_iter().map(|raw| reader.request(raw)).collect::<Result<_, _>>()?;
        let data = reader.data;
        Ok(Self { order: raw.order, first_seq: raw.first_seq, source, headers, requests, data })
    }
}

/// The most bytes of a file; what is longer, such as `/dev/zero`, could not be sent anyway.
const MAX_FILE_LEN: usize = MAX_BURST_LEN;

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE_LEN as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_FILE_LEN {
        let message = format!("it is longer than {} MiB", MAX_FILE_LEN >> 20);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(bytes)
}

/// The file, as errors name it.
#[derive(Clone, Debug)]
pub(super) struct Source {
    lines: Lines,
}

impl Source {
    pub(super) fn error(
        &self,
        line: Option<usize>,
        key: Option<&'static str>,
        problem: Problem,
    ) -> RequestFileError {
        RequestFileError { path: self.lines.path.clone(), line, key, problem }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    #[serde(default)]
    order: Order,
    #[serde(default)]
    first_seq: u64,
    #[serde(default)]
    headers: Vec<Spanned<String>>,
    #[serde(default)]
    request: Vec<Spanned<RawRequest>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRequest {
    method: Option<Spanned<String>>,
    path: Option<Spanned<String>>,
    #[serde(default)]
    headers: Vec<Spanned<String>>,
    body: Option<Spanned<String>>,
    body_file: Option<Spanned<String>>,
    weight: Option<Spanned<u64>>,
}

struct Reader<'a> {
    source: &'a Source,
    data: Vec<DataFile>,
    read: &'a mut dyn FnMut(&str) -> io::Result<Vec<u8>>,
}

impl Reader<'_> {
    fn request(&mut self, raw: Spanned<RawRequest>) -> Result<Request, RequestFileError> {
        let line = self.source.lines.line_of(&raw);
        let raw = raw.into_inner();
        let fail = |of: &Spanned<String>, key, problem| {
            self.source.error(Some(self.source.lines.line_of(of)), Some(key), problem)
        };
        if let Some(method) = &raw.method {
            parse_method(method.get_ref())
                .map_err(|message| fail(method, "method", Problem::Method(message)))?;
        }
        if let (Some(_), Some(second)) = (&raw.body, &raw.body_file) {
            return Err(fail(second, "body_file", Problem::TwoBodies));
        }
        let path = raw.path.map(|path| self.text("path", &path)).transpose()?;
        let headers = self.fields(&raw.headers)?;
        let body = match (raw.body, raw.body_file) {
            (Some(body), _) => Some(self.text("body", &body)?),
            (None, Some(name)) => Some(self.body_file(&name)?),
            (None, None) => None,
        };
        let weight = match raw.weight {
            None => 1,
            Some(weight) if *weight.get_ref() == 0 => {
                let line = self.source.lines.line_of(&weight);
                return Err(self.source.error(Some(line), Some("weight"), Problem::ZeroWeight));
            }
            Some(weight) => weight.into_inner(),
        };
        let method = raw.method.map(Spanned::into_inner);
        Ok(Request { line, method, path, headers, body, weight })
    }

    /// A field's name is checked here; its value together with the request.
    fn fields(&mut self, raw: &[Spanned<String>]) -> Result<Vec<Field>, RequestFileError> {
        let field = |raw: &Spanned<String>| {
            let line = self.source.lines.line_of(raw);
            let (name, value) = parse_header(raw.get_ref()).map_err(|message| {
                self.source.error(Some(line), Some("headers"), Problem::Header(message))
            })?;
            let value = self.text_at("headers", line, &value)?;
            Ok(Field { name, value })
        };
        raw.iter().map(field).collect()
    }

    fn text(&mut self, key: &'static str, raw: &Spanned<String>) -> Result<Text, RequestFileError> {
        self.text_at(key, self.source.lines.line_of(raw), raw.get_ref())
    }

    fn text_at(
        &mut self,
        key: &'static str,
        line: usize,
        text: &str,
    ) -> Result<Text, RequestFileError> {
        let pieces = parse(text, &mut |name| self.open(name))
            .map_err(|problem| self.source.error(Some(line), Some(key), problem))?;
        Ok(Text { line, pieces })
    }

    /// What is in the file is sent as it is: it may hold any bytes, braces too.
    fn body_file(&mut self, name: &Spanned<String>) -> Result<Text, RequestFileError> {
        let line = self.source.lines.line_of(name);
        let bytes = (self.read)(name.get_ref()).map_err(|error| {
            let problem = Problem::Read { name: name.get_ref().clone(), why: error.to_string() };
            self.source.error(Some(line), Some("body_file"), problem)
        })?;
        Ok(Text { line, pieces: vec![Piece::Literal(bytes)] })
    }

    /// The index of a data file, which is read when it is named for the first time.
    fn open(&mut self, name: &str) -> Result<usize, Problem> {
        if let Some(known) = self.data.iter().position(|data| data.name == name) {
            return Ok(known);
        }
        let bytes = (self.read)(name)
            .map_err(|error| Problem::Read { name: name.to_owned(), why: error.to_string() })?;
        let data = DataFile::new(name.to_owned(), bytes)
            .map_err(|why: DataProblem| Problem::Data { name: name.to_owned(), line: None, why })?;
        self.data.push(data);
        Ok(self.data.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Result<RequestFile, String> {
        RequestFile::parse(Path::new("mix.toml"), text, &mut |name| match name {
            "users" => Ok(b"ann\nbob\n".to_vec()),
            "empty" => Ok(b"\n".to_vec()),
            "raw" => Ok(b"{{\0".to_vec()),
            _ => Err(io::Error::from_raw_os_error(2)),
        })
        .map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_left_out_has_a_default() {
        let file = file("[[request]]\n").unwrap();
        assert_eq!((file.order, file.first_seq, file.requests.len()), (Order::Weighted, 0, 1));
        let request = &file.requests[0];
        assert!(request.method.is_none() && request.path.is_none() && request.body.is_none());
        assert_eq!((request.weight, request.headers.len()), (1, 0));
    }

    #[test]
    fn all_that_there_is() {
        let file = file(
            "order = 'random'\nfirst_seq = 7\nheaders = ['A: {{line users}}']\n\
             [[request]]\nmethod = 'PUT'\npath = '/{{line users 1}}'\nheaders = ['B:  c ']\n\
             body_file = 'raw'\nweight = 3\n[[request]]\n",
        )
        .unwrap();
        assert_eq!((file.order, file.first_seq), (Order::Random, 7));
        assert_eq!(file.data.len(), 1, "a data file is read once");
        let request = &file.requests[0];
        assert_eq!((request.method.as_deref(), request.weight), (Some("PUT"), 3));
        assert_eq!(request.headers[0].name, "B");
        assert_eq!(request.headers[0].value.pieces, [Piece::Literal(b"c".to_vec())]);
        let body = request.body.as_ref().unwrap();
        assert_eq!(body.pieces, [Piece::Literal(b"{{\0".to_vec())], "sent as it is");
        let lines = (request.line, request.path.as_ref().unwrap().line, body.line);
        assert_eq!((lines, file.requests[1].line), ((4, 6, 8), 10));
    }

    #[test]
    fn paths_without_what_changes() {
        let file = file(
            "[[request]]\n[[request]]\npath = '/a'\n[[request]]\npath = '/a?b={{seq}}'\n\
             [[request]]\npath = '/c/{{seq}}/d'\n",
        );
        assert_eq!(file.unwrap().paths(), ["/", "/a", "/a", "/c/*"]);
    }

    #[test]
    fn mistakes_are_named_with_file_line_and_key() {
        for (text, expected) in [
            ("", "mix.toml: there is no request in it"),
            ("[[request]]\nweight = 'x'", "mix.toml:2: invalid type: string \"x\", expected u64"),
            ("[[request]]\npth = '/'", "mix.toml:2: unknown field `pth`, expected one of"),
            ("order = 'shuffled'\n", "mix.toml:1: unknown variant `shuffled`, expected one of"),
            ("[[request]]\nbody = 'a", "mix.toml:2: "),
            ("[[request]]\n\nweight = 0", "mix.toml:3: weight: a request of weight 0"),
            ("[[request]]\nmethod = 'G T'", "mix.toml:2: method: `G T` is not a method"),
            ("[[request]]\nheaders = [\n'a',\n]", "mix.toml:3: headers: `a` is not a header"),
            ("headers = ['a: \\n']\nx", "mix.toml:2: "),
            ("[[request]]\npath = '/{{sq}}'", "mix.toml:2: path: {{sq}} is no placeholder"),
            ("[[request]]\nbody = '{{line no}}'", "mix.toml:2: body: `no` cannot be read: No such"),
            ("[[request]]\nbody_file = 'no'", "mix.toml:2: body_file: `no` cannot be read: No"),
            ("[[request]]\nbody = ''\nbody_file = 'raw'", "mix.toml:3: body_file: body and"),
            (
                "[[request]]\nbody = '{{line empty}}'",
                "mix.toml:2: body: data file `empty`: there is no line in it",
            ),
        ] {
            let message = file(text).expect_err(text);
            assert!(message.starts_with(expected), "{text:?}: {message}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let error = RequestFile::read(Path::new("/no/such/mix.toml")).unwrap_err();
        assert!(error.to_string().contains("/no/such/mix.toml: `"), "{error}");
        let error = RequestFile::read(Path::new("/dev/zero")).unwrap_err();
        assert!(error.to_string().ends_with("it is longer than 256 MiB"), "{error}");
    }
}
