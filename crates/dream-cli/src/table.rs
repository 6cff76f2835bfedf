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
#[derive(Debug)]
pub struct Table {
    /// The header first.
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub fn new(header: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            rows: vec![header.into_iter().map(Into::into).collect()],
        }
    }

    /// Adds a row, as long as the header.
    pub fn row(&mut self, cells: impl IntoIterator<Item = impl Into<String>>) {
        let cells: Vec<String> = cells.into_iter().map(Into::into).collect();
        debug_assert_eq!(cells.len(), self.rows[0].len());
        self.rows.push(cells);
    }

    /// Its lines. [`TableFormat::Json`] is the caller's, who has values and not texts.
    pub fn lines(&self, format: TableFormat) -> Vec<String> {
        match format {
            TableFormat::Csv => self.rows.iter().map(|row| csv(row)).collect(),
            TableFormat::Markdown => markdown(&self.rows),
            TableFormat::Text | TableFormat::Json => text(&self.rows),
        }
    }
}

/// Rows, the header first, in columns as wide as their widest cell.
pub fn text(rows: &[Vec<String>]) -> Vec<String> {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..rows[0].len()).map(|c| width(c).unwrap_or(0)).collect();
    let pad = |(cell, width): (&String, &usize)| format!("{cell:<width$}");
    let line = |row: &Vec<String>| -> String {
        let cells: Vec<String> = row.iter().zip(&widths).map(pad).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// Rows, the header first, as a Markdown table.
pub fn markdown(rows: &[Vec<String>]) -> Vec<String> {
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = row.iter().map(|cell| markdown_text(cell)).collect();
        format!("| {} |", cells.join(" | "))
    };
    let mut lines: Vec<String> = rows.iter().map(line).collect();
    lines.insert(1, format!("|{}", "---|".repeat(rows[0].len())));
    lines
}

/// A text whose characters mean nothing in Markdown.
pub fn markdown_text(text: &str) -> String {
    escaped(text, &['|', '*', '_', '`', '<'])
}

/// The text with a backslash before each of some characters.
pub fn escaped(text: &str, characters: &[char]) -> String {
    let backslash = |c| characters.contains(&c).then_some('\\');
    text.chars()
        .flat_map(|c| backslash(c).into_iter().chain([c]))
        .collect()
}

/// Cells between commas, quoted where they hold one (RFC 4180).
pub fn csv(row: &[String]) -> String {
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
