//! Injection: in selected heads, the retriever's document weights decide how a row's attention is
//! shared among documents, while the language model keeps its attention inside each document.
//!
//! Method section 2.3 in its log-sum-exp form. A row's visible keys fall into groups: one a document,
//! and the *other* keys. With `l` a group's log-sum-exp of logits,
//!
//! ```text
//! a_j = exp(z_j - l_group)                   attention within a group, sums to 1
//! s   = softmax(l)                           the model's own share of each group
//! B   = 1 - s_other | 1 | c                  document budget: mass, one, constant
//! f_k = s_k / (s_k + 1e-12)                  1, except for documents a row does not look at
//! c_k = (1 - gate) s_k     + gate B w_k f_k  share of document k
//! c_o = (1 - gate) s_other + gate (1 - B)    share of the other keys
//! p_j = c_group a_j
//! ```
//!
//! and the way back, with `G` a group's `sum(a_j dL/dp_j)`:
//!
//! ```text
//! dL/dw_k = gate B f_k G_k
//! dL/ds_k = (1 - gate) G_k + gate B w_k f'_k G_k
//! dL/ds_other = (1 - gate) G_other - [mass] gate (sum(w_k f_k G_k) - G_other)
//! dL/dl   = s (dL/ds - sum(s dL/ds))
//! dL/dz_j = a_j (c_group (dL/dp_j - G_group) + dL/dl_group)
//! ```
//!
//! A document that is hidden from a query has no group: none of the query's rows, in whatever head, sees
//! its keys.
//!
//! Everything stays finite for documents without attention. `f` is the one departure from the formula:
//! a row that gives a document less than 1e-12 has no choice of tokens inside it worth keeping, and
//! scaling such noise up a million million times makes the loss jump (docs/decisions/0003).

use crate::heads::HeadSet;
use crate::{Error, Result};
use dream_nn::ops::attention::{KeyReader, PlainReader, Read, RowAt};
use dream_nn::ops::elementwise::{axpy, dot, exp_sum, max, scale, softmax, softmax_backward};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

/// A document's own share below which its readout fades out.
const SHARE_FLOOR: f32 = 1e-12;

/// How much of a row's attention the documents share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "BudgetText", into = "String")]
pub enum Budget {
    /// What the model itself gives to documents in that row (V1).
    #[default]
    Mass,
    /// Everything (V2).
    One,
    /// A constant share (V3).
    Constant(f32),
}

/// Which rows are injected, all of them after the last document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rows {
    /// Everything after the documents.
    #[default]
    Suffix,
    /// The rows that predict the target, and its last token's.
    Target,
    /// Everything between the documents and the target.
    Query,
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mass => f.write_str("mass"),
            Self::One => f.write_str("one"),
            Self::Constant(c) => write!(f, "{c}"),
        }
    }
}

impl FromStr for Budget {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "mass" => Ok(Self::Mass),
            "one" => Ok(Self::One),
            _ => match text.parse() {
                Ok(c) if (0.0..=1.0).contains(&c) => Ok(Self::Constant(c)),
                _ => Err(Error::Invalid(format!(
                    "budget must be mass, one or a number from 0 to 1, not {text:?}"
                ))),
            },
        }
    }
}

/// A budget as files write it.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "wanted \"mass\", \"one\" or a number from 0 to 1"
)]
enum BudgetText {
    Number(f32),
    Text(String),
}

impl TryFrom<BudgetText> for Budget {
    type Error = Error;

    fn try_from(text: BudgetText) -> Result<Self> {
        match text {
            BudgetText::Number(share) => share.to_string().parse(),
            BudgetText::Text(text) => text.parse(),
        }
    }
}

impl From<Budget> for String {
    fn from(budget: Budget) -> Self {
        budget.to_string()
    }
}

impl fmt::Display for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Suffix => "suffix",
            Self::Target => "target",
            Self::Query => "query",
        })
    }
}

impl FromStr for Rows {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "suffix" => Ok(Self::Suffix),
            "target" => Ok(Self::Target),
            "query" => Ok(Self::Query),
            _ => Err(Error::Invalid(format!(
                "rows must be suffix, target or query, not {text:?}"
            ))),
        }
    }
}

impl Rows {
    /// The injected rows of a suffix whose target starts at its row `target_start`, out of `len`.
    pub fn range(self, target_start: usize, len: usize) -> Range<usize> {
        match self {
            Self::Suffix => 0..len,
            Self::Target => target_start.saturating_sub(1)..len,
            Self::Query => 0..target_start,
        }
    }
}

/// The attention reader that injects.
#[derive(Clone, Debug)]
pub struct Injection<'a> {
    /// The selected heads.
    pub heads: &'a HeadSet,
    /// Token ranges of the documents among the prefix's keys, in order, disjoint, none empty.
    pub doc_spans: &'a [Range<usize>],
    /// Document weights of each segment, `[segments][documents]`, each summing to 1.
    pub weights: &'a [Vec<f32>],
    /// Documents hidden from each segment, `[segments]`, or nothing where none is; their weight is 0.
    pub hidden: &'a [Vec<usize>],
    /// Injected rows of each segment.
    pub rows: &'a [Range<usize>],
    /// Document budget.
    pub budget: Budget,
    /// 1 replaces the model's own shares, 0 leaves them alone.
    pub gate: f32,
}

/// What one head of one segment gathers.
#[derive(Clone, Debug, Default)]
pub struct InjectionRecord {
    /// `dL/dw`, summed over rows; empty in forward passes and for heads that are not selected.
    pub d_weights: Vec<f32>,
    /// The model's own distribution over documents, summed over rows; forward passes only.
    pub own_distribution: Vec<f32>,
    /// The model's own document budget, summed over rows; forward passes only.
    pub budget: f32,
    /// Rows summed over.
    pub rows: usize,
}

impl KeyReader for Injection<'_> {
    type Record = InjectionRecord;

    fn probabilities(&self, at: RowAt, logits: &mut [f32], record: &mut InjectionRecord) {
        if !self.injects(at) {
            hide(logits, self.doc_spans, self.hidden_from(at.segment));
            return PlainReader.probabilities(at, logits, &mut ());
        }
        let groups = self.read_groups(at, logits);
        for (keys, share) in self.keys(logits.len()).zip(groups.shares()) {
            for range in keys {
                scale(&mut logits[range], share);
            }
        }
        record.own_distribution.resize(self.doc_spans.len(), 0.0);
        let documents = self.doc_spans.len();
        let own_budget: f32 = groups.own[..documents].iter().sum();
        // The own distribution is a softmax over documents alone, defined even where s_k is tiny.
        let mut own = groups.log_sums[..documents].to_vec();
        softmax(&mut own);
        axpy(&mut record.own_distribution, 1.0, &own);
        record.budget += own_budget;
        record.rows += 1;
    }

    fn d_logits(&self, at: RowAt, read: &Read<'_>, d_p: &mut [f32], record: &mut InjectionRecord) {
        if !self.injects(at) {
            return PlainReader.d_logits(at, read, d_p, &mut ());
        }
        let mut within = read.logits.to_vec();
        let groups = self.read_groups(at, &mut within);
        let weights = &self.weights[at.segment];
        let readout: Vec<f32> = self
            .keys(within.len())
            .map(|keys| keys.map(|r| dot(&within[r.clone()], &d_p[r])).sum())
            .collect();
        let documents = weights.len();
        record.d_weights.resize(documents, 0.0);
        let pull = self.gate * groups.budget;
        let mut d_l: Vec<f32> = readout.iter().map(|g| (1.0 - self.gate) * g).collect();
        let mut injected = 0.0;
        for (k, w) in weights.iter().enumerate() {
            let share = groups.own[k];
            record.d_weights[k] += pull * fade(share) * readout[k];
            d_l[k] += pull * w * fade_slope(share) * readout[k];
            injected += w * fade(share) * readout[k];
        }
        if self.budget == Budget::Mass {
            d_l[documents] -= self.gate * (injected - readout[documents]);
        }
        softmax_backward(&groups.own, &mut d_l);
        let shares = groups.shares();
        for (((keys, share), g), d_l) in self.keys(within.len()).zip(shares).zip(&readout).zip(&d_l)
        {
            for range in keys {
                for (d, a) in d_p[range.clone()].iter_mut().zip(&within[range]) {
                    *d = a * (share * (*d - g) + d_l);
                }
            }
        }
    }
}

/// What a row's logits say about the groups; documents first, the other keys last.
struct Groups {
    log_sums: Vec<f32>,
    /// The model's own shares, sum 1.
    own: Vec<f32>,
    /// The injected shares; their sum is 1 less what fades out.
    injected: Vec<f32>,
    budget: f32,
}

impl Groups {
    fn shares(&self) -> impl Iterator<Item = f32> {
        self.injected.iter().copied()
    }
}

impl Injection<'_> {
    fn hidden_from(&self, segment: usize) -> &[usize] {
        self.hidden.get(segment).map_or(&[], Vec::as_slice)
    }

    fn injects(&self, at: RowAt) -> bool {
        self.rows[at.segment].contains(&at.row) && self.heads.contains(at.layer, at.head)
    }

    /// Key ranges of each group: a document each, then the other keys (everything between documents,
    /// and everything after them).
    fn keys(
        &self,
        n_keys: usize,
    ) -> impl Iterator<Item = impl Iterator<Item = Range<usize>> + Clone> {
        let documents = self
            .doc_spans
            .iter()
            .map(|span| KeyRanges::One(span.clone()));
        let starts = std::iter::once(0).chain(self.doc_spans.iter().map(|span| span.end));
        let ends = self
            .doc_spans
            .iter()
            .map(|span| span.start)
            .chain(std::iter::once(n_keys));
        let others: Vec<_> = starts
            .zip(ends)
            .filter(|(a, b)| a < b)
            .map(|(a, b)| a..b)
            .collect();
        let all = documents.chain(std::iter::once(KeyRanges::Many(others)));
        all.map(|ranges| match ranges {
            KeyRanges::One(range) => vec![range].into_iter(),
            KeyRanges::Many(ranges) => ranges.into_iter(),
        })
    }

    /// Turns logits into attention within each group, in place, and says what the groups get.
    fn read_groups(&self, at: RowAt, logits: &mut [f32]) -> Groups {
        hide(logits, self.doc_spans, self.hidden_from(at.segment));
        let log_sums: Vec<f32> = self
            .keys(logits.len())
            .map(|keys| {
                let shift = keys
                    .clone()
                    .map(|r| max(&logits[r]))
                    .fold(f32::NEG_INFINITY, f32::max);
                if shift == f32::NEG_INFINITY {
                    keys.for_each(|range| logits[range].fill(0.0));
                    return shift;
                }
                let sum: f32 = keys.clone().map(|r| exp_sum(&mut logits[r], shift)).sum();
                for range in keys {
                    scale(&mut logits[range], 1.0 / sum);
                }
                shift + sum.ln()
            })
            .collect();
        let mut own = log_sums.clone();
        softmax(&mut own);
        let documents = self.doc_spans.len();
        let budget = match self.budget {
            Budget::Mass => own[..documents].iter().sum(),
            Budget::One => 1.0,
            Budget::Constant(c) => c,
        };
        let wanted = self.weights[at.segment]
            .iter()
            .zip(&own)
            .map(|(w, s)| budget * w * fade(*s));
        let injected = own
            .iter()
            .zip(wanted.chain(std::iter::once(1.0 - budget)))
            .map(|(own, wanted)| (1.0 - self.gate) * own + self.gate * wanted)
            .collect();
        Groups {
            log_sums,
            own,
            injected,
            budget,
        }
    }
}

/// Makes the keys of some documents invisible.
pub(crate) fn hide(logits: &mut [f32], doc_spans: &[Range<usize>], hidden: &[usize]) {
    for k in hidden {
        logits[doc_spans[*k].clone()].fill(f32::NEG_INFINITY);
    }
}

/// `f` of the module's formulas.
fn fade(share: f32) -> f32 {
    share / (share + SHARE_FLOOR)
}

/// Its derivative.
fn fade_slope(share: f32) -> f32 {
    SHARE_FLOOR / (share + SHARE_FLOOR).powi(2)
}

enum KeyRanges {
    One(Range<usize>),
    Many(Vec<Range<usize>>),
}

#[cfg(test)]
mod tests;
