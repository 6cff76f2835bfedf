//! BEIR folders: `corpus.jsonl`, `queries.jsonl`, `qrels/<split>.tsv`, each plain, `.gz` or `.zst`
//! (Thakur et al. 2021, <https://arxiv.org/abs/2104.08663>). Departure: every judged query is
//! kept and later counted, found or not.

use std::collections::HashSet;
use std::path::Path;

use crate::corpus::Corpus;
use crate::document::Query;
use crate::error::{Error, Result};
use crate::jsonl::JsonLines;
use crate::lines::LineReader;
use crate::qrels::Qrels;

/// One retrieval set with the judgements of one split.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// All documents.
    pub corpus: Corpus,
    /// The queries that the split judges, in file order.
    pub queries: Vec<Query>,
    /// The judgements of the split.
    pub qrels: Qrels,
}

impl Dataset {
    /// Loads the folder `dir` with the judgements `qrels/<split>.tsv`.
    pub fn open(dir: impl AsRef<Path>, split: &str) -> Result<Self> {
        let dir = dir.as_ref();
        if split.is_empty() || split.contains(['/', '\\']) {
            return Err(Error::Invalid(format!(
                "{split:?} is not the name of a split"
            )));
        }
        let qrels_name = format!("qrels/{split}.tsv");
        let qrels = Qrels::read(dir.join(&qrels_name))?;
        let queries = read_queries(dir.join("queries.jsonl"))?;
        let queries = Self::judged_queries(dir, &qrels_name, queries, &qrels)?;
        let corpus = Corpus::read(dir.join("corpus.jsonl"))?;
        Ok(Self {
            corpus,
            queries,
            qrels,
        })
    }

    /// Keeps the queries that are judged; judgements of a query that is not there are an error, which names `place`
    /// and the file of the judgements.
    pub(crate) fn judged_queries(
        place: &Path,
        qrels_name: &str,
        mut queries: Vec<Query>,
        qrels: &Qrels,
    ) -> Result<Vec<Query>> {
        queries.retain(|query| qrels.get(&query.id).is_some());
        if queries.len() < qrels.len() {
            let known: HashSet<&str> = queries.iter().map(|q| q.id.as_str()).collect();
            let lost: Vec<&str> = qrels
                .iter()
                .map(|(id, _)| id)
                .filter(|id| !known.contains(id))
                .collect();
            return Err(Error::Invalid(format!(
                "{}: {qrels_name} judges {} queries that are not among the queries, first {:?}",
                place.display(),
                lost.len(),
                lost[0],
            )));
        }
        Ok(queries)
    }
}

/// Reads a `queries.jsonl`; a repeated id is an error.
pub fn read_queries(path: impl AsRef<Path>) -> Result<Vec<Query>> {
    read_queries_from(LineReader::open(path)?)
}

/// The same of lines that do not come from a file.
pub fn read_queries_from(lines: LineReader) -> Result<Vec<Query>> {
    let mut queries: Vec<Query> = Vec::new();
    let mut seen = HashSet::new();
    let mut values = JsonLines::<Query>::new(lines);
    while let Some(query) = values.next() {
        let query = query?;
        if !seen.insert(query.id.clone()) {
            return Err(values.error(format!("query id {:?} was given before", query.id)));
        }
        queries.push(query);
    }
    Ok(queries)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use std::fs;

    fn folder(corpus: &str, queries: &str, qrels: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("qrels")).unwrap();
        fs::write(dir.path().join("corpus.jsonl"), corpus).unwrap();
        fs::write(dir.path().join("queries.jsonl"), queries).unwrap();
        fs::write(dir.path().join("qrels/test.tsv"), qrels).unwrap();
        dir
    }

    const CORPUS: &str = "{\"_id\":\"d2\",\"text\":\"b\"}\n{\"_id\":\"d1\",\"text\":\"\"}\n";
    const QUERIES: &str = "{\"_id\":\"q2\",\"text\":\"x\"}\n{\"_id\":\"q1\",\"text\":\"y\"}\n";
    const QRELS: &str = "query-id\tcorpus-id\tscore\nq1\td1\t1\n";

    fn error(corpus: &str, queries: &str, qrels: &str) -> String {
        let dir = folder(corpus, queries, qrels);
        Dataset::open(dir.path(), "test").unwrap_err().to_string()
    }

    #[test]
    fn documents_keep_file_order_and_only_judged_queries_are_kept() {
        let dir = folder(CORPUS, QUERIES, QRELS);
        let dataset = Dataset::open(dir.path(), "test").unwrap();
        assert_eq!(dataset.corpus.index_of("d1"), Some(1));
        assert_eq!(dataset.corpus.get("d2").unwrap().text, "b");
        assert_eq!(dataset.corpus.get("d3"), None);
        let ids: Vec<&str> = dataset.queries.iter().map(|q| q.id.as_str()).collect();
        assert_eq!(ids, ["q1"]);
    }

    #[test]
    fn repeated_ids_are_errors_with_their_line() {
        let twice = format!("{CORPUS}{CORPUS}");
        assert!(error(&twice, QUERIES, QRELS).contains("corpus.jsonl:3: document id \"d2\""));
        let twice = format!("{QUERIES}{QUERIES}");
        assert!(error(CORPUS, &twice, QRELS).contains("queries.jsonl:3: query id \"q2\""));
    }

    #[test]
    fn an_empty_corpus_a_lost_query_and_a_missing_split_are_errors() {
        assert!(error("\n", QUERIES, QRELS).contains("holds no document"));
        assert!(error(CORPUS, QUERIES, "q9\td1\t1\n").contains("first \"q9\""));
        let dir = folder(CORPUS, QUERIES, QRELS);
        let missing = Dataset::open(dir.path(), "dev").unwrap_err().to_string();
        assert!(missing.contains("dev.tsv"), "{missing}");
        assert!(Dataset::open(dir.path(), "../x").is_err());
    }
}
