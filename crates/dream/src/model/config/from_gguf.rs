//! The head of a GGUF file: `general.architecture` and the keys below that name.

use dream_nn::weights::{Gguf, MetaValue};

use super::{Architecture, Complaint, DecoderConfig, RopeScaling};
use crate::Result;

pub(super) fn read(gguf: &Gguf) -> Result<DecoderConfig> {
    let complaint = Complaint {
        path: gguf.path().to_owned(),
    };
    let Some(architecture) = gguf.metadata.get("general.architecture") else {
        return Err(complaint.malformed("general.architecture is missing"));
    };
    let Some(name) = architecture.as_str() else {
        return Err(complaint.malformed(format!(
            "general.architecture is {}, wanted a string",
            architecture.kind()
        )));
    };
    let architecture = complaint.architecture("general.architecture", name)?;
    Keys {
        gguf,
        complaint: &complaint,
        architecture,
    }
    .read()
}

struct Keys<'a> {
    gguf: &'a Gguf,
    complaint: &'a Complaint,
    architecture: Architecture,
}

impl Keys<'_> {
    fn read(&self) -> Result<DecoderConfig> {
        self.refuse_what_is_not_computed()?;
        let hidden_size = self.size("embedding_length")?;
        let num_attention_heads = self.size("attention.head_count")?;
        let embedding = self.gguf.shape("token_embd.weight");
        let Some(&[vocab_size, _]) = embedding.as_deref() else {
            return Err(self.complaint.malformed(format!(
                "token_embd.weight has shape {embedding:?}, wanted [vocab_size, hidden_size]"
            )));
        };
        Ok(DecoderConfig {
            architecture: self.architecture,
            vocab_size,
            hidden_size,
            intermediate_size: self.size("feed_forward_length")?,
            num_hidden_layers: self.size("block_count")?,
            num_attention_heads,
            num_key_value_heads: self
                .optional_size("attention.head_count_kv")?
                .unwrap_or(num_attention_heads),
            head_dim: self.head_dim(hidden_size, num_attention_heads)?,
            max_position_embeddings: self.size("context_length")?,
            rms_norm_eps: self
                .number("attention.layer_norm_rms_epsilon")?
                .ok_or_else(|| self.missing("attention.layer_norm_rms_epsilon"))?,
            rope_theta: self.number("rope.freq_base")?.unwrap_or(10_000.0),
            rope_scaling: self.rope_scaling()?,
            attention_bias: self.architecture == Architecture::Qwen2,
            qk_norm: self.architecture == Architecture::Qwen3,
            tie_word_embeddings: self.gguf.shape("output.weight").is_none(),
            bos_token_id: self.token("bos_token_id")?,
            eos_token_id: self.token("eos_token_id")?,
        })
    }

    fn refuse_what_is_not_computed(&self) -> Result<()> {
        if let Some(scaling) = self.get("rope.scaling.type")
            && scaling.as_str() != Some("none")
        {
            let found = scaling.as_str().unwrap_or(scaling.kind());
            let setting = self.key("rope.scaling.type");
            let accepted = "none, or the tensor rope_freqs.weight";
            return Err(self.complaint.unsupported(&setting, found, accepted));
        }
        for key in ["expert_count", "attention.sliding_window"] {
            if let Some(n) = self.optional_size(key)?.filter(|&n| n > 0) {
                return Err(self.complaint.unsupported(&self.key(key), n, "none"));
            }
        }
        // A tensor that would be left out silently: its first layer tells.
        let qkv = ["attn_q.bias", "attn_k.bias", "attn_v.bias"];
        let refused = if self.architecture == Architecture::Qwen2 {
            &["attn_output.bias", "ffn_up.bias"][..]
        } else {
            &[qkv[0], qkv[1], qkv[2], "attn_output.bias", "ffn_up.bias"]
        };
        for bias in refused {
            let name = format!("blk.0.{bias}");
            if self.gguf.shape(&name).is_some() {
                return Err(self.complaint.unsupported(&name, "present", "none"));
            }
        }
        Ok(())
    }

    fn head_dim(&self, hidden_size: usize, heads: usize) -> Result<usize> {
        let head_dim = match self.optional_size("attention.key_length")? {
            Some(n) => n,
            None if heads > 0 && hidden_size.is_multiple_of(heads) => hidden_size / heads,
            None => {
                return Err(self.complaint.malformed(format!(
                    "embedding_length {hidden_size} is not a multiple of attention.head_count {heads}, \
                     and attention.key_length is missing"
                )));
            }
        };
        for key in ["attention.value_length", "rope.dimension_count"] {
            if let Some(other) = self.optional_size(key)?.filter(|&n| n != head_dim) {
                let accepted = format!("the head size {head_dim}");
                let setting = self.key(key);
                return Err(self.complaint.unsupported(&setting, other, &accepted));
            }
        }
        Ok(head_dim)
    }

    fn rope_scaling(&self) -> Result<Option<RopeScaling>> {
        let name = "rope_freqs.weight";
        if self.gguf.shape(name).is_none() {
            return Ok(None);
        }
        Ok(Some(RopeScaling::Factors(self.gguf.tensor(name)?.data)))
    }

    fn key(&self, key: &str) -> String {
        format!("{}.{key}", self.architecture)
    }

    fn get(&self, key: &str) -> Option<&MetaValue> {
        self.gguf.metadata.get(&self.key(key))
    }

    fn missing(&self, key: &str) -> crate::Error {
        self.complaint
            .malformed(format!("{} is missing", self.key(key)))
    }

    fn size(&self, key: &str) -> Result<usize> {
        self.optional_size(key)?.ok_or_else(|| self.missing(key))
    }

    fn optional_size(&self, key: &str) -> Result<Option<usize>> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        let size = value.as_u64().and_then(|n| usize::try_from(n).ok());
        size.map(Some)
            .ok_or_else(|| self.wrong_kind(&self.key(key), value, "a whole number"))
    }

    fn number(&self, key: &str) -> Result<Option<f32>> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        let number = value.as_f64().map(|x| x as f32);
        number
            .map(Some)
            .ok_or_else(|| self.wrong_kind(&self.key(key), value, "a number"))
    }

    fn token(&self, name: &str) -> Result<Option<u32>> {
        let key = format!("tokenizer.ggml.{name}");
        let Some(value) = self.gguf.metadata.get(&key) else {
            return Ok(None);
        };
        let id = value.as_u64().and_then(|n| u32::try_from(n).ok());
        id.map(Some)
            .ok_or_else(|| self.wrong_kind(&key, value, "a token id"))
    }

    fn wrong_kind(&self, key: &str, found: &MetaValue, wanted: &str) -> crate::Error {
        let kind = found.kind();
        self.complaint
            .malformed(format!("{key} is {kind}, wanted {wanted}"))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::Error;

    const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/gguf/tiny-llama.gguf");

    /// The error for the tiny Llama with the bytes after the first `after` overwritten by `with`.
    fn error_with(after: &str, skip: usize, with: &[u8]) -> Error {
        let mut bytes = std::fs::read(FIXTURE).unwrap();
        let found = bytes
            .windows(after.len())
            .position(|w| w == after.as_bytes());
        let at = found.unwrap() + after.len() + skip;
        bytes[at..at + with.len()].copy_from_slice(with);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("edited.gguf");
        std::fs::write(&path, bytes).unwrap();
        DecoderConfig::from_gguf(&Gguf::open(&path).unwrap()).unwrap_err()
    }

    #[test]
    fn what_is_not_computed_is_refused_by_name() {
        // After a key: the type of the value (4 bytes), then the value; before a string its length (8 bytes).
        let cases = [
            (
                error_with("general.architecture", 12, b"bloom"),
                "general.architecture is bloom, accepted: llama, qwen2, qwen3",
            ),
            (
                error_with("llama.rope.dimension_count", 4, &[6]),
                "llama.rope.dimension_count is 6, accepted: the head size 8",
            ),
            (
                error_with("blk.0.attn_", 0, b"output.bias"),
                "blk.0.attn_output.bias is present, accepted: none",
            ),
        ];
        for (error, wanted) in cases {
            assert!(matches!(error, Error::UnsupportedModel { .. }), "{error}");
            assert!(error.to_string().contains(wanted), "{error}");
        }
    }

    #[test]
    fn missing_and_impossible_values_are_refused_by_name() {
        let float = 6_u32.to_le_bytes();
        let cases = [
            (
                error_with("llama.block_", 0, b"COUNT"),
                "llama.block_count is missing",
            ),
            (
                error_with("llama.block_count", 4, &[0]),
                "num_hidden_layers is 0, wanted 1 to 1024",
            ),
            (
                error_with("llama.block_count", 4, &[0xFF; 4]),
                "num_hidden_layers is 4294967295",
            ),
            (
                error_with("llama.block_count", 0, &float),
                "llama.block_count is a floating-point number, wanted a whole number",
            ),
            (
                error_with("llama.attention.head_count", 4, &[0]),
                "attention.key_length is missing",
            ),
            (
                error_with("token_emb", 0, b"x"),
                "token_embd.weight has shape None",
            ),
            (
                error_with("tokenizer.ggml.eos_token_id", 4, &[0xFF; 4]),
                "eos_token_id is 4294967295, wanted less than vocab_size 300",
            ),
        ];
        for (error, wanted) in cases {
            assert!(matches!(error, Error::Malformed { .. }), "{error}");
            assert!(error.to_string().contains(wanted), "{error}");
        }
    }
}
