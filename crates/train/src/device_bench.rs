//! One training step on a device, again and again: what `bench step --device` measures.

use candle_core::Tensor;
use cxr_augment::Gather;
use cxr_infer::{DevicePictures, MadeUpPictures};
use cxr_models::{Compute, DeviceImages, DeviceTrainer, DeviceUser, Labels, Network};
use cxr_ops::device::Device;
use cxr_stream::{Purpose, Stream};

use crate::bench::{BenchPictures, LEARNING_RATE, POS_WEIGHT, StepBench, StepTimes};
use crate::device_learner::RESERVE;
use crate::optimizer::{Adam, OptimizerKind};
use crate::train_error::TrainError;

/// The steps, and what the device's memory held after them.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceSteps {
    /// The steps that count.
    pub times: Vec<StepTimes>,
    /// Bytes in use, of all programs; `None` where the device has no memory of its own.
    pub device_bytes: Option<u64>,
    /// What the device has chosen for itself, in lines for people.
    pub choices: Vec<String>,
}

impl StepBench {
    /// Runs the steps on a device: on one made-up batch of grey pictures that stays there, or on
    /// pictures of a cache under their draws, which stay there too where they fit. `None` on the
    /// processor.
    ///
    /// # Errors
    /// No such device; a network that does not exist, or fails; a picture that cannot be had.
    pub fn run_on_device(
        &self,
        compute: &Compute,
        pictures: Option<&BenchPictures<'_>>,
        clock: &dyn Fn() -> f64,
    ) -> Result<Option<DeviceSteps>, TrainError> {
        let bench = OnDevice {
            bench: self,
            pictures,
            clock,
        };
        compute.with_device(bench)?.transpose()
    }
}

struct OnDevice<'a> {
    bench: &'a StepBench,
    pictures: Option<&'a BenchPictures<'a>>,
    clock: &'a dyn Fn() -> f64,
}

impl DeviceUser for OnDevice<'_> {
    type Output = Result<DeviceSteps, TrainError>;

    fn with<D: Device>(self, device: D) -> Self::Output {
        let bench = self.bench;
        let network = Network::new(&bench.model, 0)?;
        let mut trainer = DeviceTrainer::new(device.clone(), &network, bench.batch)?;
        trainer.set_pos_weights(&vec![POS_WEIGHT; bench.model.n_findings])?;
        let batch = bench.batch()?;
        let numbers = |tensor: &Tensor| -> Result<Vec<f32>, TrainError> {
            Ok(tensor.flatten_all()?.to_vec1()?)
        };
        let steps = Steps {
            trainer,
            optimizer: Adam::new(OptimizerKind::Adam, 0.0, network.parameters()),
            targets: numbers(&batch.targets)?,
            mask: numbers(&batch.mask)?,
            clock: self.clock,
            asked: (self.clock)(),
            times: Vec::new(),
        };
        let mut times = match self.pictures {
            Some(pictures) => steps.run_fed(&device, bench, pictures)?,
            None => steps.run_again(&device, bench)?,
        };
        let in_use = device.memory()?.map(|(free, total)| total - free);
        Ok(DeviceSteps {
            times: times.split_off(bench.warmup),
            device_bytes: in_use,
            choices: device.choices(),
        })
    }
}

struct Steps<'a, D: Device> {
    trainer: DeviceTrainer<D>,
    optimizer: Adam,
    /// Labels and which of them are known, the same in every step.
    targets: Vec<f32>,
    mask: Vec<f32>,
    clock: &'a dyn Fn() -> f64,
    /// When the batch was asked for.
    asked: f64,
    times: Vec<StepTimes>,
}

impl<D: Device> Steps<'_, D> {
    fn run_again(mut self, device: &D, bench: &StepBench) -> Result<Vec<StepTimes>, TrainError> {
        let mut stream = Stream::new(0, Purpose::Test, 0, 1);
        let byte = |_| (stream.uniform_f32() * 256.0) as u8;
        let pictures = MadeUpPictures::new(device, &bench.model, bench.batch, byte)?;
        for _ in 0..bench.n_steps() {
            self.asked = (self.clock)();
            self.take(pictures.images())?;
        }
        Ok(self.times)
    }

    fn run_fed(
        mut self,
        device: &D,
        bench: &StepBench,
        pictures: &BenchPictures<'_>,
    ) -> Result<Vec<StepTimes>, TrainError> {
        let BenchPictures { cache, transform } = pictures;
        let mut kept = DevicePictures::new(cache, transform.spec());
        kept.keep(device, RESERVE)?;
        let gather_of =
            |place: usize| -> Gather { transform.gather(&transform.draw(0, 1, place as u64)) };
        self.asked = (self.clock)();
        kept.feed(
            device,
            &bench.batches_of(cache.len()),
            &gather_of,
            |images, _| {
                self.take(images)?;
                self.asked = (self.clock)();
                Ok::<_, TrainError>(true)
            },
        )?;
        Ok(self.times)
    }

    fn take(&mut self, images: DeviceImages<'_, D>) -> Result<(), TrainError> {
        let began = (self.clock)();
        let step = self.times.len() as u64;
        let factors = self.optimizer.factors(LEARNING_RATE);
        let labels = Labels {
            targets: &self.targets,
            mask: &self.mask,
        };
        let outcome = self
            .trainer
            .step(images, &labels, (0, step), Some(&factors))?;
        self.optimizer.count_step();
        let ended = (self.clock)();
        self.times.push(StepTimes {
            waiting: began - self.asked,
            total: ended - began,
            phases: None,
            loss: outcome.loss,
        });
        Ok(())
    }
}
