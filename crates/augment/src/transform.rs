//! Prepared pixels into tensors: with a draw for training, without one for everything else.
//!
//! For loaders. Both write into slices that the caller owns, `[3, height, width]` for one picture
//! and `[n, 3, height, width]` for a batch, whose pictures are done in parallel on rayon's current
//! pool; the bytes do not depend on the number of threads. `EvalTransform` has no way to take a
//! draw, so augmentation cannot reach validation or test.

use cxr_isa::Isa;
use cxr_stream::{Purpose, Stream};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::bilinear::{self, Sampler};
use crate::draw::{AffineDraw, AffineRanges};
use crate::norm::Norm;
use crate::pixels::Picture;
use crate::preprocess::Preprocess;
use crate::spec_fault::{SpecFault, SpecFaults};
use crate::tensor::{Moved, Sampled, Still};
use crate::warp::Warp;

/// How a moved pixel gets its value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Interpolation {
    /// Two nearest-neighbour steps, equal to torchvision's to the bit.
    #[default]
    NearestParity,
    /// One bilinear sample of the whole map: smoother, another picture.
    Bilinear,
}

/// Normalises, and moves the picture as a draw says.
///
/// ```
/// use cxr_augment::{AffineRanges, Channels, Pixels, Preprocess, TrainTransform};
/// let spec = Preprocess { width: 3, height: 2, ..Preprocess::default() };
/// let transform = TrainTransform::new(spec, AffineRanges::seed())?;
/// let picture = Pixels::new(3, 2, Channels::Gray, vec![0, 50, 100, 150, 200, 250])?;
/// let (seed, epoch, index) = (7, 0, 42);
/// let mut tensor = vec![0.0; 3 * 2 * 3];
/// transform.apply(&picture, &transform.draw(seed, epoch, index), &mut tensor)?;
/// assert_eq!(transform.draw(seed, epoch, index), transform.draw(seed, epoch, index));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct TrainTransform {
    eval: EvalTransform,
    ranges: AffineRanges,
    interpolation: Interpolation,
}

/// Normalises, nothing more.
#[derive(Clone, Debug)]
pub struct EvalTransform {
    spec: Preprocess,
    norms: [Norm; 3],
    isa: Isa,
}

impl TrainTransform {
    /// With nearest-neighbour parity.
    ///
    /// # Errors
    /// Where `spec` or `ranges` cannot be used.
    pub fn new(spec: Preprocess, ranges: AffineRanges) -> Result<Self, SpecFaults> {
        ranges.check()?;
        Ok(Self {
            eval: EvalTransform::new(spec)?,
            ranges,
            interpolation: Interpolation::NearestParity,
        })
    }

    /// The same with another interpolation.
    #[must_use]
    pub fn with_interpolation(mut self, interpolation: Interpolation) -> Self {
        self.interpolation = interpolation;
        self
    }

    /// The same with another instruction set. The speed changes, no bit does.
    #[must_use]
    pub fn with_isa(mut self, isa: Isa) -> Self {
        self.eval.isa = isa;
        self
    }

    /// What it was made from.
    #[must_use]
    pub fn spec(&self) -> &Preprocess {
        &self.eval.spec
    }

    /// How a moved pixel gets its value.
    #[must_use]
    pub fn interpolation(&self) -> Interpolation {
        self.interpolation
    }

    /// Where its draws come from.
    #[must_use]
    pub fn ranges(&self) -> &AffineRanges {
        &self.ranges
    }

    /// The draw of radiograph `index` in `epoch`: a pure function of the three.
    #[must_use]
    pub fn draw(&self, seed: u64, epoch: u64, index: u64) -> AffineDraw {
        let mut stream = Stream::new(seed, Purpose::Augment, epoch, index);
        let spec = &self.eval.spec;
        self.ranges.draw(&mut stream, spec.width, spec.height)
    }

    /// Writes the tensor `[3, height, width]` of a prepared picture under a draw.
    ///
    /// # Errors
    /// Where the picture is not of the specification's size, or `out` not of the tensor's.
    pub fn apply<'a>(
        &self,
        picture: impl Into<Picture<'a>>,
        draw: &AffineDraw,
        out: &mut [f32],
    ) -> Result<(), SpecFault> {
        let picture = picture.into();
        self.eval.check_sizes(picture, out)?;
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        match self.interpolation {
            Interpolation::NearestParity => self.eval.isa.run(Moved {
                picture,
                warp: &Warp::new(draw, width, height),
                norms: self.eval.norms,
                out,
            }),
            Interpolation::Bilinear => {
                let matrix = bilinear::matrix_of(draw, width, height);
                self.eval.isa.run(Sampled {
                    sampler: Sampler::new(picture, &matrix),
                    channels: picture.channels(),
                    norms: self.eval.norms,
                    width,
                    out,
                });
            }
        }
        Ok(())
    }

    /// Writes the batch `[n, 3, height, width]` of n pictures, each under its own draw.
    ///
    /// # Errors
    /// As `apply`.
    pub fn apply_batch(
        &self,
        items: &[(Picture<'_>, AffineDraw)],
        out: &mut [f32],
    ) -> Result<(), SpecFault> {
        self.eval.in_parallel(items, out, |(picture, draw), out| {
            self.apply(*picture, draw, out)
        })
    }
}

impl EvalTransform {
    /// From a specification.
    ///
    /// # Errors
    /// Where `spec` cannot be used.
    pub fn new(spec: Preprocess) -> Result<Self, SpecFaults> {
        spec.check()?;
        Ok(Self {
            norms: [0, 1, 2].map(|channel| Norm::new(spec.mean[channel], spec.std[channel])),
            isa: Isa::best(),
            spec,
        })
    }

    /// The same with another instruction set. The speed changes, no bit does.
    #[must_use]
    pub fn with_isa(mut self, isa: Isa) -> Self {
        self.isa = isa;
        self
    }

    /// What it was made from.
    #[must_use]
    pub fn spec(&self) -> &Preprocess {
        &self.spec
    }

    /// Writes the tensor `[3, height, width]` of a prepared picture.
    ///
    /// # Errors
    /// Where the picture is not of the specification's size, or `out` not of the tensor's.
    pub fn apply<'a>(
        &self,
        picture: impl Into<Picture<'a>>,
        out: &mut [f32],
    ) -> Result<(), SpecFault> {
        let picture = picture.into();
        self.check_sizes(picture, out)?;
        self.isa.run(Still {
            picture,
            norms: self.norms,
            out,
        });
        Ok(())
    }

    /// Writes the batch `[n, 3, height, width]` of n pictures.
    ///
    /// # Errors
    /// As `apply`.
    pub fn apply_batch(&self, items: &[Picture<'_>], out: &mut [f32]) -> Result<(), SpecFault> {
        self.in_parallel(items, out, |picture, out| self.apply(*picture, out))
    }

    fn check_sizes(&self, picture: Picture<'_>, out: &[f32]) -> Result<(), SpecFault> {
        let (width, height) = (self.spec.width, self.spec.height);
        if (picture.width(), picture.height()) != (width, height) {
            return Err(SpecFault::PictureSize {
                width,
                height,
                found_width: picture.width(),
                found_height: picture.height(),
            });
        }
        check_length("a tensor", self.spec.tensor_len(), out.len())
    }

    /// One item and one tensor at a time, on all threads of the current pool.
    fn in_parallel<T: Sync>(
        &self,
        items: &[T],
        out: &mut [f32],
        one: impl Fn(&T, &mut [f32]) -> Result<(), SpecFault> + Sync,
    ) -> Result<(), SpecFault> {
        let tensor_len = self.spec.tensor_len();
        check_length("a batch", items.len() * tensor_len, out.len())?;
        items
            .par_iter()
            .zip(out.par_chunks_exact_mut(tensor_len))
            .try_for_each(|(item, out)| one(item, out))
    }
}

fn check_length(what: &'static str, expected: usize, found: usize) -> Result<(), SpecFault> {
    if expected == found {
        Ok(())
    } else {
        Err(SpecFault::BufferLength {
            what,
            expected,
            found,
        })
    }
}
