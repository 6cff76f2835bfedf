//! Training: configuration, batches, objectives, the step, checkpoints.

pub mod objective;
