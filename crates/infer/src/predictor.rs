//! A network over decoded images: evaluation mode, no augmentation, logits out.

use std::sync::{Mutex, PoisonError};

use cxr_augment::{Buffers, EvalTransform, FeedTransform, Picture, PixelCache, Preprocess};
use cxr_metrics::Logits;
use cxr_models::{Compute, Folded, FoldedMemory, Network};
use cxr_ops::nhwc::{Isa, MapSize, Planes};

use crate::infer_error::InferError;
use crate::on_device::{DevicePass, PutOnDevice};

/// Radiographs that run through the network together. Speed only: no figure depends on it.
pub(crate) const BATCH_SIZE: usize = 64;

/// A network with the one transform that its images need.
#[derive(Debug)]
pub struct Predictor {
    network: Engine,
    n_findings: usize,
    transform: EvalTransform,
}

#[derive(Debug)]
enum Engine {
    Cpu(Box<Folded>),
    // One pass at a time: a device has one stream of work.
    Device(Mutex<Box<dyn DevicePass>>),
}

impl Predictor {
    /// A predictor on this machine's processor, for images prepared as `preprocess` says. It copies
    /// the weights, batch norms folded into convolutions: training the network on does not change
    /// it.
    ///
    /// # Errors
    /// The specification contradicts itself.
    pub fn new(network: &Network, preprocess: &Preprocess) -> Result<Self, InferError> {
        Self::on(&Compute::default(), network, preprocess)
    }

    /// The same, wherever `compute` says.
    ///
    /// # Errors
    /// As [`Predictor::new`]; no such device, or too little memory on it.
    pub fn on(
        compute: &Compute,
        network: &Network,
        preprocess: &Preprocess,
    ) -> Result<Self, InferError> {
        let engine = match compute.with_device(PutOnDevice(network))? {
            Some(pass) => Engine::Device(Mutex::new(pass?)),
            None => Engine::Cpu(Box::new(Folded::new(network, Isa::best())?)),
        };
        Ok(Self {
            network: engine,
            n_findings: network.config().n_findings,
            transform: EvalTransform::new(preprocess.clone())?,
        })
    }

    /// The logits of every image of a cache, in its order: `[N, K]`, row-major.
    ///
    /// # Errors
    /// The network refuses the image size, or gives a number that is not finite; a picture that the
    /// cache cannot give.
    pub fn logits(&self, cache: &PixelCache) -> Result<Logits, InferError> {
        let places: Vec<usize> = (0..cache.len()).collect();
        self.logits_at(cache, &places)
    }

    /// The logits of the images at some places of a cache, in their order: `[N, K]`, row-major.
    ///
    /// # Errors
    /// As [`Predictor::logits`].
    pub fn logits_at(&self, cache: &PixelCache, places: &[usize]) -> Result<Logits, InferError> {
        match &self.network {
            Engine::Cpu(network) => self.run(network, places, |places, out| {
                let transform = FeedTransform::Eval(&self.transform);
                Ok(transform.fill(cache, places, out)?)
            }),
            Engine::Device(pass) => {
                self.checked(&locked(pass).logits_at(&self.transform, cache, places)?)
            }
        }
    }

    /// The logits of some decoded and resized images, in their order: `[N, K]`, row-major.
    ///
    /// # Errors
    /// As [`Predictor::logits`].
    pub fn logits_of(&self, images: &[Picture<'_>]) -> Result<Logits, InferError> {
        match &self.network {
            Engine::Cpu(network) => self.run(network, images, |images, out| {
                Ok(self.transform.apply_batch(images, out)?)
            }),
            Engine::Device(pass) => self.checked(&locked(pass).logits_of(&self.transform, images)?),
        }
    }

    fn run<T>(
        &self,
        network: &Folded,
        images: &[T],
        fill: impl Fn(&[T], &mut [f32]) -> Result<(), InferError>,
    ) -> Result<Logits, InferError> {
        let spec = self.transform.spec();
        let size = MapSize {
            height: spec.height as usize,
            width: spec.width as usize,
            channels: 3,
        };
        let mut logits = Vec::with_capacity(images.len() * self.n_findings);
        let mut memory = FoldedMemory::default();
        let buffers = Buffers::default();
        for images in images.chunks(BATCH_SIZE) {
            let mut batch = buffers.take(images.len() * spec.tensor_len()); // [B, 3, H, W]
            fill(images, batch.as_mut())?;
            let planes = Planes { size, data: &batch };
            logits.extend(network.logits_of_planes(&planes, &mut memory)?); // [B, K]
        }
        self.checked(&logits)
    }

    /// As logits, which are finite.
    fn checked(&self, logits: &[f32]) -> Result<Logits, InferError> {
        Ok(Logits::from_f32(logits, self.n_findings)?)
    }
}

fn locked(pass: &Mutex<Box<dyn DevicePass>>) -> std::sync::MutexGuard<'_, Box<dyn DevicePass>> {
    // A pass that panicked overwrites every buffer when it is begun again.
    pass.lock().unwrap_or_else(PoisonError::into_inner)
}
