//! What is trained of a retriever, and of a language model that is tuned too: low-rank adapters beside the decoder's linear layers.

use crate::{Error, Result};
use dream_nn::Matrix;
use dream_nn::ops::elementwise::scale;
use dream_nn::ops::lora::{Lora, LoraGradient};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

use super::config::DecoderConfig;

/// A linear layer of a block, by its name in the transformers library.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say all")]
pub enum Module {
    QProj,
    KProj,
    VProj,
    OProj,
    GateProj,
    UpProj,
    DownProj,
}

impl Module {
    /// All seven, in forward order.
    pub const ALL: [Self; 7] = [
        Self::QProj,
        Self::KProj,
        Self::VProj,
        Self::OProj,
        Self::GateProj,
        Self::UpProj,
        Self::DownProj,
    ];

    /// `self_attn.q_proj` and so on.
    pub fn path(self) -> String {
        let block = if self <= Self::OProj {
            "self_attn"
        } else {
            "mlp"
        };
        format!("{block}.{self}")
    }

    /// Whether the module has a bias where the configuration says `attention_bias`.
    pub fn has_attention_bias(self) -> bool {
        self <= Self::VProj
    }

    /// `(out_features, in_features)` in a model of this configuration.
    pub fn shape(self, config: &DecoderConfig) -> (usize, usize) {
        let hidden = config.hidden_size;
        let queries = config.num_attention_heads * config.head_dim;
        let keys = config.num_key_value_heads * config.head_dim;
        match self {
            Self::QProj => (queries, hidden),
            Self::KProj | Self::VProj => (keys, hidden),
            Self::OProj => (hidden, queries),
            Self::GateProj | Self::UpProj => (config.intermediate_size, hidden),
            Self::DownProj => (hidden, config.intermediate_size),
        }
    }
}

impl fmt::Display for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::QProj => "q_proj",
            Self::KProj => "k_proj",
            Self::VProj => "v_proj",
            Self::OProj => "o_proj",
            Self::GateProj => "gate_proj",
            Self::UpProj => "up_proj",
            Self::DownProj => "down_proj",
        })
    }
}

impl FromStr for Module {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|m| m.to_string() == name)
            .ok_or_else(|| {
                let all = Self::ALL.map(|m| m.to_string()).join(", ");
                Error::Invalid(format!(
                    "unknown LoRA target module {name:?}; known are {all}"
                ))
            })
    }
}

/// How a model is adapted; field names as in PEFT's `LoraConfig`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LoraConfig {
    /// Rank.
    pub r: usize,
    /// Scale: the update is multiplied by `lora_alpha / r`.
    pub lora_alpha: f32,
    /// Share of input values dropped in training.
    pub lora_dropout: f32,
    /// Scale by `lora_alpha / sqrt(r)` instead (rank-stabilised LoRA).
    pub use_rslora: bool,
    /// Which layers are adapted.
    pub target_modules: Vec<Module>,
}

impl Default for LoraConfig {
    fn default() -> Self {
        Self {
            r: 16,
            lora_alpha: 32.0,
            lora_dropout: 0.0,
            use_rslora: false,
            target_modules: Module::ALL.to_vec(),
        }
    }
}

impl LoraConfig {
    /// The factor of `B A x`.
    pub fn scale(&self) -> f32 {
        let r = self.r as f32;
        self.lora_alpha / if self.use_rslora { r.sqrt() } else { r }
    }
}

/// All adapted layers of one model.
#[derive(Clone, Debug, PartialEq)]
pub struct LoraAdapter {
    /// Rank, scale and targets.
    pub config: LoraConfig,
    /// For each layer, for each of [`Module::ALL`].
    pub layers: Vec<[Option<Lora>; 7]>,
}

/// Gradients of a [`LoraAdapter`], shaped as it is.
#[derive(Clone, Debug)]
pub struct LoraGradients {
    /// For each layer, for each of [`Module::ALL`].
    pub layers: Vec<[Option<LoraGradient>; 7]>,
}

impl LoraAdapter {
    /// A fresh adapter: `A` Kaiming-uniform with bound `1 / sqrt(in_features)` as PEFT draws it, `B` zero.
    ///
    /// # Errors
    /// The configuration is out of range.
    pub fn new(config: LoraConfig, model: &DecoderConfig, seed: u64) -> Result<Self> {
        if config.r == 0 || config.r > model.hidden_size {
            let what = format!(
                "lora r must be 1 to {}, not {}",
                model.hidden_size, config.r
            );
            return Err(Error::Invalid(what));
        }
        if !(0.0..1.0).contains(&config.lora_dropout) {
            let what = format!(
                "lora_dropout must be in [0, 1), not {}",
                config.lora_dropout
            );
            return Err(Error::Invalid(what));
        }
        if config.target_modules.is_empty() {
            return Err(Error::Invalid("target_modules names no module".into()));
        }
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut layer = || {
            Module::ALL.map(|module| {
                config.target_modules.contains(&module).then(|| {
                    let (out_features, in_features) = module.shape(model);
                    let bound = 1.0 / (in_features as f32).sqrt();
                    let a = (0..config.r * in_features)
                        .map(|_| rng.random_range(-bound..bound))
                        .collect();
                    Lora {
                        a: Matrix::from_vec(config.r, in_features, a),
                        b: Matrix::zeros(out_features, config.r),
                        scale: config.scale(),
                    }
                })
            })
        };
        let layers = (0..model.num_hidden_layers).map(|_| layer()).collect();
        Ok(Self { config, layers })
    }

    /// The trainable leaves by PEFT's names for a causal language model as base.
    pub fn names(&self) -> Vec<String> {
        self.entries()
            .flat_map(|(layer, module, _)| {
                let base = format!("base_model.model.model.layers.{layer}.{}", module.path());
                [
                    format!("{base}.lora_A.weight"),
                    format!("{base}.lora_B.weight"),
                ]
            })
            .collect()
    }

    /// The trainable leaves to write to, in the order of [`Self::names`].
    pub fn parameters_mut(&mut self) -> Vec<&mut [f32]> {
        let loras = self.layers.iter_mut().flatten().flatten();
        loras
            .flat_map(|lora| [lora.a.data_mut(), lora.b.data_mut()])
            .collect()
    }

    /// The trainable leaves, in the order of [`Self::names`].
    pub fn parameters(&self) -> Vec<&Matrix> {
        self.entries()
            .flat_map(|(_, _, lora)| [&lora.a, &lora.b])
            .collect()
    }

    /// Zero gradients.
    pub fn zero_gradients(&self) -> LoraGradients {
        let zeros = |layer: &[Option<Lora>; 7]| {
            std::array::from_fn(|i| layer[i].as_ref().map(LoraGradient::zeros))
        };
        LoraGradients {
            layers: self.layers.iter().map(zeros).collect(),
        }
    }

    fn entries(&self) -> impl Iterator<Item = (usize, Module, &Lora)> {
        self.layers.iter().enumerate().flat_map(|(i, layer)| {
            Module::ALL
                .into_iter()
                .filter_map(move |module| Some((i, module, layer[module as usize].as_ref()?)))
        })
    }
}

impl LoraGradients {
    /// Zeros of the same shape.
    #[must_use]
    pub fn zeros(&self) -> Self {
        let zeros = |g: &LoraGradient| LoraGradient {
            a: Matrix::zeros(g.a.rows(), g.a.cols()),
            b: Matrix::zeros(g.b.rows(), g.b.cols()),
        };
        let layers = self.layers.iter();
        let layers = layers.map(|layer| std::array::from_fn(|i| layer[i].as_ref().map(zeros)));
        Self {
            layers: layers.collect(),
        }
    }

    /// `self += other`.
    pub fn add_assign(&mut self, other: &Self) {
        let mine = self.layers.iter_mut().flatten().flatten();
        for (mine, other) in mine.zip(other.layers.iter().flatten().flatten()) {
            mine.a.add_assign(&other.a);
            mine.b.add_assign(&other.b);
        }
    }

    /// `self *= factor`.
    pub fn scale(&mut self, factor: f32) {
        for part in self.parts_mut() {
            scale(part, factor);
        }
    }

    /// The gradients in the order of [`LoraAdapter::names`].
    pub fn parts(&self) -> Vec<&[f32]> {
        let all = self.layers.iter().flatten().flatten();
        all.flat_map(|gradient| [gradient.a.data(), gradient.b.data()])
            .collect()
    }

    /// The gradients to write to, in the order of [`LoraAdapter::names`].
    pub fn parts_mut(&mut self) -> Vec<&mut [f32]> {
        let all = self.layers.iter_mut().flatten().flatten();
        all.flat_map(|gradient| [gradient.a.data_mut(), gradient.b.data_mut()])
            .collect()
    }
}
