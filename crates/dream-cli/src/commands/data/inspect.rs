//! `dream data inspect`: what training data hold, before anybody trains on them.

use crate::cli::App;
use crate::errors::usage;
use crate::interrupt;
use crate::load::load_llm;
use crate::models;
use crate::output::{Output, print_json};
use crate::progress::{Progress, Unit};
use anyhow::{Context as _, Result};
use dream::inspect::{
    DocumentWorth, PromptInspection, decoded_prompt, document_worth, inspect_prompts,
};
use dream::model::Model;
use dream::prompt::{Packer, PromptLimits, Template};
use dream::tokenizer::Tokenizer;
use dream::train::TrainConfig;
use dream_ir::analyzer::words;
use dream_ir::inspect::{Inspection, Lengths, PoolInspection, inspect, inspect_pools};
use dream_ir::{Bm25Params, KnownPassage, Pool, PoolSettings, PoolSource, TrainingSet};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Longest configuration read.
const MAX_CONFIG_BYTES: u64 = 4 << 20;
/// Ids named where something is wrong.
const NAMED: usize = 3;

const EXAMPLE: &str = "Examples:
  dream data inspect mydata
  dream data inspect mydata --llm smollm2-135m-instruct --sample 16
  dream data inspect mydata --tokenizer smollm2-135m-instruct --context 2048 --candidates 32 --json";

/// Look at training data: lengths, pools, copies, prompts, and what documents are worth to a language model.
///
/// DIR holds train.jsonl and corpus.jsonl. Pools, limits and template are those of DIR/train.toml (or --config) if it is there, else
/// BM25's best and the defaults of training. A target counts as standing in a candidate if 8 of its words in a row do (all
/// of a shorter one). Ends with 2 where training would stop: ids that come twice, targets without tokens, prompts
/// that are larger than the context.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// Folder with train.jsonl and corpus.jsonl
    #[arg(value_name = "DIR")]
    data: PathBuf,
    /// Configuration that says how pools and prompts are made [default: DIR/train.toml if there is one]
    #[arg(long, value_name = "CONFIG.toml")]
    config: Option<PathBuf>,
    /// Candidates a prompt instead of the configuration's
    #[arg(long, value_name = "K")]
    candidates: Option<usize>,
    /// Count in tokens of this model instead of words, and pack its prompts
    #[arg(long, value_name = "PATH|NAME", conflicts_with = "llm")]
    tokenizer: Option<String>,
    /// Tokens that the language model can take, where there is but a tokenizer
    #[arg(long, value_name = "N", requires = "tokenizer")]
    context: Option<usize>,
    /// Measure with this language model what documents are worth on a sample of rows
    #[arg(long, value_name = "PATH|NAME")]
    llm: Option<String>,
    /// Rows measured, evenly spread
    #[arg(long, value_name = "N", default_value_t = 16, requires = "llm")]
    sample: usize,
}

#[derive(Serialize)]
struct Report {
    lengths_in: String,
    #[serde(flatten)]
    counts: Inspection,
    pools: PoolInspection,
    measures_copying: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompts: Option<PromptInspection>,
    #[serde(skip_serializing_if = "Option::is_none")]
    worth: Option<DocumentWorth>,
    example: String,
}

/// How pools and prompts are made.
struct Recipe {
    pools: PoolSettings,
    limits: PromptLimits,
    template: Template,
}

/// Reads, counts, measures, prints; then says what training would stop at.
pub fn run(args: &Args, app: &App) -> Result<()> {
    let recipe = recipe(args)?;
    if args.sample == 0 {
        return Err(usage("--sample must be at least 1"));
    }
    let set = TrainingSet::open(&args.data)?;
    let model = match &args.llm {
        Some(name) => Some(load_llm(name, app.dtype(), app)?),
        None => None,
    };
    let (tokenizer, context) = tokenizer(args, model.as_ref(), app)?;
    let count = |text: &str| match &tokenizer {
        None => Ok(words(text).count()),
        Some(tokenizer) => match tokenizer.encode(text) {
            Ok(ids) => Ok(ids.len()),
            Err(error) => Err(dream_ir::Error::Invalid(error.to_string())),
        },
    };
    let counts = inspect(&set, &count)?;
    let pools = dream_ir::pools::candidate_pools(&set, &recipe.pools)?;
    let packer = tokenizer.as_ref().map(|tokenizer| Packer {
        tokenizer,
        template: &recipe.template,
        limits: recipe.limits,
        context_tokens: context.unwrap_or(usize::MAX),
    });
    let prompts = match &packer {
        Some(packer) => Some(inspect_prompts(&set, &pools, packer)?),
        None => None,
    };
    let example = match &packer {
        Some(packer) => decoded_prompt(&set, &pools, 0, packer)?,
        None => plain_example(&set, &pools),
    };
    let worth = match (&model, &packer) {
        (Some(model), Some(packer)) => Some(worth(args, app, model, packer, &set, &pools)?),
        _ => None,
    };
    let pools = inspect_pools(&set, &pools, recipe.pools.k);
    let name = args.llm.as_ref().or(args.tokenizer.as_ref());
    let report = Report {
        lengths_in: name.map_or("words".to_owned(), |name| format!("tokens of {name}")),
        counts,
        measures_copying: pools.measures_copying(),
        pools,
        prompts,
        worth,
        example,
    };
    warn(&report);
    if app.json {
        print_json(&report)?;
    } else {
        print(&report)?;
    }
    refuse(&report)
}

fn tokenizer(
    args: &Args,
    model: Option<&Arc<Model>>,
    app: &App,
) -> Result<(Option<Tokenizer>, Option<usize>)> {
    Ok(match (model, &args.tokenizer) {
        (Some(model), _) => {
            let context = model.decoder.config.max_position_embeddings;
            (Some(model.tokenizer.clone()), Some(context))
        }
        (None, Some(name)) => {
            let path = models::resolve(name, &app.env)?;
            (Some(Tokenizer::for_model(&path)?), args.context)
        }
        (None, None) => (None, None),
    })
}

fn recipe(args: &Args) -> Result<Recipe> {
    let beside = args.data.join("train.toml");
    let path = args
        .config
        .clone()
        .or_else(|| beside.is_file().then_some(beside));
    let mut recipe = match path {
        Some(path) => configured(&path)?,
        None => Recipe {
            pools: PoolSettings {
                source: PoolSource::Bm25,
                k: 8,
                known_passage: KnownPassage::AsFound,
                seed: 0,
                bm25: Bm25Params::default(),
            },
            limits: PromptLimits {
                document_tokens: 256,
                question_tokens: 64,
                target_tokens: 64,
            },
            template: Template::default(),
        },
    };
    recipe.pools.k = args.candidates.unwrap_or(recipe.pools.k);
    Ok(recipe)
}

fn configured(path: &Path) -> Result<Recipe> {
    let bytes = dream::files::read_capped(path, MAX_CONFIG_BYTES)?;
    let text =
        String::from_utf8(bytes).map_err(|_| usage(format!("{} is not UTF-8", path.display())))?;
    let config = TrainConfig::parse(&text, path)?;
    let data = &config.data;
    let pools = PoolSettings {
        source: data.pool,
        k: data.candidates,
        known_passage: data.known_passage,
        seed: config.seed,
        bm25: Bm25Params {
            k1: data.bm25_k1,
            b: data.bm25_b,
            language: data.language,
        },
    };
    let llm = config.llm.as_ref();
    let llm = llm.with_context(|| format!("{} has no [llm] table", path.display()))?;
    Ok(Recipe {
        pools,
        limits: llm.limits(),
        template: llm.template.clone(),
    })
}

fn worth(
    args: &Args,
    app: &App,
    model: &Model,
    packer: &Packer<'_>,
    set: &TrainingSet,
    pools: &[Pool],
) -> Result<DocumentWorth> {
    interrupt::listen().context("cannot listen for signals")?;
    let n = args.sample.min(set.rows.len());
    let rows: Vec<usize> = (0..n).map(|place| place * set.rows.len() / n).collect();
    let mut progress = Progress::new("measuring", Unit::Of("rows"), app);
    let worth = document_worth(model, packer, set, pools, &rows, |done| {
        progress.update(done as u64, n as u64);
        !interrupt::requested()
    });
    progress.finish();
    Ok(worth?)
}

/// The first row without a tokenizer: its texts.
fn plain_example(set: &TrainingSet, pools: &[Pool]) -> String {
    let row = &set.rows[0];
    let documents = pools[0]
        .documents
        .iter()
        .map(|d| set.corpus.documents()[*d].full_text());
    let documents: Vec<String> = documents.collect();
    format!(
        "{}\n\nQuery: {}\nTarget: {}",
        documents.join("\n\n"),
        row.query,
        row.target
    )
}

fn warn(report: &Report) {
    let (counts, pools) = (&report.counts, &report.pools);
    if report.measures_copying {
        tracing::warn!(
            "most targets stand word for word in exactly one candidate: the loss would measure copying, a label in disguise; \
             known_passage = \"exclude\" keeps known passages out"
        );
    }
    if 2 * counts.queries_in_known_passage > counts.rows {
        tracing::warn!(
            "most queries stand word for word in their known passage: figures on held-out rows flatter"
        );
    }
    if pools.smaller_pools > 0 {
        tracing::warn!(
            "{} pools are smaller than the {} candidates asked for",
            pools.smaller_pools,
            pools.candidates
        );
    }
}

fn print(report: &Report) -> Result<()> {
    let (counts, pools) = (&report.counts, &report.pools);
    let mut output = Output::stdout();
    output.line(format!(
        "{} rows, {} with a known passage, {} of these with the query word for word in it",
        counts.rows, counts.rows_with_known_passage, counts.queries_in_known_passage
    ))?;
    output.line(format!(
        "{} documents, {} of them copies of another",
        counts.documents, counts.duplicate_documents
    ))?;
    let unit = &report.lengths_in;
    output.line(format!(
        "lengths in {unit}       mean    min median    90%    99%    max"
    ))?;
    let pad = unit.len().saturating_sub(5);
    for (name, lengths) in [
        ("queries", counts.query_lengths),
        ("targets", counts.target_lengths),
        ("documents", counts.document_lengths),
    ] {
        let Lengths {
            mean,
            min,
            median,
            p90,
            p99,
            max,
        } = lengths;
        let name = format!("  {name:<20}{:pad$}", "");
        output.line(format!(
            "{name}{mean:>7.1}{min:>7}{median:>7}{p90:>7}{p99:>7}{max:>7}"
        ))?;
    }
    output.line(format!(
        "pools of {}: {} are smaller, {} hold a known passage",
        pools.candidates, pools.smaller_pools, pools.with_known_passage
    ))?;
    output.line(format!(
        "targets that stand word for word in no candidate: {}, in exactly one: {}, in several: {}",
        pools.target_in_none, pools.target_in_one, pools.target_in_several
    ))?;
    if let Some(prompts) = &report.prompts {
        let context = prompts.context_tokens.map_or(String::new(), |context| {
            format!(
                ", {} larger than the context of {context}",
                prompts.larger_than_context
            )
        });
        output.line(format!(
            "prompts: {:.0} tokens in the mean, {} at most{context}",
            prompts.mean_tokens, prompts.max_tokens
        ))?;
        output.line(format!(
            "cut: {} documents, {} targets; targets without tokens: {}",
            prompts.documents_cut,
            prompts.targets_cut,
            prompts.targets_without_tokens.len()
        ))?;
    }
    if let Some(worth) = &report.worth {
        output.line(format!(
            "loss in nats a target token, plain model, mean over {} rows:\n  \
             without documents               {:.3}\n  \
             with the pool                   {:.3}",
            worth.rows, worth.without_documents, worth.with_pool
        ))?;
        if let (Some(known), Some(headroom)) = (worth.with_known_passage, worth.headroom) {
            output.line(format!(
                "  with the known passage alone    {known:.3}   headroom {headroom:.3} ({} rows)",
                worth.rows_with_known_passage
            ))?;
        }
        output.line(format!(
            "answered as well without documents: {} of {} rows",
            worth.answerable_without_documents, worth.rows
        ))?;
    }
    output.line(format!("\nthe first row's prompt:\n{}", report.example))?;
    output.flush()
}

/// What training would stop at.
fn refuse(report: &Report) -> Result<()> {
    let named = |ids: &[String]| {
        let named: Vec<String> = ids.iter().take(NAMED).map(|id| format!("{id:?}")).collect();
        named.join(", ")
    };
    let twice = &report.counts.duplicate_row_ids;
    if !twice.is_empty() {
        return Err(usage(format!(
            "{} row ids stand more than once: {}",
            twice.len(),
            named(twice)
        )));
    }
    let Some(prompts) = &report.prompts else {
        return Ok(());
    };
    let empty = &prompts.targets_without_tokens;
    if !empty.is_empty() {
        return Err(usage(format!(
            "{} targets have no tokens: rows {}",
            empty.len(),
            named(empty)
        )));
    }
    if prompts.larger_than_context > 0 {
        return Err(usage(format!(
            "{} prompts are larger than the context: fewer candidates, or fewer document_tokens",
            prompts.larger_than_context
        )));
    }
    Ok(())
}
