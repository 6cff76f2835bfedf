//! Fields between commas or tabs. In CSV a field in double quotes may hold commas, doubled quotes and line ends
//! (RFC 4180); in TSV a tab is a tab, and quotes mean nothing.

use std::path::Path;

use crate::error::{Error, Result};
use crate::lines::{LineReader, MAX_LINE_BYTES};

/// What parts the fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delimiter {
    /// CSV.
    Comma,
    /// TSV.
    Tab,
}

impl Delimiter {
    /// By the name of a file, `.csv` or `.tsv`, compressed or not.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_string_lossy().to_lowercase();
        let compressed = [".gz", ".zst"]
            .iter()
            .find_map(|end| name.strip_suffix(end));
        match compressed.unwrap_or(&name).rsplit_once('.')?.1 {
            "csv" => Some(Self::Comma),
            "tsv" => Some(Self::Tab),
            _ => None,
        }
    }
}

/// The records of a file, one by one; blank lines between them are skipped.
pub(crate) struct Records {
    lines: LineReader,
    delimiter: Delimiter,
    /// Line that the last record began on.
    line: u64,
}

impl Records {
    pub(crate) fn new(lines: LineReader, delimiter: Delimiter) -> Self {
        Self {
            lines,
            delimiter,
            line: 0,
        }
    }

    /// Number, from 1, of the line that the last record began on.
    pub(crate) fn line(&self) -> u64 {
        self.line
    }

    /// An error about the last record.
    pub(crate) fn error(&self, what: impl Into<String>) -> Error {
        Error::Line {
            path: self.lines.path().to_owned(),
            line: self.line,
            what: what.into(),
        }
    }

    /// The fields of the next record. A record may be as long as a line may be.
    pub(crate) fn next_record(&mut self) -> Result<Option<Vec<String>>> {
        let mut record = String::new();
        let mut is_open = false;
        loop {
            let Some(line) = self.lines.next_line()? else {
                if record.is_empty() {
                    return Ok(None);
                }
                return Err(self.error("a quoted field is not closed"));
            };
            if record.is_empty() && line.trim().is_empty() {
                continue;
            }
            let is_first = record.is_empty();
            record.push_str(line);
            let quotes = line.bytes().filter(|byte| *byte == b'"').count();
            is_open ^= self.delimiter == Delimiter::Comma && quotes % 2 == 1;
            if is_first {
                self.line = self.lines.line();
            }
            if !is_open {
                break;
            }
            record.push('\n');
            if record.len() > MAX_LINE_BYTES {
                return Err(self.error(format!("a record may hold {MAX_LINE_BYTES} bytes")));
            }
        }
        let fields = match self.delimiter {
            Delimiter::Tab => Ok(record.split('\t').map(str::to_owned).collect()),
            Delimiter::Comma => split_quoted(&record, ','),
        };
        fields.map(Some).map_err(|what| self.error(what))
    }
}

/// Fields between delimiters; one in double quotes may hold the delimiter and doubled quotes.
pub(crate) fn split_quoted(line: &str, delimiter: char) -> Result<Vec<String>, String> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let field;
        if let Some(quoted) = rest.strip_prefix('"') {
            (field, rest) = unquote(quoted)?;
        } else {
            let end = rest.find(delimiter).unwrap_or(rest.len());
            (field, rest) = (rest[..end].to_owned(), &rest[end..]);
        }
        fields.push(field);
        match rest.strip_prefix(delimiter) {
            Some(next) => rest = next,
            None if rest.is_empty() => return Ok(fields),
            None => {
                let name = if delimiter == '\t' { "tab" } else { "comma" };
                return Err(format!("wanted a {name} after the closing quote"));
            }
        }
    }
}

/// The text up to the closing quote, and what follows it.
fn unquote(text: &str) -> Result<(String, &str), String> {
    let mut field = String::new();
    let mut rest = text;
    while let Some(end) = rest.find('"') {
        field.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(next) => rest = next,
            None => return Ok((field, rest)),
        }
        field.push('"');
    }
    Err("a quoted field is not closed".to_owned())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn records(name: &str, text: &'static str) -> Result<Vec<(u64, Vec<String>)>> {
        let lines = LineReader::new(name, Box::new(Cursor::new(text)));
        let mut records = Records::new(lines, Delimiter::of(Path::new(name)).unwrap());
        let mut all = Vec::new();
        while let Some(record) = records.next_record()? {
            all.push((records.line(), record));
        }
        Ok(all)
    }

    #[test]
    fn quoted_fields_hold_commas_quotes_and_lines_and_records_know_their_line() {
        let read = records("a.csv.zst", "a,\"b\"\"c,\n\nd\",\r\n\ne,f,g\n").unwrap();
        let fields = |fields: [&str; 3]| fields.map(str::to_owned).to_vec();
        assert_eq!(
            read,
            [
                (1, fields(["a", "b\"c,\n\nd", ""])),
                (5, fields(["e", "f", "g"]))
            ]
        );
        assert_eq!(records("a.tsv", "a\t\"b\n").unwrap()[0].1, ["a", "\"b"]);
    }

    #[test]
    fn a_quote_that_is_not_closed_is_an_error_with_the_line_it_began_on() {
        let error = records("a.csv", "x,y\na,\"b\nc\n").unwrap_err().to_string();
        assert_eq!(error, "a.csv:2: a quoted field is not closed");
        let error = records("a.csv", "\"a\"b,\"\"\n").unwrap_err().to_string();
        assert!(error.contains("wanted a comma"), "{error}");
    }
}
