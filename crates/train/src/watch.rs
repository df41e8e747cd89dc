//! What a run tells while it goes on, and what it asks: progress, warnings, the clock, stop signs.
//!
//! The library neither prints nor reads a clock; whoever starts a run hands in a `Watch`.

use cxr_metrics::EpochRecord;

/// Somebody who looks on.
pub trait Watch: Sync {
    /// Seconds since the run began. The default stands still, for runs whose figures must not
    /// depend on time.
    fn elapsed_seconds(&self) -> f64 {
        0.0
    }

    /// Whether the run should end after the batch it is at.
    fn stop_is_requested(&self) -> bool {
        false
    }

    /// A part of the run begins that has `n` things to do.
    fn stage_begins(&self, _stage: Stage, _n: usize) {}

    /// So many things of the current part are done.
    fn stage_reaches(&self, _done: usize) {}

    /// The current part is over.
    fn stage_ends(&self) {}

    /// A batch was learned from.
    fn batch_ends(&self, _progress: &BatchProgress) {}

    /// An epoch was learned from, measured and saved.
    fn epoch_ends(&self, _record: &EpochRecord, _is_best: bool) {}

    /// Something that does not stop the run but that its user should know.
    fn warns(&self, _text: &str) {}
}

/// A part of a run that takes a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Images of a split are decoded and resized.
    Decoding(&'static str),
    /// The batches of an epoch.
    Training {
        /// Counted from 1.
        epoch: u64,
        /// How many there are.
        n_epochs: u64,
    },
}

/// Where an epoch is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchProgress {
    /// Radiographs that this epoch has learned from so far.
    pub n_radiographs: usize,
    /// The loss of this batch.
    pub loss: f64,
}

/// Nobody looks on.
#[derive(Clone, Copy, Debug)]
pub struct Unwatched;

impl Watch for Unwatched {}
