//! `dream search`: queries in, the best documents of an index, of a corpus, or of both out.

mod show;
mod via;

use super::encode::corpus_file;
use crate::cli::App;
use crate::errors::usage;
use crate::kinds::KindArgs;
use crate::lexical::{Bm25Args, FusionArgs};
use crate::load::{RetrieverArgs, load_retriever};
use crate::output::{Output, check_place, print_json, print_lines};
use anyhow::Result;
use dream::evaluate::{CHUNK_TEXTS, HYBRID_DEPTH, encode, to_run};
use dream::index::kinds::{Exact, VectorIndex as _, recall};
use dream::index::{Encoder, Index};
use dream::retriever::Role;
use dream_ir::beir::read_queries;
use dream_ir::fusion::fuse;
use dream_ir::lines::LineReader;
use dream_ir::{Bm25, Corpus, Query, Run};
use dream_nn::Matrix;
use serde::Serialize;
use std::io::BufReader;
use std::path::PathBuf;

const USAGE: &str = "dream search [OPTIONS] --model <PATH|NAME> --index <DIR>
       dream search [OPTIONS] --model <PATH|NAME> --via <ENGINE|URL>
       dream search [OPTIONS] --retriever bm25 --corpus <DIR|FILE>
       dream search [OPTIONS] --retriever hybrid --model <PATH|NAME> --index <DIR> --corpus <DIR|FILE>";
const EXAMPLE: &str = "Examples:
  dream search --model smollm2-135m-instruct --index scifact.index --query 'Does zinc help?'
  dream search --model smollm2-135m-instruct --index scifact.index --queries queries.jsonl --k 1000 --run run.trec
  dream search --model smollm2-135m-instruct --index scifact.index --queries queries.jsonl --approximate --check-recall 100
  dream search --model smollm2-135m-instruct --via pgvector --collection scifact --query 'Does zinc help?'
  dream search --retriever hybrid --model smollm2-135m-instruct --index scifact.index --corpus scifact --query 'Does zinc help?'";

/// Find the best documents of an index for queries.
///
/// Queries come from --query, from --queries, else from the standard input, one a line. Model,
/// adapter and options must be those that encoded the index; --dim may be smaller than the index's
/// dimensions: documents are cut, too. `bm25` searches the words of --corpus instead, `hybrid`
/// fuses both. With --json, each line out is
/// {"query":..,"text":..,"hits":[{"rank":1,"document":..,"score":..},..]}.
#[derive(Debug, clap::Args)]
#[command(override_usage = USAGE, after_help = EXAMPLE)]
pub struct Args {
    /// What finds documents
    #[arg(long, value_enum, value_name = "WHAT", default_value = "dense")]
    retriever: Finder,
    /// Model folder, .gguf file, short name or hub id (see: dream models list)
    #[arg(long, value_name = "PATH|NAME")]
    model: Option<String>,
    /// Folder that `dream encode` wrote
    #[arg(long, value_name = "DIR")]
    index: Option<PathBuf>,
    /// Compare every file of the index with its digest first
    #[arg(long)]
    verify: bool,
    /// The documents: this corpus.jsonl, or a folder that holds one; their texts are shown
    #[arg(long, value_name = "DIR|FILE")]
    corpus: Option<PathBuf>,
    /// Documents found for each query
    #[arg(short, long = "k", value_name = "N", default_value_t = 10)]
    k: usize,
    /// A query; may be given several times
    #[arg(long, value_name = "TEXT", conflicts_with = "queries")]
    query: Vec<String>,
    /// A queries.jsonl (_id, text), plain, .gz or .zst
    #[arg(long, value_name = "FILE")]
    queries: Option<PathBuf>,
    /// Write a TREC run to this file instead of printing what was found
    #[arg(long, value_name = "FILE")]
    run: Option<PathBuf>,
    /// Search exactly, too, for the first N queries, and print the share of its documents that was found
    #[arg(long, value_name = "N")]
    check_recall: Option<usize>,
    #[command(flatten)]
    kind: KindArgs,
    #[command(flatten)]
    via: via::ViaArgs,
    #[command(flatten)]
    bm25: Bm25Args,
    #[command(flatten)]
    fusion: FusionArgs,
    #[command(flatten)]
    encoding: RetrieverArgs,
}

/// What finds documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Finder {
    /// Embeddings of an index
    Dense,
    /// Words of a corpus
    Bm25,
    /// Both, fused
    Hybrid,
}

/// How much of exact search was found.
#[derive(Serialize)]
struct Found {
    #[serde(rename = "recall")]
    share: f64,
    k: usize,
    queries: usize,
}

/// Searches and prints.
pub fn run(args: &Args, app: &App) -> Result<()> {
    if let Some(path) = &args.run {
        check_place(path)?;
    }
    if args.k == 0 {
        return Err(usage("--k must be at least 1, not 0"));
    }
    let here = !args.kind.is_exact() || args.check_recall.is_some();
    if args.via.via.is_some() && (here || args.retriever != Finder::Dense) {
        return Err(usage(
            "--via searches in the engine, by embeddings: ways to search, --check-recall and --retriever do not go with it",
        ));
    }
    let mut documents = show::Documents::new();
    let (found, queries, recall) = match args.retriever {
        Finder::Dense => match &args.via.via {
            Some(place) => {
                let index = args.index.as_deref().map(Index::open).transpose()?;
                let index = index.as_ref().map(|index| (index, index.manifest.dim));
                let (queries, embedded) = encoded(args, index, app)?;
                let (k, via) = (args.k, &args.via);
                let found;
                (found, documents) = via::search(place, via, &queries, &embedded, k, app)?;
                (found, queries, None)
            }
            None => dense(args, args.k, app)?,
        },
        Finder::Bm25 => {
            let queries = queries(args)?;
            (lexical(args, &queries, args.k)?, queries, None)
        }
        Finder::Hybrid => hybrid(args, app)?,
    };
    let recall_line = recall.as_ref().map(|r| {
        let Found { share, k, queries } = r;
        format!("recall@{k} against exact search, first {queries} queries: {share:.4}")
    });
    if let Some(path) = &args.run {
        found.write(path, "dream")?;
        let (n_queries, path) = (found.len(), path.display());
        return if app.json {
            let recall = recall.map(|r| r.share);
            print_json(
                &serde_json::json!({"queries": n_queries, "run": path.to_string(), "recall": recall}),
            )
        } else {
            let line = format!("{path}: {n_queries} queries");
            print_lines(std::iter::once(line).chain(recall_line))
        };
    }
    let mut output = Output::stdout();
    let corpus = args.corpus.as_deref().map(corpus_file);
    show::show(
        &mut output,
        &queries,
        &found,
        corpus.as_deref(),
        documents,
        app,
    )?;
    if let (true, Some(recall)) = (app.json, &recall) {
        output.json(recall)?;
    } else if let Some(line) = recall_line {
        output.line(line)?;
    }
    output.flush()
}

/// By inner products of embeddings.
fn dense(args: &Args, k: usize, app: &App) -> Result<(Run, Vec<Query>, Option<Found>)> {
    let folder = needed(args.index.as_ref(), "--index")?;
    let mut index = Index::open(folder)?;
    if args.kind.is_exact() {
        index = index.streaming();
    }
    if args.verify {
        index.verify()?;
    }
    let dim = args.encoding.dim.unwrap_or(index.manifest.dim);
    let exact = Exact::new(&index, dim)?;
    let (queries, embedded) = encoded(args, Some((&index, dim)), app)?;
    let results = args
        .kind
        .with_kind(&index, dim, |kind, _| Ok(kind.search(&embedded, k)?))?;
    let recall = match args.check_recall.map(|n| n.min(queries.len())) {
        Some(n) if n > 0 => {
            let exact = exact.search(&embedded.rows_copy(0..n), k)?;
            Some(Found {
                share: recall(&results[..n], &exact),
                k,
                queries: n,
            })
        }
        _ => None,
    };
    let ids = queries.iter().map(|query| query.id.as_str());
    let found = to_run(ids, results, |document| index.id(document))?;
    Ok((found, queries, recall))
}

/// The queries and their embeddings, `[queries, dim]`; by the retriever that made `index`, if there is one.
fn encoded(args: &Args, index: Option<(&Index, usize)>, app: &App) -> Result<(Vec<Query>, Matrix)> {
    let model = needed(args.model.as_ref(), "--model")?;
    let mut retriever = load_retriever(model, &args.encoding, app)?;
    if let Some((index, dim)) = index {
        let encoder = Encoder::of(&retriever, model);
        let folder = needed(args.index.as_ref(), "--index")?;
        index.manifest.encoder.check_queries(&encoder, folder)?;
        retriever.config.dim = Some(dim);
        retriever.check()?;
    }
    let queries = queries(args)?;
    if let (true, Some((index, _))) = (args.run.is_some(), index) {
        Run::check_ids(queries.iter().map(|q| q.id.as_str()).chain(index.ids()))?;
    }
    let mut embedded = Vec::with_capacity(queries.len() * retriever.dim());
    for chunk in queries.chunks(CHUNK_TEXTS) {
        let texts: Vec<&str> = chunk.iter().map(|query| query.text.as_str()).collect();
        embedded.extend(encode(&retriever, Role::Query, &texts)?.into_vec());
    }
    let embedded = Matrix::from_vec(queries.len(), retriever.dim(), embedded);
    Ok((queries, embedded))
}

/// By words.
fn lexical(args: &Args, queries: &[Query], k: usize) -> Result<Run> {
    let corpus = needed(args.corpus.as_ref(), "--corpus")?;
    let corpus = Corpus::read(corpus_file(corpus))?;
    let index = Bm25::of_corpus(&corpus, args.bm25.params())?;
    let texts: Vec<&str> = queries.iter().map(|query| query.text.as_str()).collect();
    let ids = queries.iter().map(|query| query.id.as_str());
    let found = index.search_all(&texts, k);
    Ok(to_run(ids, found, |document| {
        &corpus.documents()[document].id
    })?)
}

/// By both, each with more documents than are asked for.
fn hybrid(args: &Args, app: &App) -> Result<(Run, Vec<Query>, Option<Found>)> {
    needed(args.corpus.as_ref(), "--corpus")?;
    let weights = args.fusion.weights(2)?;
    let depth = args.k.max(HYBRID_DEPTH);
    let (dense, queries, recall) = dense(args, depth, app)?;
    let lexical = lexical(args, &queries, depth)?;
    let fused = fuse(&[dense, lexical], args.fusion.method(), &weights, args.k)?;
    Ok((fused, queries, recall))
}

fn needed<'a, T>(given: Option<&'a T>, name: &str) -> Result<&'a T> {
    given.ok_or_else(|| usage(format!("this --retriever needs {name}")))
}

/// The queries of the command line, of a file, or of the standard input; ids count from 0 where
/// there are none.
fn queries(args: &Args) -> Result<Vec<Query>> {
    let numbered = |(number, text): (usize, String)| Query {
        id: number.to_string(),
        text,
    };
    let queries: Vec<Query> = if let Some(path) = &args.queries {
        read_queries(path)?
    } else if args.query.is_empty() {
        let stdin = BufReader::new(std::io::stdin());
        let mut lines = LineReader::new("standard input", Box::new(stdin));
        let mut texts = Vec::new();
        while let Some(line) = lines.next_line()? {
            texts.push(line.to_owned());
        }
        texts.into_iter().enumerate().map(numbered).collect()
    } else {
        args.query
            .iter()
            .cloned()
            .enumerate()
            .map(numbered)
            .collect()
    };
    if queries.is_empty() {
        return Err(usage("no query given"));
    }
    Ok(queries)
}
