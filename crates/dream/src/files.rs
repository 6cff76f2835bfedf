//! Reading with a cap, writing so that a crash leaves the old file or the new one, never half, and locks.

use crate::{Error, Result};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::Path;

/// Ending of files in the making; their names begin with a dot and that of the file to be.
pub(crate) const TEMPORARY: &str = ".tmp";

/// Reads a whole file, refusing more than `max_bytes` before and while reading.
pub fn read_capped(path: &Path, max_bytes: u64) -> Result<Vec<u8>> {
    let file = std::fs::File::open(path).map_err(|e| Error::io(path, e))?;
    let mut bytes = Vec::new();
    file.take(max_bytes + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| Error::io(path, e))?;
    if bytes.len() as u64 > max_bytes {
        let what = format!("larger than the {max_bytes} bytes accepted");
        return Err(Error::Malformed {
            path: path.into(),
            what,
        });
    }
    Ok(bytes)
}

/// Writes a file through a temporary one in the same folder: sync, then rename.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
    let io = |e| Error::io(path, e);
    let prefix = temporary_prefix(&path.file_name().unwrap_or_default().to_string_lossy());
    let mut builder = with_usual_permissions();
    let builder = builder.prefix(&prefix).suffix(TEMPORARY);
    let mut file = builder.tempfile_in(folder).map_err(io)?;
    file.write_all(bytes).map_err(io)?;
    file.as_file().sync_all().map_err(io)?;
    file.persist(path).map_err(|e| io(e.error))?;
    sync_folder(folder)
}

/// How names of files in the making of `name` begin.
pub(crate) fn temporary_prefix(name: &str) -> String {
    format!(".{name}.")
}

/// Makes names that were given in a folder outlive a loss of power.
pub fn sync_folder(folder: &Path) -> Result<()> {
    // Elsewhere folders cannot be opened, and names are the file system's own care.
    if cfg!(unix) {
        let file = File::open(folder).map_err(|e| Error::io(folder, e))?;
        match file.sync_all() {
            // Some network file systems cannot.
            Err(e) if e.kind() == std::io::ErrorKind::InvalidInput => {}
            synced => synced.map_err(|e| Error::io(folder, e))?,
        }
    }
    Ok(())
}

/// Locks a file, which is made if it is not there, until what is given goes away, at the latest when the
/// process ends; nothing if another process has it.
pub fn lock(path: &Path) -> Result<Option<File>> {
    let mut options = OpenOptions::new();
    let file = options.create(true).truncate(false).write(true).open(path);
    let file = file.map_err(|e| Error::io(path, e))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        // A file system without locks is no reason not to work.
        Err(TryLockError::Error(e)) if e.kind() == std::io::ErrorKind::Unsupported => {
            Ok(Some(file))
        }
        Err(TryLockError::Error(e)) => Err(Error::io(path, e)),
    }
}

/// Whether a file has its name still: another process may have removed it just before it was locked.
#[cfg(unix)]
pub(crate) fn is_still_there(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let both = (file.metadata(), std::fs::metadata(path));
    matches!(both, (Ok(a), Ok(b)) if (a.dev(), a.ino()) == (b.dev(), b.ino()))
}

#[cfg(not(unix))]
pub(crate) fn is_still_there(_: &File, path: &Path) -> bool {
    path.exists()
}

/// Temporary files are private by default; artefacts are as readable as the user's other files.
pub(crate) fn with_usual_permissions() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        // The process's umask still applies.
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder
}

/// Writes `value` as indented JSON, atomically.
pub fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<()> {
    let mut text = serde_json::to_vec_pretty(value)
        .map_err(|e| Error::Invalid(format!("cannot write {} as JSON: {e}", path.display())))?;
    text.push(b'\n');
    write_atomic(path, &text)
}
