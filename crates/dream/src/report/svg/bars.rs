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
    /// Ends of an interval around the value, drawn as a thin line.
    #[serde(default)]
    pub interval: Option<[f64; 2]>,
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
        let ends = |bar: &Bar| {
            [
                Some(bar.value),
                bar.interval.map(|i| i[0]),
                bar.interval.map(|i| i[1]),
            ]
        };
        let values = self.bars.iter().flat_map(ends).flatten().chain([0.0]);
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
            let hover = format!("{}: {}", bar.label, in_words(bar));
            let size = [(end - zero).abs().max(1.0), 18.0];
            canvas.rect(
                "dc-mark",
                [end.min(zero), canvas.bottom + 3.0],
                size,
                &hover,
            );
            canvas.put("</g>");
            let range = bar.interval.map(|ends| ends.map(|x| scale.place(x)));
            let (mut low, mut high) = (end, end);
            if let Some([Some(from), Some(to)]) = range {
                let y = canvas.bottom + 12.0;
                for class in ["dc-range dc-rangegap", "dc-range"] {
                    canvas.line(class, [from, y], [to, y]);
                }
                (low, high) = (end.min(from), end.max(to));
            }
            let (x, anchor) = if end < zero {
                (low - 6.0, Anchor::End)
            } else {
                (high + 6.0, Anchor::Start)
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
            .map(|bar| format!("{}: {}.", bar.label, in_words(bar)));
        let description = format!(
            "{}. {}",
            self.value_label,
            words.collect::<Vec<_>>().join(" ")
        );
        canvas.finish(&self.title, &description)
    }
}

/// The value, and the interval if there is one.
fn in_words(bar: &Bar) -> String {
    let value = format_value(bar.value);
    bar.interval.map_or(value.clone(), |[low, high]| {
        format!("{value}, {} to {}", format_value(low), format_value(high))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(values: &[f64]) -> BarChart {
        let bar = |&value: &f64| Bar {
            label: "BM25".into(),
            value,
            emphasis: false,
            interval: None,
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
    fn an_interval_is_drawn_within_the_chart_and_said_in_words() {
        let mut chart = chart(&[0.5, 0.6]);
        chart.bars[0].interval = Some([0.4, 0.9]);
        let svg = chart.draw(760.0);
        assert_eq!(svg.matches("class=\"dc-range\"").count(), 1);
        assert!(svg.contains("BM25: 0.500, 0.400 to 0.900."), "{svg}");
    }

    #[test]
    fn a_chart_without_bars_is_a_drawing() {
        assert!(chart(&[]).draw(340.0).starts_with("<svg "));
    }
}
