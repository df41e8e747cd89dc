//! What operations refuse of tensors on a card, and settings of cards.

use crate::desk::{PRECISION, card, device, normal, relative_error, run, tensor};
use candle_core::{DType, Device, Tensor};
use cxr_ops::device::{DeviceFault, Precision};
use cxr_ops::{
    Conv2dGeometry, OpError, batch_norm_train, bce_with_logits, conv2d, linear, relu,
    set_card_precision,
};
use std::sync::PoisonError;

#[track_caller]
fn lies_elsewhere<T: std::fmt::Debug>(result: cxr_ops::Result<T>, location: &str) {
    let fault = result.unwrap_err();
    assert_eq!(fault.code(), "N005", "{fault}");
    assert_eq!(fault.location().as_deref(), Some(location));
    assert!(fault.help().is_some_and(|help| help.contains("CUDA")));
}

#[test]
fn tensors_on_different_devices_are_refused_with_the_one_that_lies_elsewhere() {
    let Some(card) = card() else { return };
    let here = |shape: &[usize]| tensor(1, shape, &card.device);
    let elsewhere = |shape: &[usize]| tensor(1, shape, &Device::Cpu);
    let plain = Conv2dGeometry::default();
    let (x, k) = (here(&[1, 2, 4, 5]), here(&[3, 2, 2, 2]));
    let conv = conv2d(&x, &elsewhere(&[3, 2, 2, 2]), None, plain);
    lies_elsewhere(conv, "conv2d, `weight`");
    let conv = conv2d(&x, &k, Some(&elsewhere(&[3])), plain);
    lies_elsewhere(conv, "conv2d, `bias`");
    let norm = batch_norm_train(&x, &here(&[2]), &elsewhere(&[2]), 1e-5);
    lies_elsewhere(norm, "batch_norm_train, `bias`");
    let product = linear(&elsewhere(&[2, 3]), &here(&[4, 3]), None);
    lies_elsewhere(product, "linear, `weight`");
    let ones = Tensor::ones((2, 3), DType::F32, &Device::Cpu).unwrap();
    let loss = bce_with_logits(&here(&[2, 3]), &ones, &ones, &here(&[3]));
    lies_elsewhere(loss, "bce_with_logits, `targets`");
}

#[test]
fn what_is_refused_on_the_cpu_is_refused_on_a_card() {
    let Some(card) = card() else { return };
    let bytes = Tensor::zeros(3, DType::U8, &card.device).unwrap();
    assert_eq!(relu(&bytes).unwrap_err().code(), "N004");
    let image = tensor(1, (1, 2, 4, 5), &card.device);
    let kernel = tensor(1, (3, 1, 2, 2), &card.device);
    let conv = conv2d(&image, &kernel, None, Conv2dGeometry::default());
    assert_eq!(conv.unwrap_err().code(), "N002");
    let logits = tensor(1, (1, 2), &card.device);
    let mask = Tensor::new(&[[1f32, 0.5]], &card.device).unwrap();
    let (zeros, weights) = (mask.zeros_like().unwrap(), tensor(1, 2, &card.device));
    match bce_with_logits(&logits, &zeros, &mask, &weights) {
        Err(OpError::Cell { finding_index, .. }) => assert_eq!(finding_index, 1),
        other => panic!("{other:?}"),
    }
}

#[test]
fn tf32_is_less_exact_and_f32_comes_back() {
    let _mine = PRECISION.write().unwrap_or_else(PoisonError::into_inner);
    let Some(device) = device() else { return };
    let of_map = [
        (normal(1, 2 * 16 * 6 * 5), vec![2, 16, 6, 5]),
        (normal(2, 8 * 16 * 9), vec![8, 16, 3, 3]),
    ];
    let conv = |[x, k]: [&Tensor; 2]| conv2d(x, k, None, Conv2dGeometry::default());
    let exact = run(&Device::Cpu, &of_map, conv);
    let errors = || -> Vec<f64> {
        let found = run(&device, &of_map, conv);
        let pairs = found.iter().zip(&exact);
        pairs
            .map(|(found, exact)| relative_error(found, exact))
            .collect()
    };
    set_card_precision(Precision::Tf32).unwrap();
    let in_tf32 = errors();
    set_card_precision(Precision::F32).unwrap();
    assert!(
        in_tf32.iter().all(|error| (1e-5..2e-3).contains(error)),
        "{in_tf32:?}"
    );
    let in_f32 = errors();
    assert!(in_f32.iter().all(|&error| error < 1e-6), "{in_f32:?}");
}

#[test]
fn bf16_is_no_precision_of_tensors() {
    let fault = set_card_precision(Precision::Bf16).unwrap_err();
    assert!(matches!(fault, DeviceFault::Shape { .. }), "{fault}");
    assert!(fault.to_string().contains("tf32"), "{fault}");
}
