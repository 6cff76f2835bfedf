//! What keeps a document out of a row's pool.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Filters of candidates; none by default. They look at a known passage as at any other document, but
/// where pools shall include it; `margin` spares it always.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Filters {
    /// Only these ranks of the source's list, such as `10-50`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ranks: Option<Ranks>,
    /// No document that scores above it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_score: Option<f32>,
    /// No document that scores above so many times what the row's best known passage does (NV-Retriever,
    /// arXiv 2407.15831, "TopK-PercPos"). A known passage that was not found counts as scoring as the last
    /// document that was looked at: it scores at most as much. Rows without a known passage are not filtered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub margin: Option<f32>,
    /// No document of whose runs of three words more than this share (Jaccard, 0 to 1) is that of the target
    /// or of a candidate already in the pool; where labels are used (`include`, `exclude`), of a known passage too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub near_duplicates: Option<f32>,
    /// No document in which the target stands word by word: the language model could copy it.
    #[serde(skip_serializing_if = "is_false")]
    pub drop_containing_target: bool,
    /// No document with the row's own id, or whose text is the query.
    #[serde(skip_serializing_if = "is_false")]
    pub drop_self: bool,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for a reference"
)]
fn is_false(value: &bool) -> bool {
    !value
}

impl Filters {
    /// Whether there are none.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Whether there is one that looks at scores.
    pub fn need_scores(&self) -> bool {
        self.max_score.is_some() || self.margin.is_some()
    }

    /// Refuses numbers out of range.
    pub fn check(&self) -> Result<()> {
        let refuse = |name: &str, wanted: &str, got: f32| {
            Err(Error::Invalid(format!(
                "{name} must be {wanted}, not {got}"
            )))
        };
        match *self {
            Self {
                max_score: Some(score),
                ..
            } if !score.is_finite() => refuse("the largest score", "a finite number", score),
            Self {
                margin: Some(margin),
                ..
            } if !(margin.is_finite() && margin > 0.0) => {
                refuse("the margin", "a finite number above 0", margin)
            }
            Self {
                near_duplicates: Some(share),
                ..
            } if !(0.0..=1.0).contains(&share) => {
                refuse("the similarity of near duplicates", "from 0 to 1", share)
            }
            _ => Ok(()),
        }
    }
}

/// Ranks from `first` to `last`, counted from 1; as text `10-50`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Ranks {
    first: usize,
    last: usize,
}

impl Ranks {
    /// From one rank to another, both included.
    ///
    /// # Errors
    /// There is no such rank, or none between them.
    pub fn new(first: usize, last: usize) -> Result<Self, String> {
        if first == 0 || last < first {
            return Err(format!(
                "ranks count from 1 and go up, such as 10-50, not {first}-{last}"
            ));
        }
        Ok(Self { first, last })
    }

    /// The last one.
    pub fn last(self) -> usize {
        self.last
    }

    /// How many there are.
    pub fn count(self) -> usize {
        self.last - self.first + 1
    }

    /// Whether a rank is one of them.
    pub fn hold(self, rank: usize) -> bool {
        (self.first..=self.last).contains(&rank)
    }
}

impl fmt::Display for Ranks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

impl FromStr for Ranks {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once('-');
        let parsed = numbers.and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
        let (first, last) =
            parsed.ok_or_else(|| format!("ranks are two numbers such as 10-50, not {text:?}"))?;
        Self::new(first, last)
    }
}

impl TryFrom<String> for Ranks {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Ranks> for String {
    fn from(ranks: Ranks) -> Self {
        ranks.to_string()
    }
}

/// Why a document is not in a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Its rank is not one of those asked for.
    Ranks,
    /// It is a known passage, and those are excluded.
    Known,
    /// It is the row itself.
    Itself,
    /// It scores above the largest score.
    MaxScore,
    /// It scores too much beside the known passage.
    Margin,
    /// The target stands in it.
    Target,
    /// It is nearly the target, a known passage or another candidate.
    NearDuplicate,
}

/// Documents that were kept out, by reason. A pool that is full looks at no further documents.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// [`Reason::Ranks`]
    pub ranks: u64,
    /// [`Reason::Known`]
    pub known_passage: u64,
    /// [`Reason::Itself`]
    pub itself: u64,
    /// [`Reason::MaxScore`]
    pub max_score: u64,
    /// [`Reason::Margin`]
    pub margin: u64,
    /// [`Reason::Target`]
    pub containing_target: u64,
    /// [`Reason::NearDuplicate`]
    pub near_duplicates: u64,
}

impl Dropped {
    /// Counts one.
    pub fn add(&mut self, reason: Reason) {
        *match reason {
            Reason::Ranks => &mut self.ranks,
            Reason::Known => &mut self.known_passage,
            Reason::Itself => &mut self.itself,
            Reason::MaxScore => &mut self.max_score,
            Reason::Margin => &mut self.margin,
            Reason::Target => &mut self.containing_target,
            Reason::NearDuplicate => &mut self.near_duplicates,
        } += 1;
    }

    /// Names, as they are printed, and counts.
    pub fn named(&self) -> [(&'static str, u64); 7] {
        [
            ("ranks", self.ranks),
            ("known passage", self.known_passage),
            ("itself", self.itself),
            ("largest score", self.max_score),
            ("margin", self.margin),
            ("containing the target", self.containing_target),
            ("near duplicates", self.near_duplicates),
        ]
    }
}

impl std::ops::AddAssign for Dropped {
    fn add_assign(&mut self, other: Self) {
        self.ranks += other.ranks;
        self.known_passage += other.known_passage;
        self.itself += other.itself;
        self.max_score += other.max_score;
        self.margin += other.margin;
        self.containing_target += other.containing_target;
        self.near_duplicates += other.near_duplicates;
    }
}
