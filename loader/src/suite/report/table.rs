//! A table as such, which the writers put into their own form: so that Markdown and HTML say the
//! same.

/// Rows below headings. The first column that is [`Column::is_name`] names the row.
pub(super) struct Table {
    pub(super) title: String,
    pub(super) columns: Vec<Column>,
    pub(super) rows: Vec<Vec<Field>>,
    /// What marks in the table mean.
    pub(super) notes: Vec<String>,
}

/// The head of a column.
#[derive(Clone)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) is_number: bool,
    pub(super) is_name: bool,
}

impl Column {
    /// Of the names of rows.
    pub(super) fn name(name: &str) -> Self {
        Self { name: name.to_owned(), is_number: false, is_name: true }
    }

    /// Of words.
    pub(super) fn words(name: &str) -> Self {
        Self { name: name.to_owned(), is_number: false, is_name: false }
    }

    /// Of figures, which stand at the right.
    pub(super) fn number(name: impl Into<String>) -> Self {
        Self { name: name.into(), is_number: true, is_name: false }
    }
}

/// What stands in a row below a heading.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Field {
    pub(super) text: String,
    pub(super) tone: Tone,
}

/// How it is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    /// A failure.
    Bad,
    /// What is not there.
    Quiet,
}

impl From<String> for Field {
    fn from(text: String) -> Self {
        let tone = if text == super::words::NONE { Tone::Quiet } else { Tone::Plain };
        Self { text, tone }
    }
}

impl From<&str> for Field {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl Field {
    /// A word for what went wrong.
    pub(super) fn bad(text: impl Into<String>) -> Self {
        Self { text: text.into(), tone: Tone::Bad }
    }

    /// A word for what is not there.
    pub(super) fn quiet(text: impl Into<String>) -> Self {
        Self { text: text.into(), tone: Tone::Quiet }
    }
}
