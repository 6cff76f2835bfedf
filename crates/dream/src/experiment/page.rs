//! An experiment's charts and its page.

use super::expect::Judged;
use super::summary::{CONFIDENCE, MEASURE, MeanSpent, Row, Summary};
use super::tables::{self, Rows, thousands};
use super::{HELDOUT, UNTRAINED};
use crate::report::html::{Block, Fact, RunReport, Section};
use crate::report::push;
use crate::report::svg::{Bar, BarChart, Chart, LineChart, Reference, Series};

/// A chart, the name of its file, and how to read it.
#[derive(Clone, Debug)]
pub struct NamedChart {
    /// File name without its ending.
    pub name: String,
    /// How to read it.
    pub caption: String,
    /// The chart.
    pub chart: Chart,
}

/// Name of the file, label, and what is read off.
type Axis = (&'static str, &'static str, fn(&MeanSpent) -> f64);

/// nDCG@10 over what was spent: a line a variant.
pub fn curves(summary: &Summary) -> Vec<NamedChart> {
    let axes: [Axis; 3] = [
        ("queries", "training queries seen", |s| s.queries_seen),
        (
            "seconds",
            "seconds of training, evaluations left out",
            |s| s.training_secs,
        ),
        ("llm-tokens", "tokens the language model read", |s| {
            s.llm_tokens
        }),
    ];
    let charts = axes.into_iter().filter_map(|(name, label, x)| {
        let drawn = |row: &&Row| {
            let last = row.curve.last().map_or(0.0, |point| x(&point.spent));
            row.curve.len() > 1 && last > 0.0
        };
        let line = |row: &Row| {
            let points = row.curve.iter().map(|p| (x(&p.spent), p.ndcg)).collect();
            Series::new(row.name.clone(), points)
        };
        let trained = || summary.rows.iter().filter(|row| !row.is_start);
        let series: Vec<Series> = trained().filter(drawn).map(line).collect();
        if series.is_empty() {
            return None;
        }
        let absent: Vec<&str> = trained()
            .filter(|row| !drawn(row))
            .map(|row| row.name.as_str())
            .collect();
        let mut caption = format!(
            "{MEASURE} of {} while training, mean over seeds.",
            described(&summary.curve_set)
        );
        if !absent.is_empty() {
            push(
                &mut caption,
                format_args!(" Not drawn, because it used none: {}.", absent.join(", ")),
            );
        }
        let bm25 = summary.bm25.filter(|_| summary.curve_set == HELDOUT);
        let chart = Chart::Line(LineChart {
            title: format!("{MEASURE} over {label}"),
            x_label: label.into(),
            y_label: format!("{MEASURE}, 0 to 1"),
            y_include: vec![0.0],
            series,
            references: bm25
                .map(|value| Reference {
                    label: "BM25".into(),
                    value,
                })
                .into_iter()
                .collect(),
            ..LineChart::default()
        });
        Some(NamedChart {
            name: format!("curve-{name}"),
            caption,
            chart,
        })
    });
    charts.collect()
}

/// nDCG@10 of every variant with its interval: a chart a set.
pub fn bars(summary: &Summary) -> Vec<NamedChart> {
    let charts = summary.sets.iter().map(|set| {
        let bar = |row: &Row| {
            let cell = row.cell(set)?;
            Some(Bar {
                label: row.name.clone(),
                value: cell.ndcg,
                emphasis: !row.is_start,
                interval: cell.interval.map(|i| [i.low, i.high]),
            })
        };
        let bars: Vec<Bar> = summary.rows.iter().filter_map(bar).collect();
        let queries = summary.rows.iter().find_map(|row| row.cell(set));
        let queries = queries.map_or(0, |cell| cell.queries);
        NamedChart {
            name: format!("set-{set}"),
            caption: format!(
                "{MEASURE} of {}, {} queries, mean over seeds. The thin line is the {}% interval over \
                 queries. Grey: untrained.",
                described(set),
                thousands(queries as u64),
                CONFIDENCE * 100.0
            ),
            chart: Chart::Bars(BarChart {
                title: format!("{MEASURE}: {}", described(set)),
                value_label: format!("{MEASURE}, 0 to 1"),
                bars,
            }),
        }
    });
    charts.collect()
}

fn described(set: &str) -> String {
    match set
        .strip_prefix(HELDOUT)
        .and_then(|rest| rest.strip_prefix('-'))
    {
        Some(documents) => format!("held-out rows among {documents} documents"),
        None if set == HELDOUT => "held-out rows".into(),
        None => set.to_owned(),
    }
}

/// The whole page.
pub fn page(summary: &Summary, judged: &[Judged], command: &str) -> RunReport {
    let mut sections = Vec::new();
    if !judged.is_empty() {
        let caption = "Differences have their interval over queries where both sides are nDCG@10 of \
                       the same queries.";
        sections.push(Section {
            heading: "Claims".into(),
            blocks: vec![table(tables::claims(judged), caption)],
        });
    }
    let blocks = |charts: Vec<NamedChart>| -> Vec<Block> {
        let block = |chart: NamedChart| Block::Chart {
            chart: chart.chart,
            caption: chart.caption,
        };
        charts.into_iter().map(block).collect()
    };
    let parts = [
        ("What came out", blocks(bars(summary))),
        ("On the way", blocks(curves(summary))),
    ];
    for (heading, blocks) in parts {
        if !blocks.is_empty() {
            sections.push(Section {
                heading: heading.into(),
                blocks,
            });
        }
    }
    let notes = tables::notes(summary).join("\n\n");
    sections.push(Section {
        heading: "In numbers".into(),
        blocks: vec![
            table(tables::quality(summary), ""),
            table(
                tables::cost(summary),
                "What training took: means over seeds, the largest memory.",
            ),
            table(
                tables::geometry(summary),
                "How embeddings lie, mean over seeds.",
            ),
            Block::Text { text: notes },
        ],
    });
    sections.push(Section {
        heading: "Again".into(),
        blocks: vec![Block::Commands {
            intro: "Goes on where it stopped, and makes this page again".into(),
            code: command.into(),
        }],
    });
    RunReport {
        title: summary.title.clone(),
        intro: summary.about.clone(),
        summary: facts(summary, judged),
        sections,
        made_by: vec![("dream".into(), env!("CARGO_PKG_VERSION").into())],
    }
}

fn table(rows: Rows, caption: &str) -> Block {
    // Numbers and ranges stay on one line.
    let is_figure = |cell: &String| {
        cell.chars()
            .all(|c| c.is_ascii_digit() || " +-.to".contains(c))
    };
    let in_one = |cell: String| {
        if is_figure(&cell) {
            cell.replace(' ', "\u{a0}")
        } else {
            cell
        }
    };
    let rows = rows.into_iter();
    let mut rows = rows.map(|row| row.into_iter().map(in_one).collect());
    Block::Table {
        headers: rows.next().unwrap_or_default(),
        rows: rows.collect(),
        caption: caption.into(),
    }
}

fn facts(summary: &Summary, judged: &[Judged]) -> Vec<Fact> {
    let fact = |label: &str, value: String, note: String, emphasis| Fact {
        label: label.into(),
        value,
        note,
        emphasis,
    };
    let trained = summary.rows.iter().filter(|row| !row.is_start);
    let over: usize = trained.clone().map(|row| row.seeds.len()).sum();
    let all = over + summary.missing.len();
    let mut facts = vec![fact(
        "Runs",
        format!("{over} of {all}"),
        format!("{} variants", trained.clone().count()),
        false,
    )];
    let Some(set) = summary.sets.first() else {
        return facts;
    };
    let ndcg = |row: &Row| row.cell(set).map(|cell| cell.ndcg);
    let note = format!("{MEASURE}, {}", described(set));
    if let Some(start) = summary.row(UNTRAINED).and_then(ndcg) {
        facts.push(fact(
            "Untrained",
            format!("{start:.3}"),
            note.clone(),
            false,
        ));
    }
    let best = trained
        .filter_map(|row| Some((row, ndcg(row)?)))
        .max_by(|a, b| a.1.total_cmp(&b.1));
    if let Some((row, value)) = best {
        let label = format!("Best: {}", row.name);
        facts.push(fact(&label, format!("{value:.3}"), note, judged.is_empty()));
    }
    if !judged.is_empty() {
        let held = judged.iter().filter(|judged| judged.holds).count();
        let value = format!("{held} of {}", judged.len());
        facts.push(fact("Claims that hold", value, String::new(), true));
    }
    facts
}

#[cfg(test)]
mod tests {
    use super::super::per_query::tests::values;
    use super::super::summary::tests::summary;
    use super::*;
    use crate::report::html::render;

    #[test]
    fn a_page_shows_every_variant_and_its_interval() {
        let summary = summary(&[
            ("one", values(&[0.1, 0.3, 0.2])),
            ("two <b>", values(&[0.5, 0.7, 0.9])),
        ]);
        let html = render(&page(&summary, &[], "dream experiment x.toml"));
        assert!(html.contains("two &lt;b&gt;") && html.contains("0.700"));
        // Both drawings of the chart have both whiskers.
        assert_eq!(html.matches("class=\"dc-range\"").count(), 4);
        assert!(html.contains("dream experiment x.toml"));
        // Nothing was evaluated on the way.
        assert!(curves(&summary).is_empty() && !html.contains("On the way"));
    }
}
