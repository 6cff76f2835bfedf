//! `dream search`: queries in, the best documents of an index out.

mod via;

use super::encode::corpus_file;
use crate::cli::App;
use crate::errors::usage;
use crate::load::{RetrieverArgs, load_retriever};
use crate::output::{Output, check_place, print_json, print_lines};
use anyhow::Result;
use dream::evaluate::{CHUNK_TEXTS, encode, to_run};
use dream::index::{Encoder, Index};
use dream::retriever::Role;
use dream_ir::beir::read_queries;
use dream_ir::jsonl::read_jsonl;
use dream_ir::lines::LineReader;
use dream_ir::{Document, Query, Run};
use dream_nn::Matrix;
use serde::Serialize;
use std::collections::HashMap;
use std::io::BufReader;
use std::path::{Path, PathBuf};

/// Characters of a document that people are shown.
const SHOWN_CHARACTERS: usize = 160;

const EXAMPLE: &str = "Examples:
  dream search --model smollm2-135m-instruct --index scifact.index --query 'Does zinc help?'
  dream search --model smollm2-135m-instruct --index scifact.index --queries queries.jsonl --k 1000 --run run.trec
  dream search --model smollm2-135m-instruct --via pgvector --collection scifact --query 'Does zinc help?'";

/// Find the best documents of an index for queries.
///
/// Queries come from --query, from --queries, else from the standard input, one a line. Model,
/// adapter and options must be those that encoded the index. With --json, each line out is
/// {"query":..,"text":..,"hits":[{"rank":1,"document":..,"score":..},..]}.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// Model folder, .gguf file, short name or hub id (see: dream models list)
    #[arg(long, value_name = "PATH|NAME")]
    model: String,
    /// Folder that `dream encode` wrote
    #[arg(long, value_name = "DIR", required_unless_present = "via")]
    index: Option<PathBuf>,
    /// Compare every file of the index with its digest first
    #[arg(long)]
    verify: bool,
    /// Show the texts of the documents from this corpus.jsonl, or folder that holds one
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
    #[command(flatten)]
    via: via::ViaArgs,
    #[command(flatten)]
    retriever: RetrieverArgs,
}

#[derive(Serialize)]
struct Found<'a> {
    query: &'a str,
    text: &'a str,
    hits: Vec<FoundDocument<'a>>,
}

#[derive(Serialize)]
struct FoundDocument<'a> {
    rank: usize,
    document: &'a str,
    score: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
}

/// Encodes the queries, searches, prints.
pub fn run(args: &Args, app: &App) -> Result<()> {
    if let Some(path) = &args.run {
        check_place(path)?;
    }
    let index = args.index.as_deref().map(Index::open).transpose()?;
    let index = index.map(Index::streaming);
    if let (true, Some(index)) = (args.verify, &index) {
        index.verify()?;
    }
    let retriever = load_retriever(&args.model, &args.retriever, app)?;
    if let (Some(index), Some(folder)) = (&index, &args.index) {
        let encoder = Encoder::of(&retriever, &args.model);
        index.manifest.encoder.check_queries(&encoder, folder)?;
    }
    let queries = queries(args)?;
    if let (true, Some(index)) = (args.run.is_some(), &index) {
        Run::check_ids(queries.iter().map(|q| q.id.as_str()).chain(index.ids()))?;
    }
    let mut embedded = Vec::with_capacity(queries.len() * retriever.dim());
    for chunk in queries.chunks(CHUNK_TEXTS) {
        let texts: Vec<&str> = chunk.iter().map(|query| query.text.as_str()).collect();
        embedded.extend(encode(&retriever, Role::Query, &texts)?.into_vec());
    }
    let embedded = Matrix::from_vec(queries.len(), retriever.dim(), embedded);
    let (found, mut documents) = match (&args.via.via, &index) {
        (Some(place), _) => via::search(place, &args.via, &queries, &embedded, args.k, app)?,
        (None, Some(index)) => {
            let results = index.search(&embedded, args.k)?;
            let ids = queries.iter().map(|query| query.id.as_str());
            let found = to_run(ids, results, |document| index.id(document))?;
            (found, HashMap::new())
        }
        (None, None) => return Err(usage("--index or --via says where to search")),
    };
    if let Some(path) = &args.run {
        found.write(path, "dream")?;
        let (n_queries, path) = (found.len(), path.display());
        return if app.json {
            print_json(&serde_json::json!({"queries": n_queries, "run": path.to_string()}))
        } else {
            print_lines([format!("{path}: {n_queries} queries")])
        };
    }
    if let Some(corpus) = &args.corpus {
        documents = found_documents(&corpus_file(corpus), &found)?;
    }
    let mut output = Output::stdout();
    for query in &queries {
        print(&mut output, &in_rank_order(query, &found, &documents), app)?;
    }
    output.flush()
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

/// The documents of the run, out of a corpus of which nothing else is kept.
fn found_documents(corpus: &Path, found: &Run) -> Result<HashMap<String, Document>> {
    let hits = found.iter().flat_map(|(_, hits)| hits);
    let mut documents: HashMap<String, Option<Document>> =
        hits.map(|hit| (hit.document.clone(), None)).collect();
    for document in read_jsonl::<Document>(corpus)? {
        let document = document?;
        if let Some(place) = documents.get_mut(&document.id) {
            *place = Some(document);
        }
    }
    let known = documents.into_iter();
    Ok(known
        .filter_map(|(id, document)| Some((id, document?)))
        .collect())
}

fn in_rank_order<'a>(
    query: &'a Query,
    found: &'a Run,
    documents: &'a HashMap<String, Document>,
) -> Found<'a> {
    let hits = found.get(&query.id).unwrap_or_default();
    let hit = |(rank, hit): (usize, &'a dream_ir::Hit)| {
        let document = documents.get(&hit.document);
        FoundDocument {
            rank,
            document: &hit.document,
            score: hit.score,
            title: document.map(|d| d.title.as_str()),
            text: document.map(|d| d.text.as_str()),
        }
    };
    Found {
        query: &query.id,
        text: &query.text,
        hits: (1..).zip(hits).map(hit).collect(),
    }
}

fn print(output: &mut Output, found: &Found<'_>, app: &App) -> Result<()> {
    if app.json {
        return output.json(found);
    }
    output.line(format!("{}: {}", found.query, found.text))?;
    for hit in &found.hits {
        let (rank, score, document) = (hit.rank, hit.score, hit.document);
        output.line(format!("{rank:>5}  {score:.4}  {document}"))?;
        if let (Some(title), Some(text)) = (hit.title, hit.text) {
            let separator = if title.is_empty() { "" } else { ": " };
            let line = format!("{title}{separator}{text}").replace(['\n', '\r', '\t'], " ");
            let cut: String = line.chars().take(SHOWN_CHARACTERS).collect();
            output.line(format!("               {cut}"))?;
        }
    }
    Ok(())
}
