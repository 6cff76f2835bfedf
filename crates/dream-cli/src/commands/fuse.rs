//! `dream fuse`: one run out of several.

use crate::cli::App;
use crate::errors::usage;
use crate::lexical::{FusionArgs, describe};
use crate::output::{check_place, print_json, print_lines};
use anyhow::Result;
use dream::evaluate::DEFAULT_DEPTH;
use dream_ir::fusion::{Tuned, fuse, tune};
use dream_ir::{Measure, Qrels, Run};
use std::path::PathBuf;

const EXAMPLE: &str = "Examples:
  dream fuse dense.trec bm25.trec --out hybrid.trec
  dream fuse dense.dev.trec bm25.dev.trec --method weighted --tune --qrels qrels/dev.tsv
  dream fuse dense.trec bm25.trec --method weighted --weights 0.7,0.3 --out hybrid.trec";

/// Fuse runs into one: by reciprocal ranks, or by weighted normalised scores.
///
/// A query that any run holds is in the fused run. With --tune, a grid is tried on the judgements of a
/// development split: every set of weights in steps of .1 (of .2 from four runs on) for `weighted`, ten
/// values of k for `rrf`; the best is printed as options to use. A run must never be measured on the
/// judgements that it was tuned on: with --tune, queries that --qrels judges are left out of --out.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// Runs: TREC's `qid Q0 docno rank score tag` or `qid<TAB>docid<TAB>score`
    #[arg(value_name = "RUN", required = true, num_args = 2..)]
    runs: Vec<PathBuf>,
    /// Where to write the fused run, in TREC's form
    #[arg(long, value_name = "FILE", required_unless_present = "tune")]
    out: Option<PathBuf>,
    /// Documents kept for each query
    #[arg(long, value_name = "N", default_value_t = DEFAULT_DEPTH)]
    depth: usize,
    /// Try a grid of weights, or of k, on --qrels
    #[arg(long, requires = "qrels")]
    tune: bool,
    /// Judgements of a development split, never those of the test
    #[arg(long, value_name = "FILE", requires = "tune")]
    qrels: Option<PathBuf>,
    /// What --tune makes large
    #[arg(long, value_name = "MEASURE", default_value_t = Measure::Ndcg(10))]
    measure: Measure,
    #[command(flatten)]
    fusion: FusionArgs,
}

/// Reads, tunes, fuses, writes.
pub fn run(args: &Args, app: &App) -> Result<()> {
    if let Some(path) = &args.out {
        check_place(path)?;
    }
    let (mut method, mut weights) = (args.fusion.method(), args.fusion.weights(args.runs.len())?);
    let runs: Vec<Run> = args.runs.iter().map(Run::read).collect::<Result<_, _>>()?;
    let mut tuned: Option<(Tuned, Qrels)> = None;
    if let Some(path) = &args.qrels {
        let qrels = Qrels::read(path)?;
        let best = tune(&runs, method, &weights, &qrels, args.measure, args.depth)?;
        (method, weights) = (best.method, best.weights.clone());
        tuned = Some((best, qrels));
    }
    let mut queries = 0;
    if let Some(path) = &args.out {
        let mut fused = fuse(&runs, method, &weights, args.depth)?;
        if let Some((_, dev)) = &tuned {
            fused = without(&fused, dev)?;
            if fused.is_empty() {
                return Err(usage(format!(
                    "every query of the runs is judged in --qrels: nothing is left for --out; fuse the runs of \
                     other queries with {}",
                    describe(method, &weights)
                )));
            }
        }
        queries = fused.len();
        fused.write(path, "dream-fuse")?;
    }
    let options = describe(method, &weights);
    if app.json {
        return print_json(&serde_json::json!({
            "options": options,
            "weights": weights,
            "queries": queries,
            "out": args.out,
            "tuned": tuned.map(|(tuned, _)| serde_json::json!({
                "measure": args.measure, "value": tuned.value, "tried": tuned.tried,
            })),
        }));
    }
    let mut lines = vec![options];
    if let Some((Tuned { value, tried, .. }, _)) = tuned {
        let measure = args.measure;
        lines.push(format!(
            "best of {tried} by {measure} {value:.4} on the development split: measure it on other queries"
        ));
    }
    if let Some(path) = &args.out {
        lines.push(format!("{}: {queries} queries", path.display()));
    }
    print_lines(lines)
}

/// The queries that nobody judged.
fn without(run: &Run, judged: &Qrels) -> Result<Run> {
    let mut rest = Run::default();
    for (query, hits) in run.iter() {
        if judged.get(query).is_none() {
            rest.insert(query, hits.to_vec())?;
        }
    }
    Ok(rest)
}
