//! Learning on a device: the same as on the processor, up to rounding.
//!
//! The device is the reference, the definition that cards are held against (cxr-ops, tests/device).

#![expect(
    clippy::expect_used,
    reason = "a test that cannot go on should stop and say where"
)]

mod problem;

use cxr_augment::{AffineRanges, Interpolation, TrainTransform};
use cxr_models::{Architecture, Compute, Place};
use cxr_ops::device::{Planning, Precision};
use cxr_train::{Fitted, Material, RunConfig, TrainError, TrainState, Unwatched, fit};
use problem::{Problem, config};

fn on_reference(material: Material<'_>, precision: Precision) -> Material<'_> {
    Material {
        compute: Compute {
            place: Place::Reference,
            precision,
            plans: Planning::Heuristic,
        },
        ..material
    }
}

fn learned(
    problem: &Problem,
    config: &RunConfig,
    precision: Option<Precision>,
) -> (TrainState, Result<Fitted, TrainError>) {
    let mut state = problem.state(config);
    let material = problem.material(config);
    let material = match precision {
        None => material,
        Some(precision) => on_reference(material, precision),
    };
    let fitted = fit(&mut state, &material, config, &Unwatched, |_| Ok(()));
    (state, fitted)
}

/// How far apart two networks are that began as `first`, as a share of the way that one has gone.
/// Single numbers say little: where a gradient is nearly 0, Adam's first steps follow its sign.
fn distance(first: &TrainState, a: &TrainState, b: &TrainState) -> f64 {
    let (mut apart, mut gone) = (0.0_f64, 0.0_f64);
    let (first, b) = (first.network.tensors(), b.network.tensors());
    for (name, a) in a.network.tensors() {
        let numbers = |t: &candle_core::Tensor| {
            let flat = t.flatten_all().expect("flat");
            flat.to_vec1::<f32>().expect("numbers")
        };
        let square = |a: &[f32], b: &[f32]| -> f64 {
            let pairs = a.iter().zip(b);
            pairs.map(|(a, b)| f64::from(a - b).powi(2)).sum()
        };
        let a = numbers(&a);
        apart += square(&a, &numbers(&b[&name]));
        gone += square(&a, &numbers(&first[&name]));
    }
    (apart / gone).sqrt()
}

/// Every kind of draw, so that the gathers of the device are under test with the step.
fn moved(interpolation: Interpolation) -> Problem {
    let mut problem = Problem::new(40);
    let ranges = AffineRanges {
        flip_probability: 0.5,
        max_degrees: 10.0,
        max_translate: 0.1,
        scale: (0.9, 1.1),
        max_shear_degrees: 5.0,
    };
    problem.transform = TrainTransform::new(problem.transform.spec().clone(), ranges)
        .expect("sound")
        .with_interpolation(interpolation);
    problem
}

#[test]
fn a_fit_on_a_device_is_one_on_the_processor() {
    for interpolation in [Interpolation::NearestParity, Interpolation::Bilinear] {
        let problem = moved(interpolation);
        let config = config(&["epochs=3", "dropout=0.25"]);
        let (on_cpu, fitted) = learned(&problem, &config, None);
        assert_eq!(fitted.expect("fitted"), Fitted::Complete);
        let (on_device, fitted) = learned(&problem, &config, Some(Precision::F32));
        assert_eq!(fitted.expect("fitted"), Fitted::Complete);
        for (a, b) in (on_cpu.history.records().iter()).zip(on_device.history.records()) {
            let apart = (a.training_pass.loss - b.training_pass.loss).abs();
            assert!(apart < 1e-4 * a.training_pass.loss, "{apart}");
            let apart = (a.valid.loss - b.valid.loss).abs();
            assert!(apart < 1e-3 * a.valid.loss, "{apart}");
        }
        assert_eq!(on_cpu.n_batches, on_device.n_batches);
        assert_eq!(on_cpu.optimizer.n_steps(), on_device.optimizer.n_steps());
        let apart = distance(&problem.state(&config), &on_cpu, &on_device);
        assert!(apart < 2e-2, "{interpolation:?}: {apart}");
    }
}

#[test]
fn maps_of_sixteen_bits_learn_the_square_too() {
    let problem = Problem::new(60);
    let config = config(&["epochs=6"]);
    let (state, fitted) = learned(&problem, &config, Some(Precision::Bf16));
    assert_eq!(fitted.expect("fitted"), Fitted::Complete);
    let records = state.history.records();
    assert!(records[5].training_pass.loss < 0.7 * records[0].training_pass.loss);
    assert!(records[5].valid.auroc_per_finding[0] > Some(0.95));
}

#[test]
fn a_fit_goes_on_where_another_ended() {
    let problem = moved(Interpolation::Bilinear);
    let whole = config(&["epochs=2", "schedule=constant"]);
    let half = config(&["epochs=1", "schedule=constant"]);
    let (straight, _) = learned(&problem, &whole, None);
    for first_on_device in [true, false] {
        let mut state = problem.state(&whole);
        for (config, on_device) in [(&half, first_on_device), (&whole, !first_on_device)] {
            let mut material = problem.material(config);
            if on_device {
                material = on_reference(material, Precision::F32);
            }
            fit(&mut state, &material, config, &Unwatched, |_| Ok(())).expect("fitted");
        }
        assert_eq!(state.n_epochs(), 2);
        assert_eq!(state.optimizer.n_steps(), straight.optimizer.n_steps());
        let apart = distance(&problem.state(&whole), &straight, &state);
        assert!(apart < 2e-2, "{apart}");
    }
}

#[test]
fn frozen_layers_stay_where_they_are_on_a_device() {
    let problem = Problem::new(32);
    let config = config(&["epochs=1"]);
    let frozen = ["conv1", "conv2"];
    let mut state = problem.state(&config);
    state.network.freeze(&frozen).expect("layers");
    let before = state.network.snapshot().expect("copied");
    state.optimizer = cxr_train::Adam::new(
        cxr_train::OptimizerKind::Adam,
        0.0,
        state.network.parameters(),
    );
    assert_eq!(state.network.config().architecture, Architecture::XrayCnn);
    let material = on_reference(problem.material(&config), Precision::F32);
    fit(&mut state, &material, &config, &Unwatched, |_| Ok(())).expect("fitted");
    for (name, tensor) in state.network.tensors() {
        let same = |a: &candle_core::Tensor, b: &candle_core::Tensor| {
            let flat = |t: &candle_core::Tensor| t.flatten_all().expect("flat");
            let bits = |t: &candle_core::Tensor| flat(t).to_vec1::<f32>().expect("numbers");
            bits(a) == bits(b)
        };
        let is_frozen = frozen.iter().any(|layer| name.starts_with(layer));
        assert_eq!(same(&tensor, &before[&name]), is_frozen, "{name}");
    }
}

#[test]
fn a_step_that_is_no_number_moves_nothing_on_a_device() {
    let problem = Problem::new(32);
    let config = config(&["epochs=2", "learning_rate=1e30", "schedule=constant"]);
    let (state, fitted) = learned(&problem, &config, Some(Precision::F32));
    let error = fitted.expect_err("not finite");
    let TrainError::NonFinite {
        epoch: 1,
        batch: 2,
        images,
        ..
    } = &error
    else {
        panic!("{error:?}");
    };
    assert_eq!(images.len(), 16);
    assert_eq!(state.optimizer.n_steps(), 1);
}
