//! Result files as MTEB writes and reads them: `RESULTS/{org__model}/{revision}/{Task}.json`, and `model_meta.json`
//! beside them.
//!
//! Of a task's scores there are nDCG, MAP, recall, precision, MRR and hit rate at MTEB's cut-offs. Departures: every
//! judged query counts, found or not, where MTEB takes those with results; there is no nAUC. Under the key `dream`,
//! which MTEB passes over, stands what the scores were computed with.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::{Subset, Task};
use crate::error::{Error, Result};
use crate::measures::{Evaluation, Measure};

/// MTEB's cut-offs.
pub const CUTOFFS: [usize; 7] = [1, 3, 5, 10, 20, 100, 1000];
/// Documents that a task's measures look at.
pub const DEPTH: usize = 1000;
/// The file with the facts about the model, beside the results.
pub const MODEL_META: &str = "model_meta.json";
/// Largest result file that is read.
const MAX_BYTES: u64 = 64 << 20;

/// The contents of a result file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskResult {
    /// Which data it was.
    pub dataset_revision: String,
    /// MTEB's name of the task.
    pub task_name: String,
    /// The release of mteb whose definitions were followed.
    pub mteb_version: Option<String>,
    /// Scores by split, one entry a subset.
    pub scores: BTreeMap<String, Vec<SubsetScores>>,
    /// Seconds.
    pub evaluation_time: Option<f64>,
    /// Not measured here.
    pub kg_co2_emissions: Option<f64>,
    /// What they were computed with; absent in files of other programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dream: Option<Provenance>,
}

/// The scores of one subset in one split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SubsetScores {
    /// The subset, `default` where there is only one.
    pub hf_subset: String,
    /// Languages with their scripts.
    pub languages: Vec<String>,
    /// The task's main measure; none where an aggregate is not whole.
    pub main_score: Option<f64>,
    /// Everything by MTEB's names (`ndcg_at_10`), and what other programs put there.
    #[serde(flatten)]
    pub scores: BTreeMap<String, Json>,
}

/// What scores were computed with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// The program's version.
    pub version: String,
    /// Everything about the retriever that its figures depend on.
    pub retriever: Json,
    /// One entry for each subset in each split.
    pub parts: Vec<PartProvenance>,
}

/// What the scores of one subset in one split were computed from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PartProvenance {
    /// The split.
    pub split: String,
    /// The subset.
    pub hf_subset: String,
    /// Commit on the hub, or digest of the files.
    pub data: String,
    /// Judged queries.
    pub queries: usize,
    /// Of them without any document found, counted as 0.
    pub missing: usize,
    /// Documents taken out of rankings because their id was the query's; none where the task has no such rule.
    pub identical_ids: Option<usize>,
    /// Documents of the corpus.
    pub documents: usize,
}

/// The measures of a result file.
pub fn measures() -> Vec<Measure> {
    let kinds: [fn(usize) -> Measure; 6] = [
        Measure::Ndcg,
        Measure::Map,
        Measure::Recall,
        Measure::Precision,
        Measure::Rr,
        Measure::Success,
    ];
    kinds.iter().flat_map(|kind| CUTOFFS.map(kind)).collect()
}

impl SubsetScores {
    /// The entry of an evaluation with [`measures`].
    pub fn new(task: &Task, subset: &Subset, evaluation: &Evaluation) -> Self {
        let scores = evaluation.scores.iter();
        let named = scores.map(|s| (s.measure.mteb_name(), Json::from(s.mean)));
        Self {
            hf_subset: subset.name.clone(),
            languages: subset.languages.clone(),
            main_score: evaluation.mean(task.main_measure),
            scores: named.collect(),
        }
    }
}

impl TaskResult {
    /// Reads a file of ours or of MTEB, whose `NaN` is taken as null.
    pub fn read(path: &Path) -> Result<Self> {
        serde_json::from_slice(&without_nan(&read_capped(path)?)).map_err(|error| {
            let path = path.display();
            Error::Invalid(format!("{path}: not a result of MTEB's form: {error}"))
        })
    }

    /// The entry of a subset in a split.
    pub fn entry(&self, split: &str, subset: &str) -> Option<&SubsetScores> {
        let entries = self.scores.get(split)?;
        entries.iter().find(|entry| entry.hf_subset == subset)
    }

    /// What an entry was computed from, where this program wrote it.
    pub fn part(&self, split: &str, subset: &str) -> Option<&PartProvenance> {
        let mut parts = self.dream.as_ref()?.parts.iter();
        parts.find(|part| part.split == split && part.hf_subset == subset)
    }

    /// The task's score: the mean of the main scores of these subsets in all its splits. An entry that is missing is an
    /// error that says which.
    pub fn main_score(&self, task: &Task, subsets: &[&Subset]) -> Result<f64, String> {
        let mut scores = Vec::new();
        for split in &task.splits {
            for subset in subsets {
                let entry = self.entry(split, &subset.name);
                let score = entry.and_then(|entry| entry.main_score);
                scores.push(score.ok_or_else(|| {
                    format!("no main score of subset {} in split {split}", subset.name)
                })?);
            }
        }
        Ok(mean(&scores))
    }
}

/// The mean; NaN of nothing.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |sum, value| sum + value) / values.len() as f64
}

/// A JSON file's bytes, refused where there are more than a result can have.
pub(super) fn read_capped(path: &Path) -> Result<Vec<u8>> {
    let io = |source| Error::Io {
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(io)?;
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(io)?;
    if bytes.len() as u64 > MAX_BYTES {
        let path = path.display();
        return Err(Error::Invalid(format!(
            "{path}: larger than a result can be"
        )));
    }
    Ok(bytes)
}

/// Python's JSON writer prints NaN, which JSON has not: outside strings it becomes null.
fn without_nan(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let (mut at, mut in_string) = (0, false);
    while at < bytes.len() {
        let byte = bytes[at];
        match byte {
            b'\\' if in_string => {
                out.push(byte);
                at += 1;
                out.extend(bytes.get(at));
            }
            b'"' => {
                in_string = !in_string;
                out.push(byte);
            }
            b'N' if !in_string && bytes[at..].starts_with(b"NaN") => {
                out.extend_from_slice(b"null");
                at += 2;
            }
            _ => out.push(byte),
        }
        at += 1;
    }
    out
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::tasks::registry;

    const THEIRS: &str = r#"{"dataset_revision":"d56462d0","task_name":"SciFact","mteb_version":"1.18.0","evaluation_time":12.5,
      "kg_co2_emissions":null,"scores":{"test":[{"hf_subset":"default","languages":["eng-Latn"],"main_score":0.5,
      "ndcg_at_10":0.5,"nauc_map_at_1_max":NaN,"note":"NaN \" stays"}]}}"#;

    fn written(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("SciFact.json");
        std::fs::write(&path, text).unwrap();
        (dir, path)
    }

    #[test]
    fn a_file_of_mteb_is_read_with_its_nan_as_null() {
        let (_dir, path) = written(THEIRS);
        let result = TaskResult::read(&path).unwrap();
        let entry = result.entry("test", "default").unwrap();
        assert_eq!(entry.scores["nauc_map_at_1_max"], Json::Null);
        assert_eq!(entry.scores["note"], "NaN \" stays");
        let task = registry().task("SciFact").unwrap();
        let subsets: Vec<&Subset> = task.subsets.iter().collect();
        assert_eq!(result.main_score(task, &subsets), Ok(0.5));
        assert_eq!(result.part("test", "default"), None);
    }

    #[test]
    fn a_score_with_a_split_missing_is_no_score() {
        let (_dir, path) = written(&THEIRS.replace("\"test\"", "\"dev\""));
        let task = registry().task("SciFact").unwrap();
        let subsets: Vec<&Subset> = task.subsets.iter().collect();
        let score = TaskResult::read(&path).unwrap().main_score(task, &subsets);
        assert_eq!(
            score,
            Err("no main score of subset default in split test".to_owned())
        );
    }

    #[test]
    fn other_files_are_refused_by_name() {
        for text in ["", "{}", "[1,2]", "{\"scores\":3}", "NaN"] {
            let (_dir, path) = written(text);
            let error = TaskResult::read(&path).unwrap_err().to_string();
            assert!(error.contains("SciFact.json: not a result"), "{error}");
        }
    }

    #[test]
    fn there_are_six_measures_at_seven_cut_offs() {
        let measures = measures();
        assert_eq!(measures.len(), 42);
        assert_eq!(measures[3].mteb_name(), "ndcg_at_10");
        assert!(measures.iter().all(|measure| measure.cut() <= DEPTH));
    }
}
