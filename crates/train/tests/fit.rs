//! The loop on a problem that can be learned: a bright square in the films of one finding.

#![expect(
    clippy::expect_used,
    reason = "a test that cannot go on should stop and say where"
)]

mod problem;

use cxr_train::{Fitted, TrainError, Unwatched, Watch, fit};
use problem::{Problem, config};

#[test]
fn a_square_is_learned_and_the_last_short_batch_is_not_dropped() {
    let problem = Problem::new(60);
    let config = config(&["epochs=6"]);
    let material = problem.material(&config);
    assert_eq!(
        material
            .loader
            .order(1)
            .iter()
            .map(Vec::len)
            .collect::<Vec<_>>(),
        [16, 16, 16, 12]
    );
    let mut state = problem.state(&config);
    let mut n_kept = 0;
    let fitted = fit(&mut state, &material, &config, &Unwatched, |_| {
        n_kept += 1;
        Ok(())
    });
    assert_eq!(fitted.expect("fitted"), Fitted::Complete);
    assert_eq!(n_kept, 6);
    let records = state.history.records();
    assert!(records[5].training_pass.loss < 0.7 * records[0].training_pass.loss);
    let square = records[5].valid.auroc_per_finding[0];
    assert!(square > Some(0.95), "{square:?}");
    assert_eq!(
        records[5].valid.auroc_per_finding[1], None,
        "a finding without positives"
    );
    assert_eq!(records[5].valid.auroc.over, 1);
    assert_eq!(state.n_batches, 24);
}

#[test]
fn the_order_is_a_permutation_that_the_epoch_and_the_seed_decide() {
    let problem = Problem::new(30);
    let loader = problem.material(&config(&[])).loader;
    let flat = |epoch| loader.order(epoch).concat();
    let mut sorted = flat(1);
    sorted.sort_unstable();
    assert_eq!(sorted, (0..30).collect::<Vec<_>>());
    assert_eq!(flat(1), flat(1));
    assert_ne!(flat(1), flat(2));
    assert_ne!(
        flat(1),
        problem
            .material(&config(&["seed=9"]))
            .loader
            .order(1)
            .concat()
    );
}

#[test]
fn a_loss_that_is_no_number_is_seen_before_the_weights_move() {
    let problem = Problem::new(32);
    let config = config(&["epochs=2", "learning_rate=1e30", "schedule=constant"]);
    let mut state = problem.state(&config);
    let error = fit(
        &mut state,
        &problem.material(&config),
        &config,
        &Unwatched,
        |_| Ok(()),
    )
    .expect_err("not finite");
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
    assert_eq!(error.exit_code(), 5);
    for (name, parameter) in state.network.parameters() {
        let values = parameter
            .flatten_all()
            .and_then(|t| t.to_vec1::<f32>())
            .expect("values");
        assert!(values.iter().all(|value| value.is_finite()), "{name}");
    }
}

#[test]
fn skipping_passes_over_a_few_batches_and_then_gives_up() {
    let problem = Problem::new(32);
    let config = config(&[
        "epochs=20",
        "learning_rate=1e30",
        "schedule=constant",
        "non_finite=skip",
    ]);
    let mut state = problem.state(&config);
    let error = fit(
        &mut state,
        &problem.material(&config),
        &config,
        &Unwatched,
        |_| Ok(()),
    )
    .expect_err("patience ends");
    // Weights that overflowed give no logits in the honest pass either: the run ends with its images.
    assert!(
        matches!(error, TrainError::NonFiniteLogit { epoch: 1, .. }),
        "{error:?}"
    );
    assert_eq!(error.exit_code(), 5);
    assert!(state.n_skipped > 0);
}

/// Asks to stop at the n-th question.
struct Impatient {
    n_left: std::sync::atomic::AtomicUsize,
}

impl Watch for Impatient {
    fn stop_is_requested(&self) -> bool {
        self.n_left
            .fetch_sub(1, std::sync::atomic::Ordering::Relaxed)
            == 1
    }
}

#[test]
fn a_requested_stop_ends_after_the_batch_and_counts_whole_epochs_only() {
    let problem = Problem::new(32);
    let config = config(&["epochs=3"]);
    let mut state = problem.state(&config);
    let watch = Impatient { n_left: 4.into() };
    let fitted = fit(
        &mut state,
        &problem.material(&config),
        &config,
        &watch,
        |_| Ok(()),
    );
    assert_eq!(fitted.expect("stopped"), Fitted::Stopped);
    assert_eq!(
        state.n_epochs(),
        1,
        "two batches an epoch: the fourth question is in epoch 2"
    );
}
