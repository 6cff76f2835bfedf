//! Writing an embedding folder shard by shard, in constant memory.
//!
//! Each file is written under a temporary name, synced and renamed when its shard is full; the
//! manifest comes last. A folder without a manifest is no index, whatever else lies in it.

use super::manifest::{
    Encoder, FORMAT_VERSION, IDS, MANIFEST, Manifest, SCALES, Shard, shard_name,
};
use crate::files::with_usual_permissions;
use crate::{Error, Result};
use dream_nn::Storage;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Prefix and ending of files in the making.
const TEMPORARY: (&str, &str) = (".shard-", ".tmp");
/// Longest id, in bytes.
pub(super) const MAX_ID_BYTES: usize = 4096;

/// Writes embeddings and ids to a folder.
#[derive(Debug)]
pub struct IndexWriter {
    folder: PathBuf,
    storage: Storage,
    dim: usize,
    shard_size: usize,
    open: Option<OpenShard>,
    shards: Vec<Shard>,
}

#[derive(Debug)]
struct OpenShard {
    embeddings: HashedFile,
    scales: Option<HashedFile>,
    ids: HashedFile,
    count: usize,
}

#[derive(Debug)]
struct HashedFile {
    writer: BufWriter<NamedTempFile>,
    hasher: blake3::Hasher,
    bytes: u64,
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
        remove_leftovers(folder)?;
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
        if id.is_empty() || id.len() > MAX_ID_BYTES || id.contains(['\n', '\r']) {
            return Err(Error::Invalid(format!(
                "a document id must be one line of 1 to {MAX_ID_BYTES} bytes, not {id:?}"
            )));
        }
        if embedding.iter().any(|x| !x.is_finite()) {
            return Err(Error::Invalid(format!(
                "the embedding of document {id:?} holds numbers that are not finite"
            )));
        }
        let (storage, largest) = (self.storage, self.storage.largest());
        if let Some(x) = embedding.iter().find(|x| x.abs() > largest) {
            return Err(Error::Invalid(format!(
                "the embedding of document {id:?} holds {x}, more than {storage} can store"
            )));
        }
        let folder = &self.folder;
        let shard = match &mut self.open {
            Some(shard) => shard,
            none => none.insert(OpenShard::create(folder, storage)?),
        };
        let written = shard.push(id, embedding, storage);
        written.map_err(|e| Error::io(folder, e))?;
        if shard.count == self.shard_size {
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
            shards: self.shards,
            version: env!("CARGO_PKG_VERSION").into(),
        };
        manifest.write(&self.folder)?;
        Ok(manifest)
    }

    fn close_shard(&mut self) -> Result<()> {
        let Some(shard) = self.open.take() else {
            return Ok(());
        };
        let name = shard_name(self.shards.len());
        let place = |ending: &str| self.folder.join(format!("{name}.{ending}"));
        let (_, embeddings_blake3) = shard.embeddings.finish(&place(&self.storage.to_string()))?;
        let scales = shard.scales.map(|scales| scales.finish(&place(SCALES)));
        let scales_blake3 = scales.transpose()?.map(|(_, digest)| digest);
        let (ids_bytes, ids_blake3) = shard.ids.finish(&place(IDS))?;
        self.shards.push(Shard {
            name,
            count: shard.count,
            embeddings_blake3,
            scales_blake3,
            ids_bytes,
            ids_blake3,
        });
        Ok(())
    }
}

impl OpenShard {
    fn create(folder: &Path, storage: Storage) -> Result<Self> {
        let scales = storage.has_scales().then(|| HashedFile::create(folder));
        Ok(Self {
            embeddings: HashedFile::create(folder)?,
            scales: scales.transpose()?,
            ids: HashedFile::create(folder)?,
            count: 0,
        })
    }

    fn push(&mut self, id: &str, embedding: &[f32], storage: Storage) -> std::io::Result<()> {
        let mut bytes = Vec::with_capacity(embedding.len() * storage.bytes());
        let scale = storage.narrow(embedding, &mut bytes);
        self.embeddings.write(&bytes)?;
        if let (Some(scales), Some(scale)) = (&mut self.scales, scale) {
            scales.write(&scale.to_le_bytes())?;
        }
        self.ids.write(id.as_bytes())?;
        self.ids.write(b"\n")?;
        self.count += 1;
        Ok(())
    }
}

impl HashedFile {
    fn create(folder: &Path) -> Result<Self> {
        let mut builder = with_usual_permissions();
        let builder = builder.prefix(TEMPORARY.0).suffix(TEMPORARY.1);
        let file = builder.tempfile_in(folder);
        Ok(Self {
            writer: BufWriter::new(file.map_err(|e| Error::io(folder, e))?),
            hasher: blake3::Hasher::new(),
            bytes: 0,
        })
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        self.writer.write_all(bytes)
    }

    /// Syncs and renames; the number of bytes and their digest.
    fn finish(self, path: &Path) -> Result<(u64, String)> {
        let io = |e| Error::io(path, e);
        let file = self.writer.into_inner().map_err(|e| io(e.into_error()))?;
        file.as_file().sync_all().map_err(io)?;
        file.persist(path).map_err(|e| io(e.error))?;
        Ok((self.bytes, self.hasher.finalize().to_hex().to_string()))
    }
}

/// Shards without a manifest, and files in the making that nobody makes any more.
fn remove_leftovers(folder: &Path) -> Result<()> {
    let io = |e| Error::io(folder, e);
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let parts = name.strip_prefix("shard-").and_then(|n| n.split_once('.'));
        let is_shard = parts.is_some_and(|(number, ending)| {
            let is_ours = [IDS, SCALES].contains(&ending) || ending.parse::<Storage>().is_ok();
            is_ours && number.len() >= 5 && number.bytes().all(|b| b.is_ascii_digit())
        });
        if is_shard || (name.starts_with(TEMPORARY.0) && name.ends_with(TEMPORARY.1)) {
            std::fs::remove_file(&path).map_err(|e| Error::io(&path, e))?;
        }
    }
    Ok(())
}
