//! Lines of a text file, plain, `.gz` or `.zst`: strict UTF-8, a cap on the length of a line,
//! and the line number at hand for every error. A byte-order mark and CRLF line ends are
//! tolerated.

use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};

use crate::decompress;
use crate::error::{Error, Result};

/// Longest line accepted unless the caller says otherwise, in bytes.
pub const MAX_LINE_BYTES: usize = 64 << 20;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// A buffered reader of the lines of one file.
pub struct LineReader {
    path: PathBuf,
    reader: Box<dyn BufRead + Send>,
    buffer: Vec<u8>,
    line: u64,
    max_line_bytes: usize,
}

impl LineReader {
    /// Opens `path`, or the file with `.zst` or `.gz` appended if only that exists.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = decompress::resolve(path.as_ref())?;
        let reader = decompress::open(&path)?;
        Ok(Self::new(path, reader))
    }

    /// Lines of anything else, such as the standard input; errors call it `name`.
    pub fn new(name: impl Into<PathBuf>, reader: Box<dyn BufRead + Send>) -> Self {
        Self {
            path: name.into(),
            reader,
            buffer: Vec::new(),
            line: 0,
            max_line_bytes: MAX_LINE_BYTES,
        }
    }

    /// Sets another cap on the length of a line, in bytes.
    #[must_use]
    pub fn with_max_line_bytes(mut self, max_line_bytes: usize) -> Self {
        self.max_line_bytes = max_line_bytes;
        self
    }

    /// Whether the first character that is no blank is `{`, so that the file is JSON. To be asked
    /// before the first line; looks no further than the first buffer.
    pub(crate) fn begins_with_brace(&mut self) -> Result<bool> {
        let brace = self.reader.fill_buf().map(|bytes| {
            let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
            bytes.trim_ascii_start().first() == Some(&b'{')
        });
        brace.map_err(|error| self.unreadable(&error))
    }

    /// The name and the bytes, without a byte-order mark; to be taken before the first line.
    pub(crate) fn into_bytes(mut self) -> Result<(PathBuf, Box<dyn BufRead + Send>)> {
        let first = self
            .reader
            .fill_buf()
            .map(|b| b.starts_with(BYTE_ORDER_MARK));
        let marked = first.map_err(|error| self.unreadable(&error))?;
        self.reader
            .consume(if marked { BYTE_ORDER_MARK.len() } else { 0 });
        Ok((self.path, self.reader))
    }

    /// The file that is being read.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Number, from 1, of the line that was read last.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// An error about the line that was read last.
    pub fn error(&self, what: impl Into<String>) -> Error {
        Error::Line {
            path: self.path.clone(),
            line: self.line,
            what: what.into(),
        }
    }

    fn unreadable(&self, error: &std::io::Error) -> Error {
        Error::Line {
            path: self.path.clone(),
            line: self.line.max(1),
            what: format!("cannot be read: {error}"),
        }
    }

    /// The next line without its end, or `None` at the end of the file.
    pub fn next_line(&mut self) -> Result<Option<&str>> {
        self.buffer.clear();
        self.line += 1;
        // Two bytes more than the cap: room for a line end, and a sign that there is more.
        let limit = self.max_line_bytes.saturating_add(2) as u64;
        let read = (&mut self.reader)
            .take(limit)
            .read_until(b'\n', &mut self.buffer);
        let count = read.map_err(|error| self.unreadable(&error))?;
        if count == 0 {
            return Ok(None);
        }
        if self.buffer.last() == Some(&b'\n') {
            self.buffer.pop();
            if self.buffer.last() == Some(&b'\r') {
                self.buffer.pop();
            }
        }
        if self.buffer.len() > self.max_line_bytes {
            let max = self.max_line_bytes;
            self.buffer = Vec::new();
            return Err(self.error(format!("a line may hold {max} bytes, this one is longer")));
        }
        let bytes = match self.line {
            1 => self
                .buffer
                .strip_prefix(BYTE_ORDER_MARK)
                .unwrap_or(&self.buffer),
            _ => &self.buffer,
        };
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(error) => {
                let at = error.valid_up_to();
                let byte = bytes.get(at).copied().unwrap_or_default();
                Err(Error::Line {
                    path: self.path.clone(),
                    line: self.line,
                    what: format!("not UTF-8: byte 0x{byte:02x} at position {at}"),
                })
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use std::io::Write;

    fn lines_of(name: &str, bytes: &[u8], max: usize) -> Result<Vec<String>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let mut reader = LineReader::open(&path)?.with_max_line_bytes(max);
        let mut lines = Vec::new();
        while let Some(line) = reader.next_line()? {
            lines.push(line.to_owned());
        }
        Ok(lines)
    }

    #[test]
    fn a_byte_order_mark_crlf_and_a_missing_last_line_end_are_tolerated() {
        let lines = lines_of("a.txt", b"\xEF\xBB\xBFone\r\n\ntwo\rtwo\nthree", 100).unwrap();
        assert_eq!(lines, ["one", "", "two\rtwo", "three"]);
    }

    #[test]
    fn gzip_members_are_read_one_after_the_other_and_a_cut_one_is_an_error() {
        let member = |text: &[u8]| {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(text).unwrap();
            encoder.finish().unwrap()
        };
        let bytes = [member(b"one\n"), member(b"two\n")].concat();
        assert_eq!(lines_of("a.gz", &bytes, 100).unwrap(), ["one", "two"]);
        let error = lines_of("a.gz", &bytes[..bytes.len() - 5], 100).unwrap_err();
        assert!(error.to_string().contains("a.gz:"), "{error}");
    }

    #[test]
    fn a_line_over_the_cap_is_an_error_that_names_the_line() {
        assert_eq!(
            lines_of("a.txt", b"1234\n1234\r\n1234", 4).unwrap().len(),
            3
        );
        let error = lines_of("a.txt", b"1234\n12345\n", 4)
            .unwrap_err()
            .to_string();
        assert!(
            error.ends_with("a.txt:2: a line may hold 4 bytes, this one is longer"),
            "{error}"
        );
        assert!(lines_of("a.txt", &[b'x'; 1000], 4).is_err());
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_an_error_with_their_place() {
        let error = lines_of("a.txt", b"fine\nab\xFFc\n", 100)
            .unwrap_err()
            .to_string();
        assert!(
            error.ends_with("a.txt:2: not UTF-8: byte 0xff at position 2"),
            "{error}"
        );
    }

    #[test]
    fn a_name_without_its_compression_suffix_finds_the_file_and_a_missing_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("corpus.jsonl");
        let error = LineReader::open(&path).err().unwrap().to_string();
        assert!(
            error.contains("corpus.jsonl") && error.contains(".zst"),
            "{error}"
        );
        let level = ruzstd::encoding::CompressionLevel::Fastest;
        let bytes = ruzstd::encoding::compress_to_vec(&b"hello"[..], level);
        std::fs::write(folder.path().join("corpus.jsonl.zst"), bytes).unwrap();
        let mut reader = LineReader::open(&path).unwrap();
        assert_eq!(reader.next_line().unwrap(), Some("hello"));
        assert!(reader.path().ends_with("corpus.jsonl.zst"));
    }

    #[test]
    fn a_folder_in_place_of_a_file_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let opened = LineReader::open(folder.path());
        assert!(opened.and_then(|mut r| r.next_line().map(|_| ())).is_err());
    }
}
