//! The language model that an objective asks, and the prompts it asks with.

use super::Group;
use crate::Result;
use crate::model::Model;
use crate::prompt::{Packer, Prefix, Suffix};

/// A language model and how prompts for it are packed.
#[derive(Clone, Copy, Debug)]
pub struct LanguageModel<'a> {
    /// The model.
    pub model: &'a Model,
    /// Texts to tokens.
    pub packer: Packer<'a>,
}

/// All documents of a group in one prompt, and what comes after them for each query.
#[derive(Debug)]
pub(super) struct JointPrompt {
    pub prefix: Prefix,
    pub suffixes: Vec<Suffix>,
    /// Documents that each query must not see.
    pub hidden: Vec<Vec<usize>>,
}

/// A prompt for each single document, and what comes after it for each query.
#[derive(Debug)]
pub(super) struct SinglePrompts {
    pub prefixes: Vec<Prefix>,
    pub suffixes: Vec<Suffix>,
    /// Documents that each query must not see.
    pub hidden: Vec<Vec<usize>>,
}

impl JointPrompt {
    /// Tokens that the language model reads.
    pub fn tokens(&self) -> usize {
        let suffixes = self.suffixes.iter().map(|suffix| suffix.ids.len());
        self.prefix.ids.len() + suffixes.sum::<usize>()
    }
}

impl LanguageModel<'_> {
    pub(super) fn joint_prompt(&self, group: &Group<'_>) -> Result<JointPrompt> {
        let prompt = JointPrompt {
            prefix: self.packer.prefix(group.documents.iter().copied())?,
            suffixes: self.suffixes(group)?,
            hidden: hidden(group),
        };
        for suffix in &prompt.suffixes {
            let (documents, suffix) = (prompt.prefix.ids.len(), suffix.ids.len());
            self.packer.fits(documents, suffix)?;
        }
        Ok(prompt)
    }

    pub(super) fn single_prompts(&self, group: &Group<'_>) -> Result<SinglePrompts> {
        let alone = |document| self.packer.prefix([document]);
        let documents = group.documents.iter().copied();
        let prompts = SinglePrompts {
            prefixes: documents.map(alone).collect::<Result<_>>()?,
            suffixes: self.suffixes(group)?,
            hidden: hidden(group),
        };
        let longest = prompts.prefixes.iter().map(|prefix| prefix.ids.len()).max();
        for suffix in &prompts.suffixes {
            self.packer.fits(longest.unwrap_or(0), suffix.ids.len())?;
        }
        Ok(prompts)
    }

    fn suffixes(&self, group: &Group<'_>) -> Result<Vec<Suffix>> {
        let queries = group.queries.iter();
        let suffixes = queries.map(|query| self.packer.suffix(query.question, query.target));
        suffixes.collect()
    }
}

fn hidden(group: &Group<'_>) -> Vec<Vec<usize>> {
    group.queries.iter().map(|q| q.hidden.clone()).collect()
}
