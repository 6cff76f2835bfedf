//! A measure by name: what there is, how each is written, and which spellings are read.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A measure with its cut-off k: how many of the documents found it looks at.
///
/// Its text form (`nDCG@10`, `R-cap@100`) is read back, and so are the spellings of other tools
/// ([`Measure::from_str`]). `rel` is the number of relevant documents, those judged at least as high
/// as the relevance level; what is not judged is not relevant. With nothing relevant every measure
/// but Judged@k is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Measure {
    /// `nDCG@k`, trec_eval's `ndcg_cut_k` and `ndcg`: the sum of `grade / log2(rank + 1)` over the
    /// first k, divided by that of the best order of all judged documents. Grades below 0 gain
    /// nothing; the relevance level plays no part (Järvelin & Kekäläinen 2002).
    Ndcg(usize),
    /// `MAP@k`, trec_eval's `map_cut_k` and `map`: the precision at each relevant document among the
    /// first k, added up and divided by `rel`.
    Map(usize),
    /// `R@k`, trec_eval's `recall_k`: relevant documents among the first k, divided by `rel`.
    Recall(usize),
    /// `P@k`, trec_eval's `P_k`: relevant documents among the first k, divided by k even where fewer
    /// were found.
    Precision(usize),
    /// `RR@k`, trec_eval's `recip_rank` where there is no cut-off: 1 / rank of the first relevant
    /// document, 0 beyond k. MS MARCO's MRR@10 is its mean.
    Rr(usize),
    /// `Success@k`, trec_eval's `success_k`: 1 where a relevant document is among the first k.
    Success(usize),
    /// `R-cap@k`, BEIR's capped recall: relevant documents among the first k, divided by the smaller
    /// of k and `rel` (Thakur et al. 2021).
    RCap(usize),
    /// `Judged@k`: the share of the first k that somebody judged, whatever the grade; where fewer
    /// than k were found, of those (ir_measures' `Judged`).
    Judged(usize),
}

/// What is reported unless something else is asked for.
pub const DEFAULT_MEASURES: [Measure; 3] =
    [Measure::Ndcg(10), Measure::Recall(100), Measure::Rr(10)];

impl Measure {
    /// The cut-off of nDCG, MAP and RR over the whole ranking, written without `@k`.
    pub const NO_CUT: usize = usize::MAX;

    /// How many of the documents found it looks at.
    pub fn cut(self) -> usize {
        match self {
            Self::Ndcg(k)
            | Self::Map(k)
            | Self::Recall(k)
            | Self::Precision(k)
            | Self::Rr(k)
            | Self::Success(k)
            | Self::RCap(k)
            | Self::Judged(k) => k,
        }
    }

    /// MTEB's name in result files: `ndcg_at_10`, `map_at_100`, `hit_rate_at_5`.
    pub fn mteb_name(self) -> String {
        let name = match self {
            Self::Ndcg(_) => "ndcg",
            Self::Map(_) => "map",
            Self::Recall(_) => "recall",
            Self::Precision(_) => "precision",
            Self::Rr(_) => "mrr",
            Self::Success(_) => "hit_rate",
            Self::RCap(_) => "R_cap",
            Self::Judged(_) => "judged",
        };
        match self.cut() {
            Self::NO_CUT => name.to_owned(),
            k => format!("{name}_at_{k}"),
        }
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Ndcg(_) => "nDCG",
            Self::Map(_) => "MAP",
            Self::Recall(_) => "R",
            Self::Precision(_) => "P",
            Self::Rr(_) => "RR",
            Self::Success(_) => "Success",
            Self::RCap(_) => "R-cap",
            Self::Judged(_) => "Judged",
        };
        match self.cut() {
            Self::NO_CUT => f.write_str(name),
            k => write!(f, "{name}@{k}"),
        }
    }
}

impl FromStr for Measure {
    type Err = Error;

    /// Reads the text form and the spellings of trec_eval (`ndcg_cut_10`, `ndcg_cut.10`, `map`,
    /// `P_5`, `recip_rank`), ir_measures (`AP@100`), BEIR (`R_cap@100`, `Accuracy@5`) and MTEB
    /// (`precision_at_10`, `hit_rate_at_5`), in any case.
    fn from_str(text: &str) -> Result<Self> {
        let unified = text.trim().to_ascii_lowercase();
        let unified = unified.replace(['@', '.', '-', ' '], "_");
        let (name, k) = split_cut(&unified);
        let name = match k {
            Some(_) => name.trim_end_matches("_at").trim_end_matches("_cut"),
            None => name,
        };
        let measure: fn(usize) -> Self = match name {
            "ndcg" => Self::Ndcg,
            "map" | "ap" => Self::Map,
            "r" | "recall" => Self::Recall,
            "p" | "precision" => Self::Precision,
            "rr" | "mrr" | "recip_rank" => Self::Rr,
            "success" | "accuracy" | "hit" | "hits" | "hit_rate" | "hitrate" => Self::Success,
            "r_cap" | "rcap" | "recall_cap" => Self::RCap,
            "judged" => Self::Judged,
            "hole" => {
                return Err(Error::Invalid(format!(
                    "wanted a measure, got {text:?}: BEIR's hole is no measure here; Judged@k is the \
                     share of the first k that is judged"
                )));
            }
            _ => return Err(unknown(text)),
        };
        match (k, measure(Self::NO_CUT)) {
            (Some(k), _) => match k.parse() {
                Ok(k) if k > 0 && k < Self::NO_CUT => Ok(measure(k)),
                _ => Err(unknown(text)),
            },
            (None, whole @ (Self::Ndcg(_) | Self::Map(_) | Self::Rr(_))) => Ok(whole),
            (None, _) => Err(unknown(text)),
        }
    }
}

/// A name and the digits after its last `_`, if there are any.
fn split_cut(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once('_') {
        Some((name, k)) if !k.is_empty() && k.bytes().all(|b| b.is_ascii_digit()) => {
            (name, Some(k))
        }
        _ => (text, None),
    }
}

fn unknown(text: &str) -> Error {
    Error::Invalid(format!(
        "wanted a measure such as nDCG@10, MAP@100, R@100, P@10, RR@10, Success@5, R-cap@100 or \
         Judged@10, got {text:?}"
    ))
}

impl TryFrom<String> for Measure {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Measure> for String {
    fn from(measure: Measure) -> Self {
        measure.to_string()
    }
}
