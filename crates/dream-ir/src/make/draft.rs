//! Rows in the making: what they know, what they may have as candidates, which of them stay.

use std::collections::{HashMap, HashSet};

use rand::SeedableRng;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;

use super::{Count, MakeCounts, MakeSettings, Piece, QaPair, SourcePassage, rows};
use crate::bm25::{Bm25, Bm25Params};
use crate::error::{Error, Result};
use crate::training::TrainingRow;
use crate::verbatim::holders;

/// BM25's best documents in which a written answer is looked for.
const ANSWER_DEPTH: usize = 100;

impl MakeSettings {
    fn allows(&self, row: &Draft, document: usize) -> bool {
        self.source == SourcePassage::In || !row.known.contains(&document)
    }
}

/// A row whose documents are places in the corpus.
pub(super) struct Draft {
    pub(super) id: String,
    pub(super) query: String,
    pub(super) target: String,
    pub(super) is_heading: bool,
    /// The document it was made of.
    pub(super) source: Option<usize>,
    pub(super) known: Vec<usize>,
    pub(super) candidates: Vec<usize>,
}

impl Draft {
    pub(super) fn into_row(self, id: &impl Fn(usize) -> String) -> TrainingRow {
        let ids = |documents: Vec<usize>| documents.into_iter().map(id).collect();
        TrainingRow {
            id: self.id,
            query: self.query,
            target: self.target,
            positive_ids: ids(self.known),
            candidate_ids: ids(self.candidates),
            candidate_scores: Vec::new(),
            candidates: Vec::new(),
        }
    }
}

/// The documents as they will be searched.
pub(super) struct Search {
    texts: Vec<String>,
    index: Bm25,
}

impl Search {
    pub(super) fn new(pieces: &[Piece], bm25: Bm25Params) -> Result<Self> {
        let texts: Vec<String> = pieces
            .iter()
            .map(|piece| piece.document.full_text())
            .collect();
        let index = Bm25::of_texts(&texts, bm25)?;
        Ok(Self { texts, index })
    }

    /// The best documents of each row: as many as wanted, and as many as it knows.
    fn best(&self, rows: &[Draft], wanted: usize) -> Vec<Vec<usize>> {
        let queries: Vec<&str> = rows.iter().map(|row| row.query.as_str()).collect();
        let most_known = rows.iter().map(|row| row.known.len()).max().unwrap_or(0);
        let found = self.index.search_all(&queries, wanted + most_known);
        let places = |hits: Vec<(usize, f32)>| hits.into_iter().map(|(place, _)| place).collect();
        found.into_iter().map(places).collect()
    }
}

/// Rows of the documents themselves.
pub(super) fn own_rows(
    pieces: &[Piece],
    settings: &MakeSettings,
    count: &mut Count<'_>,
    counts: &mut MakeCounts,
) -> Result<Vec<Draft>> {
    let mut drafts = Vec::new();
    for (place, piece) in pieces.iter().enumerate() {
        let Some(pair) = rows::of(&piece.cut, settings, count)? else {
            counts.documents_without_row += 1;
            continue;
        };
        drafts.push(Draft {
            id: piece.document.id.clone(),
            query: pair.query,
            target: pair.target,
            is_heading: pair.is_heading,
            source: Some(place),
            known: vec![place],
            candidates: Vec::new(),
        });
    }
    let targets: Vec<&str> = drafts.iter().map(|draft| draft.target.as_str()).collect();
    let texts: Vec<&str> = pieces
        .iter()
        .map(|piece| piece.document.text.as_str())
        .collect();
    let holding = holders(&targets, &texts);
    for (draft, holding) in drafts.iter_mut().zip(holding) {
        let others = holding
            .into_iter()
            .filter(|place| Some(*place) != draft.source);
        draft.known.extend(others);
    }
    Ok(drafts)
}

/// Rows of written pairs. The known passages are the documents of the file that the pair names that hold the answer
/// word for word, else that file's best one by BM25 for the question; without a file, the best one that holds it.
pub(super) fn qa_rows(
    pairs: &[QaPair],
    names: &HashMap<String, usize>,
    pieces: &[Piece],
    search: &Search,
) -> Result<Vec<Draft>> {
    let answers: Vec<&str> = pairs.iter().map(|pair| pair.answer.as_str()).collect();
    let questions: Vec<&str> = pairs.iter().map(|pair| pair.question.as_str()).collect();
    let holding = holders(&answers, &search.texts);
    let found = search.index.search_all(&questions, ANSWER_DEPTH);
    let mut ids = HashSet::new();
    let mut drafts = Vec::with_capacity(pairs.len());
    for ((pair, holding), found) in pairs.iter().zip(holding).zip(found) {
        if !ids.insert(pair.id.as_str()) {
            return Err(Error::Invalid(format!(
                "two pairs have the id {:?}",
                pair.id
            )));
        }
        let best = found.into_iter().map(|(place, _)| place);
        let known = match &pair.source {
            Some(name) => {
                let source = names.get(name).ok_or_else(|| {
                    let id = &pair.id;
                    Error::Invalid(format!(
                        "pair {id:?} names the source {name:?}, which was not read"
                    ))
                })?;
                let is_own = |place: &usize| pieces[*place].source == *source;
                let own: Vec<usize> = holding.into_iter().filter(is_own).collect();
                if own.is_empty() {
                    best.filter(is_own).take(1).collect()
                } else {
                    own
                }
            }
            None => best
                .filter(|place| holding.binary_search(place).is_ok())
                .take(1)
                .collect(),
        };
        drafts.push(Draft {
            id: pair.id.clone(),
            query: pair.question.clone(),
            target: pair.answer.clone(),
            is_heading: false,
            source: None,
            known,
            candidates: Vec::new(),
        });
    }
    Ok(drafts)
}

/// Drops rows that BM25 finds no candidate for; training would refuse them.
pub(super) fn keep_searchable(rows: &mut Vec<Draft>, search: &Search, settings: &MakeSettings) {
    let mut best = search.best(rows, 1).into_iter();
    rows.retain(|row| {
        let found = best.next().unwrap_or_default();
        found.iter().any(|place| settings.allows(row, *place))
    });
}

/// Keeps `max_rows` of the rows, in their order.
pub(super) fn draw(rows: &mut Vec<Draft>, settings: &MakeSettings, counts: &mut MakeCounts) {
    let Some(most) = settings.max_rows.filter(|most| *most < rows.len()) else {
        return;
    };
    counts.rows_not_drawn = rows.len() - most;
    let mut rng = ChaCha8Rng::seed_from_u64(settings.seed);
    let drawn: HashSet<usize> = index::sample(&mut rng, rows.len(), most)
        .into_iter()
        .collect();
    let mut place = 0..;
    rows.retain(|_| place.next().is_some_and(|place| drawn.contains(&place)));
}

/// Gives each row the documents of its own source, nearest first, up to half of its candidates, and BM25's best.
pub(super) fn add_candidates(
    rows: &mut [Draft],
    pieces: &[Piece],
    search: &Search,
    settings: &MakeSettings,
) {
    let best = search.best(rows, settings.candidates);
    for (row, best) in rows.iter_mut().zip(best) {
        let place = row
            .source
            .expect("a continuation has a document. This is a bug.");
        let may_stand = |other: &usize| settings.allows(row, *other);
        let is_near = |other: &usize| pieces[*other].source == pieces[place].source;
        let before = (0..place).rev().take_while(is_near);
        let after = (place + 1..pieces.len()).take_while(is_near);
        let mut near: Vec<usize> = before.chain(after).filter(may_stand).collect();
        near.sort_by_key(|other| (other.abs_diff(place), place > *other));
        near.truncate(settings.candidates / 2);
        if settings.source == SourcePassage::In {
            near.insert(0, place);
        }
        let mut seen = HashSet::new();
        let all = near.into_iter().chain(best.into_iter().filter(may_stand));
        row.candidates = all.filter(|other| seen.insert(*other)).collect();
        row.candidates.truncate(settings.candidates);
    }
}
