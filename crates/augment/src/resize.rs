//! Pillow's BILINEAR resize with antialiasing, to the bit.
//!
//! Two passes, each a weighted sum over the pixels within the filter's support; weights computed in
//! f64, quantised to 22 bits; 8 bits between the passes. Reference: `Resample.c` of Pillow 13.
//! Deliberately not here: other filters.

use crate::pixels::Pixels;

/// Bits behind the binary point of a weight (`PRECISION_BITS` in Pillow).
const WEIGHT_BITS: u32 = 32 - 8 - 2;
const HALF: i32 = 1 << (WEIGHT_BITS - 1);

/// `pixels` at another size: equal to Pillow's `resize((width, height), BILINEAR)` in every byte.
///
/// ```
/// use cxr_augment::{resize, Channels, Pixels};
/// let picture = Pixels::new(4, 1, Channels::Gray, vec![0, 100, 200, 255])?;
/// assert_eq!(resize(&picture, 2, 1).data(), [71, 209]);
/// # Ok::<(), cxr_augment::SpecFault>(())
/// ```
#[must_use]
pub fn resize(pixels: &Pixels, width: u32, height: u32) -> Pixels {
    // A side of 0 cannot hold a picture; the nearest that can is 1.
    let (width, height) = (width.max(1), height.max(1));
    if (pixels.width(), pixels.height()) == (width, height) {
        pixels.clone()
    } else if is_vertical_first(pixels, width, height) {
        resize_across(&resize_down(pixels, height), width)
    } else {
        resize_down(&resize_across(pixels, width), height)
    }
}

/// The order of the passes decides roundings. Pillow takes the vertical one first where the height
/// shrinks by more than twice as many pixels as the width; before version 13 it never did.
fn is_vertical_first(pixels: &Pixels, width: u32, height: u32) -> bool {
    let lost_columns = i64::from(pixels.width()) - i64::from(width);
    let lost_rows = i64::from(pixels.height()) - i64::from(height);
    lost_rows > 0 && lost_rows > 2 * lost_columns
}

fn resize_across(pixels: &Pixels, width: u32) -> Pixels {
    let (in_width, width) = (pixels.width() as usize, width as usize);
    let (height, channels) = (pixels.height() as usize, pixels.channels());
    let n = channels.count();
    let weights = Weights::new(in_width, width);
    let mut data = vec![0; width * height * n];
    let rows = pixels.data().chunks_exact(in_width * n);
    for (row, out) in rows.zip(data.chunks_exact_mut(width * n)) {
        match n {
            1 => weights.sum_along::<1>(row, out),
            _ => weights.sum_along::<3>(row, out),
        }
    }
    Pixels::of_checked(width, height, channels, data)
}

fn resize_down(pixels: &Pixels, height: u32) -> Pixels {
    let (width, height) = (pixels.width() as usize, height as usize);
    let channels = pixels.channels();
    let stride = width * channels.count();
    let weights = Weights::new(pixels.height() as usize, height);
    let mut data = vec![0; stride * height];
    let mut sums = vec![0; stride];
    for (y, out) in data.chunks_exact_mut(stride).enumerate() {
        weights.sum_rows(y, pixels.data(), &mut sums, out);
    }
    Pixels::of_checked(width, height, channels, data)
}

/// For each output place along one side: where its inputs start, and their weights.
struct Weights {
    windows: Vec<Window>,
    weights: Vec<i32>,
}

struct Window {
    first_input: usize,
    first_weight: usize,
    n: usize,
}

impl Weights {
    /// `precompute_coeffs` and `normalize_coeffs_8bpc` for the triangle filter.
    fn new(n_inputs: usize, n_outputs: usize) -> Self {
        let scale = n_inputs as f64 / n_outputs as f64;
        let support = scale.max(1.0);
        let mut windows = Vec::with_capacity(n_outputs);
        let mut weights = Vec::new();
        for place in 0..n_outputs {
            let centre = (place as f64 + 0.5) * scale;
            // `as` truncates and clamps at 0, as the C code's cast and comparison do.
            let first_input = (centre - support + 0.5) as usize;
            let end = ((centre + support + 0.5) as usize).min(n_inputs);
            let first_weight = weights.len();
            let exact: Vec<f64> = (first_input..end)
                .map(|input| triangle((input as f64 - centre + 0.5) * (1.0 / support)))
                .collect();
            let total: f64 = exact.iter().sum();
            weights.extend(exact.iter().map(|&weight| quantised(weight, total)));
            windows.push(Window {
                first_input,
                first_weight,
                n: end - first_input,
            });
        }
        Self { windows, weights }
    }

    fn of(&self, window: &Window) -> &[i32] {
        &self.weights[window.first_weight..window.first_weight + window.n]
    }

    /// One row of `C` interleaved channels into a row of as many pixels as there are windows.
    fn sum_along<const C: usize>(&self, row: &[u8], out: &mut [u8]) {
        for (window, out) in self.windows.iter().zip(out.chunks_exact_mut(C)) {
            let inputs = &row[window.first_input * C..(window.first_input + window.n) * C];
            let mut sums = [HALF; C];
            for (pixel, &weight) in inputs.chunks_exact(C).zip(self.of(window)) {
                for (sum, &value) in sums.iter_mut().zip(pixel) {
                    *sum += i32::from(value) * weight;
                }
            }
            for (out, &sum) in out.iter_mut().zip(&sums) {
                *out = to_byte(sum);
            }
        }
    }

    /// Output row `y` from the rows within its window.
    fn sum_rows(&self, y: usize, rows: &[u8], sums: &mut [i32], out: &mut [u8]) {
        let window = &self.windows[y];
        sums.fill(HALF);
        let inputs = rows
            .chunks_exact(out.len())
            .skip(window.first_input)
            .zip(self.of(window));
        for (row, &weight) in inputs {
            for (sum, &value) in sums.iter_mut().zip(row) {
                *sum += i32::from(value) * weight;
            }
        }
        for (out, &sum) in out.iter_mut().zip(&*sums) {
            *out = to_byte(sum);
        }
    }
}

fn triangle(distance: f64) -> f64 {
    (1.0 - distance.abs()).max(0.0)
}

/// A weight of the normalised filter; `total` is 0 only where all weights are.
fn quantised(weight: f64, total: f64) -> i32 {
    let share = if total > 0.0 { weight / total } else { weight };
    (0.5 + share * f64::from(1u32 << WEIGHT_BITS)) as i32
}

fn to_byte(sum: i32) -> u8 {
    (sum >> WEIGHT_BITS).clamp(0, 255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pixels::Channels;

    #[test]
    fn a_constant_picture_stays_constant_at_any_size() {
        for (from, to) in [((1, 1), (7, 5)), ((1, 400), (32, 48)), ((97, 31), (1, 1))] {
            for value in [0, 1, 127, 254, 255] {
                let data = vec![value; (from.0 * from.1) as usize];
                let picture = Pixels::new(from.0, from.1, Channels::Gray, data).unwrap();
                let resized = resize(&picture, to.0, to.1);
                assert_eq!((resized.width(), resized.height()), to);
                assert!(
                    resized.data().iter().all(|&v| v == value),
                    "{from:?} {to:?}"
                );
            }
        }
    }

    #[test]
    fn three_equal_channels_resize_as_one_does() {
        let grey: Vec<u8> = (0..35u8).map(|v| v.wrapping_mul(83)).collect();
        let rgb = grey.iter().flat_map(|&v| [v; 3]).collect();
        let one = resize(&Pixels::new(7, 5, Channels::Gray, grey).unwrap(), 4, 9);
        let three = resize(&Pixels::new(7, 5, Channels::Rgb, rgb).unwrap(), 4, 9);
        assert_eq!(three.collapsed(), one);
    }
}
