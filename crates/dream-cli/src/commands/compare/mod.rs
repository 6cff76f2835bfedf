//! `dream compare`: runs against judgements and against each other.

mod report;
mod table;

use crate::cli::App;
use crate::errors::usage;
use crate::measuring::MeasureArgs;
use crate::output::{print_json, print_lines};
use anyhow::Result;
use dream_ir::Qrels;
use dream_ir::beir::read_queries;
use dream_ir::statistics::Resampling;
use report::{Report, Settings};
use std::collections::BTreeMap;
use std::path::PathBuf;
use table::Format;

const EXAMPLE: &str = "Examples:
  dream compare bm25.trec before.trec after.trec --qrels qrels/test.tsv
  dream compare after.trec --baseline bm25.trec --qrels qrels/test.tsv --measures nDCG@10 \\
      --changed 5 --queries queries.jsonl
  dream compare a.trec b.trec --qrels qrels/test.tsv --format latex --resamples 100000";

/// Compare runs: means with intervals, differences with tests, queries won and lost.
///
/// Intervals are BCa bootstrap intervals over queries. p values are two-sided, of the paired
/// randomisation test and the paired t test against the baseline; Holm's correction counts every
/// comparison of the table. Every judged query counts, one that a run misses as 0.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// Runs: TREC's form, `qid<TAB>docid<TAB>score`, MS MARCO's ranks or JSON, plain, .gz or .zst
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Judgements: BEIR's TSV, TREC's `qid iter docno grade`, or JSON
    #[arg(long, value_name = "FILE")]
    qrels: PathBuf,
    /// Run that the others are compared with [default: the first]
    #[arg(long, value_name = "RUN")]
    baseline: Option<PathBuf>,
    #[command(flatten)]
    measuring: MeasureArgs,
    /// How the table is printed
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    format: Format,
    /// Draws for each interval and each test
    #[arg(long, value_name = "N", default_value_t = Resampling::default().resamples())]
    resamples: usize,
    /// Where the draws start
    #[arg(long, value_name = "N", default_value_t = Resampling::default().seed())]
    seed: u64,
    /// Confidence of the intervals, between 0 and 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.95)]
    confidence: f64,
    /// Also show the N queries that changed most under the first measure, for each run
    #[arg(long, value_name = "N", default_value_t = 0)]
    changed: usize,
    /// Texts of the queries: BEIR's queries.jsonl
    #[arg(long, value_name = "FILE", requires = "changed")]
    queries: Option<PathBuf>,
}

/// Compares and prints.
pub fn run(args: &Args, app: &App) -> Result<()> {
    let confidence = args.confidence;
    if !(confidence > 0.0 && confidence < 1.0) {
        return Err(usage(format!(
            "--confidence: wanted a number between 0 and 1, got {confidence}"
        )));
    }
    if args.changed > 0 && !app.json && !args.format.has_room_for_queries() {
        return Err(usage(
            "--changed: wanted --format text or markdown, or --json",
        ));
    }
    let settings = Settings {
        paths: paths(args)?,
        resampling: Resampling::new(args.resamples, args.seed)?,
        confidence,
        changed: args.changed,
    };
    let qrels = Qrels::read(&args.qrels)?;
    let mut texts = BTreeMap::new();
    if let Some(path) = &args.queries {
        let queries = read_queries(path)?.into_iter();
        texts.extend(queries.map(|query| (query.id, query.text)));
    }
    let report = Report::new(&qrels, &settings, &args.measuring, &texts, app)?;
    if app.json {
        return print_json(&report);
    }
    print_lines(table::render(&report, args.format))
}

/// The baseline, then the other runs in the order given.
fn paths(args: &Args) -> Result<Vec<PathBuf>> {
    let mut paths = args.runs.clone();
    if let Some(baseline) = &args.baseline {
        paths.retain(|path| path != baseline);
        paths.insert(0, baseline.clone());
    }
    match paths.len() {
        1 => Err(usage(
            "wanted two runs or more, or a run and another as --baseline, got one",
        )),
        _ => Ok(paths),
    }
}
