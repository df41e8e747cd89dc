//! A network over decoded images: evaluation mode, no augmentation, logits out.

use candle_core::{Device, Tensor};
use cxr_augment::{EvalTransform, PixelCache, Pixels, Preprocess};
use cxr_metrics::Logits;
use cxr_models::{Mode, Network};

use crate::infer_error::InferError;

/// Radiographs that run through the network together. Speed only: no figure depends on it.
const BATCH_SIZE: usize = 64;

/// A network with the one transform that its images need.
#[derive(Debug)]
pub struct Predictor<'a> {
    network: &'a Network,
    transform: EvalTransform,
}

impl<'a> Predictor<'a> {
    /// A predictor for images prepared as `preprocess` says.
    ///
    /// # Errors
    /// The specification contradicts itself.
    pub fn new(network: &'a Network, preprocess: &Preprocess) -> Result<Self, InferError> {
        Ok(Self {
            network,
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
        let n_findings = self.network.config().n_findings;
        let mut logits = Vec::with_capacity(images.len() * n_findings);
        for images in images.chunks(BATCH_SIZE) {
            let mut normalised = vec![0.0_f32; images.len() * spec.tensor_len()];
            self.transform.apply_batch(images, &mut normalised)?;
            let shape = (images.len(), 3, spec.height as usize, spec.width as usize);
            let batch = Tensor::from_vec(normalised, shape, &Device::Cpu)?; // [B, 3, H, W]
            let output = self.network.forward(&batch, Mode::Eval)?; // [B, K]
            logits.extend(
                output
                    .flatten_all()?
                    .to_vec1::<f32>()?
                    .into_iter()
                    .map(f64::from),
            );
        }
        Ok(Logits::new(logits, n_findings)?)
    }
}
