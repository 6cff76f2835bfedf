//! JSON Lines: one JSON value a line, blank lines skipped, each error with its file and line.

use std::marker::PhantomData;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::atomic_write::write_atomically;
use crate::error::{Error, Result};
use crate::lines::LineReader;

/// Opens a JSON Lines file (plain, `.gz` or `.zst`) of values of type `T`.
pub fn read_jsonl<T: DeserializeOwned>(path: impl AsRef<Path>) -> Result<JsonLines<T>> {
    Ok(JsonLines::new(LineReader::open(path)?))
}

/// Writes one JSON value a line, atomically.
pub fn write_jsonl<T: Serialize>(
    path: impl AsRef<Path>,
    values: impl IntoIterator<Item = T>,
) -> Result<()> {
    use std::io::Write;
    write_atomically(path.as_ref(), |writer| {
        for value in values {
            serde_json::to_writer(&mut *writer, &value)?;
            writer.write_all(b"\n")?;
        }
        Ok(())
    })
}

/// Iterator over the values of a JSON Lines file; it ends after the first error.
pub struct JsonLines<T> {
    lines: LineReader,
    failed: bool,
    values: PhantomData<fn() -> T>,
}

impl<T> JsonLines<T> {
    /// Values of lines that do not come from a file.
    pub fn new(lines: LineReader) -> Self {
        Self {
            lines,
            failed: false,
            values: PhantomData,
        }
    }

    /// Number, from 1, of the line of the last value.
    pub fn line(&self) -> u64 {
        self.lines.line()
    }

    /// An error about the line of the last value.
    pub fn error(&self, what: impl Into<String>) -> Error {
        self.lines.error(what)
    }
}

impl<T: DeserializeOwned> JsonLines<T> {
    fn next_value(&mut self) -> Result<Option<T>> {
        loop {
            let parsed = match self.lines.next_line()? {
                None => return Ok(None),
                Some(text) if text.trim().is_empty() => continue,
                Some(text) => serde_json::from_str(text),
            };
            // A line is the whole document for serde_json: its "line 1" would mislead.
            return parsed.map(Some).map_err(|error| {
                let message = error.to_string();
                self.lines
                    .error(message.replace(" at line 1 column ", " at column "))
            });
        }
    }
}

impl<T: DeserializeOwned> Iterator for JsonLines<T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.next_value();
        self.failed = next.is_err();
        next.transpose()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Vec<Vec<u32>>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        std::fs::write(&path, bytes).unwrap();
        read_jsonl(&path)?.collect()
    }

    #[test]
    fn blank_lines_are_skipped_and_values_come_in_order() {
        assert_eq!(
            read(b"[1]\n\n  \r\n[2,3]\r\n").unwrap(),
            [vec![1], vec![2, 3]]
        );
        assert!(read(b"").unwrap().is_empty());
    }

    #[test]
    fn bad_json_is_an_error_with_file_line_and_column() {
        let error = read(b"[1]\n\n[1,}\n").unwrap_err().to_string();
        assert!(
            error.contains("a.jsonl:3: expected value at column 4"),
            "{error}"
        );
        for hostile in [&b"[1"[..], b"[1]]", b"{\"a\":1}", b"nul", b"\0\0", b"[-1]"] {
            assert!(read(hostile).is_err());
        }
    }

    #[test]
    fn deep_nesting_is_an_error_and_not_a_stack_overflow() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        std::fs::write(&path, "[".repeat(1_000_000)).unwrap();
        let values: Result<Vec<serde_json::Value>> = read_jsonl(&path).unwrap().collect();
        assert!(values.is_err());
    }

    #[test]
    fn what_is_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        let values = vec![
            "a\nb".to_owned(),
            "\u{2028}\u{feff}é".to_owned(),
            String::new(),
        ];
        write_jsonl(&path, &values).unwrap();
        let back: Result<Vec<String>> = read_jsonl(&path).unwrap().collect();
        assert_eq!(back.unwrap(), values);
    }
}
