//! Text in HTML.

use std::fmt::{self, Write as _};

/// Text that may hold anything, for content and quoted attributes.
pub(crate) struct Escaped<'a>(pub(crate) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|letter| match letter {
            '&' => out.write_str("&amp;"),
            '<' => out.write_str("&lt;"),
            '>' => out.write_str("&gt;"),
            '"' => out.write_str("&quot;"),
            '\'' => out.write_str("&#39;"),
            other => out.write_char(other),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_gets_out() {
        let text = Escaped("<a href=\"x\" b='&amp;'>\u{e4}").to_string();
        assert_eq!(text, "&lt;a href=&quot;x&quot; b=&#39;&amp;amp;&#39;&gt;\u{e4}");
    }
}
