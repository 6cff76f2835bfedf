//! The filters at work on one row.

use crate::corpus::Corpus;
use crate::document::Document;
use crate::training::TrainingRow;

use super::filters::{Filters, Reason};
use super::find::Found;
use super::similarity::{Shingles, WordText};
use super::source::KnownPassage;

/// What the filters remember while a row's candidates pass by.
pub struct Judge<'a> {
    filters: &'a Filters,
    row: &'a TrainingRow,
    /// Largest score that the margin lets pass.
    limit: Option<f32>,
    /// The target, if it is looked for.
    target: Option<WordText>,
    /// What candidates must not be near to: the target, known passages, candidates that passed.
    near: Vec<Shingles>,
}

impl<'a> Judge<'a> {
    /// For a row whose source found `found`, with its known passages.
    pub fn new(
        filters: &'a Filters,
        row: &'a TrainingRow,
        corpus: &Corpus,
        found: &[Found],
        (policy, known): (KnownPassage, &[usize]),
    ) -> Self {
        let mut near = Vec::new();
        if filters.near_duplicates.is_some() {
            near.push(Shingles::of(&row.target));
            // `AsFound` uses no label.
            let known = known.iter().filter(|_| policy != KnownPassage::AsFound);
            near.extend(known.map(|d| Shingles::of(&corpus.documents()[*d].full_text())));
        }
        let margin = filters.margin.filter(|_| !known.is_empty());
        let limit = margin.and_then(|margin| Some(margin * known_score(found, known)?));
        let looks_for_target = filters.drop_containing_target;
        Self {
            filters,
            row,
            limit,
            target: looks_for_target.then(|| WordText::of(&row.target)),
            near,
        }
    }

    /// Why a document that was found may not be in the pool, if so. One that may is remembered.
    pub fn reason(
        &mut self,
        rank: usize,
        found: Found,
        document: &Document,
        is_known: bool,
    ) -> Option<Reason> {
        let Filters {
            ranks, max_score, ..
        } = *self.filters;
        let above = |limit: Option<f32>| limit.zip(found.score).is_some_and(|(l, s)| s > l);
        if ranks.is_some_and(|ranks| !ranks.hold(rank)) {
            return Some(Reason::Ranks);
        }
        if above(max_score) {
            return Some(Reason::MaxScore);
        }
        if above(self.limit) && !is_known {
            return Some(Reason::Margin);
        }
        self.reason_of_text(document)
    }

    /// The same for a document of which there is nothing but its text.
    pub fn reason_of_text(&mut self, document: &Document) -> Option<Reason> {
        let Filters {
            near_duplicates,
            drop_self,
            ..
        } = *self.filters;
        if drop_self
            && (document.id == self.row.id || document.full_text() == self.row.query.trim())
        {
            return Some(Reason::Itself);
        }
        let target = self.target.as_ref();
        if target.is_some_and(|target| WordText::of(&document.full_text()).contains(target)) {
            return Some(Reason::Target);
        }
        if let Some(limit) = near_duplicates {
            let shingles = Shingles::of(&document.full_text());
            if self.near.iter().any(|near| near.jaccard(&shingles) > limit) {
                return Some(Reason::NearDuplicate);
            }
            self.near.push(shingles);
        }
        None
    }
}

/// Score of the best known passage among those found, else of the last document found.
fn known_score(found: &[Found], known: &[usize]) -> Option<f32> {
    let best = found.iter().find(|found| known.contains(&found.document));
    best.or(found.last())?.score
}
