//! From hidden states to one vector a text, and back.

use super::config::{Pooling, RetrieverConfig};
use dream_nn::Matrix;
use dream_nn::ops::elementwise::axpy;
use std::ops::Range;

/// Pools `hidden [rows, hidden_size]` over each segment: `[segments, hidden_size]`.
pub fn forward(config: &RetrieverConfig, hidden: &Matrix, segments: &[Range<usize>]) -> Matrix {
    let mut pooled = Matrix::zeros(segments.len(), hidden.cols());
    for (i, segment) in segments.iter().enumerate() {
        let rows = pooled_rows(config, segment);
        let share = 1.0 / rows.len() as f32;
        for row in rows {
            axpy(pooled.row_mut(i), share, hidden.row(row));
        }
    }
    pooled
}

/// Backward: `d_pooled [segments, hidden_size]` to `d_hidden [rows, hidden_size]`.
pub fn backward(config: &RetrieverConfig, d_pooled: &Matrix, segments: &[Range<usize>]) -> Matrix {
    let rows = segments.last().map_or(0, |segment| segment.end);
    let mut d_hidden = Matrix::zeros(rows, d_pooled.cols());
    for (i, segment) in segments.iter().enumerate() {
        let rows = pooled_rows(config, segment);
        let share = 1.0 / rows.len() as f32;
        for row in rows {
            axpy(d_hidden.row_mut(row), share, d_pooled.row(i));
        }
    }
    d_hidden
}

fn pooled_rows(config: &RetrieverConfig, segment: &Range<usize>) -> Range<usize> {
    match config.pooling {
        Pooling::LastToken => segment.end - 1..segment.end,
        Pooling::Mean if config.skip_first_token && segment.len() > 1 => {
            segment.start + 1..segment.end
        }
        Pooling::Mean => segment.clone(),
    }
}
