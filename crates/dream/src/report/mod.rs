//! What a run leaves behind for people: its measurements, charts, and one page that shows both.

pub mod curves;
pub mod explanation;
pub mod html;
pub mod metrics;
pub mod svg;

use std::borrow::Cow;
use std::fmt::{self, Write as _};

/// Appends formatted text.
pub(crate) fn push(out: &mut String, text: fmt::Arguments<'_>) {
    out.write_fmt(text)
        .expect("a string takes any text. This is a bug.");
}

/// Text made safe for XML and HTML, in element content and in quoted attributes.
///
/// Characters that XML 1.0 forbids become U+FFFD, so any text makes a well-formed file.
fn escape(text: &str) -> Cow<'_, str> {
    let special = |c: char| {
        matches!(c, '&' | '<' | '>' | '"' | '\'' | '\u{fffe}' | '\u{ffff}')
            || (c < ' ' && !matches!(c, '\t' | '\n' | '\r'))
    };
    if !text.contains(special) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c if special(c) => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    Cow::Owned(safe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_text_has_no_markup_and_no_forbidden_character() {
        // The five predefined entities of XML 1.0, section 4.6.
        assert_eq!(
            escape("a<b> & \"c\" 'd'\u{0}"),
            "a&lt;b&gt; &amp; &quot;c&quot; &#39;d&#39;\u{fffd}"
        );
        assert_eq!(escape("plain ümlaut\n"), "plain ümlaut\n");
    }
}
