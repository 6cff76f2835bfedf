//! Training data without labels from people's own documents: files in, a corpus and rows out.
//!
//! Files become blocks (headings, prose, code), blocks become documents of bounded length, documents become rows
//! of a query and a target (method section 7: next paragraph, own text, written answers). No row needs a label. The
//! document that a row was made of is its known passage (`positive_ids`), together with every other document that
//! holds a run of [`RUN_WORDS`](crate::verbatim::RUN_WORDS) words of the target: overlapping neighbours, copies.
//! With [`SourcePassage::Out`] all of these are kept out of the row's pool, because a target that stands in exactly
//! one candidate can be copied from it, and the loss would then measure copying: a label in disguise.

mod blocks;
mod cut;
mod files;
mod html;
mod markdown;
mod pairs;
mod rows;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};

use rand::SeedableRng;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

pub use files::MAX_FILE_BYTES;
pub use pairs::{QaPair, read_pairs};

use crate::bm25::{Bm25, Bm25Params};
use crate::document::Document;
use crate::error::{Error, Result};
use crate::jsonl::write_jsonl;
use crate::training::TrainingRow;
use crate::verbatim::holders;
use cut::{Cut, Lengths};

/// Counts the tokens of a text.
pub type Count<'a> = dyn FnMut(&str) -> Result<usize> + 'a;

/// BM25's best documents in which a written answer is looked for.
const ANSWER_DEPTH: usize = 100;

/// What rows are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowKind {
    /// A heading, or a first sentence where there is none, asks for the text that follows it.
    Heading,
    /// The first half of a document asks for the second half.
    Continuation,
    /// Written questions ask for written answers.
    Qa,
}

/// Whether the document that a row was made of may stand in the row's pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourcePassage {
    /// As the search finds it: the target may be copied.
    In,
    /// Never, nor any other document that holds a part of the target.
    Out,
}

/// What is made.
#[derive(Clone, Debug)]
pub struct MakeSettings {
    /// Tokens a document, at most.
    pub tokens: usize,
    /// Tokens that a document repeats of the one before it, at most.
    pub overlap: usize,
    /// Tokens a target, at most, but for a first sentence that is longer.
    pub target_tokens: usize,
    /// What rows are made of.
    pub rows: RowKind,
    /// Whether a row's own document may be a candidate.
    pub source: SourcePassage,
    /// Whether documents keep their headings, as their title.
    pub keep_titles: bool,
    /// Rows, at most; drawn where there are more.
    pub max_rows: Option<usize>,
    /// Seed of that draw.
    pub seed: u64,
    /// Candidates that a row names, where its kind has candidates of its own.
    pub candidates: usize,
    /// Constants and language of the search that tells which rows have candidates at all.
    pub bm25: Bm25Params,
}

impl MakeSettings {
    /// Refuses lengths that leave nothing.
    pub fn check(&self) -> Result<()> {
        let invalid = |what: &str| Err(Error::Invalid(what.to_owned()));
        if self.tokens == 0 || self.target_tokens == 0 || self.candidates == 0 {
            return invalid("a document, a target and a pool need at least 1 token or candidate");
        }
        if self.overlap >= self.tokens {
            return invalid("documents must be longer than what they repeat (tokens > overlap)");
        }
        if self.max_rows == Some(0) {
            return invalid("at least 1 row must be wanted");
        }
        Ok(())
    }
}

/// A file that was not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Which.
    pub path: PathBuf,
    /// Why; nothing for a file of a kind that is not read.
    pub why: Option<String>,
}

impl Skipped {
    fn new(path: &Path, why: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            why: Some(why.into()),
        }
    }

    fn other(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            why: None,
        }
    }
}

/// How many of what there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MakeCounts {
    /// Files found; those that were skipped after all included.
    pub files: usize,
    /// Files passed over because of what they hold: not UTF-8, too large, a symbolic link.
    pub files_skipped: usize,
    /// Files passed over because of their name.
    pub files_of_other_kinds: usize,
    /// Texts: files, and lines of `.jsonl` files.
    pub sources: usize,
    /// Documents of the corpus.
    pub documents: usize,
    /// Documents dropped because another one has the same text.
    pub duplicate_documents: usize,
    /// Rows.
    pub rows: usize,
    /// Of `rows`, those whose query is a heading.
    pub rows_from_headings: usize,
    /// Of `rows`, those with a known passage.
    pub rows_with_known_passage: usize,
    /// Documents without a row: nothing follows the query.
    pub documents_without_row: usize,
    /// Rows dropped because BM25 finds no candidate for them.
    pub rows_without_candidate: usize,
    /// Rows left out by `max_rows`.
    pub rows_not_drawn: usize,
}

/// A corpus, and rows on it.
#[derive(Clone, Debug)]
pub struct Made {
    /// In the order of files.
    pub documents: Vec<Document>,
    /// In the order of documents or pairs.
    pub rows: Vec<TrainingRow>,
    /// How many of what.
    pub counts: MakeCounts,
    /// Files that were not read.
    pub skipped: Vec<Skipped>,
}

impl Made {
    /// Writes `corpus.jsonl` and `train.jsonl`, each whole or not at all.
    pub fn write(&self, dir: &Path) -> Result<()> {
        std::fs::create_dir_all(dir).map_err(|source| Error::Io {
            path: dir.to_owned(),
            source,
        })?;
        write_jsonl(dir.join("corpus.jsonl"), &self.documents)?;
        write_jsonl(dir.join("train.jsonl"), &self.rows)
    }
}

/// A document, where it came from, and its sentences.
struct Piece {
    source: usize,
    document: Document,
    cut: Cut,
}

/// Reads `paths` (but for what lies in the folder `out`) and makes rows; `pairs` are what [`RowKind::Qa`] asks.
/// `progress` hears how many of how many files were read.
///
/// # Errors
/// A path cannot be read, a line of a `.jsonl` file is bad, two sources have one name, or there is no document or row.
pub fn make(
    paths: &[PathBuf],
    out: Option<&Path>,
    pairs: &[QaPair],
    settings: &MakeSettings,
    count: &mut Count<'_>,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Made> {
    settings.check()?;
    let mut counts = MakeCounts::default();
    let mut skipped = Vec::new();
    let found = files::find(paths, out, &mut skipped)?;
    counts.files = found.len();
    let mut pieces: Vec<Piece> = Vec::new();
    let mut names: HashMap<String, usize> = HashMap::new();
    let mut texts: HashSet<(String, String)> = HashSet::new();
    for (number, file) in found.iter().enumerate() {
        file.read(&mut skipped, &mut |source| {
            let number = names.len();
            if names.insert(source.name.clone(), number).is_some() {
                return Err(Error::Invalid(format!(
                    "two sources are called {:?}: give the folder that holds both",
                    source.name
                )));
            }
            let lengths = Lengths {
                tokens: settings.tokens,
                overlap: settings.overlap,
            };
            for (place, cut) in cut::cut(source.blocks, lengths, count)?
                .into_iter()
                .enumerate()
            {
                let title = match settings.keep_titles {
                    true => cut.headings.join(" > "),
                    false => String::new(),
                };
                let text = cut::join(&cut.units);
                if !texts.insert((title.clone(), text.clone())) {
                    counts.duplicate_documents += 1;
                    continue;
                }
                pieces.push(Piece {
                    source: number,
                    document: Document {
                        id: format!("{}#{}", source.name, place + 1),
                        title,
                        text,
                    },
                    cut,
                });
            }
            Ok(())
        })?;
        progress(number + 1, found.len());
    }
    counts.sources = names.len();
    counts.documents = pieces.len();
    counts.files_of_other_kinds = skipped.iter().filter(|file| file.why.is_none()).count();
    counts.files_skipped = skipped.len() - counts.files_of_other_kinds;
    if pieces.is_empty() {
        let first = paths
            .first()
            .map_or(String::new(), |path| path.display().to_string());
        return Err(Error::Invalid(format!(
            "{first}: no text in {} files (.txt, .md, .html, .htm, .jsonl); {} of other kinds, {} that cannot be read",
            counts.files, counts.files_of_other_kinds, counts.files_skipped
        )));
    }
    let search = Search::new(&pieces, settings.bm25)?;
    let mut rows = match settings.rows {
        RowKind::Qa => qa_rows(pairs, &names, &pieces, &search)?,
        _ => own_rows(&pieces, settings, count, &mut counts)?,
    };
    keep_searchable(&mut rows, &search, settings, &mut counts);
    draw(&mut rows, settings, &mut counts);
    if rows.is_empty() {
        return Err(Error::Invalid(format!(
            "{} documents, but no row: {} have no text after their query, {} rows have no candidate",
            counts.documents, counts.documents_without_row, counts.rows_without_candidate
        )));
    }
    if settings.rows == RowKind::Continuation {
        add_candidates(&mut rows, &pieces, &search, settings);
    }
    counts.rows = rows.len();
    counts.rows_from_headings = rows.iter().filter(|row| row.is_heading).count();
    let is_known = |row: &&Draft| !row.known.is_empty();
    counts.rows_with_known_passage = rows.iter().filter(is_known).count();
    let id = |document: usize| pieces[document].document.id.clone();
    let rows = rows.into_iter().map(|draft| draft.into_row(&id)).collect();
    Ok(Made {
        rows,
        documents: pieces.into_iter().map(|piece| piece.document).collect(),
        counts,
        skipped,
    })
}

/// A row whose documents are places in the corpus.
struct Draft {
    id: String,
    query: String,
    target: String,
    is_heading: bool,
    /// The document it was made of.
    source: Option<usize>,
    known: Vec<usize>,
    candidates: Vec<usize>,
}

impl Draft {
    fn into_row(self, id: &impl Fn(usize) -> String) -> TrainingRow {
        let ids = |documents: Vec<usize>| documents.into_iter().map(id).collect();
        TrainingRow {
            id: self.id,
            query: self.query,
            target: self.target,
            positive_ids: ids(self.known),
            candidate_ids: ids(self.candidates),
            candidates: Vec::new(),
        }
    }
}

/// The documents as they will be searched.
struct Search {
    texts: Vec<String>,
    index: Bm25,
}

impl Search {
    fn new(pieces: &[Piece], bm25: Bm25Params) -> Result<Self> {
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

fn own_rows(
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
fn qa_rows(
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
fn keep_searchable(
    rows: &mut Vec<Draft>,
    search: &Search,
    settings: &MakeSettings,
    counts: &mut MakeCounts,
) {
    let best = search.best(rows, 1);
    let before = rows.len();
    let mut best = best.into_iter();
    rows.retain(|row| {
        let found = best.next().unwrap_or_default();
        let may_stand =
            |place: &usize| settings.source == SourcePassage::In || !row.known.contains(place);
        found.iter().any(may_stand)
    });
    counts.rows_without_candidate = before - rows.len();
}

/// Keeps `max_rows` of the rows, in their order.
fn draw(rows: &mut Vec<Draft>, settings: &MakeSettings, counts: &mut MakeCounts) {
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
fn add_candidates(rows: &mut [Draft], pieces: &[Piece], search: &Search, settings: &MakeSettings) {
    let best = search.best(rows, settings.candidates);
    for (row, best) in rows.iter_mut().zip(best) {
        let place = row
            .source
            .expect("a continuation has a document. This is a bug.");
        let may_stand =
            |other: &usize| settings.source == SourcePassage::In || !row.known.contains(other);
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

impl fmt::Display for RowKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Heading => "heading",
            Self::Continuation => "continuation",
            Self::Qa => "qa",
        })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;
