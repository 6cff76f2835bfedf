//! One process at a time in a run folder.

use crate::files::lock;
use crate::{Error, Result};
use std::fs::File;
use std::path::Path;

/// Name of the locked file.
const LOCK: &str = "lock";
/// Name of the file that makes a folder a run's.
pub(super) const METRICS: &str = "metrics.jsonl";

/// A run folder that is ours until this goes away, at the latest when the process ends.
#[derive(Debug)]
pub struct RunLock {
    _file: File,
}

impl RunLock {
    /// Takes a folder, which is made if it is not there.
    ///
    /// # Errors
    /// Another process has it, it holds a run and `resume` is not set, or it is no folder.
    pub fn take(folder: &Path, resume: bool) -> Result<Self> {
        let invalid = |what: &str| Err(Error::Invalid(format!("{} {what}", folder.display())));
        if folder.exists() && !folder.is_dir() {
            return invalid("is not a folder: choose another output");
        }
        std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
        let Some(file) = lock(&folder.join(LOCK))? else {
            return invalid("is in use by another process: wait for it, or choose another output");
        };
        if !resume && folder.join(METRICS).exists() {
            return invalid("holds a run already: resume it, or choose another output");
        }
        Ok(Self { _file: file })
    }

    /// Refuses what [`Self::take`] would refuse, without making a folder: for before long work.
    pub fn check(folder: &Path, resume: bool) -> Result<()> {
        if folder.exists() {
            Self::take(folder, resume)?;
        }
        Ok(())
    }
}
