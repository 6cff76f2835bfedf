//! Ranking a corpus with a retriever, and what the ranking is worth against judgements.
//!
//! Documents are encoded as a stream and forgotten after their scores are known, so memory does not
//! grow with the corpus. A document's text is its title and text as BEIR and MTEB join them.

pub use crate::encode::encode;

use crate::encode::{BATCH_TOKENS, EncodeStream};
use crate::index::{Scored, TopK};
use crate::retriever::{Retriever, Role};
use crate::{Error, Result};
use dream_ir::beir::Dataset;
use dream_ir::measures::DEFAULT_MEASURES;
use dream_ir::{Document, Evaluation, Hit, Run, evaluate};
use dream_nn::{Matrix, Rows};

/// Documents found for each query unless something else is asked for, as BEIR does.
pub const DEFAULT_DEPTH: usize = 1000;

/// Documents of each half of a hybrid search, at least.
pub const HYBRID_DEPTH: usize = 100;

/// Queries that a search encodes together.
pub const CHUNK_TEXTS: usize = 64;

/// Called with the texts encoded and the texts in all; `false` stops the work.
pub type Progress<'a> = dyn FnMut(usize, usize) -> bool + 'a;

/// The best `k` of `documents` for each query; a query is an id and a text.
///
/// # Errors
/// No document, no query, `k` 0, an id twice, a text that cannot be encoded, a model that gives no
/// numbers; [`Error::Stopped`] if `progress` says so.
pub fn rank(
    retriever: &Retriever,
    documents: &[&Document],
    queries: &[(String, String)],
    k: usize,
    progress: &mut Progress,
) -> Result<Run> {
    if documents.is_empty() || queries.is_empty() {
        let (d, q) = (documents.len(), queries.len());
        let what = format!("ranking needs documents and queries, got {d} and {q}");
        return Err(Error::Invalid(what));
    }
    let mut count = Counter {
        done: 0,
        total: documents.len() + queries.len(),
        progress,
    };
    count.add(0)?;
    let mut embedded = Vec::with_capacity(queries.len() * retriever.dim());
    let texts = queries.iter().map(|(_, text)| Ok(((), text)));
    for batch in EncodeStream::new(retriever, Role::Query, BATCH_TOKENS, texts) {
        let batch = batch?;
        embedded.extend(batch.embeddings.into_vec());
        count.add(batch.lengths.len())?;
    }
    let embedded = Matrix::from_vec(queries.len(), retriever.dim(), embedded);
    let mut top = TopK::new(&embedded, k)?;
    let texts = documents
        .iter()
        .map(|document| Ok(((), document.full_text())));
    for batch in EncodeStream::new(retriever, Role::Document, BATCH_TOKENS, texts) {
        let batch = batch?;
        top.add(Rows::plain(batch.embeddings.data(), retriever.dim()));
        count.add(batch.lengths.len())?;
    }
    let ids = queries.iter().map(|(id, _)| id.as_str());
    to_run(ids, top.finish(), |document| &documents[document].id)
}

/// Ranks a BEIR set and measures nDCG@10, R@100 and RR@10.
///
/// # Errors
/// See [`rank`].
pub fn evaluate_retriever(
    retriever: &Retriever,
    dataset: &Dataset,
    k: usize,
    progress: &mut Progress,
) -> Result<(Run, Evaluation)> {
    let documents: Vec<&Document> = dataset.corpus.documents().iter().collect();
    let pair = |query: &dream_ir::Query| (query.id.clone(), query.text.clone());
    let queries: Vec<(String, String)> = dataset.queries.iter().map(pair).collect();
    let run = rank(retriever, &documents, &queries, k, progress)?;
    let evaluation = evaluate(&dataset.qrels, &run, &DEFAULT_MEASURES)?;
    Ok((run, evaluation))
}

/// Search results as a run: one list of hits for each query id, document ids by position.
///
/// # Errors
/// A query or a document stands there twice, or a score is NaN.
pub fn to_run<'a>(
    queries: impl IntoIterator<Item = &'a str>,
    results: Vec<Vec<Scored>>,
    id_of: impl Fn(usize) -> &'a str,
) -> Result<Run> {
    let mut run = Run::default();
    for (query, hits) in queries.into_iter().zip(results) {
        let hit = |(position, score): Scored| Hit {
            document: id_of(position).to_owned(),
            score,
        };
        run.insert(query, hits.into_iter().map(hit).collect())?;
    }
    Ok(run)
}

struct Counter<'a, 'b> {
    done: usize,
    total: usize,
    progress: &'a mut Progress<'b>,
}

impl Counter<'_, '_> {
    fn add(&mut self, texts: usize) -> Result<()> {
        self.done += texts;
        if (self.progress)(self.done, self.total) {
            Ok(())
        } else {
            Err(Error::Stopped)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Model;
    use crate::retriever::RetrieverConfig;
    use dream_ir::{Corpus, Measure, Qrels, Query};
    use dream_nn::Dtype;
    use std::path::Path;
    use std::sync::Arc;

    fn retriever() -> Result<Retriever> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/tiny-llama");
        Ok(Retriever {
            model: Arc::new(Model::load(&path, Dtype::F32)?),
            config: RetrieverConfig::default(),
            adapter: None,
            standardizer: None,
        })
    }

    fn documents(n: usize) -> Vec<Document> {
        let document = |i| Document {
            id: format!("d{i}"),
            title: if i % 2 == 0 {
                String::new()
            } else {
                "Title".into()
            },
            text: format!("text number {i} of a small corpus"),
        };
        (0..n).map(document).collect()
    }

    #[test]
    fn a_document_asked_for_by_its_own_text_is_found_first() -> Result<()> {
        // Equal texts have equal embeddings, of inner product 1: the largest there is.
        let documents = documents(70);
        let queries: Vec<Query> = [3, 68]
            .map(|i| Query {
                id: format!("q{i}"),
                text: documents[i].full_text(),
            })
            .into();
        let mut qrels = Qrels::default();
        for i in [3, 68] {
            let added = qrels.add(&format!("q{i}"), &format!("d{i}"), 1);
            added.map_err(Error::Invalid)?;
        }
        let corpus = Corpus::new(documents)?;
        let dataset = Dataset {
            corpus,
            queries,
            qrels,
        };
        let mut reports = Vec::new();
        let mut progress = |done, total| {
            reports.push((done, total));
            true
        };
        let (run, evaluation) = evaluate_retriever(&retriever()?, &dataset, 10, &mut progress)?;
        assert_eq!(evaluation.mean(Measure::Rr(10)), Some(1.0));
        assert_eq!(run.get("q68").map(<[Hit]>::len), Some(10));
        assert_eq!(reports, [(0, 72), (2, 72), (72, 72)]);
        Ok(())
    }

    #[test]
    fn ranking_stops_when_asked_and_refuses_an_empty_corpus() -> Result<()> {
        let (retriever, documents) = (retriever()?, documents(2));
        let references: Vec<&Document> = documents.iter().collect();
        let queries = [("q".to_owned(), "text".to_owned())];
        let stopped = rank(&retriever, &references, &queries, 5, &mut |done, _| {
            done == 0
        });
        assert!(matches!(stopped, Err(Error::Stopped)));
        let empty = rank(&retriever, &[], &queries, 5, &mut |_, _| true);
        assert!(matches!(empty, Err(Error::Invalid(what)) if what.contains("got 0 and 1")));
        Ok(())
    }
}
