//! What a run is evaluated on: held-out rows or a BEIR set, and while training maybe fewer documents.

use super::config::TrainConfig;
use super::data::TrainData;
use crate::Result;
use crate::evaluate::{Progress, rank};
use crate::report::metrics::Evaluation;
use crate::retriever::Retriever;
use dream_ir::beir::Dataset;
use dream_ir::measures::DEFAULT_MEASURES;
use dream_ir::{Document, Qrels, Query, Run};
use std::collections::HashSet;

/// Documents ranked a query: what R@100 looks at.
const DEPTH: usize = 100;

/// Documents, queries and judgements.
#[derive(Debug)]
pub struct EvalSet<'a> {
    /// Name in the metrics.
    pub name: String,
    /// What is searched.
    pub documents: Vec<&'a Document>,
    /// Ids and texts.
    pub queries: Vec<(String, String)>,
    /// The known passages.
    pub qrels: Qrels,
}

/// What a set was worth, query by query.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Name of the set in the metrics.
    pub set: String,
    /// nDCG@10, R@100 and RR@10.
    pub evaluation: dream_ir::Evaluation,
}

impl Measured {
    /// The means alone.
    pub fn means(&self) -> Evaluation {
        let scores = self.evaluation.scores.iter();
        Evaluation {
            name: self.set.clone(),
            measures: scores.map(|s| (s.measure.to_string(), s.mean)).collect(),
        }
    }
}

/// The whole set, and the smaller one searched while training, if the configuration asks for one.
#[derive(Debug)]
pub(super) struct EvalSets<'a> {
    pub whole: EvalSet<'a>,
    quick: Option<EvalSet<'a>>,
}

impl<'a> EvalSets<'a> {
    /// The sets of a configuration; `None` if it evaluates on nothing.
    pub fn open(
        config: &TrainConfig,
        data: &'a TrainData,
        eval_data: Option<&'a Dataset>,
    ) -> Result<Option<Self>> {
        if let Some(dataset) = eval_data {
            let folder = config.eval.data.as_ref().and_then(|path| path.file_name());
            let name = folder.map_or("eval".into(), |name| name.to_string_lossy().into_owned());
            let whole = EvalSet {
                name,
                ..EvalSet::of_dataset("eval", dataset)
            };
            return Ok(Some(Self { whole, quick: None }));
        }
        if data.heldout.is_empty() {
            return Ok(None);
        }
        let limit = config.eval.documents;
        let quick = (limit > 0)
            .then(|| EvalSet::heldout(data, limit))
            .transpose()?;
        let whole = EvalSet::heldout(data, 0)?;
        Ok(Some(Self { whole, quick }))
    }

    /// Measures a retriever on all documents, or on the smaller set where there is one.
    ///
    /// # Errors
    /// See [`rank`].
    pub fn evaluate(
        &self,
        retriever: &Retriever,
        all: bool,
        progress: &mut Progress,
    ) -> Result<Vec<Measured>> {
        let quick = self.quick.as_ref();
        let searched = quick.filter(|_| !all).unwrap_or(&self.whole);
        // Ranking everything lets the smaller set's figure be read off the same embeddings.
        let depth = if quick.is_some() {
            searched.documents.len()
        } else {
            DEPTH
        };
        let EvalSet {
            documents, queries, ..
        } = searched;
        let run = rank(retriever, documents, queries, depth, progress)?;
        let mut measured = vec![searched.measure(&run)?];
        if let (Some(quick), true) = (quick, all) {
            measured.push(quick.measure(&only(&run, quick)?)?);
        }
        Ok(measured)
    }
}

impl<'a> EvalSet<'a> {
    /// A BEIR set.
    pub fn of_dataset(name: &str, dataset: &'a Dataset) -> Self {
        Self {
            name: name.into(),
            documents: dataset.corpus.documents().iter().collect(),
            queries: pairs(&dataset.queries),
            qrels: dataset.qrels.clone(),
        }
    }

    /// The held-out rows with all documents (`limit` 0) or fewer.
    ///
    /// # Errors
    /// A row's judgements cannot be.
    pub fn heldout(data: &'a TrainData, limit: usize) -> Result<Self> {
        let (documents, queries, qrels) = data.heldout_set(limit)?;
        let name = if limit == 0 {
            "heldout".into()
        } else {
            format!("heldout-{limit}")
        };
        Ok(Self {
            name,
            documents,
            queries: pairs(&queries),
            qrels,
        })
    }

    /// Ranks the documents with a retriever and measures the ranking.
    ///
    /// # Errors
    /// See [`rank`].
    pub fn evaluate(&self, retriever: &Retriever, progress: &mut Progress) -> Result<Measured> {
        let run = rank(retriever, &self.documents, &self.queries, DEPTH, progress)?;
        self.measure(&run)
    }

    fn measure(&self, run: &Run) -> Result<Measured> {
        Ok(Measured {
            set: self.name.clone(),
            evaluation: dream_ir::evaluate(&self.qrels, run, &DEFAULT_MEASURES)?,
        })
    }
}

fn pairs(queries: &[Query]) -> Vec<(String, String)> {
    let pair = |query: &Query| (query.id.clone(), query.text.clone());
    queries.iter().map(pair).collect()
}

/// A run without the documents that a smaller set does not have.
fn only(run: &Run, set: &EvalSet<'_>) -> Result<Run> {
    let ids: HashSet<&str> = set.documents.iter().map(|d| d.id.as_str()).collect();
    let mut kept = Run::default();
    for (query, hits) in run.iter() {
        let hits = hits
            .iter()
            .filter(|hit| ids.contains(hit.document.as_str()));
        kept.insert(query, hits.take(DEPTH).cloned().collect())?;
    }
    Ok(kept)
}
