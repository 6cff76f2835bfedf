//! The folder of one retriever's results: which files it has, which of their entries still hold, and writing them.

use super::ranker::Ranker;
use crate::errors::{describe, usage};
use crate::hub::hex;
use anyhow::Result;
use dream::files::write_json;
use dream_ir::tasks::result::{
    MODEL_META, PartProvenance, Provenance, SubsetScores, TaskResult, mean,
};
use dream_ir::tasks::{Task, registry};
use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// `RESULTS/{org__model}/{revision}`.
#[derive(Debug)]
pub struct ResultsFolder {
    /// The model's name.
    pub model: String,
    /// Digest of everything that the rankings depend on beside the data, so that results of other settings lie elsewhere.
    pub revision: String,
    /// Where it lies.
    pub path: PathBuf,
    identity: Json,
}

impl ResultsFolder {
    /// The folder for what `identity` describes.
    pub fn new(results: &Path, model: &str, identity: Json) -> Result<Self> {
        let parts: Vec<&str> = model.split('/').collect();
        let is_plain = |part: &&str| {
            let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.+ ".contains(c);
            !part.is_empty() && !part.starts_with('.') && part.chars().all(allowed)
        };
        if parts.len() > 2 || !parts.iter().all(is_plain) {
            return Err(usage(format!(
                "wanted a name like org/model, got {model:?}; give one with --model-name"
            )));
        }
        let revision = hex(&Sha256::digest(identity.to_string()))[..16].to_owned();
        let folder = model.replace('/', "__").replace(' ', "_");
        Ok(Self {
            path: results.join(folder).join(&revision),
            model: model.to_owned(),
            revision,
            identity,
        })
    }

    /// Writes `model_meta.json`, with the fields that MTEB's has.
    pub fn write_meta(&self, ranker: &Ranker) -> Result<()> {
        let (mut parameters, mut tokens, mut dim, mut prompts) = (None, None, None, false);
        let mut kind = "sparse";
        if let Ranker::Dense { retriever, .. } = ranker {
            let config = &retriever.config;
            parameters = Some(retriever.model.decoder.n_parameters());
            tokens = Some(config.max_document_tokens.max(config.max_query_tokens));
            dim = Some(retriever.dim());
            prompts = self.identity["task_prompt"].is_string()
                || [&config.query_prompt, &config.document_prompt]
                    .iter()
                    .any(|prompt| !prompt.is_empty());
            kind = "dense";
        }
        let meta = json!({
            "loader": null, "name": self.model, "revision": self.revision, "release_date": null, "languages": null,
            "n_parameters": parameters, "memory_usage_mb": null, "max_tokens": tokens, "embed_dim": dim,
            "license": null, "open_weights": null, "public_training_code": null, "public_training_data": null,
            "framework": [], "reference": null,
            "similarity_fn_name": if kind == "dense" { "cosine" } else { "dot" },
            "use_instructions": prompts, "training_datasets": null, "adapted_from": null, "superseded_by": null,
            "modalities": ["text"], "model_type": [kind],
        });
        Ok(write_json(&self.path.join(MODEL_META), &meta)?)
    }

    /// Where a task's result lies.
    pub fn file(&self, task: &Task) -> PathBuf {
        self.path.join(format!("{}.json", task.name))
    }

    /// The result that is there, if it was computed by the same retriever.
    pub fn existing(&self, task: &Task) -> Option<TaskResult> {
        let path = self.file(task);
        if !path.is_file() {
            return None;
        }
        match TaskResult::read(&path) {
            Ok(result)
                if result
                    .dream
                    .as_ref()
                    .is_some_and(|d| d.retriever == self.identity) =>
            {
                Some(result)
            }
            Ok(_) => {
                tracing::warn!("{} is of another retriever and is replaced", path.display());
                None
            }
            Err(error) => {
                tracing::warn!("{}; it is replaced", describe(&error.into()));
                None
            }
        }
    }

    /// A result without scores.
    pub fn empty(&self, task: &Task) -> TaskResult {
        TaskResult {
            dataset_revision: String::new(),
            task_name: task.name.clone(),
            mteb_version: Some(registry().mteb_version.clone()),
            scores: BTreeMap::new(),
            evaluation_time: None,
            kg_co2_emissions: None,
            dream: Some(Provenance {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                retriever: self.identity.clone(),
                parts: Vec::new(),
            }),
        }
    }

    /// Writes a task's result.
    pub fn write(&self, task: &Task, result: &TaskResult) -> Result<()> {
        Ok(write_json(&self.file(task), result)?)
    }

    /// The result of an aggregate: the mean of its parts' main scores, which are given all.
    pub fn aggregate(&self, task: &Task, parts: &[&TaskResult], scores: &[f64]) -> TaskResult {
        let times: Option<f64> = parts.iter().map(|part| part.evaluation_time).sum();
        let subset = &task.subsets[0];
        let main = mean(scores);
        let mut result = self.empty(task);
        "1".clone_into(&mut result.dataset_revision); // MTEB's for aggregates
        result.evaluation_time = times;
        let entry = SubsetScores {
            hf_subset: subset.name.clone(),
            languages: subset.languages.clone(),
            main_score: Some(main),
            scores: BTreeMap::from([(task.main_measure.mteb_name(), Json::from(main))]),
        };
        result.scores.insert(task.splits[0].clone(), vec![entry]);
        result
    }
}

/// Puts the entry of a subset in a split into a result, in place of one that is there.
pub fn put(result: &mut TaskResult, scores: SubsetScores, part: PartProvenance) {
    let entries = result.scores.entry(part.split.clone()).or_default();
    entries.retain(|entry| entry.hf_subset != scores.hf_subset);
    entries.push(scores);
    entries.sort_by(|a, b| a.hf_subset.cmp(&b.hf_subset));
    if let Some(dream) = &mut result.dream {
        dream
            .parts
            .retain(|other| (&other.split, &other.hf_subset) != (&part.split, &part.hf_subset));
        dream.parts.push(part);
        dream
            .parts
            .sort_by(|a, b| (&a.split, &a.hf_subset).cmp(&(&b.split, &b.hf_subset)));
        result.dataset_revision = data_revision(&dream.parts);
    }
}

/// The commit or digest of the data; a digest of them where parts have several.
fn data_revision(parts: &[PartProvenance]) -> String {
    let mut all: Vec<&str> = parts.iter().map(|part| part.data.as_str()).collect();
    all.sort_unstable();
    all.dedup();
    match all[..] {
        [one] => one.to_owned(),
        _ => format!("local-{}", &hex(&Sha256::digest(all.join(" ")))[..16]),
    }
}
