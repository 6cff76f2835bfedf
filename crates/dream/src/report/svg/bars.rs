//! Horizontal bars: one number for each of a few named things.

use serde::{Deserialize, Serialize};

use super::scale::{Scale, format_value};
use super::{Anchor, Canvas, FONT_SIZE, LINE_HEIGHT, MARGIN, fit, text_width};

/// A chart of horizontal bars, from zero.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct BarChart {
    /// What the chart shows, in a few words.
    pub title: String,
    /// What a bar measures, with its unit.
    pub value_label: String,
    /// The bars, from the top.
    pub bars: Vec<Bar>,
}

/// One bar.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bar {
    /// What it stands for.
    pub label: String,
    /// Its length; negative values go to the left.
    pub value: f64,
    /// Drawn in the strong colour; the others in grey. If none is, all are strong.
    #[serde(default)]
    pub emphasis: bool,
}

impl BarChart {
    pub(super) fn draw(&self, width: f64) -> String {
        /// Below this width a label stands above its bar instead of beside it.
        const BESIDE_FROM_PX: f64 = 480.0;
        let mut canvas = Canvas::titled(width, &self.title);
        canvas.bottom += LINE_HEIGHT - 4.0;
        canvas.text(
            MARGIN,
            canvas.bottom,
            "dc-muted",
            Anchor::Start,
            &self.value_label,
        );
        canvas.bottom += 12.0;
        let beside = width >= BESIDE_FROM_PX;
        let longest = |text: fn(&Bar) -> String| {
            self.bars
                .iter()
                .map(|bar| text_width(&text(bar), FONT_SIZE))
                .fold(0.0, f64::max)
        };
        let label_px = longest(|bar| bar.label.clone()).min(width * 0.4);
        let value_px = longest(|bar| format_value(bar.value)) + 8.0;
        let negative = self.bars.iter().any(|bar| bar.value < 0.0);
        let left = if beside {
            MARGIN + label_px + 12.0
        } else {
            MARGIN
        } + if negative { value_px } else { 0.0 };
        let values = self.bars.iter().map(|bar| bar.value).chain([0.0]);
        let scale = Scale::snug(values, (left, width - MARGIN - value_px), 5.0);
        let zero = scale.place(0.0).unwrap_or(left);
        let top = canvas.bottom;
        let any_emphasis = self.bars.iter().any(|bar| bar.emphasis);
        for bar in &self.bars {
            if beside {
                let label = fit(&bar.label, label_px);
                canvas.text(MARGIN, canvas.bottom + 16.0, "", Anchor::Start, &label);
            } else {
                let label = fit(&bar.label, width - 2.0 * MARGIN);
                canvas.text(MARGIN, canvas.bottom + 14.0, "", Anchor::Start, &label);
                canvas.bottom += LINE_HEIGHT;
            }
            let color = if bar.emphasis || !any_emphasis {
                "dc-s0"
            } else {
                "dc-s6"
            };
            let end = scale.place(bar.value).unwrap_or(zero);
            canvas.put(&format!(r#"<g class="{color}">"#));
            let hover = format!("{}: {}", bar.label, format_value(bar.value));
            let size = [(end - zero).abs().max(1.0), 18.0];
            canvas.rect(
                "dc-mark",
                [end.min(zero), canvas.bottom + 3.0],
                size,
                &hover,
            );
            canvas.put("</g>");
            let (x, anchor) = if end < zero {
                (end - 6.0, Anchor::End)
            } else {
                (end + 6.0, Anchor::Start)
            };
            let class = if bar.emphasis { "dc-strong" } else { "" };
            canvas.text(
                x,
                canvas.bottom + 16.5,
                class,
                anchor,
                &format_value(bar.value),
            );
            canvas.bottom += 28.0;
        }
        if beside {
            canvas.line("dc-axis", [zero, top], [zero, canvas.bottom]);
        }
        let words = self
            .bars
            .iter()
            .map(|bar| format!("{}: {}.", bar.label, format_value(bar.value)));
        let description = format!(
            "{}. {}",
            self.value_label,
            words.collect::<Vec<_>>().join(" ")
        );
        canvas.finish(&self.title, &description)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(values: &[f64]) -> BarChart {
        let bar = |&value: &f64| Bar {
            label: "BM25".into(),
            value,
            emphasis: false,
        };
        BarChart {
            bars: values.iter().map(bar).collect(),
            ..BarChart::default()
        }
    }

    #[test]
    fn every_bar_has_its_value_written_beside_it() {
        let svg = chart(&[0.71, -0.25, f64::NAN, 0.0]).draw(760.0);
        for value in [">0.710<", ">−0.250<", ">no value<", ">0<"] {
            assert!(svg.contains(value), "{value} missing in {svg}");
        }
        assert!(!svg.contains("NaN"));
    }

    #[test]
    fn a_chart_without_bars_is_a_drawing() {
        assert!(chart(&[]).draw(340.0).starts_with("<svg "));
    }
}
