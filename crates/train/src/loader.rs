//! Radiographs into batches of tensors, in an order that only (seed, epoch) decides.

use candle_core::Tensor;
use cxr_augment::{
    Buffers, FeedFault, FeedTransform, Filled, Gather, PixelCache, TrainTransform, feed_ahead,
};
use cxr_data::Cohort;
use cxr_stream::{Purpose, Stream};

use crate::images::Images;
use crate::train_error::TrainError;
use crate::truths::targets_of;

/// Some radiographs as the network and the loss see them.
#[derive(Debug)]
pub struct Batch<'b> {
    /// Normalised pixels, `[B, 3, H, W]`, f32.
    pub images: Images<'b>,
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
    buffers: &'a Buffers,
    batch_size: usize,
    seed: u64,
}

impl<'a> Loader<'a> {
    /// Batches of `batch_size` radiographs, the last one shorter, in memory of `buffers`. The cohort
    /// and the pixels are in the same order.
    #[must_use]
    pub fn new(
        cohort: &'a Cohort,
        pixels: &'a PixelCache,
        transform: &'a TrainTransform,
        buffers: &'a Buffers,
        (batch_size, seed): (usize, u64),
    ) -> Self {
        Self {
            cohort,
            pixels,
            transform,
            buffers,
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

    /// What the picture at a place of the cohort is gathered by in an epoch.
    #[must_use]
    pub fn gather(&self, epoch: u64, place: usize) -> Gather {
        let draw = self.transform.draw(self.seed, epoch, place as u64);
        self.transform.gather(&draw)
    }

    /// The batches of an epoch, each filled when it is asked for. Each radiograph's draw depends on
    /// (seed, epoch, its place in the cohort) alone.
    pub fn epoch(&self, epoch: u64) -> impl Iterator<Item = Result<Batch<'a>, TrainError>> {
        let loader = *self;
        let len = self.transform.spec().tensor_len();
        self.order(epoch).into_iter().map(move |places| {
            let mut images = loader.buffers.take(places.len() * len);
            let transform = loader.transform_of(epoch);
            transform.fill(loader.pixels, &places, images.as_mut())?;
            loader.batch(images, places)
        })
    }

    /// The same batches, filled ahead of `consume` by a thread of their own.
    pub fn epoch_ahead<R>(
        &self,
        epoch: u64,
        consume: impl FnOnce(&mut dyn Iterator<Item = Result<Batch<'a>, TrainError>>) -> R,
    ) -> R {
        let order = self.order(epoch);
        let transform = self.transform_of(epoch);
        feed_ahead(self.pixels, &transform, &order, self.buffers, |filled| {
            let mut batches = filled
                .zip(&order)
                .map(|(images, places)| self.batch(images?, places.clone()));
            consume(&mut batches)
        })
    }

    fn transform_of(&self, epoch: u64) -> FeedTransform<'a> {
        FeedTransform::Train {
            transform: self.transform,
            seed: self.seed,
            epoch,
        }
    }

    fn batch(&self, images: Filled<'a>, places: Vec<usize>) -> Result<Batch<'a>, TrainError> {
        let spec = self.transform.spec();
        let (targets, mask) = targets_of(self.cohort, &places)?; // [B, K] each
        Ok(Batch {
            images: Images::lent(images, spec.height as usize, spec.width as usize),
            targets,
            mask,
            places,
        })
    }
}

impl From<FeedFault> for TrainError {
    fn from(fault: FeedFault) -> Self {
        match fault {
            FeedFault::Image(fault) => Self::Images(vec![fault]),
            FeedFault::Spec(fault) => fault.into(),
        }
    }
}
