//! Rows from documents: what is asked, and what the language model shall write.

use super::cut::{Cut, first, join, middle};
use super::{Count, MakeSettings, RowKind};
use crate::analyzer::words;
use crate::error::Result;

/// Words that a query made of a first sentence has at least.
const QUERY_WORDS: usize = 3;

/// A query and a target from one document.
pub(super) struct Pair {
    pub(super) query: String,
    pub(super) target: String,
    /// Whether the query is a heading, which may be left out of the document.
    pub(super) is_heading: bool,
}

/// The row of a document; nothing where too little text follows the query.
pub(super) fn of(
    cut: &Cut,
    settings: &MakeSettings,
    count: &mut Count<'_>,
) -> Result<Option<Pair>> {
    let units = &cut.units;
    let pair = match settings.rows {
        RowKind::Heading if cut.begins_section && !cut.headings.is_empty() => Pair {
            query: cut.headings.join(": "),
            target: join(first(units, settings.target_tokens)),
            is_heading: true,
        },
        RowKind::Heading => {
            let has_enough = |n: &usize| words(&join(&units[..*n])).count() >= QUERY_WORDS;
            let Some(asked) = (1..units.len()).find(has_enough) else {
                return Ok(None);
            };
            Pair {
                query: join(&units[..asked]),
                target: join(first(&units[asked..], settings.target_tokens)),
                is_heading: false,
            }
        }
        RowKind::Continuation if units.len() < 2 => return Ok(None),
        RowKind::Continuation => {
            let half = middle(units);
            Pair {
                query: join(&units[..half]),
                target: join(&units[half..]),
                is_heading: false,
            }
        }
        RowKind::Qa => return Ok(None),
    };
    let says_something = |text: &str| words(text).next().is_some();
    let is_row = says_something(&pair.query) && says_something(&pair.target);
    Ok((is_row && count(&pair.target)? > 0).then_some(pair))
}
