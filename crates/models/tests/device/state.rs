//! What moves from step to step: weights, moments, running statistics and their counts.

use std::collections::BTreeMap;

use cxr_models::{Architecture, DeviceTrainer, Network};
use cxr_ops::device::{AdamFactors, Bf16, Reference};
use cxr_ops::{AdamMoments, AdamParameters, WeightDecay, adam_step_with};

use crate::support::{Batch, CHANCE, config, error, move_statistics, step, tensors, trainer};

/// What some steps have moved, beside what they moved on the CPU. Rounding moves a number near 0
/// across a ReLU now and then, and with it one part of a gradient.
const MOVED: f64 = 2e-2;

/// The difference of two tensors of the same name.
fn difference(after: &[f32], before: &[f32]) -> Vec<f32> {
    after.iter().zip(before).map(|(a, b)| a - b).collect()
}

fn settings() -> AdamParameters {
    AdamParameters {
        learning_rate: 1e-3,
        // Adam makes as much of a gradient of rounding alone as of any other, but for this.
        epsilon: 1e-3,
        weight_decay: WeightDecay::Coupled(1e-2),
        ..AdamParameters::default()
    }
}

/// Steps by candle's graph and this crate's Adam.
fn by_graph(network: &Network, batches: &[Batch]) -> BTreeMap<String, AdamMoments> {
    let mut moments = BTreeMap::new();
    for (count, batch) in (1..).zip(batches) {
        let gradients = batch.by_graph(network, CHANCE).gradients;
        for (name, var) in network.parameters() {
            let moments = moments
                .entry(name.clone())
                .or_insert_with(|| AdamMoments::zeros(var.elem_count()));
            let gradient = gradients.get(&name).unwrap();
            adam_step_with(&var, gradient, moments, count, &settings()).unwrap();
        }
    }
    moments
}

#[test]
fn steps_move_weights_statistics_and_moments_as_on_the_cpu() {
    for (architecture, frozen) in [
        (Architecture::XrayCnn, "conv2"),
        (Architecture::ResNet18, "layer1.0.conv1"),
    ] {
        let config = config(architecture, 48, 64);
        let [mut ours, mut graph] = [(); 2].map(|()| Network::new(&config, 4).unwrap());
        ours.freeze(&[frozen]).unwrap();
        graph.freeze(&[frozen]).unwrap();
        let batches: Vec<Batch> = [(3, 1), (2, 2), (3, 3)]
            .map(|(n, salt)| Batch::new(&config, n, salt))
            .into();
        let before = tensors(&graph);
        let expected = by_graph(&graph, &batches);
        let mut trainer = trainer(&ours, 3);
        for (count, batch) in (1..).zip(&batches) {
            step(
                &mut trainer,
                batch,
                Some(&AdamFactors::new(count, &settings())),
            );
        }
        trainer.write_back(&ours).unwrap();
        let moved = tensors(&ours);
        for (name, expected) in tensors(&graph) {
            let expected = difference(&expected, &before[&name]);
            let found = difference(&moved[&name], &before[&name]);
            let error = error(&found, &expected);
            assert!(error <= MOVED, "{architecture} {name}: {error:e}");
        }
        let moments = trainer.moments().unwrap();
        assert!(moments.keys().eq(expected.keys()), "{architecture}");
        for (name, expected) in expected {
            let found = &moments[&name];
            let errors = [
                error(&found.mean, &expected.mean),
                error(&found.mean_square, &expected.mean_square),
            ];
            assert!(
                errors.iter().all(|e| *e <= 2.0 * MOVED),
                "{architecture} {name}: {errors:?}"
            );
        }
    }
}

#[test]
fn weights_statistics_and_moments_come_back_with_the_same_bits() {
    for architecture in [Architecture::XrayCnn, Architecture::ResNet18] {
        let config = config(architecture, 48, 64);
        let network = Network::new(&config, 4).unwrap();
        move_statistics(&network);
        let mut first = trainer(&network, 2);
        let again = Network::new(&config, 9).unwrap();
        first.write_back(&again).unwrap();
        assert_eq!(
            again.weight_digest().unwrap(),
            network.weight_digest().unwrap()
        );
        let adam = |count| AdamFactors::new(count, &settings());
        let batches = [1, 2].map(|salt| Batch::new(&config, 2, salt));
        step(&mut first, &batches[0], Some(&adam(1)));
        first.write_back(&network).unwrap();
        // A run that is taken up again.
        let mut second = trainer(&again, 2);
        second.load(&network).unwrap();
        second.set_moments(&first.moments().unwrap()).unwrap();
        let outcomes = [&mut first, &mut second].map(|t| step(t, &batches[1], Some(&adam(2))));
        assert_eq!(outcomes[0], outcomes[1], "{architecture}");
        assert_eq!(first.moments().unwrap(), second.moments().unwrap());
        first.write_back(&network).unwrap();
        second.write_back(&again).unwrap();
        assert_eq!(
            again.weight_digest().unwrap(),
            network.weight_digest().unwrap()
        );
    }
}

#[test]
fn bf16_keeps_the_weights_that_adam_moves_as_f32() {
    let config = config(Architecture::ResNet18, 48, 64);
    let network = Network::new(&config, 4).unwrap();
    let mut trainer = DeviceTrainer::new(Reference::<Bf16>::new(), &network, 2).unwrap();
    let again = Network::new(&config, 9).unwrap();
    trainer.write_back(&again).unwrap();
    assert_eq!(
        again.weight_digest().unwrap(),
        network.weight_digest().unwrap()
    );
    let batch = Batch::new(&config, 2, 1);
    let graph = batch.by_graph(&Network::new(&config, 4).unwrap(), CHANCE);
    trainer
        .set_pos_weights(&crate::support::POS_WEIGHTS)
        .unwrap();
    let small = AdamParameters {
        learning_rate: 1e-6,
        ..AdamParameters::default()
    };
    let outcome = step(&mut trainer, &batch, Some(&AdamFactors::new(1, &small)));
    assert!((outcome.loss - graph.loss).abs() <= 5e-2 * graph.loss);
    trainer.write_back(&again).unwrap();
    // Far less than bf16 could tell apart.
    let (before, after) = (tensors(&network), tensors(&again));
    let moved = error(&after["fc.weight"], &before["fc.weight"]);
    assert!((1e-6..1e-4).contains(&moved), "{moved:e}");
}

#[test]
fn a_step_that_is_not_finite_moves_no_parameter_and_counts_as_on_the_cpu() {
    for architecture in [Architecture::XrayCnn, Architecture::ResNet18] {
        let config = config(architecture, 48, 32);
        let network = Network::new(&config, 4).unwrap();
        let mut trainer = trainer(&network, 2);
        let adam = AdamFactors::new(1, &settings());
        let mut batch = Batch::new(&config, 2, 1);
        step(&mut trainer, &batch, Some(&adam));
        trainer.write_back(&network).unwrap();
        let (moments, before) = (trainer.moments().unwrap(), tensors(&network));
        batch.pixels[17] = f32::NAN;
        let outcome = step(&mut trainer, &batch, Some(&adam));
        assert!(!outcome.is_finite() && outcome.logits.iter().any(|l| l.is_nan()));
        trainer.write_back(&network).unwrap();
        assert_eq!(tensors(&network), before, "{architecture}");
        assert_eq!(trainer.moments().unwrap(), moments, "{architecture}");
        // No label is known: the loss is not a number, the statistics are.
        batch.pixels[17] = 0.5;
        batch.mask.fill(0.0);
        let outcome = step(&mut trainer, &batch, Some(&adam));
        assert!(outcome.loss.is_nan());
        trainer.write_back(&network).unwrap();
        let after = tensors(&network);
        for (name, _) in network.parameters() {
            assert_eq!(after[&name], before[&name], "{architecture} {name}");
        }
        if let Some(count) = after.get("layer4.1.bn2.num_batches_tracked") {
            assert_eq!(count[..], [2.0]);
        }
    }
}

#[test]
fn only_norms_before_the_first_number_that_is_not_finite_count_the_batch() {
    let config = config(Architecture::ResNet18, 48, 32);
    let [ours, graph] = [(); 2].map(|()| Network::new(&config, 4).unwrap());
    for network in [&ours, &graph] {
        let mut weights = network.snapshot().unwrap();
        let huge = (weights["layer2.0.conv2.weight"].ones_like().unwrap() * 3e38).unwrap();
        weights.insert("layer2.0.conv2.weight".to_owned(), huge);
        network.load_tensors(&weights).unwrap();
    }
    let batch = Batch::new(&config, 2, 1);
    batch.by_graph(&graph, CHANCE);
    let mut trainer = trainer(&ours, 2);
    step(&mut trainer, &batch, None);
    trainer.write_back(&ours).unwrap();
    let (found, expected) = (tensors(&ours), tensors(&graph));
    let counts = expected
        .iter()
        .filter(|(name, _)| name.ends_with("tracked"));
    let counts: Vec<f32> = counts.map(|(_, count)| count[0]).collect();
    assert!(counts.contains(&0.0) && counts.contains(&1.0));
    for (name, count) in expected
        .iter()
        .filter(|(name, _)| name.ends_with("tracked"))
    {
        assert_eq!(&found[name], count, "{name}");
    }
}

#[test]
fn another_network_other_labels_and_other_moments_are_refused() {
    let config = config(Architecture::ResNet18, 32, 32);
    let mut network = Network::new(&config, 4).unwrap();
    let mut trainer = trainer(&network, 2);
    let alone = Batch::new(&config, 1, 1);
    let fault = trainer
        .step(alone.planes(), &alone.labels(), CHANCE, None)
        .unwrap_err();
    let graph = network
        .forward(
            &alone.images(),
            cxr_models::Mode::Train { seed: 7, step: 3 },
        )
        .unwrap_err();
    assert_eq!(
        (fault.code(), fault.location()),
        (graph.code(), graph.location())
    );
    let pair = Batch::new(&config, 2, 1);
    let fault = trainer
        .step(pair.planes(), &alone.labels(), CHANCE, None)
        .unwrap_err();
    assert_eq!(fault.code(), "M005");
    let mut moments = trainer.moments().unwrap();
    moments.insert("fc.bias".to_owned(), AdamMoments::zeros(1));
    assert_eq!(trainer.set_moments(&moments).unwrap_err().code(), "M005");
    assert_eq!(trainer.set_pos_weights(&[1.0]).unwrap_err().code(), "M005");
    network.freeze(&["layer1"]).unwrap();
    assert_eq!(trainer.load(&network).unwrap_err().code(), "M005");
}
