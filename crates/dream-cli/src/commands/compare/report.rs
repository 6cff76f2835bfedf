//! What a comparison found, as it is printed as JSON.

use crate::cli::App;
use crate::measuring::MeasureArgs;
use crate::progress::{Progress, Unit};
use anyhow::{Context as _, Result};
use dream_ir::measures::Scores;
use dream_ir::statistics::{Change, Interval, PairedComparison, Resampling, bootstrap_mean, holm};
use dream_ir::{Evaluation, Measure, Qrels};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What to compare and how to draw.
pub struct Settings {
    /// Runs, the baseline first.
    pub paths: Vec<PathBuf>,
    /// Of every interval and test.
    pub resampling: Resampling,
    /// Of the intervals, between 0 and 1.
    pub confidence: f64,
    /// Queries to name for each run.
    pub changed: usize,
}

/// All runs under all measures.
#[derive(Serialize)]
pub struct Report {
    /// Judged queries, all of which count.
    pub queries: usize,
    /// How scores were compared.
    pub scores: String,
    /// Lowest grade that was relevant.
    pub relevance_level: i32,
    /// Whether documents with the query's id were taken out.
    pub drop_identical_ids: bool,
    /// How the draws were made.
    #[serde(flatten)]
    pub resampling: Resampling,
    /// Confidence of the intervals.
    pub confidence: f64,
    /// Number of comparisons that Holm's correction counts.
    pub comparisons: usize,
    /// One entry a run, the baseline first.
    pub runs: Vec<RunReport>,
}

/// One run.
#[derive(Serialize)]
pub struct RunReport {
    /// Its file, as short as it is clear.
    pub run: String,
    /// Judged queries without any result.
    pub missing: usize,
    /// Queries that nobody judged.
    pub unjudged: usize,
    /// Documents taken out for having the query's id, where the rule is on.
    pub identical_ids: Option<usize>,
    /// One entry a measure, in the order asked for.
    pub measures: Vec<MeasureReport>,
    /// The queries that changed most under the first measure.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<ChangeReport>,
}

/// One run under one measure.
#[derive(Serialize)]
pub struct MeasureReport {
    /// What was measured.
    pub measure: Measure,
    /// Mean over all judged queries.
    pub mean: f64,
    /// Interval of the mean; none of a single query.
    pub interval: Option<Interval>,
    /// Against the baseline; none for the baseline itself.
    pub comparison: Option<PairedComparison>,
    /// p value of the randomisation test after Holm's correction.
    pub randomization_p_holm: Option<f64>,
    /// p value of the t test after Holm's correction.
    pub t_p_holm: Option<f64>,
}

/// One query that changed.
#[derive(Serialize)]
pub struct ChangeReport {
    /// Its values.
    #[serde(flatten)]
    pub change: Change,
    /// Its text, where known.
    pub text: Option<String>,
}

impl Report {
    /// Reads the runs one after the other, measures and compares them.
    pub fn new(
        qrels: &Qrels,
        settings: &Settings,
        measuring: &MeasureArgs,
        texts: &BTreeMap<String, String>,
        app: &App,
    ) -> Result<Self> {
        let evaluations: Result<Vec<Evaluation>> = settings
            .paths
            .iter()
            .map(|path| measuring.evaluate(qrels, &measuring.read_run(path)?))
            .collect();
        let evaluations = evaluations?;
        let baseline = evaluations
            .first()
            .context("a report needs a run. This is a bug.")?;
        let mut progress = Progress::new("comparing", Unit::Of("means"), app);
        let total = (evaluations.len() * measuring.measures.len()) as u64;
        let mut done = 0;
        let names = names(&settings.paths);
        let mut runs = Vec::new();
        for (place, (evaluation, run)) in evaluations.iter().zip(names).enumerate() {
            let mut measures = Vec::new();
            for (scores, baseline) in evaluation.scores.iter().zip(&baseline.scores) {
                let baseline = (place > 0).then_some(baseline);
                measures.push(MeasureReport::new(scores, baseline, settings)?);
                done += 1;
                progress.update(done, total);
            }
            runs.push(RunReport {
                run,
                missing: evaluation.n_missing,
                unjudged: evaluation.n_unjudged,
                identical_ids: evaluation.n_identical_ids,
                changed: changed(measures.first(), settings.changed, texts),
                measures,
            });
        }
        progress.finish();
        let mut report = Self {
            queries: baseline.n_queries,
            scores: baseline.score_width.to_string(),
            relevance_level: baseline.relevance_level,
            drop_identical_ids: measuring.drop_identical_ids,
            resampling: settings.resampling,
            confidence: settings.confidence,
            comparisons: 0,
            runs,
        };
        report.correct();
        Ok(report)
    }

    /// Fills in Holm's correction over all comparisons, for each test.
    fn correct(&mut self) {
        let mut measures: Vec<&mut MeasureReport> = self
            .runs
            .iter_mut()
            .flat_map(|run| &mut run.measures)
            .filter(|measure| measure.comparison.is_some())
            .collect();
        let p_values = |of: fn(&PairedComparison) -> Option<f64>| -> Vec<f64> {
            let compared = measures.iter().filter_map(|m| m.comparison.as_ref());
            compared.filter_map(of).collect()
        };
        let randomization = holm(&p_values(|c| Some(c.randomization.p)));
        // A single query has no t test: then there is none at all, and nothing to correct.
        let t = holm(&p_values(|c| c.t_test.map(|t| t.p)));
        self.comparisons = randomization.len();
        for (measure, p) in measures.iter_mut().zip(randomization) {
            measure.randomization_p_holm = Some(p);
        }
        for (measure, p) in measures.iter_mut().zip(t) {
            measure.t_p_holm = Some(p);
        }
    }
}

impl MeasureReport {
    fn new(scores: &Scores, baseline: Option<&Scores>, settings: &Settings) -> Result<Self> {
        let (confidence, resampling) = (settings.confidence, settings.resampling);
        let compare = |baseline| PairedComparison::new(baseline, scores, confidence, resampling);
        Ok(Self {
            measure: scores.measure,
            mean: scores.mean,
            interval: bootstrap_mean(&scores.values(), confidence, resampling),
            comparison: baseline.map(compare).transpose()?,
            randomization_p_holm: None,
            t_p_holm: None,
        })
    }
}

/// The first queries of a comparison's changes, with their texts.
fn changed(
    measure: Option<&MeasureReport>,
    count: usize,
    texts: &BTreeMap<String, String>,
) -> Vec<ChangeReport> {
    let comparison = measure.and_then(|measure| measure.comparison.as_ref());
    let changes = comparison.map_or(&[][..], |comparison| &comparison.changes);
    let named = changes.iter().take(count).map(|change| ChangeReport {
        change: change.clone(),
        text: texts.get(&change.query).cloned(),
    });
    named.collect()
}

/// File names, or whole paths where two files have the same name.
fn names(paths: &[PathBuf]) -> Vec<String> {
    let short = |path: &PathBuf| path.file_name().map_or(path.into(), PathBuf::from);
    let is_clear = |path: &PathBuf| paths.iter().filter(|p| short(p) == short(path)).count() == 1;
    let all_clear = paths.iter().all(is_clear);
    let name = |path: &PathBuf| if all_clear { short(path) } else { path.clone() };
    paths
        .iter()
        .map(|path| name(path).display().to_string())
        .collect()
}
