//! Tables in the forms that people paste: text, Markdown, CSV.

/// How a table is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum TableFormat {
    /// Columns between blanks
    #[default]
    Text,
    /// Markdown
    Markdown,
    /// Comma-separated values
    Csv,
    /// JSON
    Json,
}

/// A table of texts.
#[derive(Debug, Default)]
pub struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub fn new(header: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            header: header.into_iter().map(Into::into).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row, as long as the header.
    pub fn row(&mut self, cells: impl IntoIterator<Item = impl Into<String>>) {
        let cells: Vec<String> = cells.into_iter().map(Into::into).collect();
        debug_assert_eq!(cells.len(), self.header.len());
        self.rows.push(cells);
    }

    /// Its lines. [`TableFormat::Json`] is the caller's, who has values and not texts.
    pub fn lines(&self, format: TableFormat) -> Vec<String> {
        match format {
            TableFormat::Csv => self.all().map(|row| csv(row)).collect(),
            TableFormat::Markdown => self.markdown(),
            TableFormat::Text | TableFormat::Json => self.text(),
        }
    }

    fn all(&self) -> impl Iterator<Item = &Vec<String>> {
        std::iter::once(&self.header).chain(&self.rows)
    }

    fn text(&self) -> Vec<String> {
        let width = |column: usize| {
            let cells = self.all().map(|row| row[column].chars().count());
            cells.max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.header.len()).map(width).collect();
        let line = |row: &Vec<String>| {
            let padded = row.iter().zip(&widths);
            let padded: Vec<String> = padded.map(|(cell, &w)| format!("{cell:<w$}")).collect();
            padded.join("  ").trim_end().to_owned()
        };
        self.all().map(line).collect()
    }

    fn markdown(&self) -> Vec<String> {
        let line = |row: &Vec<String>| {
            let cells: Vec<String> = row.iter().map(|c| c.replace('|', "\\|")).collect();
            format!("| {} |", cells.join(" | "))
        };
        let mut lines: Vec<String> = self.all().map(line).collect();
        lines.insert(1, format!("|{}", "---|".repeat(self.header.len())));
        lines
    }
}

/// Cells between commas, quoted where they hold one (RFC 4180).
fn csv(row: &[String]) -> String {
    let cell = |cell: &String| {
        if cell.contains([',', '"', '\n', '\r']) {
            format!("\"{}\"", cell.replace('"', "\"\""))
        } else {
            cell.clone()
        }
    };
    row.iter().map(cell).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms_show_the_same_cells() {
        let mut table = Table::new(["task", "score"]);
        table.row(["SciFact", "0.5"]);
        table.row(["a|b, \"c\"", "é"]);
        assert_eq!(
            table.lines(TableFormat::Text),
            ["task      score", "SciFact   0.5", "a|b, \"c\"  é"]
        );
        assert_eq!(
            table.lines(TableFormat::Markdown),
            [
                "| task | score |",
                "|---|---|",
                "| SciFact | 0.5 |",
                "| a\\|b, \"c\" | é |"
            ]
        );
        assert_eq!(
            table.lines(TableFormat::Csv),
            ["task,score", "SciFact,0.5", "\"a|b, \"\"c\"\"\",é"]
        );
    }
}
