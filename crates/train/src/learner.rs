//! Whatever learns: on this machine's processor, or on a card.
//!
//! The loop sees neither. Deliberately not here: counters, learning rates, metrics.

use cxr_infer::{InferError, Predictor};
use cxr_metrics::Logits;
use cxr_models::Network;
use cxr_ops::nhwc::Isa;

use candle_core::Tensor;

use crate::backprop::{Backprop, Front, loss_of_batch};
use crate::config::RunConfig;
use crate::device_learner::PutOnDevice;
use crate::fit::Material;
use crate::lesson::{Lesson, Step, StepSettings};
use crate::loader::Batch;
use crate::state::TrainState;
use crate::train_error::TrainError;

/// Which of the two splits that a fit looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Split {
    Train,
    Valid,
}

/// Learns, and says what it has learned.
pub(crate) trait Learner {
    /// One step for each batch of the lesson's epoch. Whether all were taken: the watch may ask to
    /// stop.
    fn learn(&mut self, lesson: &mut Lesson<'_>) -> Result<bool, TrainError>;

    /// Brings weights, running statistics and moments into the state, wherever they were.
    fn settle(&mut self, state: &mut TrainState) -> Result<(), TrainError>;

    /// Logits in evaluation mode, without augmentation: `[N, K]`. The network is the settled
    /// state's.
    fn logits(
        &mut self,
        network: &Network,
        split: Split,
        places: &[usize],
    ) -> Result<Logits, InferError>;
}

/// The learner of this state, where the material says.
pub(crate) fn learner<'a>(
    state: &TrainState,
    material: &'a Material<'a>,
    config: &RunConfig,
) -> Result<Box<dyn Learner + 'a>, TrainError> {
    let put = PutOnDevice {
        state,
        material,
        batch_size: config.batch_size,
    };
    match material.compute.with_device(put)? {
        Some(learner) => learner,
        None => Ok(Box::new(CpuLearner {
            material,
            backprop: Backprop::new(&state.network, Front::Step(Isa::best())),
        })),
    }
}

struct CpuLearner<'a> {
    material: &'a Material<'a>,
    backprop: Backprop,
}

impl Learner for CpuLearner<'_> {
    fn learn(&mut self, lesson: &mut Lesson<'_>) -> Result<bool, TrainError> {
        let Self { material, backprop } = self;
        material.loader.epoch_ahead(lesson.epoch, |batches| {
            for batch in batches {
                let batch = batch?;
                let goes_on = lesson.learn(&batch.places, |state, settings| {
                    step(state, backprop, &batch, material.pos_weights, settings)
                })?;
                if !goes_on {
                    return Ok(false);
                }
            }
            Ok(true)
        })
    }

    fn settle(&mut self, _state: &mut TrainState) -> Result<(), TrainError> {
        Ok(())
    }

    fn logits(
        &mut self,
        network: &Network,
        split: Split,
        places: &[usize],
    ) -> Result<Logits, InferError> {
        let pixels = match split {
            Split::Train => self.material.loader.pixels(),
            Split::Valid => self.material.valid_pixels,
        };
        Predictor::new(network, self.material.preprocess)?.logits_at(pixels, places)
    }
}

/// Forward, loss, backward, optimizer.
fn step(
    state: &mut TrainState,
    backprop: &mut Backprop,
    batch: &Batch<'_>,
    pos_weights: &Tensor,
    settings: StepSettings,
) -> Result<Step, TrainError> {
    let values = backprop.forward(&state.network, &batch.images, settings.chance)?;
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
    state.optimizer.step(gradients, settings.learning_rate)?;
    Ok(Step::Taken {
        loss,
        logits: values,
    })
}
