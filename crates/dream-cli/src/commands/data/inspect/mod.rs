//! `dream data inspect`: what training data hold, before anybody trains on them.

mod report;

use crate::cli::App;
use crate::errors::usage;
use crate::interrupt;
use crate::load::load_llm;
use crate::models;
use crate::output::print_json;
use crate::progress::{Progress, Unit};
use anyhow::{Context as _, Result};
use dream::inspect::{DocumentWorth, decoded_prompt, document_worth, inspect_prompts};
use dream::model::Model;
use dream::prompt::{Packer, PromptLimits, Template};
use dream::tokenizer::Tokenizer;
use dream::train::TrainConfig;
use dream_ir::analyzer::words;
use dream_ir::inspect::{inspect, inspect_pools};
use dream_ir::{Pool, PoolSettings, PoolSource, TrainingSet};
use report::Report;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Longest configuration read.
const MAX_CONFIG_BYTES: u64 = 4 << 20;

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
    report.warn();
    if app.json {
        print_json(&report)?;
    } else {
        report.print()?;
    }
    report.refuse()
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
            pools: PoolSettings::new(PoolSource::Bm25, 8),
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
    let pools = config.data.pool_settings(config.seed);
    let llm = config.llm.as_ref();
    let llm = llm.ok_or_else(|| usage(format!("{} has no [llm] table", path.display())))?;
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
