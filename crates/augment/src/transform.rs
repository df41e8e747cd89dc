//! Prepared pixels into tensors: with a draw for training, without one for everything else.
//!
//! For loaders. Both write into slices that the caller owns, `[3, height, width]` for one picture
//! and `[n, 3, height, width]` for a batch, whose pictures are done in parallel on rayon's current
//! pool; the bytes do not depend on the number of threads. `EvalTransform` has no way to take a
//! draw, so augmentation cannot reach validation or test.

use cxr_stream::{Purpose, Stream};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::bilinear;
use crate::draw::{AffineDraw, AffineRanges};
use crate::pixels::Pixels;
use crate::preprocess::Preprocess;
use crate::spec_fault::{SpecFault, SpecFaults};
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
    normalized: [[f32; 256]; 3],
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

    /// What it was made from.
    #[must_use]
    pub fn spec(&self) -> &Preprocess {
        &self.eval.spec
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
    pub fn apply(
        &self,
        pixels: &Pixels,
        draw: &AffineDraw,
        out: &mut [f32],
    ) -> Result<(), SpecFault> {
        self.eval.check_sizes(pixels, out)?;
        let (width, height) = (pixels.width() as usize, pixels.height() as usize);
        match self.interpolation {
            Interpolation::NearestParity => {
                self.eval
                    .gather(pixels, &Warp::new(draw, width, height), out);
            }
            Interpolation::Bilinear => {
                let matrix = bilinear::matrix_of(draw, width, height);
                self.eval.sample(pixels, &matrix, out);
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
        items: &[(&Pixels, AffineDraw)],
        out: &mut [f32],
    ) -> Result<(), SpecFault> {
        self.eval.in_parallel(items, out, |(pixels, draw), out| {
            self.apply(pixels, draw, out)
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
        let normalized = spec.normalized_bytes();
        Ok(Self { spec, normalized })
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
    pub fn apply(&self, pixels: &Pixels, out: &mut [f32]) -> Result<(), SpecFault> {
        self.check_sizes(pixels, out)?;
        let n = pixels.channels().count();
        for (channel, plane) in out.chunks_exact_mut(self.plane_len()).enumerate() {
            let table = &self.normalized[channel];
            let values = pixels.data().iter().skip(channel % n).step_by(n);
            for (out, &value) in plane.iter_mut().zip(values) {
                *out = table[usize::from(value)];
            }
        }
        Ok(())
    }

    /// Writes the batch `[n, 3, height, width]` of n pictures.
    ///
    /// # Errors
    /// As `apply`.
    pub fn apply_batch(&self, items: &[&Pixels], out: &mut [f32]) -> Result<(), SpecFault> {
        self.in_parallel(items, out, |pixels, out| self.apply(pixels, out))
    }

    fn plane_len(&self) -> usize {
        self.spec.tensor_len() / 3
    }

    fn check_sizes(&self, pixels: &Pixels, out: &[f32]) -> Result<(), SpecFault> {
        let (width, height) = (self.spec.width, self.spec.height);
        if (pixels.width(), pixels.height()) != (width, height) {
            return Err(SpecFault::PictureSize {
                width,
                height,
                found_width: pixels.width(),
                found_height: pixels.height(),
            });
        }
        check_length("a tensor", self.spec.tensor_len(), out.len())
    }

    fn gather(&self, pixels: &Pixels, warp: &Warp, out: &mut [f32]) {
        let [first, second, third] = planes(out, self.plane_len());
        let [red, green, blue] = &self.normalized;
        let data = pixels.data();
        let n = pixels.channels().count();
        // Grey reads the same byte three times.
        let (green_offset, blue_offset) = if n == 1 { (0, 0) } else { (1, 2) };
        warp.for_each_pixel(|place, source| {
            let [r, g, b] = source.map_or([0; 3], |source| {
                let at = source * n;
                [data[at], data[at + green_offset], data[at + blue_offset]]
            });
            first[place] = red[usize::from(r)];
            second[place] = green[usize::from(g)];
            third[place] = blue[usize::from(b)];
        });
    }

    fn sample(&self, pixels: &Pixels, matrix: &crate::matrix::Matrix, out: &mut [f32]) {
        let mut planes = planes(out, self.plane_len());
        let last_channel = pixels.channels().count() - 1;
        bilinear::for_each_sample(pixels, matrix, |place, values| {
            for (channel, plane) in planes.iter_mut().enumerate() {
                let value = values[channel.min(last_channel)];
                plane[place] = (value / 255.0 - self.spec.mean[channel]) / self.spec.std[channel];
            }
        });
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

fn planes(tensor: &mut [f32], plane_len: usize) -> [&mut [f32]; 3] {
    let (first, rest) = tensor.split_at_mut(plane_len);
    let (second, third) = rest.split_at_mut(plane_len);
    [first, second, third]
}
