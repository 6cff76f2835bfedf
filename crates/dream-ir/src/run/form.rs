//! The forms that runs come in, and what one line of them says.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::ids::{beginning, check_id};

/// How a run is written. The text form, for command lines, is `trec`, `tsv`, `msmarco` or `json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunForm {
    /// TREC's `qid Q0 docno rank sim run_id`, between blanks. The rank and what follows the sixth
    /// field are ignored; lines that begin with `#` are comments, as in trec_eval 10.
    Trec,
    /// Tevatron's `qid<TAB>docid<TAB>score`.
    Tsv,
    /// MS MARCO's `qid<TAB>pid<TAB>rank`, ranks from 1. A rank becomes a score of minus the rank.
    MsMarco,
    /// pytrec_eval's and BEIR's `{"qid": {"docid": score}}`.
    Json,
}

const FORMS: [(RunForm, &str); 4] = [
    (RunForm::Trec, "trec"),
    (RunForm::Tsv, "tsv"),
    (RunForm::MsMarco, "msmarco"),
    (RunForm::Json, "json"),
];

impl fmt::Display for RunForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = FORMS.iter().find(|(form, _)| form == self);
        f.write_str(name.map_or("", |(_, name)| name))
    }
}

impl FromStr for RunForm {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let form = FORMS.iter().find(|(_, name)| *name == text);
        form.map(|(form, _)| *form).ok_or_else(|| {
            Error::Invalid(format!(
                "wanted trec, tsv, msmarco or json as form of a run, got {text:?}"
            ))
        })
    }
}

/// The three fields that matter of one line.
pub(super) struct Fields<'a> {
    pub(super) query: &'a str,
    pub(super) document: &'a str,
    /// A score, or a rank in MS MARCO's form.
    pub(super) number: &'a str,
}

/// Splits a line of the form that was asked for or that the first line settled; `None` for a
/// comment.
pub(super) fn split<'a>(
    line: &'a str,
    form: &mut Option<RunForm>,
) -> Result<Option<Fields<'a>>, String> {
    let fields = if *form == Some(RunForm::Trec) {
        None
    } else {
        three_fields(line)
    };
    let fields = match (fields, *form) {
        (Some(fields), settled) => {
            *form = settled.or(Some(RunForm::Tsv));
            fields
        }
        (None, Some(RunForm::Tsv | RunForm::MsMarco)) => {
            return Err(
                "wanted `qid<TAB>docid<TAB>number`, as in the first line or as was asked for"
                    .into(),
            );
        }
        (None, _) if line.starts_with('#') => return Ok(None),
        (None, _) => {
            *form = Some(RunForm::Trec);
            six_fields(line)?
        }
    };
    check_id(fields.query)?;
    check_id(fields.document)?;
    Ok(Some(fields))
}

fn three_fields(line: &str) -> Option<Fields<'_>> {
    let mut fields = line.split('\t');
    let (query, document, number) = (fields.next()?, fields.next()?, fields.next()?);
    let all = fields.next().is_none() && !query.is_empty() && !document.is_empty();
    all.then_some(Fields {
        query,
        document,
        number: number.trim(),
    })
}

fn six_fields(line: &str) -> Result<Fields<'_>, String> {
    let mut fields = line.split_ascii_whitespace();
    let mut next = || fields.next();
    if let (Some(query), Some(_), Some(document), Some(_), Some(number), Some(_)) =
        (next(), next(), next(), next(), next(), next())
    {
        return Ok(Fields {
            query,
            document,
            number,
        });
    }
    let count = line.split_ascii_whitespace().take(6).count();
    Err(format!(
        "wanted `qid Q0 docno rank score run_id` or `qid<TAB>docid<TAB>score`, got {count} fields: {:?}",
        beginning(line)
    ))
}
