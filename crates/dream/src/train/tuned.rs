//! The language model's own adapter, where it is trained beside the retriever: its optimiser, and how it is saved.

use super::config::{LlmLoraConfig, TrainConfig};
use crate::model::Model;
use crate::model::lora::LoraAdapter;
use crate::retriever::adapter::LlmAdapter;
use crate::{Error, Result};
use dream_nn::ops::lora::mix;
use dream_nn::optim::{AdamW, AdamWConfig, Parameter};

/// Tells the language model's draws from the retriever's: the two may be adapters of one model.
pub(super) const SEED: u64 = 0x11a;

/// A language model that a configuration tunes.
#[derive(Clone, Copy)]
pub(super) struct TunedModel<'a> {
    pub settings: &'a LlmLoraConfig,
    pub model: &'a Model,
    /// The model as it was named.
    pub name: &'a str,
}

impl<'a> TunedModel<'a> {
    /// `None` where the configuration keeps it frozen.
    pub fn of(config: &'a TrainConfig, model: Option<&'a Model>) -> Result<Option<Self>> {
        let Some(llm) = &config.llm else {
            return Ok(None);
        };
        match (&llm.lora, model) {
            (None, _) => Ok(None),
            (Some(settings), Some(model)) => Ok(Some(Self {
                settings,
                model,
                name: &llm.model,
            })),
            (Some(_), None) => Err(Error::Invalid(
                "llm.lora tunes a language model, but none was given".into(),
            )),
        }
    }
}

/// What is trained of the language model.
pub(super) struct Tuned {
    adapter: LlmAdapter,
    optimizer: AdamW,
    lr_factor: f64,
}

impl Tuned {
    /// With the adapter of a checkpoint, or a fresh one.
    pub fn new(
        tuned: TunedModel<'_>,
        adapter: Option<LoraAdapter>,
        config: &TrainConfig,
    ) -> Result<Self> {
        let TunedModel {
            settings,
            model,
            name,
        } = tuned;
        let seed = mix(config.seed ^ SEED);
        let fresh = || LoraAdapter::new(settings.adapter(), &model.decoder.config, seed);
        let adapter = adapter.map_or_else(fresh, Ok)?;
        let lengths = adapter.parameters().into_iter().map(|m| m.data().len());
        let adamw = AdamWConfig {
            weight_decay: config.optimizer.weight_decay,
            ..AdamWConfig::default()
        };
        Ok(Self {
            optimizer: AdamW::new(adamw, &lengths.collect::<Vec<_>>()),
            lr_factor: settings.lr_factor,
            adapter: LlmAdapter {
                adapter,
                base_model: name.into(),
            },
        })
    }

    pub fn adapter(&self) -> &LoraAdapter {
        &self.adapter.adapter
    }

    pub fn optimizer(&self) -> &AdamW {
        &self.optimizer
    }

    pub fn to_be_saved(&self) -> LlmAdapter {
        self.adapter.clone()
    }

    pub fn parameters_mut(&mut self) -> Vec<&mut [f32]> {
        self.adapter.adapter.parameters_mut()
    }

    pub fn n_parameters(&self) -> usize {
        let parameters = self.adapter().parameters();
        parameters.iter().map(|matrix| matrix.data().len()).sum()
    }

    /// Puts back the optimiser's state.
    pub fn restore(
        &mut self,
        steps: u64,
        first: Vec<Vec<f32>>,
        second: Vec<Vec<f32>>,
    ) -> Result<()> {
        Ok(self.optimizer.restore(steps, first, second)?)
    }

    /// One step, given the retriever's learning rate and the clipped gradients.
    pub fn step(&mut self, lr: f64, grads: &[&[f32]]) {
        let values = self.adapter.adapter.parameters_mut().into_iter();
        let parameters = values.zip(grads).map(|(value, grad)| Parameter {
            value,
            grad,
            decay: true,
        });
        let mut parameters: Vec<Parameter<'_>> = parameters.collect();
        self.optimizer.step(lr * self.lr_factor, &mut parameters);
    }
}
