//! Many texts to embeddings: a stream in input order, in memory that does not grow with their number.
//!
//! Texts are read ahead up to a *window* and tokenised. Within the window they are put in order of length
//! and cut into *batches* of a number of tokens; a batch runs through the model at once, packed, without
//! padding. When the last batch of a window is done, its embeddings come out in the order of the texts.
//!
//! An embedding does not depend on what stands beside its text except by rounding: the products of a batch may
//! add up in another order than those of the text alone.

use crate::retriever::{Retriever, Role, Text, chunks};
use crate::{Error, Result};
use dream_nn::Matrix;
use rayon::prelude::*;
use std::cmp::Reverse;
use std::num::NonZeroUsize;

/// Tokens that run through the model at once unless something else is asked for.
pub const BATCH_TOKENS: NonZeroUsize = NonZeroUsize::new(4096).expect("not zero");

/// Batches of tokens that a window holds.
const WINDOW_BATCHES: usize = 8;
/// Texts that a window holds at most, however short they are: bounds the embeddings that wait for their turn.
const WINDOW_TEXTS: usize = 4096;
/// Texts that are read and tokenised together; fewer where they are long.
const GROUP_TEXTS: usize = 64;
/// A group ends early when its texts hold this many bytes.
const GROUP_BYTES: usize = 1 << 20;

/// A stream of texts, each with a key (an id, or nothing), that is encoded as it is read.
///
/// Each item of the iterator is a batch that went through the model.
#[derive(Debug)]
pub struct EncodeStream<'a, K, I> {
    retriever: &'a Retriever,
    role: Role,
    batch_tokens: usize,
    texts: I,
    window: Window<K>,
    /// Set by the first error: nothing comes after it.
    failed: bool,
}

/// What one batch did, and what can be handed out since.
#[derive(Clone, Debug)]
pub struct EncodedBatch<K> {
    /// Tokens of each text that it encoded.
    pub lengths: Vec<usize>,
    /// Keys of the texts whose embeddings are here, in input order: a whole window's after its last batch,
    /// none before.
    pub keys: Vec<K>,
    /// One row a key, `[keys, dim]`.
    pub embeddings: Matrix,
}

/// Texts that were read ahead.
#[derive(Debug)]
struct Window<K> {
    /// In input order.
    keys: Vec<K>,
    /// Longest first.
    texts: Vec<Text>,
    /// Where each of `texts` stands in the input order.
    places: Vec<usize>,
    /// How many of `texts` are encoded.
    done: usize,
    /// In input order, `[texts, dim]`.
    embeddings: Matrix,
}

impl<'a, K, S, I> EncodeStream<'a, K, I>
where
    S: AsRef<str> + Sync,
    I: Iterator<Item = Result<(K, S)>>,
{
    /// Encodes `texts` in batches of at most `batch_tokens` tokens; a longer text is a batch of its own.
    pub fn new(
        retriever: &'a Retriever,
        role: Role,
        batch_tokens: NonZeroUsize,
        texts: impl IntoIterator<IntoIter = I>,
    ) -> Self {
        Self {
            retriever,
            role,
            batch_tokens: batch_tokens.get(),
            texts: texts.into_iter(),
            window: Window::new(Vec::new(), Vec::new(), 0),
            failed: false,
        }
    }

    fn next_batch(&mut self) -> Result<Option<EncodedBatch<K>>> {
        if self.window.is_done() {
            self.window = self.read_window()?;
        }
        if self.window.is_done() {
            return Ok(None);
        }
        self.window
            .encode_batch(self.retriever, self.batch_tokens)
            .map(Some)
    }

    fn read_window(&mut self) -> Result<Window<K>> {
        let (mut keys, mut texts) = (Vec::new(), Vec::new());
        let mut tokens = 0;
        let wanted = self.batch_tokens.saturating_mul(WINDOW_BATCHES);
        while tokens < wanted && texts.len() < WINDOW_TEXTS {
            let group = self.read_group(&mut keys)?;
            if group.is_empty() {
                break;
            }
            let group = tokenize(self.retriever, self.role, &group)?;
            tokens += group.iter().map(|text| text.ids.len()).sum::<usize>();
            texts.extend(group);
        }
        Ok(Window::new(keys, texts, self.retriever.dim()))
    }

    fn read_group(&mut self, keys: &mut Vec<K>) -> Result<Vec<S>> {
        let mut group = Vec::new();
        let mut bytes = 0;
        while group.len() < GROUP_TEXTS && bytes < GROUP_BYTES {
            let Some(next) = self.texts.next() else {
                break;
            };
            let (key, text) = next?;
            bytes += text.as_ref().len();
            keys.push(key);
            group.push(text);
        }
        Ok(group)
    }
}

impl<K, S, I> Iterator for EncodeStream<'_, K, I>
where
    S: AsRef<str> + Sync,
    I: Iterator<Item = Result<(K, S)>>,
{
    type Item = Result<EncodedBatch<K>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.next_batch();
        self.failed = next.is_err();
        next.transpose()
    }
}

impl<K> Window<K> {
    fn new(keys: Vec<K>, texts: Vec<Text>, dim: usize) -> Self {
        let mut order: Vec<(usize, Text)> = texts.into_iter().enumerate().collect();
        order.sort_by_key(|(_, text)| Reverse(text.ids.len()));
        let (places, texts): (Vec<_>, Vec<_>) = order.into_iter().unzip();
        Self {
            embeddings: Matrix::zeros(texts.len(), dim),
            keys,
            texts,
            places,
            done: 0,
        }
    }

    fn is_done(&self) -> bool {
        self.done == self.texts.len()
    }

    fn encode_batch(&mut self, retriever: &Retriever, tokens: usize) -> Result<EncodedBatch<K>> {
        let batch = chunks(&self.texts[self.done..], tokens)[0];
        let embedded = retriever.embed_batch(batch);
        check_finite(retriever, &embedded)?;
        let lengths: Vec<usize> = batch.iter().map(|text| text.ids.len()).collect();
        for row in 0..lengths.len() {
            let target = self.embeddings.row_mut(self.places[self.done + row]);
            target.copy_from_slice(embedded.row(row));
        }
        self.done += lengths.len();
        let mut encoded = EncodedBatch {
            lengths,
            keys: Vec::new(),
            embeddings: Matrix::zeros(0, retriever.dim()),
        };
        if self.is_done() {
            encoded.keys = std::mem::take(&mut self.keys);
            encoded.embeddings = std::mem::take(&mut self.embeddings);
        }
        Ok(encoded)
    }
}

/// Embeddings of texts of one role, `[texts, dim]`.
///
/// # Errors
/// A text cannot be tokenised or does not fit the model's context; the model gives no numbers.
pub fn encode<S: AsRef<str> + Sync>(
    retriever: &Retriever,
    role: Role,
    texts: &[S],
) -> Result<Matrix> {
    let mut data = Vec::with_capacity(texts.len() * retriever.dim());
    let stream = texts.iter().map(|text| Ok(((), text)));
    for batch in EncodeStream::new(retriever, role, BATCH_TOKENS, stream) {
        data.extend(batch?.embeddings.into_vec());
    }
    Ok(Matrix::from_vec(texts.len(), retriever.dim(), data))
}

/// Tokens of texts of one role, on all threads.
///
/// # Errors
/// A text cannot be tokenised or does not fit the model's context.
pub fn tokenize<S: AsRef<str> + Sync>(
    retriever: &Retriever,
    role: Role,
    texts: &[S],
) -> Result<Vec<Text>> {
    let tokenized = texts
        .par_iter()
        .map(|text| retriever.tokenize(role, text.as_ref()));
    tokenized.collect()
}

fn check_finite(retriever: &Retriever, embeddings: &Matrix) -> Result<()> {
    if embeddings.data().iter().all(|x| x.is_finite()) {
        return Ok(());
    }
    let path = retriever.model.path.display();
    let what = format!("the embeddings of the retriever on {path}");
    Err(Error::NotFinite(what))
}

#[cfg(test)]
mod tests;
