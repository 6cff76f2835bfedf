//! One page that shows a run: a single HTML file without scripts or requests, for light and dark,
//! wide and narrow screens and paper.
//!
//! The page is plain data, [`RunReport`]; [`render`] turns it into text. A content security policy
//! in the file forbids everything but the inline style, so a text of the corpus cannot reach out
//! even if escaping failed.

use std::io::Write;
use std::path::Path;

use dream_ir::atomic_write::write_atomically;
use serde::{Deserialize, Serialize};

use super::explanation::{Explanation, put_explanation};
use super::svg::{Chart, NARROW, WIDE};
use super::{escape, push};
use crate::Result;

/// Everything the page shows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    /// Heading of the page and name of the browser tab.
    pub title: String,
    /// What was done and what came out, in a few sentences.
    pub intro: String,
    /// The numbers to see first.
    pub summary: Vec<Fact>,
    /// The rest, in order.
    pub sections: Vec<Section>,
    /// What made the page: configuration, model hash, data digest, version.
    pub made_by: Vec<(String, String)>,
}

/// One number of the summary.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fact {
    /// What it is, such as `nDCG@10 after training`.
    pub label: String,
    /// The number as it is to be read.
    pub value: String,
    /// What it means, in half a sentence.
    pub note: String,
    /// Shown as the main result.
    #[serde(default)]
    pub emphasis: bool,
}

/// A heading and what stands under it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Section {
    /// The heading.
    pub heading: String,
    /// Its content, in order.
    pub blocks: Vec<Block>,
}

/// One piece of a section.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "block", rename_all = "snake_case")]
pub enum Block {
    /// Paragraphs, separated by empty lines.
    Text {
        /// The words.
        text: String,
    },
    /// A chart with the words that explain it to a reader without background.
    Chart {
        /// The chart.
        chart: Chart,
        /// How to read it and what to see in it.
        caption: String,
    },
    /// Rows of values; columns of numbers are set right.
    Table {
        /// Names of the columns.
        headers: Vec<String>,
        /// The cells, row by row.
        rows: Vec<Vec<String>>,
        /// How to read it.
        caption: String,
    },
    /// Which documents helped the LLM with one example.
    Explanation(Explanation),
    /// Commands to copy.
    Commands {
        /// What they do.
        intro: String,
        /// The lines for a shell.
        code: String,
    },
}

/// Writes the page, whole or not at all.
pub fn write(report: &RunReport, path: &Path) -> Result<()> {
    write_atomically(path, |file| file.write_all(render(report).as_bytes()))?;
    Ok(())
}

/// The page as HTML.
pub fn render(report: &RunReport) -> String {
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
         style-src 'unsafe-inline'; img-src data:\">\n<link rel=\"icon\" href=\"data:,\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <h1>{title}</h1>\n",
        title = escape(&report.title)
    );
    put_paragraphs(&mut html, &report.intro, "lead");
    if !report.summary.is_empty() {
        html += "<dl class=\"facts\">\n";
        for fact in &report.summary {
            let class = if fact.emphasis { " class=\"main\"" } else { "" };
            push(
                &mut html,
                format_args!(
                    "<div{class}><dt>{}</dt><dd class=\"value\">{}</dd><dd class=\"note\">{}</dd></div>\n",
                    escape(&fact.label),
                    escape(&fact.value),
                    escape(&fact.note)
                ),
            );
        }
        html += "</dl>\n";
    }
    for section in &report.sections {
        push(
            &mut html,
            format_args!("<section>\n<h2>{}</h2>\n", escape(&section.heading)),
        );
        for block in &section.blocks {
            put_block(&mut html, block);
        }
        html += "</section>\n";
    }
    if !report.made_by.is_empty() {
        html += "<footer>\n<dl class=\"made\">\n";
        for (label, value) in &report.made_by {
            push(
                &mut html,
                format_args!(
                    "<div><dt>{}</dt><dd>{}</dd></div>\n",
                    escape(label),
                    escape(value)
                ),
            );
        }
        html += "</dl>\n</footer>\n";
    }
    html + "</main>\n</body>\n</html>\n"
}

fn put_block(html: &mut String, block: &Block) {
    match block {
        Block::Text { text } => put_paragraphs(html, text, ""),
        Block::Chart { chart, caption } => {
            // Two drawings, one of which is shown: a shrunken chart cannot be read on a phone.
            push(
                html,
                format_args!(
                    "<figure>\n<div class=\"wide\">{}</div>\n<div class=\"narrow\">{}</div>\n",
                    chart.to_svg(WIDE),
                    chart.to_svg(NARROW)
                ),
            );
            push(
                html,
                format_args!("<figcaption>{}</figcaption>\n</figure>\n", escape(caption)),
            );
        }
        Block::Table {
            headers,
            rows,
            caption,
        } => put_table(html, headers, rows, caption),
        Block::Explanation(explanation) => put_explanation(html, explanation),
        Block::Commands { intro, code } => {
            put_paragraphs(html, intro, "");
            push(
                html,
                format_args!("<pre><code>{}</code></pre>\n", escape(code.trim_end())),
            );
        }
    }
}

fn put_paragraphs(html: &mut String, text: &str, class: &str) {
    let class = if class.is_empty() {
        String::new()
    } else {
        format!(" class=\"{class}\"")
    };
    for paragraph in text.split("\n\n").map(str::trim).filter(|p| !p.is_empty()) {
        push(html, format_args!("<p{class}>{}</p>\n", escape(paragraph)));
    }
}

fn put_table(html: &mut String, headers: &[String], rows: &[Vec<String>], caption: &str) {
    let is_number = |cell: &String| {
        // Groups of three digits may have blanks between them.
        let cell: String = cell.split_whitespace().collect();
        let cell = cell.trim_end_matches('%').replace('−', "-");
        cell.is_empty() || cell == "-" || cell == "–" || cell.parse::<f64>().is_ok()
    };
    let numeric = |column: usize| {
        let mut cells = rows.iter().filter_map(|row| row.get(column)).peekable();
        cells.peek().is_some() && cells.all(is_number)
    };
    let class = |column| {
        if numeric(column) {
            " class=\"number\""
        } else {
            ""
        }
    };
    let classes: Vec<&str> = (0..headers.len()).map(class).collect();
    *html += "<figure>\n<div class=\"scroll\"><table>\n<thead><tr>";
    for (header, class) in headers.iter().zip(&classes) {
        push(
            html,
            format_args!("<th scope=\"col\"{class}>{}</th>", escape(header)),
        );
    }
    *html += "</tr></thead>\n<tbody>\n";
    for row in rows {
        *html += "<tr>";
        for (column, cell) in row.iter().enumerate() {
            let class = classes.get(column).unwrap_or(&"");
            push(html, format_args!("<td{class}>{}</td>", escape(cell)));
        }
        *html += "</tr>\n";
    }
    *html += "</tbody>\n</table></div>\n";
    if !caption.is_empty() {
        push(
            html,
            format_args!("<figcaption>{}</figcaption>\n", escape(caption)),
        );
    }
    *html += "</figure>\n";
}

/// Colours agree with those of the charts.
const STYLE: &str = include_str!("page.css");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::explanation::tests::document;

    fn page(block: Block) -> String {
        let sections = vec![Section {
            heading: "<b>".into(),
            blocks: vec![block],
        }];
        render(&RunReport {
            title: "a & b".into(),
            sections,
            ..RunReport::default()
        })
    }

    #[test]
    fn nothing_in_a_page_is_markup_that_came_as_text_or_a_request() {
        let hostile = "<img src=https://example.org/x onerror='x'>";
        for block in [
            Block::Text {
                text: hostile.into(),
            },
            Block::Commands {
                intro: hostile.into(),
                code: hostile.into(),
            },
            Block::Table {
                headers: vec![hostile.into()],
                rows: vec![vec![hostile.into(), hostile.into()]],
                caption: hostile.into(),
            },
            Block::Explanation(Explanation {
                question: hostile.into(),
                target: hostile.into(),
                documents: vec![document(hostile, 0.2), document("b", f64::NAN)],
            }),
        ] {
            let html = page(block);
            assert!(html.contains("<title>a &amp; b</title>"));
            assert!(html.contains("<h2>&lt;b&gt;</h2>"));
            assert!(
                !html.contains("<img") && !html.contains("<script"),
                "{html}"
            );
        }
        assert!(!STYLE.contains("url(") && !STYLE.contains("@import"));
    }

    #[test]
    fn columns_of_numbers_are_set_right() {
        let html = page(Block::Table {
            headers: vec!["system".into(), "nDCG@10".into()],
            rows: vec![
                vec!["BM25".into(), "0.71".into()],
                vec!["random".into(), "–".into()],
                vec!["tokens".into(), "22\u{a0}379".into()],
            ],
            caption: String::new(),
        });
        assert!(html.contains("<th scope=\"col\">system</th><th scope=\"col\" class=\"number\">"));
    }

    #[test]
    fn a_report_comes_back_from_its_json() -> std::result::Result<(), serde_json::Error> {
        let explanation = Explanation {
            question: "q".into(),
            target: "t".into(),
            documents: vec![document("a", 0.3)],
        };
        let report = RunReport {
            sections: vec![Section {
                heading: "h".into(),
                blocks: vec![Block::Explanation(explanation)],
            }],
            ..RunReport::default()
        };
        let json = serde_json::to_string(&report)?;
        assert_eq!(serde_json::from_str::<RunReport>(&json)?, report);
        Ok(())
    }
}
