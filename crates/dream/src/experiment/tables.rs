//! A summary as rows of texts, the header first: for terminals, Markdown, CSV and the page.

use super::expect::Judged;
use super::summary::{CONFIDENCE, Cell, MEASURE, Row, Summary};
use dream_ir::statistics::{Interval, Resampling};

/// Rows of cells, the header first.
pub type Rows = Vec<Vec<String>>;

/// Every set and variant: nDCG@10 with its interval, and the difference to the baseline.
pub fn quality(summary: &Summary) -> Rows {
    let percent = CONFIDENCE * 100.0;
    let mut rows = vec![vec![
        "set".to_owned(),
        "variant".to_owned(),
        MEASURE.to_string(),
        format!("{percent}%"),
        "sd of seeds".to_owned(),
        format!("against {}", summary.baseline),
        format!("{percent}%"),
        "p Holm".to_owned(),
    ]];
    for (set, row, cell) in cells(summary) {
        let compared = cell.comparison.as_ref();
        rows.push(vec![
            set.to_owned(),
            row.name.clone(),
            format!("{:.3}", cell.ndcg),
            interval(cell.interval, false),
            cell.deviation_of_seeds
                .map_or(String::new(), |sd| format!("{sd:.3}")),
            compared.map_or(String::new(), |c| format!("{:+.3}", c.difference)),
            compared.map_or(String::new(), |c| interval(c.interval, true)),
            cell.p_holm.map_or(String::new(), p_value),
        ]);
    }
    rows
}

/// What every variant used.
pub fn cost(summary: &Summary) -> Rows {
    let headings = [
        "variant",
        "seeds",
        "steps",
        "queries",
        "LLM tokens",
        "retriever tokens",
        "training s",
        "all s",
        "peak MiB",
    ];
    let mut rows = vec![headings.map(String::from).to_vec()];
    for row in summary.rows.iter().filter(|row| !row.is_start) {
        let spent = |value: &dyn Fn(&super::summary::MeanSpent) -> Option<f64>| {
            let value = row.spent.as_ref().and_then(value);
            value.map_or(String::new(), |v| thousands(v.round() as u64))
        };
        rows.push(vec![
            row.name.clone(),
            row.seeds.len().to_string(),
            spent(&|s| Some(s.steps)),
            spent(&|s| Some(s.queries_seen)),
            spent(&|s| Some(s.llm_tokens)),
            spent(&|s| s.retriever_tokens),
            spent(&|s| Some(s.training_secs)),
            spent(&|s| Some(s.wall_secs)),
            row.peak_memory_bytes
                .map_or(String::new(), |bytes| thousands(bytes >> 20)),
        ]);
    }
    rows
}

/// How the embeddings of every variant lie.
pub fn geometry(summary: &Summary) -> Rows {
    let headings = [
        "variant",
        "alignment",
        "uniformity of documents",
        "of queries",
        "of both",
    ];
    let mut rows = vec![headings.map(String::from).to_vec()];
    let number = |value: Option<f64>| value.map_or(String::new(), |v| format!("{v:.3}"));
    for row in &summary.rows {
        let geometry = &row.geometry;
        rows.push(vec![
            row.name.clone(),
            number(geometry.alignment),
            number(geometry.uniformity_documents),
            number(geometry.uniformity_queries),
            number(geometry.uniformity_both),
        ]);
    }
    rows
}

/// Claims: wanted, measured, holds.
pub fn claims(judged: &[Judged]) -> Rows {
    let mut rows = vec![
        ["claim", "wanted", "measured", "holds"]
            .map(String::from)
            .to_vec(),
    ];
    for judged in judged {
        let holds = if judged.holds { "yes" } else { "no" };
        rows.push(vec![
            judged.claim.clone(),
            judged.wanted.clone(),
            judged.measured.clone(),
            holds.to_owned(),
        ]);
    }
    rows
}

/// Every number in full, a row for each set and variant.
pub fn in_full(summary: &Summary) -> Rows {
    let headings = "set,variant,trained,seeds,queries,nDCG@10,low,high,sd_of_seeds,R@100,RR@10,difference,\
        difference_low,difference_high,p,p_holm,wins,ties,losses,steps,queries_seen,llm_tokens,\
        retriever_tokens,training_secs,wall_secs,peak_memory_bytes,alignment,uniformity_documents,\
        uniformity_queries,uniformity_both";
    let mut rows = vec![headings.split(',').map(String::from).collect::<Vec<_>>()];
    let text = |value: Option<f64>| value.map_or(String::new(), |v| v.to_string());
    for (set, row, cell) in cells(summary) {
        let c = cell.comparison.as_ref();
        let range = c.and_then(|c| c.interval);
        let count = |n: Option<usize>| n.map_or(String::new(), |n| n.to_string());
        let spent = row.spent;
        let geometry = &row.geometry;
        rows.push(vec![
            set.to_owned(),
            row.name.clone(),
            (!row.is_start).to_string(),
            row.seeds.len().to_string(),
            cell.queries.to_string(),
            cell.ndcg.to_string(),
            text(cell.interval.map(|i| i.low)),
            text(cell.interval.map(|i| i.high)),
            text(cell.deviation_of_seeds),
            text(cell.means.get("R@100").copied()),
            text(cell.means.get("RR@10").copied()),
            text(c.map(|c| c.difference)),
            text(range.map(|i| i.low)),
            text(range.map(|i| i.high)),
            text(c.map(|c| c.randomization.p)),
            text(cell.p_holm),
            count(c.map(|c| c.wins)),
            count(c.map(|c| c.ties)),
            count(c.map(|c| c.losses)),
            text(spent.map(|s| s.steps)),
            text(spent.map(|s| s.queries_seen)),
            text(spent.map(|s| s.llm_tokens)),
            text(spent.and_then(|s| s.retriever_tokens)),
            text(spent.map(|s| s.training_secs)),
            text(spent.map(|s| s.wall_secs)),
            row.peak_memory_bytes
                .map_or(String::new(), |b| b.to_string()),
            text(geometry.alignment),
            text(geometry.uniformity_documents),
            text(geometry.uniformity_queries),
            text(geometry.uniformity_both),
        ]);
    }
    rows
}

/// What a reader of the tables needs to know.
pub fn notes(summary: &Summary) -> Vec<String> {
    let resampling = Resampling::default();
    let mut notes = vec![
        format!(
            "A query's value is its mean over seeds. Intervals: BCa bootstrap over queries, {} draws, seed {}; \
             p: paired randomisation test against {}, two-sided, Holm's correction for {} comparisons. \
             They say what other queries could give; sd of seeds says what other seeds could.",
            resampling.resamples(),
            resampling.seed(),
            summary.baseline,
            summary.comparisons
        ),
        "Alignment: mean squared distance of query and known document. Uniformity: log of the mean \
         potential; smaller is more even."
            .into(),
    ];
    if let Some(budget) = summary.budget {
        notes.push(format!(
            "Budget: {} {} a run.",
            thousands(budget.amount),
            budget.kind.label()
        ));
    }
    if !summary.missing.is_empty() {
        notes.push(format!("Not over yet: {}.", summary.missing.join(", ")));
    }
    notes
}

/// All cells, set by set.
fn cells(summary: &Summary) -> impl Iterator<Item = (&str, &Row, &Cell)> {
    summary.sets.iter().flat_map(|set| {
        let of = move |row| Some((set.as_str(), row, Row::cell(row, set)?));
        summary.rows.iter().filter_map(of)
    })
}

fn interval(interval: Option<Interval>, signed: bool) -> String {
    interval.map_or(String::new(), |i| {
        if signed {
            format!("{:+.3} to {:+.3}", i.low, i.high)
        } else {
            format!("{:.3} to {:.3}", i.low, i.high)
        }
    })
}

fn p_value(p: f64) -> String {
    if p < 0.0001 {
        "<.0001".into()
    } else {
        format!("{p:.4}")
    }
}

/// A number with a blank between groups of three digits.
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::per_query::tests::values;
    use super::super::summary::tests::summary;
    use super::*;

    #[test]
    fn tables_are_rectangles_and_say_the_figures() {
        let summary = summary(&[("a", values(&[0.1, 0.3])), ("b", values(&[0.5, 0.7]))]);
        for rows in [
            quality(&summary),
            cost(&summary),
            geometry(&summary),
            in_full(&summary),
        ] {
            assert_eq!(rows.len(), 3);
            assert!(rows.iter().all(|row| row.len() == rows[0].len()));
        }
        let rows = quality(&summary);
        assert_eq!(rows[2][..3], ["heldout", "b", "0.600"].map(String::from));
        assert_eq!(rows[2][5], "+0.400");
        assert!(notes(&summary)[0].contains("against a"));
    }

    #[test]
    fn long_numbers_are_grouped() {
        assert_eq!(thousands(7), "7");
        assert_eq!(thousands(123_456), "123 456");
        assert_eq!(thousands(1_000_000), "1 000 000");
    }
}
