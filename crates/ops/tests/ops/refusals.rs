//! What each operation refuses, and how it says so.

use crate::tensors::{tensor, var};
use candle_core::{DType, Device, Tensor};
use cxr_ops::{
    Conv2dGeometry, DropoutKey, OpError, Pool2dGeometry, avg_pool_global, batch_norm_eval,
    batch_norm_train, bce_with_logits, conv2d, dropout, linear, max_pool2d, relu,
};

fn zeros(shape: &[usize]) -> Tensor {
    Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap()
}

#[track_caller]
fn refused<T: std::fmt::Debug>(
    result: Result<T, OpError>,
    code: &str,
    location: &str,
    value: &str,
) {
    let fault = result.unwrap_err();
    assert_eq!(fault.code(), code, "{fault}");
    assert_eq!(fault.location().as_deref().unwrap_or_default(), location);
    assert_eq!(fault.value().as_deref().unwrap_or_default(), value);
    assert!(fault.help().is_some(), "{fault:?} has no help");
    assert!(!fault.to_string().contains('\n'));
}

#[test]
fn convolutions_that_do_not_fit_are_refused_with_input_and_shape() {
    let (x, w) = (zeros(&[2, 3, 9, 8]), zeros(&[5, 3, 3, 3]));
    let plain = Conv2dGeometry::default();
    let conv = |x: &Tensor, w: &Tensor, g| conv2d(x, w, None, g);
    refused(
        conv(&zeros(&[3, 9, 8]), &w, plain),
        "N001",
        "conv2d, `input`",
        "[3, 9, 8]",
    );
    refused(
        conv(&x, &zeros(&[5, 3, 3]), plain),
        "N001",
        "conv2d, `weight`",
        "[5, 3, 3]",
    );
    refused(
        conv(&x, &zeros(&[5, 4, 3, 3]), plain),
        "N002",
        "conv2d, `weight`",
        "[5, 4, 3, 3]",
    );
    let bias = zeros(&[4]);
    refused(
        conv2d(&x, &w, Some(&bias), plain),
        "N002",
        "conv2d, `bias`",
        "[4]",
    );
    refused(
        conv(&zeros(&[0, 3, 9, 8]), &w, plain),
        "N003",
        "conv2d, `input`",
        "[0, 3, 9, 8]",
    );
    let wide = x.to_dtype(DType::F64).unwrap();
    refused(conv(&wide, &w, plain), "N004", "conv2d, `input`", "F64");
    let still = Conv2dGeometry {
        stride: 0,
        padding: 1,
    };
    refused(conv(&x, &w, still), "N006", "conv2d, `stride`", "0");
    let small = zeros(&[2, 3, 2, 8]);
    refused(
        conv(&small, &w, plain),
        "N006",
        "conv2d, `kernel`",
        "kernel [3, 3] over [2, 8] padded by 0",
    );
}

#[test]
fn pools_that_do_not_fit_are_refused() {
    let x = zeros(&[1, 1, 4, 5]);
    let pool = |kernel, stride, padding| {
        max_pool2d(
            &x,
            Pool2dGeometry {
                kernel,
                stride,
                padding,
            },
        )
    };
    refused(pool(0, 1, 0), "N006", "max_pool2d, `kernel`", "0");
    refused(pool(257, 1, 0), "N006", "max_pool2d, `kernel`", "257");
    refused(pool(2, 1, 2), "N006", "max_pool2d, `padding`", "2");
    refused(pool(2, 0, 0), "N006", "max_pool2d, `stride`", "0");
    refused(
        pool(5, 1, 0),
        "N006",
        "max_pool2d, `kernel`",
        "kernel [5, 5] over [4, 5] padded by 0",
    );
    refused(
        avg_pool_global(&zeros(&[2, 3])),
        "N001",
        "avg_pool_global, `input`",
        "[2, 3]",
    );
    refused(relu(&zeros(&[0])), "N003", "relu, `input`", "[0]");
}

#[test]
fn linear_layers_that_do_not_fit_are_refused() {
    let (x, w) = (zeros(&[2, 3]), zeros(&[4, 3]));
    refused(
        linear(&zeros(&[3]), &w, None),
        "N001",
        "linear, `input`",
        "[3]",
    );
    refused(
        linear(&x, &zeros(&[4, 2]), None),
        "N002",
        "linear, `weight`",
        "[4, 2]",
    );
    refused(
        linear(&x, &w, Some(&zeros(&[3]))),
        "N002",
        "linear, `bias`",
        "[3]",
    );
}

#[test]
fn norms_without_a_variance_are_refused() {
    let (one, zero) = (zeros(&[3]), zeros(&[3]));
    let train = |x: &[usize], epsilon| batch_norm_train(&zeros(x), &one, &zero, epsilon);
    refused(train(&[1, 3, 1, 1], 1e-5), "N012", "", "[1, 3, 1, 1]");
    refused(
        train(&[2, 4, 1, 1], 1e-5),
        "N002",
        "batch_norm_train, `weight`",
        "[3]",
    );
    refused(
        train(&[2, 3, 2, 2], 0.0),
        "N013",
        "batch_norm_train, `epsilon`",
        "0",
    );
    let x = zeros(&[1, 3, 1, 1]);
    let eval = |mean: &[f32], var: &[f32]| batch_norm_eval(&x, &one, &zero, [mean, var], 1e-5);
    assert!(eval(&[0.0; 3], &[1.0; 3]).is_ok());
    refused(
        eval(&[0.0; 2], &[1.0; 3]),
        "N014",
        "batch_norm_eval, `mean`",
        "2",
    );
    refused(
        eval(&[0.0; 3], &[1.0; 4]),
        "N014",
        "batch_norm_eval, `variance`",
        "4",
    );
    refused(
        eval(&[0.0; 3], &[1.0, -0.5, 1.0]),
        "N013",
        "batch_norm_eval, `variance`",
        "-0.5",
    );
}

#[test]
fn dropout_refuses_bad_probabilities_and_keys_that_would_repeat() {
    let x = zeros(&[4]);
    let key = DropoutKey {
        seed: 1,
        step: 1,
        layer: 1,
    };
    refused(dropout(&x, 1.0, key), "N007", "", "1");
    refused(dropout(&x, f64::NAN, key), "N007", "", "NaN");
    refused(
        dropout(
            &x,
            0.5,
            DropoutKey {
                step: 1 << 24,
                ..key
            },
        ),
        "N008",
        "",
        "16777216",
    );
    refused(
        dropout(
            &x,
            0.5,
            DropoutKey {
                layer: 1 << 16,
                ..key
            },
        ),
        "N008",
        "",
        "65536",
    );
}

#[test]
fn losses_over_bad_cells_are_refused_with_row_and_finding() {
    let z = zeros(&[2, 3]);
    let ones = tensor(&[1.0; 6], (2, 3));
    let weights = tensor(&[1.0; 3], 3);
    let nothing = zeros(&[2, 3]);
    refused(
        bce_with_logits(&z, &ones, &nothing, &weights),
        "N009",
        "",
        "[2, 3]",
    );
    let targets = tensor(&[1.0, 0.0, 0.0, 0.0, -1.0, 0.0], (2, 3));
    let place = "bce_with_logits, `targets`, row 1 of the batch, finding 1";
    refused(
        bce_with_logits(&z, &targets, &ones, &weights),
        "N010",
        place,
        "-1",
    );
    let mask = tensor(&[1.0, 1.0, 0.5, 1.0, 1.0, 1.0], (2, 3));
    let place = "bce_with_logits, `mask`, row 0 of the batch, finding 2";
    refused(
        bce_with_logits(&z, &ones, &mask, &weights),
        "N010",
        place,
        "0.5",
    );
    let infinite = tensor(&[1.0, f32::INFINITY, 1.0], 3);
    let place = "bce_with_logits, `pos_weight`, finding 1";
    refused(
        bce_with_logits(&z, &ones, &ones, &infinite),
        "N011",
        place,
        "inf",
    );
    let short = tensor(&[1.0; 2], 2);
    refused(
        bce_with_logits(&z, &ones, &ones, &short),
        "N002",
        "bce_with_logits, `pos_weight`",
        "[2]",
    );
}

#[test]
fn every_code_has_a_section_in_the_guide() {
    let guide = include_str!("../../../../docs/errors/ops.md");
    let codes = (1..=14)
        .chain([99])
        .map(|number| format!("## N{number:03} "));
    for heading in codes {
        assert_eq!(guide.matches(&heading).count(), 1, "{heading}");
    }
}

#[test]
fn a_fault_goes_through_candles_error_and_keeps_its_words() {
    let fault = dropout(
        &zeros(&[4]),
        2.0,
        DropoutKey {
            seed: 1,
            step: 1,
            layer: 1,
        },
    )
    .unwrap_err();
    let words = fault.to_string();
    let candle: candle_core::Error = fault.into();
    assert!(candle.to_string().contains(&words));
    let back = OpError::from(candle);
    assert_eq!((back.code(), back.exit_code()), ("N099", 1));
    assert!(
        back.value()
            .is_some_and(|value| value.contains("probability"))
    );
}

#[test]
fn exit_codes_tell_data_from_settings_from_bugs() {
    let x = var(&[1.0; 4], (1, 1, 2, 2));
    let pool = Pool2dGeometry {
        kernel: 9,
        stride: 1,
        padding: 0,
    };
    assert_eq!(max_pool2d(&x, pool).unwrap_err().exit_code(), 2);
    assert_eq!(avg_pool_global(&zeros(&[2, 3])).unwrap_err().exit_code(), 1);
    let (z, m, w) = (zeros(&[1, 1]), zeros(&[1, 1]), zeros(&[1]));
    assert_eq!(bce_with_logits(&z, &z, &m, &w).unwrap_err().exit_code(), 3);
}
