//! `dream bench step`: one training step on random tokens.

use super::{median, time};
use crate::cli::App;
use crate::load::{load_llm, share_model};
use crate::memory::peak_rss_mib;
use crate::output::{print_json, print_lines};
use anyhow::Result;
use dream::bench::{StepBench, StepShape};
use dream::heads::HeadList;
use dream::heads::detect::random_heads;
use dream::injection::{Budget, Rows};
use dream::llm::InjectionConfig;
use dream::model::lora::{LoraAdapter, LoraConfig};
use dream::retriever::{Retriever, RetrieverConfig};
use dream_nn::peak;
use serde::Serialize;

const EXAMPLE: &str = "Example:
  dream bench step --llm smollm2-135m-instruct --docs 8 --doc-tokens 96 --dtype bf16 --json";

/// Time a training step: retriever forward, documents read, suffixes judged, the way back, the update.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// Frozen language model
    #[arg(long, value_name = "PATH|NAME", default_value = crate::models::DEFAULT_MODEL)]
    llm: String,
    /// Base of the retriever [default: the language model]
    #[arg(long, value_name = "PATH|NAME")]
    backbone: Option<String>,
    /// Documents in the prompt
    #[arg(long, value_name = "N", default_value_t = 8)]
    docs: usize,
    /// Tokens a document
    #[arg(long, value_name = "N", default_value_t = 96)]
    doc_tokens: usize,
    /// Tokens a query
    #[arg(long, value_name = "N", default_value_t = 16)]
    query_tokens: usize,
    /// Tokens a target
    #[arg(long, value_name = "N", default_value_t = 16)]
    target_tokens: usize,
    /// Queries that share the documents
    #[arg(long, value_name = "N", default_value_t = 1)]
    queries: usize,
    /// Read the documents anew for each query
    #[arg(long)]
    no_shared_prefix: bool,
    /// Injected heads, as in 14-3,21-2, or a head list's file [default: 16 drawn at random]
    #[arg(long, value_name = "LIST|FILE")]
    heads: Option<String>,
    /// Rank of the adapters
    #[arg(long, value_name = "N", default_value_t = 16)]
    lora_r: usize,
    /// Retriever tokens whose activations are kept at once
    #[arg(long, value_name = "N", default_value_t = 4096)]
    chunk_tokens: usize,
    /// Steps timed, after one that is not
    #[arg(long, value_name = "N", default_value_t = 5)]
    steps: usize,
}

#[derive(Serialize)]
struct Timed {
    seconds_per_step: f64,
    min: f64,
    max: f64,
    queries_per_second: f64,
    gflops: f64,
    peak_gflops: f64,
    share_of_peak: f64,
    peak_rss_mib: u64,
    dtype: String,
    threads: usize,
    losses: Vec<f32>,
}

/// Builds the step, runs it, prints what it took.
pub fn run(args: &Args, app: &App) -> Result<()> {
    let dtype = app.dtype();
    let llm = load_llm(&args.llm, dtype, app)?;
    let base = match &args.backbone {
        Some(backbone) => share_model(backbone, &llm, dtype, app)?,
        None => llm.clone(),
    };
    let config = &llm.decoder.config;
    let all = config.num_hidden_layers * config.num_attention_heads;
    let mut heads = match &args.heads {
        Some(text) => HeadList::parse_or_read(text)?,
        None => random_heads(&llm, 16.min(all), 0)?,
    };
    let heads = heads.for_model(&llm)?;
    let lora = LoraConfig {
        r: args.lora_r,
        lora_alpha: 2.0 * args.lora_r as f32,
        ..LoraConfig::default()
    };
    let retriever = Retriever {
        adapter: Some(LoraAdapter::new(lora, &base.decoder.config, 0)?),
        model: base,
        config: RetrieverConfig::default(),
        standardizer: None,
    };
    let shape = StepShape {
        docs: args.docs,
        doc_tokens: args.doc_tokens,
        query_tokens: args.query_tokens,
        target_tokens: args.target_tokens,
        queries: args.queries,
        share_prefix: !args.no_shared_prefix,
    };
    let injection = InjectionConfig {
        heads,
        rows: Rows::Suffix,
        budget: Budget::Mass,
        gate: 1.0,
    };
    let mut bench = StepBench::new(retriever, llm, injection, shape, args.chunk_tokens)?;
    let mut first_losses = None;
    let seconds = time(args.steps, || {
        let (_, losses) = bench.step()?;
        first_losses.get_or_insert(losses);
        Ok(())
    })?;
    let middle = median(&seconds);
    let gflops = bench.operations() / middle / 1e9;
    let peak_gflops = peak::gflops(dtype);
    let timed = Timed {
        seconds_per_step: middle,
        min: seconds[0],
        max: seconds[seconds.len() - 1],
        queries_per_second: args.queries as f64 / middle,
        gflops,
        peak_gflops,
        share_of_peak: gflops / peak_gflops,
        peak_rss_mib: peak_rss_mib(),
        dtype: dtype.to_string(),
        threads: rayon::current_num_threads(),
        losses: first_losses.unwrap_or_default(),
    };
    if app.json {
        return print_json(&timed);
    }
    print_lines([
        format!(
            "{:.3} s a step (median of {}; {:.3} to {:.3}), {:.2} queries/s, {} on {} threads",
            timed.seconds_per_step,
            seconds.len(),
            timed.min,
            timed.max,
            timed.queries_per_second,
            timed.dtype,
            timed.threads
        ),
        format!(
            "{gflops:.0} GFLOP/s, {:.0} % of the {peak_gflops:.0} measured as the processor's peak",
            100.0 * timed.share_of_peak
        ),
        format!("{} MiB resident at most", timed.peak_rss_mib),
    ])
}
