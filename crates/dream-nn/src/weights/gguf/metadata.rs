//! Values of GGUF metadata. The format's ten number types are widened to u64, i64 and f64, which loses nothing.

use std::collections::BTreeMap;

/// Metadata by key, as in `llama.block_count`.
pub type Metadata = BTreeMap<String, MetaValue>;

/// One metadata value.
#[derive(Debug, Clone, PartialEq)]
pub enum MetaValue {
    /// UINT8 to UINT64.
    Unsigned(u64),
    /// INT8 to INT64.
    Signed(i64),
    /// FLOAT32 or FLOAT64.
    Float(f64),
    /// BOOL.
    Bool(bool),
    /// STRING, UTF-8.
    String(String),
    /// ARRAY of one of the above.
    Array(MetaArray),
}

/// An array of one type. Nested arrays are refused when a file is opened: no known key has one.
#[derive(Debug, Clone, PartialEq)]
pub enum MetaArray {
    /// UINT8 to UINT64.
    Unsigned(Vec<u64>),
    /// INT8 to INT64.
    Signed(Vec<i64>),
    /// FLOAT32 or FLOAT64.
    Float(Vec<f64>),
    /// BOOL.
    Bool(Vec<bool>),
    /// STRING, UTF-8.
    String(Vec<String>),
}

impl MetaValue {
    /// A non-negative whole number, of whichever integer type.
    pub fn as_u64(&self) -> Option<u64> {
        match *self {
            Self::Unsigned(n) => Some(n),
            Self::Signed(n) => u64::try_from(n).ok(),
            _ => None,
        }
    }

    /// Any number.
    pub fn as_f64(&self) -> Option<f64> {
        match *self {
            Self::Float(x) => Some(x),
            Self::Unsigned(n) => Some(n as f64),
            Self::Signed(n) => Some(n as f64),
            _ => None,
        }
    }

    /// A truth value.
    pub fn as_bool(&self) -> Option<bool> {
        match *self {
            Self::Bool(b) => Some(b),
            _ => None,
        }
    }

    /// A string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(s) => Some(s),
            _ => None,
        }
    }

    /// An array of strings, as in `tokenizer.ggml.tokens`.
    pub fn as_strings(&self) -> Option<&[String]> {
        match self {
            Self::Array(MetaArray::String(v)) => Some(v),
            _ => None,
        }
    }

    /// An array of integers, as in `tokenizer.ggml.token_type`; `None` if one does not fit an i64.
    pub fn as_ints(&self) -> Option<Vec<i64>> {
        match self {
            Self::Array(MetaArray::Signed(v)) => Some(v.clone()),
            Self::Array(MetaArray::Unsigned(v)) => {
                v.iter().map(|&n| i64::try_from(n).ok()).collect()
            }
            _ => None,
        }
    }

    /// What the value is, for error messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unsigned(_) => "an unsigned integer",
            Self::Signed(_) => "a signed integer",
            Self::Float(_) => "a floating-point number",
            Self::Bool(_) => "a truth value",
            Self::String(_) => "a string",
            Self::Array(_) => "an array",
        }
    }
}
