//! `dream encode`: a corpus in, a folder of embedding shards out, in constant memory.

use crate::cli::App;
use crate::load::{RetrieverArgs, load_retriever};
use crate::output::{print_json, print_lines};
use crate::progress::{Progress, Unit};
use anyhow::Result;
use dream::encode::{BATCH_TOKENS, EncodeStream};
use dream::index::manifest::MANIFEST;
use dream::index::{Encoder, IndexWriter};
use dream::retriever::Role;
use dream_ir::DocumentStream;
use dream_ir::lines::LineReader;
use dream_nn::Storage;
use serde::Serialize;
use std::io::BufReader;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

const EXAMPLE: &str = "Examples:
  dream encode --model smollm2-135m-instruct --adapter run/adapter --data scifact --out scifact.index
  xz -dc corpus.jsonl.xz | dream encode --model smollm2-135m-instruct --data - --out index";

/// Turn a corpus into a folder of embedding shards for `dream search`.
///
/// The folder holds shard-00000.f32 (row-major little-endian numbers; .f16, .bf16 or .i8 with
/// --index-dtype), shard-00000.ids (the document ids, one a line) and so on; with i8 also
/// shard-00000.scales (one f32 a document, by which its integers are multiplied). manifest.json,
/// written last, says what made them.
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
    /// Documents a shard
    #[arg(long, value_name = "N", default_value = "100000")]
    shard_size: NonZeroUsize,
    /// Tokens that run through the model at once; more take more memory
    #[arg(long, value_name = "N", default_value_t = BATCH_TOKENS)]
    batch_tokens: NonZeroUsize,
    /// Replace the index that the folder holds
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    retriever: RetrieverArgs,
}

#[derive(Serialize)]
struct Encoded<'a> {
    documents: usize,
    dim: usize,
    dtype: Storage,
    shards: usize,
    index: &'a Path,
}

/// Checks the whole corpus where it is a file, then encodes it.
pub fn run(args: &Args, app: &App) -> Result<()> {
    if !args.force && args.out.join(MANIFEST).exists() {
        let out = args.out.display();
        let message = format!("{out} holds an index already; --force replaces it");
        return Err(crate::errors::usage(message));
    }
    // Every line is read before hours of work begin; 0 stands for a number that is not known.
    let total = if is_stdin(&args.data) {
        0
    } else {
        open(&args.data)?.try_fold(0, |n, document| document.map(|_| n + 1))?
    };
    let mut documents = open(&args.data)?;
    let Some(first) = documents.next().transpose()? else {
        let message = format!("{}: the corpus holds no document", args.data.display());
        return Err(crate::errors::usage(message));
    };
    let documents = std::iter::once(Ok(first)).chain(documents);
    let retriever = load_retriever(&args.model, &args.retriever, app)?;
    let documents = documents.map(|document| {
        let document = document?;
        let text = document.full_text();
        Ok((document.id, text))
    });
    let (dim, size) = (retriever.dim(), args.shard_size.get());
    let mut writer = IndexWriter::create(&args.out, args.index_dtype, dim, size, args.force)?;
    let mut progress = Progress::new("encoding", Unit::Of("documents"), app);
    let mut done = 0;
    for batch in EncodeStream::new(&retriever, Role::Document, args.batch_tokens, documents) {
        let batch = batch?;
        for (row, id) in batch.keys.iter().enumerate() {
            writer.push(id, batch.embeddings.row(row))?;
        }
        done += batch.lengths.len();
        progress.update(done as u64, total as u64);
    }
    progress.finish();
    let manifest = writer.finish(Encoder::of(&retriever, &args.model))?;
    let encoded = Encoded {
        documents: manifest.count,
        dim,
        dtype: manifest.dtype,
        shards: manifest.shards.len(),
        index: &args.out,
    };
    if app.json {
        return print_json(&encoded);
    }
    let index = args.out.display();
    print_lines([format!(
        "{index}: {done} documents, {dim} dimensions, {}, {} shards",
        encoded.dtype, encoded.shards
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

/// The documents of a corpus, or of the standard input.
fn open(data: &Path) -> Result<DocumentStream> {
    if is_stdin(data) {
        let stdin = BufReader::new(std::io::stdin());
        let lines = LineReader::new("standard input", Box::new(stdin));
        return Ok(DocumentStream::of_lines(lines));
    }
    Ok(DocumentStream::open(corpus_file(data))?)
}

fn is_stdin(data: &Path) -> bool {
    data == Path::new("-")
}
