//! Which tensors a model has, their shapes, and what a GGUF file calls them.

use crate::model::config::{Architecture, DecoderConfig};
use crate::model::lora::Module;

/// The embedding; also the head of a tied model.
pub(super) const EMBEDDING: &str = "model.embed_tokens.weight";

/// One tensor of a model.
#[derive(Debug, PartialEq)]
pub(super) struct Place {
    /// Row-major.
    pub shape: Vec<usize>,
    /// Its name in a GGUF file.
    pub gguf: String,
    /// Whether a GGUF file permutes its rows for interleaved RoPE.
    pub gguf_interleaves_rope: bool,
    /// Whether this is the head of a model whose embedding is its head.
    pub is_tied_head: bool,
}

/// The tensor `name`, or `None` if a model of this configuration has none such.
pub(super) fn place(config: &DecoderConfig, name: &str) -> Option<Place> {
    let plain = |shape: &[usize], gguf: String| Place {
        shape: shape.to_vec(),
        gguf,
        gguf_interleaves_rope: false,
        is_tied_head: false,
    };
    let (vocab, hidden) = (config.vocab_size, config.hidden_size);
    match name {
        EMBEDDING => return Some(plain(&[vocab, hidden], "token_embd.weight".to_owned())),
        "model.norm.weight" => return Some(plain(&[hidden], "output_norm.weight".to_owned())),
        "lm_head.weight" => {
            let is_tied_head = config.tie_word_embeddings;
            let gguf = if is_tied_head { "token_embd" } else { "output" };
            return Some(Place {
                is_tied_head,
                ..plain(&[vocab, hidden], format!("{gguf}.weight"))
            });
        }
        _ => {}
    }

    let (layer, rest) = name.strip_prefix("model.layers.")?.split_once('.')?;
    let i: usize = layer.parse().ok()?;
    if i >= config.num_hidden_layers || i.to_string() != layer {
        return None;
    }
    let block = |tensor: &str| format!("blk.{i}.{tensor}");
    let head_norm = |gguf: &str| {
        config
            .qk_norm
            .then(|| plain(&[config.head_dim], block(gguf)))
    };
    match rest {
        "input_layernorm.weight" => return Some(plain(&[hidden], block("attn_norm.weight"))),
        "post_attention_layernorm.weight" => {
            return Some(plain(&[hidden], block("ffn_norm.weight")));
        }
        "self_attn.q_norm.weight" => return head_norm("attn_q_norm.weight"),
        "self_attn.k_norm.weight" => return head_norm("attn_k_norm.weight"),
        _ => {}
    }

    let (path, kind) = rest.rsplit_once('.')?;
    let module = Module::ALL.into_iter().find(|m| m.path() == path)?;
    let (out_features, in_features) = module.shape(config);
    let gguf = block(&format!("{}.{kind}", gguf_linear(module)));
    match kind {
        "weight" => Some(Place {
            gguf_interleaves_rope: config.architecture == Architecture::Llama
                && matches!(module, Module::QProj | Module::KProj),
            ..plain(&[out_features, in_features], gguf)
        }),
        "bias" if config.attention_bias && module.has_attention_bias() => {
            Some(plain(&[out_features], gguf))
        }
        _ => None,
    }
}

fn gguf_linear(module: Module) -> &'static str {
    match module {
        Module::QProj => "attn_q",
        Module::KProj => "attn_k",
        Module::VProj => "attn_v",
        Module::OProj => "attn_output",
        Module::GateProj => "ffn_gate",
        Module::UpProj => "ffn_up",
        Module::DownProj => "ffn_down",
    }
}
