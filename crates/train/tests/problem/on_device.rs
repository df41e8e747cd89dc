//! Fits on a device beside fits on the processor, wherever the device is.

use cxr_augment::{AffineRanges, Interpolation, TrainTransform};
use cxr_models::Compute;
use cxr_train::{Fitted, Material, RunConfig, TrainError, TrainState, Unwatched, fit};

use crate::problem::{Problem, config};

/// A fit from the beginning; `None` is the processor.
pub(crate) fn learned(
    problem: &Problem,
    config: &RunConfig,
    compute: Option<Compute>,
) -> (TrainState, Result<Fitted, TrainError>) {
    let mut state = problem.state(config);
    let material = Material {
        compute: compute.unwrap_or_default(),
        ..problem.material(config)
    };
    let fitted = fit(&mut state, &material, config, &Unwatched, |_| Ok(()));
    (state, fitted)
}

/// How far apart two networks are that began as `first`, as a share of the way that one has gone.
/// Single numbers say little: where a gradient is nearly 0, Adam's first steps follow its sign.
pub(crate) fn distance(first: &TrainState, a: &TrainState, b: &TrainState) -> f64 {
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
pub(crate) fn moved(interpolation: Interpolation) -> Problem {
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

/// Three epochs under draws: the same losses, the same way.
pub(crate) fn a_fit_is_one_on_the_processor(compute: Compute) {
    for interpolation in [Interpolation::NearestParity, Interpolation::Bilinear] {
        let problem = moved(interpolation);
        let config = config(&["epochs=3", "dropout=0.25"]);
        let (on_cpu, fitted) = learned(&problem, &config, None);
        assert_eq!(fitted.expect("fitted"), Fitted::Complete);
        let (on_device, fitted) = learned(&problem, &config, Some(compute));
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

/// One epoch on the processor and one on the device, in both orders, is two epochs.
pub(crate) fn a_fit_goes_on_where_another_ended(compute: Compute) {
    let problem = moved(Interpolation::Bilinear);
    let whole = config(&["epochs=2", "schedule=constant"]);
    let half = config(&["epochs=1", "schedule=constant"]);
    let (straight, _) = learned(&problem, &whole, None);
    for first_on_device in [true, false] {
        let mut state = problem.state(&whole);
        for (config, on_device) in [(&half, first_on_device), (&whole, !first_on_device)] {
            let material = Material {
                compute: if on_device {
                    compute
                } else {
                    Compute::default()
                },
                ..problem.material(config)
            };
            fit(&mut state, &material, config, &Unwatched, |_| Ok(())).expect("fitted");
        }
        assert_eq!(state.n_epochs(), 2);
        assert_eq!(state.optimizer.n_steps(), straight.optimizer.n_steps());
        let apart = distance(&problem.state(&whole), &straight, &state);
        assert!(apart < 2e-2, "{apart}");
    }
}

/// Maps of 16 bits learn the square too.
pub(crate) fn the_square_is_learned(compute: Compute) {
    let problem = Problem::new(60);
    let (state, fitted) = learned(&problem, &config(&["epochs=6"]), Some(compute));
    assert_eq!(fitted.expect("fitted"), Fitted::Complete);
    let records = state.history.records();
    assert!(records[5].training_pass.loss < 0.7 * records[0].training_pass.loss);
    assert!(records[5].valid.auroc_per_finding[0] > Some(0.95));
}
