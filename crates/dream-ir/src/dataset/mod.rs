//! Retrieval sets as they are published, read through one entry: BEIR folders, BEIR zip archives, and the hub's
//! layout of Parquet or JSON Lines files.
//!
//! [`Source::find`] says which of them a path is, [`Source::open`] reads one part of it: the judgements of a split,
//! the queries that these judge, and the corpus. Files of strangers are read with caps: what an archive or a Parquet
//! file may unpack to is bounded by its own size, and a panic inside a library becomes an error.

mod guard;
mod hub;
mod parquet;
mod rows;
mod thrift;
mod zip;

pub use hub::HubLayout;

use std::fs;
use std::path::{Path, PathBuf};

use crate::beir::Dataset;
use crate::error::{Error, Result};

/// The name that stands for a set without subsets.
pub const DEFAULT_SUBSET: &str = "default";

/// Which part of a set: most have one subset, some have one for each language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part<'a> {
    /// The subset, [`DEFAULT_SUBSET`] where there is only one.
    pub subset: &'a str,
    /// Whose judgements.
    pub split: &'a str,
}

/// A set on the disk.
#[derive(Debug, Clone)]
pub enum Source {
    /// `corpus.jsonl`, `queries.jsonl` and `qrels/<split>.tsv`, each plain, `.gz` or `.zst`; a subset is a sub-folder.
    Folder(PathBuf),
    /// The same in a zip archive, as BEIR hands it out; a subset is a folder in it.
    Zip(PathBuf),
    /// Files in the hub's layout: a snapshot of its cache, or a clone.
    Hub {
        /// The folder with the `README.md`.
        folder: PathBuf,
        /// Which files hold what.
        layout: HubLayout,
    },
}

impl Source {
    /// The set at `path`: a `.zip` file, a BEIR folder, or a folder in the hub's layout.
    pub fn find(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let metadata = fs::metadata(path).map_err(|source| Error::Io {
            path: path.to_owned(),
            source,
        })?;
        if !metadata.is_dir() {
            return Ok(Self::Zip(path.to_owned()));
        }
        if is_beir(path) {
            return Ok(Self::Folder(path.to_owned()));
        }
        let layout = HubLayout::of_folder(path)?;
        if layout.is_empty() {
            // Errors about the folder then name the files that are missing from it.
            return Ok(Self::Folder(path.to_owned()));
        }
        Ok(Self::Hub {
            folder: path.to_owned(),
            layout,
        })
    }

    /// Reads a part.
    pub fn open(&self, part: Part) -> Result<Dataset> {
        match self {
            Self::Folder(folder) => Dataset::open(sub_folder(folder, part.subset), part.split),
            Self::Zip(file) => zip::open(file, part),
            Self::Hub { folder, layout } => layout.open(folder, part),
        }
    }

    /// The files that hold a part, for digests. All of them exist.
    pub fn files(&self, part: Part) -> Result<Vec<PathBuf>> {
        match self {
            Self::Folder(folder) => beir_files(&sub_folder(folder, part.subset), part.split),
            Self::Zip(file) => Ok(vec![file.clone()]),
            Self::Hub { folder, layout } => {
                let files = layout.files(part)?;
                Ok(files.all().map(|name| folder.join(name)).collect())
            }
        }
    }
}

/// Whether a folder is BEIR's: its judgements are TSV. The hub's layout may hold a `corpus.jsonl` too.
fn is_beir(folder: &Path) -> bool {
    let tsv = |entry: fs::DirEntry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        [".tsv", ".tsv.gz", ".tsv.zst"]
            .iter()
            .any(|end| name.ends_with(end))
    };
    let has_tsv =
        |qrels: PathBuf| fs::read_dir(qrels).is_ok_and(|entries| entries.flatten().any(tsv));
    has_tsv(folder.join("qrels"))
}

fn sub_folder(folder: &Path, subset: &str) -> PathBuf {
    let sub = folder.join(subset);
    if subset != DEFAULT_SUBSET && sub.is_dir() {
        return sub;
    }
    folder.to_owned()
}

fn beir_files(folder: &Path, split: &str) -> Result<Vec<PathBuf>> {
    let qrels = format!("qrels/{split}.tsv");
    ["corpus.jsonl", "queries.jsonl", &qrels]
        .iter()
        .map(|name| crate::decompress::resolve(&folder.join(name)))
        .collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;
