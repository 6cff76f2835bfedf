//! Writing an embedding folder from embeddings that are there already, shard by shard, in constant memory.
//!
//! Each file is written under a temporary name, synced and renamed when its shard is full; the
//! manifest comes last. A folder without a manifest is no index, whatever else lies in it.

use super::encoder::Encoder;
use super::manifest::{FORMAT_VERSION, MANIFEST, Manifest, Shard, content_digest};
use super::shard_writer::{ShardWriter, check_id, shard_of_file};
use crate::{Error, Result};
use dream_nn::Storage;
use std::path::{Path, PathBuf};

/// Writes embeddings and ids to a folder.
#[derive(Debug)]
pub struct IndexWriter {
    folder: PathBuf,
    storage: Storage,
    dim: usize,
    shard_size: usize,
    open: Option<ShardWriter>,
    shards: Vec<Shard>,
}

impl IndexWriter {
    /// Starts an index of embeddings `[dim]` in `storage`, `shard_size` documents a shard. What an interrupted
    /// writer left in the folder is removed.
    ///
    /// # Errors
    /// The folder holds an index already and `replace` is not set, or cannot be written to.
    pub fn create(
        folder: &Path,
        storage: Storage,
        dim: usize,
        shard_size: usize,
        replace: bool,
    ) -> Result<Self> {
        if dim == 0 || shard_size == 0 {
            return Err(Error::Invalid(format!(
                "an index needs dimensions and documents a shard, got {dim} and {shard_size}"
            )));
        }
        std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
        let manifest = folder.join(MANIFEST);
        if manifest.exists() {
            if !replace {
                let folder = folder.display();
                return Err(Error::Invalid(format!("{folder} holds an index already")));
            }
            // First: from here on the folder is no index.
            std::fs::remove_file(&manifest).map_err(|e| Error::io(&manifest, e))?;
        }
        remove_files(folder, |name| shard_of_file(name).is_some())?;
        Ok(Self {
            folder: folder.into(),
            storage,
            dim,
            shard_size,
            open: None,
            shards: Vec::new(),
        })
    }

    /// Adds one document.
    ///
    /// # Errors
    /// An id that does not fit a line, a number that is not finite or too large to be stored, a full disk.
    pub fn push(&mut self, id: &str, embedding: &[f32]) -> Result<()> {
        assert_eq!(
            embedding.len(),
            self.dim,
            "size of an embedding. This is a bug."
        );
        check_id(id)?;
        let shard = match &mut self.open {
            Some(shard) => shard,
            none => none.insert(ShardWriter::create(
                &self.folder,
                self.shards.len(),
                self.storage,
            )?),
        };
        shard.push(id, embedding)?;
        if shard.count() == self.shard_size {
            self.close_shard()?;
        }
        Ok(())
    }

    /// Writes what is left and the manifest.
    ///
    /// # Errors
    /// No document was added, or the disk is full.
    pub fn finish(mut self, encoder: Encoder) -> Result<Manifest> {
        self.close_shard()?;
        if self.shards.is_empty() {
            return Err(Error::Invalid(
                "an index needs at least one document".into(),
            ));
        }
        let manifest = Manifest {
            format_version: FORMAT_VERSION,
            encoder,
            dim: self.dim,
            dtype: self.storage,
            count: self.shards.iter().map(|shard| shard.count).sum(),
            encoding: None,
            data: None,
            digest: Some(content_digest(&self.shards, self.storage)),
            shards: self.shards,
            version: env!("CARGO_PKG_VERSION").into(),
        };
        manifest.write(&self.folder)?;
        Ok(manifest)
    }

    fn close_shard(&mut self) -> Result<()> {
        // A shard whose only document was refused holds none.
        if let Some(shard) = self.open.take().filter(|shard| shard.count() > 0) {
            self.shards.push(shard.finish()?);
        }
        Ok(())
    }
}

/// Removes the files of a folder whose names are `unwanted`.
pub(super) fn remove_files(folder: &Path, unwanted: impl Fn(&str) -> bool) -> Result<()> {
    let io = |e| Error::io(folder, e);
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if unwanted(&name) {
            std::fs::remove_file(&path).map_err(|e| Error::io(&path, e))?;
        }
    }
    Ok(())
}
