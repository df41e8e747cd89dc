//! A network over decoded images: evaluation mode, no augmentation, logits out.

use candle_core::{Device, Tensor};
use cxr_augment::{EvalTransform, Picture, PixelCache, Pixels, Preprocess};
use cxr_metrics::Logits;
use cxr_models::{Folded, FoldedMemory, Network};
use cxr_ops::nhwc::Isa;

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
    /// The network refuses the image size, or gives a number that is not finite.
    pub fn logits(&self, cache: &PixelCache) -> Result<Logits, InferError> {
        let images: Vec<&Pixels> = (0..cache.len()).map(|place| cache.get(place)).collect();
        self.logits_of(&images)
    }

    /// The logits of some decoded and resized images, in their order: `[N, K]`, row-major.
    ///
    /// # Errors
    /// As [`Predictor::logits`].
    pub fn logits_of(&self, images: &[&Pixels]) -> Result<Logits, InferError> {
        let spec = self.transform.spec();
        let mut logits = Vec::with_capacity(images.len() * self.n_findings);
        let mut memory = FoldedMemory::default();
        for images in images.chunks(BATCH_SIZE) {
            let mut normalised = vec![0.0_f32; images.len() * spec.tensor_len()];
            let images: Vec<_> = images.iter().map(|&image| Picture::from(image)).collect();
            self.transform.apply_batch(&images, &mut normalised)?;
            let shape = (images.len(), 3, spec.height as usize, spec.width as usize);
            let batch = Tensor::from_vec(normalised, shape, &Device::Cpu)?; // [B, 3, H, W]
            let output = self.network.logits(&batch, &mut memory)?; // [B, K]
            logits.extend(output.into_iter().map(f64::from));
        }
        Ok(Logits::new(logits, self.n_findings)?)
    }
}
