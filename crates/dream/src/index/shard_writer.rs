//! Writing the files of one shard, in constant memory.

use super::hashed_file::HashedFile;
use super::ids::MAX_ID_BYTES;
use super::manifest::{IDS, SCALES, Shard, shard_name};
use crate::files::{sync_folder, temporary_prefix};
use crate::{Error, Result};
use dream_nn::Storage;
use std::path::{Path, PathBuf};

/// The files of one shard in the making; given up, they go away.
#[derive(Debug)]
pub(super) struct ShardWriter {
    folder: PathBuf,
    name: String,
    storage: Storage,
    embeddings: HashedFile,
    scales: Option<HashedFile>,
    ids: HashedFile,
    count: usize,
    row: Vec<u8>,
}

impl ShardWriter {
    /// Starts the shard with this number.
    pub fn create(folder: &Path, number: usize, storage: Storage) -> Result<Self> {
        let name = shard_name(number);
        let prefix = temporary_prefix(&name);
        let create = || HashedFile::create(folder, &prefix);
        Ok(Self {
            folder: folder.into(),
            storage,
            embeddings: create()?,
            scales: storage.has_scales().then(create).transpose()?,
            ids: create()?,
            count: 0,
            row: Vec::new(),
            name,
        })
    }

    /// Documents so far.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Adds one document.
    ///
    /// # Errors
    /// An id that does not fit a line, a number that is not finite or too large to be stored, a full disk.
    pub fn push(&mut self, id: &str, embedding: &[f32]) -> Result<()> {
        check_id(id)?;
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
        self.write(id, embedding)
            .map_err(|e| Error::io(&self.folder, e))
    }

    fn write(&mut self, id: &str, embedding: &[f32]) -> std::io::Result<()> {
        self.row.clear();
        let scale = self.storage.narrow(embedding, &mut self.row);
        self.embeddings.write(&self.row)?;
        if let (Some(scales), Some(scale)) = (&mut self.scales, scale) {
            scales.write(&scale.to_le_bytes())?;
        }
        self.ids.write(id.as_bytes())?;
        self.ids.write(b"\n")?;
        self.count += 1;
        Ok(())
    }

    /// Syncs the files and gives them their names.
    pub fn finish(self) -> Result<Shard> {
        let place = |ending: &str| self.folder.join(format!("{}.{ending}", self.name));
        let (_, embeddings_blake3) = self.embeddings.finish(&place(&self.storage.to_string()))?;
        let scales = self.scales.map(|scales| scales.finish(&place(SCALES)));
        let scales_blake3 = scales.transpose()?.map(|(_, digest)| digest);
        let (ids_bytes, ids_blake3) = self.ids.finish(&place(IDS))?;
        sync_folder(&self.folder)?;
        Ok(Shard {
            name: self.name,
            count: self.count,
            embeddings_blake3,
            scales_blake3,
            ids_bytes,
            ids_blake3,
            data_blake3: None,
        })
    }
}

/// Refuses an id that does not fit a line.
pub(super) fn check_id(id: &str) -> Result<()> {
    if id.is_empty() || id.len() > MAX_ID_BYTES || id.contains(['\n', '\r']) {
        return Err(Error::Invalid(format!(
            "a document id must be one line of 1 to {MAX_ID_BYTES} bytes, not {id:?}"
        )));
    }
    Ok(())
}

/// Number of the shard that a file belongs to, whether it has its name already or is still in the making.
pub(super) fn shard_of_file(name: &str) -> Option<usize> {
    let made = name.strip_suffix(crate::files::TEMPORARY);
    let (shard, ending) = match made.and_then(|name| name.strip_prefix('.')) {
        Some(made) => (made.split_once('.')?.0, None),
        None => name
            .split_once('.')
            .map(|(shard, ending)| (shard, Some(ending)))?,
    };
    let is_ours =
        |ending: &str| [IDS, SCALES].contains(&ending) || ending.parse::<Storage>().is_ok();
    let number = super::manifest::shard_number(shard)?;
    ending.is_none_or(is_ours).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_shards_are_told_from_others() {
        for (name, number) in [
            ("shard-00003.f32", Some(3)),
            ("shard-123456.scales", Some(123_456)),
            (".shard-00003.xYz12.tmp", Some(3)),
            ("shard-3.f32", None),
            ("shard-00003.txt", None),
            ("shard-00003", None),
            (".shard-00003.f32", None),
            ("shard-99999999999999999999.f32", None),
            ("my-shard-00003.f32", None),
            ("manifest.json", None),
            (".tmp", None),
        ] {
            assert_eq!(shard_of_file(name), number, "{name}");
        }
    }
}
