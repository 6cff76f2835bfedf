//! One series of a line chart: its path with gaps, its moving average, its marks.

use super::Canvas;
use super::line::{Plot, Series};
use super::push;
use super::scale::format_value;

/// Draws a series in the colour of class `color`.
pub(super) fn draw_series(canvas: &mut Canvas, plot: &Plot, series: &Series, color: &str) {
    /// Up to this many points are marked one by one.
    const N_MARKED: usize = 40;
    canvas.put(&format!(r#"<g class="{color}">"#));
    if let Some(decay) = series.smoothing {
        draw_path(canvas, plot, &series.points, "dc-faint");
        draw_path(canvas, plot, &smoothed(&series.points, decay), "dc-line");
    } else {
        draw_path(canvas, plot, &series.points, "dc-line");
    }
    let marked = series.points.len() <= N_MARKED && series.smoothing.is_none();
    for (idx, &(x, y)) in series.points.iter().enumerate() {
        let (Some(x_px), Some(y_px)) = (plot.x.place(x), plot.y.place(y)) else {
            continue;
        };
        let drawable = |p: Option<&(f64, f64)>| {
            p.is_some_and(|p| plot.x.place(p.0).is_some() && plot.y.place(p.1).is_some())
        };
        // A point between two gaps has no line to show it.
        let alone = !drawable(idx.checked_sub(1).and_then(|i| series.points.get(i)))
            && !drawable(series.points.get(idx + 1));
        if marked || alone {
            let hover = format!(
                "{}: {} at {}",
                series.name,
                format_value(y),
                format_value(x)
            );
            canvas.dot("dc-mark dc-ring", [x_px, y_px], 4.5, &hover);
        }
    }
    canvas.put("</g>");
}

/// One path for each stretch between gaps.
fn draw_path(canvas: &mut Canvas, plot: &Plot, points: &[(f64, f64)], class: &str) {
    let mut stretch: Vec<[f64; 2]> = Vec::new();
    for point in points.iter().map(Some).chain([None]) {
        let place = |p: &(f64, f64)| Some([plot.x.place(p.0)?, plot.y.place(p.1)?]);
        if let Some(px) = point.and_then(place) {
            stretch.push(px);
            continue;
        }
        if stretch.len() > 1 {
            let mut path = String::new();
            for (idx, [x, y]) in thinned(&stretch).iter().enumerate() {
                push(
                    &mut path,
                    format_args!("{}{x:.1} {y:.1}", if idx == 0 { 'M' } else { 'L' }),
                );
            }
            canvas.put(&format!(r#"<path class="{class}" d="{path}"/>"#));
        }
        stretch.clear();
    }
}

/// Keeps the extremes of each half pixel column, so a long run makes a small file that looks alike.
fn thinned(points: &[[f64; 2]]) -> Vec<[f64; 2]> {
    let mut kept = Vec::new();
    let column = |p: &[f64; 2]| (p[0] * 2.0).floor();
    for chunk in points.chunk_by(|a, b| column(a) == column(b)) {
        if chunk.len() <= 2 {
            kept.extend_from_slice(chunk);
            continue;
        }
        let by_y = |a: &usize, b: &usize| chunk[*a][1].total_cmp(&chunk[*b][1]);
        let low = (0..chunk.len()).min_by(by_y).unwrap_or(0);
        let high = (0..chunk.len()).max_by(by_y).unwrap_or(0);
        kept.extend([chunk[low.min(high)], chunk[low.max(high)]]);
    }
    kept
}

/// Exponential moving average divided by the weight seen so far; gaps stay gaps.
fn smoothed(points: &[(f64, f64)], decay: f64) -> Vec<(f64, f64)> {
    let decay = if decay.is_finite() {
        decay.clamp(0.0, 0.9999)
    } else {
        0.0
    };
    let (mut sum, mut weight) = (0.0, 0.0);
    let average = |&(x, y): &(f64, f64)| {
        if !y.is_finite() {
            return (x, y);
        }
        sum = decay * sum + (1.0 - decay) * y;
        weight = decay * weight + (1.0 - decay);
        (x, sum / weight)
    };
    points.iter().map(average).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smoothing_starts_at_the_first_value_and_follows() {
        // By hand, decay 0.5: (0.5 * 0.5 * 4 + 0.5 * 1) / 0.75 = 2.
        assert_eq!(
            smoothed(&[(0.0, 4.0), (1.0, 1.0)], 0.5),
            [(0.0, 4.0), (1.0, 2.0)]
        );
    }

    #[test]
    fn thinning_keeps_the_extremes_of_a_column() {
        let px: Vec<[f64; 2]> = (0..1000)
            .map(|i| [f64::from(i) / 1000.0, f64::from(i % 7)])
            .collect();
        let kept = thinned(&px);
        assert!(
            kept.len() <= 4 && kept.iter().any(|p| p[1] == 6.0) && kept.iter().any(|p| p[1] == 0.0)
        );
    }
}
