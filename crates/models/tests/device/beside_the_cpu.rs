//! Logits, loss and gradients beside the CPU's.

use candle_core::{Device as Cpu, Tensor, Var};
use cxr_models::{Architecture, Gradients, Network, Step, StepOutcome};
use cxr_ops::nhwc::{Isa, Kernels};

use crate::support::{
    Batch, ByGraph, CHANCE, FINDINGS, config, error, flat, step, tensors, trainer,
};

/// Sums in f64 beside sums in f32, through all layers.
const FORWARD: f64 = 2e-5;
/// The middle one of all gradients, as whole tensors.
const MIDDLE_GRADIENT: f64 = 2e-5;
/// Each gradient. Rounding moves a number near 0 across a ReLU now and then, and with it one part of
/// a gradient.
const ANY_GRADIENT: f64 = 2e-2;

fn by_step(network: &Network, batch: &Batch, graph: &ByGraph) -> Gradients {
    let images = batch.images();
    let mut step = Step::new(network, Kernels::exact(Isa::best())).unwrap();
    let logits = step.forward(network, &images, CHANCE).unwrap();
    assert!(error(&logits, &graph.logits) <= FORWARD);
    let shape = (batch.n, FINDINGS);
    let logits = Tensor::from_vec(logits, shape, &Cpu::Cpu).unwrap();
    let logits = Var::from_tensor(&logits).unwrap();
    let store = batch.loss(&logits).backward().unwrap();
    let gradient = flat(store.get(&logits).unwrap());
    step.backward(network, &images, &gradient).unwrap().clone()
}

fn hold_gradients(what: &str, found: &Gradients, expected: &Gradients) {
    assert_eq!(found.iter().count(), expected.iter().count(), "{what}");
    let mut errors = Vec::new();
    for (name, expected) in expected.iter() {
        let error = error(found.get(name).unwrap(), expected);
        assert!(error <= ANY_GRADIENT, "{what}: {name}: {error:e}");
        errors.push(error);
    }
    errors.sort_by(f64::total_cmp);
    let middle = errors[errors.len() / 2];
    assert!(middle <= MIDDLE_GRADIENT, "{what}: {middle:e}");
}

/// The length is that of what trains, and of nothing else.
fn hold_norm(what: &str, outcome: &StepOutcome, gradients: &Gradients) {
    let squares = gradients.iter().flat_map(|(_, gradient)| gradient);
    let length = squares.map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
    let error = (outcome.gradient_norm - length).abs();
    assert!(error <= 1e-6 * length, "{what}: {error:e}");
}

fn check(architecture: Architecture, [width, height]: [usize; 2], batches: &[usize]) {
    let config = config(architecture, width, height);
    let network = Network::new(&config, 11).unwrap();
    let mut trainer = trainer(&network, 3);
    for (salt, &n) in batches.iter().enumerate() {
        let what = format!("{architecture} {n} of {width}×{height}");
        let batch = Batch::new(&config, n, salt as u64);
        let [graph, layers] = [(); 2].map(|()| Network::new(&config, 11).unwrap());
        let expected = batch.by_graph(&graph, CHANCE);
        let of_step = by_step(&layers, &batch, &expected);
        trainer.load(&network).unwrap();
        let outcome = step(&mut trainer, &batch, None);
        assert!(
            error(&outcome.logits, &expected.logits) <= FORWARD,
            "{what}"
        );
        assert!(
            (outcome.loss - expected.loss).abs() <= FORWARD * expected.loss,
            "{what}"
        );
        let gradients = trainer.gradients().unwrap();
        hold_gradients(&format!("{what}, graph"), &gradients, &expected.gradients);
        hold_gradients(&format!("{what}, step"), &gradients, &of_step);
        hold_norm(&what, &outcome, &gradients);
        let moved = Network::new(&config, 1).unwrap();
        trainer.write_back(&moved).unwrap();
        let moved = tensors(&moved);
        for (name, expected) in tensors(&graph) {
            assert!(error(&moved[&name], &expected) <= FORWARD, "{what}: {name}");
        }
    }
}

#[test]
fn a_step_of_xray_cnn_gives_the_cpus_gradients_for_short_batches_too() {
    check(Architecture::XrayCnn, [48, 32], &[3, 1, 2, 3]);
}

#[test]
fn a_step_of_resnet18_gives_the_cpus_gradients_for_short_batches_too() {
    // A norm over the few numbers of a small map makes noise of every difference.
    check(Architecture::ResNet18, [72, 40], &[3, 2]);
}

#[test]
fn frozen_layers_give_the_graphs_gradients_and_stay() {
    let cases: [(Architecture, &[&str]); 6] = [
        (Architecture::XrayCnn, &["conv1", "conv2.weight"]),
        (
            Architecture::XrayCnn,
            &["conv1", "conv2", "conv3", "conv4", "fc1.weight"],
        ),
        (Architecture::ResNet18, &["conv1", "bn1", "layer1"]),
        (
            Architecture::ResNet18,
            &["bn1", "layer2.0", "layer3.0.bn1.weight"],
        ),
        (
            Architecture::ResNet18,
            &["conv1", "bn1", "layer1", "layer2", "layer3", "layer4"],
        ),
        (
            Architecture::ResNet18,
            &["layer2.0.downsample", "layer4.1.bn2", "fc"],
        ),
    ];
    for (architecture, frozen) in cases {
        let config = config(architecture, 48, 64);
        let [mut network, mut graph] = [(); 2].map(|()| Network::new(&config, 11).unwrap());
        network.freeze(frozen).unwrap();
        graph.freeze(frozen).unwrap();
        let mut trainer = trainer(&network, 2);
        let batch = Batch::new(&config, 2, 5);
        let expected = batch.by_graph(&graph, CHANCE);
        let outcome = step(&mut trainer, &batch, None);
        let what = format!("{architecture} without {frozen:?}");
        assert!(
            error(&outcome.logits, &expected.logits) <= FORWARD,
            "{what}"
        );
        let gradients = trainer.gradients().unwrap();
        hold_gradients(&what, &gradients, &expected.gradients);
        hold_norm(&what, &outcome, &gradients);
        trainer.write_back(&network).unwrap();
        let moved = tensors(&network);
        for (name, expected) in tensors(&graph) {
            assert!(error(&moved[&name], &expected) <= FORWARD, "{what}: {name}");
        }
    }
}
