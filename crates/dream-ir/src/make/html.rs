//! HTML to blocks, from the tokens of `html5ever`: no tree is built, so nesting costs neither memory nor stack.
//!
//! Tags that begin or end a block end the open one, whether closed or not. Scripts, styles, templates, drawings
//! and navigation are left out. `<title>` is a heading of level 1, which a first `<h1>` takes the place of.

use std::cell::RefCell;

use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::{Rawtext, Rcdata, ScriptData};
use html5ever::tokenizer::{
    BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
};

use super::blocks::{Block, BlockWriter, Kind};

/// Elements whose text is not for readers.
const LEFT_OUT: [&str; 9] = [
    "script", "style", "template", "svg", "math", "nav", "noscript", "iframe", "textarea",
];

/// Elements that are blocks of prose of their own.
const PROSE: [&str; 39] = [
    "address",
    "article",
    "aside",
    "blockquote",
    "body",
    "caption",
    "center",
    "dd",
    "details",
    "dialog",
    "div",
    "dl",
    "dt",
    "fieldset",
    "figcaption",
    "figure",
    "footer",
    "form",
    "head",
    "header",
    "hr",
    "html",
    "legend",
    "li",
    "main",
    "menu",
    "ol",
    "option",
    "p",
    "section",
    "select",
    "summary",
    "table",
    "tbody",
    "tfoot",
    "thead",
    "tr",
    "ul",
    "video",
];

/// The blocks of an HTML text.
pub(super) fn blocks(text: &str) -> Vec<Block> {
    let input = BufferQueue::default();
    input.push_back(StrTendril::from(text));
    let tokenizer = Tokenizer::new(Sink::default(), TokenizerOpts::default());
    let _ = tokenizer.feed(&input); // stops early for scripts that are to be run, which ours never are
    tokenizer.end();
    tokenizer.sink.0.into_inner().writer.finish()
}

#[derive(Default)]
struct Sink(RefCell<State>);

#[derive(Default)]
struct State {
    writer: BlockWriter,
    /// The element that is being left out, and how many of its name are open.
    left_out: Option<(String, usize)>,
}

impl TokenSink for Sink {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        let mut state = self.0.borrow_mut();
        match token {
            Token::CharacterTokens(text) if state.left_out.is_none() => state.writer.text(&text),
            Token::TagToken(tag) => return state.tag(&tag),
            _ => {}
        }
        TokenSinkResult::Continue
    }
}

impl State {
    fn tag(&mut self, tag: &Tag) -> TokenSinkResult<()> {
        let (name, is_start) = (&*tag.name, tag.kind == TagKind::StartTag);
        match &mut self.left_out {
            Some((left_out, depth)) if left_out == name => match (is_start, *depth) {
                (true, _) => *depth += 1,
                (false, 1) => self.left_out = None,
                (false, _) => *depth -= 1,
            },
            Some(_) => {}
            None if LEFT_OUT.contains(&name) && is_start && !tag.self_closing => {
                self.left_out = Some((name.to_owned(), 1));
            }
            None => self.block(name, is_start),
        }
        // What the tree builder of a browser would tell its tokenizer.
        match name {
            _ if !is_start => TokenSinkResult::Continue,
            "script" => TokenSinkResult::RawData(ScriptData),
            "style" | "noscript" | "iframe" | "xmp" | "noembed" | "noframes" => {
                TokenSinkResult::RawData(Rawtext)
            }
            "title" | "textarea" => TokenSinkResult::RawData(Rcdata),
            _ => TokenSinkResult::Continue,
        }
    }

    fn block(&mut self, name: &str, is_start: bool) {
        let kind = match name {
            "title" => Some(Kind::Heading(1)),
            "pre" => Some(Kind::Code),
            _ => match name.as_bytes() {
                [b'h', level @ b'1'..=b'6'] => Some(Kind::Heading(level - b'0')),
                _ => None,
            },
        };
        let writer = &mut self.writer;
        match (kind, writer.kind()) {
            (Some(kind), _) => writer.begin(if is_start { kind } else { Kind::Prose }),
            // Highlighted code has a tag a line, headings have boxes and breaks.
            (None, Kind::Code) if name == "br" => writer.text("\n"),
            (None, Kind::Code) => {}
            (None, Kind::Heading(_)) if PROSE.contains(&name) || name == "br" => writer.text(" "),
            (None, Kind::Prose) if PROSE.contains(&name) => writer.begin(Kind::Prose),
            _ if matches!(name, "br" | "td" | "th") => writer.text(" "),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prose(text: &str) -> Block {
        Block::Prose(text.to_owned())
    }

    #[test]
    fn headings_paragraphs_items_tables_and_code_become_blocks() {
        let text = "<!doctype html><html><head><title>T &amp; U</title><style>p { }</style></head><body>\
                    <nav><ul><li>home</ul></nav><h1>A <b>b</b><br>c</h1><p>One <i>two</i>&nbsp;x<p>three\
                    <ul><li>item<li>last</ul><script>if (a < b) '<p>no'</script>\
                    <table><tr><td>c<td>d</tr></table><pre><span>fn f()</span>\n    1</pre>tail<svg><text>no</text></svg>";
        assert_eq!(
            blocks(text),
            [
                Block::Heading(1, "T & U".into()),
                Block::Heading(1, "A b c".into()),
                prose("One two x"),
                prose("three"),
                prose("item"),
                prose("last"),
                prose("c d"),
                Block::Code("fn f()\n    1".into()),
                prose("tail"),
            ]
        );
    }

    #[test]
    fn deep_nesting_and_tags_that_never_close_are_read_through() {
        let deep = format!("{}x", "<div><b>".repeat(200_000));
        assert_eq!(blocks(&deep), [prose("x")]);
        assert_eq!(blocks("a<p"), [prose("a")]);
        assert_eq!(blocks("a<script>b"), [prose("a")]);
    }
}
