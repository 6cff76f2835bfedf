//! Attention heads by name, and lists of them: `14-3,21-2`.

use crate::model::config::DecoderConfig;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A query head, before grouping; written `layer-head`, both from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HeadId {
    /// Layer.
    pub layer: usize,
    /// Query head within the layer.
    pub head: usize,
}

impl fmt::Display for HeadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.layer, self.head)
    }
}

impl FromStr for HeadId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            Error::Invalid(format!(
                "a head is written layer-head as in 14-3, not {text:?}"
            ))
        };
        let (layer, head) = text.trim().split_once('-').ok_or_else(wrong)?;
        let number = |part: &str| part.parse().map_err(|_| wrong());
        Ok(Self {
            layer: number(layer)?,
            head: number(head)?,
        })
    }
}

impl TryFrom<String> for HeadId {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<HeadId> for String {
    fn from(id: HeadId) -> Self {
        id.to_string()
    }
}

/// A list of heads, best first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadSet(Vec<HeadId>);

impl HeadSet {
    /// A list without repeats.
    pub fn new(heads: Vec<HeadId>) -> Result<Self> {
        let mut sorted = heads.clone();
        sorted.sort_unstable();
        match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(Error::Invalid(format!("head {} is named twice", pair[0]))),
            None if heads.is_empty() => Err(Error::Invalid("the list of heads is empty".into())),
            None => Ok(Self(heads)),
        }
    }

    /// The heads, best first.
    pub fn heads(&self) -> &[HeadId] {
        &self.0
    }

    /// The lowest layer that holds one of the heads.
    pub fn lowest_layer(&self) -> usize {
        self.0.iter().map(|id| id.layer).min().unwrap_or(0)
    }

    /// Whether a head is in the list.
    pub fn contains(&self, layer: usize, head: usize) -> bool {
        self.0.contains(&HeadId { layer, head })
    }

    /// Refuses heads that a model does not have.
    ///
    /// # Errors
    /// Names the first such head and what the model has.
    pub fn check(&self, config: &DecoderConfig) -> Result<()> {
        let (layers, heads) = (config.num_hidden_layers, config.num_attention_heads);
        match self
            .0
            .iter()
            .find(|id| id.layer >= layers || id.head >= heads)
        {
            None => Ok(()),
            Some(id) => Err(Error::Invalid(format!(
                "head {id} does not exist: the model has layers 0 to {} with heads 0 to {}",
                layers - 1,
                heads - 1
            ))),
        }
    }
}

impl fmt::Display for HeadSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, id) in self.0.iter().enumerate() {
            write!(f, "{}{id}", if i == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl FromStr for HeadSet {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parts = text
            .split([',', ' ', '\n'])
            .map(str::trim)
            .filter(|part| !part.is_empty());
        Self::new(parts.map(str::parse).collect::<Result<_>>()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_round_trip_through_their_text() -> Result<()> {
        let set: HeadSet = "14-3,21-2, 8-0".parse()?;
        assert_eq!(set.to_string(), "14-3,21-2,8-0");
        assert_eq!(set.lowest_layer(), 8);
        assert!(set.contains(21, 2) && !set.contains(2, 21));
        Ok(())
    }

    #[test]
    fn nonsense_is_refused_with_the_reason() {
        for (text, reason) in [
            ("14", "written"),
            ("a-b", "written"),
            ("", "empty"),
            ("1-2,1-2", "twice"),
        ] {
            let message = text
                .parse::<HeadSet>()
                .map_or_else(|e| e.to_string(), |_| String::new());
            assert!(message.contains(reason), "{text}: {message}");
        }
    }
}
