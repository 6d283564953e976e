//! Placeholders: `{{seq}}`, `{{random 1 6}}`, `{{line users.csv 2}}`.

use super::error::Problem;

/// A part of a text of a request file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Text that is sent as it is.
    Literal(Vec<u8>),
    /// The number of the request.
    Seq,
    /// A random number, bounds included.
    Random { low: u64, high: u64 },
    /// A line of a data file, or one of its columns (counted from 1).
    Line { data: usize, column: Option<usize>, random: bool },
}

const RANDOM: &str = "{{random LOW HIGH}} with whole numbers, as in {{random 1 1000}}";
const SEQ: &str = "{{seq}}";
const LINE: &str = "{{line FILE}} or, for a column counted from 1, {{line FILE COLUMN}}; a name \
                    with blanks in it stands in quotes";
const RANDOM_LINE: &str = "{{random_line FILE}} or, for a column counted from 1, {{random_line \
                           FILE COLUMN}}; a name with blanks in it stands in quotes";

/// Takes a text apart. `open` turns the name of a data file into its index.
pub(super) fn parse(
    text: &str,
    open: &mut dyn FnMut(&str) -> Result<usize, Problem>,
) -> Result<Vec<Piece>, Problem> {
    let mut pieces = Vec::new();
    let mut literal = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        literal.extend_from_slice(before.as_bytes());
        if let Some(escaped) = after.strip_prefix("{{") {
            literal.extend_from_slice(b"{{");
            rest = escaped;
            continue;
        }
        let (inside, after) = after.split_once("}}").ok_or(Problem::Unclosed)?;
        if !literal.is_empty() {
            pieces.push(Piece::Literal(std::mem::take(&mut literal)));
        }
        pieces.push(placeholder(inside.trim(), open)?);
        rest = after;
    }
    literal.extend_from_slice(rest.as_bytes());
    if !literal.is_empty() {
        pieces.push(Piece::Literal(literal));
    }
    Ok(pieces)
}

fn placeholder(
    text: &str,
    open: &mut dyn FnMut(&str) -> Result<usize, Problem>,
) -> Result<Piece, Problem> {
    let wrong = |usage| Problem::Arguments { text: text.to_owned(), usage };
    let (name, usage) = match text.split_whitespace().next().unwrap_or("") {
        "seq" => ("seq", SEQ),
        "random" => ("random", RANDOM),
        "line" => ("line", LINE),
        "random_line" => ("random_line", RANDOM_LINE),
        _ => return Err(Problem::UnknownPlaceholder(text.to_owned())),
    };
    let arguments = words(&text[name.len()..]).ok_or_else(|| wrong(usage))?;
    match (name, arguments[..].as_ref()) {
        ("seq", []) => Ok(Piece::Seq),
        ("random", [low, high]) => {
            let number = |word: &str| word.parse::<u64>().map_err(|_| wrong(usage));
            let (low, high) = (number(low)?, number(high)?);
            if low > high {
                return Err(Problem::EmptyRange { low, high });
            }
            Ok(Piece::Random { low, high })
        }
        ("line" | "random_line", [file, column @ ..]) if column.len() < 2 => {
            let column = column.first().map(|word| match word.parse() {
                Ok(0) | Err(_) => Err(wrong(usage)),
                Ok(column) => Ok(column),
            });
            let column = column.transpose()?;
            Ok(Piece::Line { data: open(file)?, column, random: name == "random_line" })
        }
        _ => Err(wrong(usage)),
    }
}

/// Words, of which those in quotes may have blanks in them; `None` if a quote is not closed or has
/// something right behind it.
fn words(text: &str) -> Option<Vec<&str>> {
    let (mut words, mut rest) = (Vec::new(), text.trim_start());
    while let Some(first) = rest.chars().next() {
        let (word, after) = if matches!(first, '"' | '\'') {
            rest[1..].split_once(first)?
        } else {
            rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len()))
        };
        if !after.is_empty() && !after.starts_with(char::is_whitespace) {
            return None;
        }
        words.push(word);
        rest = after.trim_start();
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Vec<Piece>, Problem> {
        let mut names: Vec<String> = Vec::new();
        parse(text, &mut |name| {
            names.push(name.to_owned());
            Ok(name.len())
        })
    }

    fn literal(text: &str) -> Piece {
        Piece::Literal(text.into())
    }

    #[test]
    fn text_and_placeholders() {
        assert_eq!(parsed("").unwrap(), []);
        assert_eq!(parsed("a } } b").unwrap(), [literal("a } } b")]);
        assert_eq!(parsed("{{seq}}").unwrap(), [Piece::Seq]);
        assert_eq!(
            parsed("/a/{{ seq }}?r={{random 1  6}}&").unwrap(),
            [
                literal("/a/"),
                Piece::Seq,
                literal("?r="),
                Piece::Random { low: 1, high: 6 },
                literal("&")
            ]
        );
        let line = |data, column, random| Piece::Line { data, column, random };
        assert_eq!(parsed("{{line abc}}").unwrap(), [line(3, None, false)]);
        assert_eq!(parsed("{{random_line 'a b.csv' 2}}").unwrap(), [line(7, Some(2), true)]);
    }

    #[test]
    fn json_needs_no_escape_but_two_braces_do() {
        assert_eq!(
            parsed(r#"{"a":{"b":{{seq}}}}"#).unwrap(),
            [literal(r#"{"a":{"b":"#), Piece::Seq, literal("}}")]
        );
        assert_eq!(parsed("{{{{seq}} }}").unwrap(), [literal("{{seq}} }}")]);
        assert_eq!(parsed("x{{{{{{seq}}").unwrap(), [literal("x{{"), Piece::Seq]);
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(parsed("/{{seq}"), Err(Problem::Unclosed));
        assert_eq!(parsed("{{uuid}}"), Err(Problem::UnknownPlaceholder("uuid".to_owned())));
        assert_eq!(parsed("{{}}"), Err(Problem::UnknownPlaceholder(String::new())));
        assert_eq!(parsed("{{random 6 1}}"), Err(Problem::EmptyRange { low: 6, high: 1 }));
        for text in [
            "{{seq 1}}",
            "{{random}}",
            "{{random 1}}",
            "{{random 1 2 3}}",
            "{{random -1 2}}",
            "{{line}}",
            "{{line f 0}}",
            "{{line f x}}",
            "{{line f 1 2}}",
            "{{line 'f}}",
            "{{line 'f'x}}",
        ] {
            let error = parsed(text).expect_err(text);
            assert!(matches!(error, Problem::Arguments { .. }), "{text}: {error}");
            assert!(error.to_string().contains(": write {{"), "{error}");
        }
        let message = Problem::Unclosed.to_string();
        assert!(message.contains("write }}, or {{{{ for"), "{message}");
        let message = Problem::UnknownPlaceholder("x".to_owned()).to_string();
        assert!(message.starts_with("{{x}} is no placeholder"), "{message}");
    }
}
