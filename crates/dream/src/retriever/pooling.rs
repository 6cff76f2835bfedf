//! From hidden states to one vector a text, and back.

use super::config::{Pooling, RetrieverConfig};
use dream_nn::Matrix;
use dream_nn::ops::elementwise::axpy;
use std::ops::Range;

/// The rows that pooling reads, if not all: the decoder's last layer need not compute the others.
pub fn wanted_rows(config: &RetrieverConfig, segments: &[Range<usize>]) -> Option<Vec<usize>> {
    match config.pooling {
        Pooling::LastToken => Some(segments.iter().map(|segment| segment.end - 1).collect()),
        Pooling::Mean => None,
    }
}

/// Pools `hidden` over each segment: `[segments, hidden_size]`. `hidden` has the rows of
/// [`wanted_rows`].
pub fn forward(config: &RetrieverConfig, hidden: Matrix, segments: &[Range<usize>]) -> Matrix {
    if config.pooling == Pooling::LastToken {
        return hidden;
    }
    let mut pooled = Matrix::zeros(segments.len(), hidden.cols());
    for (i, segment) in segments.iter().enumerate() {
        let rows = averaged_rows(config, segment);
        let share = 1.0 / rows.len() as f32;
        for row in rows {
            axpy(pooled.row_mut(i), share, hidden.row(row));
        }
    }
    pooled
}

/// Backward: `d_pooled [segments, hidden_size]` to the gradient of `hidden`.
pub fn backward(config: &RetrieverConfig, d_pooled: Matrix, segments: &[Range<usize>]) -> Matrix {
    if config.pooling == Pooling::LastToken {
        return d_pooled;
    }
    let rows = segments.last().map_or(0, |segment| segment.end);
    let mut d_hidden = Matrix::zeros(rows, d_pooled.cols());
    for (i, segment) in segments.iter().enumerate() {
        let rows = averaged_rows(config, segment);
        let share = 1.0 / rows.len() as f32;
        for row in rows {
            axpy(d_hidden.row_mut(row), share, d_pooled.row(i));
        }
    }
    d_hidden
}

fn averaged_rows(config: &RetrieverConfig, segment: &Range<usize>) -> Range<usize> {
    if config.skip_first_token && segment.len() > 1 {
        segment.start + 1..segment.end
    } else {
        segment.clone()
    }
}
