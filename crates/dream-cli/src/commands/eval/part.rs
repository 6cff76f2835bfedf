//! One part of a task: finding its data, ranking, measuring.

use super::ranker::Ranker;
use super::tasks::TaskArgs;
use crate::cli::App;
use crate::datasets::{Found, locate};
use crate::errors::describe;
use crate::progress::{Progress, Unit};
use anyhow::Result;
use dream_ir::beir::Dataset;
use dream_ir::dataset::Part;
use dream_ir::tasks::result::{DEPTH, PartProvenance, SubsetScores, TaskResult, measures};
use dream_ir::tasks::{Subset, Task};
use dream_ir::{Corpus, EvaluationOptions, evaluate_with};

/// Which part of which task.
#[derive(Clone, Copy)]
pub struct Job<'a> {
    /// The task.
    pub task: &'a Task,
    /// The split.
    pub split: &'a str,
    /// The subset.
    pub subset: &'a Subset,
}

/// What became of a part.
pub enum Outcome {
    /// The result had it already.
    Kept,
    /// Computed now.
    Computed(Box<(SubsetScores, PartProvenance)>),
    /// No data, for this reason.
    Missing(String),
}

impl Job<'_> {
    /// Computes the part unless `result` has it from the same data.
    pub fn run(
        &self,
        result: &TaskResult,
        ranker: &mut Ranker,
        args: &TaskArgs,
        app: &App,
    ) -> Result<Outcome> {
        let part = Part {
            subset: &self.subset.name,
            split: self.split,
        };
        let before = result.part(self.split, &self.subset.name);
        let before = before.map(|part| part.data.as_str());
        let found = match locate(self.task, part, args.data_root.as_deref(), &app.env) {
            Ok(found) => found,
            // A commit says what the data is, here or not.
            Err(_) if before.is_some() && before == self.task.revision.as_deref() => {
                return Ok(Outcome::Kept);
            }
            Err(missing) => return Ok(Outcome::Missing(missing.to_string())),
        };
        let (data, dataset) = match self.read(&found, part, before) {
            Ok((_, None)) => return Ok(Outcome::Kept),
            Ok((data, Some(dataset))) => (data, dataset),
            Err(error) => return Ok(Outcome::Missing(describe(&error))),
        };
        let (scores, part) = self.measure(&dataset, data, ranker, args, app)?;
        Ok(Outcome::Computed(Box::new((scores, part))))
    }

    /// The data's identity, and the data unless it is the one of `before`.
    fn read(
        &self,
        found: &Found,
        part: Part,
        before: Option<&str>,
    ) -> Result<(String, Option<Dataset>)> {
        let data = found.identity(part)?;
        if before == Some(data.as_str()) {
            return Ok((data, None));
        }
        tracing::info!("{} from {}", self.name(), found.path.display());
        let mut dataset = found.source.open(part)?;
        if !self.task.titles {
            let documents = dataset.corpus.documents().iter().cloned();
            dataset.corpus = Corpus::new(documents.map(|mut document| {
                document.title.clear();
                document
            }))?;
        }
        Ok((data, Some(dataset)))
    }

    fn measure(
        &self,
        dataset: &Dataset,
        data: String,
        ranker: &mut Ranker,
        args: &TaskArgs,
        app: &App,
    ) -> Result<(SubsetScores, PartProvenance)> {
        if let (Ranker::Dense { retriever, .. }, Some(template)) = (&mut *ranker, &args.task_prompt)
        {
            let prompt = self.task.query_prompt.as_deref().unwrap_or_default();
            retriever.config.query_prompt = template.replace("{prompt}", prompt);
        }
        let mut progress = Progress::new(self.name(), Unit::Of("texts"), app);
        let drop_identical_ids = self.task.ignore_identical_ids;
        let depth = DEPTH + usize::from(drop_identical_ids);
        let run = ranker.rank(dataset, depth, &mut |done, total| {
            progress.update(done as u64, total as u64);
        })?;
        progress.finish();
        let options = EvaluationOptions {
            drop_identical_ids,
            ..EvaluationOptions::default()
        };
        let evaluation = evaluate_with(&dataset.qrels, &run, &measures(), options)?;
        let part = PartProvenance {
            split: self.split.to_owned(),
            hf_subset: self.subset.name.clone(),
            data,
            queries: evaluation.n_queries,
            missing: evaluation.n_missing,
            identical_ids: evaluation.n_identical_ids,
            documents: dataset.corpus.len(),
        };
        let scores = SubsetScores::new(self.task, self.subset, &evaluation);
        Ok((scores, part))
    }

    /// For messages: the task, with split and subset where it has several.
    pub fn name(&self) -> String {
        let mut name = self.task.name.clone();
        if self.task.splits.len() > 1 {
            name = format!("{name} {}", self.split);
        }
        if self.task.subsets.len() > 1 {
            name = format!("{name} {}", self.subset.name);
        }
        name
    }
}
