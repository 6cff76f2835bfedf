//! `dream encode`: a corpus in, a folder of embedding shards out, in constant memory; it goes on where it stopped.

mod shard;

use crate::cli::App;
use crate::errors::usage;
use crate::interrupt;
use crate::load::{RetrieverArgs, load_retriever};
use crate::output::{print_json, print_lines};
use crate::progress::{Progress, Unit};
use anyhow::{Context as _, Result};
use dream::encode::BATCH_TOKENS;
use dream::index::{Build, Built, Data, DataHasher, PartOf, Recipe, Sizes};
use dream_ir::jsonl::read_jsonl;
use dream_ir::lines::LineReader;
use dream_ir::{Document, DocumentStream};
use dream_nn::Storage;
use serde::Serialize;
use shard::Shard;
use std::io::BufReader;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

const EXAMPLE: &str = "Examples:
  dream encode --model smollm2-135m-instruct --adapter run/adapter --data scifact --out scifact.index
  dream encode --model smollm2-135m-instruct --data scifact --out parts --shard 0/4
  xz -dc corpus.jsonl.xz | dream encode --model smollm2-135m-instruct --data - --out index";

/// Turn a corpus into a folder of embedding shards for `dream search`.
///
/// The folder holds shard-00000.f32 (row-major little-endian numbers; .f16, .bf16 or .i8 with
/// --index-dtype), shard-00000.ids (the document ids, one a line) and so on; with i8 also
/// shard-00000.scales (one f32 a document, by which its integers are multiplied). manifest.json,
/// written last, says what made them, of which documents, and the BLAKE3 of every file.
///
/// Stopped or killed, the same command goes on after the last shard that was complete, and the result
/// is the same to the byte. With --shard i/N only every Nth shard is encoded, which leaves
/// part-0000i-of-0000N.json; the parts, in one folder or several, are put together by `dream index merge`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// Model folder, .gguf file, short name or hub id (see: dream models list)
    #[arg(long, value_name = "PATH|NAME")]
    model: String,
    /// A corpus.jsonl (_id, title, text), plain, .gz or .zst, or a folder that holds one; - is the
    /// standard input, whose lines are checked as they come and not in advance
    #[arg(long, value_name = "DIR|FILE|-")]
    data: PathBuf,
    /// Folder for the shards
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Number type of the stored embeddings: f16 and bf16 take half the space of f32, i8 a quarter;
    /// queries and sums are f32 in any case
    #[arg(long, value_name = "f32|f16|bf16|i8", default_value_t)]
    index_dtype: Storage,
    /// Documents a shard: what parts are dealt by, and what a restart repeats at most
    #[arg(long, value_name = "N", default_value = "20000")]
    shard_size: NonZeroUsize,
    /// Encode only part i, from 0, of N; auto is the rank that torchrun, Open MPI, Slurm (tasks and
    /// arrays) or a Kubernetes indexed job (auto/N) gave this process
    #[arg(long, value_name = "i/N|auto|auto/N")]
    shard: Option<Shard>,
    /// Tokens that run through the model at once; more take more memory
    #[arg(long, value_name = "N", default_value_t = BATCH_TOKENS)]
    batch_tokens: NonZeroUsize,
    /// Start anew, whatever the folder holds
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    retriever: RetrieverArgs,
}

#[derive(Serialize)]
struct Encoded<'a> {
    documents: usize,
    /// Of `documents`, those that were there already.
    kept: usize,
    dim: usize,
    dtype: Storage,
    shards: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    part: Option<String>,
    digest: &'a str,
    data: &'a Data,
    index: &'a Path,
}

/// Checks the whole corpus where it is a file, then encodes what is not encoded yet.
pub fn run(args: &Args, app: &App) -> Result<()> {
    let whole = Ok(PartOf::WHOLE);
    let shard = args
        .shard
        .map_or(whole, |shard| shard.resolve(&app.env.rank))?;
    interrupt::listen().context("cannot listen for signals")?;
    // Every line is read before hours of work begin.
    let known = if is_stdin(&args.data) {
        None
    } else {
        Some(check(&args.data, app)?)
    };
    let mut documents = open(&args.data)?.peekable();
    if documents.peek().is_none() {
        let message = format!("{}: the corpus holds no document", args.data.display());
        return Err(usage(message));
    }
    if let Some(Err(_)) = documents.peek() {
        // Before anything is written.
        documents.next().transpose()?;
    }
    let retriever = load_retriever(&args.model, &args.retriever, app)?;
    let sizes = Sizes {
        batch_tokens: args.batch_tokens,
        shard_size: args.shard_size,
    };
    let recipe = Recipe::new(
        &retriever,
        &args.model,
        app.dtype(),
        args.index_dtype,
        sizes,
    );
    let mut build = open_build(args, app, recipe, shard, known.as_ref())?;
    let kept = build.done();
    let size = args.shard_size.get();
    let total = known.map_or(0, |data| shard.documents(data.documents, size));
    let mut progress = Progress::new("encoding", Unit::Of("documents"), app);
    progress.start_at(kept as u64);
    let built = build.run(&retriever, documents, &mut |done| {
        progress.update(done.max(kept) as u64, total as u64);
        !interrupt::requested()
    });
    progress.finish();
    if matches!(built, Err(dream::Error::Stopped)) {
        let done = build.done();
        tracing::info!("{done} documents are encoded; the same command goes on after them");
    }
    print(args, app, &built?, (shard, kept, retriever.dim()))
}

/// Reads every line and refuses what cannot be encoded.
fn check(data: &Path, app: &App) -> Result<Data> {
    let mut progress = Progress::new("reading", Unit::Of("documents"), app);
    let mut hasher = DataHasher::default();
    for document in DocumentStream::open(corpus_file(data))? {
        let document = document?;
        hasher.add(&document.id, &document.full_text());
        progress.update(hasher.documents() as u64, 0);
        if interrupt::requested() {
            return Err(dream::Error::Stopped.into());
        }
    }
    progress.finish();
    Ok(hasher.finish())
}

/// Compares what the folder holds with what shall be in it.
fn open_build(
    args: &Args,
    app: &App,
    recipe: Recipe,
    shard: PartOf,
    data: Option<&Data>,
) -> Result<Build> {
    let mut progress = Progress::new("checking shards", Unit::Bytes, app);
    let mut watch = |done, total| {
        progress.update(done, total);
        !interrupt::requested()
    };
    let opened = Build::open(&args.out, recipe, shard, data, args.force, &mut watch);
    progress.finish();
    let build = opened.map_err(|error| match error {
        dream::Error::Invalid(what) => usage(format!("{what}; --force starts anew")),
        other => other.into(),
    })?;
    if let Some(what) = build.remade() {
        tracing::warn!("{what}; it is encoded again, and what came after it");
    }
    let n_shards = data.map(|data| data.documents.div_ceil(args.shard_size.get()));
    if let Some(n) = n_shards.filter(|n| *n < shard.count()) {
        let count = shard.count();
        tracing::warn!(
            "there are {n} shards for {count} parts: some parts are empty; a smaller --shard-size deals evenly"
        );
    }
    Ok(build)
}

fn print(
    args: &Args,
    app: &App,
    built: &Built,
    (shard, kept, dim): (PartOf, usize, usize),
) -> Result<()> {
    let part = (shard != PartOf::WHOLE).then(|| shard.to_string());
    let encoded = Encoded {
        documents: built.documents,
        kept,
        dim,
        dtype: args.index_dtype,
        shards: built.shards,
        part,
        digest: &built.digest,
        data: &built.data,
        index: &args.out,
    };
    if app.json {
        return print_json(&encoded);
    }
    let (index, done, dtype, shards) = (
        args.out.display(),
        built.documents,
        args.index_dtype,
        built.shards,
    );
    let part = encoded.part.map_or(String::new(), |part| {
        let all = built.data.documents;
        format!(", part {part} of {all} documents")
    });
    let were = if kept > 0 {
        format!(", {kept} of them were there")
    } else {
        String::new()
    };
    print_lines([format!(
        "{index}: {done} documents, {dim} dimensions, {dtype}, {shards} shards{part}{were}"
    )])
}

/// The corpus of a BEIR folder, or the file itself.
pub fn corpus_file(data: &Path) -> PathBuf {
    if data.is_dir() {
        data.join("corpus.jsonl")
    } else {
        data.to_owned()
    }
}

/// Id and text of the documents of a corpus, or of the standard input. A file was checked for ids that come
/// twice when it was read the first time, and that it is still the same is found by its digest.
#[expect(clippy::type_complexity, reason = "either of two iterators")]
fn open(data: &Path) -> Result<Box<dyn Iterator<Item = dream::Result<(String, String)>>>> {
    let pair = |document: dream_ir::Result<Document>| -> dream::Result<(String, String)> {
        let document = document?;
        let text = document.full_text();
        Ok((document.id, text))
    };
    if is_stdin(data) {
        let stdin = BufReader::new(std::io::stdin());
        let lines = LineReader::new("standard input", Box::new(stdin));
        return Ok(Box::new(DocumentStream::of_lines(lines).map(pair)));
    }
    let documents = read_jsonl::<Document>(corpus_file(data))?;
    Ok(Box::new(documents.map(pair)))
}

fn is_stdin(data: &Path) -> bool {
    data == Path::new("-")
}
