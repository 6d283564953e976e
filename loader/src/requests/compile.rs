//! Requests of a file made into templates, with the checks of a request that is sent unchanged.

use ringbench_http::{RequestKind, write_request};

use super::data::Values;
use super::error::{DataProblem, Problem, RequestFileError};
use super::file::{Field, Request, RequestFile, Text};
use super::placeholder::Piece;
use super::template::{Part, Parts, Pick, Template, digits, is_fixed, sample};
use crate::plan::MAX_BURST_LEN;
use crate::url::Url;

/// Fields that decide where the request ends, or its connection.
const FIXED_FIELDS: [&str; 4] = ["Content-Length", "Transfer-Encoding", "Connection", "Expect"];

/// Where a value is to stand.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Path,
    Header,
    Body,
}

impl Place {
    fn key(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Header => "headers",
            Self::Body => "body",
        }
    }

    /// Refuses what may not stand in it.
    fn check(self, value: &[u8]) -> Result<(), DataProblem> {
        let find = |bad: fn(&u8) -> bool| value.iter().copied().find(bad).map(char::from);
        match self {
            Self::Path => find(|byte| !byte.is_ascii_graphic() || *byte == b'#')
                .map_or(Ok(()), |found| Err(DataProblem::InPath(found))),
            Self::Header => find(|byte| (*byte < b' ' && *byte != b'\t') || *byte == 0x7f)
                .map_or(Ok(()), |found| Err(DataProblem::InHeader(found))),
            Self::Body => Ok(()),
        }
    }
}

/// The values of a data file or of one of its columns.
struct Table {
    data: usize,
    column: Option<usize>,
    values: Values,
}

/// Compiles the requests of a file, one after the other.
pub(super) struct Compiler<'a> {
    file: &'a RequestFile,
    url: &'a Url,
    extra_headers: &'a [(String, String)],
    tables: Vec<Table>,
}

impl<'a> Compiler<'a> {
    pub(super) fn new(
        file: &'a RequestFile,
        url: &'a Url,
        extra_headers: &'a [(String, String)],
    ) -> Self {
        Self { file, url, extra_headers, tables: Vec::new() }
    }

    /// The values that the templates take their lines of.
    pub(super) fn into_values(self) -> Vec<Values> {
        self.tables.into_iter().map(|table| table.values).collect()
    }

    /// A template, and whether the request ends its connection.
    pub(super) fn compile(
        &mut self,
        request: &Request,
    ) -> Result<(Template, bool), RequestFileError> {
        let method = request.method.as_deref().unwrap_or(match request.body {
            Some(_) => "POST",
            None => "GET",
        });
        let extra = self.extra_headers.iter().map(|(name, value)| Field {
            name: name.clone(),
            value: Text { line: request.line, pieces: vec![Piece::Literal(value.clone().into())] },
        });
        let mut fields: Vec<Field> = extra.collect();
        // -H goes before the request, and that before the file; as a whole, so that a field that
        // is twice in one place stays there twice.
        for headers in [&request.headers, &self.file.headers] {
            let has = |name: &str| fields.iter().any(|field| field.name.eq_ignore_ascii_case(name));
            let new: Vec<Field> =
                headers.iter().filter(|field| !has(&field.name)).cloned().collect();
            fields.extend(new);
        }
        let target = Text {
            line: request.line,
            pieces: vec![Piece::Literal(self.url.target().as_bytes().to_vec())],
        };
        let target = request.path.as_ref().unwrap_or(&target);
        self.check_start(target)?;
        self.check(request, method, target, &fields)?;
        let template = self.layout(request, method, target, &fields)?;
        let closes = fields.iter().any(|field| {
            field.name.eq_ignore_ascii_case("Connection")
                && String::from_utf8_lossy(&sample(&field.value.pieces))
                    .split(',')
                    .any(|option| option.trim().eq_ignore_ascii_case("close"))
        });
        Ok((template, closes))
    }

    /// The checks of a request that is always the same, with a digit for each placeholder, and
    /// those of the placeholders.
    fn check(
        &self,
        request: &Request,
        method: &str,
        target: &Text,
        fields: &[Field],
    ) -> Result<(), RequestFileError> {
        let fail = |line, key, problem| Err(self.file.source.error(Some(line), key, problem));
        if method == "CONNECT" {
            return fail(request.line, Some("method"), Problem::Connect);
        }
        for name in ["Host", "Content-Length", "Transfer-Encoding"] {
            if let [_, second, ..] = all(fields, name)[..] {
                return fail(second.value.line, Some("headers"), Problem::Repeated(name));
            }
        }
        for name in FIXED_FIELDS {
            if let Some(field) = all(fields, name).iter().find(|f| !is_fixed(&f.value.pieces)) {
                return fail(field.value.line, Some("headers"), Problem::Fixed(name));
            }
        }
        let body = request.body.as_ref();
        let body_changes = body.is_some_and(|body| !is_fixed(&body.pieces));
        let body_sample = body.map(|body| sample(&body.pieces));
        if let Some(field) = all(fields, "Transfer-Encoding").first() {
            // RFC 9112 7.1: a chunked body ends with an empty line, after its trailers if any.
            if !body_sample.as_ref().is_some_and(|body| body.ends_with(b"\r\n\r\n")) {
                return fail(field.value.line, Some("headers"), Problem::ChunkedWithoutBody);
            }
            if body_changes {
                return fail(request.line, Some("body"), Problem::ChunkedPlaceholder);
            }
        }
        if let (true, Some(field)) = (body_changes, all(fields, "Content-Length").first()) {
            return fail(field.value.line, Some("headers"), Problem::Length);
        }
        let path = String::from_utf8_lossy(&sample(&target.pieces)).into_owned();
        if let Some(found) = path.chars().find(|c| !c.is_ascii_graphic() || *c == '#') {
            return fail(target.line, Some("path"), Problem::PathChar(found));
        }
        let headers: Vec<_> =
            fields.iter().map(|field| (&field.name, sample(&field.value.pieces))).collect();
        let host = self.url.authority();
        write_request(&mut Vec::new(), method, &path, host, &headers, body_sample.as_deref())
            .or_else(|error| fail(request.line, None, error.into()))
    }

    fn layout(
        &mut self,
        request: &Request,
        method: &str,
        target: &Text,
        fields: &[Field],
    ) -> Result<Template, RequestFileError> {
        let mut builder = Builder::default();
        builder.literal(format!("{method} ").as_bytes());
        self.text(&mut builder, Place::Path, target)?;
        builder.literal(b" HTTP/1.1\r\n");
        if all(fields, "Host").is_empty() {
            builder.literal(format!("Host: {}\r\n", self.url.authority()).as_bytes());
        }
        for field in fields {
            builder.literal(format!("{}: ", field.name).as_bytes());
            self.text(&mut builder, Place::Header, &field.value)?;
            builder.literal(b"\r\n");
        }
        let body_changes = request.body.as_ref().is_some_and(|body| !is_fixed(&body.pieces));
        let framed =
            ["Content-Length", "Transfer-Encoding"].iter().any(|n| !all(fields, n).is_empty());
        let wants_length =
            !framed && (request.body.is_some() || matches!(method, "POST" | "PUT" | "PATCH"));
        if wants_length {
            builder.literal(b"Content-Length: ");
            if body_changes {
                builder.parts.push(Part::BodyLen, digits(u64::MAX));
            } else {
                let len = request.body.as_ref().map_or(0, |body| sample(&body.pieces).len());
                builder.literal(len.to_string().as_bytes());
            }
            builder.literal(b"\r\n");
        }
        builder.literal(b"\r\n");
        let head = body_changes.then(|| std::mem::take(&mut builder.parts));
        if let Some(body) = &request.body {
            self.text(&mut builder, Place::Body, body)?;
        }
        let kind = if method == "HEAD" { RequestKind::Head } else { RequestKind::Normal };
        let template = builder.finish(head, kind);
        if template.len_max > MAX_BURST_LEN {
            let problem = Problem::TooLong(template.len_max);
            return Err(self.file.source.error(Some(request.line), None, problem));
        }
        Ok(template)
    }

    /// Appends a text; the values of its data files are checked for their place.
    fn text(
        &mut self,
        builder: &mut Builder,
        place: Place,
        text: &Text,
    ) -> Result<(), RequestFileError> {
        for piece in &text.pieces {
            match *piece {
                Piece::Literal(ref literal) => builder.literal(literal),
                Piece::Seq => {
                    builder.counts = true;
                    builder.parts.push(Part::Seq, digits(u64::MAX));
                }
                Piece::Random { low, high } => {
                    builder.parts.push(Part::Random { low, span: high - low }, digits(high));
                }
                Piece::Line { data, column, random } => {
                    let value = self.value(data, column, |value| place.check(value));
                    let values = value.and_then(|values| {
                        self.pick(builder, Pick { data, random })?;
                        Ok(values)
                    });
                    let values = values.map_err(|problem| {
                        self.file.source.error(Some(text.line), Some(place.key()), problem)
                    })?;
                    let len_max = self.tables[values].values.len_max();
                    builder.parts.push(Part::Value { values, data }, len_max);
                }
            }
        }
        Ok(())
    }

    /// The table of a data file's values, all of which pass `check`.
    fn value(
        &mut self,
        data: usize,
        column: Option<usize>,
        check: impl Fn(&[u8]) -> Result<(), DataProblem>,
    ) -> Result<usize, Problem> {
        let file = &self.file.data[data];
        let wrong = |line, why| Problem::Data { name: file.name.clone(), line: Some(line), why };
        let known =
            self.tables.iter().position(|table| (table.data, table.column) == (data, column));
        let index = if let Some(index) = known {
            index
        } else {
            let values = file.values(column).map_err(|(line, why)| wrong(line, why))?;
            self.tables.push(Table { data, column, values });
            self.tables.len() - 1
        };
        for (line, value) in self.tables[index].values.iter().enumerate() {
            check(value).map_err(|why| wrong(file.number(line), why))?;
        }
        Ok(index)
    }

    /// One request takes one line of a file, however often it names it.
    fn pick(&self, builder: &mut Builder, pick: Pick) -> Result<(), Problem> {
        match builder.picks.iter().find(|known| known.data == pick.data) {
            None => builder.picks.push(pick),
            Some(known) if *known == pick => {}
            Some(_) => {
                return Err(Problem::LineAndRandomLine(self.file.data[pick.data].name.clone()));
            }
        }
        Ok(())
    }

    /// A target in origin-form begins with a slash (RFC 9112 3.2.1), whichever line it begins with.
    fn check_start(&mut self, target: &Text) -> Result<(), RequestFileError> {
        let checked = match target.pieces.first() {
            Some(Piece::Literal(literal)) if literal.starts_with(b"/") => Ok(()),
            Some(&Piece::Line { data, column, .. }) => self
                .value(data, column, |value| match value.first() {
                    Some(b'/') => Ok(()),
                    _ => Err(DataProblem::PathStart),
                })
                .map(|_| ()),
            _ => Err(Problem::PathStart),
        };
        checked.map_err(|problem| self.file.source.error(Some(target.line), Some("path"), problem))
    }
}

/// All fields of a name.
fn all<'a>(fields: &'a [Field], name: &str) -> Vec<&'a Field> {
    fields.iter().filter(|field| field.name.eq_ignore_ascii_case(name)).collect()
}

/// A template in the making.
#[derive(Default)]
struct Builder {
    bytes: Vec<u8>,
    parts: Parts,
    picks: Vec<Pick>,
    counts: bool,
}

impl Builder {
    fn literal(&mut self, text: &[u8]) {
        self.parts.literal(&mut self.bytes, text);
    }

    /// The template; `head` is what stands before the parts if those are a body that changes.
    fn finish(self, head: Option<Parts>, kind: RequestKind) -> Template {
        let (head, body) = match head {
            Some(head) => (head, self.parts),
            None => (self.parts, Parts::default()),
        };
        Template {
            bytes: self.bytes,
            len_max: head.len_max + body.len_max,
            head: head.list,
            body: body.list,
            picks: self.picks,
            counts: self.counts,
            kind,
        }
    }
}
