//! Text to token ids and back, by the rules of the model's own tokenizer.
//!
//! The work is done by the `tokenizers` crate; this module decides where a model's tokenizer comes from
//! (`tokenizer.json`, or the vocabulary inside a GGUF file, see [`byte_level`]) and which ids open and close a text.
//! Truncation and padding set in a `tokenizer.json` are dropped: prompts and batches are cut by whoever packs them.

pub mod byte_level;
mod load;
mod save;

use std::path::Path;

use rayon::prelude::*;

use crate::{Error, Result};

/// Ids of the tokens with a fixed role, where the model has them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SpecialIds {
    /// Opens a text.
    pub bos: Option<u32>,
    /// Closes a text; last-token pooling reads its hidden state.
    pub eos: Option<u32>,
    /// Fills up a batch.
    pub pad: Option<u32>,
}

/// A tokenizer, with the ids that open and close a text.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    special: SpecialIds,
    vocab_size: usize,
    /// What the post-processor puts before and after a text.
    prefix: Vec<u32>,
    suffix: Vec<u32>,
}

impl Tokenizer {
    /// The tokenizer of a model: a checkpoint folder or a GGUF file.
    ///
    /// A `tokenizer.json` in the folder (or beside the GGUF file) wins; without one, the vocabulary inside the GGUF is used.
    pub fn for_model(path: &Path) -> Result<Self> {
        load::for_model(path)
    }

    /// Reads a `tokenizer.json`; the special ids come from the files beside it (`tokenizer_config.json`,
    /// else `generation_config.json`, else `config.json`).
    pub fn from_file(path: &Path) -> Result<Self> {
        load::from_file(path)
    }

    /// A byte-level tokenizer for tiny models made by code: id b is byte b, then `<|bos|>` 256, `<|eos|>` 257, `<|pad|>` 258.
    pub fn bytes() -> Self {
        byte_level::bytes()
    }

    /// Wraps a tokenizer of the `tokenizers` crate. `vocab_size` is at least `highest id + 1` after this.
    pub(crate) fn wrap(
        mut inner: tokenizers::Tokenizer,
        special: SpecialIds,
        vocab_size: usize,
    ) -> Result<Self> {
        inner.with_padding(None);
        inner
            .with_truncation(None)
            .map_err(|e| Error::Invalid(format!("tokenizer: {e}")))?;
        let highest = inner
            .get_vocab(true)
            .values()
            .max()
            .map_or(0, |id| *id as usize + 1);
        let mut tokenizer = Self {
            inner,
            special,
            vocab_size: vocab_size.max(highest),
            prefix: Vec::new(),
            suffix: Vec::new(),
        };
        tokenizer.find_affixes()?;
        Ok(tokenizer)
    }

    /// Learns what the post-processor adds by encoding a letter with and without it.
    fn find_affixes(&mut self) -> Result<()> {
        let (plain, full) = (self.encode("a")?, self.encode_with_special("a")?);
        let start = full
            .windows(plain.len().max(1))
            .position(|w| w == plain)
            .unwrap_or(0);
        self.prefix = full[..start].to_vec();
        self.suffix = full[(start + plain.len()).min(full.len())..].to_vec();
        Ok(())
    }

    /// Token ids of `text`, nothing added. A special token's string inside the text becomes that token,
    /// as in the reference tokenizers.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        self.run(text, false)
    }

    /// Token ids of `text` with what the tokenizer's post-processor adds (for example an opening BOS).
    pub fn encode_with_special(&self, text: &str) -> Result<Vec<u32>> {
        self.run(text, true)
    }

    /// [`Self::encode`] of every text, in parallel, in order.
    pub fn encode_batch<S: AsRef<str> + Sync>(&self, texts: &[S]) -> Result<Vec<Vec<u32>>> {
        texts
            .par_iter()
            .map(|text| self.run(text.as_ref(), false))
            .collect()
    }

    fn run(&self, text: &str, with_special: bool) -> Result<Vec<u32>> {
        match self.inner.encode_fast(text, with_special) {
            Ok(encoding) => Ok(encoding.get_ids().to_vec()),
            Err(e) => Err(Error::Invalid(format!(
                "cannot tokenise a text of {} bytes: {e}",
                text.len()
            ))),
        }
    }

    /// The text of `ids`, special tokens included. Bytes that are not UTF-8 come out as U+FFFD.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        if let Some(id) = ids.iter().find(|id| **id as usize >= self.vocab_size) {
            let size = self.vocab_size;
            return Err(Error::Invalid(format!(
                "token id {id} is outside the vocabulary of {size} tokens"
            )));
        }
        self.inner
            .decode(ids, false)
            .map_err(|e| Error::Invalid(format!("cannot decode {} tokens: {e}", ids.len())))
    }

    /// The token's own spelling (byte-level vocabularies write a space as `Ġ`).
    pub fn token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// The id of a token by its own spelling.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// The id that opens a text, if the model has one.
    pub fn bos_id(&self) -> Option<u32> {
        self.special.bos
    }

    /// The id that closes a text, if the model has one.
    pub fn eos_id(&self) -> Option<u32> {
        self.special.eos
    }

    /// The id that fills up a batch, if the model has one.
    pub fn pad_id(&self) -> Option<u32> {
        self.special.pad
    }

    /// Whether [`Self::encode_with_special`] puts BOS before a text.
    pub fn adds_bos(&self) -> bool {
        self.special.bos.is_some() && self.prefix.first() == self.special.bos.as_ref()
    }

    /// Whether [`Self::encode_with_special`] puts EOS after a text.
    pub fn adds_eos(&self) -> bool {
        self.special.eos.is_some() && self.suffix.last() == self.special.eos.as_ref()
    }

    /// One more than the highest token id. A model's embedding may have more rows, never fewer.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// The same tokenizer whose post-processor closes every text with EOS: what a retriever with last-token pooling
    /// exports, so that other programs encode as it was trained.
    pub fn with_appended_eos(&self) -> Result<Self> {
        let Some(eos) = self.special.eos else {
            return Err(Error::Invalid(
                "cannot append EOS: this tokenizer has no end-of-text token".into(),
            ));
        };
        if self.adds_eos() {
            return Ok(self.clone());
        }
        let mut inner = self.inner.clone();
        let suffix: Vec<u32> = self.suffix.iter().copied().chain([eos]).collect();
        let template = byte_level::template(&inner, &self.prefix, &suffix)?;
        inner.with_post_processor(Some(template));
        Self::wrap(inner, self.special, self.vocab_size)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_byte_tokenizer_gives_the_bytes_of_the_text_and_back() {
        let tokenizer = Tokenizer::bytes();
        let text = "Ab 7\n\u{e9}\u{1F642}\0";
        let expected: Vec<u32> = text.bytes().map(u32::from).collect();
        assert_eq!(tokenizer.encode(text).unwrap(), expected);
        assert_eq!(tokenizer.decode(&expected).unwrap(), text);
        assert_eq!(
            (tokenizer.bos_id(), tokenizer.eos_id(), tokenizer.pad_id()),
            (Some(256), Some(257), Some(258))
        );
        assert_eq!(
            (
                tokenizer.adds_bos(),
                tokenizer.adds_eos(),
                tokenizer.vocab_size()
            ),
            (false, false, 259)
        );
    }

    #[test]
    fn a_batch_is_encoded_in_order() {
        let tokenizer = Tokenizer::bytes();
        let texts: Vec<String> = (0..100).map(|i| format!("text {i}")).collect();
        let batch = tokenizer.encode_batch(&texts).unwrap();
        for (text, ids) in texts.iter().zip(&batch) {
            assert_eq!(&tokenizer.encode(text).unwrap(), ids);
        }
    }

    #[test]
    fn appending_eos_changes_only_what_the_post_processor_adds() {
        let tokenizer = Tokenizer::bytes().with_appended_eos().unwrap();
        assert!(tokenizer.adds_eos() && !tokenizer.adds_bos());
        assert_eq!(tokenizer.encode("hi").unwrap(), [104, 105]); // ASCII codes of h and i
        assert_eq!(
            tokenizer.encode_with_special("hi").unwrap(),
            [104, 105, 257]
        );
        assert_eq!(
            tokenizer
                .with_appended_eos()
                .unwrap()
                .encode_with_special("hi")
                .unwrap(),
            [104, 105, 257]
        );
        assert_eq!(tokenizer.encode_with_special("").unwrap(), [257]);
    }

    #[test]
    fn an_id_outside_the_vocabulary_is_an_error_not_a_gap_in_the_text() {
        let message = Tokenizer::bytes()
            .decode(&[72, 300])
            .unwrap_err()
            .to_string();
        assert_eq!(
            message,
            "token id 300 is outside the vocabulary of 259 tokens"
        );
    }
}
