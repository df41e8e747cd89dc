//! Learning on a device: pictures, weights and moments stay there, one call takes a whole step.

use cxr_infer::{DevicePictures, InferError};
use cxr_metrics::Logits;
use cxr_models::{DeviceTrainer, DeviceUser, Labels, Network, StepOutcome};
use cxr_ops::device::Device;

use cxr_augment::Gather;

use crate::fit::Material;
use crate::learner::{Learner, Split};
use crate::lesson::{Lesson, Step};
use crate::state::TrainState;
use crate::train_error::TrainError;
use crate::truths::labels_and_mask_of;

/// Device memory that is left free when pictures are kept there: for convolutions' workspaces.
pub(crate) const RESERVE: u64 = 6 << 30;

/// Puts a state on a device to learn there.
pub(crate) struct PutOnDevice<'s, 'a> {
    pub(crate) state: &'s TrainState,
    pub(crate) material: &'a Material<'a>,
    pub(crate) batch_size: usize,
}

impl<'a> DeviceUser for PutOnDevice<'_, 'a> {
    type Output = Result<Box<dyn Learner + 'a>, TrainError>;

    fn with<D: Device>(self, device: D) -> Self::Output {
        let (state, material) = (self.state, self.material);
        let mut trainer = DeviceTrainer::new(device.clone(), &state.network, self.batch_size)?;
        trainer.set_pos_weights(&material.pos_weights.to_vec1::<f32>()?)?;
        trainer.set_moments(&state.optimizer.moments())?;
        let pictures = |pixels| DevicePictures::new(pixels, material.preprocess);
        let mut train = pictures(material.loader.pixels());
        let mut valid = pictures(material.valid_pixels);
        // Train first: it is read most.
        train.keep(&device, RESERVE)?;
        valid.keep(&device, RESERVE)?;
        Ok(Box::new(DeviceLearner {
            device,
            material,
            batch_size: self.batch_size,
            trainer,
            train,
            valid,
        }))
    }
}

struct DeviceLearner<'a, D: Device> {
    device: D,
    material: &'a Material<'a>,
    batch_size: usize,
    trainer: DeviceTrainer<D>,
    train: DevicePictures<'a, D>,
    valid: DevicePictures<'a, D>,
}

impl<D: Device> Learner for DeviceLearner<'_, D> {
    fn learn(&mut self, lesson: &mut Lesson<'_>) -> Result<bool, TrainError> {
        let loader = &self.material.loader;
        let epoch = lesson.epoch;
        let order = loader.order(epoch);
        let gather_of = |place| loader.gather(epoch, place);
        let Self {
            device,
            trainer,
            train,
            ..
        } = self;
        let mut is_complete = true;
        train.feed(device, &order, &gather_of, |images, places| {
            let (targets, mask) = labels_and_mask_of(loader.cohort(), places);
            is_complete = lesson.learn(places, |state, settings| {
                let labels = Labels {
                    targets: &targets,
                    mask: &mask,
                };
                let factors = state.optimizer.factors(settings.learning_rate);
                let outcome = trainer.step(images, &labels, settings.chance, Some(&factors))?;
                let step = step_of(outcome);
                if matches!(step, Step::Taken { .. }) {
                    state.optimizer.count_step();
                }
                Ok(step)
            })?;
            Ok::<_, TrainError>(is_complete)
        })?;
        Ok(is_complete)
    }

    fn settle(&mut self, state: &mut TrainState) -> Result<(), TrainError> {
        self.trainer.write_back(&state.network)?;
        state.optimizer.set_moments(self.trainer.moments()?)
    }

    fn logits(
        &mut self,
        network: &Network,
        split: Split,
        places: &[usize],
    ) -> Result<Logits, InferError> {
        let batches: Vec<Vec<usize>> = places
            .chunks(self.batch_size)
            .map(<[usize]>::to_vec)
            .collect();
        let pictures = match split {
            Split::Train => &self.train,
            Split::Valid => &self.valid,
        };
        let as_they_are = |_| Gather::Still;
        let (trainer, mut logits) = (&mut self.trainer, Vec::new());
        pictures.feed(&self.device, &batches, &as_they_are, |images, _| {
            logits.extend(trainer.logits(images)?);
            Ok::<_, InferError>(true)
        })?;
        Ok(Logits::from_f32(&logits, network.config().n_findings)?)
    }
}

/// What the device made of a batch; it has left its weights alone where anything is not finite.
fn step_of(outcome: StepOutcome) -> Step {
    let StepOutcome {
        loss,
        gradient_norm,
        logits,
    } = outcome;
    if !logits.iter().all(|logit| logit.is_finite()) {
        Step::NotFinite("logit")
    } else if !loss.is_finite() {
        Step::NotFinite("loss")
    } else if !gradient_norm.is_finite() {
        Step::NotFinite("gradient")
    } else {
        Step::Taken { loss, logits }
    }
}
