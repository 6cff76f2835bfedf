//! `dream experiment`: methods compared, as a file says.

use crate::cli::App;
use crate::experiment::{self, ExperimentArgs};
use crate::output::{print_json, print_lines};
use anyhow::Result;
use dream::experiment::ExperimentFile;
use std::path::PathBuf;

const EXAMPLE: &str = "Examples:
  dream experiment reproduce/nq-heads.toml --dry-run
  dream experiment reproduce/nq-heads.toml --out heads --only 'query-focused*'

A file:
  base = \"nq-mean.toml\"             # a configuration of dream train, or a table [base]
  baseline = \"dream\"
  [grid]                            # each combination is a variant; seeds repeat variants
  \"objective.name\" = [\"dream\", \"infonce\"]
  seed = [1, 2]
  [[run]]                           # a single variant
  name = \"few-heads\"
  set = { \"llm.detect.count\" = 4 }
  [budget]                          # queries, llm-tokens or seconds: every run stops there
  kind = \"queries\"
  amount = 960
  [[eval]]                          # a test set, for every run and the untrained start
  name = \"scifact\"
  data = \"{data}/scifact\"";

/// Train variants of a configuration with several seeds and compare them.
///
/// Runs are made one after another in DIR/runs and kept: the same command goes on where it was stopped
/// or killed. DIR gets results.jsonl, tables (table.md, table.csv, table.json), charts and report.html
/// after each run: nDCG@10 as mean over seeds with intervals over queries, differences to the baseline
/// with Holm's correction, what each run used, and how its embeddings lie.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// The experiment
    #[arg(value_name = "FILE.toml")]
    file: PathBuf,
    #[command(flatten)]
    experiment: ExperimentArgs,
}

/// Reads, runs, prints the tables.
pub fn run(args: &Args, app: &App) -> Result<()> {
    let file = ExperimentFile::read(&args.file)?;
    let name = experiment::name_of(&args.file)?;
    let command = format!("dream experiment {}", args.file.display());
    match experiment::run(&file, &name, &command, &args.experiment, app)? {
        None => Ok(()),
        Some(finished) if app.json => print_json(&finished.summary),
        Some(finished) => print_lines(experiment::as_text(&finished)),
    }
}
