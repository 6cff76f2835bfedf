//! The documents of a corpus one by one, for corpora that are not kept in memory.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;

use crate::document::Document;
use crate::error::Result;
use crate::jsonl::JsonLines;
use crate::lines::LineReader;

/// Iterator over the documents of a `corpus.jsonl`; a repeated id is an error, after which it ends.
///
/// What is kept of a document is 16 bytes in a hash table (19 to 39 bytes with the table's own): two hashes of
/// its id under random keys. Among `n` ids, two would be taken for the same with a chance of `n^2 / 2^129`.
pub struct DocumentStream {
    lines: JsonLines<Document>,
    seen: HashSet<(u64, u64)>,
    keys: (RandomState, RandomState),
    failed: bool,
}

impl DocumentStream {
    /// Opens a file (plain, `.gz` or `.zst`).
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Ok(Self::of_lines(LineReader::open(path)?))
    }

    /// Documents from anything else, such as the standard input.
    pub fn of_lines(lines: LineReader) -> Self {
        Self {
            lines: JsonLines::new(lines),
            seen: HashSet::new(),
            keys: (RandomState::new(), RandomState::new()),
            failed: false,
        }
    }

    fn check(&mut self, document: Document) -> Result<Document> {
        let id = &document.id;
        if self
            .seen
            .insert((self.keys.0.hash_one(id), self.keys.1.hash_one(id)))
        {
            return Ok(document);
        }
        let what = format!("document id {id:?} was given before");
        Err(self.lines.error(what))
    }
}

impl Iterator for DocumentStream {
    type Item = Result<Document>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.lines.next()?.and_then(|document| self.check(document));
        self.failed = next.is_err();
        Some(next)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn stream(text: &'static str) -> DocumentStream {
        DocumentStream::of_lines(LineReader::new("here", Box::new(Cursor::new(text))))
    }

    #[test]
    fn documents_come_in_order() {
        let documents = stream("{\"_id\":\"a\",\"text\":\"b\"}\n\n{\"id\":2,\"text\":\"\"}\n");
        let ids: Vec<String> = documents.map(|document| document.unwrap().id).collect();
        assert_eq!(ids, ["a", "2"]);
    }

    #[test]
    fn an_id_that_comes_again_is_an_error_with_its_line_and_the_end() {
        let mut documents = stream(concat!(
            "{\"_id\":\"a\",\"text\":\"b\"}\n",
            "{\"_id\":\"a\",\"text\":\"c\"}\n",
            "{\"_id\":\"d\",\"text\":\"\"}\n"
        ));
        assert!(documents.next().unwrap().is_ok());
        let error = documents.next().unwrap().unwrap_err().to_string();
        assert_eq!(error, "here:2: document id \"a\" was given before");
        assert!(documents.next().is_none());
    }
}
