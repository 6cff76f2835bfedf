//! `dream eval`: what a run is worth, a retriever on a set, or a retriever on the tasks of a benchmark.

mod part;
mod printed;
mod ranker;
mod results;
mod task_table;
mod tasks;

use crate::cli::App;
use crate::errors::usage;
use crate::measuring::MeasureArgs;
use crate::output::check_place;
use crate::progress::{Progress, Unit};
use anyhow::Result;
use dream::evaluate::DEFAULT_DEPTH;
use dream_ir::beir::Dataset;
use dream_ir::dataset::{DEFAULT_SUBSET, Part, Source};
use dream_ir::{Evaluation, Qrels, Run};
use std::path::{Path, PathBuf};

const USAGE: &str = "dream eval [OPTIONS] --run <FILE> --qrels <FILE>
       dream eval [OPTIONS] --data <DIR|ZIP> --model <PATH|NAME>
       dream eval [OPTIONS] --data <DIR|ZIP> --retriever bm25
       dream eval [OPTIONS] --tasks <NAMES> --model <PATH|NAME> [--data-root <DIR>] [--results <DIR>]";
const EXAMPLE: &str = "Examples:
  dream eval --run run.trec --qrels qrels/test.tsv --measures nDCG@10,MAP,R@100
  dream eval --model smollm2-135m-instruct --pooling mean --data scifact --run-out run.trec
  dream eval --retriever bm25 --data scifact.zip --json
  dream eval --tasks beir-small,rteb-open --model Qwen/Qwen3-0.6B --data-root ~/beir --results results";

/// Measure a run, a retriever on a set, or a retriever on the tasks of a benchmark.
///
/// Every judged query counts, found or not. Ties are ordered as trec_eval orders them. A set is a BEIR folder, a BEIR
/// zip archive, or a folder in the hub's layout (Parquet or JSON Lines).
#[derive(Debug, clap::Args)]
#[command(override_usage = USAGE, after_help = EXAMPLE)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["run", "data", "tasks"]))]
pub struct Args {
    /// Run to measure: TREC's `qid Q0 docno rank score tag` or `qid<TAB>docid<TAB>score`
    #[arg(long, value_name = "FILE", requires = "qrels", conflicts_with_all = ["model", "retriever"])]
    run: Option<PathBuf>,
    /// Judgements of the run: BEIR's TSV or TREC's `qid iter docno grade`
    #[arg(long, value_name = "FILE", requires = "run")]
    qrels: Option<PathBuf>,
    /// Set to search: corpus.jsonl, queries.jsonl and qrels/SPLIT.tsv (plain, .gz or .zst), a zip of them, or Parquet
    #[arg(long, value_name = "DIR|ZIP")]
    data: Option<PathBuf>,
    /// Whose judgements in the set
    #[arg(long, default_value = "test")]
    split: String,
    /// Which part of a set with several, for example languages
    #[arg(long, value_name = "NAME", default_value = DEFAULT_SUBSET)]
    subset: String,
    /// Print the value of each query too
    #[arg(long, conflicts_with = "tasks")]
    per_query: bool,
    /// Documents found for each query
    #[arg(long, value_name = "N", default_value_t = DEFAULT_DEPTH, conflicts_with = "tasks")]
    depth: usize,
    /// Where to write what the retriever found, in TREC's form
    #[arg(long, value_name = "FILE", conflicts_with_all = ["run", "tasks"])]
    run_out: Option<PathBuf>,
    #[command(flatten)]
    measuring: MeasureArgs,
    #[command(flatten)]
    tasks: tasks::TaskArgs,
    #[command(flatten)]
    ranker: ranker::RankerArgs,
}

/// Measures and prints.
pub fn run(args: &Args, app: &App) -> Result<()> {
    if let Some(names) = &args.tasks.tasks {
        if !args.measuring.is_default() {
            return Err(usage(
                "tasks have measures and rules of their own: options of measures do not go with --tasks",
            ));
        }
        return tasks::run(names, &args.tasks, &args.ranker, app);
    }
    let evaluation = match (&args.run, &args.qrels, &args.data) {
        (Some(run), Some(qrels), _) => of_run(run, qrels, args)?,
        (_, _, Some(data)) => of_retriever(args, data, app)?,
        _ => unreachable!("the command line demands one form or another. This is a bug."),
    };
    printed::print(&evaluation, args.per_query, app)
}

fn of_run(run: &Path, qrels: &Path, args: &Args) -> Result<Evaluation> {
    let judgements = Qrels::read(qrels)?;
    let found = args.measuring.read_run(run)?;
    args.measuring.evaluate(&judgements, &found)
}

fn of_retriever(args: &Args, data: &Path, app: &App) -> Result<Evaluation> {
    args.ranker.check()?;
    let part = Part {
        subset: &args.subset,
        split: &args.split,
    };
    let dataset = Source::find(data)?.open(part)?;
    if let Some(path) = &args.run_out {
        check_place(path)?;
        check_ids(&dataset)?;
    }
    let ranker = args.ranker.load(app)?;
    let mut progress = Progress::new("encoding", Unit::Of("texts"), app);
    // One more, so that as many are left when the query's own document is taken out.
    let depth = args.depth + usize::from(args.measuring.drop_identical_ids);
    let run = ranker.rank(&dataset, depth, &mut |done, total| {
        progress.update(done as u64, total as u64);
    })?;
    progress.finish();
    let evaluation = args.measuring.evaluate(&dataset.qrels, &run)?;
    if let Some(path) = &args.run_out {
        run.write(path, ranker.tag())?;
    }
    Ok(evaluation)
}

/// Refuses ids that a run in TREC's form cannot hold, before the work.
fn check_ids(dataset: &Dataset) -> Result<()> {
    let documents = dataset.corpus.documents().iter().map(|d| d.id.as_str());
    let queries = dataset.queries.iter().map(|q| q.id.as_str());
    Ok(Run::check_ids(queries.chain(documents))?)
}
