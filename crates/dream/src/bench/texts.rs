//! Texts and a model made up on the spot, to time and measure encoding without files.

use crate::model::Model;
use crate::model::config::{Architecture, DecoderConfig};
use crate::model::decoder::Decoder;
use crate::model::lora::Module;
use crate::tokenizer::Tokenizer;
use crate::{Error, Result};
use dream_nn::Dtype;
use dream_nn::ops::lora::mix;
use dream_nn::weights::Tensor;

/// Words that texts are made of.
const WORDS: usize = 2048;

/// Texts of a given length, made of a tokenizer's own words.
#[derive(Clone, Debug)]
pub struct RandomTexts {
    words: Vec<String>,
    tokens: usize,
}

impl RandomTexts {
    /// Texts of `tokens` words that are a token each: those with a space before them where the tokenizer
    /// has such (as byte-level vocabularies do), else letters.
    ///
    /// # Errors
    /// The tokenizer has no token for any letter.
    pub fn new(tokenizer: &Tokenizer, tokens: usize) -> Result<Self> {
        let is_one_token = |word: &String| tokenizer.encode(word).is_ok_and(|ids| ids.len() == 1);
        let words = (0..tokenizer.vocab_size() as u32)
            .filter_map(|id| tokenizer.decode(&[id]).ok())
            .filter(|word| {
                let letters = word.strip_prefix(' ').unwrap_or_default();
                !letters.is_empty() && letters.bytes().all(|b| b.is_ascii_lowercase())
            });
        let mut words: Vec<String> = words.filter(is_one_token).take(WORDS).collect();
        if words.is_empty() {
            let letters = ('a'..='z').map(String::from);
            words = letters.filter(is_one_token).collect();
        }
        if words.is_empty() {
            let what = "no text can be made up: the tokenizer has no token for a letter";
            return Err(Error::Invalid(what.into()));
        }
        Ok(Self { words, tokens })
    }

    /// The text with this number: always the same.
    pub fn text(&self, number: usize) -> String {
        let seed = mix(number as u64);
        let word = |i| &*self.words[(mix(seed ^ i) % self.words.len() as u64) as usize];
        (0..self.tokens as u64).map(word).collect()
    }
}

/// A model of two narrow layers and a token a byte, its weights random: what is measured with it is the
/// work around a model.
///
/// # Errors
/// None; the signature is that of reading a model.
pub fn tiny_model(dtype: Dtype) -> Result<Model> {
    let tokenizer = Tokenizer::bytes();
    let config = DecoderConfig {
        architecture: Architecture::Llama,
        vocab_size: tokenizer.vocab_size(),
        hidden_size: 32,
        intermediate_size: 64,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        num_key_value_heads: 2,
        head_dim: 8,
        max_position_embeddings: 512,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        rope_scaling: None,
        attention_bias: false,
        qk_norm: false,
        tie_word_embeddings: true,
        bos_token_id: tokenizer.bos_id(),
        eos_token_id: tokenizer.eos_id(),
    };
    let decoder = Decoder::from_tensors(config.clone(), dtype, |name| Ok(tensor(name, &config)))?;
    Ok(Model {
        decoder,
        tokenizer,
        path: "a tiny random model".into(),
        digest: String::new(),
    })
}

/// Norms of ones; numbers between -1/2 and 1/2 that depend on the tensor's name and their place elsewhere.
fn tensor(name: &str, config: &DecoderConfig) -> Tensor {
    let linear = Module::ALL.into_iter().find(|m| name.contains(&m.path()));
    let shape = match linear {
        Some(module) => {
            let (out_features, in_features) = module.shape(config);
            vec![out_features, in_features]
        }
        None if name.contains("norm") => vec![config.hidden_size],
        None => vec![config.vocab_size, config.hidden_size],
    };
    let seed = name.bytes().fold(0, |seed, b| mix(seed ^ u64::from(b)));
    let number = |i: usize| match shape.len() {
        1 => 1.0,
        _ => (mix(seed ^ i as u64) >> 40) as f32 / (1u32 << 24) as f32 - 0.5,
    };
    let data = (0..shape.iter().product()).map(number).collect();
    Tensor { shape, data }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_the_tokens_asked_for_and_differs_from_the_next() -> Result<()> {
        let tokenizer = Tokenizer::bytes();
        let texts = RandomTexts::new(&tokenizer, 12)?;
        assert_eq!(tokenizer.encode(&texts.text(3))?.len(), 12);
        assert_eq!(texts.text(3), texts.text(3));
        assert_ne!(texts.text(3), texts.text(4));
        Ok(())
    }
}
