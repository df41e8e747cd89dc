//! A network over decoded images: evaluation mode, no augmentation, logits out.

use cxr_augment::{Buffers, EvalTransform, FeedTransform, Picture, PixelCache, Preprocess};
use cxr_metrics::Logits;
use cxr_models::{Folded, FoldedMemory, Network};
use cxr_ops::nhwc::{Isa, MapSize, Planes};

use crate::infer_error::InferError;

/// Radiographs that run through the network together. Speed only: no figure depends on it.
const BATCH_SIZE: usize = 64;

/// A network with the one transform that its images need.
#[derive(Debug)]
pub struct Predictor {
    network: Folded,
    n_findings: usize,
    transform: EvalTransform,
}

impl Predictor {
    /// A predictor for images prepared as `preprocess` says. It copies the weights, batch norms
    /// folded into convolutions: training the network on does not change it.
    ///
    /// # Errors
    /// The specification contradicts itself.
    pub fn new(network: &Network, preprocess: &Preprocess) -> Result<Self, InferError> {
        Ok(Self {
            network: Folded::new(network, Isa::best())?,
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
        self.run(places, |places, out| {
            let transform = FeedTransform::Eval(&self.transform);
            Ok(transform.fill(cache, places, out)?)
        })
    }

    /// The logits of some decoded and resized images, in their order: `[N, K]`, row-major.
    ///
    /// # Errors
    /// As [`Predictor::logits`].
    pub fn logits_of(&self, images: &[Picture<'_>]) -> Result<Logits, InferError> {
        self.run(images, |images, out| {
            Ok(self.transform.apply_batch(images, out)?)
        })
    }

    fn run<T>(
        &self,
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
            let output = self.network.logits_of_planes(&planes, &mut memory)?; // [B, K]
            logits.extend(output.into_iter().map(f64::from));
        }
        Ok(Logits::new(logits, self.n_findings)?)
    }
}
