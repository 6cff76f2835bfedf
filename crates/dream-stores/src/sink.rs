//! What an engine must be able to do.

use crate::{Batch, Result, Text};

/// What an engine takes at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Rows a batch, unless the caller says otherwise.
    pub rows: usize,
    /// Bytes a batch, as vectors in `f32` and texts, whatever the caller says.
    pub bytes: usize,
    /// Bytes of an id.
    pub id_bytes: usize,
    /// Bytes of a title or text; longer ones are cut.
    pub text_bytes: usize,
}

/// Where rows are pushed. Called by [`crate::push()`], in this order: `prepare`, any number of `upsert`,
/// `finish`. Each may be called again after an error that is transient.
pub trait Sink {
    /// What it takes at once.
    fn limits(&self) -> Limits;

    /// Makes the collection, or checks the one that is there; true if it was made. `done` rows were stored by
    /// an earlier start.
    ///
    /// # Errors
    /// It is there and of another kind, or cannot be made.
    fn prepare(&mut self, done: u64) -> Result<bool>;

    /// Stores rows; where an id is there already its row is replaced, so that the same batch may come twice.
    ///
    /// # Errors
    /// Nothing, or an unknown part, was stored.
    fn upsert(&mut self, batch: &Batch) -> Result<()>;

    /// How many of the first `sent` rows are stored for good, whatever happens to this program.
    fn durable(&self, sent: u64) -> u64 {
        sent
    }

    /// Makes what was pushed searchable, builds the approximate index if one is wanted, and counts the
    /// rows of the collection.
    fn finish(&mut self) -> Result<u64>;
}

/// A row that a search found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The document's id.
    pub id: String,
    /// Inner product or cosine: more is better.
    pub score: f32,
    /// Title and text, where the collection stores them.
    pub text: Option<Text>,
}

/// Where vectors are searched.
pub trait Searcher {
    /// The best `k` rows for a query, best first; fewer if there are fewer.
    ///
    /// # Errors
    /// The collection is not there, or of another size.
    fn search(&mut self, query: &[f32], k: usize) -> Result<Vec<Found>>;
}
