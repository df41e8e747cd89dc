//! The fast path's passes between convolutions, each against numbers worked out apart.

use crate::fast_maps::{map, sets, to_nchw, to_nhwc};
use crate::reference::{assert_close, distinct, first_maxima, max_pool, values, wide};
use cxr_ops::kernels::Window;
use cxr_ops::nhwc::{
    MapSize, NormRelu, Picked, ScaleShift, Shortcut, Stored, add_shortcut, max_pool as pool_map,
    mean_of_places, spread_to_places, transpose_images,
};
use proptest::prelude::*;

/// Three or four f32 roundings, relative to the largest value.
const TOLERANCE: f64 = 5e-7;

fn window(size: MapSize, kernel: [usize; 2], stride: usize, padding: [usize; 2]) -> Window {
    Window {
        input: [size.height, size.width],
        kernel,
        stride,
        padding,
    }
}

/// Checks output, places and picked values of a pooling of a map [N, H, W, C], bit for bit but for
/// which NaN it is.
fn check_pooling(images: usize, size: MapSize, window: &Window, input: &[f32]) {
    let from = values(6, input.len());
    let (mut expected, mut expected_places, mut expected_values) = (vec![], vec![], vec![]);
    let planes = to_nchw(images, size.channels, input);
    let of_planes = to_nchw(images, size.channels, &from);
    let each = planes
        .chunks_exact(size.places())
        .zip(of_planes.chunks_exact(size.places()));
    for (plane, from) in each {
        for (under, tap) in first_maxima(window, plane) {
            expected.push(plane[under]);
            expected_places.push(tap);
            expected_values.push(from[under]);
        }
    }
    let len = expected.len();
    let expected = to_nhwc(images, size.channels, &expected);
    let source = Stored { size, data: input };
    for isa in sets() {
        let what = format!("{isa}, {window:?}, {size:?}");
        let [mut output, mut only, mut picked] = [(); 3].map(|()| vec![0.123; len]);
        let mut places = vec![255; len];
        let kept = Picked {
            values: &mut picked,
            places: &mut places,
            from: Stored { size, data: &from },
        };
        pool_map(isa, images, window, &source, &mut output, Some(kept));
        pool_map(isa, images, window, &source, &mut only, None);
        for got in [&output, &only] {
            let is_equal = |(got, expected): (&f32, &f32)| {
                got == expected || got.is_nan() && expected.is_nan()
            };
            assert!(got.iter().zip(&expected).all(is_equal), "{what}");
        }
        let places_of_planes = to_nchw(images, size.channels, &places);
        assert_eq!(places_of_planes, expected_places, "places, {what}");
        let values_of_planes = to_nchw(images, size.channels, &picked);
        assert_eq!(values_of_planes, expected_values, "picked values, {what}");
    }
}

#[test]
fn the_first_of_equal_maxima_is_pooled_a_nan_before_all_and_minus_infinity_never_outside() {
    let sizes = [
        (2, map(37, 45, 5)),
        (19, map(9, 7, 16)),
        (1, map(64, 600, 1)),
    ];
    for (images, size) in sizes {
        // Few different numbers, some NaN, some −∞, and a plane of −∞ alone.
        let drawn = values(1, images * size.len()).into_iter().enumerate();
        let numbers = drawn.map(|(place, value)| {
            if value > 0.45 {
                f32::NAN
            } else if value < -0.4 || place % size.channels == 3 {
                f32::NEG_INFINITY
            } else {
                (value * 4.0).round()
            }
        });
        let input: Vec<f32> = numbers.collect();
        check_pooling(images, size, &window(size, [3, 3], 2, [1, 1]), &input);
        check_pooling(images, size, &window(size, [2, 2], 2, [0, 0]), &input);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(32) })]

    #[test]
    fn every_odd_window_is_pooled(
        images in 1..4usize,
        size in (1..12usize, 1..12usize, 1..6usize),
        kernel in (1..5usize, 1..5usize),
        stride in 1..5usize,
        padding in (0..4usize, 0..4usize),
    ) {
        let size = map(size.0, size.1, size.2);
        prop_assume!(padding.0 < kernel.0 && padding.1 < kernel.1);
        let window = window(size, kernel.into(), stride, padding.into());
        prop_assume!(window.checked_output().is_some());
        check_pooling(images, size, &window, &distinct(3, images * size.len()));
    }
}

#[test]
fn a_map_is_pooled_as_its_source_gives_it() {
    let (images, size) = (2, map(9, 11, 3));
    let input = values(1, images * size.len());
    let norm = ScaleShift {
        scale: vec![2.0, -1.0, 0.5],
        shift: vec![0.25, 0.5, -0.125],
    };
    let source = NormRelu {
        input: Stored { size, data: &input },
        scale: &norm.scale,
        shift: &norm.shift,
    };
    let numbers = input.iter().enumerate().map(|(place, &x)| {
        let c = place % 3;
        (f64::from(x) * f64::from(norm.scale[c]) + f64::from(norm.shift[c])).max(0.0)
    });
    let window = window(size, [3, 3], 2, [1, 1]);
    let expected = max_pool(&window, &to_nchw(images, 3, &numbers.collect::<Vec<_>>()));
    for isa in sets() {
        let mut output = vec![f32::NAN; expected.len()];
        pool_map(isa, images, &window, &source, &mut output, None);
        let got = to_nchw(images, 3, &output);
        assert_close(isa.name(), &got, &expected, TOLERANCE);
    }
}

#[test]
fn a_block_ends_in_its_norm_and_shortcut_behind_a_relu() {
    for (images, size) in [(2, map(37, 45, 5)), (11, map(9, 7, 16)), (1, map(1, 1, 3))] {
        let len = images * size.len();
        let [input, shortcut] = [1, 2].map(|salt| values(salt, len));
        let norm = |salt| ScaleShift {
            scale: values(salt, size.channels),
            shift: values(salt + 1, size.channels),
        };
        let (norm, of_shortcut) = (norm(3), norm(5));
        let normed = |norm: &ScaleShift, x: &[f32]| -> Vec<f64> {
            let at = |(place, x): (usize, f64)| {
                let c = place % size.channels;
                x * f64::from(norm.scale[c]) + f64::from(norm.shift[c])
            };
            wide(x).into_iter().enumerate().map(at).collect()
        };
        let kinds = [
            (Shortcut::Map(&shortcut), wide(&shortcut)),
            (
                Shortcut::Norm(&shortcut, &of_shortcut),
                normed(&of_shortcut, &shortcut),
            ),
        ];
        for (kind, added) in kinds {
            let sums = normed(&norm, &input).into_iter().zip(added);
            let expected: Vec<f64> = sums.map(|(y, added)| (y + added).max(0.0)).collect();
            for isa in sets() {
                let mut output = vec![f32::NAN; len];
                add_shortcut(isa, images, size, (&input, &norm), kind, &mut output);
                assert_close(&format!("{isa}, {size:?}"), &output, &expected, TOLERANCE);
            }
        }
    }
}

#[test]
fn the_mean_of_an_image_shares_its_gradient_evenly() {
    let (images, size) = (3, map(7, 5, 4));
    // Far from 0, where a sum in f32 would lose digits.
    let input: Vec<f32> = values(1, images * size.len())
        .iter()
        .map(|x| x + 4096.0)
        .collect();
    let planes = wide(&to_nchw(images, size.channels, &input));
    let means = planes
        .chunks_exact(35)
        .map(|plane| plane.iter().sum::<f64>() / 35.0);
    let mut output = vec![f32::NAN; images * size.channels];
    mean_of_places(images, size, &input, &mut output);
    assert_close("means", &output, &means.collect::<Vec<_>>(), 6e-8);

    let gradient = values(2, output.len());
    let mut spread = vec![f32::NAN; input.len()];
    spread_to_places(images, size, &gradient, &mut spread);
    let shares = to_nchw(images, size.channels, &spread);
    let expected: Vec<f64> = wide(&gradient)
        .iter()
        .flat_map(|gradient| [gradient / 35.0; 35])
        .collect();
    assert_close("shares", &shares, &expected, 1e-7);
}

#[test]
fn images_are_transposed_there_and_back() {
    let mut output = [f32::NAN; 12];
    let planes = [0., 1., 2., 10., 11., 12., 20., 21., 22., 30., 31., 32.];
    transpose_images(2, 3, &planes, &mut output);
    assert_eq!(
        output,
        [0., 10., 1., 11., 2., 12., 20., 30., 21., 31., 22., 32.]
    );
    let mut back = [f32::NAN; 12];
    transpose_images(3, 2, &output, &mut back);
    assert_eq!(back, planes);
}
