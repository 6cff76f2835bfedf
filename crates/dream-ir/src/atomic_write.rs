//! Files that appear whole or not at all: written beside their place, flushed to the disk, renamed.

use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Result};

/// Writes `path` through `fill`. If anything fails, the old file (or its absence) stays as it was
/// and the temporary file is removed.
pub fn write_atomically(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<()> {
    let mut file = AtomicFile::create(path)?;
    let filled = fill(&mut file.writer);
    filled.map_err(|source| file.failed(source))?;
    file.commit()
}

/// A file in the making, for work that writes several at once; what is dropped before
/// [`commit`](Self::commit) leaves nothing.
#[derive(Debug)]
pub struct AtomicFile {
    path: PathBuf,
    temporary: PathBuf,
    writer: BufWriter<File>,
    is_done: bool,
}

impl AtomicFile {
    /// Begins the file that will be at `path`.
    pub fn create(path: &Path) -> Result<Self> {
        let temporary = temporary_beside(path);
        let created = File::create_new(&temporary).map_err(|source| Error::Io {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            path: path.to_owned(),
            temporary,
            writer: BufWriter::new(created),
            is_done: false,
        })
    }

    /// Writes one value as a line of JSON.
    pub fn json_line(&mut self, value: &impl serde::Serialize) -> Result<()> {
        use io::Write as _;
        let written = serde_json::to_writer(&mut self.writer, value)
            .map_err(io::Error::from)
            .and_then(|()| self.writer.write_all(b"\n"));
        written.map_err(|source| self.failed(source))
    }

    /// Flushes to the disk and puts the file in its place.
    pub fn commit(mut self) -> Result<()> {
        use io::Write as _;
        let done = self.writer.flush();
        let done = done.and_then(|()| self.writer.get_ref().sync_all());
        let done = done.and_then(|()| fs::rename(&self.temporary, &self.path));
        self.is_done = done.is_ok();
        done.map_err(|source| self.failed(source))
    }

    fn failed(&self, source: io::Error) -> Error {
        Error::Io {
            path: self.path.clone(),
            source,
        }
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if !self.is_done {
            let _ = fs::remove_file(&self.temporary); // there is another error to report, or none
        }
    }
}

/// A name in the same folder that no other writer uses: process number and a counter.
fn temporary_beside(path: &Path) -> PathBuf {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}-{count}.tmp", std::process::id()))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        write_atomically(&path, |w| w.write_all(b"old")).unwrap();
        let failed = write_atomically(&path, |w| {
            w.write_all(b"half")?;
            Err(io::Error::other("disk full"))
        });
        assert!(failed.unwrap_err().to_string().contains("disk full"));
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_missing_folder_is_an_error_that_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("none").join("a.txt");
        let error = write_atomically(&path, |_| Ok(())).unwrap_err();
        assert!(error.to_string().contains("a.txt"), "{error}");
    }
}
