//! Two runs under one measure, query by query.

use serde::Serialize;

use super::{
    Interval, PairedT, RandomizationTest, Resampling, bootstrap_mean, mean, paired_randomization,
    paired_t,
};
use crate::error::{Error, Result};
use crate::measures::Scores;

/// Differences below this are rounding: such a query is a tie.
const TIE: f64 = 1e-12;

/// A run compared with a baseline.
#[derive(Debug, Clone, Serialize)]
pub struct PairedComparison {
    /// Mean of the run less that of the baseline.
    pub difference: f64,
    /// Bootstrap interval of the difference; `None` of a single query.
    pub interval: Option<Interval>,
    /// Randomisation test of the difference.
    pub randomization: RandomizationTest,
    /// Paired t test of the difference; `None` of a single query.
    pub t_test: Option<PairedT>,
    /// Queries on which the run is better.
    pub wins: usize,
    /// Queries on which both are worth the same.
    pub ties: usize,
    /// Queries on which the baseline is better.
    pub losses: usize,
    /// The queries that are no ties, the largest change first, equal ones by query id.
    #[serde(skip)]
    pub changes: Vec<Change>,
}

/// What a query was worth in two runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// Query id.
    pub query: String,
    /// Value in the baseline.
    pub baseline: f64,
    /// Value in the run.
    pub value: f64,
}

impl Change {
    /// The run's value less the baseline's.
    pub fn difference(&self) -> f64 {
        self.value - self.baseline
    }
}

impl PairedComparison {
    /// Compares two runs that were measured against the same judgements; other queries on one side
    /// than on the other are an error. `level` is that of the interval, such as 0.95.
    pub fn new(
        baseline: &Scores,
        run: &Scores,
        level: f64,
        resampling: Resampling,
    ) -> Result<Self> {
        if baseline.measure != run.measure || !baseline.per_query.keys().eq(run.per_query.keys()) {
            return Err(Error::Invalid(format!(
                "only runs under the same measure and judgements can be compared, got {} of {} \
                 queries and {} of {}",
                baseline.measure,
                baseline.per_query.len(),
                run.measure,
                run.per_query.len()
            )));
        }
        let pairs = baseline.per_query.iter().zip(run.per_query.values());
        let mut changes: Vec<Change> = pairs
            .map(|((query, baseline), value)| Change {
                query: query.clone(),
                baseline: *baseline,
                value: *value,
            })
            .collect();
        let differences: Vec<f64> = changes
            .iter()
            .map(Change::difference)
            .map(|d| if d.abs() <= TIE { 0.0 } else { d })
            .collect();
        let count = |wanted: fn(f64) -> bool| differences.iter().filter(|d| wanted(**d)).count();
        let (wins, losses) = (count(|d| d > 0.0), count(|d| d < 0.0));
        changes.retain(|change| change.difference().abs() > TIE);
        // Stable: equal changes stay in the order of their ids.
        changes.sort_by(|a, b| b.difference().abs().total_cmp(&a.difference().abs()));
        Ok(Self {
            difference: mean(&differences),
            interval: bootstrap_mean(&differences, level, resampling),
            randomization: paired_randomization(&differences, resampling),
            t_test: paired_t(&differences),
            wins,
            ties: differences.len() - wins - losses,
            losses,
            changes,
        })
    }
}
