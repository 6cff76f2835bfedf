//! What a run tells whoever started it, and how it may be stopped.

use crate::report::metrics::{EvalRecord, RefreshRecord, StepRecord};
use std::path::Path;

/// What a training tells whoever runs it.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A run starts, or goes on at this step.
    Started {
        /// Steps done already.
        step: u64,
        /// Steps in all.
        steps: u64,
        /// Numbers that will be trained.
        trainable: usize,
    },
    /// A step was taken.
    Step(&'a StepRecord),
    /// An evaluation moves on.
    Evaluating {
        /// Texts embedded.
        done: usize,
        /// Texts in all.
        total: usize,
    },
    /// An evaluation is done.
    Evaluated(&'a EvalRecord),
    /// A search of candidates moves on.
    Searching {
        /// Documents embedded.
        done: usize,
        /// Documents in all.
        total: usize,
    },
    /// Candidates were searched.
    Searched(&'a RefreshRecord),
    /// A checkpoint is whole.
    Saved(&'a Path),
}

/// Hears events and may stop the run; a stop leaves a resumable checkpoint.
pub trait Observer {
    /// Called in order, from one thread. `false` asks to stop as soon as possible.
    fn event(&mut self, event: &Event<'_>) -> bool;
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All steps are done.
    Finished,
    /// The observer stopped it; `--resume` goes on.
    Stopped,
}
