//! `dream heads`: find the query-focused retrieval heads of a language model.

use crate::cli::App;
use crate::errors::usage;
use crate::interrupt;
use crate::load::load_llm;
use crate::output::{Output, check_place, print_json};
use crate::progress::{Progress, Unit};
use crate::training::warn_of_small_corpus;
use anyhow::Result;
use dream::heads::detect::{DetectSettings, Headroom, Negatives, detect, headroom, packer, probes};
use dream::heads::{HeadList, HeadSet, Selector};
use dream::injection::{Budget, Rows};
use dream::llm::InjectionConfig;
use dream::prompt::{PromptLimits, Template};
use dream::report::svg::{Chart, WIDE};
use dream::train::run_folder::heat_map;
use dream_ir::TrainingSet;
use std::path::PathBuf;

/// Heads shown in the table.
const SHOWN: usize = 24;

const EXAMPLE: &str = "Examples:
  dream heads --llm smollm2-135m-instruct --data facts --queries 64 --out heads.json --svg heads.svg
  dream heads --llm smollm2-135m-instruct --data facts --headroom --json";

/// Score every attention head of a language model: how well does its attention, from the question to
/// the documents, find the known one?
///
/// DIR holds train.jsonl (query, target, context_id) and corpus.jsonl, plain or compressed. With
/// --json all heads are printed, best first: {"heads":[{"head":"14-3","score":0.9},...]}.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// Language model: folder, .gguf file, short name or hub id
    #[arg(long, value_name = "PATH|NAME")]
    llm: String,
    /// Folder with train.jsonl and corpus.jsonl
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Prompts to score
    #[arg(long, value_name = "N", default_value_t = 128)]
    queries: usize,
    /// Documents a prompt, the known one included
    #[arg(long, value_name = "K", default_value_t = 8)]
    candidates: usize,
    /// Where the other documents come from: bm25 or random
    #[arg(long, value_name = "SOURCE", default_value = "bm25", value_parser = negatives)]
    negatives: Negatives,
    /// What makes a head a good one: ndcg, mass, core, random or bottom
    #[arg(long, value_name = "HOW", default_value = "ndcg")]
    selector: Selector,
    /// Heads to select
    #[arg(long, value_name = "N", default_value_t = 16)]
    count: usize,
    /// Seed of sampling, order and the random selector
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    seed: u64,
    /// Prompt template: qa or numbered
    #[arg(long, value_name = "NAME", default_value = "qa")]
    template: String,
    /// Tokens a document, at most
    #[arg(long, value_name = "N", default_value_t = 256)]
    document_tokens: usize,
    /// Tokens of a question's own text, at most; longer ones are cut
    #[arg(long, value_name = "N", default_value_t = 64)]
    question_tokens: usize,
    /// Tokens of a target, at most
    #[arg(long, value_name = "N", default_value_t = 64)]
    target_tokens: usize,
    /// Write the head list as JSON, for `dream train` and `dream explain`
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Draw all heads' scores as a map
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Measure how much the selected heads let the loss depend on the documents' weights
    #[arg(long)]
    headroom: bool,
    /// Use these heads for --headroom instead of detecting any: 14-3,21-2 or a head list file
    #[arg(long, value_name = "LIST", requires = "headroom")]
    heads: Option<String>,
    /// Rows injected by --headroom: suffix, target or query
    #[arg(long, value_name = "ROWS", default_value = "suffix")]
    rows: Rows,
    /// Document budget of --headroom: mass, one or a number from 0 to 1
    #[arg(long, value_name = "BUDGET", default_value = "mass")]
    budget: Budget,
}

fn negatives(text: &str) -> Result<Negatives, String> {
    match text {
        "bm25" => Ok(Negatives::Bm25),
        "random" => Ok(Negatives::Random),
        _ => Err("wanted bm25 or random".into()),
    }
}

/// Detects, prints, writes.
pub fn run(args: &Args, app: &App) -> Result<()> {
    let settings = DetectSettings {
        queries: args.queries,
        candidates: args.candidates,
        negatives: args.negatives,
        selector: args.selector,
        count: args.count,
        seed: args.seed,
    };
    for place in args.out.iter().chain(&args.svg) {
        check_place(place)?;
    }
    if args.count == 0 {
        return Err(usage("--count must be at least 1"));
    }
    let limits = PromptLimits {
        document_tokens: args.document_tokens,
        question_tokens: args.question_tokens,
        target_tokens: args.target_tokens,
    };
    limits.check()?;
    let template = Template::named(&args.template)?;
    let given = args.heads.as_deref().map(HeadList::parse_or_read);
    let given = given.transpose()?;
    let set = TrainingSet::open(&args.data)?;
    let probes = probes(&set, &settings)?;
    warn_of_small_corpus("--candidates", args.candidates, set.corpus.len());
    if probes.len() < args.queries {
        tracing::warn!(
            "only {} rows have a known passage in the corpus",
            probes.len()
        );
    }
    let model = load_llm(&args.llm, app.dtype(), app)?;
    let packer = packer(&model, &template, limits);
    let total = probes.len() as u64;
    let list = if args.heads.is_some() {
        None
    } else {
        let mut progress = Progress::new("scoring heads", Unit::Of("prompts"), app);
        let list = detect(&model, &packer, &probes, &settings, |done| {
            progress.update(done as u64, total);
            !interrupt::requested()
        })?;
        progress.finish();
        Some(list)
    };
    let selected = match (given, &list) {
        (Some(mut given), _) => given.for_model(&model)?,
        (None, Some(list)) => list.selection()?,
        (None, None) => unreachable!("without --heads the heads were detected. This is a bug."),
    };
    if let (Some(path), Some(list)) = (&args.out, &list) {
        dream::files::write_json(path, list)?;
    }
    if let (Some(path), Some(list)) = (&args.svg, &list) {
        let svg = Chart::HeatMap(heat_map(list)).to_svg(WIDE);
        dream::files::write_atomic(path, svg.as_bytes())?;
    }
    let measured = if args.headroom {
        let injection = InjectionConfig {
            heads: selected.clone(),
            rows: args.rows,
            budget: args.budget,
            gate: 1.0,
        };
        let mut progress = Progress::new("measuring headroom", Unit::Of("prompts"), app);
        let measured = headroom(&model, &packer, &injection, &probes, |done| {
            progress.update(done as u64, total);
            !interrupt::requested()
        })?;
        progress.finish();
        Some(measured)
    } else {
        None
    };
    print(list.as_ref(), &selected, measured.as_ref(), app)
}

fn print(
    list: Option<&HeadList>,
    selected: &HeadSet,
    measured: Option<&Headroom>,
    app: &App,
) -> Result<()> {
    if app.json {
        let mut value = serde_json::Map::new();
        if let Some(list) = list {
            value = match serde_json::to_value(list)? {
                serde_json::Value::Object(map) => map,
                _ => unreachable!("a head list is a struct"),
            };
        }
        value.insert("selection".into(), selected.to_string().into());
        if let Some(measured) = measured {
            value.insert("headroom".into(), serde_json::to_value(measured)?);
        }
        return print_json(&value);
    }
    let mut output = Output::stdout();
    if let Some(list) = list {
        output.line(format!(
            "rank  head    {}",
            list.selector.unwrap_or_default().label()
        ))?;
        for (rank, scored) in list.heads.iter().take(SHOWN).enumerate() {
            let mark = if rank < list.selected { "*" } else { "" };
            output.line(format!(
                "{:>4}  {:<6}  {:.3} {mark}",
                rank + 1,
                scored.head.to_string(),
                scored.score
            ))?;
        }
        let mean: f32 = list.heads.iter().map(|s| s.score).sum::<f32>() / list.heads.len() as f32;
        output.line(format!(
            "      mean    {mean:.3}   ({} heads, {} prompts of {} documents, others by {})",
            list.heads.len(),
            list.prompts,
            list.candidates,
            list.negatives
        ))?;
    }
    output.line(format!("selected (*): {selected}"))?;
    if let Some(m) = measured {
        output.line(format!(
            "loss in nats a target token, mean over {} prompts:\n  \
             plain model                        {:.3}\n  \
             equal weights                      {:.3}\n  \
             all weight on the known document   {:.3}   headroom {:.3}\n  \
             all weight on another              {:.3}   contrast {:.3}\n\
             the known document helps most in {:.0} % of prompts; documents get {:.1} % of the attention",
            m.prompts,
            m.ordinary,
            m.uniform,
            m.positive,
            m.headroom,
            m.wrong,
            m.contrast,
            100.0 * m.top1,
            100.0 * m.document_budget
        ))?;
    }
    output.flush()
}
