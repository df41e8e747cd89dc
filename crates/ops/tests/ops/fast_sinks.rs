//! The fast path's sinks, behind convolutions of many shapes: what they store against what a plain
//! store stores. Those that sum are in `fast_sums`.

use crate::fast_maps::{Producer, give_map, map, sets, to_nchw, to_nhwc};
use crate::reference::{assert_close, first_maxima, values};
use cxr_ops::kernels::Window;
use cxr_ops::nhwc::{Activation, MapSize, StoreActivated, StorePlanes, StorePooled};

/// Two or three f32 roundings, relative to the largest value.
const ROUNDING: f64 = 3e-7;

#[test]
fn bias_residual_and_relu_are_applied_as_the_output_is_stored() {
    for producer in Producer::all() {
        let (n, len) = (producer.size().channels, producer.len());
        let (bias, residual) = (values(5, n), values(6, len));
        for isa in sets() {
            let raw = producer.raw(isa);
            for with_residual in [None, Some(residual.as_slice())] {
                for activation in [Activation::None, Activation::Relu] {
                    let mut output = vec![f32::NAN; len];
                    let sink = StoreActivated {
                        output: &mut output,
                        bias: &bias,
                        residual: with_residual,
                        activation,
                    };
                    producer.give(isa, sink);
                    let sums = raw.iter().enumerate().map(|(place, &raw)| {
                        let residual = with_residual.map_or(0.0, |residual| residual[place]);
                        let sum = f64::from(raw) + f64::from(bias[place % n]) + f64::from(residual);
                        match activation {
                            Activation::None => sum,
                            Activation::Relu => sum.max(0.0),
                        }
                    });
                    let expected: Vec<f64> = sums.collect();
                    let what = format!("{activation:?}, {isa}, {producer:?}");
                    assert_close(&what, &output, &expected, ROUNDING);
                }
            }
        }
    }
}

/// max(0, 2×2 pooling + bias) of a map [N, H, W, C], and the places of the maxima.
fn pooled(images: usize, size: MapSize, raw: &[f32], bias: &[f32]) -> (Vec<f32>, Vec<u8>) {
    let window = Window {
        input: [size.height, size.width],
        kernel: [2; 2],
        stride: 2,
        padding: [0; 2],
    };
    if window.checked_output().is_none() {
        return Default::default();
    }
    let (mut output, mut places) = (Vec::new(), Vec::new());
    let planes = to_nchw(images, size.channels, raw);
    for (index, plane) in planes.chunks_exact(size.places()).enumerate() {
        for (under, tap) in first_maxima(&window, plane) {
            let sum = plane[under] + bias[index % size.channels];
            output.push(if sum < 0.0 { 0.0 } else { sum });
            places.push(tap);
        }
    }
    (
        to_nhwc(images, size.channels, &output),
        to_nhwc(images, size.channels, &places),
    )
}

#[test]
fn pooling_bias_and_relu_are_applied_as_the_output_is_stored() {
    // A map that is one place wide has nothing to pool.
    for producer in Producer::all().filter(|producer| producer.size().width > 1) {
        let bias = values(5, producer.size().channels);
        for isa in sets() {
            let raw = producer.raw(isa);
            let (expected, expected_places) =
                pooled(producer.images(), producer.size(), &raw, &bias);
            let mut output = vec![f32::NAN; expected.len()];
            let mut places = vec![255; expected.len()];
            let sink = StorePooled {
                output: &mut output,
                places: Some(&mut places),
                bias: &bias,
            };
            producer.give(isa, sink);
            assert_eq!(output, expected, "{isa}, {producer:?}");
            assert_eq!(places, expected_places, "{isa}, {producer:?}");
            output.fill(f32::NAN);
            let sink = StorePooled {
                output: &mut output,
                places: None,
                bias: &bias,
            };
            producer.give(isa, sink);
            assert_eq!(output, expected, "without places, {isa}, {producer:?}");
        }
    }
}

#[test]
fn the_first_of_equal_maxima_is_pooled_and_the_first_nan_before_all() {
    // One channel, so that the unit matrix keeps a NaN to its own place.
    for (images, size) in [(2, map(70, 37, 1)), (40, map(7, 9, 1))] {
        let mut data: Vec<f32> = values(1, images * size.len())
            .iter()
            .map(|value| (value * 4.0).round())
            .collect();
        let nans = values(8, data.len());
        let pairs = data.iter_mut().zip(nans);
        pairs
            .filter(|(_, draw)| *draw > 0.4)
            .for_each(|(value, _)| *value = f32::NAN);
        let (expected, expected_places) = pooled(images, size, &data, &[0.5]);
        assert!((0..4).all(|place| expected_places.contains(&place)));
        for isa in sets() {
            let mut output = vec![-1.0; expected.len()];
            let mut only = output.clone();
            let mut places = vec![255; expected.len()];
            let sink = StorePooled {
                output: &mut output,
                places: Some(&mut places),
                bias: &[0.5],
            };
            give_map(isa, images, size, &data, sink);
            let sink = StorePooled {
                output: &mut only,
                places: None,
                bias: &[0.5],
            };
            give_map(isa, images, size, &data, sink);
            assert_eq!(places, expected_places, "{isa}");
            for got in [&output, &only] {
                let equal = |(got, expected): (&f32, &f32)| {
                    got == expected || got.is_nan() && expected.is_nan()
                };
                assert!(got.iter().zip(&expected).all(equal), "{isa}");
            }
        }
    }
}

#[test]
fn an_output_is_stored_as_planes_with_a_bias() {
    for producer in Producer::all() {
        let size = producer.size();
        let (n, bias) = (producer.len() / size.len(), values(5, size.channels));
        for isa in sets() {
            let mut output = vec![f32::NAN; producer.len()];
            producer.give(
                isa,
                StorePlanes {
                    output: &mut output,
                    bias: Some(&bias),
                },
            );
            let mut expected = to_nchw(n, size.channels, &producer.raw(isa));
            for (plane, values) in expected.chunks_exact_mut(size.places()).enumerate() {
                let bias = bias[plane % size.channels];
                values.iter_mut().for_each(|value| *value += bias);
            }
            assert_eq!(output, expected, "{isa}, {producer:?}");
        }
    }
}

#[test]
fn a_map_of_one_column_pools_to_nothing() {
    let sink = StorePooled {
        output: &mut [],
        places: None,
        bias: &[0.0; 3],
    };
    give_map(
        cxr_ops::nhwc::Isa::best(),
        2,
        map(4, 1, 3),
        &values(1, 24),
        sink,
    );
}
