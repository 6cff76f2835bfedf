//! Query-focused retrieval heads: their names, how they are scored, and how they are chosen.

mod artefact;
pub mod detect;
mod id;
pub mod scoring;
pub mod select;

pub use artefact::HeadList;
pub use id::{HeadId, HeadSet};
pub use select::{ScoredHead, Selector};
