//! Curves over a numeric axis: loss over steps, a measure over steps beside fixed baselines.

use serde::{Deserialize, Serialize};

use super::curve::draw_series;
use super::scale::{Scale, format_value};
use super::{
    Anchor, BOLD, Canvas, DASHES, FONT_SIZE, LINE_HEIGHT, MARGIN, N_SERIES_COLORS, push, text_width,
};

/// A chart of curves; values that are not finite are gaps.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LineChart {
    /// What the chart shows, in a few words.
    pub title: String,
    /// What the horizontal axis counts, with its unit.
    pub x_label: String,
    /// What the vertical axis measures, with its unit.
    pub y_label: String,
    /// Kind of the vertical axis.
    #[serde(default)]
    pub y_axis: Axis,
    /// Values that the vertical axis reaches even if no curve does, such as 0.
    #[serde(default)]
    pub y_include: Vec<f64>,
    /// The curves.
    pub series: Vec<Series>,
    /// Horizontal lines to compare with.
    #[serde(default)]
    pub references: Vec<Reference>,
}

/// Kind of an axis.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Axis {
    /// Equal differences at equal distances.
    #[default]
    Linear,
    /// Equal factors at equal distances.
    Log,
}

/// One curve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Its name in the legend.
    pub name: String,
    /// `(x, y)` in order of x.
    #[serde(deserialize_with = "super::points::deserialize")]
    pub points: Vec<(f64, f64)>,
    /// With `Some(decay)` in 0 to 1 the points are drawn faintly and their exponential moving
    /// average (without the bias towards 0) strongly over them.
    #[serde(default)]
    pub smoothing: Option<f64>,
}

impl Series {
    /// A curve through the points as they are.
    pub fn new(name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Self {
            name: name.into(),
            points,
            smoothing: None,
        }
    }
}

/// A horizontal line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reference {
    /// Its name, such as `BM25`; the value is written behind it.
    pub label: String,
    /// Where it lies.
    pub value: f64,
}

/// The rectangle that curves are drawn in, with its scales.
pub(super) struct Plot {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
    pub x: Scale,
    pub y: Scale,
}

impl LineChart {
    pub(super) fn draw(&self, width: f64) -> String {
        let mut canvas = Canvas::titled(width, &self.title);
        self.legend(&mut canvas);
        canvas.bottom += LINE_HEIGHT - 4.0;
        canvas.text(
            MARGIN,
            canvas.bottom,
            "dc-muted",
            Anchor::Start,
            &self.y_label,
        );
        canvas.bottom += 12.0;
        let plot = self.layout(&canvas);
        self.axes(&mut canvas, &plot);
        self.reference_lines(&mut canvas, &plot);
        for (idx, series) in self.series.iter().enumerate() {
            draw_series(&mut canvas, &plot, series, &classes(idx));
        }
        self.reference_labels(&mut canvas, &plot);
        canvas.bottom = plot.bottom + 2.0 * LINE_HEIGHT + 2.0;
        canvas.text(
            f64::midpoint(plot.left, plot.right),
            canvas.bottom - 2.0,
            "dc-muted",
            Anchor::Middle,
            &self.x_label,
        );
        canvas.finish(&self.title, &self.description())
    }

    fn layout(&self, canvas: &Canvas) -> Plot {
        let top = canvas.bottom;
        let bottom = top + (canvas.width * 0.42).clamp(190.0, 360.0);
        let plotted = self
            .series
            .iter()
            .flat_map(|s| s.points.iter())
            .filter(|p| p.0.is_finite());
        let ys = plotted.clone().map(|p| p.1);
        let ys = ys
            .chain(self.references.iter().map(|r| r.value))
            .chain(self.y_include.iter().copied());
        let y = match self.y_axis {
            Axis::Linear => Scale::round(ys, (bottom, top), 5.0),
            Axis::Log => Scale::log(ys, (bottom, top), 5.0),
        };
        let label_width = |label: &String| text_width(label, FONT_SIZE);
        let tick_width = y.labels().iter().map(label_width).fold(20.0, f64::max);
        let left = MARGIN + tick_width + 8.0;
        let right = match self.reference_margin() {
            margin if margin > 0.0 && margin < canvas.width * 0.22 => {
                canvas.width - MARGIN - margin
            }
            _ => canvas.width - MARGIN - 8.0,
        };
        let n_ticks = (right - left) / 70.0;
        let x = Scale::snug(plotted.map(|p| p.0), (left, right), n_ticks);
        Plot {
            left,
            right,
            top,
            bottom,
            x,
            y,
        }
    }

    /// Width that the labels of the horizontal lines take.
    fn reference_margin(&self) -> f64 {
        let width = |r: &Reference| BOLD * text_width(&reference_label(r), FONT_SIZE) + 8.0;
        self.references.iter().map(width).fold(0.0, f64::max)
    }

    fn legend(&self, canvas: &mut Canvas) {
        let smoothed = self.series.iter().any(|s| s.smoothing.is_some());
        if self.series.len() < 2 && !smoothed {
            return;
        }
        let (mut x, mut y) = (MARGIN, canvas.bottom + LINE_HEIGHT - 4.0);
        let mut entry = |class: &str, name: &str| {
            let entry_width = 30.0 + text_width(name, FONT_SIZE) + 18.0;
            if x > MARGIN && x + entry_width > canvas.width {
                (x, y) = (MARGIN, y + LINE_HEIGHT);
            }
            canvas.put(&format!(r#"<g class="{class}">"#));
            let stroke = if class.contains("dc-raw") {
                "dc-faint"
            } else {
                "dc-line"
            };
            canvas.line(stroke, [x, y - 4.5], [x + 22.0, y - 4.5]);
            canvas.put("</g>");
            canvas.text(x + 30.0, y, "", Anchor::Start, name);
            x += entry_width;
        };
        for (idx, series) in self.series.iter().enumerate() {
            entry(&classes(idx), &series.name);
        }
        if smoothed {
            entry("dc-s0 dc-raw", "thin: before smoothing");
        }
        canvas.bottom = y + 8.0;
    }

    fn axes(&self, canvas: &mut Canvas, plot: &Plot) {
        for (&tick, label) in plot.y.ticks.iter().zip(plot.y.labels()) {
            let Some(y) = plot.y.place(tick) else {
                continue;
            };
            canvas.line("dc-grid", [plot.left, y], [plot.right, y]);
            canvas.text(plot.left - 8.0, y + 4.5, "dc-muted", Anchor::End, &label);
        }
        for (&tick, label) in plot.x.ticks.iter().zip(plot.x.labels()) {
            let Some(x) = plot.x.place(tick) else {
                continue;
            };
            canvas.line("dc-axis", [x, plot.bottom], [x, plot.bottom + 5.0]);
            canvas.text(
                x,
                plot.bottom + LINE_HEIGHT + 2.0,
                "dc-muted",
                Anchor::Middle,
                &label,
            );
        }
        canvas.line(
            "dc-axis",
            [plot.left, plot.bottom],
            [plot.right, plot.bottom],
        );
        if self.series.iter().all(|series| series.points.is_empty()) {
            let (x, y) = (
                f64::midpoint(plot.left, plot.right),
                f64::midpoint(plot.top, plot.bottom),
            );
            canvas.text(x, y, "dc-muted dc-halo", Anchor::Middle, "no values yet");
        }
    }

    fn reference_lines(&self, canvas: &mut Canvas, plot: &Plot) {
        for reference in &self.references {
            if let Some(y) = plot.y.place(reference.value) {
                canvas.line("dc-ref", [plot.left, y], [plot.right, y]);
            }
        }
    }

    /// Labels beside their lines where there is a margin, else on them, where least is hidden.
    fn reference_labels(&self, canvas: &mut Canvas, plot: &Plot) {
        let beside = plot.right < canvas.width - MARGIN - 8.5;
        let placed = self
            .references
            .iter()
            .filter_map(|r| Some((plot.y.place(r.value)?, r)));
        let mut placed: Vec<_> = placed.collect();
        placed.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut taken: Vec<[f64; 2]> = if beside { Vec::new() } else { self.inked(plot) };
        let mut above = f64::NEG_INFINITY;
        for (line_y, reference) in placed {
            let label = reference_label(reference);
            if beside {
                let y = (line_y + 4.5).max(above + 15.0);
                above = y;
                canvas.text(plot.right + 8.0, y, "dc-strong", Anchor::Start, &label);
                continue;
            }
            let label_width = BOLD * text_width(&label, FONT_SIZE);
            let hidden = |&(left, base): &(f64, f64)| {
                let inside = |p: &&[f64; 2]| {
                    (left - 4.0..left + label_width + 4.0).contains(&p[0])
                        && (base - 14.0..base + 6.0).contains(&p[1])
                };
                taken.iter().filter(inside).count()
            };
            let places = [line_y - 5.0, line_y + 15.0]
                .into_iter()
                .flat_map(|base| [(plot.right - label_width, base), (plot.left + 4.0, base)])
                .filter(|&(_, base)| base > plot.top && base < plot.bottom - 4.0);
            let (left, base) = places
                .min_by_key(hidden)
                .unwrap_or((plot.left + 4.0, line_y - 5.0));
            canvas.text(left, base, "dc-strong dc-halo", Anchor::Start, &label);
            // The next label keeps off this one.
            let n_letters = (label_width / 3.0) as usize;
            taken.extend((0..=n_letters).map(|i| [left + 3.0 * i as f64, base - 5.0]));
        }
    }

    /// Pixels that the curves pass, a few apart.
    fn inked(&self, plot: &Plot) -> Vec<[f64; 2]> {
        let mut pixels = Vec::new();
        for series in &self.series {
            let place = |p: &(f64, f64)| Some([plot.x.place(p.0)?, plot.y.place(p.1)?]);
            for pair in series.points.windows(2) {
                let (Some(a), Some(b)) = (place(&pair[0]), place(&pair[1])) else {
                    continue;
                };
                let n_parts = ((b[0] - a[0]).hypot(b[1] - a[1]) / 4.0)
                    .ceil()
                    .clamp(1.0, 500.0);
                for part in 0..=n_parts as usize {
                    let share = part as f64 / n_parts;
                    pixels.push([0, 1].map(|axis| a[axis] + share * (b[axis] - a[axis])));
                }
            }
        }
        pixels
    }

    /// The chart in words, for readers who do not see it.
    fn description(&self) -> String {
        let mut words = format!("{} over {}.", self.y_label, self.x_label);
        for series in &self.series {
            let mut finite = series
                .points
                .iter()
                .filter(|p| p.0.is_finite() && p.1.is_finite());
            let Some(first) = finite.next() else {
                push(&mut words, format_args!(" {}: no values.", series.name));
                continue;
            };
            let last = finite.next_back().unwrap_or(first);
            push(
                &mut words,
                format_args!(
                    " {}: from {} at {} to {} at {}.",
                    series.name,
                    format_value(first.1),
                    format_value(first.0),
                    format_value(last.1),
                    format_value(last.0)
                ),
            );
        }
        for reference in &self.references {
            push(
                &mut words,
                format_args!(" Line: {}.", reference_label(reference)),
            );
        }
        words
    }
}

/// Colour and dashes of a series.
fn classes(idx: usize) -> String {
    let dashes = DASHES[idx / N_SERIES_COLORS % DASHES.len()];
    format!("dc-s{}{dashes}", idx % N_SERIES_COLORS)
}

fn reference_label(reference: &Reference) -> String {
    format!("{} {}", reference.label, format_value(reference.value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: Vec<(f64, f64)>) -> LineChart {
        LineChart {
            title: "Loss".into(),
            series: vec![Series::new("loss", points)],
            ..LineChart::default()
        }
    }

    #[test]
    fn no_points_one_point_and_gaps_all_make_a_drawing() {
        let nan = f64::NAN;
        let cases = [
            (vec![], 0, 0),
            (vec![(1.0, 2.0)], 0, 1),
            (vec![(0.0, 3.0), (1.0, 3.0), (2.0, 3.0)], 1, 3),
            (
                vec![(0.0, 1.0), (1.0, 2.0), (2.0, nan), (3.0, 1.0), (4.0, 2.0)],
                2,
                4,
            ),
            (vec![(0.0, nan), (1.0, f64::INFINITY)], 0, 0),
        ];
        for (points, n_paths, n_marks) in cases {
            let svg = chart(points.clone()).draw(760.0);
            assert_eq!(svg.matches("<path").count(), n_paths, "{points:?}");
            assert_eq!(svg.matches("<circle").count(), n_marks, "{points:?}");
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }

    #[test]
    fn a_long_run_keeps_its_extremes_in_a_small_file() {
        let mut points: Vec<(f64, f64)> = (0..100_000).map(|i| (f64::from(i), 1.0)).collect();
        points[54_321].1 = 9.0;
        let svg = chart(points).draw(760.0);
        assert!(svg.len() < 60_000, "{} bytes", svg.len());
    }

    #[test]
    fn series_with_the_same_colour_have_other_dashes() {
        let classes: Vec<String> = (0..18).map(classes).collect();
        assert!((1..18).all(|i| !classes[..i].contains(&classes[i])));
    }

    #[test]
    fn a_reference_is_labelled_with_its_value() {
        let mut chart = chart(vec![(0.0, 0.5), (1.0, 0.8)]);
        chart.references.push(Reference {
            label: "BM25".into(),
            value: 0.71,
        });
        for width in [340.0, 760.0] {
            assert!(chart.draw(width).contains(">BM25 0.710</text>"));
        }
    }
}
