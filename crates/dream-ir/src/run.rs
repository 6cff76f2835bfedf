//! Runs: ranked documents by query. Read from TREC's `qid Q0 docno rank sim run_id` (rank and
//! further fields ignored, `#` comments allowed) and Tevatron's `qid<TAB>docid<TAB>score`; always
//! ordered as trec_eval orders them: score descending, ties by document id descending, bytewise.
//! As in trec_eval 9 a score is an f32, so scores that differ beyond f32 are ties.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashSet};
use std::io::{self, Write};
use std::path::Path;

use crate::atomic_write::write_atomically;
use crate::error::{Error, Result};
use crate::lines::LineReader;

/// A document that was found, with its score.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// The document's id.
    pub document: String,
    /// Larger is better, always finite.
    pub score: f32,
}

/// In which number type scores are compared when documents are ordered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ScoreWidth {
    /// As f32: scores that differ only beyond it are ties. trec_eval up to 9.0.7, pytrec_eval.
    #[default]
    F32,
    /// As f64: trec_eval from 9.0.8 on.
    F64,
}

/// Ranked documents by query, best first, no document twice in a query.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Run {
    queries: BTreeMap<String, Vec<Hit>>,
    score_width: ScoreWidth,
}

impl Run {
    /// Sets the documents found for a query, in any order. A score that is not finite, a document
    /// or a query given twice is an error.
    pub fn insert(&mut self, query: impl Into<String>, mut hits: Vec<Hit>) -> Result<()> {
        let query = query.into();
        let mut seen = HashSet::with_capacity(hits.len());
        for hit in &hits {
            if !hit.score.is_finite() {
                let (document, score) = (&hit.document, hit.score);
                return Err(Error::Invalid(format!(
                    "query {query:?}: the score of document {document:?} is {score}"
                )));
            }
            if !seen.insert(hit.document.as_str()) {
                return Err(Error::Invalid(given_twice(&query, &hit.document)));
            }
        }
        if self.queries.contains_key(&query) {
            return Err(Error::Invalid(format!("query {query:?} was given twice")));
        }
        hits.sort_unstable_by(trec_eval_order);
        self.queries.insert(query, hits);
        Ok(())
    }

    /// The documents found for a query, best first.
    pub fn get(&self, query: &str) -> Option<&[Hit]> {
        self.queries.get(query).map(Vec::as_slice)
    }

    /// Queries with their documents, ordered by query id.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[Hit])> {
        self.queries
            .iter()
            .map(|(id, hits)| (id.as_str(), hits.as_slice()))
    }

    /// Number type in which scores were compared.
    pub fn score_width(&self) -> ScoreWidth {
        self.score_width
    }

    /// Number of queries.
    pub fn len(&self) -> usize {
        self.queries.len()
    }

    /// Whether no query is in it.
    pub fn is_empty(&self) -> bool {
        self.queries.is_empty()
    }

    /// Reads a file in either form, settled by its first line.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let mut queries: BTreeMap<String, Vec<Hit>> = BTreeMap::new();
        let mut seen: BTreeMap<String, HashSet<String>> = BTreeMap::new();
        let mut lines = LineReader::open(path)?;
        let mut form = None;
        while let Some(line) = lines.next_line()? {
            if line.trim().is_empty() {
                continue;
            }
            let parsed = parse_line(line, &mut form);
            let Some((query, hit)) = parsed.map_err(|what| lines.error(what))? else {
                continue;
            };
            if !seen
                .entry(query.clone())
                .or_default()
                .insert(hit.document.clone())
            {
                return Err(lines.error(given_twice(&query, &hit.document)));
            }
            queries.entry(query).or_default().push(hit);
        }
        for hits in queries.values_mut() {
            hits.sort_unstable_by(trec_eval_order);
        }
        Ok(Self {
            queries,
            score_width: ScoreWidth::F32,
        })
    }

    /// Refuses ids that the TREC form cannot hold: for before long work.
    pub fn check_ids<'a>(ids: impl IntoIterator<Item = &'a str>) -> Result<()> {
        let checked = ids.into_iter().try_for_each(check_field);
        checked.map_err(|error| Error::Invalid(error.to_string()))
    }

    /// Writes the TREC form, ranks from 1, atomically. Ids with blanks in them, which that form
    /// cannot hold, are an error.
    pub fn write(&self, path: impl AsRef<Path>, run_id: &str) -> Result<()> {
        write_atomically(path.as_ref(), |writer| {
            check_field(run_id)?;
            for (query, hits) in &self.queries {
                check_field(query)?;
                for (hit, rank) in hits.iter().zip(1..) {
                    let (document, score) = (&hit.document, nine_digits(hit.score));
                    check_field(document)?;
                    writeln!(writer, "{query} Q0 {document} {rank} {score} {run_id}")?;
                }
            }
            Ok(())
        })
    }
}

/// Score descending, ties by document id descending, bytewise.
fn trec_eval_order(a: &Hit, b: &Hit) -> Ordering {
    // partial_cmp, not total_cmp: 0.0 and -0.0 tie in C; what is not finite was refused.
    let by_score = b.score.partial_cmp(&a.score).unwrap_or(Ordering::Equal);
    by_score.then_with(|| b.document.cmp(&a.document))
}

fn given_twice(query: &str, document: &str) -> String {
    format!("document {document:?} was given twice for query {query:?}")
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Tevatron,
    Trec,
}

/// One line of the form that the first line settled; `None` for a comment.
fn parse_line(line: &str, form: &mut Option<Form>) -> Result<Option<(String, Hit)>, String> {
    if *form != Some(Form::Trec) {
        let fields: Vec<&str> = line.split('\t').collect();
        if let [query, document, score] = fields[..]
            && !(query.is_empty() || document.is_empty())
        {
            *form = Some(Form::Tevatron);
            return hit(query, document, score.trim()).map(Some);
        }
        if *form == Some(Form::Tevatron) {
            return Err("wanted `qid<TAB>docid<TAB>score`, as in the first line".to_owned());
        }
    }
    if line.starts_with('#') {
        return Ok(None);
    }
    *form = Some(Form::Trec);
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    match fields[..] {
        [query, _, document, _, score, _, ..] => hit(query, document, score).map(Some),
        _ => Err(format!(
            "wanted `qid Q0 docno rank score run_id` or `qid<TAB>docid<TAB>score`, got {} fields",
            fields.len()
        )),
    }
}

fn hit(query: &str, document: &str, score: &str) -> Result<(String, Hit), String> {
    // By way of f64, as trec_eval's atof and its cast do.
    let parsed = score.parse::<f64>().ok().map(|score| score as f32);
    let parsed = parsed.filter(|score| score.is_finite());
    let score = parsed.ok_or_else(|| format!("wanted a finite number as score, got {score:?}"))?;
    let hit = Hit {
        document: document.to_owned(),
        score,
    };
    Ok((query.to_owned(), hit))
}

fn check_field(text: &str) -> io::Result<()> {
    if text.is_empty() || text.contains(char::is_whitespace) || text.starts_with('#') {
        let what =
            format!("{text:?} cannot stand in a TREC run: empty, with a blank, or with # first");
        return Err(io::Error::other(what));
    }
    Ok(())
}

/// The score in nine significant digits, enough to get the same f32 back (C's `%.9g`).
fn nine_digits(score: f32) -> String {
    let scientific = format!("{score:.8e}");
    let exponent = scientific
        .split_once('e')
        .and_then(|(_, e)| e.parse::<i32>().ok());
    match exponent {
        Some(e @ -5..=8) => format!("{score:.*}", (8 - e) as usize),
        _ => scientific,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};

    fn read(text: &str) -> Result<Run> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run.txt");
        std::fs::write(&path, text).unwrap();
        Run::read(&path)
    }

    fn order<'a>(run: &'a Run, query: &str) -> Vec<&'a str> {
        run.get(query)
            .unwrap()
            .iter()
            .map(|hit| hit.document.as_str())
            .collect()
    }

    #[test]
    fn the_order_is_by_score_then_by_document_id_descending_and_never_by_rank() {
        let text = "# a run\nq Q0 d1 1 0.5 me\nq Q0 d9 2 0.5 me\nq Q0 d10 3 0.5 me extra\nq Q0 a 4 2e0 me\n";
        assert_eq!(order(&read(text).unwrap(), "q"), ["a", "d9", "d10", "d1"]);
    }

    #[test]
    fn scores_that_differ_only_beyond_f32_are_ties() {
        let run = read("q\ta\t0.50000000001\nq\tb\t0.5\nq\tc\t-0.0\nq\td\t0\n").unwrap();
        assert_eq!(order(&run, "q"), ["b", "a", "d", "c"]);
    }

    #[test]
    fn bad_lines_are_errors_with_their_line() {
        let error = |text: &str| read(text).unwrap_err().to_string();
        assert!(error("q\td\t1\nq\td\t2\n").contains("run.txt:2: document \"d\" was given twice"));
        assert!(error("q Q0 d 1 nan me\n").contains("run.txt:1: wanted a finite number"));
        assert!(error("q\td\t1\nq\te\tinf\n").contains("run.txt:2: wanted a finite number"));
        assert!(error("q Q0 d 1 1e400 me\n").contains("run.txt:1: wanted a finite number"));
        assert!(error("q Q0 d 1 x me\n").contains("got \"x\""));
        assert!(error("q Q0 d 1 0.5\n").contains("got 5 fields"));
        assert!(error("q\td\t1\nq Q0 d 1 0.5 me\n").contains("as in the first line"));
        assert!(error("q\td\tNaN\n").contains("number"));
        assert!(read("").unwrap().is_empty());
    }

    #[test]
    fn inserting_rejects_nan_and_repetitions() {
        let hit = |document: &str, score| Hit {
            document: document.into(),
            score,
        };
        let mut run = Run::default();
        run.insert("q", vec![hit("a", 1.0), hit("b", 2.0)]).unwrap();
        assert_eq!(order(&run, "q"), ["b", "a"]);
        assert!(run.insert("q", vec![]).is_err());
        assert!(run.insert("r", vec![hit("a", f32::NAN)]).is_err());
        assert!(run.insert("r", vec![hit("a", f32::INFINITY)]).is_err());
        assert!(run.insert("r", vec![hit("a", 1.0), hit("a", 1.0)]).is_err());
    }

    #[test]
    fn a_run_is_read_back_bit_for_bit_in_the_order_written() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(7);
        let mut run = Run::default();
        for query in 0..20 {
            let hits = (0..50).map(|document| Hit {
                document: format!("d{document}"),
                score: match document {
                    0 => f32::MIN_POSITIVE / 3.0,
                    1 => f32::MAX,
                    2 => f32::MIN,
                    3 => 0.0,
                    _ => f32::from_bits(rng.random::<u32>() & 0xBF7F_FFFF),
                },
            });
            run.insert(format!("q{query}"), hits.collect()).unwrap();
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run.trec");
        run.write(&path, "me").unwrap();
        assert_eq!(Run::read(&path).unwrap(), run);
    }

    #[test]
    fn scores_are_written_in_nine_significant_digits() {
        // As printf("%.9g") prints them, trailing zeros kept.
        for (score, text) in [
            (0.1_f32, "0.100000001"),
            (12.345_679, "12.3456793"),
            (-1.0, "-1.00000000"),
            (1e-20, "9.99999968e-21"),
            (0.0, "0.00000000"),
        ] {
            assert_eq!(nine_digits(score), text);
        }
    }

    #[test]
    fn an_id_with_a_blank_is_refused_when_writing() {
        let mut run = Run::default();
        let hits = vec![Hit {
            document: "d 1".into(),
            score: 1.0,
        }];
        run.insert("q", hits).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let error = run
            .write(dir.path().join("run"), "me")
            .unwrap_err()
            .to_string();
        assert!(error.contains("\"d 1\" cannot stand"), "{error}");
        assert!(Run::check_ids(["d1", "d 1"]).is_err() && Run::check_ids(["d1"]).is_ok());
    }
}
