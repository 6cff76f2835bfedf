//! The shape of an embedding space: alignment and uniformity (Wang & Isola 2020, arXiv 2005.10242;
//! method section 7).
//!
//! Alignment is `E ||e(q) - e(d+)||^2` over queries and their known documents: smaller is closer.
//! Uniformity is `log E exp(-2 ||x - y||^2)` over pairs of different texts: 0 where all embeddings are
//! one, about -4 where directions have nothing in common, smaller is more even.

use crate::Result;
use crate::encode::encode;
use crate::retriever::{Retriever, Role};
use crate::train::TrainData;
use dream_ir::{Document, TrainingRow};
use dream_nn::Matrix;
use rand::SeedableRng;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// Queries, and documents, that a measurement looks at.
pub const SAMPLE: usize = 256;

/// Temperature of the Gaussian potential, as in the paper.
const T: f64 = 2.0;

/// Alignment and uniformity of a sample; a number is absent where there are no pairs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Geometry {
    /// Mean squared distance of a query to its known document.
    pub alignment: Option<f64>,
    /// Uniformity of documents.
    pub uniformity_documents: Option<f64>,
    /// Uniformity of queries.
    pub uniformity_queries: Option<f64>,
    /// Uniformity of documents and queries together.
    pub uniformity_both: Option<f64>,
    /// Documents in the sample.
    pub documents: usize,
    /// Queries in the sample, each with a known document.
    pub queries: usize,
}

/// Measures a retriever on held-out rows (training rows if there are none) and documents of the
/// corpus: at most [`SAMPLE`] of each, drawn with `seed`, so the same for every retriever.
///
/// # Errors
/// A text cannot be encoded.
pub fn measure(retriever: &Retriever, data: &TrainData, seed: u64) -> Result<Geometry> {
    let corpus = &data.set.corpus;
    let rows = [&data.heldout, &data.set.rows]
        .into_iter()
        .find(|rows| !rows.is_empty());
    let known = |row: &TrainingRow| row.positive_ids.iter().find_map(|id| corpus.index_of(id));
    let pairs: Vec<(&TrainingRow, usize)> = rows
        .into_iter()
        .flatten()
        .filter_map(|row| Some((row, known(row)?)))
        .collect();
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x6e0);
    let mut drawn = |n: usize| index::sample(&mut rng, n, n.min(SAMPLE)).into_vec();
    let pairs: Vec<(&TrainingRow, usize)> =
        drawn(pairs.len()).into_iter().map(|i| pairs[i]).collect();
    let text = |document: &Document| document.full_text();
    let documents = corpus.documents();
    let sampled: Vec<String> = drawn(documents.len())
        .into_iter()
        .map(|d| text(&documents[d]))
        .collect();
    let positives: Vec<String> = pairs.iter().map(|(_, d)| text(&documents[*d])).collect();
    let queries: Vec<&str> = pairs.iter().map(|(row, _)| row.query.as_str()).collect();
    let queries = encode(retriever, Role::Query, &queries)?;
    let positives = encode(retriever, Role::Document, &positives)?;
    let sampled = encode(retriever, Role::Document, &sampled)?;
    Ok(Geometry {
        alignment: alignment(&queries, &positives),
        uniformity_documents: uniformity(&sampled),
        uniformity_queries: uniformity(&queries),
        uniformity_both: uniformity(&sampled.stacked(&queries)),
        documents: sampled.rows(),
        queries: queries.rows(),
    })
}

/// Mean squared distance between rows of the same number, `[pairs, dim]` each.
pub fn alignment(queries: &Matrix, positives: &Matrix) -> Option<f64> {
    let n = queries.rows().min(positives.rows());
    let distances = (0..n).map(|i| squared_distance(queries.row(i), positives.row(i)));
    (n > 0).then(|| distances.sum::<f64>() / n as f64)
}

/// `log E exp(-2 ||x - y||^2)` over all pairs of different rows of `[texts, dim]`.
pub fn uniformity(embeddings: &Matrix) -> Option<f64> {
    let n = embeddings.rows();
    let pairs = (0..n).flat_map(|i| (0..i).map(move |j| (i, j)));
    let potential = |(i, j): (usize, usize)| {
        (-T * squared_distance(embeddings.row(i), embeddings.row(j))).exp()
    };
    let n_pairs = n * n.saturating_sub(1) / 2;
    (n_pairs > 0).then(|| (pairs.map(potential).sum::<f64>() / n_pairs as f64).ln())
}

fn squared_distance(a: &[f32], b: &[f32]) -> f64 {
    let square = |(a, b): (&f32, &f32)| (f64::from(*a) - f64::from(*b)).powi(2);
    a.iter().zip(b).map(square).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What f64 sums of a few terms may lose.
    const ROUNDING: f64 = 1e-12;

    fn close(got: Option<f64>, wanted: f64) -> bool {
        got.is_some_and(|got| (got - wanted).abs() < ROUNDING)
    }

    #[test]
    fn alignment_is_the_mean_squared_distance_of_pairs() {
        // By hand: right angle 2, opposite 4, equal 0; mean 2.
        let queries = Matrix::from_vec(3, 2, vec![1.0, 0.0, 0.0, 1.0, 0.0, -1.0]);
        let positives = Matrix::from_vec(3, 2, vec![0.0, 1.0, 0.0, -1.0, 0.0, -1.0]);
        assert!(close(alignment(&queries, &positives), 2.0));
        let none = Matrix::from_vec(0, 2, Vec::new());
        assert_eq!(alignment(&none, &none), None);
    }

    #[test]
    fn uniformity_is_the_logarithm_of_the_mean_potential() {
        // By hand: two pairs at right angles, distance 2, one opposite, distance 4.
        let three = Matrix::from_vec(3, 2, vec![1.0, 0.0, 0.0, 1.0, -1.0, 0.0]);
        let wanted = ((2.0 * (-4.0f64).exp() + (-8.0f64).exp()) / 3.0).ln();
        assert!(close(uniformity(&three), wanted));
        // All in one place: the worst there is.
        let same = Matrix::from_vec(3, 2, vec![1.0, 0.0, 1.0, 0.0, 1.0, 0.0]);
        assert!(close(uniformity(&same), 0.0));
        let one = Matrix::from_vec(1, 2, vec![1.0, 0.0]);
        assert_eq!(uniformity(&one), None);
    }
}
