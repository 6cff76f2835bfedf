//! Markdown to blocks (CommonMark with tables, by `pulldown-cmark`). Front matter is left out; HTML inside is read as HTML.

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use super::blocks::{Block, BlockWriter, Kind};
use super::html;

/// The blocks of a Markdown text.
pub(super) fn blocks(text: &str) -> Vec<Block> {
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_HEADING_ATTRIBUTES
        | Options::ENABLE_YAML_STYLE_METADATA_BLOCKS
        | Options::ENABLE_PLUSES_DELIMITED_METADATA_BLOCKS;
    let mut writer = BlockWriter::default();
    let mut html = String::new();
    let mut is_metadata = false;
    for event in Parser::new_ext(text, options) {
        match event {
            Event::Start(tag) => match tag {
                Tag::Heading { level, .. } => writer.begin(Kind::Heading(level as u8)),
                Tag::CodeBlock(_) => writer.begin(Kind::Code),
                Tag::MetadataBlock(_) => is_metadata = true,
                Tag::Paragraph
                | Tag::BlockQuote(_)
                | Tag::List(_)
                | Tag::Item
                | Tag::TableHead
                | Tag::TableRow => writer.begin(Kind::Prose),
                _ => {}
            },
            Event::End(tag) => match tag {
                TagEnd::MetadataBlock(_) => is_metadata = false,
                TagEnd::HtmlBlock => writer.append(html::blocks(&std::mem::take(&mut html))),
                TagEnd::TableCell => writer.text(" "),
                TagEnd::Heading(_)
                | TagEnd::CodeBlock
                | TagEnd::Paragraph
                | TagEnd::BlockQuote(_)
                | TagEnd::Item
                | TagEnd::TableHead
                | TagEnd::TableRow => writer.begin(Kind::Prose),
                _ => {}
            },
            Event::Html(text) => html.push_str(&text),
            _ if is_metadata => {}
            Event::Text(text)
            | Event::Code(text)
            | Event::InlineMath(text)
            | Event::DisplayMath(text) => writer.text(&text),
            Event::SoftBreak | Event::HardBreak => writer.text("\n"),
            _ => {}
        }
    }
    writer.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_paragraphs_items_tables_and_code_become_blocks() {
        let text = "---\ntitle: left out\n---\n# A `b`\nOne\ntwo [link](x).\n\n- item *one*\n  1. inner\n- last\n\n\
                    | h | i |\n|---|---|\n| c | d |\n\n```rust\nfn f() {\n    1\n}\n```\n\nSetext\n---\n<div>\n<p>in html</p>\n</div>\n";
        let prose = |text: &str| Block::Prose(text.to_owned());
        assert_eq!(
            blocks(text),
            [
                Block::Heading(1, "A b".into()),
                prose("One two link."),
                prose("item one"),
                prose("inner"),
                prose("last"),
                prose("h i"),
                prose("c d"),
                Block::Code("fn f() {\n    1\n}".into()),
                Block::Heading(2, "Setext".into()),
                prose("in html"),
            ]
        );
    }
}
