//! `dream encode`: a corpus in, a folder of embedding shards out, in constant memory.

use crate::cli::App;
use crate::load::{RetrieverArgs, load_retriever};
use crate::output::{print_json, print_lines};
use crate::progress::{Progress, Unit};
use anyhow::Result;
use dream::evaluate::{CHUNK_TEXTS, encode};
use dream::index::manifest::MANIFEST;
use dream::index::{Encoder, IndexWriter};
use dream::retriever::Role;
use dream_ir::Document;
use dream_ir::jsonl::read_jsonl;
use dream_nn::Storage;
use serde::Serialize;
use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

const EXAMPLE: &str = "Example:
  dream encode --model smollm2-135m-instruct --adapter run/adapter --data scifact --out scifact.index";

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
    /// A corpus.jsonl (_id, title, text), plain, .gz or .zst, or a folder that holds one
    #[arg(long, value_name = "DIR|FILE")]
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

/// Checks the whole corpus, then encodes it.
pub fn run(args: &Args, app: &App) -> Result<()> {
    let corpus = corpus_file(&args.data);
    if !args.force && args.out.join(MANIFEST).exists() {
        let out = args.out.display();
        let message = format!("{out} holds an index already; --force replaces it");
        return Err(crate::errors::usage(message));
    }
    let total = check_corpus(&corpus)?;
    let retriever = load_retriever(&args.model, &args.retriever, app)?;
    let (dim, size) = (retriever.dim(), args.shard_size.get());
    let mut writer = IndexWriter::create(&args.out, args.index_dtype, dim, size, args.force)?;
    let mut progress = Progress::new("encoding", Unit::Of("documents"), app);
    let mut documents = read_jsonl::<Document>(&corpus)?;
    let mut done = 0;
    loop {
        let chunk: dream_ir::Result<Vec<Document>> = documents.by_ref().take(CHUNK_TEXTS).collect();
        let chunk = chunk?;
        if chunk.is_empty() {
            break;
        }
        let texts: Vec<String> = chunk.iter().map(Document::full_text).collect();
        let embeddings = encode(&retriever, Role::Document, &texts)?;
        for (row, document) in chunk.iter().enumerate() {
            writer.push(&document.id, embeddings.row(row))?;
        }
        done += chunk.len();
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

/// Reads every line before hours of work begin; the number of documents.
fn check_corpus(path: &Path) -> Result<usize> {
    let mut documents = read_jsonl::<Document>(path)?;
    let mut ids = HashSet::new();
    while let Some(document) = documents.next() {
        let id = document?.id;
        if ids.contains(&id) {
            return Err(documents
                .error(format!("document id {id:?} was given before"))
                .into());
        }
        ids.insert(id);
    }
    if ids.is_empty() {
        let message = format!("{}: the corpus holds no document", path.display());
        return Err(crate::errors::usage(message));
    }
    Ok(ids.len())
}
