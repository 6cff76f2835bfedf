//! An experiment's folder: what lies where, and that it holds one experiment only.

use super::file::EvalSpec;
use super::plan::PlannedRun;
use super::result::RunResult;
use crate::files::{lock, read_capped, write_atomic, write_json};
use crate::{Error, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

/// Folder of the runs.
pub const RUNS: &str = "runs";
/// Folder of the untrained starts' measurements.
const STARTS: &str = "starts";
/// Folder of the head lists.
const HEADS: &str = "heads";
/// Folder of values by query, inside a run's or a start's.
const PER_QUERY: &str = "per_query";
/// What a run is: written before it starts.
const IDENTITY: &str = "run.json";
/// What a run came to: written when it is over.
const RESULT: &str = "result.json";
/// Which data each name of a test set means.
const SETS: &str = "sets.json";
/// Largest of these files.
const MAX_BYTES: u64 = 64 << 20;

/// A folder that is ours until this goes away.
#[derive(Debug)]
pub struct ExperimentFolder {
    path: PathBuf,
    _lock: File,
}

#[derive(Debug, Serialize, Deserialize)]
struct Identity {
    variant: String,
    seed: u64,
    digest: String,
    version: String,
}

impl ExperimentFolder {
    /// Takes a folder, which is made if it is not there.
    ///
    /// # Errors
    /// Another process has it, or it cannot be made.
    pub fn take(path: &Path) -> Result<Self> {
        if path.exists() && !path.is_dir() {
            let what = format!("{} is not a folder: choose another --out", path.display());
            return Err(Error::Invalid(what));
        }
        std::fs::create_dir_all(path).map_err(|e| Error::io(path, e))?;
        match lock(&path.join("lock"))? {
            Some(file) => Ok(Self {
                path: path.into(),
                _lock: file,
            }),
            None => Err(Error::Invalid(format!(
                "{} is in use by another process: wait for it, or choose another --out",
                path.display()
            ))),
        }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Refuses runs that another configuration began, and test sets whose name meant other data;
    /// before anything is started.
    pub fn check(&self, runs: &[PlannedRun], evals: &[EvalSpec]) -> Result<()> {
        for run in runs {
            let folder = &run.config.output;
            let identity: Option<Identity> = read_json(&folder.join(IDENTITY))?;
            let begun = folder.join("metrics.jsonl").exists();
            let is_other = match identity {
                Some(identity) => identity.digest != run.digest,
                None => begun,
            };
            if is_other {
                return Err(Error::Invalid(format!(
                    "variant {}, seed {}: {} was begun with another configuration or budget than \
                     the file now has; put the file back, delete that folder, or choose another \
                     --out",
                    run.variant,
                    run.seed,
                    folder.display()
                )));
            }
        }
        let path = self.path.join(SETS);
        let mut known: BTreeMap<String, EvalSpec> = read_json(&path)?.unwrap_or_default();
        for eval in evals {
            let before = known.insert(eval.name.clone(), eval.clone());
            if let Some(before) = before.filter(|before| before != eval) {
                return Err(Error::Invalid(format!(
                    "test set {}: results in {} are those of {}, split {}; give the new one \
                     another name, or choose another --out",
                    eval.name,
                    self.path.display(),
                    before.data.display(),
                    before.split
                )));
            }
        }
        write_json(&path, &known)
    }

    /// Writes down what a run is, before it starts.
    pub fn begin(&self, run: &PlannedRun) -> Result<()> {
        let identity = Identity {
            variant: run.variant.clone(),
            seed: run.seed,
            digest: run.digest.clone(),
            version: env!("CARGO_PKG_VERSION").into(),
        };
        write_json(&run.config.output.join(IDENTITY), &identity)
    }

    /// What a run came to, if it is over.
    pub fn result(&self, run: &PlannedRun) -> Result<Option<RunResult>> {
        read_json(&run.config.output.join(RESULT))
    }

    /// Ends a run.
    pub fn finish(&self, run: &PlannedRun, result: &RunResult) -> Result<()> {
        write_json(&run.config.output.join(RESULT), result)
    }

    /// Values by query of a run on a set.
    pub fn per_query(&self, run: &PlannedRun, set: &str) -> PathBuf {
        run.config.output.join(PER_QUERY).join(format!("{set}.tsv"))
    }

    /// Values by query of an untrained start on a set.
    pub fn start_per_query(&self, start: &str, set: &str) -> PathBuf {
        self.start(start).join(PER_QUERY).join(format!("{set}.tsv"))
    }

    /// Folder of an untrained start.
    pub fn start(&self, start: &str) -> PathBuf {
        self.path.join(STARTS).join(start)
    }

    /// A head list, by what it depends on.
    pub fn heads(&self, key: &str) -> PathBuf {
        self.path.join(HEADS).join(format!("{key}.json"))
    }

    /// Writes one line a result.
    pub fn write_results(&self, results: &[RunResult]) -> Result<()> {
        let mut text = String::new();
        for result in results {
            let line = serde_json::to_string(result);
            text += &line.map_err(|e| Error::Invalid(format!("cannot write a result: {e}")))?;
            text.push('\n');
        }
        write_atomic(&self.path.join("results.jsonl"), text.as_bytes())
    }
}

/// A short name for something that depends on `parts` alone.
pub fn key(parts: &impl Serialize) -> Result<String> {
    let text = serde_json::to_string(parts)
        .map_err(|e| Error::Invalid(format!("cannot write a key: {e}")))?;
    Ok(blake3::hash(text.as_bytes()).to_hex()[..16].to_owned())
}

/// A JSON file, if it is there.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let bytes = match read_capped(path, MAX_BYTES) {
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            return Ok(None);
        }
        read => read?,
    };
    let value = serde_json::from_slice(&bytes).map_err(|e| Error::Malformed {
        path: path.into(),
        what: e.to_string(),
    })?;
    Ok(Some(value))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::super::file::ExperimentFile;
    use super::super::plan::{Places, plan};
    use super::*;

    fn planned(out: &Path, rest: &str) -> Vec<PlannedRun> {
        let text = format!(
            "{rest}\n[base.data]\npath = 'd'\n[base.llm]\nmodel = 'm'\n[base.retriever]\nmodel = 'm'"
        );
        let places = Places {
            out: out.into(),
            data: "d".into(),
            world: "w".into(),
            dtype: None,
        };
        plan(
            &ExperimentFile::parse(&text, Path::new("x.toml")).unwrap(),
            &places,
        )
        .unwrap()
    }

    #[test]
    fn a_folder_is_one_process_s_and_a_changed_variant_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let taken = ExperimentFolder::take(folder.path()).unwrap();
        let second = ExperimentFolder::take(folder.path()).unwrap_err();
        assert!(second.to_string().contains("in use"), "{second}");
        let runs = planned(folder.path(), "run = [{ name = 'a' }]");
        taken.check(&runs, &[]).unwrap();
        taken.begin(&runs[0]).unwrap();
        taken.check(&runs, &[]).unwrap();
        let changed = planned(
            folder.path(),
            "run = [{ name = 'a', set = { 'optimizer.lr' = 1e-5 } }]",
        );
        let error = taken.check(&changed, &[]).unwrap_err().to_string();
        assert!(error.contains("variant a, seed 0"), "{error}");
    }

    #[test]
    fn a_test_set_keeps_its_meaning() {
        let folder = tempfile::tempdir().unwrap();
        let taken = ExperimentFolder::take(folder.path()).unwrap();
        let set = |name: &str, data: &str| EvalSpec {
            name: name.into(),
            data: data.into(),
            split: "test".into(),
        };
        taken.check(&[], &[set("a", "x")]).unwrap();
        taken.check(&[], &[set("b", "y")]).unwrap();
        let error = taken.check(&[], &[set("a", "y")]).unwrap_err().to_string();
        assert!(
            error.contains("test set a") && error.contains("those of x"),
            "{error}"
        );
    }
}
