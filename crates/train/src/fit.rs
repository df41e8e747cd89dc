//! The training loop.

use candle_core::Tensor;
use cxr_augment::{PixelCache, Preprocess};
use cxr_data::Cohort;
use cxr_infer::{InferError, Predictor};
use cxr_metrics::{EpochRecord, Logits, MetricFault, PassSummary, Scores};
use cxr_models::Network;
use cxr_ops::bce_with_logits;
use cxr_ops::nhwc::Isa;

use crate::backprop::{Backprop, Front, loss_of_batch};
use crate::config::{MAX_SKIPPED_BATCHES, NonFinitePolicy, RunConfig};
use crate::loader::{Batch, Loader};
use crate::schedule::Schedule;
use crate::state::TrainState;
use crate::train_error::TrainError;
use crate::truths::{targets_of, truths_of};
use crate::watch::{BatchProgress, Stage, Watch};

/// What a network is fitted to, and how it is measured after each epoch.
#[derive(Clone, Copy, Debug)]
pub struct Material<'a> {
    /// The batches to learn from.
    pub loader: Loader<'a>,
    /// The cohort that decides which epoch is best.
    pub valid: &'a Cohort,
    /// Its pixels, in its order.
    pub valid_pixels: &'a PixelCache,
    /// How images become input.
    pub preprocess: &'a Preprocess,
    /// A weight for the positives of each finding, `[K]`, f32.
    pub pos_weights: &'a Tensor,
}

/// How a fit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fitted {
    /// Every epoch was learned from.
    Complete,
    /// The watch asked to stop; the epochs that the state counts are complete.
    Stopped,
}

/// Learns from the epochs that the state has not seen, and keeps each as it ends.
///
/// # Errors
/// A loss or gradient that is not finite (seen before the optimizer steps), a network that does not
/// fit the images, and whatever `keep` gives.
pub fn fit(
    state: &mut TrainState,
    material: &Material<'_>,
    config: &RunConfig,
    watch: &dyn Watch,
    mut keep: impl FnMut(&TrainState) -> Result<(), TrainError>,
) -> Result<Fitted, TrainError> {
    let mut backprop = Backprop::new(&state.network, Front::Step(Isa::best()));
    for epoch in state.n_epochs() + 1..=config.epochs {
        let began = watch.elapsed_seconds();
        let Some(pass) = train_one_epoch(state, &mut backprop, material, config, epoch, watch)?
        else {
            return Ok(Fitted::Stopped);
        };
        let record = EpochRecord {
            epoch,
            learning_rate: pass.learning_rate,
            seconds: pass.seconds,
            images_per_second: pass.images_per_second,
            training_pass: pass.summary,
            train: Some(measure_train(&state.network, material, epoch)?),
            valid: measure_valid(&state.network, material, epoch)?,
        };
        let record = EpochRecord {
            seconds: watch.elapsed_seconds() - began,
            ..record
        };
        state.history.push(record.clone())?;
        keep(state)?;
        watch.epoch_ends(&record, state.best_epoch() == Some(epoch));
    }
    Ok(Fitted::Complete)
}

/// The training batches of an epoch as they were learned from.
struct TrainingPass {
    summary: PassSummary,
    learning_rate: f64,
    seconds: f64,
    images_per_second: f64,
}

/// One step for each batch. `None` where the watch asked to stop.
fn train_one_epoch(
    state: &mut TrainState,
    backprop: &mut Backprop,
    material: &Material<'_>,
    config: &RunConfig,
    epoch: u64,
    watch: &dyn Watch,
) -> Result<Option<TrainingPass>, TrainError> {
    let loader = &material.loader;
    let schedule = schedule_of(config, loader.n_batches() as u64);
    let began = watch.elapsed_seconds();
    watch.stage_begins(
        Stage::Training {
            epoch,
            n_epochs: config.epochs,
        },
        loader.cohort().len(),
    );
    let mut seen = Seen::default();
    let lesson = Lesson {
        material,
        config,
        epoch,
        schedule,
        watch,
    };
    let learned = loader.epoch_ahead(epoch, |batches| {
        lesson.learn(state, backprop, &mut seen, batches)
    });
    watch.stage_ends();
    let Some(learning_rate) = learned? else {
        return Ok(None);
    };
    let seconds = watch.elapsed_seconds() - began;
    let images_per_second = if seconds > 0.0 {
        seen.places.len() as f64 / seconds
    } else {
        0.0
    };
    let summary = seen.summary(loader.cohort())?;
    Ok(Some(TrainingPass {
        summary,
        learning_rate,
        seconds,
        images_per_second,
    }))
}

/// What the batches of an epoch are learned by.
struct Lesson<'a> {
    material: &'a Material<'a>,
    config: &'a RunConfig,
    epoch: u64,
    schedule: Schedule,
    watch: &'a dyn Watch,
}

impl Lesson<'_> {
    /// One step for each batch; the learning rate of the last. `None` where the watch asked to stop.
    fn learn<'b>(
        &self,
        state: &mut TrainState,
        backprop: &mut Backprop,
        seen: &mut Seen,
        batches: &mut dyn Iterator<Item = Result<Batch<'b>, TrainError>>,
    ) -> Result<Option<f64>, TrainError> {
        let mut learning_rate = 0.0;
        for (place, batch) in batches.enumerate() {
            if self.watch.stop_is_requested() {
                return Ok(None);
            }
            let batch = batch?;
            let number = state.n_batches;
            state.n_batches += 1;
            learning_rate = self.schedule.learning_rate(number);
            let (pos_weights, seed) = (self.material.pos_weights, self.config.seed);
            match step(state, backprop, &batch, pos_weights, seed, learning_rate)? {
                Step::Taken { loss, logits } => {
                    seen.add(loss, logits, &batch.places);
                    let n_radiographs = seen.places.len();
                    self.watch.batch_ends(&BatchProgress {
                        n_radiographs,
                        loss,
                    });
                }
                Step::NotFinite(what) => {
                    let error = TrainError::NonFinite {
                        what,
                        epoch: self.epoch,
                        batch: place + 1,
                        images: self.material.loader.image_names(&batch.places),
                    };
                    state.skip_or_stop(self.config.non_finite, error, self.watch)?;
                }
            }
        }
        Ok(Some(learning_rate))
    }
}

/// What became of a batch.
enum Step {
    /// The weights moved.
    Taken { loss: f64, logits: Vec<f32> },
    /// They did not, because this is not a finite number.
    NotFinite(&'static str),
}

/// Forward, loss, backward, optimizer.
fn step(
    state: &mut TrainState,
    backprop: &mut Backprop,
    batch: &Batch<'_>,
    pos_weights: &Tensor,
    seed: u64,
    learning_rate: f64,
) -> Result<Step, TrainError> {
    let chance = (seed, state.n_batches);
    let values = backprop.forward(&state.network, &batch.images, chance)?;
    if !values.iter().all(|value| value.is_finite()) {
        return Ok(Step::NotFinite("logit"));
    }
    let (loss, of_logits) = loss_of_batch(&values, batch, pos_weights)?;
    if !loss.is_finite() {
        return Ok(Step::NotFinite("loss"));
    }
    let gradients = backprop.backward(&state.network, &batch.images, &of_logits)?;
    if !state.optimizer.gradient_norm(gradients)?.is_finite() {
        return Ok(Step::NotFinite("gradient"));
    }
    state.optimizer.step(gradients, learning_rate)?;
    Ok(Step::Taken {
        loss,
        logits: values,
    })
}

/// The loss and the logits of the batches so far.
#[derive(Default)]
struct Seen {
    weighted_loss: f64,
    logits: Vec<f32>,
    places: Vec<usize>,
}

impl Seen {
    fn add(&mut self, loss: f64, logits: Vec<f32>, places: &[usize]) {
        self.weighted_loss += loss * places.len() as f64;
        self.logits.extend(logits);
        self.places.extend(places);
    }

    /// The mean loss, each batch weighted by its size, and the metrics over all of them.
    fn summary(&self, cohort: &Cohort) -> Result<PassSummary, TrainError> {
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

/// An honest pass over valid: evaluation mode, no augmentation.
fn measure_valid(
    network: &Network,
    material: &Material<'_>,
    epoch: u64,
) -> Result<PassSummary, TrainError> {
    let places: Vec<usize> = (0..material.valid.len()).collect();
    measure(
        network,
        material,
        (material.valid, material.valid_pixels),
        &places,
        epoch,
    )
}

/// The same over as many radiographs of train as valid has, evenly picked, so that the two figures
/// can be compared.
fn measure_train(
    network: &Network,
    material: &Material<'_>,
    epoch: u64,
) -> Result<PassSummary, TrainError> {
    let (cohort, pixels) = (material.loader.cohort(), material.loader.pixels());
    let n = material.valid.len().clamp(1, cohort.len());
    let places: Vec<usize> = (0..n).map(|place| place * cohort.len() / n).collect();
    measure(network, material, (cohort, pixels), &places, epoch)
}

fn measure(
    network: &Network,
    material: &Material<'_>,
    (cohort, pixels): (&Cohort, &PixelCache),
    places: &[usize],
    epoch: u64,
) -> Result<PassSummary, TrainError> {
    let predictor = Predictor::new(network, material.preprocess)?;
    let logits = match predictor.logits_at(pixels, places) {
        Err(InferError::Metric(MetricFault::NotFinite { row, .. })) => {
            let image = cohort.radiographs()[places[row]].image.to_string();
            return Err(TrainError::NonFiniteLogit { epoch, image });
        }
        logits => logits?,
    };
    let loss = loss_of(&logits, cohort, places, material.pos_weights)?;
    let truths = truths_of(cohort, places)?;
    Ok(PassSummary::measure(
        loss,
        &Scores::Logits(logits),
        &truths,
    )?)
}

/// The loss of finished logits, with the same weights as in training.
fn loss_of(
    logits: &Logits,
    cohort: &Cohort,
    places: &[usize],
    pos_weights: &Tensor,
) -> Result<f64, TrainError> {
    let (targets, mask) = targets_of(cohort, places)?; // [N, K] each
    let values: Vec<f32> = logits.values().iter().map(|&logit| logit as f32).collect();
    let logits = Tensor::from_vec(values, targets.shape(), targets.device())?; // [N, K]
    let loss = bce_with_logits(&logits, &targets, &mask, pos_weights)?;
    Ok(f64::from(loss.to_scalar::<f32>()?))
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
