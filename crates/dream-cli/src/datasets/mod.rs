//! The data of tasks: where it lies on this machine, and getting it from the hub.
//!
//! Looked for in this order: the folder that the user names (`DIR/NAME`, a folder or `.zip`), our cache, the cache of
//! `huggingface_hub` (only read), both in the hub's layout `datasets--ORG--NAME/snapshots/COMMIT`. Only the commit that
//! the registry names will do.

mod fetch;

pub use fetch::{Fetched, fetch};

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use dream_ir::dataset::{DEFAULT_SUBSET, Part, Source};
use dream_ir::tasks::Task;
use sha2::{Digest as _, Sha256};

use crate::env::Env;
use crate::errors::describe;
use crate::hub::hex;

/// The data of one part of a task, found.
#[derive(Debug)]
pub struct Found {
    /// How to read it.
    pub source: Source,
    /// Where it lies.
    pub path: PathBuf,
    /// Its commit on the hub; none for a folder or archive of the user's.
    pub commit: Option<String>,
}

impl Found {
    /// What identifies the data: the commit, or a digest of the files of this part.
    pub fn identity(&self, part: Part) -> Result<String> {
        if let Some(commit) = &self.commit {
            return Ok(commit.clone());
        }
        let mut hasher = Sha256::new();
        for path in self.source.files(part)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            hasher.update(name.as_bytes());
            hasher.update(digest(&path)?);
        }
        Ok(format!("local-{}", &hex(&hasher.finalize())[..16]))
    }
}

/// SHA-256 of a file.
fn digest(path: &Path) -> Result<[u8; 32]> {
    let context = || path.display().to_string();
    let mut file = File::open(path).with_context(context)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer).with_context(context)? {
            0 => return Ok(hasher.finalize().into()),
            n => hasher.update(&buffer[..n]),
        }
    }
}

/// Why a task's data is not here, a line for each place looked at.
#[derive(Debug)]
pub struct Missing(pub Vec<String>);

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join("; "))
    }
}

/// Finds the data of a part on this machine. Uses no network.
pub fn locate(task: &Task, part: Part, root: Option<&Path>, env: &Env) -> Result<Found, Missing> {
    let mut reasons = Vec::new();
    if let Some(root) = root {
        let places = places_below(root, task, part.subset);
        let mut there = places.into_iter().filter(|path| path.exists()).peekable();
        if there.peek().is_none() {
            let names = task.folders().join(", ");
            reasons.push(format!("{} has none of {names}", root.display()));
        }
        for path in there {
            match usable(&path, part) {
                Ok(source) => {
                    return Ok(Found {
                        source,
                        path,
                        commit: None,
                    });
                }
                Err(error) => reasons.push(describe(&error)),
            }
        }
    }
    let (Some(id), Some(revision)) = (&task.hub_id, &task.revision) else {
        return Err(Missing(reasons));
    };
    for cache in [env.datasets(), env.hub_cache.clone()] {
        let folder = snapshots(&cache, id);
        let path = folder.join(revision);
        if path.is_dir() {
            match usable(&path, part) {
                Ok(source) => {
                    return Ok(Found {
                        source,
                        path,
                        commit: Some(revision.clone()),
                    });
                }
                Err(error) => reasons.push(describe(&error)),
            }
        } else if folder.is_dir() {
            let folder = folder.display();
            reasons.push(format!("{folder} has other commits, not {revision}"));
        } else {
            reasons.push(format!("there is no {}", folder.display()));
        }
    }
    Err(Missing(reasons))
}

/// The set at `path`, if the files of the part are there.
fn usable(path: &Path, part: Part) -> Result<Source> {
    let source = Source::find(path)?;
    source
        .files(part)
        .with_context(|| path.display().to_string())?;
    Ok(source)
}

/// Paths below the user's folder that may hold the data: `NAME`, `NAME.zip`, and for `SET/FORUM` the set's archive.
fn places_below(root: &Path, task: &Task, subset: &str) -> Vec<PathBuf> {
    let mut places = Vec::new();
    for name in task.folders() {
        let folder = root.join(&name);
        if subset != DEFAULT_SUBSET {
            places.push(folder.join(subset));
        }
        places.push(folder);
        places.push(root.join(format!("{name}.zip")));
    }
    places
}

/// The folder of a data set's commits in a cache.
fn snapshots(cache: &Path, id: &str) -> PathBuf {
    let name = format!("datasets--{}", id.replace('/', "--"));
    cache.join(name).join("snapshots")
}

#[cfg(test)]
mod tests;
