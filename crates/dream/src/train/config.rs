//! What a training configuration says (`dream train CONFIG.toml`); names as the field uses them.
//!
//! This is the first stage: what was written, with defaults, unknown keys refused. Models and head
//! lists are names here; whoever starts the training resolves them.

pub use super::objective::settings::{ObjectiveConfig, TEMPERATURE_RANGE};

use crate::heads::detect::DetectSettings;
use crate::injection::{Budget, Rows};
use crate::model::lora::{LoraConfig, Module};
use crate::prompt::{PromptLimits, Template};
use crate::retriever::RetrieverConfig;
use crate::{Error, Result};
use dream_ir::{Bm25Params, Filters, KnownPassage, Language, PoolSettings, PoolSource};
use dream_nn::DtypeChoice;
use dream_nn::optim::Schedule;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The whole file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// Seed of everything drawn.
    #[serde(default)]
    pub seed: u64,
    /// Number type of the frozen weights: `auto`, `f32` or `bf16`.
    #[serde(default = "auto_dtype")]
    pub dtype: DtypeChoice,
    /// The run folder.
    pub output: PathBuf,
    /// Training rows, corpus, pools.
    pub data: DataConfig,
    /// The language model; not needed by `infonce`.
    pub llm: Option<LlmConfig>,
    /// The model to train.
    pub retriever: TrainedRetrieverConfig,
    /// What is minimised.
    #[serde(default)]
    pub objective: ObjectiveConfig,
    /// AdamW and its schedule.
    #[serde(default)]
    pub optimizer: OptimizerConfig,
    /// Length of the run.
    #[serde(default)]
    pub training: TrainingConfig,
    /// Evaluation while training.
    #[serde(default)]
    pub eval: EvalConfig,
}

fn auto_dtype() -> DtypeChoice {
    DtypeChoice::Auto
}

/// `[data]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// Folder with `train.jsonl` and `corpus.jsonl` (plain, `.gz` or `.zst`).
    pub path: PathBuf,
    /// Training rows, such as `dream mine` writes, instead of `path`'s `train.jsonl`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<PathBuf>,
    /// Where candidates come from: `bm25`, `as-given`, `random`, `in-batch` (known passages of other
    /// rows), or `dense` and `hybrid` (searched with the retriever that is trained).
    #[serde(default = "bm25")]
    pub pool: PoolSource,
    /// Steps after which `dense` and `hybrid` candidates are searched again, with the retriever as it is
    /// by then; 0: only before the first step.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub refresh_every: u64,
    /// Documents of the source's list that are looked at [default: as many as are needed, 100 where
    /// there are filters].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depth: Option<usize>,
    /// What happens to the known passage: `as-found` (no label at all), `include`, `exclude`.
    #[serde(default = "as_found")]
    pub known_passage: KnownPassage,
    /// Documents a prompt.
    #[serde(default = "eight")]
    pub candidates: usize,
    /// Queries that share one prompt's documents; each brings `candidates / queries_per_pool` of its
    /// own, best first.
    #[serde(default = "one")]
    pub queries_per_pool: usize,
    /// BM25's k1.
    #[serde(default = "k1")]
    pub bm25_k1: f32,
    /// BM25's b.
    #[serde(default = "b")]
    pub bm25_b: f32,
    /// Language of the texts, for BM25's stop words and stemmer.
    #[serde(default)]
    pub language: Language,
    /// What keeps documents out of a pool: `[data.filters]`.
    #[serde(default, skip_serializing_if = "Filters::is_none")]
    pub filters: Filters,
}

impl DataConfig {
    /// How pools are built.
    pub fn pool_settings(&self, seed: u64) -> PoolSettings {
        PoolSettings {
            depth: self.depth,
            known_passage: self.known_passage,
            filters: self.filters,
            seed,
            bm25: Bm25Params {
                k1: self.bm25_k1,
                b: self.bm25_b,
                language: self.language,
            },
            ..PoolSettings::new(self.pool, self.candidates)
        }
    }

    fn check(&self, seed: u64) -> Result<()> {
        let settings = self.pool_settings(seed).check();
        settings.map_err(|e| Error::Invalid(format!("data: {e}")))?;
        if self.refresh_every > 0 && !self.pool.is_embedding() {
            return Err(Error::Invalid(format!(
                "data.refresh_every searches again with the retriever, so it needs pool = \"dense\" or \"hybrid\", \
                 not {:?}",
                self.pool.to_string()
            )));
        }
        Ok(())
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for a reference"
)]
fn is_zero(steps: &u64) -> bool {
    *steps == 0
}

fn bm25() -> PoolSource {
    PoolSource::Bm25
}
fn as_found() -> KnownPassage {
    KnownPassage::AsFound
}
fn eight() -> usize {
    8
}
fn one() -> usize {
    1
}
fn k1() -> f32 {
    Bm25Params::default().k1
}
fn b() -> f32 {
    Bm25Params::default().b
}

/// `[llm]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LlmConfig {
    /// Name or path.
    pub model: String,
    /// `14-3,21-2`, or the file of a head list; without it, heads are detected before training if the
    /// objective looks at heads.
    pub heads: Option<String>,
    /// How heads are detected.
    #[serde(default)]
    pub detect: DetectSettings,
    /// Injected rows.
    #[serde(default)]
    pub rows: Rows,
    /// Document budget.
    #[serde(default)]
    pub budget: Budget,
    /// Share of injection against the model's own attention.
    #[serde(default = "gate")]
    pub gate: f32,
    /// Texts of the prompt.
    #[serde(default)]
    pub template: Template,
    /// Tokens a document in the prompt, at most.
    #[serde(default = "prompt_document_tokens")]
    pub document_tokens: usize,
    /// Tokens of a question's own text in the prompt, at most; longer questions are cut.
    #[serde(default = "prompt_question_tokens")]
    pub question_tokens: usize,
    /// Tokens a target, at most.
    #[serde(default = "prompt_target_tokens")]
    pub target_tokens: usize,
    /// An adapter of the language model that is trained too, with the same loss; without this table it
    /// stays frozen. It is not needed once training is over.
    pub lora: Option<LlmLoraConfig>,
}

/// `[llm.lora]`: the fields of `[retriever.lora]`, and a factor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LlmLoraConfig {
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
    /// Its learning rate is `optimizer.lr` times this.
    pub lr_factor: f64,
}

impl Default for LlmLoraConfig {
    fn default() -> Self {
        let LoraConfig {
            r,
            lora_alpha,
            lora_dropout,
            use_rslora,
            target_modules,
        } = LoraConfig::default();
        Self {
            r,
            lora_alpha,
            lora_dropout,
            use_rslora,
            target_modules,
            lr_factor: 1.0,
        }
    }
}

impl LlmLoraConfig {
    /// The adapter's own part.
    pub fn adapter(&self) -> LoraConfig {
        LoraConfig {
            r: self.r,
            lora_alpha: self.lora_alpha,
            lora_dropout: self.lora_dropout,
            use_rslora: self.use_rslora,
            target_modules: self.target_modules.clone(),
        }
    }
}

impl LlmConfig {
    /// Where the texts of a prompt are cut.
    pub fn limits(&self) -> PromptLimits {
        PromptLimits {
            document_tokens: self.document_tokens,
            question_tokens: self.question_tokens,
            target_tokens: self.target_tokens,
        }
    }
}

fn gate() -> f32 {
    1.0
}
fn prompt_document_tokens() -> usize {
    256
}
fn prompt_question_tokens() -> usize {
    64
}
fn prompt_target_tokens() -> usize {
    64
}

/// `[retriever]`: the base model, how texts become embeddings, and `[retriever.lora]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainedRetrieverConfig {
    /// Name or path of the base.
    pub model: String,
    /// Pooling, prompts and lengths: `[retriever.encoding]`.
    #[serde(default = "training_lengths")]
    pub encoding: RetrieverConfig,
    /// Adapters.
    #[serde(default)]
    pub lora: LoraConfig,
    /// Texts of each role whose statistics start the standardising layer.
    #[serde(default = "standardize_texts")]
    pub standardize_texts: usize,
}

fn training_lengths() -> RetrieverConfig {
    RetrieverConfig {
        max_query_tokens: 64,
        max_document_tokens: 256,
        ..RetrieverConfig::default()
    }
}
fn standardize_texts() -> usize {
    512
}

/// `[optimizer]`: AdamW.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OptimizerConfig {
    /// Peak learning rate.
    pub lr: f64,
    /// Decoupled weight decay, of LoRA matrices only.
    pub weight_decay: f64,
    /// Steps of rising learning rate.
    pub warmup_steps: u64,
    /// `linear`, `cosine` or `constant`.
    #[serde(with = "schedule_text")]
    pub schedule: Schedule,
    /// Largest global norm of the gradient.
    pub max_grad_norm: f64,
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self {
            lr: 2e-4,
            weight_decay: 0.01,
            warmup_steps: 10,
            schedule: Schedule::Linear,
            max_grad_norm: 1.0,
        }
    }
}

mod schedule_text {
    use super::Schedule;
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde asks for a reference"
    )]
    pub fn serialize<S: Serializer>(schedule: &Schedule, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(schedule)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Schedule, D::Error> {
        String::deserialize(d)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// `[training]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainingConfig {
    /// Optimiser steps.
    pub steps: u64,
    /// Queries a step, accumulated over prompts.
    pub batch_size: usize,
    /// Retriever tokens whose activations are in memory at once; a step with more is computed twice
    /// (gradient caching), so memory does not grow with candidates.
    pub chunk_tokens: usize,
    /// Steps between checkpoints; 0 saves no others than always: the start, the last step, before each
    /// evaluation, and where the run is stopped.
    pub save_every: u64,
}

impl Default for TrainingConfig {
    fn default() -> Self {
        Self {
            steps: 100,
            batch_size: 16,
            chunk_tokens: 4096,
            save_every: 25,
        }
    }
}

/// `[eval]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EvalConfig {
    /// A BEIR folder to evaluate on instead of held-out rows.
    pub data: Option<PathBuf>,
    /// Split of that folder.
    pub split: String,
    /// Rows of the training file that are kept out of training and evaluated on, with their known
    /// passages as judgements. With 0 and no `data`, nothing is evaluated.
    pub heldout: usize,
    /// Documents searched while training: all (0), or the known passages of held-out rows and random
    /// others up to this many. The first and the last evaluation search all.
    pub documents: usize,
    /// Steps between evaluations; 0 evaluates before and after only.
    pub every: u64,
    /// Whether to evaluate the untrained retriever first.
    pub at_start: bool,
}

impl Default for EvalConfig {
    fn default() -> Self {
        Self {
            data: None,
            split: "test".into(),
            heldout: 200,
            documents: 0,
            every: 0,
            at_start: true,
        }
    }
}

impl TrainConfig {
    /// Parses and checks a configuration; `path` is for messages.
    ///
    /// # Errors
    /// Names the key, with line and column where the text is at fault.
    pub fn parse(text: &str, path: &std::path::Path) -> Result<Self> {
        let malformed = |what: String| Error::Malformed {
            path: path.into(),
            what,
        };
        let config: Self = toml::from_str(text).map_err(|e| malformed(e.to_string()))?;
        config.check().map_err(|e| malformed(e.to_string()))?;
        Ok(config)
    }

    /// Refuses values out of range.
    pub fn check(&self) -> Result<()> {
        let positive = [
            ("training.steps", self.training.steps as usize),
            ("training.batch_size", self.training.batch_size),
            ("training.chunk_tokens", self.training.chunk_tokens),
            ("data.candidates", self.data.candidates),
            ("data.queries_per_pool", self.data.queries_per_pool),
        ];
        for (name, value) in positive {
            if value == 0 {
                return Err(Error::Invalid(format!("{name} must be at least 1")));
            }
        }
        let finite = [
            ("optimizer.lr", self.optimizer.lr),
            ("optimizer.max_grad_norm", self.optimizer.max_grad_norm),
        ];
        for (name, value) in finite {
            if !value.is_finite() || value <= 0.0 {
                return Err(Error::Invalid(format!(
                    "{name} must be above 0, not {value}"
                )));
            }
        }
        let weight_decay = self.optimizer.weight_decay;
        if !weight_decay.is_finite() || weight_decay < 0.0 {
            return Err(Error::Invalid(format!(
                "optimizer.weight_decay must be 0 or above, not {weight_decay}"
            )));
        }
        self.objective.check()?;
        let DataConfig {
            candidates,
            queries_per_pool,
            ..
        } = self.data;
        if queries_per_pool > candidates || queries_per_pool > self.training.batch_size {
            return Err(Error::Invalid(format!(
                "data.queries_per_pool is {queries_per_pool}, but at most data.candidates \
                 ({candidates}) and training.batch_size ({}) are possible",
                self.training.batch_size
            )));
        }
        self.data.check(self.seed)?;
        self.retriever.encoding.check()?;
        match &self.llm {
            Some(llm) => {
                llm.template.check()?;
                let limits = llm.limits().check();
                limits.map_err(|e| Error::Invalid(format!("llm.{e}")))?;
                if !(0.0..=1.0).contains(&llm.gate) {
                    let what = format!("llm.gate must be from 0 to 1, not {}", llm.gate);
                    return Err(Error::Invalid(what));
                }
                if let Some(lora) = &llm.lora {
                    self.objective.check_tuning()?;
                    if !lora.lr_factor.is_finite() || lora.lr_factor <= 0.0 {
                        return Err(Error::Invalid(format!(
                            "llm.lora.lr_factor must be above 0, not {}",
                            lora.lr_factor
                        )));
                    }
                }
            }
            None if self.objective.needs_llm() => {
                return Err(Error::Invalid(format!(
                    "the objective {} needs an [llm] table",
                    self.objective.name
                )));
            }
            None => {}
        }
        Ok(())
    }
}
