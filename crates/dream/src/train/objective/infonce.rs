//! InfoNCE: the labelled control, cross entropy of the known passages.
//!
//! `L = -mean over known passages p of log w_p`, with `w` the softmax over the pool (method section 5.1), or, with
//! `in_batch`, over all documents of the step: those of other queries are negatives then, which is more
//! supervision than the other objectives get. Gradient of the logits: `w_k - [k known] / n_known`.
//! Worked: `w = (.7, .2, .1)`, the first one known: loss `-ln .7 = .357`, gradient `(-.3, .2, .1)`.

use super::{Objective, QueryLoss, Request, Scope};
use crate::{Error, Result};

/// The objective.
#[derive(Clone, Copy, Debug, Default)]
pub struct InfoNce {
    /// Whether the denominator runs over all documents of the step instead of the pool's.
    pub in_batch: bool,
}

impl Objective for InfoNce {
    fn evaluate(&self, request: Request<'_, '_>) -> Result<Vec<QueryLoss>> {
        let queries = request.group.queries.iter().zip(request.weights);
        let losses = queries.map(|(query, weights)| {
            if query.positives.is_empty() {
                return Err(Error::Invalid(format!(
                    "infonce needs a known passage in every pool, but that of {:?} has none; \
                     set known_passage = \"include\"",
                    query.question
                )));
            }
            let share = 1.0 / query.positives.len() as f32;
            let mut d_logits = weights.clone();
            let mut loss = 0.0;
            for positive in &query.positives {
                d_logits[*positive] -= share;
                loss -= share * weights[*positive].max(f32::MIN_POSITIVE).ln();
            }
            Ok(QueryLoss { loss, d_logits })
        });
        losses.collect()
    }

    fn wants(&self, scope: Scope) -> bool {
        let own = if self.in_batch {
            Scope::Batch
        } else {
            Scope::Prompt
        };
        scope == own
    }
}
