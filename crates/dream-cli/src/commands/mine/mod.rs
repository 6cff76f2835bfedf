//! `dream mine`: training rows in, the same rows with mined candidates out; it goes on where it stopped.

mod embedded;
mod place;
mod printed;

use crate::cli::App;
use crate::errors::usage;
use crate::interrupt;
use crate::kinds::KindArgs;
use crate::lexical::{Bm25Args, FusionArgs, MethodArg, describe};
use crate::load::RetrieverArgs;
use crate::progress::{Progress, Unit};
use anyhow::{Context as _, Result};
use dream::candidates::Source;
use dream::mine::{Data, Mining, Recipe};
use dream_ir::pools::{DEFAULT_DEPTH, Finder, Ranks};
use dream_ir::{Bm25, Bm25Params, Fill, Filters, KnownPassage, PoolSettings, PoolSource};
use embedded::Embedder;
use place::Place;
use std::path::PathBuf;

const EXAMPLE: &str = "Examples:
  dream mine --data DATA --source bm25 --k 16 --out mined --with-corpus
  dream mine --data DATA --source dense --model smollm2-135m-instruct --adapter RUN/adapter --index index --out mined.jsonl
  dream mine --data DATA --source hybrid --model smollm2-135m-instruct --index index --ranks 10-60 --margin 0.95 --near-duplicates 0.8 --out mined.jsonl

To train on what was mined, with pool = \"as-given\" under [data]:
  path = \"mined\"                           a folder that --with-corpus made whole
  path = \"DATA\", rows = \"mined.jsonl\"      rows alone: the corpus stays where it is";

/// Find candidates for training rows: by words, by embeddings, by both, by chance.
///
/// Each row of DATA's train.jsonl is written again with candidate_ids, best first, and candidates, which say
/// of each its source, its rank there and its score. Filters look at the source's list from its top until
/// there are --k candidates. Without labels they treat a known passage as any other document; --known-passage
/// include spares it from them, and --margin always does. A row for which nothing is left is not written, which
/// the summary counts.
///
/// Memory is that of the corpus and its index; rows are read and written one by one. Stopped or killed, the
/// same command goes on after the last rows that were safe, and the result is the same to the byte. The
/// file's .mine.json says what made it.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// Folder with train.jsonl and corpus.jsonl, plain, .gz or .zst
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Where to write the rows: a file that ends in .jsonl, or a folder for a train.jsonl
    #[arg(long, value_name = "DIR|FILE")]
    out: PathBuf,
    /// Where candidates come from: as-given, bm25, dense, hybrid, random, or in-batch (known passages of the
    /// rows that follow in a seeded order)
    #[arg(long, value_name = "SOURCE")]
    source: PoolSource,
    /// Write the corpus beside the rows, with the documents that only rows hold
    #[arg(long)]
    with_corpus: bool,
    /// Throw away what an earlier command wrote there
    #[arg(long)]
    force: bool,
    /// Candidates a row
    #[arg(short, long = "k", value_name = "N", default_value_t = 16)]
    k: usize,
    /// Documents of the source's list that are looked at [default: 100, --k or the last of --ranks]
    #[arg(long, value_name = "N")]
    depth: Option<usize>,
    /// What happens to a row's known passages: as-found uses no label, include puts one in the last place if
    /// none was found, exclude keeps them out
    #[arg(
        long,
        value_name = "as-found|include|exclude",
        default_value = "as-found"
    )]
    known_passage: KnownPassage,
    /// What a row gets that has too few candidates: random documents or none
    #[arg(long, value_name = "random|none", default_value_t)]
    fill: Fill,
    /// Seed of what is drawn
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    filters: FilterArgs,
    /// Model of dense and hybrid: folder, .gguf file, short name or hub id (see: dream models list)
    #[arg(long, value_name = "PATH|NAME")]
    model: Option<String>,
    /// Folder that `dream encode` wrote of the data's corpus; without it the corpus is embedded now, in memory
    #[arg(long, value_name = "DIR", requires = "model")]
    index: Option<PathBuf>,
    #[command(flatten)]
    kind: KindArgs,
    #[command(flatten)]
    bm25: Bm25Args,
    #[command(flatten)]
    fusion: FusionArgs,
    #[command(flatten)]
    encoding: RetrieverArgs,
}

/// What keeps documents out.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Filters")]
struct FilterArgs {
    /// Only documents of these ranks, counted from 1
    #[arg(long, value_name = "A-B")]
    ranks: Option<Ranks>,
    /// No document that scores above it
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    max_score: Option<f32>,
    /// No document that scores above M times what the known passage does; if that was not found, what the
    /// last document that was looked at does
    #[arg(long, value_name = "M")]
    margin: Option<f32>,
    /// No document that shares more than this part of its runs of three words (Jaccard, 0 to 1) with the
    /// target or with a candidate that was taken before
    #[arg(long, value_name = "T")]
    near_duplicates: Option<f32>,
    /// No document in which the target stands word by word: it could be copied
    #[arg(long)]
    drop_containing_target: bool,
    /// No document with the row's own id or with the query as its text
    #[arg(long)]
    drop_self: bool,
}

impl Args {
    fn settings(&self) -> Result<PoolSettings> {
        let filters = Filters {
            ranks: self.filters.ranks,
            max_score: self.filters.max_score,
            margin: self.filters.margin,
            near_duplicates: self.filters.near_duplicates,
            drop_containing_target: self.filters.drop_containing_target,
            drop_self: self.filters.drop_self,
        };
        let depth = filters.ranks.map_or(DEFAULT_DEPTH, Ranks::last);
        let settings = PoolSettings {
            depth: Some(self.depth.unwrap_or(depth.max(self.k))),
            known_passage: self.known_passage,
            filters,
            fill: self.fill,
            seed: self.seed,
            bm25: self.bm25.params(),
            ..PoolSettings::new(self.source, self.k)
        };
        settings.check()?;
        self.refuse_what_does_nothing()?;
        Ok(settings)
    }

    fn refuse_what_does_nothing(&self) -> Result<()> {
        let source = self.source;
        let refuse = |what: &str| {
            Err(usage(format!(
                "{what} would do nothing with --source {source}"
            )))
        };
        let has_words = matches!(source, PoolSource::Bm25 | PoolSource::Hybrid);
        if !has_words && self.bm25.params() != Bm25Params::default() {
            return refuse("options of BM25");
        }
        let fuses = self.fusion.method != MethodArg::Rrf || !self.fusion.weights.is_empty();
        if source != PoolSource::Hybrid && fuses {
            return refuse("options of fusion");
        }
        if source.is_embedding() {
            if self.model.is_none() {
                return Err(usage(format!("--source {source} needs --model")));
            }
            if self.index.is_none() && !self.kind.is_exact() {
                return Err(usage("ways to search need --index"));
            }
        } else if self.model.is_some() || self.encoding.adapter.is_some() {
            return refuse("--model and --adapter");
        }
        Ok(())
    }
}

/// Reads, finds, writes, prints what was found.
pub fn run(args: &Args, app: &App) -> Result<()> {
    let settings = args.settings()?;
    let place = Place::new(&args.out, args.with_corpus)?;
    interrupt::listen().context("cannot listen for signals")?;
    let mut progress = Progress::new("reading", Unit::Of("rows"), app);
    let data = Data::open(&args.data, &mut |done, total| {
        progress.update(done as u64, total as u64);
        !interrupt::requested()
    });
    progress.finish();
    let data = data?;
    place.check(&data, args.force)?;
    let embedder = match &args.model {
        Some(model) => Some(Embedder::load(args, model, &data, app)?),
        None => None,
    };
    let (method, weights) = (args.fusion.method(), args.fusion.weights(2)?);
    let recipe = Recipe {
        settings,
        fusion: (args.source == PoolSource::Hybrid).then(|| describe(method, &weights)),
        retriever: embedder.as_ref().map(Embedder::recipe),
        version: env!("CARGO_PKG_VERSION").into(),
    };
    let mut mining = place.open(recipe, &data, args.force)?;
    if !mining.is_complete() {
        match args.source {
            PoolSource::AsGiven => go(&mut mining, &data, plain(Finder::AsGiven), app),
            PoolSource::Random => go(&mut mining, &data, plain(Finder::Random(args.seed)), app),
            PoolSource::InBatch => {
                let ring = data.ring(args.seed)?;
                go(&mut mining, &data, plain(Finder::InBatch(&ring)), app)
            }
            PoolSource::Bm25 => {
                let words = Bm25::of_corpus(&data.corpus, settings.bm25)?;
                go(&mut mining, &data, plain(Finder::Bm25(&words)), app)
            }
            PoolSource::Dense | PoolSource::Hybrid => {
                let embedder = embedder.context("--model was asked for. This is a bug.")?;
                embedder.mine(&mut mining, &data, args, app)
            }
        }?;
    }
    place.write_corpus(&data, args.force)?;
    printed::print(&mining, &place, app)
}

fn plain(finder: Finder<'_>) -> Source<'_> {
    Source::Plain(finder)
}

/// Mines with progress.
fn go(mining: &mut Mining, data: &Data, source: Source<'_>, app: &App) -> Result<()> {
    let mut progress = Progress::new("mining", Unit::Of("rows"), app);
    progress.start_at(mining.rows_done() as u64);
    let mined = mining.run(data, source, &mut |done, total| {
        progress.update(done as u64, total as u64);
        !interrupt::requested()
    });
    progress.finish();
    if matches!(mined, Err(dream::Error::Stopped)) {
        let done = mining.rows_done();
        tracing::info!("{done} rows are mined; the same command goes on after them");
    }
    Ok(mined?)
}
