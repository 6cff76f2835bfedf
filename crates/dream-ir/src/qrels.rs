//! Relevance judgements, in the two forms in use: BEIR's `query-id<TAB>corpus-id<TAB>score`, with
//! or without its header line, fields optionally quoted as CSV; and TREC's `qid iter docno rel`,
//! separated by blanks, `#` comments allowed.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use crate::atomic_write::write_atomically;
use crate::error::{Error, Result};
use crate::lines::LineReader;

/// Judgements by query: document id to grade. Grades above 0 are relevant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Qrels {
    queries: BTreeMap<String, BTreeMap<String, i32>>,
}

impl Qrels {
    /// Reads a file in either form; an empty one is an error.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        Self::read_from(LineReader::open(path)?)
    }

    /// The same from lines that are no file of their own.
    pub fn read_from(mut lines: LineReader) -> Result<Self> {
        let mut qrels = Self::default();
        let mut form = None;
        while let Some(line) = lines.next_line()? {
            if line.trim().is_empty() {
                continue;
            }
            match parse_line(line, &mut form) {
                Ok(None) => {}
                Ok(Some((query, document, grade))) => {
                    let added = qrels.add(&query, &document, grade);
                    added.map_err(|what| lines.error(what))?;
                }
                Err(what) => return Err(lines.error(what)),
            }
        }
        if qrels.queries.is_empty() {
            let path = lines.path().display();
            return Err(Error::Invalid(format!("{path}: no judgement in it")));
        }
        Ok(qrels)
    }

    /// Adds one judgement; a second one of the same pair is an error.
    pub fn add(&mut self, query: &str, document: &str, grade: i32) -> Result<(), String> {
        let judged = self.queries.entry(query.to_owned()).or_default();
        if judged.insert(document.to_owned(), grade).is_some() {
            return Err(format!(
                "document {document:?} is judged twice for query {query:?}"
            ));
        }
        Ok(())
    }

    /// The judgements of one query.
    pub fn get(&self, query: &str) -> Option<&BTreeMap<String, i32>> {
        self.queries.get(query)
    }

    /// Queries with their judgements, ordered by id.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &BTreeMap<String, i32>)> {
        self.queries
            .iter()
            .map(|(id, judged)| (id.as_str(), judged))
    }

    /// Number of judged queries.
    pub fn len(&self) -> usize {
        self.queries.len()
    }

    /// Whether nothing is judged.
    pub fn is_empty(&self) -> bool {
        self.queries.is_empty()
    }

    /// Writes the BEIR form, header included, atomically.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        write_atomically(path.as_ref(), |writer| {
            writeln!(writer, "query-id\tcorpus-id\tscore")?;
            for (query, judged) in &self.queries {
                for (document, grade) in judged {
                    writeln!(writer, "{}\t{}\t{grade}", quoted(query)?, quoted(document)?)?;
                }
            }
            Ok(())
        })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    BeirTsv,
    Trec,
}

type Judgement = (String, String, i32);

/// One line of the form that the first line settled; `None` for a header or a comment.
fn parse_line(line: &str, form: &mut Option<Form>) -> Result<Option<Judgement>, String> {
    if *form != Some(Form::Trec) {
        let fields = split_tsv(line)?;
        if let [query, document, grade] = &fields[..] {
            let first = form.replace(Form::BeirTsv).is_none();
            if first && is_header(query, grade) {
                return Ok(None);
            }
            return Ok(Some((query.clone(), document.clone(), parse_grade(grade)?)));
        }
        if *form == Some(Form::BeirTsv) {
            let count = fields.len();
            return Err(format!(
                "wanted 3 fields between tabs, as in the first line, got {count}"
            ));
        }
    }
    if line.starts_with('#') {
        return Ok(None);
    }
    *form = Some(Form::Trec);
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    match fields[..] {
        [query, _, document, grade] => Ok(Some((
            query.to_owned(),
            document.to_owned(),
            parse_grade(grade)?,
        ))),
        _ => Err(format!(
            "wanted `qid<TAB>docid<TAB>grade` or `qid iter docno grade`, got {} fields",
            fields.len()
        )),
    }
}

/// Whether a first line names its fields, as BEIR's `query-id corpus-id score`, in any spelling.
fn is_header(query: &str, grade: &str) -> bool {
    let named = |field: &str, names: &[&str]| {
        let letters = field.chars().filter(|c| c.is_alphanumeric());
        names.contains(&letters.collect::<String>().to_lowercase().as_str())
    };
    let (query_names, grade_names) = (
        ["queryid", "query", "qid", "topic", "topicid"],
        [
            "score",
            "grade",
            "rel",
            "relevance",
            "label",
            "judgment",
            "judgement",
        ],
    );
    grade.trim().parse::<f64>().is_err()
        && (named(query, &query_names) || named(grade, &grade_names))
}

fn parse_grade(field: &str) -> Result<i32, String> {
    let grade = field.trim().parse();
    grade.map_err(|_| format!("wanted a whole number as grade, got {field:?}"))
}

/// Fields between tabs; one in double quotes may hold tabs and doubled quotes (CSV).
fn split_tsv(line: &str) -> Result<Vec<String>, String> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let field;
        if let Some(quoted) = rest.strip_prefix('"') {
            (field, rest) = unquote(quoted)?;
        } else {
            let end = rest.find('\t').unwrap_or(rest.len());
            (field, rest) = (rest[..end].to_owned(), &rest[end..]);
        }
        if fields.len() < 2 && field.is_empty() {
            return Err("wanted an id, got an empty field".to_owned());
        }
        fields.push(field);
        match rest.strip_prefix('\t') {
            Some(next) => rest = next,
            None if rest.is_empty() => return Ok(fields),
            None => return Err("wanted a tab after the closing quote".to_owned()),
        }
    }
}

/// The text up to the closing quote, and what follows it.
fn unquote(text: &str) -> Result<(String, &str), String> {
    let mut field = String::new();
    let mut rest = text;
    while let Some(end) = rest.find('"') {
        field.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(next) => rest = next,
            None => return Ok((field, rest)),
        }
        field.push('"');
    }
    Err("a quoted field is not closed".to_owned())
}

fn quoted(id: &str) -> std::io::Result<String> {
    if id.contains(['\n', '\r']) {
        let what = format!("the id {id:?} holds a line end: no qrels file can");
        return Err(std::io::Error::other(what));
    }
    if id.contains(['\t', '"']) {
        return Ok(format!("\"{}\"", id.replace('"', "\"\"")));
    }
    Ok(id.to_owned())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Qrels> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("q.tsv");
        std::fs::write(&path, text).unwrap();
        Qrels::read(&path)
    }

    fn grade(qrels: &Qrels, query: &str, document: &str) -> Option<i32> {
        qrels.get(query)?.get(document).copied()
    }

    #[test]
    fn both_forms_give_the_same_judgements() {
        let wanted =
            read("query-id\tcorpus-id\tscore\n01\td 1\t2\n01\td2\t0\nq2\td2\t-1\n").unwrap();
        assert_eq!(grade(&wanted, "01", "d 1"), Some(2));
        assert_eq!(grade(&wanted, "q2", "d2"), Some(-1));
        assert_eq!(wanted.len(), 2);
        assert_eq!(
            read("01\td 1\t2\r\n01\td2\t0\r\nq2\td2\t-1").unwrap(),
            wanted
        );
        let trec =
            read("# made by hand\n01 0 d1 2\n01\t0\td2\t0\n# end\nq2  Q0  d2  -1\n").unwrap();
        assert_eq!(grade(&trec, "01", "d1"), Some(2));
        assert_eq!(trec.get("q2"), wanted.get("q2"));
    }

    #[test]
    fn quoted_fields_are_read_as_csv_and_written_so() {
        let qrels = read("\"q\t\"\"1\"\"\"\td1\t1\n").unwrap();
        assert_eq!(grade(&qrels, "q\t\"1\"", "d1"), Some(1));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("q.tsv");
        qrels.write(&path).unwrap();
        assert_eq!(Qrels::read(&path).unwrap(), qrels);
    }

    #[test]
    fn bad_lines_are_errors_with_their_line() {
        let error = |text: &str| read(text).unwrap_err().to_string();
        assert!(error("q\td\t1\nq\td\t1\n").contains("q.tsv:2: document \"d\" is judged twice"));
        assert!(error("q\td\tscore\nq\td\t1.5\n").contains("q.tsv:2: wanted a whole number"));
        assert!(error("q\td\t1.0\n").contains("q.tsv:1"));
        // Not a header: a judgement that cannot be read.
        assert!(error("q1\td1\tx\nq1\td2\t1\n").contains("q.tsv:1: wanted a whole number"));
        assert!(read("Query_ID\tdoc\tx\nq\td\t1\n").is_ok());
        assert!(error("q\td\t1\nq 0 d 1\n").contains("q.tsv:2: wanted 3 fields"));
        assert!(error("q 0 d\n").contains("got 3 fields"));
        assert!(error("\td\t1\n").contains("empty field"));
        assert!(error("\"q\td\t1\n").contains("not closed"));
        assert!(error("\"q\"x\td\t1\n").contains("closing quote"));
        assert!(error("q\td\t99999999999\n").contains("whole number"));
        assert!(error("query-id\tcorpus-id\tscore\n").contains("no judgement"));
        assert!(error("").contains("no judgement"));
    }
}
