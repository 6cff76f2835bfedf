//! Options of every command that measures runs.

use anyhow::Result;
use dream_ir::measures::DEFAULT_MEASURES;
use dream_ir::{
    Evaluation, EvaluationOptions, Measure, Qrels, Run, RunForm, RunOptions, ScoreWidth,
    evaluate_with,
};
use std::path::Path;

/// What is measured, and by which rules.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Measures")]
pub struct MeasureArgs {
    /// Measures, between commas: nDCG@10, MAP@100, R@100, P@10, RR@10, Success@5, R-cap@100,
    /// Judged@10; other tools' spellings are read too
    #[arg(long, value_name = "M,M", value_delimiter = ',', default_values_t = DEFAULT_MEASURES)]
    pub measures: Vec<Measure>,
    /// How scores are compared: f32 as pytrec_eval and trec_eval to 9.0.7, f64 as trec_eval 10
    #[arg(long, value_name = "f32|f64", default_value_t)]
    pub scores: ScoreWidth,
    /// Lowest grade that is relevant
    #[arg(long, value_name = "GRADE", default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..))]
    pub relevance_level: i32,
    /// Take documents whose id is the query's own out of rankings first, as BEIR and MTEB do
    #[arg(long)]
    pub drop_identical_ids: bool,
    /// Form of the runs [default: what they look like]
    #[arg(long, value_name = "trec|tsv|msmarco|json")]
    pub run_form: Option<RunForm>,
}

impl MeasureArgs {
    /// Reads a run as asked for; one without queries is worth a warning.
    pub fn read_run(&self, path: &Path) -> Result<Run> {
        let options = RunOptions {
            form: self.run_form,
            score_width: self.scores,
        };
        let run = Run::read_with(path, options)?;
        if run.is_empty() {
            tracing::warn!("{} holds no query: every measure is 0", path.display());
        }
        Ok(run)
    }

    /// Measures a run as asked for.
    pub fn evaluate(&self, qrels: &Qrels, run: &Run) -> Result<Evaluation> {
        let options = EvaluationOptions {
            relevance_level: self.relevance_level,
            drop_identical_ids: self.drop_identical_ids,
        };
        Ok(evaluate_with(qrels, run, &self.measures, options)?)
    }
}
