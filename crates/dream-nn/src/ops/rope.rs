//! Rotary position embedding (Su et al. 2021, arXiv 2104.09864), half-split: feature `i` turns with
//! feature `i + head_dim / 2`, as in the transformers library.

use rayon::prelude::*;

/// Cosines and sines of the rows of one batch.
#[derive(Clone, Debug)]
pub struct Rope {
    half: usize,
    /// `[rows, head_dim / 2]` pairs of cosine and sine.
    cos_sin: Vec<(f32, f32)>,
}

impl Rope {
    /// Angles `position * inverse_frequency` for each row; `inverse_frequencies [head_dim / 2]`.
    pub fn new(inverse_frequencies: &[f32], positions: &[u32]) -> Self {
        let cos_sin = positions
            .iter()
            .flat_map(|position| {
                inverse_frequencies.iter().map(move |f| {
                    let angle = *position as f32 * f;
                    (angle.cos(), angle.sin())
                })
            })
            .collect();
        Self {
            half: inverse_frequencies.len(),
            cos_sin,
        }
    }

    /// Turns every head of every row in place; `x [rows, heads * head_dim]`.
    pub fn forward(&self, x: &mut [f32]) {
        self.turn(x, 1.0);
    }

    /// Backward: turns the gradient back, in place; `d_x [rows, heads * head_dim]`.
    pub fn backward(&self, d_x: &mut [f32]) {
        self.turn(d_x, -1.0);
    }

    fn turn(&self, x: &mut [f32], direction: f32) {
        let rows = self.cos_sin.len() / self.half;
        if rows == 0 {
            return;
        }
        let width = x.len() / rows;
        assert!(width * rows == x.len() && width.is_multiple_of(2 * self.half));
        let angles = self.cos_sin.par_chunks(self.half);
        x.par_chunks_mut(width)
            .zip(angles)
            .with_min_len(16)
            .for_each(|(row, angles)| {
                for head in row.chunks_exact_mut(2 * self.half) {
                    let (low, high) = head.split_at_mut(self.half);
                    for ((a, b), (cos, sin)) in low.iter_mut().zip(high).zip(angles) {
                        let sin = sin * direction;
                        (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
                    }
                }
            });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, check_gradient, random_vec, rng};

    #[test]
    fn backward_equals_differences() {
        let mut rng = rng(9);
        let rope = Rope::new(&[1.0, 0.1], &[0, 3, 17]);
        let (x, r) = (random_vec(&mut rng, 24), random_vec(&mut rng, 24));
        let mut gradient = r.clone();
        rope.backward(&mut gradient);
        check_gradient(&x, &gradient, |x| {
            let mut y = x.to_vec();
            rope.forward(&mut y);
            testing::dot(&y, &r)
        });
    }

    #[test]
    fn scores_depend_on_the_distance_alone() {
        let mut rng = rng(10);
        let (q, k) = (random_vec(&mut rng, 8), random_vec(&mut rng, 8));
        let frequencies = [1.0, 0.3, 0.05, 0.01];
        let score = |i: u32, j: u32| {
            let (mut q, mut k) = (q.clone(), k.clone());
            Rope::new(&frequencies, &[i]).forward(&mut q);
            Rope::new(&frequencies, &[j]).forward(&mut k);
            testing::dot(&q, &k)
        };
        assert!((score(5, 2) - score(105, 102)).abs() < 1e-4);
    }
}
