//! Experiments: a configuration varied, each variant trained with several seeds, and all of them
//! compared.
//!
//! [`ExperimentFile`] is what was written, [`plan()`] makes the runs of it, [`ExperimentFolder`] is where
//! they lie, [`Summary`] puts what they came to side by side, and `tables` and `page` show it. Whoever
//! runs them (the command line) trains and evaluates in between.

pub mod expect;
pub mod file;
pub mod folder;
pub mod page;
pub mod per_query;
pub mod plan;
pub mod result;
pub mod summary;
pub mod tables;

mod overlay;

pub use expect::{Expectation, Judged};
pub use file::{Budget, BudgetKind, EvalSpec, ExperimentFile};
pub use folder::ExperimentFolder;
pub use per_query::PerQuery;
pub use plan::{Places, PlannedRun, plan};
pub use result::{RunResult, SetResult, Spent};
pub use summary::Summary;

/// Name of the held-out rows as a set; with a number behind it, of fewer documents.
pub const HELDOUT: &str = "heldout";
/// Name of the start, before any training.
pub const UNTRAINED: &str = "untrained";

/// Name under which an untrained start keeps a set: held-out rows are others for another seed.
pub fn start_set(set: &str, heldout: &str) -> String {
    if set.starts_with(HELDOUT) {
        format!("{set}.{heldout}")
    } else {
        set.to_owned()
    }
}
