//! From numbers to pixels: linear and logarithmic scales, round tick values, number formats.

/// Values beyond this are gaps: they would overflow the arithmetic of a scale.
const LARGEST: f64 = 1e100;

/// Maps values to a range of pixels.
pub(super) struct Scale {
    log: bool,
    low: f64,
    high: f64,
    from_px: f64,
    to_px: f64,
    /// Round values to label, in rising order, all inside the scale.
    pub ticks: Vec<f64>,
}

impl Scale {
    /// A linear scale that spans the values exactly.
    pub fn snug(values: impl Iterator<Item = f64>, px: (f64, f64), n_ticks: f64) -> Self {
        let (low, high) = extent(values.filter(|v| v.abs() < LARGEST));
        Self::linear(
            low,
            high,
            px,
            linear_ticks(low, high, round_step(low, high, n_ticks)),
        )
    }

    /// A linear scale widened to round values.
    pub fn round(values: impl Iterator<Item = f64>, px: (f64, f64), n_ticks: f64) -> Self {
        let (low, high) = extent(values.filter(|v| v.abs() < LARGEST));
        let step = round_step(low, high, n_ticks);
        let (low, high) = ((low / step).floor() * step, (high / step).ceil() * step);
        Self::linear(low, high, px, linear_ticks(low, high, step))
    }

    /// A logarithmic scale; values that are not positive have no place on it.
    pub fn log(values: impl Iterator<Item = f64>, px: (f64, f64), n_ticks: f64) -> Self {
        let logs = values
            .filter(|v| *v > 1.0 / LARGEST && *v < LARGEST)
            .map(f64::log10);
        let (low, high) = extent(logs);
        let every = ((high - low) / n_ticks).ceil().max(1.0);
        let decades = (low.ceil() as i32..=high.floor() as i32).step_by(every as usize);
        let mantissas: &[f64] = if high - low < 2.5 {
            &[1.0, 2.0, 5.0]
        } else {
            &[1.0]
        };
        let first = low.floor() as i32;
        let ticks: Vec<f64> = if high - low < 0.6 {
            let (low, high) = (10_f64.powf(low), 10_f64.powf(high));
            linear_ticks(low, high, round_step(low, high, n_ticks))
        } else if mantissas.len() > 1 {
            let all = (first..=high.ceil() as i32)
                .flat_map(|decade| mantissas.iter().map(move |m| m * 10_f64.powi(decade)));
            all.filter(|v| (low - 1e-9..=high + 1e-9).contains(&v.log10()))
                .collect()
        } else {
            decades.map(|decade| 10_f64.powi(decade)).collect()
        };
        Self {
            log: true,
            low,
            high,
            from_px: px.0,
            to_px: px.1,
            ticks,
        }
    }

    fn linear(low: f64, high: f64, (from_px, to_px): (f64, f64), ticks: Vec<f64>) -> Self {
        Self {
            log: false,
            low,
            high,
            from_px,
            to_px,
            ticks,
        }
    }

    /// Pixel of a value, or nothing for a gap: not finite, too large, or not positive on a
    /// logarithmic scale.
    pub fn place(&self, value: f64) -> Option<f64> {
        let value = match self.log {
            true if value > 1.0 / LARGEST => value.log10(),
            false => value,
            true => return None,
        };
        (value.abs() < LARGEST).then(|| {
            let share = (value - self.low) / (self.high - self.low);
            self.from_px + share * (self.to_px - self.from_px)
        })
    }

    /// Labels of the ticks, in one format.
    pub fn labels(&self) -> Vec<String> {
        if self.log {
            self.ticks
                .iter()
                .map(|&tick| trim_zeros(&format_value(tick)))
                .collect()
        } else {
            format_ticks(&self.ticks)
        }
    }
}

/// Lowest and highest value, pulled apart where they are one; (0, 1) of nothing.
fn extent(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values
        .filter(|v| v.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| {
            (low.min(v), high.max(v))
        });
    let size = low.abs().max(high.abs());
    if low > high {
        (0.0, 1.0)
    } else if high - low > size * 1e-9 {
        (low, high)
    } else {
        let pad = if size > 1e-12 { size * 0.1 } else { 1.0 };
        (low - pad, high + pad)
    }
}

/// The step of 1, 2 or 5 times a power of ten that makes about `n_ticks` ticks.
fn round_step(low: f64, high: f64, n_ticks: f64) -> f64 {
    let rough = (high - low) / n_ticks.max(1.0);
    let power = 10_f64.powf(rough.log10().floor());
    let mantissa = match rough / power {
        m if m <= 1.0 => 1.0,
        m if m <= 2.0 => 2.0,
        m if m <= 5.0 => 5.0,
        _ => 10.0,
    };
    mantissa * power
}

fn linear_ticks(low: f64, high: f64, step: f64) -> Vec<f64> {
    let slack = step * 1e-6;
    let first = ((low - slack) / step).ceil();
    (0..100)
        .map(|i| (first + f64::from(i)) * step)
        .take_while(|tick| *tick <= high + slack)
        .collect()
}

/// Labels with as many decimals as tell neighbours apart; thousands and millions shortened,
/// very small numbers with an exponent.
fn format_ticks(ticks: &[f64]) -> Vec<String> {
    let largest = ticks.iter().fold(0.0_f64, |m, t| m.max(t.abs()));
    let step = ticks
        .windows(2)
        .map(|pair| pair[1] - pair[0])
        .fold(f64::INFINITY, f64::min);
    let step = if step.is_finite() {
        step
    } else {
        largest.max(1e-12)
    };
    if !(1e-4..1e12).contains(&largest) {
        return ticks.iter().map(|&tick| format_value(tick)).collect();
    }
    let (unit, suffix) = match largest {
        l if l >= 1e9 => (1e9, "B"),
        l if l >= 1e6 => (1e6, "M"),
        l if l >= 1e4 => (1e3, "k"),
        _ => (1.0, ""),
    };
    let decimals = (-(step / unit * 1.000_001).log10().floor()).clamp(0.0, 9.0) as usize;
    let label = |tick: &f64| match tick / unit {
        v if v.abs() < step / unit * 1e-3 => "0".to_owned(),
        v => minus(&format!("{v:.decimals$}{suffix}")),
    };
    ticks.iter().map(label).collect()
}

/// A single value with about three significant digits.
pub(super) fn format_value(value: f64) -> String {
    let size = value.abs();
    let text = match size {
        _ if value.is_nan() => return "no value".to_owned(),
        _ if value.is_infinite() => return minus(if value > 0.0 { "∞" } else { "-∞" }),
        0.0 => "0".to_owned(),
        s if s < 1e-3 => trim_exponent(&format!("{value:.1e}")),
        s if s >= 1e12 => trim_exponent(&format!("{value:.2e}")),
        s if s >= 1e9 => format!("{:.2}B", value / 1e9),
        s if s >= 1e6 => format!("{:.2}M", value / 1e6),
        s if s >= 1e4 => format!("{:.1}k", value / 1e3),
        s if s >= 100.0 || value.fract() == 0.0 => format!("{value:.0}"),
        s if s >= 10.0 => format!("{value:.1}"),
        s if s >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    };
    minus(&text)
}

/// `0.100` as `0.1`.
fn trim_zeros(text: &str) -> String {
    if text.contains('.') && text.ends_with('0') {
        return text.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    text.to_owned()
}

/// `2.0e-5` as `2e-5`.
fn trim_exponent(text: &str) -> String {
    match text.split_once('e') {
        Some((mantissa, exponent)) if mantissa.contains('.') => {
            format!(
                "{}e{exponent}",
                mantissa.trim_end_matches('0').trim_end_matches('.')
            )
        }
        _ => text.to_owned(),
    }
}

/// The typographic minus sign, which is as wide as a digit.
fn minus(text: &str) -> String {
    text.replace('-', "−")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside_the_range() {
        // By hand: (0.97 - 0.02) / 5 = 0.19, rounded up to 0.2.
        let ticks = linear_ticks(0.02, 0.97, round_step(0.02, 0.97, 5.0));
        assert_eq!(format_ticks(&ticks), ["0.2", "0.4", "0.6", "0.8"]);
        let ticks = linear_ticks(-20.0, 20.0, round_step(-20.0, 20.0, 4.0));
        assert_eq!(format_ticks(&ticks), ["−20", "−10", "0", "10", "20"]);
        let ticks = linear_ticks(0.0, 40_000.0, 10_000.0);
        assert_eq!(format_ticks(&ticks), ["0", "10k", "20k", "30k", "40k"]);
        // Widened from 1.3 to 2.3 in steps of 0.2 it begins at 1.2 and ends at 2.4.
        let scale = Scale::round([1.3, 2.3].into_iter(), (0.0, 60.0), 5.0);
        assert_eq!(
            scale.labels(),
            ["1.2", "1.4", "1.6", "1.8", "2.0", "2.2", "2.4"]
        );
        assert_eq!(scale.place(1.2).map(f64::round), Some(0.0));
    }

    #[test]
    fn a_scale_over_nothing_or_one_value_is_still_a_scale() {
        for values in [
            vec![],
            vec![3.0],
            vec![0.0, 0.0],
            vec![f64::NAN, f64::INFINITY],
            vec![1e300],
        ] {
            for scale in [
                Scale::snug(values.iter().copied(), (0.0, 100.0), 5.0),
                Scale::round(values.iter().copied(), (0.0, 100.0), 5.0),
                Scale::log(values.iter().copied(), (0.0, 100.0), 5.0),
            ] {
                assert!(
                    !scale.ticks.is_empty() && scale.ticks.len() < 20,
                    "{values:?}"
                );
                for value in &values {
                    assert!(scale.place(*value).is_none_or(f64::is_finite), "{values:?}");
                }
            }
        }
    }

    #[test]
    fn a_logarithmic_scale_puts_equal_factors_at_equal_distances() {
        let scale = Scale::log([0.01, 100.0].into_iter(), (0.0, 100.0), 5.0);
        let places: Vec<_> = scale
            .ticks
            .iter()
            .map(|&t| scale.place(t).map(f64::round))
            .collect();
        assert_eq!(places, [0.0, 25.0, 50.0, 75.0, 100.0].map(Some));
        assert_eq!(scale.labels(), ["0.01", "0.1", "1", "10", "100"]);
        assert_eq!(scale.place(0.0), None);
    }

    #[test]
    fn values_are_written_short() {
        let written = [
            0.0, 0.7123, 1.0, 2.345, 14.25, 12_345.0, 3e6, 0.000_05, -0.25,
        ]
        .map(format_value);
        assert_eq!(
            written,
            [
                "0", "0.712", "1", "2.35", "14.2", "12.3k", "3.00M", "5e−5", "−0.250"
            ]
        );
    }
}
