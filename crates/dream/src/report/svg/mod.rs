//! Charts as self-contained SVG: no script, no font, no request, readable in light and dark.
//!
//! A chart is plain data ([`LineChart`], [`HeatMap`], [`BarChart`]) drawn by [`Chart::to_svg`] for a
//! width in CSS pixels; text keeps its size, so a narrow screen gets a narrow drawing instead of a
//! shrunken one. Colours are classes with a `prefers-color-scheme` rule, so the same file adapts
//! inside a page and alone. Every drawing has `role="img"`, a `<title>` and a `<desc>` in words.

mod bars;
mod curve;
mod heatmap;
mod line;
mod scale;

pub use bars::{Bar, BarChart};
pub use heatmap::HeatMap;
pub use line::{Axis, LineChart, Reference, Series};

use serde::{Deserialize, Serialize};

use super::{escape, push};

/// Width in CSS pixels that suits a desktop page, and the file that stands alone.
pub const WIDE: f64 = 760.0;
/// Width in CSS pixels that suits a phone.
pub const NARROW: f64 = 340.0;

/// Any chart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Chart {
    /// Curves over a numeric axis.
    Line(LineChart),
    /// One value for each layer and head.
    HeatMap(HeatMap),
    /// Horizontal bars.
    Bars(BarChart),
}

impl Chart {
    /// Draws the chart `width` CSS pixels wide ([`WIDE`] or [`NARROW`]; at least 240).
    pub fn to_svg(&self, width: f64) -> String {
        let width = if width.is_finite() {
            width.clamp(240.0, 4000.0)
        } else {
            WIDE
        };
        match self {
            Self::Line(chart) => chart.draw(width),
            Self::HeatMap(chart) => chart.draw(width),
            Self::Bars(chart) => chart.draw(width),
        }
    }
}

/// Size of running text in the drawings, in CSS pixels.
const FONT_SIZE: f64 = 13.0;
/// Size of the title.
const TITLE_SIZE: f64 = 16.0;
/// How much wider strong text is.
const BOLD: f64 = 1.08;
/// Distance from line of text to line of text.
const LINE_HEIGHT: f64 = 18.0;
/// Empty border of a drawing.
const MARGIN: f64 = 14.0;
/// Colours of series, told apart also by lightness; more series start over with other dashes.
const N_SERIES_COLORS: usize = 6;
/// Classes of the lines' dashes, which change where the colours start over.
const DASHES: [&str; 3] = ["", " dc-dash", " dc-dots"];

/// The rules of all drawings. Class names start with `dc`, because the rules of a drawing inside a
/// page apply to the whole page. `h0` to `h15` are the heat scale, low to high: steps of equal
/// lightness in `OKLCH`, yellow over teal to dark blue, and the other way round in the dark, so that
/// low is always near the background.
const STYLE: &str = "\
.dc{font:13px system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif;\
font-variant-numeric:tabular-nums;max-width:100%;height:auto;color-scheme:light dark}\
.dc text{fill:#1f2328}.dc .dc-title{font-size:16px;font-weight:600}.dc .dc-muted{fill:#59636e}\
.dc .dc-strong{font-weight:600}.dc .dc-halo{paint-order:stroke;stroke:#fff;stroke-width:4px;stroke-linejoin:round}\
.dc .dc-surface{fill:#fff}.dc .dc-grid{stroke:#e4e8ec}.dc .dc-axis{stroke:#8c959f}\
.dc .dc-ref{stroke:#59636e;stroke-width:1.5;stroke-dasharray:6 4}\
.dc .dc-line{fill:none;stroke:currentColor;stroke-width:2.2;stroke-linejoin:round;stroke-linecap:round}\
.dc .dc-faint{fill:none;stroke:currentColor;stroke-width:1;stroke-opacity:.35;stroke-linejoin:round}\
.dc .dc-dash .dc-line{stroke-dasharray:7 4}.dc .dc-dots .dc-line{stroke-dasharray:1.5 5}\
.dc .dc-range{stroke:#1f2328;stroke-width:1.6}.dc .dc-rangegap{stroke:#fff;stroke-width:4}\
.dc .dc-mark{fill:currentColor}.dc .dc-ring{stroke:#fff;stroke-width:1.5}\
.dc .dc-s0{color:#1f6fc4}.dc .dc-s1{color:#c2500a}.dc .dc-s2{color:#0f7d5c}.dc .dc-s3{color:#8a3ffc}\
.dc .dc-s4{color:#b3246b}.dc .dc-s5{color:#6b6200}.dc .dc-s6{color:#9aa4af}\
.dc .dc-pick{fill:none;stroke:#e8350c;stroke-width:2.4}.dc .dc-thin{stroke-width:1.6}.dc .dc-pickgap{fill:none;stroke:#fff;stroke-width:1}\
.dc .h0{fill:#fcf9c0}.dc .h1{fill:#e2eea8}.dc .h2{fill:#c2e497}.dc .h3{fill:#9edb8e}.dc .h4{fill:#75d08b}\
.dc .h5{fill:#44c48e}.dc .h6{fill:#04b593}.dc .h7{fill:#0ea395}.dc .h8{fill:#029293}.dc .h9{fill:#06808d}\
.dc .h10{fill:#057086}.dc .h11{fill:#06607f}.dc .h12{fill:#214f6e}.dc .h13{fill:#294059}.dc .h14{fill:#25324c}\
.dc .h15{fill:#1f243f}.dc .hn{fill:#e4e8ec}\
@media (prefers-color-scheme:dark){\
.dc text{fill:#e6e9ed}.dc .dc-muted{fill:#9aa5b1}.dc .dc-halo{stroke:#1a1e24}.dc .dc-surface{fill:#1a1e24}\
.dc .dc-grid{stroke:#2d343c}.dc .dc-axis{stroke:#6b7682}.dc .dc-ref{stroke:#9aa5b1}.dc .dc-ring{stroke:#1a1e24}\
.dc .dc-range{stroke:#e6e9ed}.dc .dc-rangegap{stroke:#1a1e24}\
.dc .dc-s0{color:#64acff}.dc .dc-s1{color:#ff9455}.dc .dc-s2{color:#45c79b}.dc .dc-s3{color:#b99bff}\
.dc .dc-s4{color:#ff7fb6}.dc .dc-s5{color:#cfc14a}.dc .dc-s6{color:#6b7682}\
.dc .dc-pick{stroke:#ff5c33}.dc .dc-pickgap{stroke:#1a1e24}\
.dc .h15{fill:#fcf9c0}.dc .h14{fill:#e2eea8}.dc .h13{fill:#c2e497}.dc .h12{fill:#9edb8e}.dc .h11{fill:#75d08b}\
.dc .h10{fill:#44c48e}.dc .h9{fill:#04b593}.dc .h8{fill:#0ea395}.dc .h7{fill:#029293}.dc .h6{fill:#06808d}\
.dc .h5{fill:#057086}.dc .h4{fill:#06607f}.dc .h3{fill:#214f6e}.dc .h2{fill:#294059}.dc .h1{fill:#25324c}\
.dc .h0{fill:#1f243f}.dc .hn{fill:#2d343c}}";

/// A drawing in the making; the origin is the top left corner.
struct Canvas {
    body: String,
    width: f64,
    /// How far down the drawing reaches so far.
    bottom: f64,
}

/// Where the given point of a text lies.
#[derive(Clone, Copy)]
enum Anchor {
    Start,
    Middle,
    End,
}

impl Canvas {
    /// An empty drawing with its title on top.
    fn titled(width: f64, title: &str) -> Self {
        let mut canvas = Self {
            body: String::new(),
            width,
            bottom: MARGIN,
        };
        for line in wrap(title, width - 2.0 * MARGIN, BOLD * TITLE_SIZE) {
            canvas.bottom += TITLE_SIZE + 2.0;
            canvas.text(MARGIN, canvas.bottom, "dc-title", Anchor::Start, &line);
        }
        canvas.bottom += 8.0;
        canvas
    }

    /// One line of text on the base line `y`.
    fn text(&mut self, x: f64, y: f64, class: &str, anchor: Anchor, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => r#" text-anchor="middle""#,
            Anchor::End => r#" text-anchor="end""#,
        };
        let class = if class.is_empty() {
            String::new()
        } else {
            format!(r#" class="{class}""#)
        };
        let text = escape(text);
        self.put(&format!(
            r#"<text x="{x:.1}" y="{y:.1}"{class}{anchor}>{text}</text>"#
        ));
    }

    fn line(&mut self, class: &str, [x1, y1]: [f64; 2], [x2, y2]: [f64; 2]) {
        self.put(&format!(
            r#"<line class="{class}" x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}"/>"#
        ));
    }

    /// A rectangle from its corner and size, with an optional text shown on hovering.
    fn rect(&mut self, class: &str, [x, y]: [f64; 2], [width, height]: [f64; 2], hover: &str) {
        let open = format!(
            r#"<rect class="{class}" x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}""#
        );
        self.put(&open);
        self.close_with_hover("rect", hover);
    }

    fn dot(&mut self, class: &str, [x, y]: [f64; 2], radius: f64, hover: &str) {
        self.put(&format!(
            r#"<circle class="{class}" cx="{x:.1}" cy="{y:.1}" r="{radius:.1}""#
        ));
        self.close_with_hover("circle", hover);
    }

    fn close_with_hover(&mut self, tag: &str, hover: &str) {
        if hover.is_empty() {
            self.put("/>");
        } else {
            self.put(&format!("><title>{}</title></{tag}>", escape(hover)));
        }
    }

    fn put(&mut self, svg: &str) {
        self.body.push_str(svg);
    }

    /// The finished file. `description` says in words what the drawing shows.
    fn finish(self, title: &str, description: &str) -> String {
        let Self {
            body,
            width,
            bottom,
        } = self;
        let height = bottom + MARGIN;
        let (title, description) = (escape(title), escape(description));
        format!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" class="dc" role="img" width="{width:.0}" height="{height:.0}" viewBox="0 0 {width:.0} {height:.0}" aria-label="{title}. {description}"><title>{title}</title><desc>{description}</desc><style>{STYLE}</style><rect class="dc-surface" width="100%" height="100%"/>{body}</svg>"#
        )
    }
}

/// Estimated width of a text in CSS pixels; without the font, on the safe side for Latin text.
fn text_width(text: &str, font_size: f64) -> f64 {
    let ems = |c: char| match c {
        'i' | 'j' | 'l' | 't' | 'f' | 'r' | '.' | ',' | ':' | ';' | '\'' | '|' | ' ' | '('
        | ')' => 0.34,
        'm' | 'w' | 'M' | 'W' | '@' | '%' => 0.9,
        'A'..='Z' => 0.7,
        c if (c as u32) < 0x1100 => 0.58,
        _ => 1.0,
    };
    text.chars().map(ems).sum::<f64>() * font_size * 1.05
}

/// Breaks a text at spaces into lines of at most `width` CSS pixels, where words allow.
fn wrap(text: &str, width: f64, font_size: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line)
                if text_width(line, font_size) + text_width(word, font_size) + 5.0 <= width =>
            {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Shortens a text to `width` CSS pixels, with an ellipsis where something was cut.
fn fit(text: &str, width: f64) -> String {
    if text_width(text, FONT_SIZE) <= width {
        return text.to_owned();
    }
    let mut short = String::new();
    for c in text.chars() {
        short.push(c);
        if text_width(&short, FONT_SIZE) + FONT_SIZE > width {
            break;
        }
    }
    short.pop();
    short + "…"
}

/// `Vec<(x, y)>` where JSON writes a gap as null.
mod points {
    use serde::{Deserialize, Deserializer};

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<(f64, f64)>, D::Error> {
        let points = Vec::<(Option<f64>, Option<f64>)>::deserialize(d)?;
        let number = |value: Option<f64>| value.unwrap_or(f64::NAN);
        Ok(points
            .into_iter()
            .map(|(x, y)| (number(x), number(y)))
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_in_a_chart_cannot_become_markup() {
        let hostile = "</title><script>alert('x & y')</script>";
        let charts = [
            Chart::Line(LineChart {
                title: hostile.into(),
                x_label: hostile.into(),
                y_label: hostile.into(),
                series: vec![Series::new(hostile, vec![(0.0, 1.0)]); 2],
                references: vec![Reference {
                    label: hostile.into(),
                    value: 0.5,
                }],
                ..LineChart::default()
            }),
            Chart::HeatMap(HeatMap {
                title: hostile.into(),
                value_label: hostile.into(),
                values: vec![vec![0.5]],
                selected: vec![(0, 0)],
            }),
            Chart::Bars(BarChart {
                title: hostile.into(),
                value_label: hostile.into(),
                bars: vec![Bar {
                    label: hostile.into(),
                    value: 1.0,
                    emphasis: true,
                    interval: Some([0.5, 1.5]),
                }],
            }),
        ];
        for chart in charts {
            let svg = chart.to_svg(NARROW);
            assert!(!svg.contains("<script"), "{svg}");
            assert!(
                svg.contains("&lt;script&gt;") || svg.contains("script&gt;"),
                "{svg}"
            );
        }
    }

    #[test]
    fn a_long_text_is_cut_or_wrapped_to_its_width() {
        let text = "Normalised discounted cumulative gain at rank ten";
        assert!(text_width(&fit(text, 120.0), FONT_SIZE) <= 120.0);
        assert!(wrap(text, 120.0, FONT_SIZE).len() >= 3);
        assert_eq!(wrap(text, 120.0, FONT_SIZE).join(" "), text);
    }
}
