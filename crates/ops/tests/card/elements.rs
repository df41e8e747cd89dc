//! ReLU, dropout, linear layers, the loss and Adam.

use crate::desk::{agrees, card, close, inputs, normal, numbers, run, tensor};
use candle_core::{Device, Tensor, Var};
use cxr_ops::{
    AdamMoments, AdamParameters, DropoutKey, WeightDecay, adam_step, bce_with_logits, dropout,
    linear, relu,
};

#[test]
fn relu_agrees_with_the_cpu_for_every_length() {
    let Some(card) = card() else { return };
    for len in [1, 3, 16, 257, 5000] {
        let what = format!("relu of {len}");
        agrees(&what, &card.device, &inputs([&[len]]), |[x]| relu(x));
    }
}

#[test]
fn relu_keeps_what_is_no_number_and_gives_zeros_no_gradient() {
    let Some(card) = card() else { return };
    let edges = vec![
        f32::NAN,
        0.0,
        -0.0,
        f32::INFINITY,
        f32::NEG_INFINITY,
        1e-45,
        -1.0,
    ];
    let of_edges = [(edges, vec![7])];
    let bits = |results: Vec<Vec<f32>>| -> Vec<u32> {
        let canonical = |x: f32| if x.is_nan() { f32::NAN } else { x };
        results
            .concat()
            .into_iter()
            .map(|x| canonical(x).to_bits())
            .collect()
    };
    let found = bits(run(&card.device, &of_edges, |[x]| relu(x)));
    assert_eq!(found, bits(run(&Device::Cpu, &of_edges, |[x]| relu(x))));
}

#[test]
fn tensors_whose_numbers_are_not_in_order_or_begin_anywhere_are_taken() {
    let Some(card) = card() else { return };
    let shapes = inputs([&[3, 5, 7]]);
    let turned = |[x]: [&Tensor; 1]| relu(&x.transpose(0, 2)?);
    agrees("relu of a turned tensor", &card.device, &shapes, turned);
    // 35 numbers on, which is no multiple of 16 bytes.
    let part = |[x]: [&Tensor; 1]| relu(&x.narrow(0, 1, 2)?);
    agrees("relu of a part", &card.device, &shapes, part);
}

#[test]
fn dropout_drops_the_same_elements_as_on_the_cpu() {
    let Some(card) = card() else { return };
    // Longer than one stream of random numbers, and no multiple of four.
    for (len, seed, step, layer) in [
        (1, 1, 0, 0),
        (4099, 7 << 40 | 3, 70_000, 300),
        (9002, 0, 5, 65_535),
    ] {
        let key = DropoutKey { seed, step, layer };
        let of_len = inputs([&[len]]);
        let drop = |[x]: [&Tensor; 1]| dropout(x, 0.3, key);
        let expected = run(&Device::Cpu, &of_len, drop);
        assert_eq!(run(&card.device, &of_len, drop), expected, "{len}");
    }
}

#[test]
fn linear_layers_agree_with_the_cpu() {
    let Some(card) = card() else { return };
    for (rows, n_inputs, outputs) in [(1, 1, 1), (5, 7, 3), (16, 33, 14), (2, 64, 40)] {
        let (x, w): (&[usize], &[usize]) = (&[rows, n_inputs], &[outputs, n_inputs]);
        let what = format!("linear {rows} × {n_inputs} → {outputs}");
        let with_bias = inputs([x, w, &[outputs]]);
        agrees(&what, &card.device, &with_bias, |[x, w, b]| {
            linear(x, w, Some(b))
        });
        agrees(&what, &card.device, &inputs([x, w]), |[x, w]| {
            linear(x, w, None)
        });
    }
    let part = |[x, w]: [&Tensor; 2]| linear(&x.narrow(0, 1, 3)?, &w.t()?, None);
    agrees(
        "linear of a part",
        &card.device,
        &inputs([&[4, 7], &[7, 3]]),
        part,
    );
}

/// Targets, a mask and weights for [rows, 5].
fn labels(rows: usize, device: &Device) -> [Tensor; 3] {
    let drawn = normal(31, rows * 5);
    let targets = drawn
        .iter()
        .map(|&x| f32::from(x > 0.3))
        .collect::<Vec<_>>();
    let mask = drawn
        .iter()
        .map(|&x| f32::from(x > -1.0))
        .collect::<Vec<_>>();
    [
        Tensor::from_vec(targets, (rows, 5), device).unwrap(),
        Tensor::from_vec(mask, (rows, 5), device).unwrap(),
        Tensor::new(&[1f32, 0.5, 20.0, 3.0, 0.0], device).unwrap(),
    ]
}

#[test]
fn the_loss_agrees_with_the_cpu_for_extreme_logits_and_unknown_labels() {
    let Some(card) = card() else { return };
    for rows in [1, 9, 70] {
        let mut logits = normal(5, rows * 5);
        logits[..4].copy_from_slice(&[1e4, -1e4, 0.0, 40.0]);
        let of_logits = [(logits, vec![rows, 5])];
        let loss = |[x]: [&Tensor; 1]| {
            let [targets, mask, weights] = labels(rows, x.device());
            bce_with_logits(x, &targets, &mask, &weights)
        };
        agrees(
            &format!("loss of {rows} rows"),
            &card.device,
            &of_logits,
            loss,
        );
    }
}

#[test]
fn steps_of_adam_give_the_bits_of_the_cpu_for_a_part_of_a_tensor_too() {
    let Some(card) = card() else { return };
    let settings = AdamParameters {
        weight_decay: WeightDecay::Decoupled(0.1),
        ..AdamParameters::default()
    };
    let stepped = |device: &Device| {
        let variable = Var::from_tensor(&tensor(1, (4, 9), device)).unwrap();
        let mut moments = AdamMoments::zeros(36);
        for step in 1..4 {
            let gradient = tensor(step + 1, (9, 4), device).t().unwrap();
            adam_step(&variable, &gradient, &mut moments, step, &settings).unwrap();
        }
        (numbers(&variable), moments)
    };
    assert_eq!(stepped(&card.device), stepped(&Device::Cpu));
}

#[test]
fn an_operation_sees_what_candle_wrote_before_it_and_candle_what_it_wrote() {
    let Some(card) = card() else { return };
    let x = tensor(1, 100_000, &card.device);
    let doubled = (&relu(&(&x + &x).unwrap()).unwrap() * 0.5).unwrap();
    close(
        "relu among sums",
        &numbers(&doubled),
        &numbers(&relu(&x).unwrap()),
    );
}
