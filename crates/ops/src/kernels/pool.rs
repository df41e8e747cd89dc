//! Max pooling with the place of each maximum, global average pooling, and their gradients.
//!
//! Padding counts as −∞. Among equal maxima the first one, row by row, is taken and gets the whole
//! gradient, as in PyTorch; a NaN counts as the largest value.

use super::Window;
use super::batch_norm::plane_sum;
use super::scratch::with_scratch;
use super::window::copy_strided;
use rayon::prelude::*;

/// Numbers that one task works on, about.
const TASK: usize = 1 << 14;

/// A place within a window (row · kernel width + column): `u8` for up to 256 places, else `u32`.
pub trait Place: Copy + Send + Sync + 'static {
    /// The place as this type; only for places that it can hold.
    fn from_index(index: usize) -> Self;
    /// The place as an index.
    fn index(self) -> usize;
}

impl Place for u8 {
    fn from_index(index: usize) -> Self {
        index as u8
    }

    fn index(self) -> usize {
        self.into()
    }
}

impl Place for u32 {
    fn from_index(index: usize) -> Self {
        index as u32
    }

    fn index(self) -> usize {
        self as usize
    }
}

/// Writes the largest value under each window, and its place in the window.
///
/// `input` holds any number of planes. Every window must meet the plane: padding below the kernel.
pub fn max_forward<P: Place>(window: &Window, input: &[f32], output: &mut [f32], places: &mut [P]) {
    let (size, out_size) = (window.input_places(), window.output_places());
    assert_eq!(input.len() / size, output.len() / out_size);
    assert_eq!(output.len(), places.len());
    assert!(window.padding[0] < window.kernel[0] && window.padding[1] < window.kernel[1]);
    output
        .par_chunks_exact_mut(out_size)
        .zip(places.par_chunks_exact_mut(out_size))
        .zip(input.par_chunks_exact(size))
        .with_min_len((TASK / size).max(1))
        .for_each(|((output, places), plane)| {
            let width = window.output()[1];
            let mut taps = vec![0u32; width];
            with_scratch(width, |values| {
                let rows = output
                    .chunks_exact_mut(width)
                    .zip(places.chunks_exact_mut(width));
                for (y, (maxima, places)) in rows.enumerate() {
                    max_of_row(window, plane, y, maxima, &mut taps, values);
                    for (place, &tap) in places.iter_mut().zip(&taps) {
                        *place = P::from_index(tap as usize);
                    }
                }
            });
        });
}

/// One row of outputs: every tap of the window in turn, over the whole row, so that the comparisons
/// are vectorised. `values` is working memory.
fn max_of_row(
    window: &Window,
    plane: &[f32],
    y: usize,
    maxima: &mut [f32],
    taps: &mut [u32],
    values: &mut [f32],
) {
    let (kernel_width, width) = (window.kernel[1], window.input[1]);
    let first_outside =
        |axis: usize, output: usize| window.padding[axis].saturating_sub(output * window.stride);
    maxima.fill(f32::NEG_INFINITY);
    // Where all values are −∞, the first one inside of the plane is the maximum.
    for (x, tap) in taps.iter_mut().enumerate() {
        *tap = (first_outside(0, y) * kernel_width + first_outside(1, x)) as u32;
    }
    for tap_y in (0..window.kernel[0]).filter(|&tap| window.inside(0, tap, y + 1).contains(&y)) {
        let row = &plane[window.under(0, y, tap_y) * width..][..width];
        for tap_x in 0..kernel_width {
            let outputs = window.inside(1, tap_x, maxima.len());
            if outputs.is_empty() {
                continue;
            }
            let values = &mut values[outputs.clone()];
            copy_strided(
                &row[window.under(1, outputs.start, tap_x)..],
                window.stride,
                values,
            );
            let tap = (tap_y * kernel_width + tap_x) as u32;
            keep_larger(
                values,
                tap,
                &mut maxima[outputs.clone()],
                &mut taps[outputs],
            );
        }
    }
}

/// Takes over each value that is larger than the maximum so far (or NaN), and its tap.
fn keep_larger(values: &[f32], tap: u32, maxima: &mut [f32], taps: &mut [u32]) {
    for ((&value, maximum), kept) in values.iter().zip(maxima).zip(taps) {
        // `|` and not `||`, which would keep the compiler from vectorising.
        let larger = (value > *maximum) | value.is_nan();
        *maximum = if larger { value } else { *maximum };
        *kept = if larger { tap } else { *kept };
    }
}

/// Writes `input_gradient`: each output's gradient at the place of its maximum.
pub fn max_input_gradient<P: Place>(
    window: &Window,
    places: &[P],
    output_gradient: &[f32],
    input_gradient: &mut [f32],
) {
    let (size, out_size) = (window.input_places(), window.output_places());
    assert_eq!(
        input_gradient.len() / size,
        output_gradient.len() / out_size
    );
    assert_eq!(output_gradient.len(), places.len());
    let (width, out_width) = (window.input[1], window.output()[1]);
    input_gradient
        .par_chunks_exact_mut(size)
        .zip(
            output_gradient
                .par_chunks_exact(out_size)
                .zip(places.par_chunks_exact(out_size)),
        )
        .with_min_len((TASK / size).max(1))
        .for_each(|(plane, (gradients, places))| {
            plane.fill(0.0);
            let rows = gradients
                .chunks_exact(out_width)
                .zip(places.chunks_exact(out_width));
            for (y, (gradients, places)) in rows.enumerate() {
                for (x, (gradient, place)) in gradients.iter().zip(places).enumerate() {
                    let tap = place.index();
                    let row = window.under(0, y, tap / window.kernel[1]);
                    let column = window.under(1, x, tap % window.kernel[1]);
                    plane[row * width + column] += gradient;
                }
            }
        });
}

/// Writes the mean of each plane of `places` numbers, summed in f64.
pub fn average_forward(places: usize, input: &[f32], output: &mut [f32]) {
    assert_eq!(input.len(), output.len() * places);
    output
        .par_iter_mut()
        .zip(input.par_chunks_exact(places))
        .with_min_len((TASK / places).max(1))
        .for_each(|(mean, plane)| *mean = (plane_sum(plane) / places as f64) as f32);
}

/// Writes `input_gradient`: each output's gradient, shared evenly by its plane.
pub fn average_input_gradient(places: usize, output_gradient: &[f32], input_gradient: &mut [f32]) {
    assert_eq!(input_gradient.len(), output_gradient.len() * places);
    input_gradient
        .par_chunks_exact_mut(places)
        .zip(output_gradient)
        .with_min_len((TASK / places).max(1))
        .for_each(|(plane, gradient)| plane.fill(gradient / places as f32));
}
