//! Max pooling of relu(scale·x + shift), and the way back.

use super::norm::{Saved, by_factors, close_gate, relu};
use super::windows::each_tap;
use super::{Numbers, Real};
use crate::device::PoolShape;

pub(super) fn forward<T: Real>(
    pool: &PoolShape,
    input: &Numbers<T>,
    (scale, scale_start): (&Numbers<T::Float>, usize),
    (shift, shift_start): (&Numbers<T::Float>, usize),
    output: &mut Numbers<T>,
    picked: &mut [u8],
) {
    let mut largest = vec![None; pool.output_len()];
    each_tap(pool.images, &pool.window, |place, tap, under| {
        for channel in 0..pool.channels {
            let x = input.at(under * pool.channels + channel);
            let y = scale.at(scale_start + channel) * x + shift.at(shift_start + channel);
            let y = relu(y);
            let at = place * pool.channels + channel;
            if largest[at].is_none_or(|largest| y > largest || y.is_nan()) {
                largest[at] = Some(y);
                picked[at] = tap as u8;
            }
        }
    });
    output.put_all(0, largest.into_iter().flatten());
}

/// Per channel: Σ g and Σ g·x̂ over the windows that have something above 0; elsewhere the gradient
/// is 0 afterwards.
pub(super) fn backward_sums<T: Real>(
    pool: &PoolShape,
    gradient: &mut Numbers<T>,
    pooled: &Numbers<T>,
    picked: &[u8],
    input: &Numbers<T>,
    saved: &Numbers<T::Float>,
) -> Vec<[f64; 2]> {
    close_gate(pool.output_len(), pooled, gradient);
    let norm = Saved::new(saved, pool.channels);
    let mut sums = vec![[0.0; 2]; pool.channels];
    each_picked(pool, picked, |channel, at, under| {
        // What was not above 0 may stand at a place whose x̂ is not finite.
        if pooled.at(at) > 0.0 {
            let g = gradient.at(at);
            sums[channel][0] += g;
            sums[channel][1] += g * norm.standardized(channel, input.at(under));
        }
    });
    sums
}

pub(super) fn backward_bias<T: Real>(
    pool: &PoolShape,
    gradient: &mut Numbers<T>,
    pooled: &Numbers<T>,
    vector_gradients: &mut Numbers<T::Float>,
    bias_start: usize,
) {
    close_gate(pool.output_len(), pooled, gradient);
    for channel in 0..pool.channels {
        let places = (channel..pool.output_len()).step_by(pool.channels);
        let sum = places.map(|place| gradient.at(place)).sum();
        vector_gradients.put(bias_start + channel, sum);
    }
}

pub(super) fn backward<T: Real>(
    pool: &PoolShape,
    gradient: &Numbers<T>,
    picked: &[u8],
    norm: Option<(&Numbers<T>, &Numbers<T::Float>)>,
    output: &mut Numbers<T>,
) {
    let mut sums = vec![0.0; pool.input_len()];
    each_picked(pool, picked, |_, at, under| sums[under] += gradient.at(at));
    for (place, sum) in sums.into_iter().enumerate() {
        let number = norm.map_or(sum, |(input, factors)| {
            by_factors(factors, pool.channels, place, sum, input)
        });
        output.put(place, number);
    }
}

/// Calls `visit` with (channel, number of the output, number of the input) for each picked place.
fn each_picked(pool: &PoolShape, picked: &[u8], mut visit: impl FnMut(usize, usize, usize)) {
    each_tap(pool.images, &pool.window, |place, tap, under| {
        for channel in 0..pool.channels {
            let at = place * pool.channels + channel;
            if usize::from(picked[at]) == tap {
                visit(channel, at, under * pool.channels + channel);
            }
        }
    });
}
