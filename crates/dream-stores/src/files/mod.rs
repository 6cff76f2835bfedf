//! Files for other programs: a folder of Parquet files, or NumPy's `.npy` with the ids beside it.

mod npy;
mod parquet;

pub use npy::{Npy, NpyDtype};
pub use parquet::Parquet;
