//! Number types in which rows are stored, and rows of them given out as `f32`.
//!
//! All arithmetic stays `f32`: whoever multiplies stored rows asks [`Rows`] for a block of them.

mod rows;
mod signs;
mod widen;

pub use rows::Rows;
pub use signs::Signs;
pub(crate) use widen::{widen_bf16, widen_f16, widen_f32};

use half::{bf16, f16};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// How the numbers of a row are stored, little-endian.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Storage {
    /// 4 bytes a number, exact.
    #[default]
    F32,
    /// 2 bytes a number, 11 bits of precision, up to 65,504.
    F16,
    /// 2 bytes a number, 8 bits of precision.
    Bf16,
    /// 1 byte a number: integers from -127 to 127, and one `f32` for each row, by which they are multiplied.
    I8,
}

impl Storage {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::F32, Self::F16, Self::Bf16, Self::I8];

    /// Bytes a number, without the scale.
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::I8 => 1,
        }
    }

    /// Whether each row has a scale beside it.
    pub fn has_scales(self) -> bool {
        self == Self::I8
    }

    /// The largest absolute value that can be stored.
    pub fn largest(self) -> f32 {
        match self {
            Self::F32 => f32::MAX,
            Self::F16 => f16::MAX.to_f32(),
            // A scale is rounded: 127 times that of the largest f32 could be infinite.
            Self::Bf16 | Self::I8 => bf16::MAX.to_f32(),
        }
    }

    /// Appends a row, whose values are at most [`Self::largest`], to `out`, each number rounded to the
    /// nearest; the row's scale where there is one.
    pub fn narrow(self, row: &[f32], out: &mut Vec<u8>) -> Option<f32> {
        match self {
            Self::F32 => out.extend(row.iter().flat_map(|x| x.to_le_bytes())),
            Self::F16 => out.extend(row.iter().flat_map(|x| f16::from_f32(*x).to_le_bytes())),
            Self::Bf16 => out.extend(row.iter().flat_map(|x| bf16::from_f32(*x).to_le_bytes())),
            Self::I8 => {
                let largest = row.iter().fold(0.0f32, |m, x| m.max(x.abs()));
                let scale = largest / 127.0;
                // A row of zeros has scale 0, and 0 / 0 becomes 0.
                let byte = |x: &f32| (x / scale).round().clamp(-127.0, 127.0) as i8 as u8;
                out.extend(row.iter().map(byte));
                return Some(scale);
            }
        }
        None
    }
}

impl fmt::Display for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::I8 => "i8",
        })
    }
}

impl FromStr for Storage {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|s| s.to_string() == text);
        known.ok_or_else(|| format!("dtype must be f32, f16, bf16 or i8, not {text:?}"))
    }
}

impl TryFrom<String> for Storage {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Storage> for String {
    fn from(storage: Storage) -> Self {
        storage.to_string()
    }
}

#[cfg(test)]
mod tests;
