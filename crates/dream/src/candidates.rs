//! Sources of candidates by embeddings, and all sources behind one enum: for [`crate::mine`] and for
//! training, whose pools may be searched again while the retriever learns.

use crate::encode::encode;
use crate::evaluate::HYBRID_DEPTH;
use crate::index::kinds::VectorIndex;
use crate::index::{DataHasher, Index};
use crate::retriever::{Retriever, Role};
use crate::{Error, Result};
use dream_ir::fusion::{DEFAULT_K, Method};
use dream_ir::pools::{Finder, Found, Numbered, fused};
use dream_ir::{Bm25, Corpus};
use std::path::Path;

/// A retriever and what it searches: the documents of the corpus, by position.
#[derive(Clone, Copy)]
pub struct Dense<'a> {
    /// Embeds queries.
    pub retriever: &'a Retriever,
    /// Embeddings of the whole corpus.
    pub documents: &'a dyn VectorIndex,
}

/// How two lists become one.
#[derive(Clone, Debug, PartialEq)]
pub struct Fusion {
    /// By ranks or by scores.
    pub method: Method,
    /// Of embeddings and of BM25.
    pub weights: [f64; 2],
}

/// What finds candidates.
#[derive(Clone, Copy)]
pub enum Source<'a> {
    /// No embeddings.
    Plain(Finder<'a>),
    /// Inner products of embeddings.
    Dense(Dense<'a>),
    /// Embeddings and BM25.
    Hybrid(Dense<'a>, &'a Bm25, &'a Fusion),
}

impl Default for Fusion {
    /// Reciprocal ranks, both lists alike.
    fn default() -> Self {
        Self {
            method: Method::ReciprocalRank { k: DEFAULT_K },
            weights: [1.0; 2],
        }
    }
}

impl Source<'_> {
    /// For each row at most `depth` documents, best first.
    ///
    /// # Errors
    /// See [`Finder::find`], [`fused`] and [`encode`].
    pub fn find(
        &self,
        rows: &[Numbered<'_>],
        corpus: &Corpus,
        depth: usize,
    ) -> Result<Vec<Vec<Found>>> {
        match self {
            Self::Plain(finder) => Ok(finder.find(rows, corpus, depth)?),
            Self::Dense(dense) => dense.find(rows, depth),
            Self::Hybrid(dense, index, Fusion { method, weights }) => {
                let each = depth.max(HYBRID_DEPTH);
                let words = Finder::Bm25(index).find(rows, corpus, each)?;
                let lists = [dense.find(rows, each)?, words];
                Ok(fused(&lists, corpus, *method, weights, depth)?)
            }
        }
    }
}

impl Dense<'_> {
    fn find(&self, rows: &[Numbered<'_>], depth: usize) -> Result<Vec<Vec<Found>>> {
        let queries: Vec<&str> = rows.iter().map(|(_, row)| row.query.as_str()).collect();
        let queries = encode(self.retriever, Role::Query, &queries)?;
        let found = self.documents.search(&queries, depth)?;
        Ok(found.into_iter().map(Found::all).collect())
    }
}

/// Refuses an index of other documents than the corpus's, or of the same in another order.
///
/// # Errors
/// Their number, an id, or the digest of ids and texts differs.
pub fn check_index(index: &Index, folder: &Path, corpus: &Corpus) -> Result<()> {
    let folder = folder.display();
    let (indexed, held) = (index.len(), corpus.len());
    if indexed != held {
        return Err(Error::Invalid(format!(
            "{folder} holds {indexed} documents, the data {held}: encode the data again"
        )));
    }
    let pairs = index.ids().zip(corpus.documents()).enumerate();
    for (position, (id, document)) in pairs {
        if id != document.id {
            return Err(Error::Invalid(format!(
                "document {} of {folder} is {id:?}, that of the data {:?}: encode the data again",
                position + 1,
                document.id
            )));
        }
    }
    if let Some(data) = &index.manifest.data {
        let mut hasher = DataHasher::default();
        for document in corpus.documents() {
            hasher.add(&document.id, &document.full_text());
        }
        if hasher.finish() != *data {
            return Err(Error::Invalid(format!(
                "{folder} was made of other texts than the data's: encode the data again"
            )));
        }
    }
    Ok(())
}
