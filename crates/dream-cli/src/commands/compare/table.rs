//! A comparison as a table: for a terminal, Markdown, LaTeX (booktabs) or CSV.

use super::report::{ChangeReport, MeasureReport, Report, RunReport};
use crate::table::{csv, escaped, markdown, markdown_text, text};
use dream_ir::statistics::Interval;

/// How a table is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Columns between blanks
    #[default]
    Text,
    /// A Markdown table
    Markdown,
    /// A LaTeX tabular, for the package booktabs
    Latex,
    /// Commas, every number in full and in a column of its own
    Csv,
}

impl Format {
    /// Whether text may stand beside the table.
    pub fn has_room_for_queries(self) -> bool {
        matches!(self, Self::Text | Self::Markdown)
    }
}

/// The lines to print.
pub fn render(report: &Report, format: Format) -> Vec<String> {
    if format == Format::Csv {
        return in_full(report);
    }
    let rows = rows(report);
    let mut lines = match format {
        Format::Text => text(&rows),
        Format::Markdown => markdown(&rows),
        _ => latex(&rows),
    };
    if format != Format::Latex {
        lines.push(String::new());
    }
    for note in notes(report) {
        lines.push(match format {
            Format::Latex => format!("% {note}"),
            Format::Markdown => format!("- {}", markdown_text(&note)),
            _ => note,
        });
    }
    for run in report.runs.iter().filter(|run| !run.changed.is_empty()) {
        lines.push(String::new());
        let measure = &run.measures[0].measure;
        lines.push(format!(
            "{}: queries that changed most in {measure}",
            run.run
        ));
        if format == Format::Markdown {
            lines.push(String::new());
            lines.extend(markdown(&changes(&run.changed)));
        } else {
            lines.extend(text(&changes(&run.changed)));
        }
    }
    lines
}

/// Cells by row, headings first.
fn rows(report: &Report) -> Vec<Vec<String>> {
    let percent = report.confidence * 100.0;
    let headings = [
        "measure".to_owned(),
        "run".to_owned(),
        format!("mean [{percent}%]"),
        format!("difference [{percent}%]"),
        "p".to_owned(),
        "p Holm".to_owned(),
        "p t".to_owned(),
        "p t Holm".to_owned(),
        "wins/ties/losses".to_owned(),
    ];
    let mut rows = vec![headings.to_vec()];
    for (run, measure) in by_measure(report) {
        let mut row = vec![
            measure.measure.to_string(),
            run.run.clone(),
            with_interval(&format!("{:.4}", measure.mean), measure.interval),
        ];
        match &measure.comparison {
            None => row.resize(headings.len(), String::new()),
            Some(c) => row.extend([
                with_interval(&format!("{:+.4}", c.difference), c.interval),
                p_value(Some(c.randomization.p)),
                p_value(measure.randomization_p_holm),
                p_value(c.t_test.map(|t| t.p)),
                p_value(measure.t_p_holm),
                format!("{}/{}/{}", c.wins, c.ties, c.losses),
            ]),
        }
        rows.push(row);
    }
    rows
}

/// Every run under the first measure, then under the second.
fn by_measure(report: &Report) -> impl Iterator<Item = (&RunReport, &MeasureReport)> {
    let n_measures = report.runs.first().map_or(0, |run| run.measures.len());
    (0..n_measures).flat_map(|m| report.runs.iter().map(move |run| (run, &run.measures[m])))
}

fn with_interval(number: &str, interval: Option<Interval>) -> String {
    interval.map_or(number.to_owned(), |i| {
        format!("{number} [{:.4}, {:.4}]", i.low, i.high)
    })
}

fn p_value(p: Option<f64>) -> String {
    match p {
        None => "-".to_owned(),
        Some(p) if p < 0.0001 => "<.0001".to_owned(),
        Some(p) => format!("{p:.4}"),
    }
}

/// The rules and counts that a reader of the table needs.
fn notes(report: &Report) -> Vec<String> {
    let draws = report.resampling.resamples();
    let exact = report.runs.iter().flat_map(|run| &run.measures);
    let exact = exact.filter_map(|m| m.comparison.as_ref());
    let (exact, drawn): (Vec<_>, Vec<_>) = exact.partition(|c| c.randomization.exact);
    let signs = match (exact.len(), drawn.len()) {
        (_, 0) => "exact".to_owned(),
        (0, _) => format!("{draws} draws"),
        _ => format!("{draws} draws, exact where there are no more assignments of signs"),
    };
    let mut notes = vec![
        format!(
            "{} judged queries; scores compared as {}; relevant from grade {}",
            report.queries, report.scores, report.relevance_level
        ),
        format!(
            "intervals: BCa bootstrap over queries, {draws} draws; p: paired randomisation test ({signs}); \
             p t: paired t test; both two-sided, against {}; seed {}",
            report.runs.first().map_or("", |run| &run.run),
            report.resampling.seed()
        ),
        format!("Holm: corrected for {} comparisons", report.comparisons),
    ];
    for run in &report.runs {
        let name = &run.run;
        if run.missing > 0 {
            let missing = run.missing;
            notes.push(format!(
                "{name}: {missing} judged queries without any document, counted as 0"
            ));
        }
        if run.unjudged > 0 {
            let unjudged = run.unjudged;
            notes.push(format!(
                "{name}: {unjudged} queries that nobody judged, left out"
            ));
        }
        if let Some(count) = run.identical_ids {
            notes.push(format!(
                "{name}: {count} documents with the query's own id taken out"
            ));
        }
    }
    notes
}

fn changes(changed: &[ChangeReport]) -> Vec<Vec<String>> {
    let mut rows = vec![
        ["query", "baseline", "run", "change", "text"]
            .map(String::from)
            .to_vec(),
    ];
    for ChangeReport { change, text } in changed {
        let text = text.as_deref().unwrap_or_default();
        rows.push(vec![
            change.query.clone(),
            format!("{:.4}", change.baseline),
            format!("{:.4}", change.value),
            format!("{:+.4}", change.difference()),
            text.split_whitespace().collect::<Vec<_>>().join(" "),
        ]);
    }
    rows
}

fn latex(rows: &[Vec<String>]) -> Vec<String> {
    let line = |row: &Vec<String>| {
        let cells = row.iter().map(|cell| {
            let cell = cell.replace('\\', "\u{0}");
            let cell = escaped(&cell, &['&', '%', '$', '#', '_', '{', '}']);
            let cell = cell
                .replace('\u{0}', "\\textbackslash{}")
                .replace('<', "$<$");
            cell.replace('~', "\\textasciitilde{}")
                .replace('^', "\\textasciicircum{}")
        });
        format!("{} \\\\", cells.collect::<Vec<_>>().join(" & "))
    };
    let mut lines = vec![
        format!("\\begin{{tabular}}{{{}}}", "l".repeat(rows[0].len())),
        "\\toprule".to_owned(),
        line(&rows[0]),
        "\\midrule".to_owned(),
    ];
    lines.extend(rows[1..].iter().map(line));
    lines.extend(["\\bottomrule".to_owned(), "\\end{tabular}".to_owned()]);
    lines
}

/// Every number in full, as CSV.
fn in_full(report: &Report) -> Vec<String> {
    let heading = "measure,run,mean,low,high,difference,difference_low,difference_high,p,p_holm,p_t,\
        p_t_holm,wins,ties,losses,queries,missing,unjudged,identical_ids,scores";
    let number = |number: Option<f64>| number.map_or(String::new(), |n| n.to_string());
    let mut lines = vec![heading.to_owned()];
    for (run, measure) in by_measure(report) {
        let c = measure.comparison.as_ref();
        let count = |n: Option<usize>| n.map_or(String::new(), |n| n.to_string());
        let of_difference = c.and_then(|c| c.interval);
        let cells = [
            measure.measure.to_string(),
            run.run.clone(),
            number(Some(measure.mean)),
            number(measure.interval.map(|i| i.low)),
            number(measure.interval.map(|i| i.high)),
            number(c.map(|c| c.difference)),
            number(of_difference.map(|i| i.low)),
            number(of_difference.map(|i| i.high)),
            number(c.map(|c| c.randomization.p)),
            number(measure.randomization_p_holm),
            number(c.and_then(|c| c.t_test).map(|t| t.p)),
            number(measure.t_p_holm),
            count(c.map(|c| c.wins)),
            count(c.map(|c| c.ties)),
            count(c.map(|c| c.losses)),
            report.queries.to_string(),
            run.missing.to_string(),
            run.unjudged.to_string(),
            count(run.identical_ids),
            report.scores.clone(),
        ];
        lines.push(csv(&cells));
    }
    lines
}
