//! What a run is worth against judgements.

use std::collections::BTreeMap;

use super::Measure;
use super::ranking::Ranking;
use crate::error::{Error, Result};
use crate::qrels::Qrels;
use crate::run::{Hit, Run, ScoreWidth};

/// What an evaluation may do in one way or another. The choices are part of its result and are
/// printed with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EvaluationOptions {
    /// Lowest grade that counts as relevant, at least 1 (trec_eval's `-l`).
    pub relevance_level: i32,
    /// Whether a document whose id is the query's own is taken out of a ranking first, as BEIR and
    /// MTEB do: in ArguAna and Quora the queries are documents of the corpus.
    pub drop_identical_ids: bool,
}

impl Default for EvaluationOptions {
    fn default() -> Self {
        Self {
            relevance_level: 1,
            drop_identical_ids: false,
        }
    }
}

/// What a run is worth against judgements.
#[derive(Debug, Clone)]
pub struct Evaluation {
    /// Judged queries, all of which count.
    pub n_queries: usize,
    /// Judged queries without any result, counted as 0.
    pub n_missing: usize,
    /// Queries of the run that nobody judged, left out.
    pub n_unjudged: usize,
    /// Documents taken out of rankings because their id was the query's; `None` where the rule was
    /// not asked for.
    pub n_identical_ids: Option<usize>,
    /// Number type in which scores were compared.
    pub score_width: ScoreWidth,
    /// Lowest grade that counted as relevant.
    pub relevance_level: i32,
    /// One entry a measure, in the order asked for.
    pub scores: Vec<Scores>,
}

/// One measure of an [`Evaluation`].
#[derive(Debug, Clone)]
pub struct Scores {
    /// What was measured.
    pub measure: Measure,
    /// Mean over all judged queries.
    pub mean: f64,
    /// Value by query id, every judged query in it.
    pub per_query: BTreeMap<String, f64>,
}

impl Evaluation {
    /// The mean of a measure, if it was asked for.
    pub fn mean(&self, measure: Measure) -> Option<f64> {
        self.scores_of(measure).map(|scores| scores.mean)
    }

    /// All values of a measure, if it was asked for.
    pub fn scores_of(&self, measure: Measure) -> Option<&Scores> {
        self.scores.iter().find(|s| s.measure == measure)
    }
}

impl Scores {
    /// The values in the order of query ids, for statistics: the same queries at the same places
    /// for every run measured against the same judgements.
    pub fn values(&self) -> Vec<f64> {
        self.per_query.values().copied().collect()
    }
}

/// Evaluates a run with the default options. Judgements without a query are an error.
pub fn evaluate(qrels: &Qrels, run: &Run, measures: &[Measure]) -> Result<Evaluation> {
    evaluate_with(qrels, run, measures, EvaluationOptions::default())
}

/// Evaluates a run. Judgements without a query, or a relevance level below 1, are an error.
pub fn evaluate_with(
    qrels: &Qrels,
    run: &Run,
    measures: &[Measure],
    options: EvaluationOptions,
) -> Result<Evaluation> {
    let EvaluationOptions {
        relevance_level,
        drop_identical_ids,
    } = options;
    if qrels.is_empty() {
        return Err(Error::Invalid(
            "nothing to evaluate: no query is judged".to_owned(),
        ));
    }
    if relevance_level < 1 {
        return Err(Error::Invalid(format!(
            "wanted a relevance level of at least 1, got {relevance_level}"
        )));
    }
    let mut evaluation = Evaluation {
        n_queries: qrels.len(),
        n_missing: 0,
        n_unjudged: run.iter().filter(|(q, _)| qrels.get(q).is_none()).count(),
        n_identical_ids: drop_identical_ids.then_some(0),
        score_width: run.score_width(),
        relevance_level,
        scores: measures.iter().map(|m| Scores::new(*m)).collect(),
    };
    for (query, judged) in qrels.iter() {
        let hits = run.get(query).unwrap_or_default();
        evaluation.n_missing += usize::from(hits.is_empty());
        let identical = |hit: &Hit| drop_identical_ids && hit.document == query;
        if let Some(count) = &mut evaluation.n_identical_ids {
            *count += hits.iter().filter(|hit| identical(hit)).count();
        }
        let kept = hits.iter().filter(|hit| !identical(hit));
        let ranking = Ranking::new(kept, judged, relevance_level);
        for scores in &mut evaluation.scores {
            let value = ranking.value(scores.measure);
            scores.per_query.insert(query.to_owned(), value);
        }
    }
    for scores in &mut evaluation.scores {
        let sum = scores
            .per_query
            .values()
            .fold(0.0, |sum, value| sum + value);
        scores.mean = sum / scores.per_query.len() as f64;
    }
    Ok(evaluation)
}

impl Scores {
    fn new(measure: Measure) -> Self {
        Self {
            measure,
            mean: 0.0,
            per_query: BTreeMap::new(),
        }
    }
}
