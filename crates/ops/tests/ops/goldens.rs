//! PyTorch's own numbers (fixtures/golden/ops.json, made by ops.py beside it).

use crate::reference::{assert_close, values};
use crate::tensors::{backward, gradient, numbers, tensor, var};
use candle_core::Var;
use cxr_ops::{
    AdamMoments, AdamParameters, Conv2dGeometry, Pool2dGeometry, WeightDecay, adam_step,
    avg_pool_global, batch_norm_eval, batch_norm_train, bce_with_logits, conv2d, linear,
    max_pool2d, relu,
};
use serde_json::Value;

/// Both sides are f32 with sums in different orders.
const TOLERANCE: f64 = 2e-6;

fn cases(operation: &str) -> Vec<Value> {
    let golden: Value =
        serde_json::from_str(include_str!("../../../../fixtures/golden/ops.json")).unwrap();
    golden[operation].as_array().unwrap().clone()
}

fn floats(value: &Value) -> Vec<f64> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|number| number.as_f64().unwrap())
        .collect()
}

fn size(value: &Value) -> usize {
    value.as_u64().unwrap() as usize
}

fn sizes(value: &Value) -> Vec<usize> {
    value.as_array().unwrap().iter().map(size).collect()
}

fn leaf(salt: u32, shape: &[usize]) -> Var {
    var(&values(salt, shape.iter().product()), shape)
}

/// Compares the output and the gradient of each named input.
fn compare(case: &Value, output: &candle_core::Tensor, inputs: &[(&str, &Var)]) {
    assert_close(
        "output",
        &numbers(output),
        &floats(&case["output"]),
        TOLERANCE,
    );
    let gradients = backward(output, &values(9, output.elem_count()));
    for (name, input) in inputs {
        assert_close(
            name,
            &gradient(&gradients, input),
            &floats(&case[name]),
            TOLERANCE,
        );
    }
}

#[test]
fn convolutions_equal_pytorchs() {
    for case in cases("conv") {
        let x = leaf(1, &sizes(&case["input_shape"]));
        let w = leaf(2, &sizes(&case["weight_shape"]));
        let geometry = Conv2dGeometry {
            stride: size(&case["stride"]),
            padding: size(&case["padding"]),
        };
        if case["has_bias"] == true {
            let b = leaf(3, &w.dims()[..1]);
            let output = conv2d(&x, &w, Some(&b), geometry).unwrap();
            compare(
                &case,
                &output,
                &[("input", &x), ("weight", &w), ("bias", &b)],
            );
        } else {
            let output = conv2d(&x, &w, None, geometry).unwrap();
            compare(&case, &output, &[("input", &x), ("weight", &w)]);
        }
    }
}

#[test]
fn max_pools_equal_pytorchs_with_and_without_ties() {
    for case in cases("pool") {
        let shape = sizes(&case["input_shape"]);
        let levels = case["levels"].as_f64().unwrap() as f32;
        let input: Vec<f32> = values(1, shape.iter().product())
            .into_iter()
            .map(|value| {
                if levels > 0.0 {
                    (value * levels).floor()
                } else {
                    value
                }
            })
            .collect();
        let x = var(&input, shape);
        let geometry = Pool2dGeometry {
            kernel: size(&case["kernel"]),
            stride: size(&case["stride"]),
            padding: size(&case["padding"]),
        };
        compare(&case, &max_pool2d(&x, geometry).unwrap(), &[("input", &x)]);
    }
}

#[test]
fn batch_norms_equal_pytorchs_in_both_modes_with_running_statistics() {
    for case in cases("norm") {
        let shape = sizes(&case["input_shape"]);
        let channels = shape[1];
        let (x, w, b) = (leaf(1, &shape), leaf(2, &[channels]), leaf(3, &[channels]));
        let start = [
            values(4, channels),
            values(5, channels).iter().map(|v| v + 1.0).collect(),
        ];
        let expected = [floats(&case["running_mean"]), floats(&case["running_var"])];
        let output = if case["training"] == true {
            let normed = batch_norm_train(&x, &w, &b, 1e-5).unwrap();
            for ((start, batch), expected) in start
                .iter()
                .zip([&normed.mean, &normed.var_unbiased])
                .zip(&expected)
            {
                let moved = |(start, batch): (&f32, &f32)| 0.9 * start + 0.1 * batch;
                let running: Vec<f32> = start.iter().zip(batch).map(moved).collect();
                assert_close("running statistics", &running, expected, TOLERANCE);
            }
            normed.y
        } else {
            batch_norm_eval(&x, &w, &b, [&start[0], &start[1]], 1e-5).unwrap()
        };
        compare(
            &case,
            &output,
            &[("input", &x), ("weight", &w), ("bias", &b)],
        );
    }
}

#[test]
fn linear_relu_and_the_global_average_equal_pytorchs() {
    for case in cases("linear") {
        let [rows, inputs, outputs] = sizes(&case["sizes"])[..] else {
            panic!("three sizes")
        };
        let (x, w, b) = (
            leaf(1, &[rows, inputs]),
            leaf(2, &[outputs, inputs]),
            leaf(3, &[outputs]),
        );
        let output = linear(&x, &w, Some(&b)).unwrap();
        compare(
            &case,
            &output,
            &[("input", &x), ("weight", &w), ("bias", &b)],
        );
    }
    for case in cases("relu") {
        let x = var(&[-1.5, -0.0, 0.0, 1e-30, 2.0], 5);
        compare(&case, &relu(&x).unwrap(), &[("input", &x)]);
    }
    for case in cases("average") {
        let x = leaf(1, &sizes(&case["input_shape"]));
        compare(&case, &avg_pool_global(&x).unwrap(), &[("input", &x)]);
    }
}

#[test]
fn losses_equal_pytorchs_in_f64_up_to_logits_of_ten_thousand() {
    for case in cases("bce") {
        let [rows, findings] = sizes(&case["sizes"])[..] else {
            panic!("two sizes")
        };
        let cells = rows * findings;
        let scale = case["scale"].as_f64().unwrap() as f32;
        let logits: Vec<f32> = values(1, cells).iter().map(|v| v * scale).collect();
        let target = |(place, &v): (usize, &f32)| {
            if place < findings {
                v + 0.5
            } else {
                f32::from(v > 0.0)
            }
        };
        let targets: Vec<f32> = values(2, cells).iter().enumerate().map(target).collect();
        let weights: Vec<f32> = values(3, findings).iter().map(|v| v * 8.0 + 5.0).collect();
        let z = var(&logits, (rows, findings));
        let ones = tensor(&vec![1.0; cells], (rows, findings));
        let loss = bce_with_logits(
            &z,
            &tensor(&targets, (rows, findings)),
            &ones,
            &tensor(&weights, findings),
        )
        .unwrap();
        assert_close(
            "loss",
            &numbers(&loss),
            &[case["loss"].as_f64().unwrap()],
            1e-6,
        );
        let got = gradient(&loss.backward().unwrap(), &z);
        assert_close("logits", &got, &floats(&case["logits"]), 1e-6);
    }
}

#[test]
fn three_steps_of_adam_and_adamw_equal_pytorchs() {
    let golden: Value =
        serde_json::from_str(include_str!("../../../../fixtures/golden/ops.json")).unwrap();
    let kinds = [
        ("adam", WeightDecay::Coupled(0.0)),
        ("adam_coupled", WeightDecay::Coupled(0.1)),
        ("adamw", WeightDecay::Decoupled(0.1)),
    ];
    for (name, weight_decay) in kinds {
        let case = &golden["adam"][name];
        let settings = AdamParameters {
            learning_rate: 1e-2,
            weight_decay,
            ..AdamParameters::default()
        };
        let parameter = leaf(1, &[37]);
        let mut moments = AdamMoments::zeros(37);
        for (step, expected) in case["steps"].as_array().unwrap().iter().enumerate() {
            let gradient = tensor(&values(10 + step as u32, 37), 37);
            adam_step(
                &parameter,
                &gradient,
                &mut moments,
                step as u64 + 1,
                &settings,
            )
            .unwrap();
            assert_close(name, &numbers(&parameter), &floats(expected), 5e-7);
        }
        assert_close("mean", &moments.mean, &floats(&case["mean"]), 5e-7);
        assert_close(
            "mean square",
            &moments.mean_square,
            &floats(&case["mean_square"]),
            5e-7,
        );
    }
}
