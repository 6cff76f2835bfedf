//! Training rows: a query, the target output that the language model shall write, and the
//! documents that may help. No relevance label is needed; a known passage is used for pools,
//! controls and reports only.
//!
//! [`read_training_rows`] reads the form that training takes; [`convert`] turns the field's other forms into it, each
//! of which has a file here.

pub mod convert;
mod flagembedding;
pub mod format;
mod kd;
mod msmarco;
mod native;
mod sentence_transformers;
mod tevatron;
mod tevatron_ids;

use std::path::Path;

use serde::Serialize;

pub use convert::{Conversion, Converted, TargetFrom};
pub use format::RowFormat;
pub use native::{TrainingRows, read_training_rows, read_training_rows_from};

use crate::corpus::Corpus;
use crate::decompress;
use crate::document::Document;
use crate::error::{Error, Result};

/// One training example.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrainingRow {
    /// Name of the row; its line number if the file gives none.
    #[serde(rename = "_id")]
    pub id: String,
    /// What is asked, never blank.
    pub query: String,
    /// What the language model shall write, never blank.
    pub target: String,
    /// Known passages, may be empty.
    pub positive_ids: Vec<String>,
    /// Candidates by id, in the order given; those of `candidates` included.
    pub candidate_ids: Vec<String>,
    /// Scores of `candidate_ids`, all finite, where the row gives some; empty if it gives none. Not
    /// written.
    #[serde(skip)]
    pub candidate_scores: Vec<Option<f32>>,
    /// Candidates whose text stands in the row itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<Document>,
}

/// Training rows and the one corpus that all their candidates and known passages live in.
#[derive(Debug, Clone)]
pub struct TrainingSet {
    /// The rows, in file order.
    pub rows: Vec<TrainingRow>,
    /// The documents of `corpus.jsonl`, then those that only the rows hold.
    pub corpus: Corpus,
}

impl TrainingSet {
    /// Reads `train.jsonl` and, if there is one, `corpus.jsonl` of a folder.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self> {
        let dir = dir.as_ref();
        Self::open_rows(dir, &dir.join("train.jsonl"))
    }

    /// The same with rows from another file.
    pub fn open_rows(dir: &Path, rows: &Path) -> Result<Self> {
        Self::new(read_training_rows(rows)?, read_corpus(dir)?)
    }

    /// Adds the candidates that stand in the rows to the corpus, and checks that each id that a
    /// row names is in it. The rows' own copies of the texts are dropped.
    pub fn new(mut rows: Vec<TrainingRow>, mut corpus: Corpus) -> Result<Self> {
        for row in &mut rows {
            row.move_texts_to(&mut corpus)?;
        }
        if rows.is_empty() || corpus.is_empty() {
            let (n_rows, n_documents) = (rows.len(), corpus.len());
            return Err(Error::Invalid(format!(
                "a training set needs rows and documents, this one has {n_rows} and {n_documents}"
            )));
        }
        for row in &rows {
            row.check_named(&corpus)?;
        }
        Ok(Self { rows, corpus })
    }
}

impl TrainingRow {
    /// Moves the texts that stand in the row into the corpus, if it has not got them.
    ///
    /// # Errors
    /// The corpus has another text by the same id.
    pub fn move_texts_to(&mut self, corpus: &mut Corpus) -> Result<()> {
        for document in std::mem::take(&mut self.candidates) {
            let added = corpus.add(document);
            added.map_err(|what| Error::Invalid(format!("row {:?}: {what}", self.id)))?;
        }
        Ok(())
    }

    /// Refuses a row that names a document that the corpus does not hold.
    pub fn check_named(&self, corpus: &Corpus) -> Result<()> {
        let mut named = self.positive_ids.iter().chain(&self.candidate_ids);
        match named.find(|id| corpus.index_of(id).is_none()) {
            None => Ok(()),
            Some(id) => Err(Error::Invalid(format!(
                "row {:?} names the document {id:?}, which the corpus does not hold",
                self.id
            ))),
        }
    }
}

/// The `corpus.jsonl` of a folder, or none where rows hold their documents.
pub fn read_corpus(dir: &Path) -> Result<Corpus> {
    match decompress::resolve(&dir.join("corpus.jsonl")) {
        Ok(path) => Corpus::read(path),
        Err(_) => Ok(Corpus::default()),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use std::fs;

    fn open(train: &str, corpus: Option<&str>) -> Result<TrainingSet> {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("train.jsonl"), train).unwrap();
        if let Some(corpus) = corpus {
            fs::write(dir.path().join("corpus.jsonl"), corpus).unwrap();
        }
        TrainingSet::open(dir.path())
    }

    const CORPUS: &str = "{\"_id\":\"p0\",\"text\":\"zero\"}\n{\"_id\":\"p1\",\"text\":\"one\"}\n";

    #[test]
    fn a_native_row_carries_its_candidates_and_needs_no_corpus() {
        let line = r#"{"id":"r","query":"q","target":"t","positive_ids":["b"],"candidates":
            [{"id":"a","title":"A","text":"x","score":1.5},{"id":"b","text":"y"},{"text":"z"}]}"#;
        let set = open(&line.replace('\n', " "), None).unwrap();
        let row = &set.rows[0];
        assert_eq!((row.query.as_str(), row.target.as_str()), ("q", "t"));
        assert_eq!(row.candidate_ids, ["a", "b", "r/2"]);
        assert_eq!(row.positive_ids, ["b"]);
        assert!(row.candidates.is_empty());
        assert_eq!(set.corpus.get("a").unwrap().full_text(), "A x");
        assert_eq!(set.corpus.len(), 3);
    }

    #[test]
    fn answers_stand_in_for_the_target_and_context_id_names_the_known_passage() {
        let train = concat!(
            r#"{"_id":"n","query":"q","answers":["first","second"],"context_id":"p1","context":"one"}"#,
            "\n",
            r#"{"query":"q","target":"t","title":"T","context":"not in the corpus"}"#,
        );
        let set = open(train, Some(CORPUS)).unwrap();
        assert_eq!(set.rows[0].target, "first");
        assert_eq!(set.rows[0].positive_ids, ["p1"]);
        assert_eq!(set.rows[1].id, "2");
        assert!(set.rows[1].positive_ids.is_empty());
        assert_eq!(set.corpus.len(), 2);
    }

    #[test]
    fn rows_without_target_query_or_known_documents_are_errors_that_name_them() {
        let error = |train: &str| open(train, Some(CORPUS)).unwrap_err().to_string();
        let blank = "{\"id\":\"r\",\"query\":\"q\",\"target\":\" \"}";
        let no_target = format!("\n{blank}\n");
        assert!(error(&no_target).contains("train.jsonl:2: row \"r\" has no target"));
        assert!(error("{\"query\":\"q\",\"answers\":[]}").contains("train.jsonl:1: row \"1\""));
        assert!(error("{\"query\":\"\",\"target\":\"t\"}").contains("empty query"));
        assert!(error("{\"target\":\"t\"}").contains("query"));
        let lost = "{\"query\":\"q\",\"target\":\"t\",\"context_id\":\"p9\"}";
        assert!(error(lost).contains("\"p9\", which the corpus does not hold"));
        let clash = r#"{"query":"q","target":"t","candidates":[{"id":"p0","text":"other"}]}"#;
        assert!(error(clash).contains("two different texts"));
        assert!(error("").contains("needs rows"));
        assert!(open("{\"query\":\"q\",\"target\":\"t\"}", None).is_err());
    }

    #[test]
    fn candidates_without_text_name_documents_of_the_corpus_and_may_carry_scores() {
        let row = |candidates: &str| {
            let line = format!(r#"{{"id":"r","query":"q","target":"t",{candidates}}}"#);
            open(&line, Some(CORPUS)).map(|set| set.rows[0].clone())
        };
        let mined = r#""candidate_ids":["p1","p0"],"candidates":[
            {"id":"p1","score":2.5,"source":"bm25","rank":1},{"id":"p0","source":"random"}]"#;
        let read = row(&mined.replace('\n', " ")).unwrap();
        assert_eq!(read.candidate_ids, ["p1", "p0"]);
        assert_eq!(read.candidate_scores, [Some(2.5), None]);
        // Texts and names together, a name twice: the first score counts.
        let mixed = r#""candidates":[{"docid":"p0","text":null,"score":null},{"id":"own","text":"x"},{"id":"p0","score":1},{"id":"p0","score":7}]"#;
        let read = row(mixed).unwrap();
        assert_eq!(read.candidate_ids, ["p0", "own"]);
        assert_eq!(read.candidate_scores, [Some(1.0), None]);
        let error = |candidates: &str| row(candidates).unwrap_err().to_string();
        let unknown = r#""candidates":[{"id":"p9","score":1}]"#;
        assert!(error(unknown).contains("\"p9\", which the corpus does not hold"));
        for (bad, what) in [
            (
                r#""candidates":[{"id":"p0"},{"score":1}]"#,
                "train.jsonl:1: row \"r\", candidate 2: wanted a text or the id",
            ),
            (
                r#""candidates":[{"id":"p0","score":1e39}]"#,
                "candidate 1: the score 1e39 is no finite",
            ),
            (
                r#""candidates":[{"id":"p0","score":1e999}]"#,
                "number out of range",
            ),
            (
                r#""candidates":[{"id":"p0","score":NaN}]"#,
                "expected value",
            ),
            (
                r#""candidates":[{"id":"p0","score":"high"}]"#,
                "expected f64",
            ),
            (r#""candidates":[{"id":""}]"#, "non-empty"),
        ] {
            assert!(error(bad).contains(what), "{bad}: {}", error(bad));
        }
    }

    #[test]
    fn a_row_is_read_back_as_it_was_written() {
        let row = TrainingRow {
            id: "r\t1".into(),
            query: "what\nis".into(),
            target: "é".into(),
            positive_ids: vec!["b".into()],
            candidate_ids: vec!["x".into(), "b".into()],
            candidate_scores: Vec::new(),
            candidates: vec![Document {
                id: "b".into(),
                title: "T".into(),
                text: "text".into(),
            }],
        };
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("train.jsonl");
        crate::jsonl::write_jsonl(&path, [&row]).unwrap();
        assert_eq!(read_training_rows(&path).unwrap(), [row]);
    }
}
