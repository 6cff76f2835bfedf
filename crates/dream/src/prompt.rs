//! Prompts: templates, and packing documents, question and target into tokens with recorded spans.
//!
//! Documents come first (method section 3), so that everything before the *suffix* is a constant of
//! the loss. Each piece is tokenised by itself, without special tokens, and appended; spans are
//! written down while that happens and never searched for.

use crate::tokenizer::Tokenizer;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// How documents, question and target become text.
///
/// Placeholders: `{index}` (from 1), `{title}`, `{text}`, `{question}`, `{target}`. A line that holds
/// nothing but an empty title is left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Template {
    /// Before the first document; outside all spans.
    pub preamble: String,
    /// Before each document; outside its span.
    pub separator: String,
    /// A document; its span covers all of it.
    pub document: String,
    /// Between the documents and the target; holds `{question}`.
    pub question: String,
    /// The target; holds `{target}`.
    pub target: String,
}

impl Default for Template {
    fn default() -> Self {
        Self::question_answer()
    }
}

impl Template {
    /// The plain question and answer form, the default.
    pub fn question_answer() -> Self {
        Self {
            preamble: String::new(),
            separator: String::new(),
            document: "{title}\n{text}\n\n".into(),
            question: "Question: {question}\nAnswer:".into(),
            target: " {target}".into(),
        }
    }

    /// Numbered paragraphs and a late instruction, in the manner of QRHead (arXiv 2506.09944).
    pub fn numbered() -> Self {
        Self {
            preamble: "Read the numbered paragraphs.".into(),
            separator: "\n\n".into(),
            document: "[{index}] {title}\n{text}".into(),
            question: "\n\nAnswer the query with what the paragraphs above say.\n\n\
                       Query: {question}\nAnswer:"
                .into(),
            target: " {target}".into(),
        }
    }

    /// A template by its name: `qa` or `numbered`.
    pub fn named(name: &str) -> Result<Self> {
        match name {
            "qa" => Ok(Self::question_answer()),
            "numbered" => Ok(Self::numbered()),
            _ => Err(Error::Invalid(format!(
                "template must be qa or numbered, not {name:?}"
            ))),
        }
    }

    /// Refuses templates that would lose the question or the target.
    pub fn check(&self) -> Result<()> {
        let parts = [
            ("document", &self.document, "{text}"),
            ("question", &self.question, "{question}"),
            ("target", &self.target, "{target}"),
        ];
        match parts
            .iter()
            .find(|(_, text, needed)| !text.contains(needed))
        {
            None => Ok(()),
            Some((part, _, needed)) => Err(Error::Invalid(format!(
                "the template's {part} lacks {needed}"
            ))),
        }
    }

    fn document(&self, index: usize, document: &dream_ir::Document) -> String {
        let index = (index + 1).to_string();
        let mut pattern = self.document.clone();
        if document.title.trim().is_empty() {
            pattern = pattern.replace("{title}\n", "").replace("{title}", "");
        }
        fill(
            &pattern,
            &[
                ("{index}", &index),
                ("{title}", &document.title),
                ("{text}", &document.text),
            ],
        )
    }
}

/// Replaces placeholders in one go, so that a text that itself holds `{text}` stays as it is.
fn fill(pattern: &str, values: &[(&str, &str)]) -> String {
    let mut out = String::with_capacity(pattern.len() + 64);
    let mut rest = pattern;
    'scan: while !rest.is_empty() {
        for (name, value) in values {
            if let Some(after) = rest.strip_prefix(name) {
                out.push_str(value);
                rest = after;
                continue 'scan;
            }
        }
        let next = rest.char_indices().nth(1).map_or(rest.len(), |(i, _)| i);
        out.push_str(&rest[..next]);
        rest = &rest[next..];
    }
    out
}

/// The documents of a prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// Token ids, beginning of text included where the tokenizer adds one.
    pub ids: Vec<u32>,
    /// The tokens of each document, half-open, in order.
    pub doc_spans: Vec<Range<usize>>,
}

/// Question and target of a prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suffix {
    /// Token ids.
    pub ids: Vec<u32>,
    /// First token of the target, counted from the suffix's start; at least 1.
    pub target_start: usize,
}

impl Suffix {
    /// The target's token ids.
    pub fn target_ids(&self) -> &[u32] {
        &self.ids[self.target_start..]
    }
}

/// Tokens of a prompt's parts, at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PromptLimits {
    /// Of a document; longer ones are cut, keeping what the template puts after the text.
    pub document_tokens: usize,
    /// Of a question's own text; longer ones are cut.
    pub question_tokens: usize,
    /// Of a target.
    pub target_tokens: usize,
}

impl PromptLimits {
    /// Refuses limits that leave nothing.
    pub fn check(&self) -> Result<()> {
        let limits = [
            ("document_tokens", self.document_tokens),
            ("question_tokens", self.question_tokens),
            ("target_tokens", self.target_tokens),
        ];
        match limits.iter().find(|(_, tokens)| *tokens == 0) {
            None => Ok(()),
            Some((name, _)) => Err(Error::Invalid(format!("{name} must be at least 1"))),
        }
    }
}

/// Packs prompts for one language model.
#[derive(Clone, Copy, Debug)]
pub struct Packer<'a> {
    /// The language model's tokenizer.
    pub tokenizer: &'a Tokenizer,
    /// The texts around.
    pub template: &'a Template,
    /// Where texts are cut.
    pub limits: PromptLimits,
    /// Tokens of prompt and target that the model can take.
    pub context_tokens: usize,
}

impl Packer<'_> {
    /// Packs documents, in the order given.
    ///
    /// # Errors
    /// There are none, or one is empty.
    pub fn prefix<'d>(
        &self,
        documents: impl IntoIterator<Item = &'d dream_ir::Document>,
    ) -> Result<Prefix> {
        let mut ids = self.opening()?;
        let separator = self.tokenizer.encode(&self.template.separator)?;
        let mut doc_spans = Vec::new();
        for (index, document) in documents.into_iter().enumerate() {
            ids.extend(&separator);
            let start = ids.len();
            ids.extend(self.document(index, document)?);
            if ids.len() == start {
                return Err(Error::Invalid(format!(
                    "document {} has no tokens",
                    document.id
                )));
            }
            doc_spans.push(start..ids.len());
        }
        if doc_spans.is_empty() {
            return Err(Error::Invalid(
                "a prompt needs at least one document".into(),
            ));
        }
        Ok(Prefix { ids, doc_spans })
    }

    /// What stands before the first document.
    pub fn opening(&self) -> Result<Vec<u32>> {
        let mut ids = Vec::new();
        if let (true, Some(bos)) = (self.tokenizer.adds_bos(), self.tokenizer.bos_id()) {
            ids.push(bos);
        }
        ids.extend(self.tokenizer.encode(&self.template.preamble)?);
        Ok(ids)
    }

    /// Packs a question and its target.
    ///
    /// # Errors
    /// The target is empty.
    pub fn suffix(&self, question: &str, target: &str) -> Result<Suffix> {
        let mut ids = self.question(question)?;
        let target_start = ids.len();
        let target_ids = self
            .tokenizer
            .encode(&fill(&self.template.target, &[("{target}", target)]))?;
        ids.extend(target_ids.iter().take(self.limits.target_tokens));
        if target.trim().is_empty() || target_start == ids.len() {
            return Err(Error::Invalid(format!(
                "the target of {question:?} is empty"
            )));
        }
        Ok(Suffix { ids, target_start })
    }

    /// A question and its target as a text of its own: behind the beginning of text, where the tokenizer
    /// adds one.
    pub fn alone(&self, mut suffix: Suffix) -> Suffix {
        if let (true, Some(bos)) = (self.tokenizer.adds_bos(), self.tokenizer.bos_id()) {
            suffix.ids.insert(0, bos);
            suffix.target_start += 1;
        }
        suffix
    }

    /// Packs a question alone: the rows that head detection looks at.
    pub fn question(&self, question: &str) -> Result<Vec<u32>> {
        let mut own = self.tokenizer.encode(question)?;
        let cut;
        let question = if own.len() > self.limits.question_tokens {
            own.truncate(self.limits.question_tokens);
            cut = self.tokenizer.decode(&own)?;
            // A character of several tokens may have lost some of them.
            cut.trim_end_matches(char::REPLACEMENT_CHARACTER)
        } else {
            question
        };
        let ids = self
            .tokenizer
            .encode(&fill(&self.template.question, &[("{question}", question)]))?;
        if ids.is_empty() {
            return Err(Error::Invalid(
                "the template gives the question no tokens".into(),
            ));
        }
        Ok(ids)
    }

    /// Refuses a prompt that is longer than the model's context: documents, then question and target.
    pub fn fits(&self, documents: usize, question: usize) -> Result<()> {
        let (tokens, context) = (documents + question, self.context_tokens);
        if tokens <= context {
            return Ok(());
        }
        // Documents get at least half of the context before they are the ones to blame.
        let remedy = if question > context / 2 {
            "a shorter question or target"
        } else {
            "fewer documents or fewer tokens a document"
        };
        Err(Error::Invalid(format!(
            "a prompt of {tokens} tokens ({documents} of documents, {question} of question and \
             target) does not fit the language model's context of {context}: use {remedy}"
        )))
    }

    fn document(&self, index: usize, document: &dream_ir::Document) -> Result<Vec<u32>> {
        let mut ids = self
            .tokenizer
            .encode(&self.template.document(index, document))?;
        let document_tokens = self.limits.document_tokens;
        if ids.len() > document_tokens {
            let tail = self
                .template
                .document
                .rsplit_once("{text}")
                .map_or("", |(_, tail)| tail);
            let tail = self.tokenizer.encode(tail)?;
            ids.truncate(document_tokens.saturating_sub(tail.len()).max(1));
            ids.extend(tail);
        }
        Ok(ids)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_inside_texts_stay_as_they_are() {
        let filled = fill(
            "[{index}] {text}",
            &[("{index}", "1"), ("{text}", "a {index} b")],
        );
        assert_eq!(filled, "[1] a {index} b");
    }

    #[test]
    fn templates_without_a_target_are_refused() {
        let template = Template {
            target: "x".into(),
            ..Template::default()
        };
        assert!(
            template
                .check()
                .is_err_and(|e| e.to_string().contains("{target}"))
        );
    }
}
