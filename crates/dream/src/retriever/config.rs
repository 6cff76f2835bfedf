//! How a text becomes an embedding: everything that must be the same in training and use.

use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// How hidden states become one vector; names as in sentence-transformers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pooling {
    /// The last token's state: the paper's.
    #[default]
    LastToken,
    /// The mean over tokens.
    Mean,
}

/// The per-dimension affine map before normalisation (method 12.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standardize {
    /// No such map: the paper's way.
    #[default]
    None,
    /// Statistics of unlabelled text, taken once and kept.
    Fixed,
    /// Statistics as the start, then trained.
    Trainable,
}

/// What a text is: queries and documents may have their own prompt, length and statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Something to search for.
    Query,
    /// Something to be found.
    Document,
}

/// Settings of a retriever; the `retriever.json` beside an adapter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetrieverConfig {
    /// How hidden states become one vector.
    pub pooling: Pooling,
    /// Leave the first token out of the mean: in most decoders it is an attention sink, far from all
    /// other states.
    pub skip_first_token: bool,
    /// Append the tokenizer's end-of-text token.
    pub append_eos: bool,
    /// Per-dimension standardisation.
    pub standardize: Standardize,
    /// Put before every query.
    pub query_prompt: String,
    /// Put before every document.
    pub document_prompt: String,
    /// Tokens a query, at most, special ones included.
    pub max_query_tokens: usize,
    /// Tokens a document, at most, special ones included.
    pub max_document_tokens: usize,
    /// Only so many of an embedding's first numbers, which are normalised again (Matryoshka embeddings,
    /// Kusupati et al. 2022); all of them if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dim: Option<usize>,
}

impl Default for RetrieverConfig {
    fn default() -> Self {
        Self {
            pooling: Pooling::LastToken,
            skip_first_token: false,
            append_eos: true,
            standardize: Standardize::None,
            query_prompt: String::new(),
            document_prompt: String::new(),
            max_query_tokens: 512,
            max_document_tokens: 512,
            dim: None,
        }
    }
}

impl RetrieverConfig {
    /// Refuses lengths that leave no room for text.
    pub fn check(&self) -> Result<()> {
        for (name, tokens) in [
            ("max_query_tokens", self.max_query_tokens),
            ("max_document_tokens", self.max_document_tokens),
        ] {
            let least = 1 + usize::from(self.append_eos);
            if tokens < least {
                return Err(Error::Invalid(format!(
                    "{name} must be at least {least}, not {tokens}"
                )));
            }
        }
        Ok(())
    }

    /// The prompt of a role.
    pub fn prompt(&self, role: Role) -> &str {
        match role {
            Role::Query => &self.query_prompt,
            Role::Document => &self.document_prompt,
        }
    }

    /// The most tokens of a role.
    pub fn max_tokens(&self, role: Role) -> usize {
        match role {
            Role::Query => self.max_query_tokens,
            Role::Document => self.max_document_tokens,
        }
    }
}
