//! What goes through the decoder at once: sequences one after the other, without padding.

use dream_nn::ops::attention::KeyValues;
use dream_nn::ops::lora::mix;
use std::ops::Range;

/// Token sequences of any lengths, as rows of one matrix.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Token ids of all sequences, `[rows]`.
    pub ids: Vec<u32>,
    /// The rows of each sequence.
    pub segments: Vec<Range<usize>>,
    /// Position of each row in its text, prefix included, `[rows]`.
    pub positions: Vec<u32>,
}

impl Batch {
    /// Packs sequences whose first token stands at `first_position` (the length of the prefix).
    pub fn new<'a>(sequences: impl IntoIterator<Item = &'a [u32]>, first_position: usize) -> Self {
        Self::starting_at(sequences.into_iter().map(|ids| (ids, first_position)))
    }

    /// Packs sequences, each with the position of its first token.
    pub fn starting_at<'a>(sequences: impl IntoIterator<Item = (&'a [u32], usize)>) -> Self {
        let mut batch = Self::default();
        for (sequence, first_position) in sequences {
            let start = batch.ids.len();
            batch.ids.extend_from_slice(sequence);
            batch.segments.push(start..batch.ids.len());
            batch
                .positions
                .extend((0..sequence.len()).map(|i| (first_position + i) as u32));
        }
        batch
    }

    /// Rows in all.
    pub fn rows(&self) -> usize {
        self.ids.len()
    }

    /// A name for each row that depends on its sequence's tokens and position alone, `[rows]`:
    /// the same text drops the same values in whatever batch it is encoded.
    pub fn row_keys(&self) -> Vec<u64> {
        let mut keys = Vec::with_capacity(self.rows());
        for segment in &self.segments {
            let ids = &self.ids[segment.clone()];
            let text = ids.iter().fold(0, |key, id| mix(key ^ u64::from(*id)));
            keys.extend((0..ids.len() as u64).map(|i| mix(text ^ i)));
        }
        keys
    }
}

/// Keys and values of documents in every layer: constants of the loss (method 2.5), unless the language
/// model is tuned too.
#[derive(Clone, Debug)]
pub struct PrefixCache {
    /// Tokens.
    pub len: usize,
    /// One entry a layer.
    pub layers: Vec<KeyValues>,
}
