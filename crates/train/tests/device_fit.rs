//! Learning on a device: the same as on the processor, up to rounding.
//!
//! The device is the reference, the definition that cards are held against (cxr-ops, tests/device).

#![expect(
    clippy::expect_used,
    reason = "a test that cannot go on should stop and say where"
)]

#[path = "problem/on_device.rs"]
mod on_device;
#[path = "problem/mod.rs"]
mod problem;

use cxr_models::{Architecture, Compute, Place};
use cxr_ops::device::Precision;
use cxr_train::{Material, TrainError, Unwatched, fit};
use problem::{Problem, config};

fn reference(precision: Precision) -> Compute {
    Compute {
        precision,
        ..Compute::on(Place::Reference)
    }
}

#[test]
fn a_fit_on_a_device_is_one_on_the_processor() {
    on_device::a_fit_is_one_on_the_processor(reference(Precision::F32));
}

#[test]
fn maps_of_sixteen_bits_learn_the_square_too() {
    on_device::the_square_is_learned(reference(Precision::Bf16));
}

#[test]
fn a_fit_goes_on_where_another_ended() {
    on_device::a_fit_goes_on_where_another_ended(reference(Precision::F32));
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
    let material = Material {
        compute: reference(Precision::F32),
        ..problem.material(&config)
    };
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
    let (state, fitted) = on_device::learned(&problem, &config, Some(reference(Precision::F32)));
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
