//! The reference's loss, size of gradients and steps of Adam against the CPU's.

use cxr_ops::device::{AdamFactors, Device, Numbers, Part, Reference};
use cxr_ops::kernels::{adam, bce};
use cxr_ops::{AdamParameters, WeightDecay};

use super::numbers::{assert_close, normal, poisoned};

const DEVICE: Reference<f32> = Reference::new();
const ROWS: usize = 5;
const FINDINGS: usize = 3;
const CELLS: usize = ROWS * FINDINGS;

/// Loss and gradient on both sides.
fn losses(mask: &Numbers<f32>) -> [(f32, Vec<f32>); 2] {
    let mut logits: Numbers<f32> = normal(1, CELLS);
    logits.as_mut_slice()[3] = 200.0;
    logits.as_mut_slice()[4] = -1e4;
    let targets: Vec<f32> = (0..CELLS).map(|cell| (cell % 4) as f32 / 3.0).collect();
    let (targets, weights) = (Numbers::from(targets), Numbers::from(vec![1.0, 8.5, 0.25]));
    let (mut gradient, mut outcome) = (poisoned(CELLS), poisoned(2));
    DEVICE
        .bce(
            ROWS,
            FINDINGS,
            &logits,
            &targets,
            mask,
            &weights,
            &mut gradient,
            &mut outcome,
        )
        .unwrap();
    let cells = bce::Cells {
        logits: logits.as_slice(),
        targets: targets.as_slice(),
        mask: mask.as_slice(),
        pos_weight: weights.as_slice(),
    };
    let (sum, known) = bce::loss_sum(&cells);
    let mut expected = vec![f32::NAN; CELLS];
    bce::logit_gradient(&cells, 1.0 / known as f64, &mut expected);
    let loss = (sum / known as f64) as f32;
    [
        (outcome.as_slice()[0], gradient.as_slice().to_vec()),
        (loss, expected),
    ]
}

#[test]
fn the_loss_is_that_of_the_cpu_over_the_known_labels() {
    let mask = Numbers::from(
        (0..CELLS)
            .map(|cell| f32::from(u8::from(cell % 5 != 1)))
            .collect::<Vec<_>>(),
    );
    let [got, expected] = losses(&mask);
    assert_eq!(got.0.to_bits(), expected.0.to_bits());
    assert_close("gradient", &got.1, &expected.1);
    assert_eq!(got.1[1].to_bits(), 0);
}

#[test]
fn without_a_known_label_the_loss_is_not_a_number_and_the_gradient_0() {
    let [(loss, gradient), _] = losses(&Numbers::from(vec![0.0; CELLS]));
    assert!(loss.is_nan());
    assert_eq!(gradient, [0.0; CELLS]);
}

#[test]
fn the_size_of_the_gradients_counts_the_first_numbers_of_both_arenas() {
    let weights = Numbers::from(vec![3.0, 1.0, 100.0]);
    let vectors = Numbers::from(vec![-1.0, 5.0, f32::NAN]);
    let mut outcome = poisoned(2);
    DEVICE
        .gradient_norm((&weights, 2), (&vectors, 2), &mut outcome)
        .unwrap();
    assert_close("size", &outcome.as_slice()[1..], &[6.0]);
    assert!(outcome.as_slice()[0].is_nan());
}

#[test]
fn steps_of_adam_have_the_bits_of_the_cpu() {
    let part = Part { start: 3, len: 37 };
    for weight_decay in [WeightDecay::Coupled(0.1), WeightDecay::Decoupled(0.3)] {
        let settings = AdamParameters {
            learning_rate: 0.05,
            weight_decay,
            ..AdamParameters::default()
        };
        let mut master: Numbers<f32> = normal(2, 40);
        let (mut mean, mut square) = (Numbers::from(vec![0.0; 40]), Numbers::from(vec![0.0; 40]));
        let mut weights = poisoned(40);
        let mut expected = [
            master.as_slice()[3..].to_vec(),
            vec![0.0; 37],
            vec![0.0; 37],
        ];
        for step in 1..5 {
            let gradients: Numbers<f32> = normal(10 + step, 40);
            let factors = Numbers::from(AdamFactors::new(step, &settings).as_slice().to_vec());
            DEVICE
                .adam_weights(
                    part,
                    &factors,
                    &Numbers::from(vec![0.5, 2.0]),
                    &gradients,
                    &mut master,
                    &mut mean,
                    &mut square,
                    &mut weights,
                )
                .unwrap();
            let [parameter, mean, square] = &mut expected;
            let gradient = &gradients.as_slice()[3..];
            adam::update(parameter, gradient, mean, square, step, &settings);
        }
        let bits = |numbers: &[f32]| numbers.iter().map(|n| n.to_bits()).collect::<Vec<_>>();
        for (got, expected) in [&master, &mean, &square].into_iter().zip(&expected) {
            assert_eq!(
                bits(&got.as_slice()[3..]),
                bits(expected),
                "{weight_decay:?}"
            );
        }
        assert_eq!(bits(&weights.as_slice()[3..]), bits(&expected[0]));
        assert!(weights.as_slice()[..3].iter().all(|number| number.is_nan()));
    }
}

#[test]
fn vectors_move_as_weights_do_and_neither_where_the_outcome_is_not_finite() {
    let part = Part { start: 1, len: 9 };
    let factors = AdamFactors::new(2, &AdamParameters::default());
    let factors = Numbers::from(factors.as_slice().to_vec());
    let gradients: Numbers<f32> = normal(3, 10);
    for (outcome, moves) in [
        ([1.0, 2.0], true),
        ([f32::NAN, 2.0], false),
        ([1.0, f32::INFINITY], false),
    ] {
        let start = [normal(4, 10), normal(5, 10), Numbers::from(vec![0.5; 10])];
        let (mut of_vectors, mut of_weights) = (start.clone(), start.clone());
        let outcome = Numbers::from(outcome.to_vec());
        let mut weights = start[0].clone();
        let [vectors, mean, square] = &mut of_vectors;
        DEVICE
            .adam_vectors(part, &factors, &outcome, &gradients, vectors, mean, square)
            .unwrap();
        let [master, mean, square] = &mut of_weights;
        DEVICE
            .adam_weights(
                part,
                &factors,
                &outcome,
                &gradients,
                master,
                mean,
                square,
                &mut weights,
            )
            .unwrap();
        assert_eq!(of_vectors, of_weights);
        assert_eq!(weights, of_weights[0]);
        assert_eq!(of_vectors != start, moves, "{outcome:?}");
    }
}
