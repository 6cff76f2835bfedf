//! What a decoder is: its sizes and switches, from a `config.json` or from the head of a GGUF file.
//!
//! Names are those of `config.json` in the transformers library. A file may come from a stranger, so every size is
//! held against a cap before anything is built from it, and a setting that this program does not compute is refused
//! by name instead of being ignored.

mod from_gguf;
mod from_json;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use dream_nn::weights::Gguf;

use crate::{Error, Result};

/// A family of decoders that differ by switches only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// Llama 2 and 3, SmolLM2 and others of that shape.
    Llama,
    /// Qwen2 and Qwen2.5: biases on q, k and v.
    Qwen2,
    /// Qwen3: RMS norms on the heads' queries and keys, head size of its own.
    Qwen3,
}

/// How the inverse frequencies of the rotary embedding are stretched for long contexts.
#[derive(Debug, Clone, PartialEq)]
pub enum RopeScaling {
    /// `rope_type: llama3`: low frequencies are divided by `factor`, high ones kept, those between interpolated.
    Llama3 {
        /// Divisor of the low frequencies.
        factor: f32,
        /// Below this number of turns in the original context a frequency is low.
        low_freq_factor: f32,
        /// Above this number of turns in the original context a frequency is high.
        high_freq_factor: f32,
        /// The original context, in tokens.
        original_max_position_embeddings: usize,
    },
    /// A divisor for each frequency, `[head_dim / 2]`: the tensor `rope_freqs.weight` of a GGUF file.
    Factors(Vec<f32>),
}

/// Sizes and switches of a decoder; every value has been checked.
#[derive(Debug, Clone, PartialEq)]
pub struct DecoderConfig {
    /// The family.
    pub architecture: Architecture,
    /// Rows of the embedding.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Inner width of the feed-forward block.
    pub intermediate_size: usize,
    /// Number of blocks.
    pub num_hidden_layers: usize,
    /// Query heads of a layer.
    pub num_attention_heads: usize,
    /// Key and value heads of a layer; divides the query heads.
    pub num_key_value_heads: usize,
    /// Width of a head; even.
    pub head_dim: usize,
    /// The longest context, in tokens.
    pub max_position_embeddings: usize,
    /// Epsilon of all RMS norms.
    pub rms_norm_eps: f32,
    /// Base of the rotary embedding's frequencies.
    pub rope_theta: f32,
    /// How the frequencies are stretched, if they are.
    pub rope_scaling: Option<RopeScaling>,
    /// Whether q, k and v have biases (Qwen2).
    pub attention_bias: bool,
    /// Whether queries and keys are normalised head by head (Qwen3).
    pub qk_norm: bool,
    /// Whether the embedding serves as the output head too.
    pub tie_word_embeddings: bool,
    /// Token that begins a text, if the model has one.
    pub bos_token_id: Option<u32>,
    /// Token that ends a text, if the model has one; the first if the file lists several.
    pub eos_token_id: Option<u32>,
}

impl DecoderConfig {
    /// Reads a `config.json`, in the spelling of transformers 4 or 5.
    pub fn from_json(path: &Path) -> Result<Self> {
        from_json::read(path)?.checked(path)
    }

    /// Reads the metadata of a GGUF file.
    pub fn from_gguf(gguf: &Gguf) -> Result<Self> {
        from_gguf::read(gguf)?.checked(gguf.path())
    }

    /// The same configuration, if every value is one that a real model could have.
    fn checked(self, path: &Path) -> Result<Self> {
        let malformed = |what: String| Error::Malformed {
            path: path.to_owned(),
            what,
        };
        // Well above the largest public models of these families; products of them stay far below 2^63.
        let sizes = [
            ("vocab_size", self.vocab_size, 1 << 22),
            ("hidden_size", self.hidden_size, 1 << 16),
            ("intermediate_size", self.intermediate_size, 1 << 19),
            ("num_hidden_layers", self.num_hidden_layers, 1 << 10),
            ("num_attention_heads", self.num_attention_heads, 1 << 10),
            ("num_key_value_heads", self.num_key_value_heads, 1 << 10),
            ("head_dim", self.head_dim, 1 << 10),
            (
                "max_position_embeddings",
                self.max_position_embeddings,
                1 << 24,
            ),
        ];
        for (name, found, most) in sizes {
            if !(1..=most).contains(&found) {
                return Err(malformed(format!("{name} is {found}, wanted 1 to {most}")));
            }
        }
        if !self
            .num_attention_heads
            .is_multiple_of(self.num_key_value_heads)
        {
            return Err(malformed(format!(
                "num_attention_heads {} is not a multiple of num_key_value_heads {}",
                self.num_attention_heads, self.num_key_value_heads
            )));
        }
        if !self.head_dim.is_multiple_of(2) {
            return Err(malformed(format!(
                "head_dim is {}, wanted an even number",
                self.head_dim
            )));
        }
        if !(self.rms_norm_eps > 0.0 && self.rms_norm_eps < 1.0) {
            return Err(malformed(format!(
                "rms_norm_eps is {}, wanted a number between 0 and 1",
                self.rms_norm_eps
            )));
        }
        if !(self.rope_theta >= 1.0 && self.rope_theta.is_finite()) {
            return Err(malformed(format!(
                "rope_theta is {}, wanted a number from 1",
                self.rope_theta
            )));
        }
        if let Some(scaling) = &self.rope_scaling {
            scaling.check(self.head_dim).map_err(malformed)?;
        }
        for (name, token) in [
            ("bos_token_id", self.bos_token_id),
            ("eos_token_id", self.eos_token_id),
        ] {
            if let Some(id) = token.filter(|&id| id as usize >= self.vocab_size) {
                return Err(malformed(format!(
                    "{name} is {id}, wanted less than vocab_size {}",
                    self.vocab_size
                )));
            }
        }
        Ok(self)
    }
}

impl RopeScaling {
    fn check(&self, head_dim: usize) -> Result<(), String> {
        match self {
            &Self::Llama3 {
                factor,
                low_freq_factor,
                high_freq_factor,
                original_max_position_embeddings: original,
            } => {
                let valid = factor >= 1.0
                    && factor.is_finite()
                    && low_freq_factor > 0.0
                    && high_freq_factor > low_freq_factor
                    && high_freq_factor.is_finite()
                    && (1..=1 << 24).contains(&original);
                valid.then_some(()).ok_or_else(|| {
                    format!(
                        "llama3 rope scaling has factor {factor}, low_freq_factor {low_freq_factor}, \
                         high_freq_factor {high_freq_factor}, original_max_position_embeddings {original}; \
                         wanted factor from 1, 0 < low < high, original from 1"
                    )
                })
            }
            Self::Factors(factors) => {
                if factors.len() != head_dim / 2 {
                    return Err(format!(
                        "rope_freqs.weight has {} values, wanted half of head_dim {head_dim}",
                        factors.len()
                    ));
                }
                match factors.iter().find(|f| !(**f > 0.0 && f.is_finite())) {
                    Some(bad) => Err(format!(
                        "rope_freqs.weight holds {bad}, wanted positive numbers"
                    )),
                    None => Ok(()),
                }
            }
        }
    }
}

impl Architecture {
    const ACCEPTED: &str = "llama, qwen2, qwen3";
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Llama => "llama",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
        })
    }
}

impl FromStr for Architecture {
    type Err = Error;

    /// By the `model_type` of a `config.json`.
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "llama" => Ok(Self::Llama),
            "qwen2" => Ok(Self::Qwen2),
            "qwen3" => Ok(Self::Qwen3),
            _ => Err(Error::Invalid(format!(
                "unknown architecture {text:?}, wanted one of {}",
                Self::ACCEPTED
            ))),
        }
    }
}

/// Errors of one file, in the words of both readers.
struct Complaint {
    path: PathBuf,
}

impl Complaint {
    fn malformed(&self, what: impl Into<String>) -> Error {
        Error::Malformed {
            path: self.path.clone(),
            what: what.into(),
        }
    }

    fn unsupported(&self, setting: &str, found: impl fmt::Display, accepted: &str) -> Error {
        Error::UnsupportedModel {
            path: self.path.clone(),
            what: format!("{setting} is {found}, accepted: {accepted}"),
        }
    }

    /// The architecture by its name in the file.
    fn architecture(&self, setting: &str, found: &str) -> Result<Architecture> {
        found
            .parse()
            .map_err(|_| self.unsupported(setting, found, Architecture::ACCEPTED))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_architecture_round_trips_through_its_text() -> Result<()> {
        for text in Architecture::ACCEPTED.split(", ") {
            assert_eq!(text.parse::<Architecture>()?.to_string(), text);
        }
        assert!("gemma3".parse::<Architecture>().is_err());
        Ok(())
    }
}
