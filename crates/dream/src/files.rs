//! Reading with a cap, and writing so that a crash leaves the old file or the new one, never half.

use crate::{Error, Result};
use std::io::{Read, Write};
use std::path::Path;

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
    let mut file = with_usual_permissions().tempfile_in(folder).map_err(io)?;
    file.write_all(bytes).map_err(io)?;
    file.as_file().sync_all().map_err(io)?;
    file.persist(path).map_err(|e| io(e.error))?;
    Ok(())
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
