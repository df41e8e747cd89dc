//! One file a task: an `Args` struct (what can be typed) and `run` (the calls, and what is printed).

mod aligned;
pub(crate) mod bench;
mod cache_words;
pub(crate) mod check;
pub(crate) mod compare;
pub(crate) mod completions;
mod compute_words;
pub(crate) mod config;
pub(crate) mod doctor;
pub(crate) mod evaluate;
pub(crate) mod explore;
mod explore_page;
pub(crate) mod import_weights;
mod output_tables;
pub(crate) mod phantom;
pub(crate) mod predict;
pub(crate) mod read_pth;
pub(crate) mod report;
mod scored_cohort;
pub(crate) mod split;
pub(crate) mod train;
pub(crate) mod transform;

/// How a task that did its work ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nothing to complain about.
    Done,
    /// The work was done, and what it found asks for attention: the exit code says what
    /// (3: leakage or faults stand, 7: a quality gate, 130 and 143: interrupted after a checkpoint).
    Attention(u8),
}

impl Outcome {
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Attention(code) => code,
        }
    }
}
