//! All runs of an experiment side by side: means over seeds, intervals over queries, tests against a
//! baseline.
//!
//! A variant's value for a query is the mean over its seeds; intervals and tests are over these values
//! (BCa bootstrap, paired randomisation test, Holm's correction over all comparisons of the
//! experiment). They say what other queries could have given. What other seeds could have given is the
//! standard deviation over seeds, which stands beside them.

use super::file::{Budget, ExperimentFile};
use super::folder::ExperimentFolder;
use super::per_query::{PerQuery, mean};
use super::plan::{PlannedRun, names};
use super::result::{CurvePoint, RunResult, Spent, curve};
use super::{HELDOUT, UNTRAINED};
use crate::Result;
use crate::geometry::Geometry;
use crate::report::metrics::read_metrics;
use dream_ir::Measure;
use dream_ir::statistics::{Interval, PairedComparison, Resampling, bootstrap_mean, holm};
use serde::Serialize;
use std::collections::BTreeMap;

/// Confidence of the intervals.
pub const CONFIDENCE: f64 = 0.95;
/// What is compared.
pub const MEASURE: Measure = Measure::Ndcg(10);

/// Everything that tables, charts and expectations are made of.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// Heading.
    pub title: String,
    /// What was asked.
    pub about: String,
    /// Where runs stopped.
    pub budget: Option<Budget>,
    /// The variant that the others are compared with.
    pub baseline: String,
    /// Names of the sets, held-out rows first.
    pub sets: Vec<String>,
    /// The set whose curves are drawn.
    pub curve_set: String,
    /// nDCG@10 of BM25 on the held-out rows, mean over runs.
    pub bm25: Option<f64>,
    /// Untrained starts first, then the variants in the order of the file.
    pub rows: Vec<Row>,
    /// Comparisons that Holm's correction counts.
    pub comparisons: usize,
    /// Runs that are not over.
    pub missing: Vec<String>,
}

/// A variant, or an untrained start.
#[derive(Debug, Serialize)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// Whether nothing was trained.
    pub is_start: bool,
    /// Seeds whose runs are over.
    pub seeds: Vec<u64>,
    /// What training took, mean over seeds.
    pub spent: Option<MeanSpent>,
    /// Most memory of a run, bytes.
    pub peak_memory_bytes: Option<u64>,
    /// Mean over seeds.
    pub geometry: Geometry,
    /// One entry a set that was evaluated.
    pub sets: Vec<Cell>,
    /// Mean over seeds at each evaluation.
    pub curve: Vec<MeanPoint>,
    /// Values by query and set, mean over seeds.
    #[serde(skip)]
    pub per_query: BTreeMap<String, PerQuery>,
}

/// A row on one set.
#[derive(Debug, Serialize)]
pub struct Cell {
    /// The set.
    pub set: String,
    /// Queries.
    pub queries: usize,
    /// Mean of every measure.
    pub means: BTreeMap<String, f64>,
    /// nDCG@10.
    pub ndcg: f64,
    /// Its interval over queries; none of a single query.
    pub interval: Option<Interval>,
    /// Standard deviation of the seeds' means; none of a single seed.
    pub deviation_of_seeds: Option<f64>,
    /// Against the baseline; none for the baseline itself, untrained starts, and other queries.
    pub comparison: Option<PairedComparison>,
    /// p value of the randomisation test after Holm's correction.
    pub p_holm: Option<f64>,
}

/// Means of [`Spent`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct MeanSpent {
    /// Optimiser steps.
    pub steps: f64,
    /// Queries, repetitions counted.
    pub queries_seen: f64,
    /// Tokens that the language model read.
    pub llm_tokens: f64,
    /// Tokens that the retriever read.
    pub retriever_tokens: Option<f64>,
    /// Seconds of the steps.
    pub training_secs: f64,
    /// Seconds in all.
    pub wall_secs: f64,
}

/// Mean of several runs' evaluations after the same step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct MeanPoint {
    /// What was spent until then.
    pub spent: MeanSpent,
    /// nDCG@10.
    pub ndcg: f64,
}

impl Summary {
    /// Reads what the runs that are over left behind.
    pub fn new(
        file: &ExperimentFile,
        runs: &[PlannedRun],
        results: &[RunResult],
        folder: &ExperimentFolder,
    ) -> Result<Self> {
        let of = |variant: &str| {
            let is_its = |r: &&RunResult| r.variant == variant;
            results.iter().filter(is_its).collect::<Vec<_>>()
        };
        let mut sets: Vec<String> = Vec::new();
        for set in results.iter().flat_map(|r| &r.sets) {
            if !sets.contains(&set.set) {
                sets.push(set.set.clone());
            }
        }
        let curve_set = curve_set(runs);
        let mut rows = Vec::new();
        let mut starts: Vec<Vec<&str>> = Vec::new();
        for variant in names(runs) {
            let results = of(variant);
            let start: Vec<&str> = results.iter().map(|r| r.start.as_str()).collect();
            if results.is_empty() || starts.contains(&start) {
                continue;
            }
            let name = match starts.len() {
                0 => UNTRAINED.to_owned(),
                _ => format!("{UNTRAINED} ({variant})"),
            };
            starts.push(start);
            rows.push(start_row(name, &results, folder)?);
        }
        for variant in names(runs) {
            let results = of(variant);
            if !results.is_empty() {
                rows.push(variant_row(variant, &results, runs, &curve_set, folder)?);
            }
        }
        let done = |run: &PlannedRun| results.iter().any(|r| r.digest == run.digest);
        let missing = runs.iter().filter(|run| !done(run));
        let bm25: Vec<f64> = results.iter().filter_map(|r| r.bm25).collect();
        let mut summary = Self {
            title: file.title.clone(),
            about: file.about.clone(),
            budget: file.budget,
            baseline: baseline(file, runs),
            sets,
            curve_set,
            bm25: (!bm25.is_empty()).then(|| mean(bm25.iter().copied())),
            rows,
            comparisons: 0,
            missing: missing.map(PlannedRun::name).collect(),
        };
        summary.compare()?;
        Ok(summary)
    }

    /// Fills in intervals, comparisons and the correction.
    fn compare(&mut self) -> Result<()> {
        let find = |row: &Row| row.name == self.baseline && !row.is_start;
        let baseline = self.rows.iter().find(|row| find(row));
        let baseline = baseline.map_or_else(BTreeMap::new, |row| row.per_query.clone());
        let resampling = Resampling::default();
        for row in &mut self.rows {
            let is_compared = !row.is_start && row.name != self.baseline;
            for cell in &mut row.sets {
                let own = row.per_query.get(&cell.set).and_then(|set| set.of(MEASURE));
                let Some(own) = own else { continue };
                cell.interval = bootstrap_mean(&own.values(), CONFIDENCE, resampling);
                let other = baseline.get(&cell.set).and_then(|set| set.of(MEASURE));
                let other = other.filter(|o| o.per_query.keys().eq(own.per_query.keys()));
                if let Some(other) = other.filter(|_| is_compared) {
                    let compared = PairedComparison::new(other, own, CONFIDENCE, resampling)?;
                    cell.comparison = Some(compared);
                }
            }
        }
        let mut compared: Vec<&mut Cell> = self
            .rows
            .iter_mut()
            .flat_map(|row| &mut row.sets)
            .filter(|cell| cell.comparison.is_some())
            .collect();
        let p_of = |cell: &&mut Cell| cell.comparison.as_ref().map(|c| c.randomization.p);
        let p_values: Vec<f64> = compared.iter().filter_map(p_of).collect();
        self.comparisons = p_values.len();
        for (cell, p) in compared.iter_mut().zip(holm(&p_values)) {
            cell.p_holm = Some(p);
        }
        Ok(())
    }

    /// The row of a variant, or of the first untrained start.
    pub fn row(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.name == name)
    }
}

impl Row {
    /// The row on a set.
    pub fn cell(&self, set: &str) -> Option<&Cell> {
        self.sets.iter().find(|cell| cell.set == set)
    }
}

/// The variant that the others are compared with.
fn baseline(file: &ExperimentFile, runs: &[PlannedRun]) -> String {
    let first = runs.first().map(|run| run.variant.clone());
    file.baseline.clone().or(first).unwrap_or_default()
}

/// The set that runs are evaluated on while they train.
fn curve_set(runs: &[PlannedRun]) -> String {
    let eval = runs.first().map(|run| &run.config.eval);
    let beir = eval.and_then(|eval| eval.data.as_ref()?.file_name());
    match (beir, eval.map_or(0, |eval| eval.documents)) {
        (Some(name), _) => name.to_string_lossy().into_owned(),
        (None, 0) => HELDOUT.into(),
        (None, documents) => format!("{HELDOUT}-{documents}"),
    }
}

fn start_row(name: String, results: &[&RunResult], folder: &ExperimentFolder) -> Result<Row> {
    let read = |result: &RunResult, set: &str| {
        let file = super::start_set(set, &result.heldout);
        PerQuery::read(&folder.start_per_query(&result.start, &file))
    };
    let mut row = row(name, true, results, &read)?;
    let before: Vec<&Geometry> = results.iter().map(|r| &r.geometry_before).collect();
    row.geometry = mean_geometry(&before);
    Ok(row)
}

fn variant_row(
    variant: &str,
    results: &[&RunResult],
    runs: &[PlannedRun],
    curve_set: &str,
    folder: &ExperimentFolder,
) -> Result<Row> {
    let run_of = |result: &RunResult| runs.iter().find(|run| run.digest == result.digest);
    let read = |result: &RunResult, set: &str| match run_of(result) {
        Some(run) => PerQuery::read(&folder.per_query(run, set)),
        None => Ok(PerQuery::default()),
    };
    let mut row = row(variant.into(), false, results, &read)?;
    let after: Vec<&Geometry> = results.iter().map(|r| &r.geometry_after).collect();
    row.geometry = mean_geometry(&after);
    let spent: Vec<Spent> = results.iter().map(|r| r.spent).collect();
    row.spent = Some(mean_spent(&spent));
    row.peak_memory_bytes = results.iter().filter_map(|r| r.peak_memory_bytes).max();
    let mut curves = Vec::new();
    for result in results {
        let Some(run) = run_of(result) else { continue };
        let records = read_metrics(&run.config.output.join("metrics.jsonl"))?;
        let mut points = curve(&records, curve_set);
        let before = result.sets.iter().find(|set| set.set == curve_set);
        if let Some(ndcg) = before.and_then(|set| set.before.get(&MEASURE.to_string())) {
            let spent = Spent::default();
            points.insert(0, CurvePoint { spent, ndcg: *ndcg });
        }
        let after = before.and_then(|set| set.after.get(&MEASURE.to_string()));
        // A run that a budget stopped was evaluated after it.
        if let (Some(ndcg), true) = (
            after,
            points.iter().all(|p| p.spent.steps < result.spent.steps),
        ) {
            let spent = result.spent;
            points.push(CurvePoint { spent, ndcg: *ndcg });
        }
        curves.push(points);
    }
    row.curve = mean_curve(&curves);
    Ok(row)
}

/// A row's sets, from the values by query of each of its runs.
fn row(
    name: String,
    is_start: bool,
    results: &[&RunResult],
    read: &dyn Fn(&RunResult, &str) -> Result<PerQuery>,
) -> Result<Row> {
    let mut row = Row {
        name,
        is_start,
        seeds: results.iter().map(|r| r.seed).collect(),
        spent: None,
        peak_memory_bytes: None,
        geometry: Geometry::default(),
        sets: Vec::new(),
        curve: Vec::new(),
        per_query: BTreeMap::new(),
    };
    let sets = results.first().map_or(&[][..], |result| &result.sets[..]);
    for set in sets {
        let values = results.iter().map(|result| read(result, &set.set));
        let values = values.collect::<Result<Vec<_>>>()?;
        let of_seeds: Vec<f64> = values
            .iter()
            .filter_map(|v| v.of(MEASURE))
            .map(|s| s.mean)
            .collect();
        let averaged = PerQuery::averaged(&values.iter().collect::<Vec<_>>());
        row.sets.push(Cell {
            set: set.set.clone(),
            queries: averaged.n_queries(),
            means: averaged.means(),
            ndcg: averaged.of(MEASURE).map_or(f64::NAN, |s| s.mean),
            interval: None,
            deviation_of_seeds: deviation(&of_seeds),
            comparison: None,
            p_holm: None,
        });
        row.per_query.insert(set.set.clone(), averaged);
    }
    Ok(row)
}

/// Standard deviation of a sample; none of a single value.
fn deviation(values: &[f64]) -> Option<f64> {
    let centre = mean(values.iter().copied());
    let squares: f64 = values.iter().map(|v| (v - centre).powi(2)).sum();
    (values.len() > 1).then(|| (squares / (values.len() - 1) as f64).sqrt())
}

fn mean_spent(spent: &[Spent]) -> MeanSpent {
    let of = |value: fn(&Spent) -> f64| mean(spent.iter().map(value));
    let retriever: Option<Vec<f64>> = spent
        .iter()
        .map(|s| s.retriever_tokens.map(|tokens| tokens as f64))
        .collect();
    MeanSpent {
        steps: of(|s| s.steps as f64),
        queries_seen: of(|s| s.queries_seen as f64),
        llm_tokens: of(|s| s.llm_tokens as f64),
        retriever_tokens: retriever.map(|tokens| mean(tokens.into_iter())),
        training_secs: of(|s| s.training_secs),
        wall_secs: of(|s| s.wall_secs),
    }
}

/// Means place by place, as far as the shortest curve goes.
fn mean_curve(curves: &[Vec<CurvePoint>]) -> Vec<MeanPoint> {
    let n = curves.iter().map(Vec::len).min().unwrap_or(0);
    let point = |place: usize| {
        let points: Vec<CurvePoint> = curves.iter().map(|curve| curve[place]).collect();
        let spent: Vec<Spent> = points.iter().map(|p| p.spent).collect();
        MeanPoint {
            spent: mean_spent(&spent),
            ndcg: mean(points.iter().map(|p| p.ndcg)),
        }
    };
    (0..n).map(point).collect()
}

fn mean_geometry(all: &[&Geometry]) -> Geometry {
    let of = |value: fn(&Geometry) -> Option<f64>| {
        let values: Option<Vec<f64>> = all.iter().map(|g| value(g)).collect();
        values
            .filter(|values| !values.is_empty())
            .map(|values| mean(values.into_iter()))
    };
    Geometry {
        alignment: of(|g| g.alignment),
        uniformity_documents: of(|g| g.uniformity_documents),
        uniformity_queries: of(|g| g.uniformity_queries),
        uniformity_both: of(|g| g.uniformity_both),
        documents: all.first().map_or(0, |g| g.documents),
        queries: all.first().map_or(0, |g| g.queries),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
pub(super) mod tests {
    use super::super::per_query::tests::values;
    use super::*;

    /// A summary of variants with given values on held-out rows; the first is the baseline.
    pub(crate) fn summary(variants: &[(&str, PerQuery)]) -> Summary {
        let row = |(name, values): &(&str, PerQuery)| Row {
            name: (*name).into(),
            is_start: *name == UNTRAINED,
            seeds: vec![1],
            spent: None,
            peak_memory_bytes: None,
            geometry: Geometry::default(),
            sets: vec![Cell {
                set: HELDOUT.into(),
                queries: values.n_queries(),
                means: values.means(),
                ndcg: values.of(MEASURE).unwrap().mean,
                interval: None,
                deviation_of_seeds: None,
                comparison: None,
                p_holm: None,
            }],
            curve: Vec::new(),
            per_query: [(HELDOUT.to_owned(), values.clone())].into(),
        };
        let mut summary = Summary {
            title: "Test".into(),
            about: String::new(),
            budget: None,
            baseline: variants[0].0.into(),
            sets: vec![HELDOUT.into()],
            curve_set: HELDOUT.into(),
            bm25: None,
            rows: variants.iter().map(row).collect(),
            comparisons: 0,
            missing: Vec::new(),
        };
        summary.compare().unwrap();
        summary
    }

    #[test]
    fn variants_are_compared_with_the_baseline_and_starts_are_not() {
        let summary = summary(&[
            ("a", values(&[0.1, 0.2, 0.3, 0.4])),
            ("b", values(&[0.5, 0.6, 0.7, 0.8])),
            (UNTRAINED, values(&[0.0, 0.0, 0.0, 0.1])),
        ]);
        let cell = |name: &str| &summary.row(name).unwrap().sets[0];
        assert!(cell("a").comparison.is_none() && cell(UNTRAINED).comparison.is_none());
        let compared = cell("b").comparison.as_ref().unwrap();
        assert!((compared.difference - 0.4).abs() < 1e-12);
        // Exact: of 16 assignments of signs to four equal differences, 2 are as extreme.
        assert_eq!(cell("b").p_holm, Some(0.125));
        assert_eq!(summary.comparisons, 1);
        assert!(cell("a").interval.is_some());
    }

    #[test]
    fn the_deviation_of_seeds_is_that_of_a_sample() {
        // By hand: mean .5, squares .01 + .01, over 1.
        assert!((deviation(&[0.4, 0.6]).unwrap() - 0.02f64.sqrt()).abs() < 1e-12);
        assert_eq!(deviation(&[0.4]), None);
    }

    #[test]
    fn curves_are_averaged_as_far_as_the_shortest_goes() {
        let point = |steps, ndcg| CurvePoint {
            spent: Spent {
                steps,
                queries_seen: 8 * steps,
                ..Spent::default()
            },
            ndcg,
        };
        let long = vec![point(0, 0.0), point(2, 0.2), point(4, 0.9)];
        let mean = mean_curve(&[long, vec![point(0, 0.2), point(2, 0.4)]]);
        let figures: Vec<(f64, f64)> = mean
            .iter()
            .map(|p| (p.spent.queries_seen, p.ndcg))
            .collect();
        assert_eq!(figures.len(), 2);
        assert_eq!(figures[1].0, 16.0);
        assert!((figures[1].1 - 0.3).abs() < 1e-12);
    }
}
