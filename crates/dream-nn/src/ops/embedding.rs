//! Token embedding: a row of the table for each id. The table is frozen, so there is no backward.

use crate::frozen::Frozen;
use crate::matrix::Matrix;

/// Gathers rows of `table [vocab_size, hidden_size]`: `[ids.len(), hidden_size]`.
///
/// Ids must lie below `vocab_size`: the caller checks what comes from outside.
pub fn forward(table: &Frozen, ids: &[u32]) -> Matrix {
    let mut y = Matrix::zeros(ids.len(), table.cols());
    for (row, id) in ids.iter().enumerate() {
        table.copy_row(*id as usize, y.row_mut(row));
    }
    y
}
