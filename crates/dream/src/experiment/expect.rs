//! Expectations: claims about an experiment's figures, and whether they hold.

use super::file::ExperimentFile;
use super::summary::{CONFIDENCE, MEASURE, Summary};
use super::{HELDOUT, UNTRAINED};
use crate::{Error, Result};
use dream_ir::measures::DEFAULT_MEASURES;
use dream_ir::statistics::{Interval, PairedComparison, Resampling};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The set of figures about the embedding space.
const GEOMETRY: &str = "geometry";
/// What can be asked of it.
const GEOMETRIES: [&str; 4] = [
    "alignment",
    "uniformity-documents",
    "uniformity-queries",
    "uniformity-both",
];

/// `[[expect]]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// What it means, in one sentence.
    pub claim: String,
    /// `variant:set:measure`.
    left: String,
    /// How left stands to right.
    relation: Relation,
    /// A number, a variant (same set and measure), or `variant:set:measure`.
    right: Right,
    /// Least distance, for `>` and `<`.
    by: Option<f64>,
    /// Largest distance, for `~`.
    tolerance: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
enum Relation {
    #[serde(rename = ">")]
    Above,
    #[serde(rename = "<")]
    Below,
    #[serde(rename = "~")]
    Near,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
enum Right {
    Number(f64),
    Variant(String),
}

/// One figure of an experiment: `variant:set:measure`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Figure {
    variant: String,
    set: String,
    measure: String,
}

impl FromStr for Figure {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.split(':').collect::<Vec<_>>()[..] {
            [variant, set, measure] => Ok(Self {
                variant: variant.into(),
                set: set.into(),
                measure: measure.into(),
            }),
            _ => Err(Error::Invalid(format!(
                "wanted variant:set:measure, got {text:?}"
            ))),
        }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.variant, self.set, self.measure)
    }
}

/// An expectation and what was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Judged {
    /// The claim.
    pub claim: String,
    /// What was wanted.
    pub wanted: String,
    /// What was measured, as text.
    pub measured: String,
    /// Left side; none if it was not measured.
    pub left: Option<f64>,
    /// Right side.
    pub right: Option<f64>,
    /// Interval over queries of left less right, where both are nDCG@10 on the same queries.
    pub interval: Option<Interval>,
    /// Whether it holds. What was not measured does not.
    pub holds: bool,
}

impl Expectation {
    /// Refuses what means nothing, whatever the variants are.
    pub(super) fn check(&self) -> Result<()> {
        let invalid = |what: String| Err(Error::Invalid(format!("[[expect]]: {what}")));
        let positive = |value: Option<f64>| value.is_none_or(|v| v.is_finite() && v >= 0.0);
        if !positive(self.by) || !positive(self.tolerance) {
            return invalid("by and tolerance must be 0 or above".into());
        }
        match (self.relation, self.by, self.tolerance) {
            (Relation::Near, Some(_), _) => invalid("~ takes tolerance, not by".into()),
            (Relation::Near, None, None) => invalid("~ needs a tolerance".into()),
            (Relation::Above | Relation::Below, _, Some(_)) => {
                invalid("> and < take by, not tolerance".into())
            }
            _ => self.sides().map(|_| ()),
        }
    }

    /// Refuses names that the experiment does not have.
    pub(super) fn check_names(&self, variants: &[&str], file: &ExperimentFile) -> Result<()> {
        let (left, right) = self.sides()?;
        for figure in [Some(left), right.ok()].into_iter().flatten() {
            let invalid =
                |what: String| Err(Error::Invalid(format!("[[expect]] {figure}: {what}")));
            let Figure {
                variant,
                set,
                measure,
            } = &figure;
            if variant != UNTRAINED && !variants.contains(&variant.as_str()) {
                return invalid(format!(
                    "no variant {variant}, only {}",
                    variants.join(", ")
                ));
            }
            if set == GEOMETRY {
                if !GEOMETRIES.contains(&measure.as_str()) {
                    return invalid(format!("wanted one of {}", GEOMETRIES.join(", ")));
                }
                continue;
            }
            let is_known = set.starts_with(HELDOUT) || file.evals.iter().any(|e| e.name == *set);
            if !is_known {
                return invalid(format!("no set {set}"));
            }
            if DEFAULT_MEASURES.iter().all(|m| m.to_string() != *measure) {
                let known: Vec<String> = DEFAULT_MEASURES.iter().map(ToString::to_string).collect();
                return invalid(format!("wanted one of {}", known.join(", ")));
            }
        }
        Ok(())
    }

    /// Left figure, and right figure or number.
    fn sides(&self) -> Result<(Figure, Result<Figure, f64>)> {
        let left: Figure = self.left.parse()?;
        let right = match &self.right {
            Right::Number(number) => Err(*number),
            Right::Variant(text) if text.contains(':') => Ok(text.parse()?),
            Right::Variant(variant) => Ok(Figure {
                variant: variant.clone(),
                ..left.clone()
            }),
        };
        Ok((left, right))
    }

    /// Compares with what was measured.
    pub fn judge(&self, summary: &Summary) -> Result<Judged> {
        let (left, right) = self.sides()?;
        let left_value = value(summary, &left);
        let right_value = right
            .as_ref()
            .map_or_else(|n| Some(*n), |f| value(summary, f));
        let interval = match &right {
            Ok(right) => interval(summary, &left, right)?,
            Err(_) => None,
        };
        let right_text = right.as_ref().map_or_else(ToString::to_string, |f| {
            if (&f.set, &f.measure) == (&left.set, &left.measure) {
                f.variant.clone()
            } else {
                f.to_string()
            }
        });
        let by = self.by.unwrap_or(0.0);
        let tolerance = self.tolerance.unwrap_or(0.0);
        let wanted = match (self.relation, by) {
            (Relation::Above, 0.0) => format!("{left} > {right_text}"),
            (Relation::Above, by) => format!("{left} > {right_text} + {by}"),
            (Relation::Below, 0.0) => format!("{left} < {right_text}"),
            (Relation::Below, by) => format!("{left} < {right_text} - {by}"),
            (Relation::Near, _) => format!("{left} = {right_text} ± {tolerance}"),
        };
        let (measured, holds) = match (left_value, right_value) {
            (Some(l), Some(r)) => {
                let holds = match self.relation {
                    Relation::Above => l > r + by,
                    Relation::Below => l < r - by,
                    Relation::Near => (l - r).abs() <= tolerance,
                };
                let range = interval.map_or(String::new(), |i| {
                    format!(" [{:+.3}, {:+.3}]", i.low, i.high)
                });
                (
                    format!("{l:.3} against {r:.3}: {:+.3}{range}", l - r),
                    holds,
                )
            }
            _ => ("not measured".into(), false),
        };
        Ok(Judged {
            claim: self.claim.clone(),
            wanted,
            measured,
            left: left_value,
            right: right_value,
            interval,
            holds,
        })
    }
}

fn value(summary: &Summary, figure: &Figure) -> Option<f64> {
    let row = summary.row(&figure.variant)?;
    if figure.set != GEOMETRY {
        return row.cell(&figure.set)?.means.get(&figure.measure).copied();
    }
    let geometry = &row.geometry;
    match figure.measure.as_str() {
        "alignment" => geometry.alignment,
        "uniformity-documents" => geometry.uniformity_documents,
        "uniformity-queries" => geometry.uniformity_queries,
        _ => geometry.uniformity_both,
    }
}

/// The interval of the difference, where both sides are nDCG@10 of the same queries.
fn interval(summary: &Summary, left: &Figure, right: &Figure) -> Result<Option<Interval>> {
    if left.measure != MEASURE.to_string() || right.measure != left.measure {
        return Ok(None);
    }
    let scores = |figure: &Figure| {
        let row = summary.row(&figure.variant)?;
        row.per_query.get(&figure.set)?.of(MEASURE)
    };
    let (Some(left), Some(right)) = (scores(left), scores(right)) else {
        return Ok(None);
    };
    if !left.per_query.keys().eq(right.per_query.keys()) {
        return Ok(None);
    }
    let compared = PairedComparison::new(right, left, CONFIDENCE, Resampling::default())?;
    Ok(compared.interval)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::super::per_query::tests::values;
    use super::super::summary::tests::summary;
    use super::*;

    fn expectation(rest: &str) -> Expectation {
        toml::from_str(&format!("claim = 'c'\n{rest}")).unwrap()
    }

    fn judged(rest: &str) -> Judged {
        let summary = summary(&[
            ("good", values(&[0.9, 0.7, 0.8])),
            ("bad", values(&[0.1, 0.2, 0.3])),
        ]);
        expectation(rest).judge(&summary).unwrap()
    }

    #[test]
    fn relations_hold_or_do_not() {
        // Means .8 and .2.
        let cases = [
            ("relation = '>'\nright = 'bad'", true),
            ("relation = '>'\nright = 'bad'\nby = 0.59", true),
            ("relation = '>'\nright = 'bad'\nby = 0.61", false),
            ("relation = '<'\nright = 'bad'", false),
            ("relation = '<'\nright = 1\nby = 0.1", true),
            ("relation = '~'\nright = 0.81\ntolerance = 0.02", true),
            (
                "relation = '~'\nright = 'bad:heldout:nDCG@10'\ntolerance = 0.5",
                false,
            ),
        ];
        for (rest, holds) in cases {
            let judged = judged(&format!("left = 'good:heldout:nDCG@10'\n{rest}"));
            assert_eq!(judged.holds, holds, "{judged:?}");
        }
    }

    #[test]
    fn a_difference_has_an_interval_and_what_was_not_measured_does_not_hold() {
        let found = judged("left = 'good:heldout:nDCG@10'\nrelation = '>'\nright = 'bad'");
        assert!(found.interval.is_some_and(|i| i.low > 0.4 && i.high < 0.9));
        assert!(
            found.measured.contains("0.800 against 0.200: +0.600 ["),
            "{found:?}"
        );
        let absent = judged("left = 'none:heldout:nDCG@10'\nrelation = '<'\nright = 1");
        assert!(!absent.holds && absent.measured == "not measured");
    }

    #[test]
    fn what_means_nothing_is_refused() {
        let file = ExperimentFile::parse("[base]", std::path::Path::new("x")).unwrap();
        let refused = |rest: &str| {
            let expectation = expectation(rest);
            let checked = expectation.check();
            let checked = checked.and_then(|()| expectation.check_names(&["a"], &file));
            checked.unwrap_err().to_string()
        };
        let cases = [
            (
                "left = 'a:heldout'\nrelation = '>'\nright = 1",
                "variant:set:measure",
            ),
            (
                "left = 'a:heldout:nDCG@10'\nrelation = '~'\nright = 1",
                "tolerance",
            ),
            (
                "left = 'a:heldout:nDCG@10'\nrelation = '~'\nright = 1\nby = 1",
                "not by",
            ),
            (
                "left = 'a:heldout:nDCG@10'\nrelation = '>'\nright = 'z'",
                "no variant z",
            ),
            (
                "left = 'a:other:nDCG@10'\nrelation = '>'\nright = 1",
                "no set other",
            ),
            (
                "left = 'a:heldout:nDCG'\nrelation = '>'\nright = 1",
                "R@100",
            ),
            (
                "left = 'a:geometry:width'\nrelation = '>'\nright = 1",
                "alignment",
            ),
            (
                "left = 'a:heldout:nDCG@10'\nrelation = '>'\nright = 1\nby = -1",
                "0 or above",
            ),
        ];
        for (rest, wanted) in cases {
            let message = refused(rest);
            assert!(message.contains(wanted), "{message}");
        }
    }
}
