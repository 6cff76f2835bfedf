//! Reading an embedding folder: sizes, scales and ids are checked when it is opened, digests when asked for.
//!
//! Every file is mapped, so what a search reads is the system's to keep or to drop; an open index owns an
//! eighth of a byte a document ([`super::ids`]) and searching needs memory for scores only.

use super::ids::Ids;
use super::manifest::{IDS, MANIFEST, Manifest, SCALES, Shard};
use super::search::{Scored, TopK};
use crate::{Error, Result};
use dream_nn::weights::MappedFile;
use dream_nn::{Matrix, Rows, Storage};
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// An opened index.
#[derive(Debug)]
pub struct Index {
    /// What made it and what it holds.
    pub manifest: Manifest,
    pub(super) folder: PathBuf,
    shards: Vec<OpenShard>,
    streams: bool,
}

#[derive(Debug)]
struct OpenShard {
    /// Position of its first document.
    first: usize,
    embeddings: MappedFile,
    /// One `f32` for each document, or none.
    scales: MappedFile,
    ids: Ids,
}

impl Index {
    /// Opens a folder that [`super::IndexWriter`], [`super::Build`] or [`super::merge()`] wrote.
    ///
    /// # Errors
    /// A file is missing, or larger or smaller than the manifest says; a scale is not a number of at
    /// least 0; a line of ids is empty or too long. That an id is there once only is for [`Self::verify`] to find.
    pub fn open(folder: &Path) -> Result<Self> {
        let manifest = Manifest::read(folder)?;
        let open = |shard: &Shard| OpenShard::open(folder, &manifest, shard);
        let mut shards: Vec<OpenShard> = manifest
            .shards
            .par_iter()
            .map(open)
            .collect::<Result<_>>()?;
        let mut first = 0;
        for (shard, described) in shards.iter_mut().zip(&manifest.shards) {
            shard.first = first;
            first += described.count;
        }
        Ok(Self {
            manifest,
            folder: folder.into(),
            shards,
            streams: false,
        })
    }

    /// Lets the system have the memory of each shard as soon as a search went over it. What is mapped of an index
    /// is then no more than a shard, however large the index is; a second search maps it all again, which takes
    /// about as long as the inner products with a few queries.
    #[must_use]
    pub fn streaming(mut self) -> Self {
        self.streams = true;
        self
    }

    /// Lets the system have the memory of a shard, by its number: for who walks over [`Self::rows`] once.
    pub fn release(&self, shard: usize) {
        self.shards[shard].release();
    }

    /// Number of documents.
    pub fn len(&self) -> usize {
        self.manifest.count
    }

    /// Whether there is no document: never, an index holds one at least.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Id of the document at a position below [`Self::len`].
    pub fn id(&self, position: usize) -> &str {
        // An empty shard begins where the next one does: the last that begins there holds the document.
        let after = self.shards.partition_point(|shard| shard.first <= position);
        let shard = &self.shards[after - 1];
        shard.ids.get(position - shard.first)
    }

    /// Ids of all documents, by position.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.shards.iter().flat_map(|shard| shard.ids.iter())
    }

    /// Embeddings of all documents, a shard at a time, `[documents, dim]` each; positions go on from one to the next.
    pub fn rows(&self) -> impl Iterator<Item = Rows<'_>> {
        let (dtype, dim) = (self.manifest.dtype, self.manifest.dim);
        let shards = self.shards.iter();
        shards.map(move |shard| Rows::stored(dtype, shard.embeddings.bytes(), shard.scales(), dim))
    }

    /// The best `k` documents of each query, `queries [queries, dim]`, by position. Exact for what is
    /// stored: queries are not rounded.
    ///
    /// # Errors
    /// Queries of another size, `k` 0.
    pub fn search(&self, queries: &Matrix, k: usize) -> Result<Vec<Vec<Scored>>> {
        let dim = self.manifest.dim;
        if queries.cols() != dim {
            return Err(Error::Invalid(format!(
                "{} holds embeddings of {dim} dimensions, the queries have {}",
                self.folder.display(),
                queries.cols()
            )));
        }
        let mut top = TopK::new(queries, k)?;
        for (rows, shard) in self.rows().zip(&self.shards) {
            top.add(rows);
            if self.streams {
                shard.release();
            }
        }
        Ok(top.finish())
    }

    /// Bytes that a search reads: embeddings and scales.
    pub fn bytes(&self) -> usize {
        let bytes = |shard: &OpenShard| shard.embeddings.bytes().len() + shard.scales.bytes().len();
        self.shards.iter().map(bytes).sum()
    }
}

impl OpenShard {
    fn open(folder: &Path, manifest: &Manifest, shard: &Shard) -> Result<Self> {
        let place = |ending: &str| folder.join(format!("{}.{ending}", shard.name));
        let dtype = manifest.dtype;
        let row_bytes = manifest.dim.checked_mul(dtype.bytes());
        let embeddings = file_bytes(folder, shard, row_bytes)?;
        let scale_bytes = usize::from(dtype.has_scales()) * size_of::<f32>();
        let scales = file_bytes(folder, shard, Some(scale_bytes))?;
        let opened = Self {
            first: 0,
            embeddings: map_file(&place(&dtype.to_string()), embeddings)?,
            scales: if dtype.has_scales() {
                map_file(&place(SCALES), scales)?
            } else {
                MappedFile::default()
            },
            ids: Ids::open(&place(IDS), shard)?,
        };
        opened.check_scales(&place(SCALES), dtype)?;
        opened.scales.release();
        Ok(opened)
    }

    /// What is mapped of the numbers is read again when it is wanted again.
    fn release(&self) {
        self.embeddings.release();
        self.scales.release();
    }

    /// The scales where they lie.
    fn scales(&self) -> &[f32] {
        // A map begins at a page, so numbers in it are aligned; only one of nothing may not be.
        bytemuck::try_cast_slice(self.scales.bytes()).unwrap_or_default()
    }

    fn check_scales(&self, path: &Path, dtype: Storage) -> Result<()> {
        if cfg!(target_endian = "big") && dtype.has_scales() {
            let what =
                "scales are little-endian and read where they lie, which this processor cannot";
            return Err(Error::Invalid(what.into()));
        }
        let is_bad = |scale: &f32| !scale.is_finite() || *scale < 0.0;
        match self.scales().iter().position(is_bad) {
            None => Ok(()),
            Some(i) => Err(Error::Malformed {
                path: path.into(),
                what: format!(
                    "scale {i} must be a finite number of at least 0, not {}",
                    self.scales()[i]
                ),
            }),
        }
    }
}

/// Maps a file that must have this size.
pub(super) fn map_file(path: &Path, wanted: u64) -> Result<MappedFile> {
    // Before it is mapped: a pipe or a device would not end.
    check_size(path, wanted)?;
    let mapped = MappedFile::open(path)?;
    // Once more: it may have changed in between, and what is mapped is what counts.
    let found = mapped.bytes().len() as u64;
    if found == wanted {
        Ok(mapped)
    } else {
        Err(wrong_size(path, wanted, found))
    }
}

/// Size of a shard's file with so many bytes a document.
fn file_bytes(folder: &Path, shard: &Shard, a_document: Option<usize>) -> Result<u64> {
    let bytes = a_document.and_then(|bytes| bytes.checked_mul(shard.count));
    bytes
        .map(|bytes| bytes as u64)
        .ok_or_else(|| Error::Malformed {
            path: folder.join(MANIFEST),
            what: format!("{} would be larger than any file", shard.name),
        })
}

fn check_size(path: &Path, wanted: u64) -> Result<()> {
    let metadata = std::fs::metadata(path).map_err(|e| Error::io(path, e))?;
    let found = metadata.len();
    if metadata.is_file() && found == wanted {
        Ok(())
    } else {
        Err(wrong_size(path, wanted, found))
    }
}

fn wrong_size(path: &Path, wanted: u64, found: u64) -> Error {
    Error::Malformed {
        path: path.into(),
        what: format!("should be a file of {wanted} bytes, but has {found}"),
    }
}
