//! The loops behind the transforms: a picture into the three planes of a tensor, as it is, moved
//! pixel by pixel, or sampled.
//!
//! Each is compiled for every instruction set and gives the same bits in all of them. Sizes were
//! checked by the transforms.

use pulp::{Simd, WithSimd};

use crate::bilinear::Sampler;
use crate::norm::{Norm, normalise_gray};
use crate::pixels::{Channels, Picture};
use crate::warp::{Warp, gather, shown};

/// A picture as it is, normalised.
pub(crate) struct Still<'a> {
    pub(crate) picture: Picture<'a>,
    pub(crate) norms: [Norm; 3],
    pub(crate) out: &'a mut [f32],
}

impl WithSimd for Still<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let data = self.picture.data();
        let mut planes = planes(self.out);
        match self.picture.channels() {
            Channels::Gray => normalise_gray::<S>(data, self.norms, planes),
            Channels::Rgb => {
                for (channel, plane) in planes.iter_mut().enumerate() {
                    let norm = self.norms[channel];
                    for (out, pixel) in plane.iter_mut().zip(data.chunks_exact(3)) {
                        *out = norm.of_byte(pixel[channel]);
                    }
                }
            }
        }
    }
}

/// A picture under a draw, normalised.
pub(crate) struct Moved<'a> {
    pub(crate) picture: Picture<'a>,
    pub(crate) warp: &'a Warp,
    pub(crate) norms: [Norm; 3],
    pub(crate) out: &'a mut [f32],
}

impl WithSimd for Moved<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let data = self.picture.data();
        let width = self.picture.width() as usize;
        let mut sources = vec![0; width];
        let mut bytes = vec![0; width];
        let [red, green, blue] = planes(self.out);
        let rows = (red.chunks_exact_mut(width))
            .zip(green.chunks_exact_mut(width))
            .zip(blue.chunks_exact_mut(width));
        for (y, ((red, green), blue)) in rows.enumerate() {
            self.warp.sources_of_row(y, &mut sources);
            match self.picture.channels() {
                Channels::Gray => {
                    gather(data, &sources, &mut bytes);
                    normalise_gray::<S>(&bytes, self.norms, [red, green, blue]);
                }
                Channels::Rgb => {
                    for (channel, out) in [red, green, blue].into_iter().enumerate() {
                        let norm = self.norms[channel];
                        for (out, &source) in out.iter_mut().zip(&sources) {
                            *out = norm.of_byte(shown(data, source as usize * 3 + channel));
                        }
                    }
                }
            }
        }
    }
}

/// A picture sampled under one matrix, normalised.
pub(crate) struct Sampled<'a> {
    pub(crate) sampler: Sampler,
    pub(crate) channels: Channels,
    pub(crate) norms: [Norm; 3],
    pub(crate) width: usize,
    pub(crate) out: &'a mut [f32],
}

impl WithSimd for Sampled<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, _simd: S) {
        let mut values = vec![0.0; self.width];
        let mut planes = planes(self.out);
        let n_rows = planes[0].len() / self.width;
        for y in 0..n_rows {
            self.sampler.begin_row(y);
            for (channel, plane) in planes.iter_mut().enumerate() {
                if channel == 0 || self.channels == Channels::Rgb {
                    self.sampler.sample(channel, &mut values);
                }
                let norm = self.norms[channel];
                let row = &mut plane[y * self.width..(y + 1) * self.width];
                for (out, &value) in row.iter_mut().zip(&values) {
                    *out = norm.of_level(value);
                }
            }
        }
    }
}

/// The three planes of a tensor `[3, height, width]`.
#[inline(always)]
fn planes(tensor: &mut [f32]) -> [&mut [f32]; 3] {
    let plane_len = tensor.len() / 3;
    let (first, rest) = tensor.split_at_mut(plane_len);
    let (second, third) = rest.split_at_mut(plane_len);
    [first, second, third]
}
