//! `dream train`: train a retriever as a configuration says.

use crate::cli::App;
use crate::interrupt;
use crate::load::{load_llm, share_model};
use crate::output::{Output, print_json};
use crate::training::{Training, TrainingResult};
use anyhow::{Context as _, Result};
use dream::train::TrainData;
use dream::train::config::TrainConfig;
use dream::train::lock::RunLock;
use dream_ir::beir::Dataset;
use std::path::PathBuf;

const EXAMPLE: &str = "Examples:
  dream train configs/nq-mean.toml
  dream train configs/nq-mean.toml --resume";

/// Train a retriever with the next-token loss of a frozen language model.
///
/// The run folder (`output` in the configuration) gets metrics.jsonl, TensorBoard event files,
/// checkpoints, and at the end the adapter, loss.svg and report.html. Ctrl-C or SIGTERM stops after the
/// current step with a checkpoint that --resume goes on from.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// The configuration
    #[arg(value_name = "CONFIG.toml")]
    config: PathBuf,
    /// Go on from the newest checkpoint of the run folder
    #[arg(long)]
    resume: bool,
    /// Read the training data here instead of where the configuration says
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Write to this run folder instead of the configuration's
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

/// Longest configuration read.
const MAX_CONFIG_BYTES: u64 = 4 << 20;

/// Reads, trains, prints the result.
pub fn run(args: &Args, app: &App) -> Result<()> {
    let bytes = dream::files::read_capped(&args.config, MAX_CONFIG_BYTES)?;
    let text = String::from_utf8(bytes)
        .map_err(|_| crate::errors::usage(format!("{} is not UTF-8", args.config.display())))?;
    let mut config = TrainConfig::parse(&text, &args.config)?;
    if let Some(output) = &args.output {
        config.output.clone_from(output);
    }
    if let Some(data) = &args.data {
        config.data.path.clone_from(data);
    }
    config.dtype = app.dtype.unwrap_or(config.dtype);
    RunLock::check(&config.output, args.resume)?;
    let dtype = config.dtype.resolve();
    let data = TrainData::open(&config)?;
    let eval_data = match &config.eval.data {
        Some(folder) => Some(Dataset::open(folder, &config.eval.split)?),
        None => None,
    };
    let base = load_llm(&config.retriever.model, dtype, app)?;
    let llm = match &config.llm {
        Some(llm) => Some(share_model(&llm.model, &base, dtype, app)?),
        None => None,
    };
    interrupt::listen().context("cannot listen for signals")?;
    let training = Training {
        config: &config,
        data: &data,
        eval_data: eval_data.as_ref(),
        base,
        llm,
        resume: args.resume,
        config_path: Some(&args.config),
        examples: &[],
        heads: None,
        stop: None,
    };
    let result = training.run(app)?;
    print(&result, app)
}

/// A figure, or a dash where nothing was measured.
pub fn figure(value: Option<f64>) -> String {
    value.map_or("-".into(), |value| format!("{value:.3}"))
}

fn print(result: &TrainingResult, app: &App) -> Result<()> {
    if app.json {
        return print_json(result);
    }
    let mut output = Output::stdout();
    output.line(format!(
        "trained {} steps in {:.0} s",
        result.steps, result.wall_secs
    ))?;
    if let Some(after) = result.after {
        output.line(format!(
            "held-out nDCG@10: {} before, {after:.3} after; BM25 {}",
            figure(result.before),
            figure(result.bm25)
        ))?;
    }
    output.line(format!("adapter: {}", result.adapter.display()))?;
    output.line(format!("report:  {}", result.report.display()))?;
    output.flush()
}
