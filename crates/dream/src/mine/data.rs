//! The data that is mined: the corpus in memory, the rows in their file.

use super::folder_of;
use crate::evaluate::Progress;
use crate::{Error, Result};
use dream_ir::pools::{Ring, first_known};
use dream_ir::training::{TrainingRows, read_corpus};
use dream_ir::{Corpus, TrainingRow};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Rows and corpus of a folder. Of a row there is its known passage in memory, and a digest of its id.
#[derive(Debug)]
pub struct Data {
    folder: PathBuf,
    file: PathBuf,
    /// The documents of `corpus.jsonl`, then those that only the rows hold.
    pub corpus: Corpus,
    /// Documents that only the rows hold.
    pub only_in_rows: usize,
    /// BLAKE3 over all rows and documents.
    pub digest: String,
    /// First known passage of each row.
    known: Vec<Option<usize>>,
}

impl Data {
    /// Reads all of it once, and the rows twice; `progress` gets the rows that were read, and 0.
    ///
    /// # Errors
    /// There is no row or no document, one is malformed, an id is there twice, or a row names a document that
    /// the corpus does not hold. [`Error::Stopped`] if `progress` says so.
    pub fn open(folder: &Path, progress: &mut Progress) -> Result<Self> {
        let mut corpus = read_corpus(folder)?;
        let in_file = corpus.len();
        let file = folder.join("train.jsonl");
        let mut hasher = blake3::Hasher::new();
        let mut ids = HashSet::new();
        let mut rows = TrainingRows::open(&file)?;
        while let Some(row) = rows.next() {
            let mut row = row?;
            feed(&mut hasher, &row);
            row.move_texts_to(&mut corpus)
                .map_err(|error| rows.error(error.to_string()))?;
            let digest: [u8; 16] = blake3::hash(row.id.as_bytes()).as_bytes()[..16]
                .try_into()
                .expect("16 bytes of 32. This is a bug.");
            if !ids.insert(digest) {
                let what = format!("row id {:?} was given before", row.id);
                return Err(rows.error(what).into());
            }
            if !progress(ids.len(), 0) {
                return Err(Error::Stopped);
            }
        }
        let (n_rows, n_documents) = (ids.len(), corpus.len());
        if n_rows == 0 || n_documents == 0 {
            return Err(Error::Invalid(format!(
                "{}: mining needs rows and documents, got {n_rows} and {n_documents}",
                folder.display()
            )));
        }
        // Again: a row may name a document that a later one holds.
        let mut known = Vec::with_capacity(n_rows);
        let mut rows = TrainingRows::open(&file)?;
        while let Some(row) = rows.next() {
            let row = row?;
            row.check_named(&corpus)
                .map_err(|error| rows.error(error.to_string()))?;
            known.push(first_known(&row, &corpus));
        }
        for document in corpus.documents() {
            for text in [&document.id, &document.title, &document.text] {
                feed_bytes(&mut hasher, text.as_bytes());
            }
        }
        Ok(Self {
            folder: folder.into(),
            file,
            only_in_rows: corpus.len() - in_file,
            corpus,
            digest: hasher.finalize().to_hex().to_string(),
            known,
        })
    }

    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.known.len()
    }

    /// The rows from one number on.
    pub(super) fn rows(&self, first: usize) -> Result<impl Iterator<Item = Result<TrainingRow>>> {
        let rows = TrainingRows::open(&self.file)?.skip(first);
        Ok(rows.map(|row| Ok(row?)))
    }

    /// The rows in a seeded order, for candidates of their neighbours.
    ///
    /// # Errors
    /// See [`Ring::new`].
    pub fn ring(&self, seed: u64) -> Result<Ring> {
        Ok(Ring::new(&self.known, seed)?)
    }

    /// Refuses to write over what is read.
    ///
    /// # Errors
    /// `out` lies in the folder of the data and has the name of one of its files.
    pub fn refuse_as_output(&self, out: &Path) -> Result<()> {
        let same = match (folder_of(out).canonicalize(), self.folder.canonicalize()) {
            (Ok(ours), Ok(theirs)) => ours == theirs,
            _ => false,
        };
        let name = out.file_name().unwrap_or_default().to_string_lossy();
        let is_ours = ["train.jsonl", "corpus.jsonl"]
            .iter()
            .any(|ours| name.strip_prefix(ours).is_some_and(is_compression));
        if same && is_ours {
            return Err(Error::Invalid(format!(
                "{} is part of the data that is mined: write to another place",
                out.display()
            )));
        }
        Ok(())
    }
}

fn is_compression(ending: &str) -> bool {
    matches!(ending, "" | ".gz" | ".zst")
}

fn feed(hasher: &mut blake3::Hasher, row: &TrainingRow) {
    // With the texts that stand in the row.
    let json = serde_json::to_vec(row).expect("strings are JSON. This is a bug.");
    feed_bytes(hasher, &json);
    for score in &row.candidate_scores {
        let bits = score.map_or(u64::MAX, |score| u64::from(score.to_bits()));
        hasher.update(&bits.to_le_bytes());
    }
}

fn feed_bytes(hasher: &mut blake3::Hasher, bytes: &[u8]) {
    hasher.update(&(bytes.len() as u64).to_le_bytes());
    hasher.update(bytes);
}
