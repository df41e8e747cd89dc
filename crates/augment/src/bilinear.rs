//! The smoother picture: flip, rotation and affine map as one matrix, one bilinear sample.
//!
//! An option for training. It is another picture than torchvision's two nearest-neighbour steps
//! and is never called parity. Outside is 0, and the edge fades into it.

use crate::draw::AffineDraw;
use crate::matrix::{self, Matrix, composed};
use crate::pixels::Picture;
use crate::warp::{OUTSIDE, shown};

/// The matrix from output places to input places, pixel centres at one half.
pub(crate) fn matrix_of(draw: &AffineDraw, width: usize, height: usize) -> Matrix {
    let shift = (draw.tx, draw.ty);
    let affine = matrix::affine(shift, draw.scale, draw.shear_x, (width, height));
    let rotation = matrix::rotation(draw.angle, width, height);
    let whole = composed(&rotation, &affine);
    if draw.flip {
        composed(&[-1.0, 0.0, width as f64, 0.0, 1.0, 0.0], &whole)
    } else {
        whole
    }
}

/// A picture ready to be sampled: with a border of one black pixel, so that every pixel whose
/// neighbours matter has four.
pub(crate) struct Sampler {
    bordered: Vec<u8>,
    matrix: Matrix,
    width: usize,
    height: usize,
    n_channels: usize,
    /// For each pixel of a row: where its upper left neighbour begins, beyond the picture for none.
    places: Vec<u32>,
    right_shares: Vec<f32>,
    lower_shares: Vec<f32>,
    /// Upper left, upper right, lower left, lower right.
    corners: [Vec<u8>; 4],
}

impl Sampler {
    pub(crate) fn new(picture: Picture<'_>, matrix: &Matrix) -> Self {
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        let n_channels = picture.channels().count();
        let stride = (width + 2) * n_channels;
        let mut bordered = vec![0; stride * (height + 2)];
        let rows = bordered.chunks_exact_mut(stride).skip(1);
        for (bordered, row) in rows.zip(picture.data().chunks_exact(width * n_channels)) {
            bordered[n_channels..n_channels + row.len()].copy_from_slice(row);
        }
        Self {
            bordered,
            matrix: *matrix,
            width,
            height,
            n_channels,
            places: vec![0; width],
            right_shares: vec![0.0; width],
            lower_shares: vec![0.0; width],
            corners: [0, 1, 2, 3].map(|_| vec![0; width]),
        }
    }

    /// Looks where the pixels of output row `y` come from.
    #[inline(always)]
    pub(crate) fn begin_row(&mut self, y: usize) {
        let [a, b, c, d, e, f] = self.matrix;
        let (width, height) = (self.width as f64, self.height as f64);
        let (stride, n) = ((self.width + 2) as i32, self.n_channels as i32);
        let row = y as f64 + 0.5;
        let shares = self.right_shares.iter_mut().zip(&mut self.lower_shares);
        for (x, (place, (right, lower))) in (0_i32..).zip(self.places.iter_mut().zip(shares)) {
            let column = f64::from(x) + 0.5;
            let source_x = a * column + b * row + c - 0.5;
            let source_y = d * column + e * row + f - 0.5;
            let is_near =
                (source_x >= -1.0) & (source_x < width) & (source_y >= -1.0) & (source_y < height);
            let (left, top) = (source_x.floor(), source_y.floor());
            *right = (source_x - left) as f32;
            *lower = (source_y - top) as f32;
            // One further right and down, for the border; what is not near is not used.
            let at = (top as i32 + 1)
                .wrapping_mul(stride)
                .wrapping_add(left as i32 + 1);
            *place = if is_near {
                at.wrapping_mul(n) as u32
            } else {
                OUTSIDE
            };
        }
    }

    /// The values of a channel in that row, 0 to 255.
    #[inline(always)]
    pub(crate) fn sample(&mut self, channel: usize, values: &mut [f32]) {
        let below = (self.width + 2) * self.n_channels;
        let [upper_left, upper_right, lower_left, lower_right] = &mut self.corners;
        let corners = (upper_left.iter_mut().zip(upper_right.iter_mut()))
            .zip(lower_left.iter_mut().zip(lower_right.iter_mut()));
        for (&place, ((ul, ur), (ll, lr))) in self.places.iter().zip(corners) {
            let at = place as usize + channel;
            *ul = shown(&self.bordered, at);
            *ur = shown(&self.bordered, at + self.n_channels);
            *ll = shown(&self.bordered, at + below);
            *lr = shown(&self.bordered, at + below + self.n_channels);
        }
        let shares = self.right_shares.iter().zip(&self.lower_shares);
        let corners = (upper_left.iter().zip(upper_right.iter()))
            .zip(lower_left.iter().zip(lower_right.iter()));
        for ((value, ((ul, ur), (ll, lr))), (right, lower)) in
            values.iter_mut().zip(corners).zip(shares)
        {
            let along =
                |left: u8, beside: u8| f32::from(left) * (1.0 - right) + f32::from(beside) * right;
            *value = along(*ul, *ur) * (1.0 - lower) + along(*ll, *lr) * lower;
        }
    }
}

#[cfg(test)]
mod tests {
    use cxr_isa::Isa;

    use super::*;
    use crate::pixels::{Channels, Pixels};

    fn sampled(picture: &Pixels, draw: &AffineDraw) -> Vec<f32> {
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        let mut out = vec![0.0; width * height];
        let mut sampler = Sampler::new(picture.into(), &matrix_of(draw, width, height));
        for (y, row) in out.chunks_exact_mut(width).enumerate() {
            sampler.begin_row(y);
            sampler.sample(0, row);
        }
        out
    }

    #[test]
    fn the_identity_and_whole_shifts_are_exact() {
        let data: Vec<u8> = (0..20).map(|v| v * 12).collect();
        let picture = Pixels::new(5, 4, Channels::Gray, data.clone()).unwrap();
        let exact: Vec<f32> = data.iter().map(|&v| f32::from(v)).collect();
        assert_eq!(sampled(&picture, &AffineDraw::IDENTITY), exact);
        let right = AffineDraw {
            tx: 2,
            ..AffineDraw::IDENTITY
        };
        let shifted = sampled(&picture, &right);
        for (row, moved) in exact.chunks(5).zip(shifted.chunks(5)) {
            assert_eq!(moved[..2], [0.0, 0.0]);
            assert_eq!(moved[2..], row[..3]);
        }
        let flip = AffineDraw {
            flip: true,
            ..AffineDraw::IDENTITY
        };
        for (row, mirrored) in exact.chunks(5).zip(sampled(&picture, &flip).chunks(5)) {
            assert!(row.iter().eq(mirrored.iter().rev()));
        }
    }

    #[test]
    fn it_shows_what_the_two_nearest_steps_show_but_for_their_roundings() {
        let data = (0..64 * 48)
            .map(|i| ((i % 64) * 2 + (i / 64) * 2 + 1) as u8)
            .collect();
        let picture = Pixels::new(64, 48, Channels::Gray, data).unwrap();
        let draw = AffineDraw {
            flip: true,
            angle: 40.0,
            tx: 9,
            ty: -4,
            scale: 1.3,
            shear_x: 10.0,
        };
        let nearest = crate::warp::Warp::new(&draw, 64, 48).apply((&picture).into(), Isa::best());
        let smooth = sampled(&picture, &draw);
        // Where a white picture is not quite white, the edge fades.
        let white = Pixels::new(64, 48, Channels::Gray, vec![255; 64 * 48]).unwrap();
        let is_whole = sampled(&white, &draw).into_iter().map(|v| v > 254.9);
        let mut n_compared = 0;
        for ((&stepped, smooth), is_whole) in nearest.data().iter().zip(smooth).zip(is_whole) {
            if is_whole && stepped > 0 {
                let difference = (smooth - f32::from(stepped)).abs();
                // Two roundings of half a pixel an axis, 2 levels a pixel along each.
                assert!(difference <= 5.0, "{difference}");
                n_compared += 1;
            }
        }
        assert!(n_compared > 1500, "{n_compared}");
    }

    /// One sample by the definition: in f64, neighbour by neighbour, nothing shared between pixels.
    fn by_definition(
        picture: &Pixels,
        matrix: &Matrix,
        place: (usize, usize),
        channel: usize,
    ) -> f64 {
        let (width, height) = (i64::from(picture.width()), i64::from(picture.height()));
        let n = picture.channels().count();
        let [a, b, c, d, e, f] = *matrix;
        let (x, y) = (place.0 as f64 + 0.5, place.1 as f64 + 0.5);
        let (x, y) = (a * x + b * y + c - 0.5, d * x + e * y + f - 0.5);
        let mut value = 0.0;
        for (row, column) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let (column, row) = (x.floor() as i64 + column, y.floor() as i64 + row);
            if (0..width).contains(&column) && (0..height).contains(&row) {
                let share = (1.0 - (x - column as f64).abs()) * (1.0 - (y - row as f64).abs());
                let at = (row * width + column) as usize * n + channel;
                value += share * f64::from(picture.data()[at]);
            }
        }
        value
    }

    #[test]
    fn samples_are_those_of_the_definition_grey_and_coloured_at_the_edges_too() {
        let ranges = crate::draw::AffineRanges {
            max_degrees: 180.0,
            ..crate::draw::AffineRanges::seed()
        };
        for (seed, channels) in [(0, Channels::Gray), (1, Channels::Rgb)] {
            let (width, height) = (23, 17);
            let n = channels.count();
            let data = (0..width * height * n)
                .map(|v| (v * 89 % 256) as u8)
                .collect();
            let picture = Pixels::new(width as u32, height as u32, channels, data).unwrap();
            for index in 0..50 {
                let mut stream =
                    cxr_stream::Stream::new(seed, cxr_stream::Purpose::Augment, 0, index);
                let matrix = matrix_of(&ranges.draw(&mut stream, 23, 17), width, height);
                let mut sampler = Sampler::new((&picture).into(), &matrix);
                let mut values = vec![0.0; width];
                for y in 0..height {
                    sampler.begin_row(y);
                    for channel in 0..n {
                        sampler.sample(channel, &mut values);
                        for (x, &value) in values.iter().enumerate() {
                            let exact = by_definition(&picture, &matrix, (x, y), channel);
                            assert!((f64::from(value) - exact).abs() < 1e-3, "{value} {exact}");
                        }
                    }
                }
            }
        }
    }
}
