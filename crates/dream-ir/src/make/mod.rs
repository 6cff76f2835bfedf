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
mod draft;
mod files;
mod html;
mod markdown;
mod pairs;
mod rows;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

pub use files::MAX_FILE_BYTES;
pub use pairs::{QaPair, read_pairs};

use crate::bm25::Bm25Params;
use crate::document::Document;
use crate::error::{Error, Result};
use crate::jsonl::write_jsonl;
use crate::training::TrainingRow;
use cut::{Cut, Lengths};
use draft::{Draft, Search};

/// Counts the tokens of a text.
pub type Count<'a> = dyn FnMut(&str) -> Result<usize> + 'a;

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
    /// Rows dropped because there is no candidate for them.
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
                let title = if settings.keep_titles {
                    cut.headings.join(" > ")
                } else {
                    String::new()
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
        RowKind::Qa => draft::qa_rows(pairs, &names, &pieces, &search)?,
        _ => draft::own_rows(&pieces, settings, count, &mut counts)?,
    };
    let before = rows.len();
    if settings.rows == RowKind::Continuation {
        draft::add_candidates(&mut rows, &pieces, &search, settings);
        rows.retain(|row| !row.candidates.is_empty());
    } else {
        draft::keep_searchable(&mut rows, &search, settings);
    }
    counts.rows_without_candidate = before - rows.len();
    draft::draw(&mut rows, settings, &mut counts);
    if rows.is_empty() {
        return Err(Error::Invalid(format!(
            "{} documents, but no row: {} have no text after their query, {} rows have no candidate",
            counts.documents, counts.documents_without_row, counts.rows_without_candidate
        )));
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
