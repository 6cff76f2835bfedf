//! How a kind of thing is written and asked about, read from the kind's `.txt` file.
//!
//! Lines: `slot: source` (invented kinds only, see [`super::names`]), `[slot slot]` opens a
//! document about these slots, `= text` is one wording of it, `slot? text` a question for
//! training, `slot! text` one for held-out queries, `# text` a comment. `{slot}` and `{name}`
//! stand for the entity's values.

use std::collections::BTreeMap;

/// One kind: its documents and, where the entities are invented, where their values come from.
#[derive(Debug)]
pub(super) struct Kind {
    /// (slot, source), in file order; empty for a kind that has a table of facts.
    pub sources: Vec<(&'static str, &'static str)>,
    /// The documents that an entity gets.
    pub documents: Vec<DocumentPlan>,
}

/// One document of an entity.
#[derive(Debug)]
pub(super) struct DocumentPlan {
    /// What can be asked of it.
    pub attributes: Vec<Attribute>,
    /// The texts it may have, never empty.
    pub wordings: Vec<&'static str>,
}

/// One attribute with its questions.
#[derive(Debug)]
pub(super) struct Attribute {
    /// The slot that holds the answer.
    pub slot: &'static str,
    /// Phrasings of the training questions.
    pub train: Vec<&'static str>,
    /// Phrasings of the held-out questions.
    pub held_out: Vec<&'static str>,
}

impl Kind {
    /// Parses a file that is part of the program, so a mistake in it is a bug.
    pub fn parse(file: &'static str) -> Self {
        let mut kind = Self {
            sources: Vec::new(),
            documents: Vec::new(),
        };
        for line in file.lines() {
            if !line.is_empty() && !line.starts_with('#') {
                let known = kind.parse_line(line);
                known.unwrap_or_else(|| panic!("the line {line:?} cannot be read. This is a bug."));
            }
        }
        kind
    }

    fn parse_line(&mut self, line: &'static str) -> Option<()> {
        if let Some(slots) = line.strip_prefix('[') {
            let attribute = |slot| Attribute {
                slot,
                train: Vec::new(),
                held_out: Vec::new(),
            };
            let slots = slots.strip_suffix(']')?.split(' ');
            self.documents.push(DocumentPlan {
                attributes: slots.map(attribute).collect(),
                wordings: Vec::new(),
            });
        } else if let Some(wording) = line.strip_prefix("= ") {
            self.documents.last_mut()?.wordings.push(wording);
        } else {
            let mark = line.find(['?', '!', ':'])?;
            let (slot, text) = (&line[..mark], line.get(mark + 2..)?);
            if line[mark..].starts_with(':') {
                self.sources.push((slot, text));
                return Some(());
            }
            let attributes = &mut self.documents.last_mut()?.attributes;
            let attribute = attributes.iter_mut().find(|a| a.slot == slot)?;
            let phrasings = if line[mark..].starts_with('!') {
                &mut attribute.held_out
            } else {
                &mut attribute.train
            };
            phrasings.push(text);
        }
        Some(())
    }
}

/// Fills `{slot}` with its value, turns `a` into `an` before a vowel, and opens with a capital.
/// `None` if a slot has no value.
pub(super) fn fill(wording: &str, values: &BTreeMap<&str, String>) -> Option<String> {
    let mut text = String::new();
    let mut rest = wording;
    while let Some((before, after)) = rest.split_once('{') {
        let (slot, after) = after.split_once('}')?;
        let value = values.get(slot)?;
        text.push_str(before);
        let article = text.ends_with(" a ") || text == "A ";
        if article && value.starts_with(['a', 'e', 'i', 'o', 'u', 'A', 'E', 'I', 'O', 'U']) {
            text.pop();
            text.push_str("n ");
        }
        text.push_str(value);
        rest = after;
    }
    text.push_str(rest);
    let first = text.chars().next()?;
    Some(first.to_uppercase().chain(text.chars().skip(1)).collect())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn values() -> BTreeMap<&'static str, String> {
        BTreeMap::from([("name", "otter".into()), ("food", "fish".into())])
    }

    #[test]
    fn a_file_gives_documents_with_wordings_and_both_sorts_of_questions() {
        let kind = Kind::parse("# c\nx: a | b\n[x y]\n= T\nx? A?\ny! B?\n[z]\n= U\n");
        assert_eq!(kind.sources, [("x", "a | b")]);
        assert_eq!(kind.documents.len(), 2);
        let [x, y] = &kind.documents[0].attributes[..] else {
            panic!("wanted two attributes")
        };
        assert_eq!(
            (x.slot, &x.train[..], x.held_out.len()),
            ("x", &["A?"][..], 0)
        );
        assert_eq!(
            (y.slot, y.train.len(), &y.held_out[..]),
            ("y", 0, &["B?"][..])
        );
    }

    #[test]
    fn slots_are_filled_with_the_right_article_and_a_capital() {
        let filled = fill("{food} feeds a {name}.", &values()).unwrap();
        assert_eq!(filled, "Fish feeds an otter.");
        assert_eq!(fill("{name}", &values()).unwrap(), "Otter");
        assert_eq!(fill("{none}", &values()), None);
    }
}
