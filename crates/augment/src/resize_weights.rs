//! How much of each input pixel is in an output pixel: the triangle filter, as Pillow quantises it.
//!
//! For `resize`. Reference: `precompute_coeffs` and `normalize_coeffs_8bpc` in `Resample.c`
//! of Pillow 13. Deliberately not here: the sums.

use std::ops::Range;

/// Bits behind the binary point of a weight (`PRECISION_BITS` in Pillow).
const WEIGHT_BITS: u32 = 32 - 8 - 2;
/// Where a sum starts, so that dropping the bits behind the point rounds.
pub(crate) const HALF: i32 = 1 << (WEIGHT_BITS - 1);

/// For each output place along one side: where its inputs start, and their weights.
///
/// All places have equally many, those with fewer some of weight 0: a loop over them is the same
/// for every place, which the processor predicts and no sum notices.
pub(crate) struct Weights {
    n_taps: usize,
    first_inputs: Vec<usize>,
    /// `[n_outputs, n_taps]`
    weights: Vec<i32>,
}

impl Weights {
    /// Of a side of `n_inputs` pixels, at least 1, made one of `n_outputs`.
    pub(crate) fn new(n_inputs: usize, n_outputs: usize) -> Self {
        let filter = Filter::new(n_inputs, n_outputs);
        let n_taps = (0..n_outputs)
            .map(|place| filter.window(place).len())
            .fold(1, usize::max);
        let mut first_inputs = Vec::with_capacity(n_outputs);
        let mut weights = vec![0; n_outputs * n_taps];
        let mut exact = Vec::with_capacity(n_taps);
        for (place, weights) in weights.chunks_exact_mut(n_taps).enumerate() {
            let window = filter.window(place);
            let first_input = window.start.min(n_inputs - n_taps);
            let weights = &mut weights[window.start - first_input..];
            filter.weigh(place, window, &mut exact);
            let total: f64 = exact.iter().sum();
            for (out, &weight) in weights.iter_mut().zip(&exact) {
                *out = quantised(weight, total);
            }
            first_inputs.push(first_input);
        }
        Self {
            n_taps,
            first_inputs,
            weights,
        }
    }

    /// The first input of an output place, and the weights from there on.
    #[inline(always)]
    pub(crate) fn of(&self, place: usize) -> (usize, &[i32]) {
        let weights = &self.weights[place * self.n_taps..][..self.n_taps];
        (self.first_inputs[place], weights)
    }
}

/// A triangle over the inputs around the centre of an output.
struct Filter {
    n_inputs: usize,
    scale: f64,
    support: f64,
}

impl Filter {
    fn new(n_inputs: usize, n_outputs: usize) -> Self {
        let scale = n_inputs as f64 / n_outputs as f64;
        Self {
            n_inputs,
            scale,
            support: scale.max(1.0),
        }
    }

    fn centre(&self, place: usize) -> f64 {
        (place as f64 + 0.5) * self.scale
    }

    /// The inputs within the support of an output.
    fn window(&self, place: usize) -> Range<usize> {
        let centre = self.centre(place);
        // `as` truncates and clamps at 0, as the C code's cast and comparison do.
        let first = (centre - self.support + 0.5) as usize;
        let end = (centre + self.support + 0.5) as usize;
        first..end.min(self.n_inputs)
    }

    /// The weights before they are normalised.
    fn weigh(&self, place: usize, window: Range<usize>, exact: &mut Vec<f64>) {
        let centre = self.centre(place);
        let per_input = 1.0 / self.support;
        exact.clear();
        exact.extend(window.map(|input| triangle((input as f64 - centre + 0.5) * per_input)));
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

/// What a sum that started at [`HALF`] shows.
#[inline(always)]
pub(crate) fn to_byte(sum: i32) -> u8 {
    (sum >> WEIGHT_BITS).clamp(0, 255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_has_a_whole_unit_of_weight_within_the_side() {
        for (n_inputs, n_outputs) in [(1, 7), (7, 1), (10, 3), (3, 10), (1024, 320), (5, 5)] {
            let weights = Weights::new(n_inputs, n_outputs);
            for place in 0..n_outputs {
                let (first, of_place) = weights.of(place);
                let case = format!("{n_inputs} to {n_outputs}, place {place}");
                assert!(first + of_place.len() <= n_inputs, "{case}");
                let off = of_place.iter().sum::<i32>() - (1 << WEIGHT_BITS);
                assert!(off.unsigned_abs() as usize <= of_place.len(), "{case}");
            }
        }
    }
}
