//! Reading an embedding folder: sizes are checked when it is opened, digests when asked for, and
//! embeddings are mapped, so searching needs memory for scores only.

use super::manifest::{IDS, MANIFEST, Manifest, SCALES, Shard};
use super::search::{Scored, TopK};
use super::writer::MAX_ID_BYTES;
use crate::files::read_capped;
use crate::{Error, Result};
use dream_nn::weights::MappedFile;
use dream_nn::{Matrix, Rows};
use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Bytes of a file that are hashed together.
const HASH_BYTES: usize = 1 << 20;

/// An opened index.
#[derive(Debug)]
pub struct Index {
    /// What made it and what it holds.
    pub manifest: Manifest,
    /// Ids of the documents, by position.
    pub ids: Vec<String>,
    folder: PathBuf,
    shards: Vec<OpenShard>,
}

#[derive(Debug)]
struct OpenShard {
    embeddings: MappedFile,
    /// One for each document, or none.
    scales: Vec<f32>,
}

impl Index {
    /// Opens a folder that [`super::IndexWriter`] wrote.
    ///
    /// # Errors
    /// A file is missing, or larger or smaller than the manifest says; a scale is not a number of at
    /// least 0; an id is empty or there twice.
    pub fn open(folder: &Path) -> Result<Self> {
        let mut index = Self {
            manifest: Manifest::read(folder)?,
            ids: Vec::new(),
            folder: folder.into(),
            shards: Vec::new(),
        };
        for shard in &index.manifest.shards {
            let embeddings = index.map_embeddings(shard)?;
            let scales = index.read_scales(shard)?;
            index.shards.push(OpenShard { embeddings, scales });
            let path = index.file(shard, IDS);
            check_size(&path, shard.ids_bytes)?;
            index.ids.extend(read_ids(&path, shard)?);
        }
        let mut seen = HashSet::with_capacity(index.ids.len());
        if let Some(twice) = index.ids.iter().find(|id| !seen.insert(id.as_str())) {
            return Err(Error::Malformed {
                path: folder.into(),
                what: format!("holds document {twice:?} twice"),
            });
        }
        Ok(index)
    }

    /// Reads every file and compares its digest with the manifest's.
    ///
    /// # Errors
    /// A file differs from what was written.
    pub fn verify(&self) -> Result<()> {
        let dtype = self.manifest.dtype.to_string();
        for shard in &self.manifest.shards {
            for (ending, wanted) in [
                (dtype.as_str(), Some(&shard.embeddings_blake3)),
                (SCALES, shard.scales_blake3.as_ref()),
                (IDS, Some(&shard.ids_blake3)),
            ] {
                let Some(wanted) = wanted else { continue };
                let path = self.file(shard, ending);
                let found = hash(&path)?;
                if found != *wanted {
                    return Err(Error::Malformed {
                        path,
                        what: format!("its BLAKE3 digest should be {wanted}, but is {found}"),
                    });
                }
            }
        }
        Ok(())
    }

    /// The best `k` documents of each query, `queries [queries, dim]`; positions count as in
    /// [`Self::ids`]. Exact for what is stored: queries are not rounded.
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
        self.rows().for_each(|rows| top.add(rows));
        Ok(top.finish())
    }

    /// The documents of each shard, in order.
    pub fn rows(&self) -> impl Iterator<Item = Rows<'_>> {
        let (dim, dtype) = (self.manifest.dim, self.manifest.dtype);
        self.shards
            .iter()
            .map(move |shard| Rows::stored(dtype, shard.embeddings.bytes(), &shard.scales, dim))
    }

    /// Bytes that a search reads: embeddings and scales.
    pub fn bytes(&self) -> usize {
        let bytes = |shard: &OpenShard| {
            shard.embeddings.bytes().len() + size_of_val(shard.scales.as_slice())
        };
        self.shards.iter().map(bytes).sum()
    }

    fn file(&self, shard: &Shard, ending: &str) -> PathBuf {
        self.folder.join(format!("{}.{ending}", shard.name))
    }

    fn map_embeddings(&self, shard: &Shard) -> Result<MappedFile> {
        let dtype = self.manifest.dtype;
        let path = self.file(shard, &dtype.to_string());
        let row_bytes = self.manifest.dim.checked_mul(dtype.bytes());
        let wanted = self.file_bytes(shard, row_bytes)?;
        check_size(&path, wanted)?;
        let mapped = MappedFile::open(&path)?;
        // Once more: it may have changed in between, and what is mapped is what counts.
        let found = mapped.bytes().len() as u64;
        if found == wanted {
            Ok(mapped)
        } else {
            Err(wrong_size(&path, wanted, found))
        }
    }

    fn read_scales(&self, shard: &Shard) -> Result<Vec<f32>> {
        if !self.manifest.dtype.has_scales() {
            return Ok(Vec::new());
        }
        let path = self.file(shard, SCALES);
        let wanted = self.file_bytes(shard, Some(size_of::<f32>()))?;
        check_size(&path, wanted)?;
        let bytes = read_capped(&path, wanted)?;
        let (words, _) = bytes.as_chunks();
        let scales: Vec<f32> = words.iter().map(|w| f32::from_le_bytes(*w)).collect();
        if scales.len() != shard.count {
            return Err(wrong_size(&path, wanted, bytes.len() as u64));
        }
        let is_bad = |scale: &f32| !scale.is_finite() || *scale < 0.0;
        match scales.iter().position(is_bad) {
            Some(i) => Err(Error::Malformed {
                what: format!(
                    "scale {i} must be a finite number of at least 0, not {}",
                    scales[i]
                ),
                path,
            }),
            None => Ok(scales),
        }
    }

    /// Size of a shard's file with so many bytes a document.
    fn file_bytes(&self, shard: &Shard, a_document: Option<usize>) -> Result<u64> {
        let bytes = a_document.and_then(|bytes| bytes.checked_mul(shard.count));
        bytes
            .map(|bytes| bytes as u64)
            .ok_or_else(|| Error::Malformed {
                path: self.folder.join(MANIFEST),
                what: format!("{} would be larger than any file", shard.name),
            })
    }
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

fn read_ids(path: &Path, shard: &Shard) -> Result<Vec<String>> {
    let malformed = |what: String| Error::Malformed {
        path: path.into(),
        what,
    };
    let bytes = read_capped(path, shard.ids_bytes)?;
    let text = String::from_utf8(bytes).map_err(|e| malformed(e.to_string()))?;
    let ids: Vec<String> = text.split_terminator('\n').map(str::to_owned).collect();
    if ids.len() != shard.count || !text.ends_with('\n') {
        return Err(malformed(format!(
            "should hold {} whole lines, but holds {}",
            shard.count,
            ids.len()
        )));
    }
    let bad = ids
        .iter()
        .position(|id| id.is_empty() || id.len() > MAX_ID_BYTES);
    match bad {
        Some(line) => Err(malformed(format!(
            "line {}: an id must have 1 to {MAX_ID_BYTES} bytes",
            line + 1
        ))),
        None => Ok(ids),
    }
}

fn hash(path: &Path) -> Result<String> {
    let io = |e| Error::io(path, e);
    let mut file = File::open(path).map_err(io)?;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; HASH_BYTES];
    loop {
        match file.read(&mut buffer).map_err(io)? {
            0 => return Ok(hasher.finalize().to_hex().to_string()),
            n => {
                hasher.update_rayon(&buffer[..n]);
            }
        }
    }
}
