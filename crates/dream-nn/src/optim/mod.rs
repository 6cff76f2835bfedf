//! Optimisation: AdamW, clipping by the global norm, learning-rate schedules. All state is f32.

mod adamw;
mod clip;
mod schedule;

pub use adamw::{AdamW, AdamWConfig, Parameter};
pub use clip::clip_grad_norm;
pub use schedule::Schedule;

/// Values per parallel task. Fixed, so that sums do not depend on the number of threads.
const VALUES_PER_TASK: usize = 1 << 14;
