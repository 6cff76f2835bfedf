//! `config.json` as transformers 4 (`rope_theta`, `rope_scaling`) and 5 (`rope_parameters`) write it.
//! Keys that do not change what is computed (dropout, dtype, cache, ...) are ignored; those that would are refused.

use std::path::Path;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Architecture, Complaint, DecoderConfig, RopeScaling};
use crate::{Error, Result};

/// Real ones have a few kilobytes.
const MAX_BYTES: u64 = 1 << 20;
/// Qwen3's head size where its file does not say one.
const QWEN3_HEAD_DIM: usize = 128;

/// First stage: what every model's file says.
#[derive(Deserialize)]
struct Kind {
    model_type: Option<String>,
}

/// Second stage: the keys of the three supported families.
#[derive(Deserialize)]
struct Written {
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    max_position_embeddings: usize,
    rms_norm_eps: Option<f32>,
    rope_theta: Option<f32>,
    rope_scaling: Option<WrittenRope>,
    rope_parameters: Option<WrittenRope>,
    partial_rotary_factor: Option<f32>,
    attention_bias: Option<bool>,
    mlp_bias: Option<bool>,
    hidden_act: Option<String>,
    use_sliding_window: Option<bool>,
    layer_types: Option<Vec<String>>,
    tie_word_embeddings: Option<bool>,
    bos_token_id: Option<TokenIds>,
    eos_token_id: Option<TokenIds>,
    quantization_config: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct WrittenRope {
    rope_theta: Option<f32>,
    /// Called `type` before transformers 4.45.
    #[serde(alias = "type")]
    rope_type: Option<String>,
    factor: Option<f32>,
    low_freq_factor: Option<f32>,
    high_freq_factor: Option<f32>,
    original_max_position_embeddings: Option<usize>,
    partial_rotary_factor: Option<f32>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum TokenIds {
    One(u32),
    Several(Vec<u32>),
}

impl TokenIds {
    fn first(&self) -> Option<u32> {
        match self {
            Self::One(id) => Some(*id),
            Self::Several(ids) => ids.first().copied(),
        }
    }
}

pub(super) fn read(path: &Path) -> Result<DecoderConfig> {
    let complaint = Complaint {
        path: path.to_owned(),
    };
    let io = |source| Error::io(path, source);
    let n_bytes = std::fs::metadata(path).map_err(io)?.len();
    if n_bytes > MAX_BYTES {
        let what = format!("{n_bytes} bytes, wanted at most {MAX_BYTES}");
        return Err(complaint.malformed(what));
    }
    let text = std::fs::read(path).map_err(io)?;
    parse(&text, &complaint)
}

fn parse(text: &[u8], complaint: &Complaint) -> Result<DecoderConfig> {
    let syntax = |e: serde_json::Error| complaint.malformed(e.to_string());
    let kind: Kind = serde_json::from_slice(text).map_err(syntax)?;
    let Some(model_type) = kind.model_type else {
        return Err(complaint.malformed("model_type is missing"));
    };
    let architecture = complaint.architecture("model_type", &model_type)?;
    let written: Written = serde_json::from_slice(text).map_err(syntax)?;
    written.refuse_what_is_not_computed(complaint)?;

    let (rope_theta, rope_scaling) = written.rope(complaint)?;
    Ok(DecoderConfig {
        architecture,
        vocab_size: written.vocab_size,
        hidden_size: written.hidden_size,
        intermediate_size: written.intermediate_size,
        num_hidden_layers: written.num_hidden_layers,
        num_attention_heads: written.num_attention_heads,
        num_key_value_heads: written
            .num_key_value_heads
            .unwrap_or(written.num_attention_heads),
        head_dim: written.head_dim(architecture, complaint)?,
        max_position_embeddings: written.max_position_embeddings,
        // The default of all three families' classes.
        rms_norm_eps: written.rms_norm_eps.unwrap_or(1e-6),
        rope_theta,
        rope_scaling,
        attention_bias: architecture == Architecture::Qwen2,
        qk_norm: architecture == Architecture::Qwen3,
        tie_word_embeddings: written.tie_word_embeddings.unwrap_or(false),
        bos_token_id: written.bos_token_id.as_ref().and_then(TokenIds::first),
        eos_token_id: written.eos_token_id.as_ref().and_then(TokenIds::first),
    })
}

impl Written {
    fn head_dim(&self, architecture: Architecture, complaint: &Complaint) -> Result<usize> {
        if let Some(head_dim) = self.head_dim {
            return Ok(head_dim);
        }
        if architecture == Architecture::Qwen3 {
            return Ok(QWEN3_HEAD_DIM);
        }
        let (hidden, heads) = (self.hidden_size, self.num_attention_heads);
        if heads == 0 || !hidden.is_multiple_of(heads) {
            return Err(complaint.malformed(format!(
                "hidden_size {hidden} is not a multiple of num_attention_heads {heads}, and head_dim is missing"
            )));
        }
        Ok(hidden / heads)
    }

    fn refuse_what_is_not_computed(&self, complaint: &Complaint) -> Result<()> {
        let flags = [
            ("attention_bias", self.attention_bias),
            ("mlp_bias", self.mlp_bias),
            ("use_sliding_window", self.use_sliding_window),
        ];
        for (name, flag) in flags {
            if flag == Some(true) {
                return Err(complaint.unsupported(name, true, "false"));
            }
        }
        if let Some(act) = self.hidden_act.as_deref().filter(|act| *act != "silu") {
            return Err(complaint.unsupported("hidden_act", act, "silu"));
        }
        let layer_types = self.layer_types.iter().flatten();
        if let Some(other) = layer_types.into_iter().find(|t| *t != "full_attention") {
            return Err(complaint.unsupported("an entry of layer_types", other, "full_attention"));
        }
        if self.quantization_config.is_some() {
            return Err(complaint.unsupported(
                "quantization_config",
                "present",
                "plain F32, F16 or BF16 safetensors, or a GGUF file",
            ));
        }
        let ropes = [&self.rope_scaling, &self.rope_parameters];
        let factors = ropes.into_iter().flatten().map(|r| r.partial_rotary_factor);
        for factor in factors.chain([self.partial_rotary_factor]).flatten() {
            if factor != 1.0 {
                return Err(complaint.unsupported("partial_rotary_factor", factor, "1"));
            }
        }
        Ok(())
    }

    /// Base and scaling. Where both spellings stand in the file they must agree.
    fn rope(&self, complaint: &Complaint) -> Result<(f32, Option<RopeScaling>)> {
        let ropes = [&self.rope_parameters, &self.rope_scaling];
        let ropes = || ropes.into_iter().flatten();
        let thetas = ropes().map(|r| r.rope_theta).chain([self.rope_theta]);
        let theta = agreed("rope_theta", thetas.flatten(), complaint)?;
        let mut scalings = Vec::new();
        for rope in ropes() {
            scalings.push(rope.scaling(complaint)?);
        }
        let scaling = agreed("rope scaling", scalings, complaint)?;
        // The default of all three families' classes.
        Ok((theta.unwrap_or(10_000.0), scaling.flatten()))
    }
}

/// The one value that all spellings give.
fn agreed<T: PartialEq + std::fmt::Debug>(
    name: &str,
    values: impl IntoIterator<Item = T>,
    complaint: &Complaint,
) -> Result<Option<T>> {
    let mut values = values.into_iter();
    let first = values.next();
    for other in values {
        if Some(&other) != first.as_ref() {
            return Err(complaint.malformed(format!(
                "{name} is given twice, as {first:?} and as {other:?}"
            )));
        }
    }
    Ok(first)
}

impl WrittenRope {
    fn scaling(&self, complaint: &Complaint) -> Result<Option<RopeScaling>> {
        let missing = |key: &str| complaint.malformed(format!("llama3 rope scaling lacks {key}"));
        match self.rope_type.as_deref() {
            None | Some("default") => Ok(None),
            Some("llama3") => Ok(Some(RopeScaling::Llama3 {
                factor: self.factor.ok_or_else(|| missing("factor"))?,
                low_freq_factor: self
                    .low_freq_factor
                    .ok_or_else(|| missing("low_freq_factor"))?,
                high_freq_factor: self
                    .high_freq_factor
                    .ok_or_else(|| missing("high_freq_factor"))?,
                original_max_position_embeddings: self
                    .original_max_position_embeddings
                    .ok_or_else(|| missing("original_max_position_embeddings"))?,
            })),
            Some(other) => Err(complaint.unsupported("rope_type", other, "default, llama3")),
        }
    }
}

#[cfg(test)]
#[path = "from_json_tests.rs"]
mod tests;
