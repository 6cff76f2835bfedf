//! Training: configuration, batches, objectives, the step, checkpoints.

pub mod checkpoint;
pub mod config;
pub mod data;
pub mod evaluation;
mod identity;
pub mod lock;
pub mod objective;
pub mod observer;
mod parameters;
pub mod run_folder;
pub mod searched;
pub mod starter;
pub mod step;
pub mod trainer;
mod tuned;

pub use config::TrainConfig;
pub use data::TrainData;
pub use observer::{Event, Observer, Outcome};
pub use parameters::untrained;
pub use trainer::{Setup, Trainer};
