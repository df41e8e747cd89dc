//! Batches of normalised pictures, filled ahead by a thread of their own into buffers that are used
//! again.
//!
//! For training loops. One thread plans; the pictures themselves are done as tasks of rayon's global
//! pool, the one that the network's kernels use: where the processor does both, no more threads run
//! than it has cores. Memory is that of three batches, from the first epoch on. Deliberately not
//! here: the order of radiographs, labels, tensors.

use std::ops::Deref;
use std::sync::mpsc::sync_channel;
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use crate::cache::PixelCache;
use crate::image_fault::ImageFault;
use crate::spec_fault::SpecFault;
use crate::transform::{EvalTransform, TrainTransform};

/// Why a batch cannot be filled.
#[derive(Debug, thiserror::Error)]
pub enum FeedFault {
    /// A picture that is not in memory cannot be read.
    #[error(transparent)]
    Image(#[from] ImageFault),
    /// The pictures are of another size than the transform's.
    #[error(transparent)]
    Spec(#[from] SpecFault),
}

/// Pictures into batches, under the draws of an epoch or under none.
#[derive(Clone, Copy, Debug)]
pub enum FeedTransform<'a> {
    /// Each under its own draw: a pure function of (seed, epoch, place).
    Train {
        /// The transform.
        transform: &'a TrainTransform,
        /// The run's seed.
        seed: u64,
        /// The epoch.
        epoch: u64,
    },
    /// As they are.
    Eval(&'a EvalTransform),
}

impl FeedTransform<'_> {
    fn tensor_len(&self) -> usize {
        match self {
            Self::Train { transform, .. } => transform.spec().tensor_len(),
            Self::Eval(transform) => transform.spec().tensor_len(),
        }
    }

    /// Writes the pictures at these places of the cache into `out`, `[n, 3, height, width]`, on all
    /// threads of rayon's current pool. The bytes do not depend on their number.
    ///
    /// # Errors
    /// A picture that cannot be had, the first by place; a buffer of another length.
    pub fn fill(
        &self,
        cache: &PixelCache,
        places: &[usize],
        out: &mut [f32],
    ) -> Result<(), FeedFault> {
        let tensor_len = self.tensor_len();
        let expected = places.len() * tensor_len;
        if out.len() != expected {
            return Err(FeedFault::Spec(SpecFault::BufferLength {
                what: "a batch",
                expected,
                found: out.len(),
            }));
        }
        let one = |scratch: &mut Vec<u8>, (&place, out): (&usize, &mut [f32])| {
            let picture = cache.picture(place, scratch)?;
            match *self {
                Self::Train {
                    transform,
                    seed,
                    epoch,
                } => transform.apply(picture, &transform.draw(seed, epoch, place as u64), out)?,
                Self::Eval(transform) => transform.apply(picture, out)?,
            }
            Ok(())
        };
        let outcomes: Vec<Result<(), FeedFault>> = places
            .par_iter()
            .zip(out.par_chunks_exact_mut(tensor_len))
            .map_init(Vec::new, one)
            .collect();
        // The first by place, whichever thread was first.
        outcomes.into_iter().collect()
    }
}

/// Buffers of batches that are not in use. They stay as long as it lives.
#[derive(Debug, Default)]
pub struct Buffers {
    free: Mutex<Vec<Vec<f32>>>,
}

/// A filled batch; its buffer goes back when it is dropped.
#[derive(Debug)]
pub struct Filled<'a> {
    images: Vec<f32>,
    buffers: &'a Buffers,
}

impl Buffers {
    /// A buffer of this length. What it holds is left from its last use, or 0.
    #[must_use]
    pub fn take(&self, len: usize) -> Filled<'_> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut images = free.pop().unwrap_or_default();
        drop(free);
        images.resize(len, 0.0);
        Filled {
            images,
            buffers: self,
        }
    }
}

impl Drop for Filled<'_> {
    fn drop(&mut self) {
        let images = std::mem::take(&mut self.images);
        let free = self.buffers.free.lock();
        free.unwrap_or_else(PoisonError::into_inner).push(images);
    }
}

impl Deref for Filled<'_> {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.images
    }
}

impl AsMut<[f32]> for Filled<'_> {
    fn as_mut(&mut self) -> &mut [f32] {
        &mut self.images
    }
}

/// Fills `batches` in their order, ahead of `consume`, which takes them from an iterator: one is
/// being filled and one is ready while the consumer has one. A consumer may stop early; after an
/// error there are no more. Called from inside a rayon pool, it fills each when it is asked for.
///
/// ```
/// use cxr_augment::{AffineRanges, Buffers, FeedTransform, ImageFolder, PixelCache, Pixels};
/// use cxr_augment::{Channels, Preprocess, TrainTransform, feed_ahead};
/// # let dir = std::env::temp_dir().join(format!("cxr-feed-{}", std::process::id()));
/// # std::fs::create_dir_all(&dir)?;
/// # for name in ["a.png", "b.png", "c.png"] {
/// #     let film = Pixels::new(40, 50, Channels::Gray, (0..2000u32).map(|v| (v / 8) as u8).collect())?;
/// #     std::fs::write(dir.join(name), film.to_png()?)?;
/// # }
/// let spec = Preprocess { width: 32, height: 24, ..Preprocess::default() };
/// let folder = ImageFolder::open(&dir)?;
/// let cache = PixelCache::build(&folder, &["a.png", "b.png", "c.png"], &spec, &|_| ()).unwrap();
/// let transform = TrainTransform::new(spec.clone(), AffineRanges::seed())?;
/// let epoch = FeedTransform::Train { transform: &transform, seed: 7, epoch: 1 };
/// let buffers = Buffers::default();
/// let lengths: Vec<usize> = feed_ahead(&cache, &epoch, &[vec![2, 0], vec![1]], &buffers, |batches| {
///     batches.map(|batch| batch.map(|images| images.len())).collect::<Result<_, _>>()
/// })?;
/// assert_eq!(lengths, [2 * spec.tensor_len(), spec.tensor_len()]);
/// # std::fs::remove_dir_all(&dir)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn feed_ahead<'b, R>(
    cache: &PixelCache,
    transform: &FeedTransform<'_>,
    batches: &[Vec<usize>],
    buffers: &'b Buffers,
    consume: impl FnOnce(&mut dyn Iterator<Item = Result<Filled<'b>, FeedFault>>) -> R,
) -> R {
    let mut filled = batches.iter().scan(false, |has_failed, places| {
        if *has_failed {
            return None;
        }
        let mut filled = buffers.take(places.len() * transform.tensor_len());
        let outcome = transform.fill(cache, places, filled.as_mut());
        *has_failed = outcome.is_err();
        Some(outcome.map(|()| filled))
    });
    if rayon::current_thread_index().is_some() {
        // A worker of a pool must not sleep for batches that its own pool is to fill.
        return consume(&mut filled);
    }
    let (sender, receiver) = sync_channel(1);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for outcome in filled {
                // A consumer that has stopped has dropped its end.
                if sender.send(outcome).is_err() {
                    break;
                }
            }
        });
        consume(&mut receiver.into_iter())
    })
}
