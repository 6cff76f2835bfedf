//! The number type in which frozen weights lie in memory and are multiplied.
//!
//! Everything else (adapters, norms, softmax, similarities, losses, the optimiser) is `f32` always, and
//! so are all sums.

use crate::packed::has_instructions;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Compute type of frozen weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dtype {
    /// 4 bytes a weight; the reference.
    #[default]
    F32,
    /// 2 bytes a weight; activations are rounded as they enter a product.
    Bf16,
}

/// What a user asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum DtypeChoice {
    /// `bf16` where the processor multiplies it itself, else `f32`.
    Auto,
    /// `f32` everywhere.
    #[default]
    F32,
    /// `bf16` everywhere; slow where the processor cannot.
    Bf16,
}

impl DtypeChoice {
    /// What that means on this machine.
    pub fn resolve(self) -> Dtype {
        match self {
            Self::Auto if has_instructions(Dtype::Bf16) => Dtype::Bf16,
            Self::Auto | Self::F32 => Dtype::F32,
            Self::Bf16 => Dtype::Bf16,
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        })
    }
}

impl fmt::Display for DtypeChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        })
    }
}

impl FromStr for DtypeChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "f32" => Ok(Self::F32),
            "bf16" => Ok(Self::Bf16),
            _ => Err(format!("dtype must be auto, f32 or bf16, not {text:?}")),
        }
    }
}

impl TryFrom<String> for DtypeChoice {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<DtypeChoice> for String {
    fn from(choice: DtypeChoice) -> Self {
        choice.to_string()
    }
}
