//! Files with their digests: written under a temporary name and renamed, or read to their end.

use crate::files::{TEMPORARY, with_usual_permissions};
use crate::{Error, Result};
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::Path;
use tempfile::NamedTempFile;

/// Bytes of a file that are hashed together.
const HASH_BYTES: usize = 1 << 20;

/// Told how far long reading is, in bytes, and how far it goes; `false` stops it.
pub type Watch<'a> = dyn FnMut(u64, u64) -> bool + 'a;

/// A file in the making.
#[derive(Debug)]
pub(super) struct HashedFile {
    writer: BufWriter<NamedTempFile>,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl HashedFile {
    /// Starts a file in `folder`, hidden under a name that begins with `prefix`.
    pub fn create(folder: &Path, prefix: &str) -> Result<Self> {
        let mut builder = with_usual_permissions();
        let file = builder.prefix(prefix).suffix(TEMPORARY).tempfile_in(folder);
        Ok(Self {
            writer: BufWriter::new(file.map_err(|e| Error::io(folder, e))?),
            hasher: blake3::Hasher::new(),
            bytes: 0,
        })
    }

    pub fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        self.writer.write_all(bytes)
    }

    /// Syncs and renames; the number of bytes and their digest.
    pub fn finish(self, path: &Path) -> Result<(u64, String)> {
        let io = |e| Error::io(path, e);
        let file = self.writer.into_inner().map_err(|e| io(e.into_error()))?;
        file.as_file().sync_all().map_err(io)?;
        file.persist(path).map_err(|e| io(e.error))?;
        Ok((self.bytes, self.hasher.finalize().to_hex().to_string()))
    }
}

/// Compares files with their digests and tells how far it is.
pub(super) struct Checker<'a, 'b> {
    done: u64,
    total: u64,
    watch: &'a mut Watch<'b>,
    buffer: Vec<u8>,
}

impl<'a, 'b> Checker<'a, 'b> {
    /// For files of `total` bytes together.
    pub fn new(total: u64, watch: &'a mut Watch<'b>) -> Self {
        Self {
            done: 0,
            total,
            watch,
            buffer: vec![0; HASH_BYTES],
        }
    }

    /// Refuses a file with another digest.
    ///
    /// # Errors
    /// [`Error::Malformed`] if it differs, [`Error::Io`] if it cannot be read, [`Error::Stopped`].
    pub fn check(&mut self, path: &Path, wanted: &str) -> Result<()> {
        let found = self.hash(path)?;
        if found == wanted {
            return Ok(());
        }
        Err(Error::Malformed {
            path: path.into(),
            what: format!("its BLAKE3 digest should be {wanted}, but is {found}"),
        })
    }

    fn hash(&mut self, path: &Path) -> Result<String> {
        let io = |e| Error::io(path, e);
        let mut file = File::open(path).map_err(io)?;
        let mut hasher = blake3::Hasher::new();
        loop {
            let n = file.read(&mut self.buffer).map_err(io)?;
            if n == 0 {
                return Ok(hasher.finalize().to_hex().to_string());
            }
            hasher.update_rayon(&self.buffer[..n]);
            self.done += n as u64;
            if !(self.watch)(self.done, self.total.max(self.done)) {
                return Err(Error::Stopped);
            }
        }
    }
}
