//! The names of objectives, and sums of them as a configuration writes them: `dream + 0.1 qr-distill`.

use super::catalogue;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// An objective by its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ObjectiveKind {
    /// The language model's loss on the target, through injected attention. No label is used.
    #[default]
    Dream,
    /// Cross entropy of the known passages: the labelled control.
    #[serde(rename = "infonce")]
    InfoNce,
    /// Likelihoods of the target after each document alone as teacher.
    #[serde(rename = "replug")]
    RePlug,
    /// The language model's loss on the target, through documents added in every head.
    Revela,
    /// Attention of the target on documents as teacher.
    #[serde(rename = "adist")]
    ADist,
    /// The target's likelihood with the document as a latent variable.
    Emdr2,
    /// The query-focused heads' own distribution over documents as teacher.
    QrDistill,
}

impl ObjectiveKind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Dream,
        Self::InfoNce,
        Self::RePlug,
        Self::Revela,
        Self::ADist,
        Self::Emdr2,
        Self::QrDistill,
    ];
}

impl fmt::Display for ObjectiveKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dream => "dream",
            Self::InfoNce => "infonce",
            Self::RePlug => "replug",
            Self::Revela => "revela",
            Self::ADist => "adist",
            Self::Emdr2 => "emdr2",
            Self::QrDistill => "qr-distill",
        })
    }
}

impl FromStr for ObjectiveKind {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        if name == "kl" {
            return Ok(Self::QrDistill);
        }
        let named = Self::ALL.into_iter().find(|kind| kind.to_string() == name);
        named.ok_or_else(|| {
            let known = Self::ALL.map(|kind| kind.to_string()).join(", ");
            Error::Invalid(format!("unknown objective {name:?}; known are {known}"))
        })
    }
}

/// A part of a sum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Term {
    /// What its loss is multiplied by, above 0.
    pub weight: f32,
    /// The objective.
    pub kind: ObjectiveKind,
}

/// A weighted sum of objectives, no one twice; as a rule of one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ObjectiveSum {
    terms: Vec<Term>,
}

impl ObjectiveSum {
    /// The terms, at least one.
    pub fn terms(&self) -> &[Term] {
        &self.terms
    }

    /// What the catalogue says about the terms.
    pub fn entries(&self) -> impl Iterator<Item = &'static catalogue::Entry> {
        self.terms.iter().map(|term| catalogue::entry(term.kind))
    }
}

impl Default for ObjectiveSum {
    fn default() -> Self {
        ObjectiveKind::default().into()
    }
}

impl From<ObjectiveKind> for ObjectiveSum {
    fn from(kind: ObjectiveKind) -> Self {
        Self {
            terms: vec![Term { weight: 1.0, kind }],
        }
    }
}

impl fmt::Display for ObjectiveSum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, Term { weight, kind }) in self.terms.iter().enumerate() {
            let plus = if i == 0 { "" } else { " + " };
            if *weight == 1.0 {
                write!(f, "{plus}{kind}")?;
            } else {
                write!(f, "{plus}{weight} {kind}")?;
            }
        }
        Ok(())
    }
}

impl FromStr for ObjectiveSum {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut terms: Vec<Term> = Vec::new();
        for part in text.split('+') {
            let words: Vec<&str> = part.split_whitespace().collect();
            let (weight, name) = match words[..] {
                [name] => ("1", name),
                [weight, name] => (weight, name),
                _ => {
                    return Err(Error::Invalid(format!(
                        "an objective is a name or a sum such as \"dream + 0.1 qr-distill\", not {text:?}"
                    )));
                }
            };
            let kind: ObjectiveKind = name.parse()?;
            let weight = match weight.parse() {
                Ok(weight) if weight > 0.0 && f32::is_finite(weight) => weight,
                _ => {
                    return Err(Error::Invalid(format!(
                        "the weight of {kind} must be a number above 0, not {weight:?}"
                    )));
                }
            };
            if terms.iter().any(|term| term.kind == kind) {
                let what = format!("{kind} stands twice in the objective {text:?}");
                return Err(Error::Invalid(what));
            }
            terms.push(Term { weight, kind });
        }
        Ok(Self { terms })
    }
}

impl TryFrom<String> for ObjectiveSum {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<ObjectiveSum> for String {
    fn from(sum: ObjectiveSum) -> Self {
        sum.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_sums_round_trip_through_their_text() -> Result<()> {
        for kind in ObjectiveKind::ALL {
            assert_eq!(kind.to_string().parse::<ObjectiveKind>()?, kind);
            let json = serde_json::to_string(&kind).unwrap_or_default();
            assert_eq!(json, format!("\"{kind}\""));
        }
        for text in [
            "dream",
            "dream + 0.1 qr-distill",
            "0.5 infonce + 2 revela + adist",
        ] {
            assert_eq!(text.parse::<ObjectiveSum>()?.to_string(), text);
        }
        let other: ObjectiveSum = "dream+.25  kl".parse()?;
        assert_eq!(other.to_string(), "dream + 0.25 qr-distill");
        assert_eq!(
            "kl".parse::<ObjectiveSum>()?,
            ObjectiveKind::QrDistill.into()
        );
        Ok(())
    }

    #[test]
    fn what_is_no_sum_of_known_objectives_is_refused_with_the_reason() {
        for (text, reason) in [
            (
                "dram",
                "known are dream, infonce, replug, revela, adist, emdr2, qr-distill",
            ),
            ("", "an objective is a name"),
            ("dream +", "an objective is a name"),
            ("dream 0.1 infonce", "an objective is a name"),
            ("dream + 0 infonce", "weight of infonce"),
            ("dream + -1 infonce", "weight of infonce"),
            ("dream + nan infonce", "weight of infonce"),
            ("dream + inf infonce", "weight of infonce"),
            ("dream + dream", "stands twice"),
        ] {
            let error = text.parse::<ObjectiveSum>().err();
            let message = error.map(|e| e.to_string()).unwrap_or_default();
            assert!(message.contains(reason), "{text}: {message}");
        }
    }
}
