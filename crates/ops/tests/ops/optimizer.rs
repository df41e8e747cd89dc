//! Adam against its definition in f64; PyTorch's own numbers are in `goldens`.

use crate::reference::{assert_close, values, wide};
use crate::tensors::{numbers, tensor, var};
use cxr_ops::{AdamMoments, AdamParameters, OpError, WeightDecay, adam_step, adam_update};

fn settings(weight_decay: WeightDecay) -> AdamParameters {
    AdamParameters {
        learning_rate: 1e-2,
        weight_decay,
        ..AdamParameters::default()
    }
}

/// Kingma & Ba's algorithm 1 with both kinds of decay.
fn reference(
    parameter: &mut f64,
    moments: &mut [f64; 2],
    gradient: f64,
    step: i32,
    s: &AdamParameters,
) {
    let (coupled, decoupled) = match s.weight_decay {
        WeightDecay::Coupled(decay) => (decay, 0.0),
        WeightDecay::Decoupled(decay) => (0.0, decay),
    };
    let gradient = gradient + coupled * *parameter;
    *parameter -= s.learning_rate * decoupled * *parameter;
    moments[0] = s.beta1 * moments[0] + (1.0 - s.beta1) * gradient;
    moments[1] = s.beta2 * moments[1] + (1.0 - s.beta2) * gradient * gradient;
    let mean = moments[0] / (1.0 - s.beta1.powi(step));
    let square = moments[1] / (1.0 - s.beta2.powi(step));
    *parameter -= s.learning_rate * mean / (square.sqrt() + s.epsilon);
}

#[test]
fn a_hundred_steps_equal_the_definition_in_f64() {
    // Above one chunk, and not a multiple of anything.
    let length = 32_768 + 77;
    for decay in [
        WeightDecay::Coupled(0.0),
        WeightDecay::Coupled(0.1),
        WeightDecay::Decoupled(0.1),
    ] {
        let settings = settings(decay);
        let mut parameter = values(1, length);
        let mut moments = AdamMoments::zeros(length);
        let mut expected = wide(&parameter);
        let mut expected_moments = vec![[0.0; 2]; length];
        for step in 1..=100 {
            let gradient = values(100 + step, length);
            let AdamMoments { mean, mean_square } = &mut moments;
            adam_update(
                &mut parameter,
                &gradient,
                mean,
                mean_square,
                step.into(),
                &settings,
            )
            .unwrap();
            for ((parameter, moments), &gradient) in expected
                .iter_mut()
                .zip(&mut expected_moments)
                .zip(&gradient)
            {
                reference(parameter, moments, gradient.into(), step as i32, &settings);
            }
        }
        assert_close("parameter", &parameter, &expected, 3e-6);
    }
}

#[test]
fn a_step_on_a_var_changes_it_in_place_like_a_step_on_slices() {
    let (start, gradient) = (values(1, 12), values(2, 12));
    let parameter = var(&start, (3, 4));
    let seen_elsewhere = parameter.as_detached_tensor();
    let mut moments = AdamMoments::zeros(12);
    let settings = settings(WeightDecay::Decoupled(0.1));
    let strided = tensor(&gradient, (4, 3)).t().unwrap();
    adam_step(&parameter, &strided, &mut moments, 1, &settings).unwrap();

    let mut expected = start;
    let [mut mean, mut mean_square] = [vec![0.0; 12], vec![0.0; 12]];
    let gradient = numbers(&strided);
    adam_update(
        &mut expected,
        &gradient,
        &mut mean,
        &mut mean_square,
        1,
        &settings,
    )
    .unwrap();
    assert_eq!(numbers(&parameter), expected);
    assert_eq!(numbers(&seen_elsewhere), expected);
    assert_eq!(moments, AdamMoments { mean, mean_square });
}

#[test]
fn settings_out_of_range_are_refused_by_name_and_change_nothing() {
    let good = AdamParameters::default();
    let bad = [
        (
            "learning_rate",
            AdamParameters {
                learning_rate: -1.0,
                ..good
            },
        ),
        (
            "learning_rate",
            AdamParameters {
                learning_rate: f64::NAN,
                ..good
            },
        ),
        ("beta1", AdamParameters { beta1: 1.0, ..good }),
        (
            "beta2",
            AdamParameters {
                beta2: -0.1,
                ..good
            },
        ),
        (
            "epsilon",
            AdamParameters {
                epsilon: f64::INFINITY,
                ..good
            },
        ),
        (
            "weight_decay",
            AdamParameters {
                weight_decay: WeightDecay::Decoupled(-0.1),
                ..good
            },
        ),
    ];
    for (name, settings) in bad {
        let (mut p, mut m, mut v) = ([1.0], [0.0], [0.0]);
        let fault = adam_update(&mut p, &[1.0], &mut m, &mut v, 1, &settings).unwrap_err();
        assert!(
            matches!(fault, OpError::Setting { setting, .. } if setting == name),
            "{fault:?}"
        );
        assert_eq!((p, m, v), ([1.0], [0.0], [0.0]));
    }
    let fault = adam_update(&mut [1.0], &[1.0], &mut [0.0], &mut [0.0], 0, &good).unwrap_err();
    assert_eq!(
        (fault.code(), fault.location()),
        ("N013", Some("adam, `step`".to_owned()))
    );
    let fault = adam_update(&mut [1.0], &[1.0; 2], &mut [0.0], &mut [0.0], 1, &good).unwrap_err();
    assert_eq!(
        (fault.code(), fault.location()),
        ("N014", Some("adam, `gradient`".to_owned()))
    );
    let fault = adam_step(
        &var(&[1.0; 2], 2),
        &tensor(&[1.0; 2], 2),
        &mut AdamMoments::zeros(3),
        1,
        &good,
    );
    assert_eq!(fault.unwrap_err().code(), "N014");
}
