//! An evaluation as text and as JSON.

use crate::cli::App;
use crate::output::{print_json, print_lines};
use anyhow::Result;
use dream_ir::measures::Scores;
use dream_ir::statistics::{Interval, Resampling, bootstrap_mean};
use dream_ir::{Evaluation, ScoreWidth};
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;

/// Confidence of the intervals of means.
const CONFIDENCE: f64 = 0.95;

/// Prints in the form that was asked for.
pub fn print(evaluation: &Evaluation, per_query: bool, app: &App) -> Result<()> {
    if app.json {
        return print_json(&Printed {
            evaluation,
            per_query,
        });
    }
    print_lines(lines(evaluation, per_query))
}

fn lines(evaluation: &Evaluation, per_query: bool) -> Vec<String> {
    let Evaluation {
        n_queries,
        n_missing,
        n_unjudged,
        n_identical_ids,
        score_width,
        relevance_level,
        ..
    } = evaluation;
    let scores = &evaluation.scores;
    let mut lines: Vec<String> = Vec::new();
    if per_query {
        for (query, values) in by_query(evaluation) {
            let values = values.iter().zip(scores);
            lines.extend(values.map(|(v, s)| format!("{query}\t{}\t{v:.4}", s.measure)));
        }
    }
    for s in scores {
        let interval = interval(s).map_or(String::new(), |Interval { low, high, .. }| {
            format!("   95% [{low:.4}, {high:.4}]")
        });
        lines.push(format!(
            "{:<8} {:.4}{interval}",
            s.measure.to_string(),
            s.mean
        ));
    }
    lines.push(format!("queries  {n_queries}"));
    if *score_width != ScoreWidth::default() {
        lines.push(format!("scores compared as {score_width}"));
    }
    if *relevance_level != 1 {
        lines.push(format!("relevant from grade {relevance_level} on"));
    }
    if *n_missing > 0 {
        lines.push(format!(
            "of them without any document, counted as 0: {n_missing}"
        ));
    }
    if *n_unjudged > 0 {
        lines.push(format!(
            "queries of the run that nobody judged, left out: {n_unjudged}"
        ));
    }
    if let Some(count) = n_identical_ids {
        lines.push(format!(
            "documents with their query's own id, taken out: {count}"
        ));
    }
    lines
}

/// The bootstrap interval of a mean over queries.
fn interval(scores: &Scores) -> Option<Interval> {
    bootstrap_mean(&scores.values(), CONFIDENCE, Resampling::default())
}

/// The values of each query in the order of the measures.
fn by_query(evaluation: &Evaluation) -> BTreeMap<&str, Vec<f64>> {
    let mut queries: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for scores in &evaluation.scores {
        for (query, value) in &scores.per_query {
            queries.entry(query).or_default().push(*value);
        }
    }
    queries
}

/// An evaluation as JSON: one key a measure, then counts of queries and the rules that were applied.
struct Printed<'a> {
    /// What is printed.
    evaluation: &'a Evaluation,
    /// Whether the values of each query are in it.
    per_query: bool,
}

impl Serialize for Printed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let evaluation = self.evaluation;
        let mut map = serializer.serialize_map(None)?;
        for scores in &evaluation.scores {
            map.serialize_entry(&scores.measure, &scores.mean)?;
        }
        map.serialize_entry("queries", &evaluation.n_queries)?;
        map.serialize_entry("missing", &evaluation.n_missing)?;
        map.serialize_entry("unjudged", &evaluation.n_unjudged)?;
        map.serialize_entry("identical_ids", &evaluation.n_identical_ids)?;
        map.serialize_entry("score_width", &evaluation.score_width.to_string())?;
        map.serialize_entry("relevance_level", &evaluation.relevance_level)?;
        let intervals: BTreeMap<String, Option<Interval>> = evaluation
            .scores
            .iter()
            .map(|s| (s.measure.to_string(), interval(s)))
            .collect();
        map.serialize_entry("intervals", &intervals)?;
        if self.per_query {
            let names: Vec<String> = evaluation
                .scores
                .iter()
                .map(|s| s.measure.to_string())
                .collect();
            let queries: BTreeMap<&str, BTreeMap<&String, f64>> = by_query(evaluation)
                .into_iter()
                .map(|(query, values)| (query, names.iter().zip(values).collect()))
                .collect();
            map.serialize_entry("per_query", &queries)?;
        }
        map.end()
    }
}
