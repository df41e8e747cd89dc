//! The gradients of a step beside differences of its loss, on the reference in f64.

use cxr_ops::device::{Numbers, Reference};
use cxr_stream::{Purpose, Stream};

use super::*;
use crate::architecture::{Architecture, ModelConfig};

/// How far a tensor moves, as a whole.
const STEP: f64 = 1e-6;
/// Beside the shortest gradient. Rounding takes 1e-10 of a loss of 1, and gradients are 1e-3 or longer.
const TOLERANCE: f64 = 1e-5;
/// Tensors that move at once: all of their gradients must be right for the sum to be.
const TOGETHER: usize = 8;
const FINDINGS: usize = 3;

type Exact = DeviceTrainer<Reference<f64>>;

fn drawn(salt: u64, len: usize) -> Vec<f32> {
    let mut stream = Stream::new(salt, Purpose::Test, 0, 0);
    (0..len).map(|_| 2.0 * stream.uniform_f32() - 1.0).collect()
}

fn length(numbers: &[f64]) -> f64 {
    numbers
        .iter()
        .map(|number| number * number)
        .sum::<f64>()
        .sqrt()
}

/// A unit vector between the gradient, along which the loss moves most, and chance, which no
/// number escapes.
fn direction(gradient: &[f64], salt: u64) -> Vec<f64> {
    let drawn: Vec<f64> = drawn(salt, gradient.len())
        .into_iter()
        .map(f64::from)
        .collect();
    let (of_gradient, of_chance) = (length(gradient), length(&drawn));
    let sums = gradient.iter().zip(&drawn);
    let sums: Vec<f64> = sums.map(|(g, d)| g / of_gradient + d / of_chance).collect();
    let of_sum = length(&sums);
    sums.iter().map(|sum| sum / of_sum).collect()
}

fn arena(trainer: &mut Exact, arena: Arena) -> (&mut Numbers<f64>, &Numbers<f64>) {
    let State {
        parameters,
        gradients,
        ..
    } = &mut trainer.state;
    match arena {
        Arena::Weights => (&mut parameters.weights, &gradients.weights),
        Arena::Vectors | Arena::Running => (&mut parameters.vectors, &gradients.vectors),
    }
}

/// A tensor with its gradient and the direction in which it moves.
struct Moved {
    name: String,
    slot: Slot,
    before: Vec<f64>,
    gradient: Vec<f64>,
    direction: Vec<f64>,
}

impl Moved {
    fn new(trainer: &mut Exact, name: &str, slot: &Slot, salt: u64) -> Self {
        let places = slot.part.start..slot.part.end();
        let (numbers, gradients) = arena(trainer, slot.arena);
        let gradient = gradients.as_slice()[places.clone()].to_vec();
        Self {
            name: name.to_owned(),
            slot: slot.clone(),
            before: numbers.as_slice()[places].to_vec(),
            direction: direction(&gradient, salt),
            gradient,
        }
    }

    fn move_by(&self, trainer: &mut Exact, step: f64) {
        let (numbers, _) = arena(trainer, self.slot.arena);
        let numbers = &mut numbers.as_mut_slice()[self.slot.part.start..];
        let moved = self.before.iter().zip(&self.direction);
        let pairs = numbers.iter_mut().zip(moved);
        pairs.for_each(|(number, (before, direction))| *number = before + step * direction);
    }

    fn slope(&self) -> f64 {
        let products = self.gradient.iter().zip(&self.direction);
        products
            .map(|(gradient, direction)| gradient * direction)
            .sum()
    }
}

/// The slope of the loss along the directions of all these tensors together.
fn difference(trainer: &mut Exact, tensors: &[Moved], images: usize) -> f64 {
    let mut loss_at = |step: f64| {
        tensors
            .iter()
            .for_each(|tensor| tensor.move_by(trainer, step));
        let (state, plan) = (&mut trainer.state, &trainer.plan);
        state.lose(&trainer.device, plan, images).unwrap();
        state.outcome.as_slice()[0]
    };
    let difference = (loss_at(STEP) - loss_at(-STEP)) / (2.0 * STEP);
    tensors
        .iter()
        .for_each(|tensor| tensor.move_by(trainer, 0.0));
    difference
}

fn check(config: &ModelConfig, frozen: &[&str], images: usize) {
    let mut network = Network::new(config, 5).unwrap();
    network.freeze(frozen).unwrap();
    let mut trainer = Exact::new(Reference::new(), &network, images + 1).unwrap();
    trainer.set_pos_weights(&[1.0, 2.5, 0.5]).unwrap();
    let data = drawn(1, images * 3 * config.height * config.width);
    let targets: Vec<f32> = drawn(2, images * FINDINGS)
        .iter()
        .map(|t| t.ceil())
        .collect();
    let mut mask = vec![1.0; images * FINDINGS];
    mask[1] = 0.0;
    let planes = DeviceImages::Planes {
        images,
        data: &data,
    };
    let labels = Labels {
        targets: &targets,
        mask: &mask,
    };
    trainer.step(planes, &labels, (7, 3), None).unwrap();
    let layout = trainer.plan.layout.clone();
    let slots: Vec<_> = layout.trained().collect();
    for (salt, slots) in slots.chunks(TOGETHER).enumerate() {
        let moved = slots.iter().zip(10 * salt as u64..);
        let moved: Vec<Moved> = moved
            .map(|((name, slot), salt)| Moved::new(&mut trainer, name, slot, salt))
            .collect();
        let found = difference(&mut trainer, &moved, images);
        let expected: f64 = moved.iter().map(Moved::slope).sum();
        let lengths = moved.iter().map(|tensor| length(&tensor.gradient));
        let error = (found - expected).abs() / lengths.fold(f64::MAX, f64::min);
        let names: Vec<&str> = moved.iter().map(|tensor| tensor.name.as_str()).collect();
        assert!(
            error <= TOLERANCE,
            "{config:?} {names:?}: {found:e} is not {expected:e}, off by {error:e}"
        );
    }
}

fn config(architecture: Architecture, width: usize, height: usize) -> ModelConfig {
    let mut config = ModelConfig::new(architecture, FINDINGS, width, height);
    config.dropout = 0.25;
    config
}

#[test]
fn every_gradient_of_xray_cnn_is_the_slope_of_the_loss() {
    check(&config(Architecture::XrayCnn, 48, 32), &[], 2);
}

#[test]
fn every_gradient_of_resnet18_is_the_slope_of_the_loss() {
    check(&config(Architecture::ResNet18, 33, 40), &[], 2);
}

#[test]
fn gradients_behind_frozen_layers_are_the_slopes_of_the_loss() {
    let frozen = ["bn1", "layer1.1.bn2", "layer2.0", "layer3.0.bn1.weight"];
    check(&config(Architecture::ResNet18, 33, 40), &frozen, 2);
}
