//! Convolutions, batch norms and pooling.

use crate::desk::{Card, agrees, card, close, inputs, normal, run, tensor};
use candle_core::{Device, Tensor};
use cxr_ops::{
    Conv2dGeometry, Pool2dGeometry, avg_pool_global, batch_norm_eval, batch_norm_train, conv2d,
    max_pool2d,
};

/// Images, channels, height, width; outputs, kernel height and width; stride, padding.
type Case = ([usize; 4], [usize; 3], [usize; 2]);

const CONVOLUTIONS: [Case; 8] = [
    ([1, 1, 5, 7], [3, 3, 3], [1, 1]),
    ([2, 3, 9, 6], [5, 3, 3], [2, 1]),
    ([2, 4, 6, 8], [16, 1, 1], [1, 0]),
    ([3, 5, 8, 3], [8, 2, 3], [1, 1]),
    ([1, 16, 7, 5], [1, 5, 5], [2, 2]),
    ([2, 8, 4, 9], [8, 3, 3], [3, 0]),
    // More channels and places than a tile has.
    ([2, 37, 6, 7], [41, 3, 3], [1, 1]),
    // The kernel covers the whole map.
    ([2, 3, 4, 5], [2, 4, 5], [1, 0]),
];

#[test]
fn convolutions_agree_with_the_cpu() {
    let Some(card) = card() else { return };
    for ([n, c, h, w], [o, kh, kw], [stride, padding]) in CONVOLUTIONS {
        let geometry = Conv2dGeometry { stride, padding };
        let (x, k): (&[usize], &[usize]) = (&[n, c, h, w], &[o, c, kh, kw]);
        let what = format!("{x:?} ⋆ {k:?}, {geometry:?}");
        let conv = |[x, k, b]: [&Tensor; 3]| conv2d(x, k, Some(b), geometry);
        agrees(&what, &card.device, &inputs([x, k, &[o]]), conv);
        let conv = |[x, k]: [&Tensor; 2]| conv2d(x, k, None, geometry);
        agrees(&what, &card.device, &inputs([x, k]), conv);
    }
}

#[test]
fn convolutions_take_tensors_whose_numbers_are_not_in_order() {
    let Some(card) = card() else { return };
    let conv = |[x, k]: [&Tensor; 2]| {
        let (x, k) = (x.permute((0, 3, 1, 2))?, k.narrow(0, 1, 3)?);
        conv2d(&x, &k, None, Conv2dGeometry::default())
    };
    let of_rows = inputs([&[2, 6, 7, 5], &[4, 5, 3, 3]]);
    agrees("rows of channels", &card.device, &of_rows, conv);
}

#[test]
fn a_gradient_that_is_not_wanted_is_not_made() {
    let Some(card) = card() else { return };
    let image = tensor(7, (2, 3, 6, 5), &card.device);
    let conv = |[k]: [&Tensor; 1]| {
        let image = image.to_device(k.device())?;
        conv2d(&image, k, None, Conv2dGeometry::default())
    };
    agrees(
        "a fixed image",
        &card.device,
        &inputs([&[4, 3, 3, 3]]),
        conv,
    );
    let kernel = tensor(7, (4, 3, 3, 3), &card.device);
    let conv = |[x]: [&Tensor; 1]| {
        let kernel = kernel.to_device(x.device())?;
        conv2d(x, &kernel, None, Conv2dGeometry::default())
    };
    agrees(
        "a fixed kernel",
        &card.device,
        &inputs([&[2, 3, 6, 5]]),
        conv,
    );
}

const MAPS: [[usize; 4]; 6] = [
    [2, 1, 3, 5],
    [1, 3, 4, 7],
    [3, 5, 1, 2],
    [4, 16, 6, 5],
    [2, 3, 23, 31],
    [2, 40, 1, 1],
];

#[test]
fn batch_norms_in_training_agree_with_the_cpu() {
    let Some(Card { device, .. }) = &card() else {
        return;
    };
    for [n, c, h, w] in MAPS {
        let mut of_map = inputs([&[n, c, h, w], &[c], &[c]]);
        // A mean far from 0 takes sums that do not cancel.
        of_map[0].0.iter_mut().for_each(|x| *x = *x * 3.0 + 100.0);
        let norm = |[x, g, b]: [&Tensor; 3]| Ok(batch_norm_train(x, g, b, 1e-5)?.y);
        agrees(
            &format!("norm of {:?}", [n, c, h, w]),
            device,
            &of_map,
            norm,
        );
        let moments = |device: &Device| {
            let [x, g, b] = of_map.each_ref().map(|(numbers, shape)| {
                Tensor::from_slice(numbers, shape.as_slice(), device).unwrap()
            });
            let output = batch_norm_train(&x, &g, &b, 1e-5).unwrap();
            (output.mean, output.var_unbiased)
        };
        let ((mean, variance), (cpu_mean, cpu_variance)) = (moments(device), moments(&Device::Cpu));
        close("the mean", &mean, &cpu_mean);
        close("the variance", &variance, &cpu_variance);
    }
}

#[test]
fn batch_norms_in_evaluation_agree_with_the_cpu() {
    let Some(card) = card() else { return };
    for [n, c, h, w] in MAPS {
        let (mean, variance) = (normal(8, c), normal(9, c));
        let variance: Vec<f32> = variance.into_iter().map(f32::abs).collect();
        let norm = |[x, g, b]: [&Tensor; 3]| batch_norm_eval(x, g, b, [&mean, &variance], 1e-3);
        let of_map = inputs([&[n, c, h, w], &[c], &[c]]);
        agrees(
            &format!("norm of {:?}", [n, c, h, w]),
            &card.device,
            &of_map,
            norm,
        );
    }
}

#[test]
fn one_number_that_is_none_spoils_the_same_channels_as_on_the_cpu() {
    let Some(card) = card() else { return };
    let mut of_map = inputs([&[2, 3, 4, 5], &[3], &[3]]);
    of_map[0].0[25] = f32::NAN;
    let norm = |[x, g, b]: [&Tensor; 3]| Ok(batch_norm_train(x, g, b, 1e-5)?.y);
    let found = run(&card.device, &of_map, norm);
    let expected = run(&Device::Cpu, &of_map, norm);
    let spoilt = |results: &[Vec<f32>]| -> Vec<bool> {
        results.concat().into_iter().map(f32::is_nan).collect()
    };
    assert!(spoilt(&expected).contains(&true) && spoilt(&expected).contains(&false));
    assert_eq!(spoilt(&found), spoilt(&expected));
}

const POOLS: [(usize, usize, usize); 6] = [
    (2, 2, 0),
    (3, 2, 1),
    (3, 1, 1),
    (1, 2, 0),
    (4, 3, 2),
    (17, 1, 16),
];

#[test]
fn max_pools_agree_with_the_cpu_for_numbers_of_either_sign_and_for_equal_ones() {
    let Some(card) = card() else { return };
    for (kernel, stride, padding) in POOLS {
        let geometry = Pool2dGeometry {
            kernel,
            stride,
            padding,
        };
        for shape in [[1, 1, 7, 4], [2, 3, 6, 9], [3, 5, 5, 8]] {
            let mut of_map = inputs([&shape]);
            let what = format!("{geometry:?} over {shape:?}");
            let pool = |[x]: [&Tensor; 1]| max_pool2d(x, geometry);
            agrees(&what, &card.device, &of_map, pool);
            of_map[0].0.iter_mut().for_each(|x| *x = x.round() - 3.0);
            agrees(
                &format!("{what}, equal numbers"),
                &card.device,
                &of_map,
                pool,
            );
        }
    }
}

#[test]
fn max_pools_pick_what_is_no_number_and_places_of_minus_infinity_as_the_cpu_does() {
    let Some(card) = card() else { return };
    let mut of_map = inputs([&[1, 2, 6, 5]]);
    of_map[0].0[..12].fill(f32::NEG_INFINITY);
    of_map[0].0[40] = f32::NAN;
    of_map[0].0[41] = f32::NAN;
    let geometry = Pool2dGeometry {
        kernel: 3,
        stride: 2,
        padding: 1,
    };
    let bits = |device: &Device| -> Vec<u32> {
        let results = run(device, &of_map, |[x]| max_pool2d(x, geometry));
        let canonical = |x: f32| if x.is_nan() { f32::NAN } else { x };
        results
            .concat()
            .into_iter()
            .map(|x| canonical(x).to_bits())
            .collect()
    };
    assert_eq!(bits(&card.device), bits(&Device::Cpu));
}

#[test]
fn means_of_planes_agree_with_the_cpu() {
    let Some(card) = card() else { return };
    for shape in MAPS {
        let what = format!("means of {shape:?}");
        agrees(&what, &card.device, &inputs([&shape]), |[x]| {
            avg_pool_global(x)
        });
    }
}

#[test]
fn the_same_numbers_give_the_same_bits() {
    let Some(card) = card() else { return };
    let of_map = inputs([&[3, 5, 9, 8], &[6, 5, 3, 3], &[6]]);
    let layer = |[x, k, b]: [&Tensor; 3]| {
        let map = conv2d(
            x,
            k,
            Some(b),
            Conv2dGeometry {
                stride: 1,
                padding: 1,
            },
        )?;
        Ok(batch_norm_train(&map, b, b, 1e-5)?.y)
    };
    let first = run(&card.device, &of_map, layer);
    assert_eq!(run(&card.device, &of_map, layer), first);
}
