//! One coloured cell for each attention head: layers left to right, heads top to bottom.

use serde::{Deserialize, Serialize};

use super::scale::format_value;
use super::{Anchor, Canvas, FONT_SIZE, LINE_HEIGHT, MARGIN, push, text_width, wrap};

/// Steps of the colour scale, `h0` to `h15` of the style.
const N_COLORS: usize = 16;

/// A value for each head of each layer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct HeatMap {
    /// What the chart shows, in a few words.
    pub title: String,
    /// What a value measures.
    pub value_label: String,
    /// `[n_layers][n_heads]`; a value that is not finite makes a grey cell.
    #[serde(deserialize_with = "rows")]
    pub values: Vec<Vec<f64>>,
    /// `(layer, head)` of the cells to outline, from 0.
    #[serde(default)]
    pub selected: Vec<(usize, usize)>,
}

impl HeatMap {
    pub(super) fn draw(&self, width: f64) -> String {
        let n_layers = self.values.len();
        let n_heads = self.values.iter().map(Vec::len).max().unwrap_or(0);
        let mut canvas = Canvas::titled(width, &self.title);
        let (low, high) = self.range();
        self.legend(&mut canvas, low, high);
        canvas.text(
            MARGIN,
            canvas.bottom + 10.0,
            "dc-muted",
            Anchor::Start,
            "head",
        );
        let (left, top) = (MARGIN + 28.0, canvas.bottom + 18.0);
        let cell_width = ((width - MARGIN - left) / n_layers.max(1) as f64).min(44.0);
        let cell_height = cell_width
            .clamp(14.0, 26.0)
            .min((520.0 / n_heads.max(1) as f64).max(8.0));
        let corner = |layer: usize, head: usize| {
            [
                left + layer as f64 * cell_width,
                top + head as f64 * cell_height,
            ]
        };
        let gap = if cell_width > 8.0 { 1.0 } else { 0.2 };
        for (layer, row) in self.values.iter().enumerate() {
            for (head, &value) in row.iter().enumerate() {
                let mark = if self.selected.contains(&(layer, head)) {
                    ", selected"
                } else {
                    ""
                };
                let hover = format!("head {layer}-{head}: {}{mark}", format_value(value));
                let size = [cell_width - gap, cell_height - gap];
                canvas.rect(&color(value, low, high), corner(layer, head), size, &hover);
            }
        }
        for &(layer, head) in &self.selected {
            if self.values.get(layer).is_none_or(|row| head >= row.len()) {
                continue;
            }
            let [x, y] = corner(layer, head);
            let side =
                |inset: f64| [cell_width, cell_height].map(|s| (s - gap - 2.0 * inset).max(1.0));
            if cell_width < 14.0 {
                canvas.rect("dc-pick dc-thin", [x + 0.5, y + 0.5], side(0.5), "");
            } else {
                canvas.rect("dc-pickgap", [x + 2.0, y + 2.0], side(2.0), "");
                canvas.rect("dc-pick", [x + 0.5, y + 0.5], side(0.5), "");
            }
        }
        let bottom = top + n_heads as f64 * cell_height;
        let every = label_step(n_layers, cell_width, 24.0);
        for layer in (0..n_layers).step_by(every) {
            let x = left + (layer as f64 + 0.5) * cell_width;
            canvas.text(
                x,
                bottom + 15.0,
                "dc-muted",
                Anchor::Middle,
                &layer.to_string(),
            );
        }
        for head in (0..n_heads).step_by(label_step(n_heads, cell_height, 14.0)) {
            let y = top + (head as f64 + 0.5) * cell_height + 4.5;
            canvas.text(left - 7.0, y, "dc-muted", Anchor::End, &head.to_string());
        }
        let middle = left + n_layers as f64 * cell_width / 2.0;
        canvas.text(
            middle,
            bottom + 34.0,
            "dc-muted",
            Anchor::Middle,
            "layer (input to output)",
        );
        canvas.bottom = bottom + 38.0;
        canvas.finish(&self.title, &self.description(low, high))
    }

    /// Lowest and highest finite value; (0, 0) of nothing.
    fn range(&self) -> (f64, f64) {
        let finite = self.values.iter().flatten().filter(|v| v.is_finite());
        let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| {
            (low.min(*v), high.max(*v))
        });
        if low > high { (0.0, 0.0) } else { (low, high) }
    }

    fn legend(&self, canvas: &mut Canvas, low: f64, high: f64) {
        let swatch = 9.0;
        for line in wrap(&self.value_label, canvas.width - 2.0 * MARGIN, FONT_SIZE) {
            canvas.bottom += LINE_HEIGHT - 4.0;
            canvas.text(MARGIN, canvas.bottom, "dc-muted", Anchor::Start, &line);
            canvas.bottom += 4.0;
        }
        let mut base = canvas.bottom + LINE_HEIGHT - 2.0;
        let (low, high) = (format_value(low), format_value(high));
        canvas.text(MARGIN, base, "", Anchor::Start, &low);
        let mut x = MARGIN + text_width(&low, FONT_SIZE) + 6.0;
        for idx in 0..N_COLORS {
            canvas.rect(
                &format!("h{idx}"),
                [x, base - 11.0],
                [swatch + 0.3, 13.0],
                "",
            );
            x += swatch;
        }
        canvas.text(x + 6.0, base, "", Anchor::Start, &high);
        x += text_width(&high, FONT_SIZE) + 30.0;
        if !self.selected.is_empty() {
            let words = format!("selected ({})", self.selected.len());
            if x + 20.0 + text_width(&words, FONT_SIZE) > canvas.width - MARGIN {
                (x, base) = (MARGIN + 1.0, base + LINE_HEIGHT + 2.0);
            }
            canvas.rect("dc-pick", [x, base - 11.0], [13.0, 13.0], "");
            canvas.text(x + 20.0, base, "", Anchor::Start, &words);
        }
        canvas.bottom = base + 14.0;
    }

    fn description(&self, low: f64, high: f64) -> String {
        let selected: Vec<String> = self
            .selected
            .iter()
            .map(|(layer, head)| format!("{layer}-{head}"))
            .collect();
        let n_heads = self.values.iter().map(Vec::len).max().unwrap_or(0);
        let mut words = format!(
            "{} for {} layers of {n_heads} heads, from {} to {}.",
            self.value_label,
            self.values.len(),
            format_value(low),
            format_value(high)
        );
        if !selected.is_empty() {
            push(
                &mut words,
                format_args!(" Selected, as layer-head: {}.", selected.join(", ")),
            );
        }
        words
    }
}

/// Class of a value's colour.
fn color(value: f64, low: f64, high: f64) -> String {
    if !value.is_finite() {
        return "hn".to_owned();
    }
    let share = if high > low {
        (value / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0)
    } else {
        0.5
    };
    format!(
        "h{}",
        ((share * N_COLORS as f64) as usize).min(N_COLORS - 1)
    )
}

/// The smallest round number of cells whose labels keep `room_px` pixels apart.
fn label_step(n_cells: usize, cell_px: f64, room_px: f64) -> usize {
    [1, 2, 5, 10, 20, 50]
        .into_iter()
        .find(|&n| n as f64 * cell_px >= room_px)
        .unwrap_or(n_cells.max(1))
}

/// The matrix, where JSON writes a missing value as null.
fn rows<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Vec<Vec<f64>>, D::Error> {
    let rows = Vec::<Vec<Option<f64>>>::deserialize(d)?;
    let numbers = |row: Vec<Option<f64>>| row.into_iter().map(|v| v.unwrap_or(f64::NAN)).collect();
    Ok(rows.into_iter().map(numbers).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cell_is_drawn_and_named_and_selected_ones_outlined() {
        let map = HeatMap {
            title: "Heads".into(),
            value_label: "nDCG@10".into(),
            values: vec![vec![0.1, 0.5, f64::NAN], vec![0.9, 0.2, 0.3]],
            selected: vec![(1, 0), (7, 7)],
        };
        let svg = map.draw(760.0);
        assert!(svg.contains("<title>head 1-0: 0.900, selected</title>"));
        assert!(svg.contains("<title>head 0-2: no value</title>"));
        assert_eq!(svg.matches("<title>head ").count(), 6);
        // The legend's swatch and the one cell that exists.
        assert_eq!(svg.matches(r#"class="dc-pick""#).count(), 2);
    }

    #[test]
    fn the_lowest_value_has_the_first_colour_and_the_highest_the_last() {
        assert_eq!(color(0.1, 0.1, 0.9), "h0");
        assert_eq!(color(0.9, 0.1, 0.9), "h15");
        assert_eq!(color(0.5, 0.5, 0.5), "h8");
        assert_eq!(color(f64::NAN, 0.1, 0.9), "hn");
    }

    #[test]
    fn an_empty_matrix_makes_a_drawing() {
        let svg = HeatMap::default().draw(340.0);
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
}
