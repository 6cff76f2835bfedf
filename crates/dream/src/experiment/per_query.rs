//! What every query of a set was worth, as a table: `query-id`, then a column a measure.

use crate::Result;
use crate::files::{read_capped, write_atomic};
use dream_ir::Measure;
use dream_ir::measures::Scores;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// Largest file read.
const MAX_BYTES: u64 = 1 << 30;
/// Heading of the first column.
const QUERY: &str = "query-id";

/// Measures of one set, with the value of every query.
#[derive(Clone, Debug, Default)]
pub struct PerQuery {
    /// One entry a measure; all have the same queries.
    pub scores: Vec<Scores>,
}

impl PerQuery {
    /// The values of a measure.
    pub fn of(&self, measure: Measure) -> Option<&Scores> {
        self.scores.iter().find(|s| s.measure == measure)
    }

    /// Means by measure.
    pub fn means(&self) -> BTreeMap<String, f64> {
        let means = self.scores.iter();
        means.map(|s| (s.measure.to_string(), s.mean)).collect()
    }

    /// Number of queries.
    pub fn n_queries(&self) -> usize {
        self.scores.first().map_or(0, |s| s.per_query.len())
    }

    /// Writes the table, whole or not at all.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut text = String::from(QUERY);
        for scores in &self.scores {
            text.push('\t');
            text.push_str(&scores.measure.to_string());
        }
        text.push('\n');
        let queries = self.scores.first().map(|s| s.per_query.keys());
        for query in queries.into_iter().flatten() {
            text.push_str(query);
            for scores in &self.scores {
                let value = scores.per_query.get(query).copied().unwrap_or(f64::NAN);
                write!(text, "\t{value}").expect("a string takes any text. This is a bug.");
            }
            text.push('\n');
        }
        write_atomic(path, text.as_bytes())
    }

    /// Reads such a table.
    ///
    /// # Errors
    /// Names file and line.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = read_capped(path, MAX_BYTES)?;
        let bad = |line: u64, what: String| dream_ir::Error::Line {
            path: path.into(),
            line,
            what,
        };
        let text = String::from_utf8(bytes).map_err(|_| bad(1, "wanted UTF-8".into()))?;
        let mut lines = (1u64..).zip(text.lines());
        let header = lines.next().map_or("", |(_, line)| line);
        let mut columns = header.split('\t');
        if columns.next() != Some(QUERY) {
            let what = format!("wanted {QUERY} and measures between tabs, got {header:?}");
            return Err(bad(1, what).into());
        }
        let mut scores = Vec::new();
        for column in columns {
            let measure: Measure = column
                .parse()
                .map_err(|e| bad(1, format!("{column:?} is no measure: {e}")))?;
            scores.push(Scores {
                measure,
                mean: 0.0,
                per_query: BTreeMap::new(),
            });
        }
        for (number, line) in lines {
            let mut cells = line.split('\t');
            let query = cells.next().unwrap_or_default();
            let values: Vec<Option<f64>> = cells.map(|cell| cell.parse().ok()).collect();
            if values.len() != scores.len() || values.contains(&None) {
                let what = format!("wanted an id and {} numbers, got {line:?}", scores.len());
                return Err(bad(number, what).into());
            }
            for (scores, value) in scores.iter_mut().zip(values.into_iter().flatten()) {
                scores.per_query.insert(query.to_owned(), value);
            }
        }
        for scores in &mut scores {
            scores.mean = mean(scores.per_query.values().copied());
        }
        Ok(Self { scores })
    }

    /// The mean of several runs' values, query by query; a query counts in the runs that have it.
    pub fn averaged(runs: &[&Self]) -> Self {
        let measures = runs.first().map(|run| run.scores.iter().map(|s| s.measure));
        let scores = measures.into_iter().flatten().map(|measure| {
            let mut by_query: BTreeMap<String, Vec<f64>> = BTreeMap::new();
            for scores in runs.iter().filter_map(|run| run.of(measure)) {
                for (query, value) in &scores.per_query {
                    by_query.entry(query.clone()).or_default().push(*value);
                }
            }
            let per_query: BTreeMap<String, f64> = by_query
                .into_iter()
                .map(|(query, values)| (query, mean(values.into_iter())))
                .collect();
            Scores {
                measure,
                mean: mean(per_query.values().copied()),
                per_query,
            }
        });
        Self {
            scores: scores.collect(),
        }
    }
}

/// The mean; 0 of nothing.
pub(super) fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, n) = values.fold((0.0, 0u64), |(sum, n), value| (sum + value, n + 1));
    sum / n.max(1) as f64
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
pub(super) mod tests {
    use super::*;

    /// Values of queries `q0`, `q1`, ... under nDCG@10.
    pub(crate) fn values(values: &[f64]) -> PerQuery {
        let ids = (0..values.len()).map(|i| format!("q{i}"));
        PerQuery {
            scores: vec![Scores {
                measure: Measure::Ndcg(10),
                mean: mean(values.iter().copied()),
                per_query: ids.zip(values.iter().copied()).collect(),
            }],
        }
    }

    #[test]
    fn a_table_comes_back_as_it_was_written_and_a_bad_line_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tsv");
        let written = values(&[1.0 / 3.0, 0.0, 1.0]);
        written.write(&path).unwrap();
        let read = PerQuery::read(&path).unwrap();
        assert_eq!(read.scores[0].per_query, written.scores[0].per_query);
        assert_eq!(read.means(), written.means());
        std::fs::write(&path, "query-id\tnDCG@10\nq1\t0.5\nq2\n").unwrap();
        let error = PerQuery::read(&path).unwrap_err().to_string();
        assert!(error.contains("a.tsv:3"), "{error}");
        std::fs::write(&path, "id\tnDCG@10\n").unwrap();
        assert!(PerQuery::read(&path).is_err());
    }

    #[test]
    fn runs_are_averaged_query_by_query() {
        let mut second = values(&[0.5, 1.0, 0.0]);
        second.scores[0].per_query.remove("q2");
        // By hand: (0 + .5) / 2, (1 + 1) / 2, .5 alone.
        let mean = PerQuery::averaged(&[&values(&[0.0, 1.0, 0.5]), &second]);
        assert_eq!(mean.scores[0].values(), [0.25, 1.0, 0.5]);
        assert!((mean.scores[0].mean - 1.75 / 3.0).abs() < 1e-12);
    }
}
