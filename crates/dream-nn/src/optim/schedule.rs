//! Learning-rate schedules: linear warm-up from zero, then linear or cosine decay to zero, or none.
//! The formulas are those of `transformers.get_{linear,cosine,constant}_schedule_with_warmup`.

use std::fmt;
use std::str::FromStr;

use crate::{Error, Result};

/// The shape of the learning rate after warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Schedule {
    /// Straight to zero at the last step.
    #[default]
    Linear,
    /// Half a cosine, to zero at the last step.
    Cosine,
    /// No decay.
    Constant,
}

impl Schedule {
    /// What the peak rate is multiplied with in step `step` (from 0) of `total_steps`, of which the first
    /// `warmup_steps` rise from zero.
    pub fn factor(self, step: u64, warmup_steps: u64, total_steps: u64) -> f64 {
        if step < warmup_steps {
            return step as f64 / warmup_steps as f64;
        }
        let decay_steps = total_steps.saturating_sub(warmup_steps).max(1);
        let progress = ((step - warmup_steps) as f64 / decay_steps as f64).min(1.0);
        match self {
            Self::Linear => 1.0 - progress,
            Self::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * progress).cos()),
            Self::Constant => 1.0,
        }
    }
}

impl FromStr for Schedule {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "linear" => Ok(Self::Linear),
            "cosine" => Ok(Self::Cosine),
            "constant" => Ok(Self::Constant),
            _ => Err(Error::Invalid(format!(
                "unknown schedule {text:?}, wanted linear, cosine or constant"
            ))),
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Linear => "linear",
            Self::Cosine => "cosine",
            Self::Constant => "constant",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warm_up_rises_and_decay_falls_to_zero() {
        // By hand from the formulas: 4 warm-up steps of 12, so the middle of the decay is step 8.
        let at = |schedule: Schedule| [0, 2, 4, 6, 8, 12, 99].map(|s| schedule.factor(s, 4, 12));
        assert_eq!(at(Schedule::Linear), [0.0, 0.5, 1.0, 0.75, 0.5, 0.0, 0.0]);
        assert_eq!(at(Schedule::Constant), [0.0, 0.5, 1.0, 1.0, 1.0, 1.0, 1.0]);
        let quarter = f64::midpoint(1.0, 0.5_f64.sqrt());
        let expected = [0.0, 0.5, 1.0, quarter, 0.5, 0.0, 0.0];
        for (found, wanted) in at(Schedule::Cosine).iter().zip(expected) {
            assert!((found - wanted).abs() < 1e-15, "{found} {wanted}");
        }
    }

    #[test]
    fn degenerate_lengths_stay_finite() {
        for (warmup, total) in [(0, 0), (5, 5), (9, 5), (0, 1)] {
            for step in 0..12 {
                let factor = Schedule::Linear.factor(step, warmup, total);
                assert!((0.0..=1.0).contains(&factor));
            }
        }
        assert_eq!(Schedule::Linear.factor(0, 0, 1), 1.0);
    }

    #[test]
    fn text_form_round_trips() -> Result<()> {
        for text in ["linear", "cosine", "constant"] {
            assert_eq!(text.parse::<Schedule>()?.to_string(), text);
        }
        let message = "step".parse::<Schedule>().err().map(|e| e.to_string());
        let wanted = "unknown schedule \"step\", wanted linear, cosine or constant";
        assert_eq!(message.as_deref(), Some(wanted));
        Ok(())
    }
}
