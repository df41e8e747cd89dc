//! The training loop.

use candle_core::Tensor;
use cxr_augment::{PixelCache, Preprocess};
use cxr_data::Cohort;
use cxr_infer::InferError;
use cxr_metrics::{EpochRecord, Logits, MetricFault, PassSummary, Scores};
use cxr_models::Compute;
use cxr_ops::bce_with_logits;

use crate::config::RunConfig;
use crate::learner::{Learner, Split, learner};
use crate::lesson::{Learned, Lesson};
use crate::loader::Loader;
use crate::state::TrainState;
use crate::train_error::TrainError;
use crate::truths::{targets_of, truths_of};
use crate::watch::{Stage, Watch};

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
    /// Where the network learns and is measured.
    pub compute: Compute,
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
    let mut learner = learner(state, material, config)?;
    for epoch in state.n_epochs() + 1..=config.epochs {
        let began = watch.elapsed_seconds();
        let pass = train_one_epoch(state, &mut *learner, material, config, epoch, watch)?;
        let Some(pass) = pass else {
            return Ok(Fitted::Stopped);
        };
        learner.settle(state)?;
        let record = EpochRecord {
            epoch,
            learning_rate: pass.learning_rate,
            seconds: pass.seconds,
            images_per_second: pass.images_per_second,
            training_pass: pass.summary,
            train: Some(measure_train(state, &mut *learner, material)?),
            valid: measure_valid(state, &mut *learner, material)?,
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
    learner: &mut dyn Learner,
    material: &Material<'_>,
    config: &RunConfig,
    epoch: u64,
    watch: &dyn Watch,
) -> Result<Option<TrainingPass>, TrainError> {
    let cohort = material.loader.cohort();
    let began = watch.elapsed_seconds();
    let n_epochs = config.epochs;
    watch.stage_begins(Stage::Training { epoch, n_epochs }, cohort.len());
    let mut lesson = Lesson::new(state, material, config, epoch, watch);
    let is_complete = learner.learn(&mut lesson);
    watch.stage_ends();
    if !is_complete? {
        return Ok(None);
    }
    let Learned {
        seen,
        learning_rate,
    } = lesson.ended();
    let seconds = watch.elapsed_seconds() - began;
    let images_per_second = if seconds > 0.0 {
        seen.places.len() as f64 / seconds
    } else {
        0.0
    };
    Ok(Some(TrainingPass {
        summary: seen.summary(cohort)?,
        learning_rate,
        seconds,
        images_per_second,
    }))
}

/// An honest pass over valid: evaluation mode, no augmentation.
fn measure_valid(
    state: &TrainState,
    learner: &mut dyn Learner,
    material: &Material<'_>,
) -> Result<PassSummary, TrainError> {
    let places: Vec<usize> = (0..material.valid.len()).collect();
    measure(state, learner, material, Split::Valid, &places)
}

/// The same over as many radiographs of train as valid has, evenly picked, so that the two figures
/// can be compared.
fn measure_train(
    state: &TrainState,
    learner: &mut dyn Learner,
    material: &Material<'_>,
) -> Result<PassSummary, TrainError> {
    let cohort = material.loader.cohort();
    let n = material.valid.len().clamp(1, cohort.len());
    let places: Vec<usize> = (0..n).map(|place| place * cohort.len() / n).collect();
    measure(state, learner, material, Split::Train, &places)
}

fn measure(
    state: &TrainState,
    learner: &mut dyn Learner,
    material: &Material<'_>,
    split: Split,
    places: &[usize],
) -> Result<PassSummary, TrainError> {
    let cohort = match split {
        Split::Train => material.loader.cohort(),
        Split::Valid => material.valid,
    };
    let logits = match learner.logits(&state.network, split, places) {
        Err(InferError::Metric(MetricFault::NotFinite { row, .. })) => {
            let image = cohort.radiographs()[places[row]].image.to_string();
            let epoch = state.n_epochs() + 1;
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
