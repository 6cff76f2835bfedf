//! Reading an embedding folder: sizes are checked when it is opened, digests when asked for, and
//! embeddings are mapped, so searching needs memory for scores only.

use super::manifest::{Manifest, Shard};
use super::search::{Scored, TopK};
use super::writer::MAX_ID_BYTES;
use crate::files::read_capped;
use crate::{Error, Result};
use dream_nn::Matrix;
use dream_nn::weights::MappedF32;
use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Embeddings that are searched together.
const BLOCK_DOCUMENTS: usize = 1 << 16;
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
}

impl Index {
    /// Opens a folder that [`super::IndexWriter`] wrote.
    ///
    /// # Errors
    /// A file is missing, or larger or smaller than the manifest says; an id is empty or there twice.
    pub fn open(folder: &Path) -> Result<Self> {
        let manifest = Manifest::read(folder)?;
        let mut index = Self {
            manifest,
            ids: Vec::new(),
            folder: folder.into(),
        };
        for shard in &index.manifest.shards {
            check_size(&index.embeddings(shard), index.embedding_bytes(shard)?)?;
            let path = index.ids_file(shard);
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
        for shard in &self.manifest.shards {
            for (path, wanted) in [
                (self.embeddings(shard), &shard.embeddings_blake3),
                (self.ids_file(shard), &shard.ids_blake3),
            ] {
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
    /// [`Self::ids`].
    ///
    /// # Errors
    /// Queries of another size, `k` 0, a file that cannot be read.
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
        for shard in &self.manifest.shards {
            let path = self.embeddings(shard);
            // Once more: a file that has changed since it was opened must not be read beyond its end.
            check_size(&path, self.embedding_bytes(shard)?)?;
            let mapped = MappedF32::open(&path)?;
            for rows in mapped.blocks(BLOCK_DOCUMENTS * dim) {
                top.add(&rows);
            }
        }
        Ok(top.finish())
    }

    fn embeddings(&self, shard: &Shard) -> PathBuf {
        self.folder.join(format!("{}.f32", shard.name))
    }

    fn ids_file(&self, shard: &Shard) -> PathBuf {
        self.folder.join(format!("{}.ids", shard.name))
    }

    fn embedding_bytes(&self, shard: &Shard) -> Result<u64> {
        let row = self.manifest.dim.checked_mul(size_of::<f32>());
        let bytes = row.and_then(|row| row.checked_mul(shard.count));
        bytes
            .map(|bytes| bytes as u64)
            .ok_or_else(|| Error::Malformed {
                path: self.folder.join(super::manifest::MANIFEST),
                what: format!("{} would be larger than any file", shard.name),
            })
    }
}

fn check_size(path: &Path, wanted: u64) -> Result<()> {
    let metadata = std::fs::metadata(path).map_err(|e| Error::io(path, e))?;
    let found = metadata.len();
    if !metadata.is_file() || found != wanted {
        return Err(Error::Malformed {
            path: path.into(),
            what: format!("should be a file of {wanted} bytes, but has {found}"),
        });
    }
    Ok(())
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
