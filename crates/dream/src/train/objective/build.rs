//! From a configuration to the objective that it names.

use super::name::{ObjectiveKind, Term};
use super::settings::ObjectiveConfig;
use super::{
    ADist, Dream, Emdr2, InfoNce, LanguageModel, Objective, QrDistill, RePlug, Revela, WeightedSum,
};
use crate::llm::InjectionConfig;
use crate::{Error, Result};

/// Builds what `config` names. `injection` says which heads and rows those terms look at that need heads.
///
/// # Errors
/// A term needs a language model or heads, and there are none.
pub fn build<'a>(
    config: &ObjectiveConfig,
    llm: Option<LanguageModel<'a>>,
    injection: Option<&InjectionConfig>,
) -> Result<WeightedSum<'a>> {
    let terms = config.name.terms().iter();
    let terms =
        terms.map(|Term { weight, kind }| Ok((*weight, build_one(config, *kind, llm, injection)?)));
    Ok(WeightedSum::new(terms.collect::<Result<_>>()?))
}

fn build_one<'a>(
    config: &ObjectiveConfig,
    kind: ObjectiveKind,
    llm: Option<LanguageModel<'a>>,
    injection: Option<&InjectionConfig>,
) -> Result<Box<dyn Objective + 'a>> {
    let llm = || {
        let missing = || Error::Invalid(format!("the {kind} objective needs an [llm] table"));
        llm.ok_or_else(missing)
    };
    let injection = || {
        let missing = || Error::Invalid(format!("the {kind} objective needs selected heads"));
        injection.cloned().ok_or_else(missing)
    };
    let temperature = config.teacher_temperature(kind);
    let divergence = config.divergence.unwrap_or_default();
    let value_norm = config.value_norm.unwrap_or(true);
    Ok(match kind {
        ObjectiveKind::Dream => {
            let LanguageModel { model, packer } = llm()?;
            Box::new(Dream::new(model, packer, injection()?))
        }
        ObjectiveKind::InfoNce => Box::new(InfoNce {
            in_batch: config.in_batch.unwrap_or(false),
        }),
        ObjectiveKind::RePlug => {
            let likelihood = config.likelihood.unwrap_or_default();
            Box::new(RePlug::new(llm()?, temperature, likelihood, divergence))
        }
        ObjectiveKind::Revela => Box::new(Revela::new(llm()?, value_norm)),
        ObjectiveKind::ADist => Box::new(ADist::new(llm()?, temperature, value_norm, divergence)),
        ObjectiveKind::Emdr2 => Box::new(Emdr2::new(llm()?)),
        ObjectiveKind::QrDistill => Box::new(QrDistill::new(
            llm()?,
            injection()?,
            temperature,
            divergence,
        )),
    })
}
