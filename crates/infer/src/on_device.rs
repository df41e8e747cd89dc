//! A network on a device over decoded images, whichever device it is.

use cxr_augment::{EvalTransform, Gather, Picture, PixelCache};
use cxr_models::{DeviceImages, DevicePredictor, DeviceUser, Network};
use cxr_ops::device::Device;

use crate::infer_error::InferError;
use crate::picture_feed::DevicePictures;
use crate::predictor::BATCH_SIZE;

/// Evaluation passes of one network on one device.
pub(crate) trait DevicePass: std::fmt::Debug + Send {
    /// The logits of the images at some places of a cache: `[N, K]`, row-major.
    fn logits_at(
        &mut self,
        transform: &EvalTransform,
        cache: &PixelCache,
        places: &[usize],
    ) -> Result<Vec<f32>, InferError>;

    /// The logits of decoded images.
    fn logits_of(
        &mut self,
        transform: &EvalTransform,
        images: &[Picture<'_>],
    ) -> Result<Vec<f32>, InferError>;
}

/// Puts a network on a device.
pub(crate) struct PutOnDevice<'a>(pub(crate) &'a Network);

impl DeviceUser for PutOnDevice<'_> {
    type Output = Result<Box<dyn DevicePass>, InferError>;

    fn with<D: Device>(self, device: D) -> Self::Output {
        let network = DevicePredictor::new(device.clone(), self.0, BATCH_SIZE)?;
        Ok(Box::new(OnDevice { device, network }))
    }
}

#[derive(Debug)]
struct OnDevice<D: Device> {
    device: D,
    network: DevicePredictor<D>,
}

impl<D: Device> DevicePass for OnDevice<D> {
    fn logits_at(
        &mut self,
        transform: &EvalTransform,
        cache: &PixelCache,
        places: &[usize],
    ) -> Result<Vec<f32>, InferError> {
        let batches: Vec<Vec<usize>> = places.chunks(BATCH_SIZE).map(<[usize]>::to_vec).collect();
        let pictures = DevicePictures::new(cache, transform.spec());
        let mut logits = Vec::new();
        let Self { device, network } = self;
        let as_they_are = |_| Gather::Still;
        pictures.feed(device, &batches, &as_they_are, |images, _| {
            logits.extend(network.logits(images)?);
            Ok::<_, InferError>(true)
        })?;
        Ok(logits)
    }

    fn logits_of(
        &mut self,
        transform: &EvalTransform,
        images: &[Picture<'_>],
    ) -> Result<Vec<f32>, InferError> {
        let mut logits = Vec::new();
        for images in images.chunks(BATCH_SIZE) {
            let mut batch = vec![0.0; images.len() * transform.spec().tensor_len()]; // [B, 3, H, W]
            transform.apply_batch(images, &mut batch)?;
            let images = DeviceImages::Planes {
                images: images.len(),
                data: &batch,
            };
            logits.extend(self.network.logits(images)?);
        }
        Ok(logits)
    }
}
