//! What the language model gives a target's tokens after each single document: the teacher of RePlug
//! (arXiv 2301.12652) and EMDR2 (arXiv 2106.05346, Atlas).
//!
//! One prompt a (document, query). Each document is read once, alone; the queries that may see it follow it as
//! segments of one batch over the keys and values of all documents, and each segment sees those of its own.

use super::Group;
use super::language_model::{LanguageModel, SinglePrompts};
use crate::llm::{ReadDocuments, Targets};
use crate::model::decoder::{Batch, Pass};
use crate::retriever::ENCODE_TOKENS;
use crate::{Error, Result};
use dream_nn::ops::attention::{KeyReader, Read, RowAt};
use dream_nn::ops::elementwise::{exp_sum, max, scale};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

/// Which number of a document a teacher takes the softmax of; `likelihood` under `[objective]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Likelihood {
    /// The mean log-probability of a target token: RePlug's released code, Atlas.
    #[default]
    LogProbability,
    /// Its exponential, the geometric mean of the tokens' probabilities: RePlug's paper, whose formula has a
    /// probability in the exponent. (That of the whole target would be 0 for all but the shortest.)
    Probability,
}

impl Likelihood {
    /// The number, given the target tokens' log-probabilities.
    pub fn score(self, log_probabilities: &[f32]) -> f64 {
        let sum: f64 = log_probabilities.iter().map(|p| f64::from(*p)).sum();
        let mean = sum / log_probabilities.len().max(1) as f64;
        match self {
            Self::LogProbability => mean,
            Self::Probability => mean.exp(),
        }
    }
}

impl fmt::Display for Likelihood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LogProbability => "log-probability",
            Self::Probability => "probability",
        })
    }
}

impl FromStr for Likelihood {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "log-probability" => Ok(Self::LogProbability),
            "probability" => Ok(Self::Probability),
            _ => Err(Error::Invalid(format!(
                "likelihood must be log-probability or probability, not {text:?}"
            ))),
        }
    }
}

/// Log-probabilities of target tokens.
#[derive(Debug)]
pub struct Likelihoods {
    /// `[queries][documents][target tokens]`, nats; without tokens where the document is hidden.
    pub log_probabilities: Vec<Vec<Vec<f32>>>,
    /// Tokens that the language model read.
    pub tokens: usize,
}

/// Asks the frozen model for the targets of a group after each of its documents alone.
///
/// # Errors
/// A text has no tokens, or a document with a query does not fit the model's context.
pub fn likelihoods(llm: &LanguageModel<'_>, group: &Group<'_>) -> Result<Likelihoods> {
    let prompts = llm.single_prompts(group)?;
    let decoder = &llm.model.decoder;
    let documents = ReadDocuments::each(decoder, &prompts.prefixes);
    let n_documents = prompts.prefixes.len();
    let mut said = Likelihoods {
        log_probabilities: vec![vec![Vec::new(); n_documents]; prompts.suffixes.len()],
        tokens: documents.cache().len,
    };
    for pairs in chunks(&prompts) {
        let suffixes = || pairs.iter().map(|(query, _)| &prompts.suffixes[*query]);
        let spans = documents.prompt_spans();
        let starting = suffixes()
            .zip(&pairs)
            .map(|(suffix, (_, k))| (suffix.ids.as_slice(), spans[*k].len()));
        let batch = Batch::starting_at(starting);
        let reader = OneDocument {
            keys: pairs.iter().map(|(_, k)| spans[*k].clone()).collect(),
            prefix_len: documents.cache().len,
        };
        let pass = Pass {
            batch: &batch,
            prefix: Some(documents.cache()),
            lora: None,
            dropout_seed: None,
            reader: &reader,
            wanted: None,
        };
        let hidden = decoder.forward(&pass, None).hidden;
        let losses = Targets::new(&batch, suffixes()).token_losses(decoder, &hidden);
        for ((query, k), losses) in pairs.iter().zip(losses) {
            let log_probabilities = losses.into_iter().map(|loss| -loss).collect();
            said.log_probabilities[*query][*k] = log_probabilities;
        }
        said.tokens += batch.rows();
    }
    Ok(said)
}

/// (query, document) pairs in runs of about [`ENCODE_TOKENS`] tokens.
fn chunks(prompts: &SinglePrompts) -> Vec<Vec<(usize, usize)>> {
    let mut chunks = vec![Vec::new()];
    let mut tokens = 0;
    for (query, suffix) in prompts.suffixes.iter().enumerate() {
        for k in (0..prompts.prefixes.len()).filter(|k| !prompts.hidden[query].contains(k)) {
            if tokens > 0 && tokens + suffix.ids.len() > ENCODE_TOKENS {
                chunks.push(Vec::new());
                tokens = 0;
            }
            if let Some(chunk) = chunks.last_mut() {
                chunk.push((query, k));
            }
            tokens += suffix.ids.len();
        }
    }
    chunks.retain(|chunk| !chunk.is_empty());
    chunks
}

/// Ordinary attention of rows that see one part of the prefix.
struct OneDocument {
    /// The part of each segment.
    keys: Vec<Range<usize>>,
    prefix_len: usize,
}

impl KeyReader for OneDocument {
    type Record = ();

    fn probabilities(&self, at: RowAt, logits: &mut [f32], (): &mut ()) {
        let keys = self.keys[at.segment].clone();
        let (prefix, own) = logits.split_at_mut(self.prefix_len);
        prefix[..keys.start].fill(0.0);
        prefix[keys.end..].fill(0.0);
        let seen = &mut prefix[keys];
        let shift = max(seen).max(max(own));
        let sum = exp_sum(seen, shift) + exp_sum(own, shift);
        scale(seen, 1.0 / sum);
        scale(own, 1.0 / sum);
    }

    fn d_logits(&self, _: RowAt, _: &Read<'_>, _: &mut [f32], (): &mut ()) {
        unreachable!("likelihoods have no way back. This is a bug.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn likelihoods_round_trip_through_their_text_and_probability_is_the_exponential() -> Result<()>
    {
        for likelihood in [Likelihood::LogProbability, Likelihood::Probability] {
            assert_eq!(likelihood.to_string().parse::<Likelihood>()?, likelihood);
        }
        assert!("odds".parse::<Likelihood>().is_err());
        let tokens = [-1.0, -3.0];
        assert_eq!(Likelihood::LogProbability.score(&tokens), -2.0);
        let probability = Likelihood::Probability.score(&tokens);
        assert!((probability - (-2.0f64).exp()).abs() < 1e-12);
        Ok(())
    }
}
