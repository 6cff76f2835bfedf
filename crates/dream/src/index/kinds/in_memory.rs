//! Exact search over embeddings that are in memory and in no file.

use super::super::search::{Scored, TopK};
use super::{VectorIndex, check};
use crate::encode::{BATCH_TOKENS, EncodeStream};
use crate::evaluate::Progress;
use crate::retriever::{Retriever, Role};
use crate::{Error, Result};
use dream_ir::Corpus;
use dream_nn::{Matrix, Rows};

/// All documents of a corpus, embedded.
#[derive(Debug)]
pub struct InMemory {
    /// `[documents, dim]`
    embeddings: Matrix,
}

impl InMemory {
    /// Embeds a corpus; `progress` gets the documents that are done and those in all.
    ///
    /// # Errors
    /// A text that cannot be encoded, a model that gives no numbers; [`Error::Stopped`] if `progress` says so.
    pub fn embed(retriever: &Retriever, corpus: &Corpus, progress: &mut Progress) -> Result<Self> {
        let mut data = Vec::with_capacity(corpus.len() * retriever.dim());
        let mut done = 0;
        let texts = corpus.documents().iter();
        let texts = texts.map(|document| Ok(((), document.full_text())));
        for batch in EncodeStream::new(retriever, Role::Document, BATCH_TOKENS, texts) {
            let batch = batch?;
            data.extend(batch.embeddings.into_vec());
            done += batch.lengths.len();
            if !progress(done, corpus.len()) {
                return Err(Error::Stopped);
            }
        }
        Ok(Self {
            embeddings: Matrix::from_vec(corpus.len(), retriever.dim(), data),
        })
    }
}

impl VectorIndex for InMemory {
    fn dim(&self) -> usize {
        self.embeddings.cols()
    }

    fn search(&self, queries: &Matrix, k: usize) -> Result<Vec<Vec<Scored>>> {
        check(queries, self.dim(), k)?;
        let mut top = TopK::new(queries, k)?;
        top.add(Rows::plain(self.embeddings.data(), self.dim()));
        Ok(top.finish())
    }
}
