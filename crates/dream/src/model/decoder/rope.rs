//! Inverse frequencies of the rotary embedding, with Llama 3's scaling for long contexts.

use crate::model::config::{DecoderConfig, RopeScaling};
use std::f32::consts::TAU;

/// `rope_theta^(-2i / head_dim)`, scaled as the configuration says, `[head_dim / 2]`.
pub fn inverse_frequencies(config: &DecoderConfig) -> Vec<f32> {
    let dim = config.head_dim as f32;
    let plain =
        (0..config.head_dim / 2).map(|i| 1.0 / config.rope_theta.powf((2 * i) as f32 / dim));
    match &config.rope_scaling {
        None => plain.collect(),
        Some(RopeScaling::Factors(factors)) => plain
            .zip(factors)
            .map(|(frequency, factor)| frequency / factor)
            .collect(),
        Some(RopeScaling::Llama3 {
            factor,
            low_freq_factor,
            high_freq_factor,
            original_max_position_embeddings,
        }) => {
            let context = *original_max_position_embeddings as f32;
            plain
                .map(|frequency| {
                    let turns = context * frequency / TAU;
                    let smooth = (turns - low_freq_factor) / (high_freq_factor - low_freq_factor);
                    let smooth = smooth.clamp(0.0, 1.0);
                    (1.0 - smooth) * frequency / factor + smooth * frequency
                })
                .collect()
        }
    }
}
