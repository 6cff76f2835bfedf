//! What was found, as text or JSON, with the texts of documents if there is a corpus.

use crate::cli::App;
use crate::output::Output;
use anyhow::Result;
use dream_ir::jsonl::read_jsonl;
use dream_ir::{Document, Query, Run};
use serde::Serialize;
use std::collections::HashMap;
use std::path::Path;

/// Characters of a document that people are shown.
const SHOWN_CHARACTERS: usize = 160;

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

/// Prints each query with what the run holds for it.
pub fn show(
    output: &mut Output,
    queries: &[Query],
    found: &Run,
    corpus: Option<&Path>,
    app: &App,
) -> Result<()> {
    let documents = match corpus {
        Some(corpus) => found_documents(corpus, found)?,
        None => HashMap::new(),
    };
    for query in queries {
        print(output, &in_rank_order(query, found, &documents), app)?;
    }
    Ok(())
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
