//! The smoother picture: flip, rotation and affine map as one matrix, one bilinear sample.
//!
//! An option for training. It is another picture than torchvision's two nearest-neighbour steps
//! and is never called parity. Outside is 0, and the edge fades into it.

use crate::draw::AffineDraw;
use crate::matrix::{self, Matrix, composed};
use crate::pixels::Picture;

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

/// Calls `put(output pixel, values)` for each pixel, row by row; values are 0 to 255, one a
/// channel (grey fills the first alone).
pub(crate) fn for_each_sample(
    picture: Picture<'_>,
    matrix: &Matrix,
    mut put: impl FnMut(usize, [f32; 3]),
) {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let n = picture.channels().count();
    let [a, b, c, d, e, f] = *matrix;
    let at = |x: i64, y: i64, channel: usize| {
        if (0..width as i64).contains(&x) && (0..height as i64).contains(&y) {
            f64::from(picture.data()[(y as usize * width + x as usize) * n + channel])
        } else {
            0.0
        }
    };
    for row in 0..height {
        for column in 0..width {
            let (x, y) = (column as f64 + 0.5, row as f64 + 0.5);
            let source_x = a * x + b * y + c - 0.5;
            let source_y = d * x + e * y + f - 0.5;
            let (left, top) = (source_x.floor(), source_y.floor());
            let (right_share, lower_share) = (source_x - left, source_y - top);
            let (left, top) = (left as i64, top as i64);
            let mut values = [0.0; 3];
            for (channel, value) in values.iter_mut().take(n).enumerate() {
                let along = |y: i64| {
                    at(left, y, channel) * (1.0 - right_share)
                        + at(left + 1, y, channel) * right_share
                };
                *value = (along(top) * (1.0 - lower_share) + along(top + 1) * lower_share) as f32;
            }
            put(row * width + column, values);
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
        let matrix = matrix_of(draw, width, height);
        for_each_sample(picture.into(), &matrix, |place, values| {
            out[place] = values[0]
        });
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
}
