//! The loss against its definition in f64, at ordinary and extreme logits.

use crate::reference::{assert_close, difference_gradient, values, wide};
use crate::tensors::{gradient, tensor, var};
use cxr_ops::bce_with_logits;
use proptest::prelude::*;

/// −w·t·ln σ(z) − (1−t)·ln(1−σ(z)) with ln σ(z) written so that f64 keeps all digits.
fn cell(logit: f64, target: f64, weight: f64) -> f64 {
    let log_sigmoid = |z: f64| {
        if z < 0.0 {
            z - z.exp().ln_1p()
        } else {
            -(-z).exp().ln_1p()
        }
    };
    -weight * target * log_sigmoid(logit) - (1.0 - target) * log_sigmoid(-logit)
}

fn sigmoid(logit: f64) -> f64 {
    1.0 / (1.0 + (-logit).exp())
}

fn loss_and_gradient(
    logits: &[f32],
    targets: &[f32],
    mask: &[f32],
    pos_weight: &[f32],
) -> (f32, Vec<f32>) {
    let findings = pos_weight.len();
    let shape = (logits.len() / findings, findings);
    let z = var(logits, shape);
    let [t, m] = [targets, mask].map(|numbers| tensor(numbers, shape));
    let loss = bce_with_logits(&z, &t, &m, &tensor(pos_weight, findings)).unwrap();
    let gradients = loss.backward().unwrap();
    (loss.to_scalar().unwrap(), gradient(&gradients, &z))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn loss_and_gradient_equal_the_definition(
        rows in 1..6usize,
        findings in 1..5usize,
        spread in prop::sample::select(vec![1.0f32, 40.0, 2e4]),
        salt in 0..1000u32,
    ) {
        let n = rows * findings;
        let logits: Vec<f32> = values(salt, n).iter().map(|v| v * spread).collect();
        let targets: Vec<f32> = values(salt + 1, n).iter().map(|&v| if v > 0.2 { v + 0.5 } else { f32::from(v > 0.0) }).collect();
        let mut mask: Vec<f32> = values(salt + 2, n).iter().map(|&v| f32::from(v > -0.2)).collect();
        mask[salt as usize % n] = 1.0;
        let weights: Vec<f32> = values(salt + 3, findings).iter().map(|v| 5.0 + 9.0 * v).collect();
        let known: f64 = wide(&mask).iter().sum();
        let reference = |logits: &[f64]| -> Vec<f64> {
            let of = |i: usize| cell(logits[i], targets[i].into(), weights[i % findings].into()) * f64::from(mask[i]);
            vec![(0..n).map(of).sum::<f64>() / known]
        };
        let (loss, gradient) = loss_and_gradient(&logits, &targets, &mask, &weights);
        let expected = reference(&wide(&logits));
        assert_close("loss", &[loss], &expected, 1e-6);
        let slope = |i: usize| {
            let (z, t, w): (f64, f64, f64) = (logits[i].into(), targets[i].into(), weights[i % findings].into());
            f64::from(mask[i]) / known * ((1.0 - t) * sigmoid(z) - w * t * sigmoid(-z))
        };
        let expected: Vec<f64> = (0..n).map(slope).collect();
        assert_close("gradient", &gradient, &expected, 1e-6);
        if spread < 2.0 {
            let by_differences = difference_gradient(&wide(&logits), &[1.0], 1e-5, reference);
            assert_close("gradient by differences", &gradient, &by_differences, 1e-6);
        }
    }
}

#[test]
fn extreme_logits_give_finite_exact_losses() {
    let logits = [1e4, -1e4, 1e4, -1e4, 17.0, 20.0, 88.0, -104.0];
    let targets = [1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];
    let ones = [1.0; 8];
    for (place, expected) in [0.0, 0.0, 1e4, 1e4, 17.0 + 4.1e-8, 20.0, 88.0, 104.0]
        .into_iter()
        .enumerate()
    {
        let (loss, gradient) = loss_and_gradient(
            &logits[place..=place],
            &targets[place..=place],
            &[1.0],
            &[1.0],
        );
        assert_close("loss", &[loss], &[expected], 1e-7);
        let sign = [0.0, 0.0, 1.0, -1.0, 1.0, 1.0, 1.0, -1.0][place];
        assert_close("gradient", &gradient, &[sign], 1e-6);
    }
    let (loss, gradient) = loss_and_gradient(&logits, &targets, &ones, &[1.0]);
    assert!(loss.is_finite() && gradient.iter().all(|g| g.is_finite()));
}

#[test]
fn a_tiny_loss_keeps_its_digits() {
    let (loss, gradient) = loss_and_gradient(&[40.0], &[1.0], &[1.0], &[1.0]);
    let expected = (-40f64).exp();
    assert!((f64::from(loss) / expected - 1.0).abs() < 1e-6);
    assert!((f64::from(gradient[0]) / -expected - 1.0).abs() < 1e-6);
}

#[test]
fn the_mean_is_over_known_cells_and_unknown_ones_may_hold_anything() {
    let full = loss_and_gradient(&[0.5, -1.0], &[1.0, 0.0], &[1.0, 1.0], &[2.0]);
    let masked = loss_and_gradient(
        &[0.5, 99.0, -1.0],
        &[1.0, f32::NAN, 0.0],
        &[1.0, 0.0, 1.0],
        &[2.0],
    );
    assert_eq!(masked.0, full.0);
    assert_eq!(masked.1, [full.1[0], 0.0, full.1[1]]);
    let unknown_nan = loss_and_gradient(
        &[0.5, f32::NAN, -1.0],
        &[1.0, 0.0, 0.0],
        &[1.0, 0.0, 1.0],
        &[2.0],
    );
    assert_eq!(unknown_nan, masked);
}

#[test]
fn a_logit_that_is_not_a_number_reaches_the_loss() {
    let (loss, gradient) = loss_and_gradient(&[0.5, f32::NAN], &[1.0, 0.0], &[1.0, 1.0], &[1.0]);
    assert!(loss.is_nan() && gradient[1].is_nan());
}

#[test]
fn a_gradient_from_above_scales_the_gradient() {
    let z = var(&[0.5, -1.0], (1, 2));
    let ones = tensor(&[1.0, 1.0], (1, 2));
    let loss = bce_with_logits(&z, &ones, &ones, &tensor(&[1.0, 3.0], 2)).unwrap();
    let plain = gradient(&loss.backward().unwrap(), &z);
    let scaled = gradient(&(loss * 4.0).unwrap().backward().unwrap(), &z);
    assert_eq!(scaled, plain.iter().map(|g| g * 4.0).collect::<Vec<_>>());
}
