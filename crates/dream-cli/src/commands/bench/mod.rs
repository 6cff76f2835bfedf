//! `dream bench`: how fast this program is on this machine, as shares of what the machine can do.

mod encode;
mod gemm;
mod scaling;
mod search;
mod step;
mod vectors;

use crate::cli::App;
use anyhow::Result;
use std::time::Instant;

const EXAMPLE: &str = "Examples:
  dream bench step --llm smollm2-135m-instruct --backbone smollm2-135m-instruct --dtype bf16
  dream bench gemm --dtype auto --json";

/// Time the parts of this program: products, a training step, encoding, search.
///
/// Each prints seconds, GFLOP/s, the share of the processor's peak (measured in the same run) and peak
/// memory. Close everything else first; the number type is --dtype's.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    Step(step::Args),
    Gemm(gemm::Args),
    Encode(encode::Args),
    Search(search::Args),
    Scaling(scaling::Args),
}

/// Does it.
pub fn run(args: &Args, app: &App) -> Result<()> {
    match &args.what {
        What::Step(args) => step::run(args, app),
        What::Gemm(args) => gemm::run(args, app),
        What::Encode(args) => encode::run(args, app),
        What::Search(args) => search::run(args, app),
        What::Scaling(args) => scaling::run(args, app),
    }
}

/// Seconds of `repeats` runs after one that is not counted, sorted.
fn time(repeats: usize, mut run: impl FnMut() -> Result<()>) -> Result<Vec<f64>> {
    run()?;
    let mut seconds = Vec::with_capacity(repeats);
    for _ in 0..repeats.max(1) {
        let start = Instant::now();
        run()?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    Ok(seconds)
}

fn median(sorted: &[f64]) -> f64 {
    sorted[sorted.len() / 2]
}
