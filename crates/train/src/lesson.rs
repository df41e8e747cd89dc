//! An epoch's batches as they are learned from: counters, learning rates, and what the logits and
//! losses of its batches come to.

use cxr_data::Cohort;
use cxr_metrics::{Logits, PassSummary, Scores};

use crate::config::{MAX_SKIPPED_BATCHES, NonFinitePolicy, RunConfig};
use crate::fit::Material;
use crate::schedule::Schedule;
use crate::state::TrainState;
use crate::train_error::TrainError;
use crate::truths::truths_of;
use crate::watch::{BatchProgress, Watch};

/// What became of a batch.
pub(crate) enum Step {
    /// The weights moved.
    Taken { loss: f64, logits: Vec<f32> },
    /// They did not, because this is not a finite number.
    NotFinite(&'static str),
}

/// What a step is taken with.
#[derive(Clone, Copy)]
pub(crate) struct StepSettings {
    /// The numbers that dropout is drawn from: (seed, step).
    pub(crate) chance: (u64, u64),
    pub(crate) learning_rate: f64,
}

/// An epoch that is being learned.
pub(crate) struct Lesson<'a> {
    pub(crate) material: &'a Material<'a>,
    pub(crate) epoch: u64,
    state: &'a mut TrainState,
    config: &'a RunConfig,
    watch: &'a dyn Watch,
    schedule: Schedule,
    seen: Seen,
    n_batches: usize,
    learning_rate: f64,
}

/// An epoch that was learned.
pub(crate) struct Learned {
    pub(crate) seen: Seen,
    /// The learning rate of the last batch.
    pub(crate) learning_rate: f64,
}

impl<'a> Lesson<'a> {
    pub(crate) fn new(
        state: &'a mut TrainState,
        material: &'a Material<'a>,
        config: &'a RunConfig,
        epoch: u64,
        watch: &'a dyn Watch,
    ) -> Self {
        Self {
            material,
            epoch,
            state,
            config,
            watch,
            schedule: schedule_of(config, material.loader.n_batches() as u64),
            seen: Seen::default(),
            n_batches: 0,
            learning_rate: 0.0,
        }
    }

    /// Learns from one batch by `step`. Whether to go on: the watch may ask to stop.
    pub(crate) fn learn(
        &mut self,
        places: &[usize],
        step: impl FnOnce(&mut TrainState, StepSettings) -> Result<Step, TrainError>,
    ) -> Result<bool, TrainError> {
        if self.watch.stop_is_requested() {
            return Ok(false);
        }
        self.learning_rate = self.schedule.learning_rate(self.state.n_batches);
        self.state.n_batches += 1;
        self.n_batches += 1;
        let settings = StepSettings {
            chance: (self.config.seed, self.state.n_batches),
            learning_rate: self.learning_rate,
        };
        match step(self.state, settings)? {
            Step::Taken { loss, logits } => {
                self.seen.add(loss, logits, places);
                let n_radiographs = self.seen.places.len();
                self.watch.batch_ends(&BatchProgress {
                    n_radiographs,
                    loss,
                });
            }
            Step::NotFinite(what) => {
                let error = TrainError::NonFinite {
                    what,
                    epoch: self.epoch,
                    batch: self.n_batches,
                    images: self.material.loader.image_names(places),
                };
                self.state
                    .skip_or_stop(self.config.non_finite, error, self.watch)?;
            }
        }
        Ok(true)
    }

    /// What the epoch came to.
    pub(crate) fn ended(self) -> Learned {
        Learned {
            seen: self.seen,
            learning_rate: self.learning_rate,
        }
    }
}

/// The loss and the logits of the batches so far.
#[derive(Default)]
pub(crate) struct Seen {
    weighted_loss: f64,
    logits: Vec<f32>,
    pub(crate) places: Vec<usize>,
}

impl Seen {
    fn add(&mut self, loss: f64, logits: Vec<f32>, places: &[usize]) {
        self.weighted_loss += loss * places.len() as f64;
        self.logits.extend(logits);
        self.places.extend(places);
    }

    /// The mean loss, each batch weighted by its size, and the metrics over all of them.
    pub(crate) fn summary(&self, cohort: &Cohort) -> Result<PassSummary, TrainError> {
        if self.places.is_empty() {
            return Err(TrainError::EmptySplit { split: "train" });
        }
        let loss = self.weighted_loss / self.places.len() as f64;
        let logits = Logits::from_f32(&self.logits, cohort.findings().len())?;
        let truths = truths_of(cohort, &self.places)?;
        Ok(PassSummary::measure(
            loss,
            &Scores::Logits(logits),
            &truths,
        )?)
    }
}

/// The learning rates of a run of `n_batches` batches an epoch.
fn schedule_of(config: &RunConfig, n_batches: u64) -> Schedule {
    let n_warmup_steps = (config.warmup_epochs * n_batches as f64).round() as u64;
    Schedule::new(
        config.schedule,
        config.learning_rate,
        n_warmup_steps,
        config.epochs * n_batches,
    )
}

impl TrainState {
    /// Passes a batch over where the policy allows it and patience is left, else gives the error.
    fn skip_or_stop(
        &mut self,
        policy: NonFinitePolicy,
        error: TrainError,
        watch: &dyn Watch,
    ) -> Result<(), TrainError> {
        if policy == NonFinitePolicy::Abort || self.n_skipped >= MAX_SKIPPED_BATCHES {
            return Err(error);
        }
        self.n_skipped += 1;
        watch.warns(&format!("{error}: the batch is passed over"));
        Ok(())
    }
}
