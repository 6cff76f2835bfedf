//! The one decoder: Llama, Qwen2 and Qwen3 differ by switches of [`DecoderConfig`].
//!
//! A layer is RMSNorm, grouped-query attention with RoPE, RMSNorm, SwiGLU, each with a residual
//! connection. Its weights are frozen; what can be trained are [`super::lora::LoraAdapter`]s beside the linear
//! layers. Forward and backward are programs to be read downwards: [`forward`] and [`backward`].

pub mod backward;
pub mod batch;
pub mod forward;
mod rope;

pub use backward::{Ends, Found};
pub use batch::{Batch, PrefixCache};
pub use forward::{Output, Pass, Tape};

use super::checkpoint::Checkpoint;
use super::config::DecoderConfig;
use super::lora::Module;
use crate::Result;
use dream_nn::ops::attention::Heads;
use dream_nn::ops::linear::Linear;
use dream_nn::weights::Tensor;
use dream_nn::{Dtype, Frozen, Matrix, Start};

/// A frozen causal language model.
#[derive(Debug)]
pub struct Decoder {
    /// Sizes and switches.
    pub config: DecoderConfig,
    /// `[vocab_size, hidden_size]`
    embed_tokens: Frozen,
    layers: Vec<Layer>,
    /// `[hidden_size]`
    norm: Vec<f32>,
    /// `[vocab_size, hidden_size]`; absent where the embedding serves as the head too.
    lm_head: Option<Frozen>,
    /// `[head_dim / 2]`
    inverse_frequencies: Vec<f32>,
}

/// One block. Norm weights are `[hidden_size]`, query and key norms `[head_dim]`.
#[derive(Debug)]
struct Layer {
    input_layernorm: Vec<f32>,
    post_attention_layernorm: Vec<f32>,
    q_norm: Option<Vec<f32>>,
    k_norm: Option<Vec<f32>>,
    /// In the order of [`Module::ALL`].
    linears: [Linear; 7],
}

impl Layer {
    fn linear(&self, module: Module) -> &Linear {
        &self.linears[module as usize]
    }
}

impl Decoder {
    /// Reads all weights of a checkpoint into memory, each tensor straight into `dtype`.
    ///
    /// # Errors
    /// A tensor is missing, unreadable or of another shape than the configuration says.
    pub fn load(checkpoint: &Checkpoint, dtype: Dtype) -> Result<Self> {
        let tensor = |name: &str| checkpoint.tensor(name);
        Self::from_tensors(checkpoint.config.clone(), dtype, tensor)
    }

    /// Builds the model from tensors by their names in the transformers library.
    pub fn from_tensors(
        config: DecoderConfig,
        dtype: Dtype,
        tensor: impl Fn(&str) -> Result<Tensor>,
    ) -> Result<Self> {
        let vector = |name: String| Ok::<_, crate::Error>(tensor(&name)?.data);
        let matrix = |name: &str| {
            let Tensor { shape, data } = tensor(name)?;
            let matrix = Matrix::from_vec(shape[0], data.len() / shape[0], data);
            Ok::<_, crate::Error>(Frozen::new(matrix, dtype))
        };
        let layer = |i: usize| {
            let at = |rest: &str| format!("model.layers.{i}.{rest}.weight");
            let head_norm = |rest: &str| config.qk_norm.then(|| vector(at(rest))).transpose();
            let linear = |module: Module| {
                let path = format!("model.layers.{i}.{}", module.path());
                let biased = config.attention_bias && module.has_attention_bias();
                let bias = biased.then(|| vector(format!("{path}.bias"))).transpose()?;
                Ok::<_, crate::Error>(Linear::new(matrix(&format!("{path}.weight"))?, bias))
            };
            let [q, k, v, o, gate, up, down] = Module::ALL.map(linear);
            Ok::<_, crate::Error>(Layer {
                input_layernorm: vector(at("input_layernorm"))?,
                post_attention_layernorm: vector(at("post_attention_layernorm"))?,
                q_norm: head_norm("self_attn.q_norm")?,
                k_norm: head_norm("self_attn.k_norm")?,
                linears: [q?, k?, v?, o?, gate?, up?, down?],
            })
        };
        let layers = (0..config.num_hidden_layers)
            .map(layer)
            .collect::<Result<_>>()?;
        let lm_head = if config.tie_word_embeddings {
            None
        } else {
            Some(matrix("lm_head.weight")?)
        };
        Ok(Self {
            embed_tokens: matrix("model.embed_tokens.weight")?,
            layers,
            norm: vector("model.norm.weight".into())?,
            lm_head,
            inverse_frequencies: rope::inverse_frequencies(&config),
            config,
        })
    }

    /// Next-token logits of some rows of final hidden states:
    /// `[rows, hidden_size]` to `[rows, vocab_size]`.
    pub fn logits(&self, hidden: &Matrix) -> Matrix {
        self.head().forward(&hidden.into(), Start::Zero, None)
    }

    /// Backward of [`Self::logits`]: `[rows, vocab_size]` to `[rows, hidden_size]`.
    pub fn logits_backward(&self, d_logits: &Matrix) -> Matrix {
        let head = self.head();
        head.input_gradient(&d_logits.into(), Start::Zero, None)
    }

    fn head(&self) -> &Frozen {
        self.lm_head.as_ref().unwrap_or(&self.embed_tokens)
    }

    /// Number of parameters, the tied head counted once.
    pub fn n_parameters(&self) -> usize {
        let size = |w: &Frozen| w.rows() * w.cols();
        let linear = |l: &Linear| size(l.weight());
        let layers: usize = self
            .layers
            .iter()
            .map(|l| l.linears.iter().map(linear).sum::<usize>())
            .sum();
        let head = self.lm_head.as_ref().map_or(0, size);
        let norms = self.norm.len() * (2 * self.layers.len() + 1);
        size(&self.embed_tokens) + layers + head + norms
    }

    fn heads(&self) -> Heads {
        Heads {
            n_heads: self.config.num_attention_heads,
            n_kv_heads: self.config.num_key_value_heads,
            head_dim: self.config.head_dim,
        }
    }
}
