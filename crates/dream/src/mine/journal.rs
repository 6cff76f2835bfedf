//! What a file of mined rows was made by, and how far it is.

use super::data::Data;
use super::summary::Summary;
use super::with_ending;
use crate::files::{read_capped, write_json};
use crate::index::Encoder;
use crate::retriever::RetrieverConfig;
use crate::{Error, Result};
use dream_ir::PoolSettings;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

const FORMAT_VERSION: u32 = 1;
const MAX_BYTES: u64 = 1 << 20;

/// All that decides which rows are written, beside the data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// Source, filters, seed.
    #[serde(flatten)]
    pub settings: PoolSettings,
    /// How two lists become one, in words.
    pub fusion: Option<String>,
    /// What embeds.
    pub retriever: Option<RetrieverRecipe>,
    /// Version of the program.
    pub version: String,
}

/// What embeds and how its embeddings are searched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RetrieverRecipe {
    /// What embeds documents.
    pub encoder: Encoder,
    /// What embeds queries.
    pub config: RetrieverConfig,
    /// Number type of the model's weights.
    pub compute_dtype: String,
    /// Digest of the index that is searched; absent where the documents were embedded for this alone.
    pub index: Option<String>,
    /// How it is searched, in words.
    pub search: String,
}

/// `train.jsonl.mine.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Journal {
    format_version: u32,
    /// Whether the file has its name and all of its rows.
    pub complete: bool,
    /// What makes the rows.
    #[serde(flatten)]
    pub recipe: Recipe,
    /// Digest of rows and documents.
    pub data_digest: String,
    /// Rows of the data.
    pub rows_in_all: usize,
    /// Rows that were read.
    pub rows_done: usize,
    /// Bytes that were written for them.
    pub bytes: u64,
    /// What was found in them.
    pub summary: Summary,
}

impl Journal {
    /// Nothing done yet.
    pub(super) fn new(recipe: Recipe, data: &Data) -> Self {
        Self {
            format_version: FORMAT_VERSION,
            complete: false,
            recipe,
            data_digest: data.digest.clone(),
            rows_in_all: data.n_rows(),
            rows_done: 0,
            bytes: 0,
            summary: Summary::default(),
        }
    }

    /// Whether every row was read.
    pub(super) fn is_read(&self) -> bool {
        self.rows_done == self.rows_in_all
    }

    /// The journal beside a file of rows, if there is one.
    ///
    /// # Errors
    /// It is none, or says things that cannot be true together.
    pub fn read(rows: &Path) -> Result<Option<Self>> {
        let path = path(rows);
        if !path.exists() {
            return Ok(None);
        }
        let malformed = |what: String| Error::Malformed {
            path: path.clone(),
            what,
        };
        let bytes = read_capped(&path, MAX_BYTES)?;
        let journal: Self = serde_json::from_slice(&bytes).map_err(|e| malformed(e.to_string()))?;
        let (version, done, all) = (
            journal.format_version,
            journal.rows_done,
            journal.rows_in_all,
        );
        if version != FORMAT_VERSION {
            let what = format!("format_version must be {FORMAT_VERSION}, not {version}");
            return Err(malformed(what));
        }
        if done > all || (journal.complete && done < all) || journal.summary.rows != done as u64 {
            return Err(malformed(format!(
                "{done} of {all} rows cannot be done if complete is {} and {} rows were counted",
                journal.complete, journal.summary.rows
            )));
        }
        Ok(Some(journal))
    }

    /// Writes it, atomically.
    pub(super) fn write(&self, rows: &Path) -> Result<()> {
        write_json(&path(rows), self)
    }

    /// Removes the journal beside a file of rows.
    pub(super) fn remove(rows: &Path) -> Result<()> {
        let path = path(rows);
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io(path, e)),
            _ => Ok(()),
        }
    }

    /// Refuses another recipe and other data. `rows` is where `self` was found.
    ///
    /// # Errors
    /// The first setting that differs, with both values.
    pub(super) fn check_same(&self, other: &Self, rows: &Path) -> Result<()> {
        let json = |journal: &Self| {
            let mut json = serde_json::to_value(&journal.recipe)
                .expect("a struct of plain fields is JSON. This is a bug.");
            json["data_digest"] = journal.data_digest.as_str().into();
            json
        };
        let (ours, theirs) = (json(self), json(other));
        let mut keys = ours.as_object().into_iter().flat_map(|map| map.keys());
        match keys.find(|key| ours[*key] != theirs[*key]) {
            None => Ok(()),
            Some(key) => Err(Error::Invalid(format!(
                "{} was made with {key} {}, not {}",
                rows.display(),
                ours[key],
                theirs[key]
            ))),
        }
    }
}

fn path(rows: &Path) -> PathBuf {
    with_ending(rows, "mine.json")
}
