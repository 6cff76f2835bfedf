//! What a text file is made of: headings, prose, code.

/// A piece of a file, in the order of reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Block {
    /// A heading and its level, from 1.
    Heading(u8, String),
    /// A paragraph, a list item, a row of a table: blanks are single spaces.
    Prose(String),
    /// Preformatted text: its lines are kept.
    Code(String),
}

/// What the text that comes next belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    #[default]
    Prose,
    Heading(u8),
    Code,
}

/// Gathers text into blocks as a parser comes across it.
#[derive(Debug, Default)]
pub(super) struct BlockWriter {
    blocks: Vec<Block>,
    open: String,
    kind: Kind,
}

impl BlockWriter {
    /// What the open block is.
    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// Text of the open block.
    pub(super) fn text(&mut self, text: &str) {
        self.open.push_str(text);
    }

    /// Ends the open block and begins one of this kind.
    pub(super) fn begin(&mut self, kind: Kind) {
        let text = std::mem::take(&mut self.open);
        let block = match self.kind {
            Kind::Prose => Block::Prose(single_spaced(&text)),
            Kind::Heading(level) => Block::Heading(level, single_spaced(&text)),
            Kind::Code => Block::Code(text.trim_matches('\n').trim_end().to_owned()),
        };
        self.kind = kind;
        let (Block::Prose(text) | Block::Heading(_, text) | Block::Code(text)) = &block;
        if !text.trim().is_empty() {
            self.blocks.push(block);
        }
    }

    /// Blocks that another parser found.
    pub(super) fn append(&mut self, blocks: Vec<Block>) {
        self.begin(Kind::Prose);
        self.blocks.extend(blocks);
    }

    /// All blocks.
    pub(super) fn finish(mut self) -> Vec<Block> {
        self.begin(Kind::Prose);
        self.blocks
    }
}

/// The paragraphs of a plain text: what blank lines part.
pub(super) fn plain(text: &str) -> Vec<Block> {
    let mut writer = BlockWriter::default();
    for line in text.lines() {
        if line.trim().is_empty() {
            writer.begin(Kind::Prose);
        } else {
            writer.text(line);
            writer.text("\n");
        }
    }
    writer.finish()
}

fn single_spaced(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_lines_part_paragraphs_and_line_ends_are_spaces() {
        let prose = |text: &str| Block::Prose(text.to_owned());
        assert_eq!(
            plain("one\r\n  two\n\n \n\nthree\n"),
            [prose("one two"), prose("three")]
        );
        assert!(plain(" \n\n").is_empty());
    }
}
