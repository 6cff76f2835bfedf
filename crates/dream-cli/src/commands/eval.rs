//! `dream eval`: what a run is worth, or a retriever on a BEIR folder.

use crate::cli::App;
use crate::load::{RetrieverArgs, load_retriever};
use crate::output::{check_place, print_json, print_lines};
use crate::progress::{Progress, Unit};
use anyhow::Result;
use dream::evaluate::{DEFAULT_DEPTH, evaluate_retriever};
use dream_ir::beir::Dataset;
use dream_ir::measures::DEFAULT_MEASURES;
use dream_ir::{Evaluation, Qrels, Run, evaluate};
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use std::path::{Path, PathBuf};

const USAGE: &str = "dream eval [OPTIONS] --run <FILE> --qrels <FILE>
       dream eval [OPTIONS] --model <PATH|NAME> --data <DIR>";
const EXAMPLE: &str = "Examples:
  dream eval --run run.trec --qrels qrels/test.tsv
  dream eval --model smollm2-135m-instruct --pooling mean --data scifact --run-out run.trec";

/// Measure a run, or a retriever on a BEIR folder: nDCG@10, R@100, RR@10.
///
/// Every judged query counts, found or not. Ties are ordered as trec_eval orders them.
#[derive(Debug, clap::Args)]
#[command(override_usage = USAGE, after_help = EXAMPLE)]
pub struct Args {
    /// Run to measure: TREC's `qid Q0 docno rank score tag` or `qid<TAB>docid<TAB>score`
    #[arg(long, value_name = "FILE", requires = "qrels", conflicts_with_all = ["model", "data"])]
    run: Option<PathBuf>,
    /// Judgements of the run: BEIR's TSV or TREC's `qid iter docno grade`
    #[arg(long, value_name = "FILE", requires = "run")]
    qrels: Option<PathBuf>,
    /// Model folder, .gguf file, short name or hub id (see: dream models list)
    #[arg(
        long,
        value_name = "PATH|NAME",
        required_unless_present = "run",
        requires = "data"
    )]
    model: Option<String>,
    /// BEIR folder: corpus.jsonl, queries.jsonl and qrels/SPLIT.tsv, each plain, .gz or .zst
    #[arg(long, value_name = "DIR", requires = "model")]
    data: Option<PathBuf>,
    /// Whose judgements in the BEIR folder
    #[arg(long, default_value = "test")]
    split: String,
    /// Documents found for each query
    #[arg(long, value_name = "N", default_value_t = DEFAULT_DEPTH)]
    depth: usize,
    /// Where to write what the retriever found, in TREC's form
    #[arg(long, value_name = "FILE", requires = "model")]
    run_out: Option<PathBuf>,
    #[command(flatten)]
    retriever: RetrieverArgs,
}

/// Measures and prints.
pub fn run(args: &Args, app: &App) -> Result<()> {
    let evaluation = match args {
        Args {
            run: Some(run),
            qrels: Some(qrels),
            ..
        } => of_run(run, qrels)?,
        Args {
            model: Some(model),
            data: Some(data),
            ..
        } => of_retriever(args, model, &Dataset::open(data, &args.split)?, app)?,
        _ => unreachable!("the command line demands one pair or the other. This is a bug."),
    };
    if app.json {
        return print_json(&Printed(&evaluation));
    }
    let Evaluation {
        n_queries,
        n_missing,
        n_unjudged,
        ..
    } = evaluation;
    let scores = evaluation.scores.iter();
    let mut lines: Vec<String> = scores
        .map(|s| format!("{:<8} {:.4}", s.measure.to_string(), s.mean))
        .collect();
    lines.push(format!("queries  {n_queries}"));
    if n_missing > 0 {
        lines.push(format!(
            "of them without any document, counted as 0: {n_missing}"
        ));
    }
    if n_unjudged > 0 {
        lines.push(format!(
            "queries of the run that nobody judged, left out: {n_unjudged}"
        ));
    }
    print_lines(lines)
}

fn of_run(run: &Path, qrels: &Path) -> Result<Evaluation> {
    let (judgements, found) = (Qrels::read(qrels)?, Run::read(run)?);
    if found.is_empty() {
        tracing::warn!("{} holds no query: every measure is 0", run.display());
    }
    Ok(evaluate(&judgements, &found, &DEFAULT_MEASURES)?)
}

fn of_retriever(args: &Args, model: &str, dataset: &Dataset, app: &App) -> Result<Evaluation> {
    if let Some(path) = &args.run_out {
        check_place(path)?;
        let documents = dataset.corpus.documents().iter().map(|d| d.id.as_str());
        Run::check_ids(
            dataset
                .queries
                .iter()
                .map(|q| q.id.as_str())
                .chain(documents),
        )?;
    }
    let retriever = load_retriever(model, &args.retriever, app)?;
    let mut progress = Progress::new("encoding", Unit::Of("texts"), app);
    let mut report = |done, total| {
        progress.update(done as u64, total as u64);
        true
    };
    let (run, evaluation) = evaluate_retriever(&retriever, dataset, args.depth, &mut report)?;
    progress.finish();
    if let Some(path) = &args.run_out {
        run.write(path, "dream")?;
    }
    Ok(evaluation)
}

/// An evaluation as JSON: one key a measure, then counts of queries.
pub struct Printed<'a>(pub &'a Evaluation);

impl Serialize for Printed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for scores in &self.0.scores {
            map.serialize_entry(&scores.measure, &scores.mean)?;
        }
        map.serialize_entry("queries", &self.0.n_queries)?;
        map.serialize_entry("missing", &self.0.n_missing)?;
        map.serialize_entry("unjudged", &self.0.n_unjudged)?;
        map.end()
    }
}
