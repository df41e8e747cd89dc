//! Training steps on the first card that the driver shows, beside the reference: eager, recorded and
//! replayed, in each precision.
//!
//! Needs the feature `cuda`; passes with a word where there is no card.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking; one without a card says so"
)]

use std::sync::{Mutex, MutexGuard, PoisonError};

use cxr_models::{
    Architecture, DeviceImages, DevicePredictor, DeviceTrainer, Labels, ModelConfig, ModelFault,
    Network, StepOutcome,
};
use cxr_ops::device::{
    AdamFactors, Bf16, Cuda, Device, DeviceFault, GatherKind, PictureGather, Pixels, Planning,
    Precision, Reference,
};
use cxr_ops::{AdamParameters, WeightDecay};
use cxr_stream::{Purpose, Stream};

const FINDINGS: usize = 3;
/// One test at a time: they fill the card's memory and look at what is free.
static CARD: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    CARD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The first card; `None`, said aloud, where there is none.
fn card(precision: Precision) -> Option<Cuda> {
    match Cuda::new(0, precision, Planning::Heuristic) {
        Ok(card) => Some(card),
        Err(DeviceFault::NoDevice { problem }) => {
            println!("nothing was tested: {problem}");
            None
        }
        Err(fault) => panic!("{fault}"),
    }
}

/// Batches of grey pictures with labels that the pictures show.
struct Problem {
    network: Network,
    width: usize,
    height: usize,
}

impl Problem {
    fn new(architecture: Architecture, width: usize, height: usize) -> Self {
        let config = ModelConfig {
            width,
            height,
            dropout: 0.25,
            ..ModelConfig::new(architecture, FINDINGS, width, height)
        };
        Self {
            network: Network::new(&config, 11).unwrap(),
            width,
            height,
        }
    }

    /// Pictures whose upper half is bright where the first label is 1, and the labels.
    fn batch(&self, images: usize, number: u64) -> (Vec<u8>, Vec<f32>, Vec<f32>) {
        let mut stream = Stream::new(5, Purpose::Test, number, 0);
        let labels: Vec<f32> = (0..images * FINDINGS)
            .map(|_| f32::from(u8::from(stream.uniform_f32() < 0.4)))
            .collect();
        let mask = (0..images * FINDINGS).map(|cell| f32::from(u8::from(cell % 7 != 5)));
        let mut pixels = Vec::new();
        for image in 0..images {
            let bright = labels[image * FINDINGS] > 0.0;
            for place in 0..self.width * self.height {
                let upper = place < self.width * self.height / 2;
                let ground = 60.0 + 60.0 * stream.uniform_f32();
                let value = if bright && upper {
                    ground + 100.0
                } else {
                    ground
                };
                pixels.push(value as u8);
            }
        }
        (pixels, labels, mask.collect())
    }

    /// Steps of Adam on one batch after the other, `sizes` images each.
    fn steps<D: Device>(
        &self,
        device: &D,
        sizes: &[usize],
        learning_rate: f64,
    ) -> Result<(Vec<StepOutcome>, DeviceTrainer<D>), ModelFault> {
        let steps: Vec<(usize, u64)> = sizes.iter().copied().zip(1..).collect();
        self.numbered_steps(device, &steps, learning_rate)
    }

    /// The same with a number for each batch, which decides what is in it.
    fn numbered_steps<D: Device>(
        &self,
        device: &D,
        steps: &[(usize, u64)],
        learning_rate: f64,
    ) -> Result<(Vec<StepOutcome>, DeviceTrainer<D>), ModelFault> {
        let largest = steps.iter().map(|(images, _)| *images).max().unwrap_or(1);
        let mut trainer = DeviceTrainer::new(device.clone(), &self.network, largest)?;
        trainer.set_pos_weights(&[2.0, 1.0, 0.5])?;
        let settings = AdamParameters {
            learning_rate,
            weight_decay: WeightDecay::Decoupled(0.01),
            ..AdamParameters::default()
        };
        let len = self.width * self.height;
        let mut outcomes = Vec::new();
        for (count, &(images, number)) in (1_u64..).zip(steps) {
            let (bytes, targets, mask) = self.batch(images, number);
            let mut pixels = device.bytes(bytes.len())?;
            device.write_bytes(&mut pixels, 0, &bytes)?;
            let gather = |index: usize| PictureGather {
                start: (index * len) as u64,
                kind: GatherKind::Still,
            };
            let gathers: Vec<PictureGather> = (0..images).map(gather).collect();
            let images = DeviceImages::Pictures {
                images,
                picture_channels: 1,
                pixels: Pixels::Kept(&pixels),
                gathers: &gathers,
                tables: &[],
                norms: [(0.5, 0.25); 3],
            };
            let labels = Labels {
                targets: &targets,
                mask: &mask,
            };
            let factors = AdamFactors::new(count, &settings);
            outcomes.push(trainer.step(images, &labels, (7, number), Some(&factors))?);
        }
        Ok((outcomes, trainer))
    }
}

/// ‖a − b‖ ÷ ‖b‖.
fn apart(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let square = |numbers: &mut dyn Iterator<Item = f64>| numbers.map(|n| n * n).sum::<f64>();
    let pairs = a.iter().zip(b);
    let of_difference = square(&mut pairs.map(|(a, b)| f64::from(*a) - f64::from(*b)));
    let of_b = square(&mut b.iter().map(|b| f64::from(*b)));
    (of_difference / of_b.max(f64::MIN_POSITIVE)).sqrt()
}

/// The first step of both, closely; then call by call, recorded, replayed, with a short batch between.
fn is_the_reference<D: Device>(problem: &Problem, card: &Cuda, reference: &D, tolerance: f64) {
    let (found, trainer) = problem.steps(card, &[3], 1e-4).unwrap();
    let (expected, reference_trainer) = problem.steps(reference, &[3], 1e-4).unwrap();
    let (found, expected) = (&found[0], &expected[0]);
    let far = (found.loss - expected.loss).abs() / expected.loss;
    assert!(far < tolerance, "loss: {far}");
    let far = apart(&found.logits, &expected.logits);
    assert!(far < 10.0 * tolerance, "logits: {far}");
    let far = (found.gradient_norm - expected.gradient_norm).abs() / expected.gradient_norm;
    assert!(far < 10.0 * tolerance, "gradient norm: {far}");
    let found = trainer.gradients().unwrap();
    let expected = reference_trainer.gradients().unwrap();
    let (mut all_found, mut all_expected) = (Vec::new(), Vec::new());
    for (name, expected) in expected.iter() {
        let found = found.get(name).unwrap();
        let far = apart(found, expected);
        // Rounded products open other gates of a ReLU, which shows most in sums that nearly cancel.
        if card.precision() == Precision::F32 {
            assert!(far < 40.0 * tolerance, "gradient of {name}: {far}");
        }
        all_found.extend_from_slice(found);
        all_expected.extend_from_slice(expected);
    }
    // The share of gates that rounding moves grows with it, and a gradient's distance with its root:
    // 0.10 to 0.13 in TF32 and 0.20 to 0.25 in bf16, at five sizes of image and batch.
    let far = apart(&all_found, &all_expected);
    assert!(far < 4.0 * tolerance.sqrt(), "gradient: {far}");

    let sizes = [3, 3, 2, 3];
    let (found, _) = problem.steps(card, &sizes, 1e-4).unwrap();
    let (expected, _) = problem.steps(reference, &sizes, 1e-4).unwrap();
    for (number, (found, expected)) in found.iter().zip(&expected).enumerate() {
        // Steps of Adam follow the signs of gradients that are nearly 0, and norms of so few places
        // make much of little.
        let far = (found.loss - expected.loss).abs() / expected.loss;
        assert!(far < 50.0 * tolerance, "loss of step {number}: {far}");
    }
}

#[test]
fn steps_on_a_card_are_those_of_the_reference() {
    let _alone = alone();
    let problems = [
        Problem::new(Architecture::XrayCnn, 48, 32),
        Problem::new(Architecture::ResNet18, 64, 32),
    ];
    for problem in &problems {
        if let Some(card) = card(Precision::F32) {
            is_the_reference(problem, &card, &Reference::<f32>::new(), 1e-4);
        }
        if let Some(card) = card(Precision::Tf32) {
            is_the_reference(problem, &card, &Reference::<f32>::new(), 2e-3);
        }
        if let Some(card) = card(Precision::Bf16) {
            is_the_reference(problem, &card, &Reference::<Bf16>::new(), 1e-2);
        }
    }
}

#[test]
fn recorded_and_replayed_steps_have_the_bits_of_the_first() {
    let _alone = alone();
    for precision in Precision::ALL {
        let Some(card) = card(precision) else { return };
        for architecture in [Architecture::XrayCnn, Architecture::ResNet18] {
            let problem = Problem::new(architecture, 32, 32);
            // The same batch under the same dropout, and weights that do not move.
            let steps = [(3, 1); 4];
            let (outcomes, _) = problem.numbered_steps(&card, &steps, 0.0).unwrap();
            for outcome in &outcomes[1..] {
                assert_eq!(outcome, &outcomes[0], "{architecture} {precision}");
            }
        }
    }
}

#[test]
fn two_runs_on_a_card_have_the_same_bits() {
    let _alone = alone();
    for precision in Precision::ALL {
        let Some(card) = card(precision) else { return };
        let problem = Problem::new(Architecture::ResNet18, 32, 64);
        let sizes = [2, 2, 2, 1];
        let bits = || {
            let (outcomes, trainer) = problem.steps(&card, &sizes, 1e-3).unwrap();
            let network = Network::new(problem.network.config(), 1).unwrap();
            trainer.write_back(&network).unwrap();
            (outcomes, network.weight_digest().unwrap())
        };
        assert_eq!(bits(), bits());
    }
}

#[test]
fn two_hundred_steps_learn_alike_in_f32_and_bf16() {
    let _alone = alone();
    let problem = Problem::new(Architecture::XrayCnn, 16, 16);
    let sizes = [4; 200];
    let ends_at = |outcomes: &[StepOutcome]| {
        let last = &outcomes[outcomes.len() - 40..];
        last.iter().map(|outcome| outcome.loss).sum::<f64>() / last.len() as f64
    };
    let (outcomes, _) = problem
        .steps(&Reference::<f32>::new(), &sizes, 1e-3)
        .unwrap();
    let (began, expected) = (outcomes[0].loss, ends_at(&outcomes));
    assert!(expected < 0.8 * began, "{began} {expected}");
    for precision in [Precision::F32, Precision::Bf16] {
        let Some(card) = card(precision) else { return };
        let (outcomes, _) = problem.steps(&card, &sizes, 1e-3).unwrap();
        let found = ends_at(&outcomes);
        println!("{precision}: {began:.4} → {found:.4}, the reference {expected:.4}");
        assert!(
            (found - expected).abs() < 0.1 * expected,
            "{precision}: {found}"
        );
    }
}

#[test]
fn a_batch_that_does_not_fit_names_the_one_that_would() {
    let _alone = alone();
    let Some(card) = card(Precision::Bf16) else {
        return;
    };
    let (_, total) = card.memory().unwrap().unwrap();
    let problem = Problem::new(Architecture::ResNet18, 320, 320);
    // Each image of this size takes some 30 MB.
    let too_large = usize::try_from(total / 10_000_000).unwrap();
    let fault = DeviceTrainer::new(card.clone(), &problem.network, too_large).unwrap_err();
    let ModelFault::DeviceMemory { batch, fits, .. } = &fault else {
        panic!("{fault}");
    };
    assert_eq!(*batch, too_large);
    let fits = fits.unwrap();
    assert!(fits > 0 && fits < too_large);
    drop(DeviceTrainer::new(card, &problem.network, fits).unwrap());
}

#[test]
fn predictions_on_a_card_are_those_of_the_processor() {
    let _alone = alone();
    for (precision, tolerance) in [(Precision::F32, 1e-4), (Precision::Bf16, 3e-2)] {
        let Some(card) = card(precision) else { return };
        for architecture in [Architecture::XrayCnn, Architecture::ResNet18] {
            let problem = Problem::new(architecture, 64, 32);
            let mut predictor = DevicePredictor::new(card.clone(), &problem.network, 4).unwrap();
            let mut on_cpu =
                DevicePredictor::new(Reference::<f32>::new(), &problem.network, 4).unwrap();
            let mut stream = Stream::new(1, Purpose::Test, 0, 0);
            let len = 4 * 3 * 64 * 32;
            let planes: Vec<f32> = (0..len).map(|_| stream.normal() as f32).collect();
            let expected = on_cpu.logits(images(&planes)).unwrap();
            // Call by call, recorded, replayed.
            for _ in 0..3 {
                let found = predictor.logits(images(&planes)).unwrap();
                let far = apart(&found, &expected);
                assert!(far < tolerance, "{architecture} {precision}: {far}");
            }
        }
    }
}

fn images<D: Device>(planes: &[f32]) -> DeviceImages<'_, D> {
    DeviceImages::Planes {
        images: 4,
        data: planes,
    }
}
