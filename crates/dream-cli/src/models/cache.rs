//! Folders of models: what counts as a complete model, and putting a new one in place in one step.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

/// Says what a fetched folder is and where it came from.
pub const SOURCE_FILE: &str = "source.json";
/// Temporary folders start with this; a name with a leading dot is never a model.
const WORK_PREFIX: &str = ".fetching-";
/// A temporary folder this old belongs to a run that was killed.
const ABANDONED_AFTER: Duration = Duration::from_secs(48 * 3600);

/// The contents of [`SOURCE_FILE`].
#[derive(Debug, Serialize, Deserialize)]
pub struct Source {
    /// The id on the hub, where the model has one.
    pub hub_id: Option<String>,
    /// Commit of the repository, or the package with its version.
    pub revision: String,
    /// Each file with its size and SHA-256.
    pub files: Vec<SourceFile>,
}

/// One fetched file.
#[derive(Debug, Serialize, Deserialize)]
pub struct SourceFile {
    /// Name inside the folder.
    pub name: String,
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256 of the contents, hexadecimal.
    pub sha256: String,
}

impl Source {
    /// Writes the file into a folder that is not in place yet.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(SOURCE_FILE);
        let text = serde_json::to_string_pretty(self)? + "\n";
        fs::write(&path, text).with_context(|| path.display().to_string())
    }
}

/// The model in a folder, if all of it is there: the folder itself for a checkpoint, the file if there is one GGUF.
pub fn complete_model(folder: &Path) -> Option<PathBuf> {
    if folder.join("config.json").is_file() && has_all_weights(folder) {
        return Some(folder.to_owned());
    }
    let entries = fs::read_dir(folder).ok()?.flatten();
    let mut ggufs = entries
        .map(|entry| entry.path())
        .filter(|p| p.extension().is_some_and(|e| e == "gguf") && p.is_file());
    ggufs.next().filter(|_| ggufs.next().is_none())
}

/// `model.safetensors`, or every shard that the index names.
fn has_all_weights(folder: &Path) -> bool {
    folder.join("model.safetensors").is_file()
        || shards(&folder.join("model.safetensors.index.json")).is_ok_and(|shards| {
            !shards.is_empty() && shards.iter().all(|s| folder.join(s).is_file())
        })
}

/// The shard files that an index names, without repeats.
pub fn shards(index: &Path) -> Result<Vec<String>> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: std::collections::BTreeMap<String, String>,
    }
    let context = || index.display().to_string();
    if fs::metadata(index).with_context(context)?.len() > 64 << 20 {
        bail!("{}: larger than an index can be", index.display());
    }
    let index: Index =
        serde_json::from_slice(&fs::read(index).with_context(context)?).with_context(context)?;
    let mut names: Vec<String> = index.weight_map.into_values().collect();
    names.sort();
    names.dedup();
    Ok(names)
}

/// The complete snapshot of a `models--ORG--NAME` folder: the one `refs/main` names, else any.
pub fn hub_snapshot(repository: &Path) -> Option<PathBuf> {
    let snapshots = repository.join("snapshots");
    let main = fs::read_to_string(repository.join("refs/main")).ok();
    let main = main.map(|commit| snapshots.join(commit.trim()));
    main.as_deref().and_then(complete_model).or_else(|| {
        let mut all: Vec<PathBuf> = fs::read_dir(&snapshots)
            .ok()?
            .filter_map(|e| e.ok().map(|e| e.path()))
            .collect();
        all.sort();
        all.iter().find_map(|snapshot| complete_model(snapshot))
    })
}

/// Bytes of a file, or of all files directly in a folder (links followed).
pub fn bytes_of(path: &Path) -> u64 {
    let size = |p: &Path| {
        fs::metadata(p)
            .ok()
            .filter(fs::Metadata::is_file)
            .map_or(0, |m| m.len())
    };
    match fs::read_dir(path) {
        Ok(entries) => entries
            .filter_map(|e| e.ok().map(|e| size(&e.path())))
            .sum(),
        Err(_) => size(path),
    }
}

/// What a fetched folder says about where it came from.
pub fn source_of(folder: &Path) -> Option<Source> {
    let path = folder.join(SOURCE_FILE);
    let small = fs::metadata(&path).ok()?.len() < 1 << 20;
    small
        .then(|| serde_json::from_slice(&fs::read(&path).ok()?).ok())
        .flatten()
}

/// The model folders of our cache, sorted; none where the cache does not exist yet.
pub fn folders(models: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(models) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.with_context(|| models.display().to_string())?,
    };
    let visible = |p: &PathBuf| {
        p.is_dir()
            && !p
                .file_name()
                .is_some_and(|n| n.to_string_lossy().starts_with('.'))
    };
    let mut folders: Vec<PathBuf> = entries
        .filter_map(|e| e.ok().map(|e| e.path()))
        .filter(visible)
        .collect();
    folders.sort();
    Ok(folders)
}

/// A temporary folder beside the models. Dropped without [`Work::install`], it disappears.
pub struct Work {
    models: PathBuf,
    folder: TempDir,
}

impl Work {
    /// Makes the folder, and removes those that killed runs left long ago.
    pub fn new(models: &Path) -> Result<Self> {
        let context = || {
            format!(
                "cannot use {} as a cache (DREAM_CACHE names another)",
                models.display()
            )
        };
        fs::create_dir_all(models).with_context(context)?;
        remove_abandoned(models);
        let mut builder = tempfile::Builder::new();
        builder.prefix(WORK_PREFIX);
        #[cfg(unix)]
        // the folder stays as the model's, so it gets a folder's usual rights, not a temporary one's
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
        let folder = builder.tempdir_in(models).with_context(context)?;
        let models = models.to_owned();
        Ok(Self { models, folder })
    }

    /// Where to put the files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Removes what a failed attempt left.
    pub fn clear(&self) -> Result<()> {
        for entry in fs::read_dir(self.folder())? {
            let path = entry?.path();
            if path.is_dir() {
                fs::remove_dir_all(&path)?;
            } else {
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }

    /// Puts the folder in place under `name` and returns the model in it. A complete model that another process put
    /// there meanwhile stays; an incomplete one is replaced.
    pub fn install(self, name: &str) -> Result<PathBuf> {
        let target = self.models.join(name);
        if complete_model(self.folder()).is_none() {
            bail!("what was downloaded for {name} is not a complete model");
        }
        let context = || format!("cannot put the model in place at {}", target.display());
        if fs::rename(self.folder(), &target).is_err() {
            if let Some(path) = complete_model(&target) {
                return Ok(path);
            }
            let aside = tempfile::Builder::new()
                .prefix(WORK_PREFIX)
                .tempdir_in(&self.models)
                .with_context(context)?;
            if target.exists() {
                fs::rename(&target, aside.path().join("incomplete")).with_context(context)?;
            }
            fs::rename(self.folder(), &target).with_context(context)?;
        }
        complete_model(&target).with_context(context)
    }
}

fn remove_abandoned(models: &Path) {
    let Ok(entries) = fs::read_dir(models) else {
        return;
    };
    for entry in entries.flatten() {
        let ours = entry.file_name().to_string_lossy().starts_with(WORK_PREFIX);
        let modified = entry.metadata().and_then(|m| m.modified());
        if ours && modified.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > ABANDONED_AFTER)) {
            // Somebody else may be removing it too; what stays is tried again next time.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn put(folder: &Path, file: &str, text: &str) {
        let path = folder.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn a_checkpoint_counts_only_with_all_its_shards() {
        let folder = tempfile::tempdir().unwrap();
        let index = r#"{"weight_map":{"a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors"}}"#;
        put(folder.path(), "config.json", "{}");
        put(folder.path(), "model.safetensors.index.json", index);
        put(folder.path(), "model-00001-of-00002.safetensors", "x");
        assert_eq!(complete_model(folder.path()), None);
        put(folder.path(), "model-00002-of-00002.safetensors", "x");
        assert_eq!(
            complete_model(folder.path()).as_deref(),
            Some(folder.path())
        );
    }

    #[test]
    fn a_hub_cache_gives_the_snapshot_of_main() {
        let repository = tempfile::tempdir().unwrap();
        for commit in ["aaa", "bbb"] {
            put(
                repository.path(),
                &format!("snapshots/{commit}/config.json"),
                "{}",
            );
            put(
                repository.path(),
                &format!("snapshots/{commit}/model.safetensors"),
                "x",
            );
        }
        let snapshot = |commit: &str| Some(repository.path().join("snapshots").join(commit));
        assert_eq!(hub_snapshot(repository.path()), snapshot("aaa"));
        put(repository.path(), "refs/main", "bbb\n");
        assert_eq!(hub_snapshot(repository.path()), snapshot("bbb"));
        fs::remove_file(repository.path().join("snapshots/bbb/model.safetensors")).unwrap();
        assert_eq!(hub_snapshot(repository.path()), snapshot("aaa"));
    }

    #[test]
    fn of_two_installs_the_first_stays_and_both_get_a_whole_model() {
        let models = tempfile::tempdir().unwrap();
        let works: Vec<Work> = (0..2).map(|_| Work::new(models.path()).unwrap()).collect();
        for (i, work) in works.iter().enumerate() {
            put(work.folder(), "m.gguf", &i.to_string());
        }
        let paths: Vec<PathBuf> = works.into_iter().map(|w| w.install("m").unwrap()).collect();
        assert_eq!(paths[0], paths[1]);
        assert_eq!(fs::read_to_string(&paths[0]).unwrap(), "0");
        assert_eq!(
            fs::read_dir(models.path()).unwrap().count(),
            1,
            "no temporary folder stays behind"
        );
    }

    #[test]
    fn an_incomplete_folder_is_replaced_and_an_incomplete_download_refused() {
        let models = tempfile::tempdir().unwrap();
        put(models.path(), "m/config.json", "{}");
        assert!(Work::new(models.path()).unwrap().install("m").is_err());
        let work = Work::new(models.path()).unwrap();
        put(work.folder(), "m.gguf", "new");
        assert_eq!(work.install("m").unwrap(), models.path().join("m/m.gguf"));
        assert_eq!(fs::read_dir(models.path()).unwrap().count(), 1);
    }
}
