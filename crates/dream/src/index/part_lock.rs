//! One process at a time at work on a part.

use super::part::PartOf;
use crate::files::{is_still_there, lock};
use crate::{Error, Result};
use std::fs::File;
use std::path::{Path, PathBuf};

/// One process at a time for each part in a folder. The file goes away with it.
#[derive(Debug)]
pub(super) struct PartLock {
    path: PathBuf,
    _file: File,
}

impl PartLock {
    /// Takes a part in a folder.
    ///
    /// # Errors
    /// Another process has it.
    pub fn take(folder: &Path, part: PartOf) -> Result<Self> {
        let path = folder.join(format!(".{}.lock", part.file_name()));
        match lock(&path)?.filter(|file| is_still_there(file, &path)) {
            Some(file) => Ok(Self { path, _file: file }),
            None => Err(Error::Invalid(format!(
                "another process is at work on part {part} in {}",
                folder.display()
            ))),
        }
    }
}

impl Drop for PartLock {
    fn drop(&mut self) {
        // Nothing depends on it.
        let _ = std::fs::remove_file(&self.path);
    }
}
