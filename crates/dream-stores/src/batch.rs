//! Rows on their way.

/// Title and text of a document, stored beside its vector.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    /// May be empty.
    pub title: String,
    /// May be empty.
    pub text: String,
}

/// Some rows of an index. Buffers are kept from batch to batch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// Ids, unique in the whole index.
    pub ids: Vec<String>,
    /// Embeddings, `[ids, dim]`, row-major.
    pub vectors: Vec<f32>,
    /// Titles and texts by row, or nothing where none are stored.
    pub texts: Vec<Text>,
}

impl Batch {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Takes all rows out, keeps the room.
    pub fn clear(&mut self) {
        self.ids.clear();
        self.vectors.clear();
        self.texts.clear();
    }

    /// Each id with its vector and its text, if there is one.
    pub fn rows(&self, dim: usize) -> impl Iterator<Item = (&str, &[f32], Option<&Text>)> {
        let vectors = self.vectors.chunks_exact(dim);
        let rows = self.ids.iter().zip(vectors).enumerate();
        rows.map(|(row, (id, vector))| (id.as_str(), vector, self.texts.get(row)))
    }
}
