//! Radiographs into batches of tensors, in an order that only (seed, epoch) decides.

use candle_core::{Device, Tensor};
use cxr_augment::{AffineDraw, Picture, PixelCache, TrainTransform};
use cxr_data::Cohort;
use cxr_stream::{Purpose, Stream};

use crate::train_error::TrainError;
use crate::truths::targets_of;

/// Some radiographs as the network and the loss see them.
#[derive(Debug)]
pub struct Batch {
    /// Normalised pixels, `[B, 3, H, W]`, f32.
    pub images: Tensor,
    /// Labels, `[B, K]`, f32: 0 or 1; 0 where unknown.
    pub targets: Tensor,
    /// 1 where a label is known, 0 where it is not, `[B, K]`, f32.
    pub mask: Tensor,
    /// Which radiographs of the cohort these are.
    pub places: Vec<usize>,
}

/// A training cohort with its pixels, batch by batch.
#[derive(Clone, Copy, Debug)]
pub struct Loader<'a> {
    cohort: &'a Cohort,
    pixels: &'a PixelCache,
    transform: &'a TrainTransform,
    batch_size: usize,
    seed: u64,
}

impl<'a> Loader<'a> {
    /// Batches of `batch_size` radiographs, the last one shorter. The cohort and the pixels are in
    /// the same order.
    #[must_use]
    pub fn new(
        cohort: &'a Cohort,
        pixels: &'a PixelCache,
        transform: &'a TrainTransform,
        batch_size: usize,
        seed: u64,
    ) -> Self {
        Self {
            cohort,
            pixels,
            transform,
            batch_size: batch_size.max(1),
            seed,
        }
    }

    /// The radiographs, in the order that places count.
    #[must_use]
    pub fn cohort(&self) -> &'a Cohort {
        self.cohort
    }

    /// Their pixels.
    #[must_use]
    pub fn pixels(&self) -> &'a PixelCache {
        self.pixels
    }

    /// The names of some radiographs' images.
    #[must_use]
    pub fn image_names(&self, places: &[usize]) -> Vec<String> {
        places
            .iter()
            .map(|&place| self.cohort.radiographs()[place].image.to_string())
            .collect()
    }

    /// How many batches an epoch has.
    #[must_use]
    pub fn n_batches(&self) -> usize {
        self.cohort.len().div_ceil(self.batch_size)
    }

    /// The radiographs of an epoch, shuffled and cut into batches: a pure function of (seed, epoch).
    #[must_use]
    pub fn order(&self, epoch: u64) -> Vec<Vec<usize>> {
        let order =
            Stream::new(self.seed, Purpose::Shuffle, epoch, 0).permutation(self.cohort.len());
        order
            .chunks(self.batch_size)
            .map(<[usize]>::to_vec)
            .collect()
    }

    /// The batches of an epoch. Each radiograph's draw depends on (seed, epoch, its place in the
    /// cohort) alone.
    pub fn epoch(&self, epoch: u64) -> impl Iterator<Item = Result<Batch, TrainError>> + use<'a> {
        let loader = *self;
        self.order(epoch)
            .into_iter()
            .map(move |places| loader.batch(epoch, places))
    }

    fn batch(&self, epoch: u64, places: Vec<usize>) -> Result<Batch, TrainError> {
        let draw = |&place: &usize| {
            (
                self.pixels.get(place).into(),
                self.transform.draw(self.seed, epoch, place as u64),
            )
        };
        let items: Vec<(Picture<'_>, AffineDraw)> = places.iter().map(draw).collect();
        let spec = self.transform.spec();
        let mut images = vec![0.0_f32; items.len() * spec.tensor_len()];
        self.transform.apply_batch(&items, &mut images)?;
        let shape = (places.len(), 3, spec.height as usize, spec.width as usize);
        let images = Tensor::from_vec(images, shape, &Device::Cpu)?; // [B, 3, H, W]
        let (targets, mask) = targets_of(self.cohort, &places)?; // [B, K] each
        Ok(Batch {
            images,
            targets,
            mask,
            places,
        })
    }
}
