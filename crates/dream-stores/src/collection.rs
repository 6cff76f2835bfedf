//! What rows are pushed into: a collection, table, index or folder.

use crate::{Error, Result};
use std::fmt;
use std::str::FromStr;

/// How an engine compares vectors. Embeddings of ours have length 1, so both give the same order but for
/// rounding; the inner product is what `dream search` computes itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Distance {
    /// The inner product.
    #[default]
    InnerProduct,
    /// The cosine of the angle.
    Cosine,
}

impl fmt::Display for Distance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InnerProduct => "ip",
            Self::Cosine => "cosine",
        })
    }
}

impl FromStr for Distance {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "ip" => Ok(Self::InnerProduct),
            "cosine" => Ok(Self::Cosine),
            _ => Err(format!("a distance must be ip or cosine, not {text:?}")),
        }
    }
}

/// What the rows go into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collection {
    name: String,
    /// Size of a vector, at least 1.
    pub dim: usize,
    /// How vectors are compared.
    pub distance: Distance,
    /// Whether titles and texts are stored beside the vectors.
    pub with_text: bool,
    /// Whether an approximate index (HNSW) is built once all rows are there; else search is a scan.
    pub with_index: bool,
}

impl Collection {
    /// A collection without texts and without an approximate index.
    ///
    /// # Errors
    /// A name that one of the engines would not take as it is: 1 to 63 letters, digits and `_`, not a
    /// digit first; capitals are letters to some engines and not to others, so they are refused too.
    pub fn new(name: &str, dim: usize) -> Result<Self> {
        let mut bytes = name.bytes();
        let starts = bytes.next().is_some_and(|b| b.is_ascii_lowercase());
        let goes_on = bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if !starts || !goes_on || name.len() > 63 {
            return Err(Error::Invalid(format!(
                "a collection's name must be 1 to 63 of a-z, 0-9 and _, a letter first, not {name:?}"
            )));
        }
        if dim == 0 {
            return Err(Error::Invalid("vectors need at least one dimension".into()));
        }
        Ok(Self {
            name: name.into(),
            dim,
            distance: Distance::default(),
            with_text: false,
            with_index: false,
        })
    }

    /// Its name: safe in an address, in a file's name and between the quotes of SQL.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Refuses a collection that is there already and of another kind.
    pub(crate) fn expect(
        &self,
        engine: &'static str,
        what: &str,
        wanted: &str,
        found: &str,
    ) -> Result<()> {
        if wanted == found {
            return Ok(());
        }
        Err(Error::Invalid(format!(
            "{engine}: the collection {} is there already with {what} {found}, wanted {wanted}; choose another name or drop it",
            self.name
        )))
    }
}
