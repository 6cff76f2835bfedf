//! Cutting a source into documents: at headings first, then between sentences, then, where one sentence alone is
//! too long, between words.

use unicode_segmentation::UnicodeSegmentation as _;

use super::Count;
use super::blocks::Block;
use crate::error::Result;

/// A sentence or a line of code, and what stands before it.
#[derive(Clone, Debug)]
pub(super) struct Unit {
    separator: &'static str,
    pub(super) text: String,
    tokens: usize,
}

/// A document's text in sentences.
#[derive(Clone, Debug)]
pub(super) struct Cut {
    /// The headings above it, outermost first.
    pub(super) headings: Vec<String>,
    /// Whether the innermost heading stands right before it.
    pub(super) begins_section: bool,
    pub(super) units: Vec<Unit>,
}

/// How long documents are, in tokens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lengths {
    /// At most.
    pub(super) tokens: usize,
    /// What a document repeats of the one before it, at most.
    pub(super) overlap: usize,
}

/// Sentences as one text.
pub(super) fn join(units: &[Unit]) -> String {
    let mut text = String::new();
    for unit in units {
        if !text.is_empty() {
            text.push_str(unit.separator);
        }
        text.push_str(&unit.text);
    }
    text
}

/// The first sentences that hold at most `tokens`; the first one in any case.
pub(super) fn first(units: &[Unit], tokens: usize) -> &[Unit] {
    let mut held = 0;
    let more = |unit: &&Unit| {
        held += unit.tokens;
        held <= tokens
    };
    &units[..units
        .iter()
        .take_while(more)
        .count()
        .max(1)
        .min(units.len())]
}

/// The place between two sentences that is nearest to the middle; at least one stands on either side.
pub(super) fn middle(units: &[Unit]) -> usize {
    let total: usize = units.iter().map(|unit| unit.tokens).sum();
    let mut before = 0;
    let mut best = (usize::MAX, 1);
    for (place, unit) in units.iter().enumerate().take(units.len() - 1) {
        before += unit.tokens;
        best = best.min(((2 * before).abs_diff(total), place + 1));
    }
    best.1
}

/// All documents of a source, in order.
pub(super) fn cut(blocks: Vec<Block>, lengths: Lengths, count: &mut Count<'_>) -> Result<Vec<Cut>> {
    let mut cuts = Vec::new();
    let mut headings: Vec<(u8, String)> = Vec::new();
    let mut units = Vec::new();
    for block in blocks {
        match block {
            Block::Heading(level, text) => {
                cut_section(&headings, &mut units, lengths, count, &mut cuts)?;
                headings.retain(|(above, _)| *above < level);
                headings.push((level, text));
            }
            Block::Prose(text) => {
                for (number, sentence) in text.split_sentence_bounds().enumerate() {
                    let separator = if number == 0 { "\n" } else { " " };
                    push(
                        &mut units,
                        separator,
                        sentence.trim(),
                        lengths.tokens,
                        count,
                    )?;
                }
            }
            Block::Code(text) => {
                for line in text.lines() {
                    push(&mut units, "\n", line.trim_end(), lengths.tokens, count)?;
                }
            }
        }
    }
    cut_section(&headings, &mut units, lengths, count, &mut cuts)?;
    Ok(cuts)
}

/// Adds a sentence, in halves where it is longer than a document may be.
fn push(
    units: &mut Vec<Unit>,
    separator: &'static str,
    text: &str,
    most: usize,
    count: &mut Count<'_>,
) -> Result<()> {
    if text.is_empty() {
        return Ok(());
    }
    let tokens = count(text)?;
    match half(text).filter(|_| tokens > most) {
        None => units.push(Unit {
            separator,
            text: text.to_owned(),
            tokens,
        }),
        Some(at) => {
            let (left, right) = text.split_at(at);
            let trimmed = right.trim_start();
            let between = if trimmed.len() < right.len() || left.ends_with(' ') {
                " "
            } else {
                ""
            };
            push(units, separator, left.trim_end(), most, count)?;
            push(units, between, trimmed, most, count)?;
        }
    }
    Ok(())
}

/// The end of a word, else of a character, near the middle; nothing where there is but one character.
fn half(text: &str) -> Option<usize> {
    let middle = text.len() / 2;
    let nearest = |ends: &mut dyn Iterator<Item = usize>| {
        ends.filter(|at| *at > 0 && *at < text.len())
            .min_by_key(|at| at.abs_diff(middle))
    };
    let words = nearest(&mut text.split_word_bound_indices().map(|(at, _)| at));
    // A word that takes up nearly everything is cut itself.
    let quarter = text.len() / 4;
    let words = words.filter(|at| (quarter..=text.len() - quarter).contains(at));
    words.or_else(|| nearest(&mut text.char_indices().map(|(at, _)| at)))
}

fn cut_section(
    headings: &[(u8, String)],
    units: &mut Vec<Unit>,
    lengths: Lengths,
    count: &mut Count<'_>,
    cuts: &mut Vec<Cut>,
) -> Result<()> {
    let units = std::mem::take(units);
    let (mut start, mut done) = (0, 0);
    while done < units.len() {
        let end = document_end(&units, start, lengths.tokens, count)?;
        if end <= done {
            // Nothing but repetition fits: begin with what is new.
            start = done;
            continue;
        }
        cuts.push(Cut {
            headings: headings.iter().map(|(_, text)| text.clone()).collect(),
            begins_section: start == 0,
            units: units[start..end].to_vec(),
        });
        done = end;
        start = end;
        let mut repeated = 0;
        while start > 0 && repeated + units[start - 1].tokens <= lengths.overlap {
            start -= 1;
            repeated += units[start].tokens;
        }
    }
    Ok(())
}

/// Where a document that begins at `start` ends: after as many sentences as fit, at least one.
fn document_end(units: &[Unit], start: usize, most: usize, count: &mut Count<'_>) -> Result<usize> {
    let mut end = start;
    let mut tokens = 0;
    while end < units.len() && (end == start || tokens + units[end].tokens <= most) {
        tokens += units[end].tokens;
        end += 1;
    }
    // A tokenizer may make more of a whole than of its parts.
    while end > start + 1 && count(&join(&units[start..end]))? > most {
        end -= 1;
    }
    Ok(end)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::analyzer::words;

    fn cut_words(blocks: Vec<Block>, tokens: usize, overlap: usize) -> Vec<Cut> {
        let mut count = |text: &str| Ok(words(text).count());
        cut(blocks, Lengths { tokens, overlap }, &mut count).unwrap()
    }

    fn texts(cuts: &[Cut]) -> Vec<String> {
        cuts.iter().map(|cut| join(&cut.units)).collect()
    }

    #[test]
    fn headings_part_documents_and_sentences_fill_them_with_some_repeated() {
        let blocks = vec![
            Block::Heading(1, "Top".into()),
            Block::Prose("One two. Three four! Five six?".into()),
            Block::Heading(2, "In".into()),
            Block::Code("let a;\n    b".into()),
            Block::Heading(2, "Next".into()),
            Block::Heading(1, "Other".into()),
            Block::Prose("Last.".into()),
        ];
        let cuts = cut_words(blocks, 4, 2);
        assert_eq!(
            texts(&cuts),
            [
                "One two. Three four!",
                "Three four! Five six?",
                "let a;\n    b",
                "Last."
            ]
        );
        let headings: Vec<_> = cuts.iter().map(|cut| cut.headings.join(">")).collect();
        assert_eq!(headings, ["Top", "Top", "Top>In", "Other"]);
        let begins: Vec<_> = cuts.iter().map(|cut| cut.begins_section).collect();
        assert_eq!(begins, [true, false, true, true]);
    }

    #[test]
    fn no_document_is_longer_than_asked_and_no_word_is_lost_whatever_the_lengths() {
        let text = "a b c d e f g h i j k l m n. o p q. r s t u v w x y z. 1 2 3 4 5 6 7 8 9";
        for tokens in 1..30 {
            for overlap in 0..tokens {
                let cuts = cut_words(vec![Block::Prose(text.into())], tokens, overlap);
                let mut seen = Vec::new();
                for text in texts(&cuts) {
                    let own: Vec<String> = words(&text).map(str::to_owned).collect();
                    assert!(own.len() <= tokens, "{text} of {tokens}");
                    let new = own.iter().filter(|word| !seen.contains(*word)).count();
                    assert!(new > 0, "{text} says nothing new");
                    seen.extend(own);
                }
                seen.dedup();
                assert!(words(text).all(|word| seen.iter().any(|s| s == word)));
            }
        }
    }

    #[test]
    fn a_word_without_end_is_cut_between_characters() {
        let mut count = |text: &str| Ok(text.len());
        let lengths = Lengths {
            tokens: 10,
            overlap: 0,
        };
        let blocks = vec![Block::Prose("é".repeat(100))];
        let cuts = cut(blocks, lengths, &mut count).unwrap();
        assert!(cuts.iter().all(|cut| join(&cut.units).len() <= 10));
        assert_eq!(texts(&cuts).concat(), "é".repeat(100));
    }
}
