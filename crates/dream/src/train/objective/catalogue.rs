//! Every objective in a few lines: what `dream objectives` prints, and what a configuration is checked by.

use super::name::ObjectiveKind;
use serde::Serialize;

/// What there is to know about an objective.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "columns of a table")]
pub struct Entry {
    /// Its name.
    pub name: ObjectiveKind,
    /// What it is, in a line.
    pub meaning: &'static str,
    /// Its loss for one query; `w` are the document weights, `y` the target.
    pub formula: &'static str,
    /// Where it comes from.
    pub source: &'static str,
    /// Whether it asks a language model: an `[llm]` table is needed.
    pub needs_llm: bool,
    /// Whether it looks at selected heads.
    pub needs_heads: bool,
    /// Whether it has to know which passage is the right one.
    pub needs_labels: bool,
    /// Whether its gradient passes through the language model.
    pub gradient_through_llm: bool,
    /// Whether the language model can be tuned too, by `[llm.lora]`.
    pub tunes_llm: bool,
    /// Keys of `[objective]` that it reads beside the temperature's.
    pub keys: &'static [&'static str],
    /// What a report of a run says about it.
    pub report: &'static str,
}

const PLAIN: Entry = Entry {
    name: ObjectiveKind::Dream,
    meaning: "",
    formula: "",
    source: "",
    needs_llm: true,
    needs_heads: false,
    needs_labels: false,
    gradient_through_llm: false,
    tunes_llm: false,
    keys: &[],
    report: "",
};

/// All objectives, in the order of [`ObjectiveKind::ALL`].
pub const CATALOGUE: [Entry; 7] = [
    Entry {
        name: ObjectiveKind::Dream,
        meaning: "next-token loss of a language model in whose selected heads w shares attention among documents",
        formula: "-mean_t log p(y_t | y_<t, q, d_1..d_K; w)",
        source: "arXiv 2606.24667",
        needs_heads: true,
        gradient_through_llm: true,
        tunes_llm: true,
        report: "The retriever learned from the next-token loss of a language model: nothing told it which \
                 document is the right one.",
        ..PLAIN
    },
    Entry {
        name: ObjectiveKind::InfoNce,
        meaning: "cross entropy of the known passages p against the pool, or against all documents of the step",
        formula: "-mean_p log w_p",
        source: "arXiv 1807.03748",
        needs_llm: false,
        needs_labels: true,
        keys: &["in_batch"],
        report: "A labelled control: the known passage against the other candidates.",
        ..PLAIN
    },
    Entry {
        name: ObjectiveKind::RePlug,
        meaning: "imitates how likely the target is after each document alone",
        formula: "KL(softmax(mean_t log p(y_t | y_<t, d_k, q) / T) || w)",
        source: "arXiv 2301.12652",
        keys: &["teacher_temperature", "divergence", "likelihood"],
        report: "The retriever learned to imitate how much each document alone helps a frozen language model \
                 to write the answer.",
        ..PLAIN
    },
    Entry {
        name: ObjectiveKind::Revela,
        meaning: "next-token loss of a language model that adds documents, weighted by w, in every head",
        formula: "-mean_t log p(y_t | y_<t, q; h + sum_k w_k b_k)",
        source: "arXiv 2506.16552",
        gradient_through_llm: true,
        tunes_llm: true,
        keys: &["value_norm"],
        report: "The retriever learned from the next-token loss of a language model that reads documents \
                 through attention added in every head.",
        ..PLAIN
    },
    Entry {
        name: ObjectiveKind::ADist,
        meaning: "imitates how much attention the target gives to each document, in all heads",
        formula: "KL(softmax(mean attention * |v| / T) || w)",
        source: "arXiv 2208.03299",
        keys: &["teacher_temperature", "divergence", "value_norm"],
        report: "The retriever learned to imitate how much attention the answer gives to each document in a \
                 frozen language model.",
        ..PLAIN
    },
    Entry {
        name: ObjectiveKind::Emdr2,
        meaning: "likelihood of the target with the document as a latent variable",
        formula: "-mean_t log sum_k w_k p(y_t | y_<t, d_k, q)",
        source: "arXiv 2106.05346",
        report: "The retriever learned from the likelihood of the answer under a frozen language model, the \
                 document being a latent variable.",
        ..PLAIN
    },
    Entry {
        name: ObjectiveKind::QrDistill,
        meaning: "imitates the selected heads' own distribution pi over documents (also: kl)",
        formula: "KL(pi^(1/T) || w)",
        source: "method section 5.3",
        needs_heads: true,
        keys: &["teacher_temperature", "divergence"],
        report: "The retriever learned to imitate how selected heads of a frozen language model share their \
                 attention among documents.",
        ..PLAIN
    },
];

/// What there is to know about this one.
pub fn entry(kind: ObjectiveKind) -> &'static Entry {
    &CATALOGUE[kind as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_objective_has_its_entry() {
        for kind in ObjectiveKind::ALL {
            let entry = entry(kind);
            assert_eq!(entry.name, kind);
            assert!(!entry.meaning.is_empty() && !entry.formula.is_empty());
            assert!(!entry.report.is_empty() && !entry.source.is_empty());
            assert!(entry.needs_llm || !entry.gradient_through_llm && !entry.needs_heads);
        }
    }
}
