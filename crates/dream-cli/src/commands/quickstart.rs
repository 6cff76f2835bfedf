//! `dream quickstart`: the whole way once, in minutes: a corpus, a real language model, its heads, a
//! trained retriever, and what that was worth on questions nobody trained on.

use super::train::figure;
use crate::cli::App;
use crate::errors::usage;
use crate::interrupt;
use crate::models::{self, DEFAULT_MODEL};
use crate::output::{Output, print_json};
use crate::progress::{Progress, Unit};
use crate::training::{Training, TrainingResult};
use anyhow::{Context as _, Result};
use dream::model::Model;
use dream::train::TrainData;
use dream::train::config::TrainConfig;
use dream_ir::beir::Dataset;
use dream_ir::facts::{self, HeldOut};
use dream_ir::{TrainingRow, TrainingSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Embedded defaults; chosen on the corpus's dev questions, never on its test questions.
const CONFIG: &str = include_str!("quickstart.toml");

const EXAMPLE: &str = "Example:
  dream quickstart --output my-first-run";

/// Train a retriever on a small corpus of plain and invented facts, with nothing but a language
/// model's loss, and show what it learned. Takes less than ten minutes on two cores.
///
/// The corpus is made by this program; the language model (SmolLM2-135M-Instruct, 94 MiB) is fetched
/// once and kept in the cache. DIR gets the corpus, the run and report.html.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// Where everything is written
    #[arg(long, value_name = "DIR", default_value = "dream-quickstart")]
    output: PathBuf,
    /// Language model and base of the retriever
    #[arg(long, value_name = "PATH|NAME", default_value = DEFAULT_MODEL)]
    model: String,
    /// Seed of the corpus and of training
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    seed: u64,
    /// Optimiser steps instead of the default
    #[arg(long, value_name = "N")]
    steps: Option<u64>,
    /// Go on with a run that was stopped
    #[arg(long)]
    resume: bool,
}

/// Corpus, model, training, report.
pub fn run(args: &Args, app: &App) -> Result<()> {
    let data_folder = args.output.join("data");
    let run_folder = args.output.join("run");
    if run_folder.join("metrics.jsonl").exists() && !args.resume {
        return Err(usage(format!(
            "{} holds a run already: --resume goes on with it, --output chooses another folder",
            args.output.display()
        )));
    }
    interrupt::listen().context("cannot listen for signals")?;
    let mut progress = Progress::new("fetching the language model", Unit::Bytes, app);
    let path = models::resolve_or_fetch(&args.model, &app.env, &mut |done, total| {
        progress.update(done, total);
    })?;
    progress.finish();
    let facts = facts::generate(args.seed);
    facts.write(&data_folder)?;
    tracing::info!(
        "{} documents, {} training questions, {} held-out questions in {}",
        facts.documents.len(),
        facts.train.len(),
        facts.test.queries.len(),
        data_folder.display()
    );
    let mut config = TrainConfig::parse(CONFIG, Path::new("quickstart.toml"))?;
    config.seed = args.seed;
    config.dtype = app.dtype.unwrap_or(config.dtype);
    config.output.clone_from(&run_folder);
    config.data.path.clone_from(&data_folder);
    config.eval.data = Some(data_folder.clone());
    config.retriever.model.clone_from(&args.model);
    if let Some(llm) = &mut config.llm {
        llm.model.clone_from(&args.model);
    }
    if let Some(steps) = args.steps {
        config.training.steps = steps;
    }
    config.check()?;
    let set = TrainingSet::open(&data_folder)?;
    let data = TrainData::new(set, &config.data, 0, config.seed)?;
    let test = Dataset::open(&data_folder, "test")?;
    let model = Arc::new(Model::load(&path, config.dtype.resolve())?);
    let examples = rows(&facts.test);
    let training = Training {
        config: &config,
        data: &data,
        eval_data: Some(&test),
        base: Arc::clone(&model),
        llm: Some(model),
        resume: args.resume,
        config_path: None,
        examples: &examples,
        heads: None,
        stop: None,
    };
    let result = training.run(app)?;
    if app.json {
        print_json(&result)
    } else {
        print(&result, &data_folder, &args.model)
    }
}

/// Held-out questions as rows, for the explained examples.
fn rows(held_out: &HeldOut) -> Vec<TrainingRow> {
    let rows = held_out
        .queries
        .iter()
        .zip(&held_out.targets)
        .map(|(query, target)| TrainingRow {
            id: query.id.clone(),
            query: query.text.clone(),
            target: target.clone(),
            positive_ids: held_out
                .qrels
                .get(&query.id)
                .map(|judged| judged.keys().cloned().collect())
                .unwrap_or_default(),
            candidate_ids: Vec::new(),
            candidate_scores: Vec::new(),
            candidates: Vec::new(),
        });
    rows.collect()
}

fn print(result: &TrainingResult, data: &Path, model: &str) -> Result<()> {
    let (data, adapter) = (data.display(), result.adapter.display());
    let mut output = Output::stdout();
    output.line("nDCG@10 on held-out questions (entities and phrasings never trained on):")?;
    output.line(format!("  BM25             {}", figure(result.bm25)))?;
    output.line(format!("  before training  {}", figure(result.before)))?;
    output.line(format!("  after training   {}", figure(result.after)))?;
    output.line(format!("\nThe report: {}", result.report.display()))?;
    output.line(format!(
        "\nSearch with the trained retriever:\n  \
         dream encode --model {model} --adapter {adapter} --data {data} --out {data}/../index\n  \
         dream search --model {model} --adapter {adapter} --index {data}/../index \\\n    \
         --corpus {data}/corpus.jsonl --query \"Since when have people lived in Gwinbury?\"\n\n\
         Train on your own documents and questions: write train.jsonl (query, target, context_id)\n\
         and corpus.jsonl (_id, title, text) into a folder, copy {run}/config.toml,\n\
         set its paths, and run\n  dream train config.toml",
        run = result.adapter.parent().unwrap_or(Path::new(".")).display()
    ))?;
    output.flush()
}
