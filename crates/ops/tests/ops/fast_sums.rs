//! What the fast path sums while a band is in the cache, against f64: the moments of an output, and a
//! gradient behind its gate.

use crate::fast_maps::{Producer, bits, give_map, map, sets, to_nchw};
use crate::reference::{moments, values, wide};
use cxr_ops::nhwc::{
    BandMoments, Gate, GradientSums, Isa, MapSize, Onto, StoreGradient, StoreWithMoments,
};

/// f32 sums over a band of some hundred places, relative to the sum of what is summed.
const SUMS: f64 = 1e-6;
/// A variance of such sums, where the mean is not much larger than the deviation.
const VARIANCE: f64 = 1e-5;
/// Where the mean is a thousand deviations and a band's is known to a few thousandths of one.
const VARIANCE_FAR_FROM_ZERO: f64 = 1e-4;

/// [N, H, W, C] → f64 [N, C, P].
fn planes(images: usize, size: MapSize, data: &[f32]) -> Vec<f64> {
    wide(&to_nchw(images, size.channels, data))
}

/// Checks moments of a map [N, H, W, C] against f64: the mean relative to itself and the deviation,
/// the variance relative to itself.
fn check_moments(
    (images, size): (usize, MapSize),
    data: &[f32],
    measured: &BandMoments,
    of_variance: f64,
) {
    let shape = [images, size.channels, size.places()];
    let (mean, variance) = moments(shape, &planes(images, size, data));
    let (got, n) = measured.combine();
    assert_eq!(n, images * size.places());
    assert_eq!([got.mean.len(), got.variance.len()], [size.channels; 2]);
    for c in 0..size.channels {
        let (mean, variance) = (mean[c], variance[c]);
        let allowed = SUMS * (variance.sqrt() + mean.abs());
        let is_close = (got.mean[c] - mean).abs() <= allowed;
        assert!(is_close, "mean of {c}: {} for {mean}", got.mean[c]);
        let is_close = (got.variance[c] - variance).abs() <= of_variance * variance;
        assert!(
            is_close,
            "variance of {c}: {} for {variance}",
            got.variance[c]
        );
    }
}

#[test]
fn moments_are_those_of_the_stored_output() {
    for isa in sets() {
        // One after the other in the same memory, larger and smaller.
        let mut moments = BandMoments::default();
        for producer in Producer::all() {
            let raw = producer.raw(isa);
            let mut output = vec![f32::NAN; raw.len()];
            producer.give(
                isa,
                StoreWithMoments {
                    output: &mut output,
                    moments: &mut moments,
                },
            );
            assert_eq!(bits(&output), bits(&raw), "{isa}, {producer:?}");
            let of_map = (producer.images(), producer.size());
            check_moments(of_map, &raw, &moments, VARIANCE);
        }
    }
}

fn moments_of_map(isa: Isa, images: usize, size: MapSize, data: &[f32]) -> BandMoments {
    let mut moments = BandMoments::default();
    let mut output = vec![f32::NAN; data.len()];
    let sink = StoreWithMoments {
        output: &mut output,
        moments: &mut moments,
    };
    give_map(isa, images, size, data, sink);
    assert_eq!(output, data);
    moments
}

#[test]
fn a_mean_of_a_thousand_deviations_leaves_the_variance_four_digits() {
    for (images, size) in [(3, map(37, 45, 5)), (25, map(7, 9, 16)), (1, map(2, 1, 3))] {
        let mut data = values(1, images * size.len());
        let deviation = 12.0_f32.sqrt().recip();
        data.iter_mut().for_each(|x| *x += 1000.0 * deviation);
        let naive = naive_variance(data.iter().step_by(size.channels));
        let allowed = 100.0 * VARIANCE_FAR_FROM_ZERO / 12.0;
        assert!(
            (naive - 1.0 / 12.0).abs() > allowed,
            "the case is too easy: {naive}"
        );
        for isa in sets() {
            let measured = moments_of_map(isa, images, size, &data);
            check_moments((images, size), &data, &measured, VARIANCE_FAR_FROM_ZERO);
        }
    }
}

/// E[x²] − mean² in f32.
fn naive_variance<'a>(numbers: impl Iterator<Item = &'a f32> + Clone) -> f64 {
    let n = numbers.clone().count() as f32;
    let mean = numbers.clone().sum::<f32>() / n;
    (numbers.map(|x| x * x).sum::<f32>() / n - mean * mean).into()
}

/// A gate, in words, and where it is open.
struct OpenPlaces<'a> {
    gate: Gate<'a>,
    is_open: Vec<bool>,
    input: Option<&'a [f32]>,
}

/// Every kind of gate over the same numbers. Some activations are exactly 0.
fn gates<'a>(
    activation: &'a [f32],
    input: &'a [f32],
    [scale, shift]: [&'a [f32]; 2],
) -> [OpenPlaces<'a>; 3] {
    let active: Vec<bool> = activation.iter().map(|&value| value > 0.0).collect();
    let norm = |(place, &x): (usize, &f32)| {
        let channel = place % scale.len();
        f64::from(x) * f64::from(scale[channel]) + f64::from(shift[channel]) > 0.0
    };
    [
        OpenPlaces {
            gate: Gate::Activation {
                activation,
                input: Some(input),
            },
            is_open: active.clone(),
            input: Some(input),
        },
        OpenPlaces {
            gate: Gate::Activation {
                activation,
                input: None,
            },
            is_open: active,
            input: None,
        },
        OpenPlaces {
            gate: Gate::Norm {
                input,
                scale,
                shift,
            },
            is_open: input.iter().enumerate().map(norm).collect(),
            input: Some(input),
        },
    ]
}

/// Checks Σ gradient and Σ gradient · (input − mean) by channel.
fn check_sums(sums: &GradientSums, mean: &[f64], gradient: &[f32], input: Option<&[f32]>) {
    let n = mean.len();
    let mut expected = [vec![0.0_f64; n], vec![0.0; n]];
    let mut scale = expected.clone();
    for (place, &gradient) in gradient.iter().enumerate() {
        let (c, gradient) = (place % n, f64::from(gradient));
        let deviation = input.map_or(0.0, |input| f64::from(input[place]) - mean[c]);
        for (part, term) in [gradient, gradient * deviation].into_iter().enumerate() {
            expected[part][c] += term;
            scale[part][c] += term.abs();
        }
    }
    let got = sums.combine();
    for part in 0..2 {
        assert_eq!(got[part].len(), n);
        for c in 0..n {
            let error = (got[part][c] - expected[part][c]).abs();
            assert!(
                error <= SUMS * scale[part][c],
                "sum {part} of channel {c}: {} for {}",
                got[part][c],
                expected[part][c]
            );
        }
    }
}

#[test]
fn a_gradient_is_added_gated_and_summed_as_it_is_stored() {
    for producer in Producer::all() {
        let (n, len) = (producer.size().channels, producer.len());
        let before = values(5, len);
        let activation: Vec<f32> = values(6, len).iter().map(|x| x.max(0.0)).collect();
        let input = values(7, len);
        let (scale, shift) = (values(8, n), values(9, n));
        // Means that f32 holds, as far from 0 as the numbers are wide.
        let mean = wide(&values(10, n));
        for isa in sets() {
            let raw = producer.raw(isa);
            for case in gates(&activation, &input, [&scale, &shift]) {
                for onto in [Onto::Unset, Onto::Sum] {
                    let what = format!("{onto:?}, {isa}, {producer:?}");
                    let mut gradient = match onto {
                        Onto::Unset => vec![f32::NAN; len],
                        Onto::Sum => before.clone(),
                    };
                    let mut sums = GradientSums::around(&mean);
                    let sink = StoreGradient {
                        gradient: &mut gradient,
                        onto,
                        gate: case.gate,
                        sums: &mut sums,
                    };
                    producer.give(isa, sink);
                    let passed = raw.iter().zip(&before).zip(&case.is_open);
                    let expected = passed.map(|((raw, before), is_open)| match (is_open, onto) {
                        (false, _) => 0.0,
                        (true, Onto::Unset) => *raw,
                        (true, Onto::Sum) => before + raw,
                    });
                    assert_eq!(gradient, expected.collect::<Vec<_>>(), "{what}");
                    check_sums(&sums, &mean, &gradient, case.input);
                }
            }
        }
    }
}
