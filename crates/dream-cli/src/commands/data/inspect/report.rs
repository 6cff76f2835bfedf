//! What `dream data inspect` found, and how it is said.

use crate::errors::usage;
use crate::output::Output;
use anyhow::Result;
use dream::inspect::{DocumentWorth, PromptInspection};
use dream_ir::inspect::{Inspection, Lengths, PoolInspection};
use serde::Serialize;

/// Ids named where something is wrong.
const NAMED: usize = 3;

/// All findings; the JSON of the command.
#[derive(Serialize)]
pub struct Report {
    /// What texts were counted in.
    pub lengths_in: String,
    /// Rows and documents.
    #[serde(flatten)]
    pub counts: Inspection,
    /// The pools of training.
    pub pools: PoolInspection,
    /// [`PoolInspection::measures_copying`].
    pub measures_copying: bool,
    /// Prompts, where there is a tokenizer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompts: Option<PromptInspection>,
    /// What documents are worth, where there is a language model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worth: Option<DocumentWorth>,
    /// The prompt of the first row.
    pub example: String,
}

impl Report {
    /// Says what should give one pause.
    pub fn warn(&self) {
        let (counts, pools) = (&self.counts, &self.pools);
        if self.measures_copying {
            tracing::warn!(
                "most targets stand word for word in exactly one candidate: the loss would measure copying, a label in disguise; \
             known_passage = \"exclude\" keeps known passages out"
            );
        }
        if 2 * counts.queries_in_known_passage > counts.rows {
            tracing::warn!(
                "most queries stand word for word in their known passage: figures on held-out rows flatter"
            );
        }
        if pools.smaller_pools > 0 {
            tracing::warn!(
                "{} pools are smaller than the {} candidates asked for",
                pools.smaller_pools,
                pools.candidates
            );
        }
    }

    /// Prints it for people.
    pub fn print(&self) -> Result<()> {
        let (counts, pools) = (&self.counts, &self.pools);
        let mut output = Output::stdout();
        output.line(format!(
            "{} rows, {} with a known passage, {} of these with the query word for word in it",
            counts.rows, counts.rows_with_known_passage, counts.queries_in_known_passage
        ))?;
        output.line(format!(
            "{} documents, {} of them copies of another",
            counts.documents, counts.duplicate_documents
        ))?;
        let unit = &self.lengths_in;
        output.line(format!(
            "lengths in {unit}       mean    min median    90%    99%    max"
        ))?;
        let pad = unit.len().saturating_sub(5);
        for (name, lengths) in [
            ("queries", counts.query_lengths),
            ("targets", counts.target_lengths),
            ("documents", counts.document_lengths),
        ] {
            let Lengths {
                mean,
                min,
                median,
                p90,
                p99,
                max,
            } = lengths;
            let name = format!("  {name:<20}{:pad$}", "");
            output.line(format!(
                "{name}{mean:>7.1}{min:>7}{median:>7}{p90:>7}{p99:>7}{max:>7}"
            ))?;
        }
        output.line(format!(
            "pools of {}: {} are smaller, {} hold a known passage",
            pools.candidates, pools.smaller_pools, pools.with_known_passage
        ))?;
        output.line(format!(
        "targets that stand word for word in no candidate: {}, in exactly one: {}, in several: {}",
        pools.target_in_none, pools.target_in_one, pools.target_in_several
    ))?;
        if let Some(prompts) = &self.prompts {
            let context = prompts.context_tokens.map_or(String::new(), |context| {
                format!(
                    ", {} larger than the context of {context}",
                    prompts.larger_than_context
                )
            });
            output.line(format!(
                "prompts: {:.0} tokens in the mean, {} at most{context}",
                prompts.mean_tokens, prompts.max_tokens
            ))?;
            output.line(format!(
                "cut: {} documents, {} targets; targets without tokens: {}",
                prompts.documents_cut,
                prompts.targets_cut,
                prompts.targets_without_tokens.len()
            ))?;
        }
        if let Some(worth) = &self.worth {
            output.line(format!(
                "loss in nats a target token, plain model, mean over {} rows:\n  \
             without documents               {:.3}\n  \
             with the pool                   {:.3}",
                worth.rows, worth.without_documents, worth.with_pool
            ))?;
            if let (Some(known), Some(headroom)) = (worth.with_known_passage, worth.headroom) {
                output.line(format!(
                "  with the known passage alone    {known:.3}   headroom {headroom:.3} ({} rows)",
                worth.rows_with_known_passage
            ))?;
            }
            if pools.with_known_passage == 0 && worth.rows_with_known_passage > 0 {
                output.line(
                    "no pool holds a known passage: what the model does with one shows what it can copy from it; \
                     compare the first two",
                )?;
            }
            output.line(format!(
                "answered as well without documents: {} of {} rows",
                worth.answerable_without_documents, worth.rows
            ))?;
        }
        output.line(format!("\nthe first row's prompt:\n{}", self.example))?;
        output.flush()
    }

    /// What training would stop at.
    pub fn refuse(&self) -> Result<()> {
        let named = |ids: &[String]| {
            let named: Vec<String> = ids.iter().take(NAMED).map(|id| format!("{id:?}")).collect();
            named.join(", ")
        };
        let twice = &self.counts.duplicate_row_ids;
        if !twice.is_empty() {
            return Err(usage(format!(
                "{} row ids stand more than once: {}",
                twice.len(),
                named(twice)
            )));
        }
        let Some(prompts) = &self.prompts else {
            return Ok(());
        };
        let empty = &prompts.targets_without_tokens;
        if !empty.is_empty() {
            return Err(usage(format!(
                "{} targets have no tokens: rows {}",
                empty.len(),
                named(empty)
            )));
        }
        if prompts.larger_than_context > 0 {
            return Err(usage(format!(
                "{} prompts are larger than the context: fewer candidates, or fewer document_tokens",
                prompts.larger_than_context
            )));
        }
        Ok(())
    }
}
