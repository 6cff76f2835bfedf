//! Frozen weights packed for products with `f32` activations, in `f32` or bfloat16, summed in `f32`.
//!
//! Everything is a matter of 32-bit *words*: an `f32`, or two neighbouring bfloat16 of a row, as
//! `VDPBF16PS` wants them. Weights are packed once, in the order in which the forward product reads
//! them: panels of 32 output features, and within a panel the words of all features side by side.
//! The way back needs the transposed order; it is made panel by panel while the product runs
//! (`pack.rs`), which costs a few per cent of a product of a hundred rows and saves a second copy of
//! all weights. Activations are rounded to bfloat16 once for all products that read them ([`Words`]);
//! `f32` ones are taken as they lie.

mod here;
mod kernel;
mod pack;

pub use here::product_here;
pub use kernel::has_instructions;
pub use pack::Words;

use crate::dtype::Dtype;
use crate::frozen::{LowRank, Start};
use crate::matrix::{Matrix, Unwritten};
use kernel::{Tile, TileLowRank};
use pack::Lanes;
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

/// A constant matrix, `[rows, cols]`, packed for products.
#[derive(Clone, Debug)]
pub struct Packed {
    dtype: Dtype,
    rows: usize,
    cols: usize,
    /// Panel after panel; in a panel, [`PANEL`] words for each column (pair of columns in bfloat16).
    lanes: Vec<Lanes>,
}

impl Packed {
    /// Packs `matrix`, rounded to `dtype`.
    pub fn new(matrix: &Matrix, dtype: Dtype) -> Self {
        Self {
            dtype,
            rows: matrix.rows(),
            cols: matrix.cols(),
            lanes: pack::pack_weight(matrix, dtype),
        }
    }

    /// What its values are.
    pub fn dtype(&self) -> Dtype {
        self.dtype
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
        let words = panel
            .iter()
            .skip(half)
            .step_by(2)
            .map(|lanes| lanes.0[lane]);
        match self.dtype {
            Dtype::F32 => {
                for (out, word) in out.iter_mut().zip(words) {
                    *out = f32::from_bits(word);
                }
            }
            Dtype::Bf16 => {
                for (out, word) in out.chunks_mut(2).zip(words) {
                    let (low, high) = pack::widen_pair(word);
                    out[0] = low;
                    if let Some(second) = out.get_mut(1) {
                        *second = high;
                    }
                }
            }
        }
    }

    /// `start + x W^T + low_rank`: `x [n, cols]`, result `[n, rows]`.
    pub fn forward(
        &self,
        x: &Words<'_>,
        start: Start<'_>,
        low_rank: Option<LowRank<'_>>,
    ) -> Matrix {
        assert_eq!(
            (x.cols, x.dtype),
            (self.cols, self.dtype),
            "shapes of a product"
        );
        let groups = Groups::new(self.rows.div_ceil(PANEL), self.depth());
        let chunks = groups.row_chunks(x.n_blocks());
        let with_chunks = |panels: Range<usize>| {
            chunks
                .iter()
                .map(move |rows| (panels.clone(), rows.clone()))
        };
        let tasks: Vec<_> = groups.ranges().flat_map(with_chunks).collect();
        Output::compute(x.rows, self.rows, start, low_rank, |out| {
            let tasks = tasks.into_par_iter().with_max_len(1);
            tasks.for_each(|(panels, blocks)| {
                let lanes = &self.lanes[self.panel(panels.start).start..];
                out.fill(x, blocks, lanes, panels);
            });
        })
    }

    /// `start + d_y W + low_rank`: `d_y [n, rows]`, result `[n, cols]`.
    pub fn input_gradient(
        &self,
        d_y: &Words<'_>,
        start: Start<'_>,
        low_rank: Option<LowRank<'_>>,
    ) -> Matrix {
        assert_eq!(
            (d_y.cols, d_y.dtype),
            (self.rows, self.dtype),
            "shapes of a product"
        );
        let depth = pack::depth(self.rows, self.dtype);
        let groups = Groups::new(self.cols.div_ceil(PANEL), depth);
        let tasks: Vec<_> = groups.ranges().collect();
        Output::compute(d_y.rows, self.cols, start, low_rank, |out| {
            let tasks = tasks.into_par_iter().with_max_len(1);
            tasks.for_each(|panels| {
                TRANSPOSED.with_borrow_mut(|scratch| {
                    pack::transpose_panels(self, panels.clone(), scratch);
                    out.fill(d_y, 0..d_y.n_blocks(), scratch, panels);
                });
            });
        })
    }

    fn depth(&self) -> usize {
        pack::depth(self.cols, self.dtype)
    }

    /// Where panel number `panel` lies.
    fn panel(&self, panel: usize) -> Range<usize> {
        let len = 2 * self.depth();
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
    /// `depth` is the length of the sums in words.
    fn new(n_panels: usize, depth: usize) -> Self {
        let in_cache = GROUP_BYTES / (depth.max(1) * 2 * size_of::<Lanes>());
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
struct Output<'a> {
    data: *mut f32,
    rows: usize,
    cols: usize,
    /// What the tiles begin with, and the distance of its rows.
    base: Option<(*const f32, usize)>,
    low_rank: Option<LowRank<'a>>,
}

// SAFETY: the tasks of one product write to disjoint tiles: each (row block, panel) is given to one task.
unsafe impl Sync for Output<'_> {}

impl Output<'_> {
    /// Has `fill_all` fill every tile of a `[rows, cols]` result.
    fn compute(
        rows: usize,
        cols: usize,
        start: Start<'_>,
        low_rank: Option<LowRank<'_>>,
        fill_all: impl FnOnce(&Output<'_>),
    ) -> Matrix {
        if let Some(LowRank { left, right }) = low_rank {
            assert_eq!(
                (left.rows(), right.cols()),
                (rows, cols),
                "shapes of a low-rank product"
            );
            assert_eq!(left.cols(), right.rows(), "shapes of a low-rank product");
        }
        let fits = |matrix: &Matrix| assert_eq!((matrix.rows(), matrix.cols()), (rows, cols));
        let with = |data: *mut f32, base: Option<(*const f32, usize)>| {
            fill_all(&Output {
                data,
                rows,
                cols,
                base,
                low_rank,
            });
        };
        let base = match start {
            Start::Into(mut matrix) => {
                fits(&matrix);
                let data = matrix.data_mut().as_mut_ptr();
                with(data, Some((data, cols)));
                return matrix;
            }
            Start::Zero => None,
            Start::Bias(bias) => {
                assert_eq!(bias.len(), cols);
                Some((bias.as_ptr(), 0))
            }
            Start::Copy(matrix) => {
                fits(matrix);
                Some((matrix.data().as_ptr(), cols))
            }
        };
        let mut y = Unwritten::new(rows, cols);
        with(y.as_mut_ptr(), base);
        // SAFETY: every tile has been written.
        unsafe { y.written() }
    }

    /// Computes the tiles of some row blocks and panels; `lanes` begins with the first panel.
    fn fill(&self, x: &Words<'_>, blocks: Range<usize>, lanes: &[Lanes], panels: Range<usize>) {
        let panel_len = 2 * x.depth();
        for block in blocks {
            let (rows, a) = x.block(block);
            for (i, panel) in panels.clone().enumerate() {
                let first_col = panel * PANEL;
                let cols = (self.cols - first_col).min(PANEL);
                assert!(rows.end <= self.rows);
                let at = rows.start * self.cols + first_col;
                let low_rank = self.low_rank.map(|LowRank { left, right }| TileLowRank {
                    left: &left.data()[rows.start * left.cols()..],
                    right: &right.data()[first_col.min(right.data().len())..],
                    rank: left.cols(),
                    stride: right.cols(),
                });
                let tile = Tile {
                    dtype: x.dtype,
                    a,
                    b: &lanes[i * panel_len..(i + 1) * panel_len],
                    rows: rows.len(),
                    cols,
                    row_stride: self.cols,
                    low_rank,
                };
                // SAFETY: the tile lies inside the output, whose shape the base has too; no other task
                // has this tile.
                unsafe {
                    let base = self
                        .base
                        .map(|(base, stride)| (base.add(rows.start * stride + first_col), stride));
                    tile.multiply(self.data.add(at), base);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
