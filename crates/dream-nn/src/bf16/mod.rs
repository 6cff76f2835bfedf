//! Frozen weights in bfloat16 and their products with `f32` activations, accumulated in `f32`.
//!
//! Weights are packed once, in the order in which the forward product reads them: panels of
//! 32 output features, and within a panel pairs of input features side by side, as
//! `VDPBF16PS` wants them. The way back needs the transposed order; it is made panel by panel while
//! the product runs (`pack.rs`), which costs a few per cent of a product of a hundred
//! rows and saves a second copy of all weights. Activations are rounded once
//! for all products that read them ([`Rounded`]).

mod kernel;
mod pack;

pub use kernel::has_instructions;

use crate::matrix::{Matrix, ViewMut};
use kernel::Tile;
use pack::{Lanes, RoundedRows};
use rayon::prelude::*;
use std::cell::RefCell;
use std::ops::Range;

/// Output features a panel: two registers of sixteen `f32` sums.
pub(crate) const PANEL: usize = 32;
/// Rows a tile: 12 rows of two sums each, the most that 32 registers hold beside their operands.
pub(crate) const TILE_ROWS: usize = 12;
/// Panels that a task works on at a time fill about half of a core's second-level cache.
const GROUP_BYTES: usize = 512 << 10;
/// Tasks a thread should find, so that all end at about the same time.
const TASKS_A_THREAD: usize = 4;

/// Activations rounded to bfloat16, once for all products that read them.
#[derive(Clone, Debug)]
pub struct Rounded {
    cols: usize,
    rows: RoundedRows,
}

impl Rounded {
    /// Rounds `x [rows, cols]`.
    pub fn new(x: &Matrix) -> Self {
        Self {
            cols: x.cols(),
            rows: RoundedRows::new(x),
        }
    }
}

/// A constant matrix in bfloat16, `[rows, cols]`, packed for products.
#[derive(Clone, Debug)]
pub struct PackedBf16 {
    rows: usize,
    cols: usize,
    /// Panel after panel; in a panel, [`PANEL`] pairs for each pair of columns.
    lanes: Vec<Lanes>,
}

impl PackedBf16 {
    /// Rounds `matrix` to bfloat16 and packs it.
    pub fn new(matrix: &Matrix) -> Self {
        Self {
            rows: matrix.rows(),
            cols: matrix.cols(),
            lanes: pack::pack_weight(matrix),
        }
    }

    /// Output features.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Input features.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        self.lanes.len() * size_of::<Lanes>()
    }

    /// Writes row `row` to `out [cols]`, widened.
    pub fn copy_row(&self, row: usize, out: &mut [f32]) {
        assert!(row < self.rows && out.len() == self.cols);
        let panel = &self.lanes[self.panel(row / PANEL)];
        let (half, lane) = (row % PANEL / 16, row % 16);
        for (pair, out) in out.chunks_mut(2).enumerate() {
            let word = panel[2 * pair + half].0[lane];
            let (low, high) = pack::widen_pair(word);
            out[0] = low;
            if let Some(second) = out.get_mut(1) {
                *second = high;
            }
        }
    }

    /// `y (+)= x W^T`: `x [n, cols]`, `y [n, rows]`; adds to `y` where `accumulate` is set.
    pub fn forward(&self, x: &Rounded, y: &mut Matrix, accumulate: bool) {
        assert_eq!(
            (x.cols, y.rows(), y.cols()),
            (self.cols, x.rows.rows(), self.rows)
        );
        let x = &x.rows;
        let n_panels = self.rows.div_ceil(PANEL);
        let groups = Groups::new(n_panels, self.pairs());
        let chunks = groups.row_chunks(x.n_blocks());
        let out = Output::new(y.view_mut());
        groups
            .ranges()
            .flat_map(|panels| {
                chunks
                    .iter()
                    .map(move |rows| (panels.clone(), rows.clone()))
            })
            .collect::<Vec<_>>()
            .into_par_iter()
            .with_max_len(1)
            .for_each(|(panels, blocks)| {
                let lanes = &self.lanes[self.panel(panels.start).start..];
                out.fill(x, blocks, lanes, panels, accumulate);
            });
    }

    /// `d_x (+)= d_y W`: `d_y [n, rows]`, `d_x [n, cols]`; adds to `d_x` where `accumulate` is set.
    pub fn input_gradient(&self, d_y: &Rounded, d_x: &mut Matrix, accumulate: bool) {
        assert_eq!(
            (d_y.cols, d_x.rows(), d_x.cols()),
            (self.rows, d_y.rows.rows(), self.cols)
        );
        let d_y = &d_y.rows;
        let groups = Groups::new(self.cols.div_ceil(PANEL), self.rows.div_ceil(2));
        let out = Output::new(d_x.view_mut());
        groups
            .ranges()
            .collect::<Vec<_>>()
            .into_par_iter()
            .with_max_len(1)
            .for_each(|panels| {
                TRANSPOSED.with_borrow_mut(|scratch| {
                    pack::transpose_panels(self, panels.clone(), scratch);
                    out.fill(d_y, 0..d_y.n_blocks(), scratch, panels, accumulate);
                });
            });
    }

    fn pairs(&self) -> usize {
        self.cols.div_ceil(2)
    }

    /// Where panel number `panel` lies.
    fn panel(&self, panel: usize) -> Range<usize> {
        let len = 2 * self.pairs();
        panel * len..(panel + 1) * len
    }
}

thread_local! {
    /// Transposed panels of the task at hand; kept, so that steps after the first allocate nothing.
    static TRANSPOSED: RefCell<Vec<Lanes>> = const { RefCell::new(Vec::new()) };
}

/// How the panels of a product are dealt out.
struct Groups {
    n_panels: usize,
    panels_a_group: usize,
}

impl Groups {
    /// `pairs` is half the length of the sums.
    fn new(n_panels: usize, pairs: usize) -> Self {
        let in_cache = GROUP_BYTES / (pairs.max(1) * 2 * size_of::<Lanes>());
        let shared_out = n_panels.div_ceil(TASKS_A_THREAD * rayon::current_num_threads());
        let panels_a_group = in_cache.min(shared_out).max(1);
        Self {
            n_panels,
            panels_a_group,
        }
    }

    fn ranges(&self) -> impl Iterator<Item = Range<usize>> {
        let Self {
            n_panels,
            panels_a_group,
        } = *self;
        (0..n_panels)
            .step_by(panels_a_group)
            .map(move |first| first..(first + panels_a_group).min(n_panels))
    }

    /// Ranges of row blocks, more than one only where there are fewer groups than wanted tasks.
    fn row_chunks(&self, n_blocks: usize) -> Vec<Range<usize>> {
        let n_groups = self.n_panels.div_ceil(self.panels_a_group).max(1);
        let chunks = (TASKS_A_THREAD * rayon::current_num_threads()).div_ceil(n_groups);
        let len = n_blocks.div_ceil(chunks).max(1);
        (0..n_blocks)
            .step_by(len)
            .map(|first| first..(first + len).min(n_blocks))
            .collect()
    }
}

/// The result of a product, written tile by tile from several threads.
struct Output {
    data: *mut f32,
    len: usize,
    cols: usize,
    row_stride: usize,
}

// SAFETY: the tasks of one product write to disjoint tiles: each (row block, panel) is given to one task.
unsafe impl Sync for Output {}

impl Output {
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a view to write to is used up like a `&mut`"
    )]
    fn new(c: ViewMut<'_>) -> Self {
        Self {
            len: c.data.len(),
            cols: c.cols,
            row_stride: c.row_stride,
            data: c.data.as_mut_ptr(),
        }
    }

    /// Computes the tiles of some row blocks and panels; `lanes` begins with the first panel.
    fn fill(
        &self,
        x: &RoundedRows,
        blocks: Range<usize>,
        lanes: &[Lanes],
        panels: Range<usize>,
        accumulate: bool,
    ) {
        let panel_len = 2 * x.pairs();
        for block in blocks {
            let (rows, a) = x.block(block);
            for (i, panel) in panels.clone().enumerate() {
                let first_col = panel * PANEL;
                let cols = (self.cols - first_col).min(PANEL);
                let start = rows.start * self.row_stride + first_col;
                let end = start + (rows.len() - 1) * self.row_stride + cols;
                assert!(end <= self.len);
                let tile = Tile {
                    a,
                    b: &lanes[i * panel_len..(i + 1) * panel_len],
                    rows: rows.len(),
                    cols,
                    row_stride: self.row_stride,
                    accumulate,
                };
                // SAFETY: the tile ends at `end`, inside the output; no other task has this tile.
                unsafe { tile.multiply(self.data.add(start)) };
            }
        }
    }
}

#[cfg(test)]
mod tests;
