//! Rows of a file one by one, whatever their form.

use std::path::Path;

use super::super::format::{ForeignRow, RowFormat};
use super::super::{
    flagembedding, kd, msmarco, native, sentence_transformers, tevatron, tevatron_ids,
};
use crate::delimited::{Delimiter, Records};
use crate::error::{Error, Result};
use crate::lines::LineReader;

/// What makes a row of a line.
type Parse = fn(&str) -> Result<ForeignRow, String>;

/// Reads rows.
pub(super) enum RowReader {
    /// One line a row; blank ones are skipped.
    Lines(LineReader, Parse),
    /// CSV or TSV under the names of its first record.
    Records(Records, Vec<String>),
}

impl RowReader {
    /// Opens a file; `by_id` tells MS MARCO's triples of ids from those of texts.
    pub(super) fn open(path: &Path, format: RowFormat, by_id: bool) -> Result<Self> {
        let lines = LineReader::open(path)?;
        let parse: Parse = match format {
            RowFormat::Native => native::parse,
            RowFormat::Tevatron => tevatron::parse,
            RowFormat::TevatronIds => tevatron_ids::parse,
            RowFormat::FlagEmbedding => flagembedding::parse,
            RowFormat::Kd => kd::parse,
            RowFormat::MsMarco => msmarco::query,
            RowFormat::MsMarcoTriples if by_id => msmarco::id_triple,
            RowFormat::MsMarcoTriples => msmarco::text_triple,
            RowFormat::SentenceTransformers => match Delimiter::of(lines.path()) {
                None => sentence_transformers::parse,
                Some(delimiter) => {
                    let mut records = Records::new(lines, delimiter);
                    let names = records.next_record()?.unwrap_or_default();
                    return Ok(Self::Records(records, names));
                }
            },
        };
        Ok(Self::Lines(lines, parse))
    }

    /// The next row.
    pub(super) fn next_row(&mut self) -> Result<Option<ForeignRow>> {
        match self {
            Self::Lines(lines, parse) => loop {
                let row = match lines.next_line()? {
                    None => return Ok(None),
                    Some(line) if line.trim().is_empty() => continue,
                    Some(line) => parse(line),
                };
                return row.map(Some).map_err(|what| lines.error(what));
            },
            Self::Records(records, names) => {
                let Some(fields) = records.next_record()? else {
                    return Ok(None);
                };
                let row = sentence_transformers::record(names, fields);
                row.map(Some).map_err(|what| records.error(what))
            }
        }
    }

    /// Number, from 1, of the line that the last row began on.
    pub(super) fn line(&self) -> u64 {
        match self {
            Self::Lines(lines, _) => lines.line(),
            Self::Records(records, _) => records.line(),
        }
    }

    /// An error about the last row.
    pub(super) fn error(&self, what: impl Into<String>) -> Error {
        match self {
            Self::Lines(lines, _) => lines.error(what),
            Self::Records(records, _) => records.error(what),
        }
    }
}
