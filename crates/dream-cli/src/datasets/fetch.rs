//! Getting a task's data from the hub: of the repository at the registry's commit the files of the parts that are
//! wanted.
//!
//! They land in a temporary folder beside their place, together with what is there already, and the folder is renamed
//! into place: a commit's folder holds whole sets only.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use dream_ir::dataset::{HubLayout, Part};
use dream_ir::tasks::{Subset, Task};
use serde::Serialize;
use tempfile::TempDir;

use super::{locate, snapshots};
use crate::env::Env;
use crate::errors::usage;
use crate::hub::{Hub, Kind, Listing, Progress, Repo, is_plain};

/// Largest file of a data set; the hub's own limit.
const MAX_FILE_BYTES: u64 = 64 << 30;
/// The file that says what the others are.
const CARD: &str = "README.md";

/// What `fetch` did.
#[derive(Debug, Serialize)]
pub struct Fetched {
    /// The folder of the commit, or the place where the data was already.
    pub path: PathBuf,
    /// `cache`, or where it was downloaded from.
    pub source: String,
    /// Bytes that were downloaded.
    pub bytes: u64,
}

/// Makes the data of a task's subsets available here, in all of its splits.
pub fn fetch(
    task: &Task,
    subsets: &[&Subset],
    env: &Env,
    progress: &mut Progress,
) -> Result<Fetched> {
    let (Some(id), Some(revision)) = (&task.hub_id, &task.revision) else {
        bail!("{} has no data of its own", task.name);
    };
    let parts: Vec<Part> = parts(task, subsets);
    let places = parts.iter().map(|part| locate(task, *part, None, env));
    let missing = match places.collect::<Result<Vec<_>, _>>() {
        Ok(found) => {
            let path = found.first().map(|found| found.path.clone());
            return Ok(Fetched {
                path: path.unwrap_or_default(),
                source: "cache".into(),
                bytes: 0,
            });
        }
        Err(missing) => missing,
    };
    if let Some(variable) = env.offline {
        return Err(usage(format!(
            "{missing}; did not ask the network, since {variable} is set"
        )));
    }
    let hub = Hub::new(env)?;
    let repo = Repo {
        kind: Kind::Dataset,
        id,
        revision,
    };
    let listing = hub.list(repo)?;
    if listing.sha != *revision {
        bail!("{id}: asked for commit {revision}, got {}", listing.sha);
    }
    let target = snapshots(&env.datasets(), id).join(revision);
    let work = Work::new(&target)?;
    let bytes = download(&hub, repo, &listing, &parts, &work, progress)?;
    work.install(&target)?;
    Ok(Fetched {
        path: target,
        source: format!("{}/datasets/{id} at {revision}", env.hub_endpoint),
        bytes,
    })
}

/// All parts of a task's subsets.
fn parts<'a>(task: &'a Task, subsets: &[&'a Subset]) -> Vec<Part<'a>> {
    let of_split = |split: &'a String| {
        subsets.iter().map(move |subset| Part {
            subset: &subset.name,
            split,
        })
    };
    task.splits.iter().flat_map(of_split).collect()
}

/// Downloads what the parts need and is not in the folder yet.
fn download(
    hub: &Hub,
    repo: Repo,
    listing: &Listing,
    parts: &[Part],
    work: &Work,
    progress: &mut Progress,
) -> Result<u64> {
    let folder = work.folder();
    let find = |name: &str| listing.siblings.iter().find(|s| s.rfilename == name);
    if let Some(card) = find(CARD)
        && !folder.join(CARD).is_file()
    {
        hub.file(repo, card, folder, MAX_FILE_BYTES, &mut |_| {})?;
    }
    let card = fs::read(folder.join(CARD)).ok();
    let card = card.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let names = listing.siblings.iter().map(|s| s.rfilename.clone());
    let mut names: Vec<String> = names.filter(|name| is_plain(name)).collect();
    names.sort();
    let layout = HubLayout::new(card.as_deref(), &names)?;
    let mut wanted = BTreeSet::new();
    for part in parts {
        let files = layout.files(*part).with_context(|| repo.id.to_owned())?;
        wanted.extend(files.all().map(str::to_owned));
    }
    let absent = wanted.iter().filter(|name| !folder.join(name).is_file());
    let siblings: Vec<_> = absent.filter_map(|name| find(name)).collect();
    let total = siblings.iter().filter_map(|s| s.bytes()).sum();
    let mut done = 0;
    progress(0, total);
    for sibling in siblings {
        let mut moved = |bytes| progress(done + bytes, total);
        done += hub
            .file(repo, sibling, folder, MAX_FILE_BYTES, &mut moved)?
            .bytes;
    }
    Ok(done)
}

/// A temporary folder that becomes a commit's. Dropped without [`Work::install`], it disappears.
struct Work(TempDir);

impl Work {
    /// Makes it, with what the commit's folder holds already.
    fn new(target: &Path) -> Result<Self> {
        let parent = target.parent().unwrap_or(Path::new("."));
        let context = || {
            format!(
                "cannot use {} as a cache (DREAM_CACHE names another)",
                parent.display()
            )
        };
        fs::create_dir_all(parent).with_context(context)?;
        let mut builder = tempfile::Builder::new();
        builder.prefix(".fetching-");
        #[cfg(unix)]
        // The folder stays as the commit's, so it gets a folder's usual rights, not a temporary one's.
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
        let work = Self(builder.tempdir_in(parent).with_context(context)?);
        if target.is_dir() {
            link_all(target, work.folder()).with_context(|| target.display().to_string())?;
        }
        Ok(work)
    }

    fn folder(&self) -> &Path {
        self.0.path()
    }

    /// Puts the folder in place; one that is there already is replaced.
    fn install(self, target: &Path) -> Result<()> {
        let context = || format!("cannot put the data in place at {}", target.display());
        let parent = target.parent().unwrap_or(Path::new("."));
        let aside = tempfile::Builder::new()
            .prefix(".fetching-")
            .tempdir_in(parent)
            .with_context(context)?;
        if target.exists() {
            fs::rename(target, aside.path().join("old")).with_context(context)?;
        }
        // Kept before it is renamed: dropping it would look for a folder that has moved.
        let folder = self.0.keep();
        fs::rename(&folder, target).with_context(context)
    }
}

/// Hard links to all files of a folder, copies where links cannot be had.
fn link_all(from: &Path, to: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            fs::create_dir_all(&target)?;
            link_all(&entry.path(), &target)?;
        } else if fs::hard_link(entry.path(), &target).is_err() {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}
