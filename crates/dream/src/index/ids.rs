//! Ids of a shard's documents where they lie on disk: one a line, mapped, and a sparse table of where
//! lines start. An id costs an eighth of a byte of memory, and finding one reads at most 64 lines.

use super::manifest::Shard;
use crate::{Error, Result};
use dream_nn::weights::MappedFile;
use std::path::Path;

/// Longest id, in bytes.
pub(super) const MAX_ID_BYTES: usize = 4096;
/// Lines from one entry of the table to the next.
const STRIDE: usize = 64;
/// Stands for an id that was changed under our feet after it had been checked.
const CHANGED: &str = "\u{fffd}";

/// The ids of one shard.
#[derive(Debug)]
pub(super) struct Ids {
    file: MappedFile,
    /// Where every [`STRIDE`]th line starts.
    starts: Vec<usize>,
}

impl Ids {
    /// Maps a file of ids, which must be as large as the manifest says, and checks every line.
    pub fn open(path: &Path, shard: &Shard) -> Result<Self> {
        let malformed = |what: String| Error::Malformed {
            path: path.into(),
            what,
        };
        let file = super::reader::map_file(path, shard.ids_bytes)?;
        let bytes = file.bytes();
        std::str::from_utf8(bytes).map_err(|e| malformed(e.to_string()))?;
        let (mut starts, mut count, mut start) = (Vec::new(), 0, 0);
        for line in lines(bytes) {
            if line.is_empty() || line.len() > MAX_ID_BYTES {
                return Err(malformed(format!(
                    "line {}: an id must have 1 to {MAX_ID_BYTES} bytes",
                    count + 1
                )));
            }
            if count % STRIDE == 0 {
                starts.push(start);
            }
            count += 1;
            start += line.len() + 1;
        }
        if count != shard.count || bytes.last() != Some(&b'\n') {
            return Err(malformed(format!(
                "should hold {} whole lines, but holds {count}",
                shard.count
            )));
        }
        file.release();
        Ok(Self { file, starts })
    }

    /// The id of a row of the shard.
    pub fn get(&self, row: usize) -> &str {
        let bytes = &self.file.bytes()[self.starts[row / STRIDE]..];
        text(lines(bytes).nth(row % STRIDE).unwrap_or_default())
    }

    /// All ids, in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        lines(self.file.bytes()).map(text)
    }
}

/// Lines without their ends; nothing after the last end.
fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let none = bytes.is_empty();
    bytes.split(|byte| *byte == b'\n').skip(usize::from(none))
}

/// Lines were checked when the file was mapped, but another process may have written to it since.
fn text(line: &[u8]) -> &str {
    std::str::from_utf8(line).unwrap_or(CHANGED)
}
