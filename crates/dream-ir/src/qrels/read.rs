//! Reading judgements from a file.

use std::path::Path;

use super::Qrels;
use crate::delimited::split_quoted;
use crate::error::{Error, Result};
use crate::ids::{MAX_ENTRY_BYTES, beginning, check_id};
use crate::lines::LineReader;
use crate::nested_json::{self, Entries};

impl Qrels {
    /// Reads a file, plain, `.gz` or `.zst`; one without a judgement is an error.
    ///
    /// Three forms are recognised:
    /// 1. The first character that is no blank is `{`: pytrec_eval's `{"qid": {"docid": grade}}`.
    /// 2. The first line has three fields between tabs: BEIR's `query-id<TAB>corpus-id<TAB>score`, with
    ///    or without a header line, fields quoted as CSV where they hold a tab or a quote.
    /// 3. Anything else: TREC's `qid iter docno grade` between blanks, `#` comments allowed, which is
    ///    MS MARCO's `qid<TAB>0<TAB>pid<TAB>1` too.
    ///
    /// A line of another form than the first, a grade that is no whole number, a document judged twice
    /// for a query, and an id with control characters are errors that name the line.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        Self::read_from(LineReader::open(path)?)
    }

    /// Reads what is no file, such as the standard input; see [`Self::read`].
    pub fn read_from(lines: LineReader) -> Result<Self> {
        let mut qrels = Self::default();
        let mut lines = lines.with_max_line_bytes(MAX_ENTRY_BYTES);
        let path = lines.path().to_owned();
        if lines.begins_with_brace()? {
            nested_json::read(lines, &mut qrels)?;
        } else {
            qrels.read_lines(lines)?;
        }
        if qrels.is_empty() {
            let path = path.display();
            return Err(Error::Invalid(format!("{path}: no judgement in it")));
        }
        Ok(qrels)
    }

    fn read_lines(&mut self, mut lines: LineReader) -> Result<()> {
        let mut form = None;
        while let Some(line) = lines.next_line()? {
            if line.trim().is_empty() {
                continue;
            }
            let added = parse_line(line, &mut form).and_then(|judgement| match judgement {
                Some((query, document, grade)) => self.add_read(&query, &document, grade),
                None => Ok(()),
            });
            added.map_err(|what| lines.error(what))?;
        }
        Ok(())
    }

    fn add_read(&mut self, query: &str, document: &str, grade: i32) -> Result<(), String> {
        check_id(query)?;
        check_id(document)?;
        self.add(query, document, grade)
    }
}

impl Entries for Qrels {
    type Value = i32;

    fn begin(&mut self, query: &str) -> Result<(), String> {
        match self.get(query) {
            Some(_) => Err(format!("query {query:?} was given twice")),
            None => Ok(()),
        }
    }

    fn add(&mut self, query: &str, document: String, grade: i32) -> Result<(), String> {
        self.add_read(query, &document, grade)
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
    let tabs = || line.contains('\t');
    if *form == Some(Form::BeirTsv) || (form.is_none() && tabs()) {
        let fields = split_quoted(line, '\t')?;
        if fields.iter().take(2).any(String::is_empty) {
            return Err("wanted an id, got an empty field".to_owned());
        }
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
    grade.map_err(|_| format!("wanted a whole number as grade, got {:?}", beginning(field)))
}
