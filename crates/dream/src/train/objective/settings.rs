//! `[objective]`: what is minimised, and the settings of its parts.

use super::distill::Divergence;
use super::likelihood::Likelihood;
use super::name::{ObjectiveKind, ObjectiveSum};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// Where a learned temperature must stay (method section 8).
pub const TEMPERATURE_RANGE: (f32, f32) = (0.005, 0.2);

/// `[objective]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ObjectiveConfig {
    /// `dream`, `infonce`, `replug`, `revela`, `adist`, `emdr2`, `qr-distill` (also `kl`), or a weighted sum such
    /// as `dream + 0.1 qr-distill`.
    pub name: ObjectiveSum,
    /// Softmax temperature over scores; the start if it is learned.
    pub temperature: f32,
    /// Learn the logarithm of the temperature too.
    pub learn_temperature: bool,
    /// Its own learning rate, scheduled as the other.
    pub temperature_lr: f64,
    /// Temperature of the teacher's softmax, by default 0.1 for `replug`, 0.05 for `adist`, 1 for `qr-distill`.
    pub teacher_temperature: Option<f32>,
    /// `teacher-student` (the default) or `student-teacher`: for `replug`, `adist`, `qr-distill`.
    pub divergence: Option<Divergence>,
    /// `log-probability` (the default: the code) or `probability` (the paper): for `replug`.
    pub likelihood: Option<Likelihood>,
    /// Whether the denominator runs over all documents of the step (default: no): for `infonce`.
    pub in_batch: Option<bool>,
    /// Whether the lengths of values count (default: yes): for `revela`, `adist`.
    pub value_norm: Option<bool>,
}

impl Default for ObjectiveConfig {
    fn default() -> Self {
        Self {
            name: ObjectiveSum::default(),
            temperature: 0.05,
            learn_temperature: false,
            temperature_lr: 1e-2,
            teacher_temperature: None,
            divergence: None,
            likelihood: None,
            in_batch: None,
            value_norm: None,
        }
    }
}

impl ObjectiveConfig {
    /// Whether some term needs an `[llm]` table.
    pub fn needs_llm(&self) -> bool {
        self.name.entries().any(|entry| entry.needs_llm)
    }

    /// Whether some term looks at selected heads.
    pub fn needs_heads(&self) -> bool {
        self.name.entries().any(|entry| entry.needs_heads)
    }

    /// The teacher's temperature in a term of this kind.
    pub fn teacher_temperature(&self, kind: ObjectiveKind) -> f32 {
        self.teacher_temperature.unwrap_or(match kind {
            ObjectiveKind::RePlug => 0.1,
            ObjectiveKind::ADist => 0.05,
            _ => 1.0,
        })
    }

    /// Refuses values out of range, and keys that no term reads.
    pub fn check(&self) -> Result<()> {
        let positive = [
            ("temperature", f64::from(self.temperature)),
            ("temperature_lr", self.temperature_lr),
            (
                "teacher_temperature",
                f64::from(self.teacher_temperature.unwrap_or(1.0)),
            ),
        ];
        for (name, value) in positive {
            if !value.is_finite() || value <= 0.0 {
                return Err(Error::Invalid(format!(
                    "objective.{name} must be above 0, not {value}"
                )));
            }
        }
        let (low, high) = TEMPERATURE_RANGE;
        if self.learn_temperature && !(low..=high).contains(&self.temperature) {
            return Err(Error::Invalid(format!(
                "objective.temperature must be from {low} to {high} where it is learned, not {}",
                self.temperature
            )));
        }
        let written = [
            ("teacher_temperature", self.teacher_temperature.is_some()),
            ("divergence", self.divergence.is_some()),
            ("likelihood", self.likelihood.is_some()),
            ("in_batch", self.in_batch.is_some()),
            ("value_norm", self.value_norm.is_some()),
        ];
        for (key, written) in written {
            if written && !self.name.entries().any(|entry| entry.keys.contains(&key)) {
                let readers = super::catalogue::CATALOGUE
                    .iter()
                    .filter(|entry| entry.keys.contains(&key));
                let readers: Vec<String> = readers.map(|entry| entry.name.to_string()).collect();
                return Err(Error::Invalid(format!(
                    "objective.{key} means nothing to {}: it is a setting of {}",
                    self.name,
                    readers.join(", ")
                )));
            }
        }
        Ok(())
    }

    /// Refuses a tuned language model where some term cannot tune it.
    pub fn check_tuning(&self) -> Result<()> {
        let fixed = self.name.entries().find(|e| e.needs_llm && !e.tunes_llm);
        if let Some(entry) = fixed {
            return Err(Error::Invalid(format!(
                "llm.lora tunes the language model with the loss of dream or revela; {} keeps it frozen",
                entry.name
            )));
        }
        if self.needs_llm() {
            return Ok(());
        }
        Err(Error::Invalid(format!(
            "llm.lora tunes the language model, but {} asks none",
            self.name
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(name: &str, change: impl FnOnce(&mut ObjectiveConfig)) -> Result<String> {
        let mut config = ObjectiveConfig {
            name: name.parse()?,
            ..ObjectiveConfig::default()
        };
        change(&mut config);
        let error = config.check().err();
        Ok(error.map(|e| e.to_string()).unwrap_or_default())
    }

    #[test]
    fn keys_that_no_term_reads_are_refused_and_those_that_one_reads_are_not() -> Result<()> {
        let refused = message("dream + infonce", |c| c.teacher_temperature = Some(0.1))?;
        assert!(refused.contains("replug, adist, qr-distill"), "{refused}");
        assert!(message("replug", |c| c.in_batch = Some(false))?.contains("infonce"));
        assert!(message("infonce", |c| c.value_norm = Some(true))?.contains("revela, adist"));
        let probability = Some(Likelihood::Probability);
        assert!(message("adist", |c| c.likelihood = probability)?.contains("replug"));
        let other = Some(Divergence::StudentTeacher);
        assert!(message("revela", |c| c.divergence = other)?.contains("qr-distill"));
        let sum = "dream + 0.1 kl + infonce + revela";
        let read = message(sum, |c| {
            c.teacher_temperature = Some(0.5);
            c.divergence = Some(Divergence::StudentTeacher);
            c.in_batch = Some(true);
            c.value_norm = Some(false);
        });
        assert_eq!(read?, "");
        assert!(message("kl", |c| c.teacher_temperature = Some(0.0))?.contains("above 0"));
        Ok(())
    }

    #[test]
    fn a_language_model_is_tuned_by_dream_and_revela_alone() -> Result<()> {
        for (name, allowed) in [
            ("dream", true),
            ("revela + 0.5 infonce", true),
            ("dream + 0.1 kl", false),
            ("replug", false),
            ("infonce", false),
        ] {
            let config = ObjectiveConfig {
                name: name.parse()?,
                ..ObjectiveConfig::default()
            };
            assert_eq!(config.check_tuning().is_ok(), allowed, "{name}");
        }
        Ok(())
    }
}
