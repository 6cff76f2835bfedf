//! What is trained of the retriever and how fast, and what the standardising layer starts from.

use super::config::TrainConfig;
use super::data::TrainData;
use crate::Result;
use crate::model::Model;
use crate::model::lora::LoraAdapter;
use crate::retriever::standardize::Affine;
use crate::retriever::{Retriever, Role, Standardize, Standardizer};
use dream_nn::ops::lora::mix;
use rand::SeedableRng;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;

/// Everything that is trained, in the order of its gradients.
pub(super) fn trainable(retriever: &mut Retriever) -> Vec<&mut [f32]> {
    let train_layer = retriever.config.standardize == Standardize::Trainable;
    let mut all = Vec::new();
    if let Some(adapter) = &mut retriever.adapter {
        all.extend(adapter.parameters_mut());
    }
    if let Some(layer) = retriever.standardizer.as_mut().filter(|_| train_layer) {
        all.extend(layer.parts_mut());
    }
    all
}

/// Numbers in each part.
pub(super) fn lengths(retriever: &mut Retriever) -> Vec<usize> {
    trainable(retriever).iter().map(|part| part.len()).collect()
}

/// How many of the trainable parts are LoRA matrices: those that weight decay applies to.
pub(super) fn decayed(retriever: &Retriever) -> usize {
    retriever
        .adapter
        .as_ref()
        .map_or(0, |adapter| adapter.parameters().len())
}

/// The retriever before any training, without its standardising layer.
pub(super) fn start(config: &TrainConfig, base: Arc<Model>) -> Result<Retriever> {
    let adapter = LoraAdapter::new(
        config.retriever.lora.clone(),
        &base.decoder.config,
        mix(config.seed),
    )?;
    let retriever = Retriever {
        model: base,
        config: config.retriever.encoding.clone(),
        adapter: Some(adapter),
        standardizer: None,
    };
    retriever.check()?;
    Ok(retriever)
}

/// Gives a retriever its standardising layer, if its settings ask for one.
pub(super) fn standardize(
    retriever: &mut Retriever,
    config: &TrainConfig,
    data: &TrainData,
) -> Result<()> {
    if retriever.config.standardize != Standardize::None {
        let texts = config.retriever.standardize_texts;
        retriever.standardizer = Some(standardizer(retriever, data, texts, config.seed)?);
    }
    Ok(())
}

/// The retriever that a configuration starts from.
///
/// # Errors
/// The configuration does not suit the model, or a text cannot be tokenised.
pub fn untrained(config: &TrainConfig, data: &TrainData, base: Arc<Model>) -> Result<Retriever> {
    let mut retriever = start(config, base)?;
    standardize(&mut retriever, config, data)?;
    Ok(retriever)
}

/// The standardising layer from the statistics of unlabelled training queries and documents.
fn standardizer(
    retriever: &Retriever,
    data: &TrainData,
    texts: usize,
    seed: u64,
) -> Result<Standardizer> {
    let mut rng = ChaCha8Rng::seed_from_u64(mix(seed ^ 0x57a7));
    let mut pool = |role: Role, n: usize, text: &dyn Fn(usize) -> String| {
        let drawn = index::sample(&mut rng, n, texts.min(n));
        let texts = drawn
            .into_iter()
            .map(|i| retriever.tokenize(role, &text(i)));
        let texts = texts.collect::<Result<Vec<_>>>()?;
        Affine::from_statistics(&retriever.pool(&texts))
    };
    let documents = data.set.corpus.documents();
    Ok(Standardizer {
        query: pool(Role::Query, data.set.rows.len(), &|i| {
            data.set.rows[i].query.clone()
        })?,
        document: pool(Role::Document, documents.len(), &|i| {
            documents[i].full_text()
        })?,
    })
}

/// Learning rates of a step.
pub(super) struct Rates {
    /// Of the retriever.
    pub lr: f64,
    /// Of the temperature's logarithm.
    pub temperature_lr: f64,
}

/// The rates of the step after `step` steps.
pub(super) fn rates(config: &TrainConfig, step: u64) -> Rates {
    let optimizer = &config.optimizer;
    // Counted from 1, so that the first step of a warm-up moves.
    let (warmup_steps, steps) = (optimizer.warmup_steps, config.training.steps);
    let factor = optimizer.schedule.factor(step + 1, warmup_steps, steps + 1);
    Rates {
        lr: optimizer.lr * factor,
        temperature_lr: config.objective.temperature_lr * factor,
    }
}
