//! The layer-wise step and the folded network beside the network in candle's graph: the same logits,
//! running statistics and gradients, for any number of threads, over short batches and odd sizes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use cxr_models::{Architecture, Folded, FoldedMemory, Gradients, Mode, ModelConfig, Network, Step};
use cxr_ops::nhwc::{Isa, Kernels, Preference};
use cxr_stream::{Purpose, Stream};

/// How far the step may be from the graph, which takes direct sums in another order.
#[derive(Clone, Copy)]
struct Tolerances {
    /// Logits and running statistics, relative to the largest number.
    forward: f64,
    /// The middle one of all gradients, as whole tensors.
    middle_gradient: f64,
    /// Each gradient. Rounding moves a number near 0 across a ReLU now and then, and with it one
    /// part of a gradient.
    any_gradient: f64,
}

const EXACT: Tolerances = Tolerances {
    forward: 1e-4,
    middle_gradient: 2e-4,
    any_gradient: 2e-2,
};
const FASTEST: Tolerances = Tolerances {
    forward: 2e-4,
    // One number that crosses a ReLU in layer4, of some thousand, moves every gradient before it.
    middle_gradient: 1e-1,
    any_gradient: 2e-1,
};
/// The promise of the folded network.
const FOLDED_TOLERANCE: f64 = 1e-5;
/// The same for ResNet34, which has twice as many layers (1.4e-5 seen).
const FOLDED_TOLERANCE_34: f64 = 2e-5;
const FINDINGS: usize = 5;

fn config(architecture: Architecture, width: usize, height: usize) -> ModelConfig {
    let mut config = ModelConfig::new(architecture, FINDINGS, width, height);
    config.dropout = 0.25;
    config
}

fn numbers(salt: u64, len: usize) -> Vec<f32> {
    let mut stream = Stream::new(salt, Purpose::Test, 0, 0);
    (0..len).map(|_| 2.0 * stream.uniform_f32() - 1.0).collect()
}

fn images(config: &ModelConfig, n: usize, salt: u64) -> Tensor {
    let shape = (n, 3, config.height, config.width);
    let len = n * 3 * config.height * config.width;
    Tensor::from_vec(numbers(salt, len), shape, &Device::Cpu).unwrap()
}

/// Gives running statistics other values than those that a fresh norm has.
fn move_statistics(network: &Network, config: &ModelConfig) {
    for salt in 0..3 {
        let mode = Mode::Train {
            seed: 1,
            step: salt,
        };
        network
            .forward(&images(config, 4, 100 + salt), mode)
            .unwrap();
    }
}

fn largest(numbers: &[f32]) -> f64 {
    numbers
        .iter()
        .fold(1e-12, |largest, n| f64::from(n.abs()).max(largest))
}

/// The largest difference, relative to the largest number.
fn distance(got: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(got.len(), expected.len());
    assert!(got.iter().all(|number| number.is_finite()));
    let pairs = got.iter().zip(expected);
    let worst = pairs
        .map(|(a, b)| f64::from((a - b).abs()))
        .fold(0.0, f64::max);
    worst / largest(expected)
}

fn flat(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn buffers(network: &Network) -> BTreeMap<String, Vec<f32>> {
    let all = network.buffers().into_iter();
    all.map(|(name, var)| (name, flat(&var.to_dtype(DType::F32).unwrap())))
        .collect()
}

/// Logits and gradients of one batch by candle's graph.
fn by_graph(network: &Network, images: &Tensor, of_logits: &[f32]) -> (Vec<f32>, Gradients) {
    let logits = network
        .forward(images, Mode::Train { seed: 7, step: 3 })
        .unwrap();
    let weights = Tensor::from_slice(of_logits, logits.shape(), &Device::Cpu).unwrap();
    let store = (&logits * weights)
        .unwrap()
        .sum_all()
        .unwrap()
        .backward()
        .unwrap();
    let gradients = Gradients::of_graph(network, &store).unwrap();
    (flat(&logits.detach()), gradients)
}

/// The length of the difference, relative to the length of `expected`.
fn relative_length(got: &[f32], expected: &[f32]) -> f64 {
    let squares = |numbers: &mut dyn Iterator<Item = f32>| -> f64 {
        numbers.map(|number| f64::from(number).powi(2)).sum()
    };
    let pairs = got.iter().zip(expected);
    let of_difference = squares(&mut pairs.map(|(a, b)| a - b));
    (of_difference / squares(&mut expected.iter().copied())).sqrt()
}

fn check_batch(config: &ModelConfig, kernels: Kernels, step: &mut Step, n: usize) {
    let tolerances = match kernels.preference {
        Preference::Exact => EXACT,
        Preference::Fastest => FASTEST,
    };
    let (ours, graph) = (
        Network::new(config, 11).unwrap(),
        Network::new(config, 11).unwrap(),
    );
    let images = images(config, n, n as u64);
    let of_logits = numbers(99, n * FINDINGS);
    let (expected, expected_gradients) = by_graph(&graph, &images, &of_logits);
    let logits = step.forward(&ours, &images, (7, 3)).unwrap();
    let what = format!(
        "{:?} {n} of {}×{}, {kernels:?}",
        config.architecture, config.width, config.height
    );
    assert!(
        distance(&logits, &expected) <= tolerances.forward,
        "{what}: logits"
    );
    let gradients = step.backward(&ours, &images, &of_logits).unwrap();
    assert_eq!(gradients.iter().count(), ours.parameters().len(), "{what}");
    let mut errors = Vec::new();
    for (name, expected) in expected_gradients.iter() {
        let error = relative_length(gradients.get(name).unwrap(), expected);
        assert!(
            error <= tolerances.any_gradient,
            "{what}: {name}: {error:e}"
        );
        errors.push(error);
    }
    errors.sort_by(f64::total_cmp);
    let middle = errors[errors.len() / 2];
    assert!(middle <= tolerances.middle_gradient, "{what}: {middle:e}");
    let moved = buffers(&graph);
    for (name, found) in buffers(&ours) {
        assert!(
            distance(&found, &moved[&name]) <= tolerances.forward,
            "{what}: {name}"
        );
    }
}

#[test]
fn the_step_gives_the_gradients_of_the_graph_over_odd_sizes_and_short_batches() {
    for (architecture, width, height, batches) in [
        // The last batch of an epoch is short, and the next epoch's first is whole again.
        (Architecture::XrayCnn, 48, 80, vec![3, 1, 3]),
        (Architecture::ResNet18, 72, 47, vec![3, 2, 3]),
        // A norm over the four numbers of a single map would make noise of every difference.
        (Architecture::ResNet34, 33, 64, vec![2]),
    ] {
        let config = config(architecture, width, height);
        for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
            let network = Network::new(&config, 11).unwrap();
            for kernels in [Kernels::exact(isa), isa.into()] {
                // Slow in a build for tests, and the same bodies.
                if isa == Isa::Portable && architecture != Architecture::XrayCnn {
                    continue;
                }
                let mut step = Step::new(&network, kernels).unwrap();
                for &n in &batches {
                    check_batch(&config, kernels, &mut step, n);
                }
            }
        }
    }
}

#[test]
fn the_step_has_the_same_bits_with_1_2_4_and_16_threads() {
    for architecture in [Architecture::XrayCnn, Architecture::ResNet18] {
        let config = config(architecture, 64, 96);
        let bits = |threads: usize| -> Vec<u32> {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            pool.build().unwrap().install(|| {
                let network = Network::new(&config, 5).unwrap();
                let mut step = Step::new(&network, Isa::best()).unwrap();
                let images = images(&config, 5, 1);
                let logits = step.forward(&network, &images, (1, 1)).unwrap();
                let gradients = step.backward(&network, &images, &logits).unwrap();
                let all = gradients.iter().flat_map(|(_, gradient)| gradient);
                let all = all.chain(&logits).map(|number| number.to_bits());
                let statistics = buffers(&network);
                let statistics = statistics.values().flatten().map(|number| number.to_bits());
                all.chain(statistics).collect()
            })
        };
        let reference = bits(1);
        for threads in [2, 4, 16] {
            assert!(
                bits(threads) == reference,
                "{architecture} with {threads} threads"
            );
        }
    }
}

#[test]
fn a_frozen_network_has_no_step() {
    let mut network = Network::new(&config(Architecture::ResNet18, 32, 32), 1).unwrap();
    assert!(Step::new(&network, Isa::best()).is_some());
    network.freeze(&["layer1"]).unwrap();
    assert!(Step::new(&network, Isa::best()).is_none());
}

#[test]
fn one_value_per_channel_is_refused_as_in_the_graph_and_other_images_are_too() {
    let config = config(Architecture::ResNet18, 32, 32);
    let network = Network::new(&config, 1).unwrap();
    let mut step = Step::new(&network, Isa::best()).unwrap();
    let fault = step
        .forward(&network, &images(&config, 1, 1), (1, 1))
        .unwrap_err();
    let graph = network
        .forward(&images(&config, 1, 1), Mode::Train { seed: 1, step: 1 })
        .unwrap_err();
    assert_eq!(fault.code(), graph.code());
    assert_eq!(fault.location(), graph.location());
    let wide = self::config(Architecture::ResNet18, 64, 32);
    let fault = step
        .forward(&network, &images(&wide, 2, 1), (1, 1))
        .unwrap_err();
    assert_eq!(fault.code(), "M005");
    step.forward(&network, &images(&config, 2, 1), (1, 1))
        .unwrap();
    let fault = step
        .backward(&network, &images(&config, 2, 1), &[0.0])
        .unwrap_err();
    assert_eq!(fault.code(), "M005");
    // A batch of another size than the forward pass saw.
    let gradient = vec![0.0; 3 * FINDINGS];
    let fault = step
        .backward(&network, &images(&config, 3, 1), &gradient)
        .unwrap_err();
    assert_eq!(fault.code(), "M005");
}

#[test]
fn images_that_are_not_finite_give_logits_that_are_not_and_leave_running_statistics() {
    for architecture in [Architecture::XrayCnn, Architecture::ResNet18] {
        let config = config(architecture, 32, 48);
        let network = Network::new(&config, 1).unwrap();
        let mut pixels = numbers(1, 2 * 3 * 32 * 48);
        pixels[17] = f32::NAN;
        let images = Tensor::from_vec(pixels, (2, 3, 48, 32), &Device::Cpu).unwrap();
        let before = buffers(&network);
        let mut step = Step::new(&network, Isa::best()).unwrap();
        let logits = step.forward(&network, &images, (1, 1)).unwrap();
        assert!(logits.iter().any(|logit| logit.is_nan()), "{architecture}");
        let first = "bn1.running_mean";
        assert_eq!(
            before.get(first),
            buffers(&network).get(first),
            "{architecture}"
        );
        let folded = Folded::new(&network, Isa::best()).unwrap();
        let logits = folded
            .logits(&images, &mut FoldedMemory::default())
            .unwrap();
        assert!(
            logits[..FINDINGS].iter().any(|logit| logit.is_nan()),
            "{architecture}"
        );
    }
}

#[test]
fn the_folded_network_gives_the_logits_of_the_network() {
    for (architecture, width, height) in [
        (Architecture::XrayCnn, 48, 80),
        (Architecture::ResNet18, 72, 47),
        (Architecture::ResNet34, 64, 33),
    ] {
        let config = config(architecture, width, height);
        let network = Network::new(&config, 3).unwrap();
        move_statistics(&network, &config);
        for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
            let folded = Folded::new(&network, isa).unwrap();
            let mut memory = FoldedMemory::default();
            // More than run together, and fewer afterwards in the same memory.
            for n in [19, 1, 3] {
                let images = images(&config, n, n as u64);
                let expected = flat(&network.forward(&images, Mode::Eval).unwrap());
                let got = folded.logits(&images, &mut memory).unwrap();
                let error = distance(&got, &expected);
                let allowed = match architecture {
                    Architecture::ResNet34 => FOLDED_TOLERANCE_34,
                    _ => FOLDED_TOLERANCE,
                };
                assert!(error <= allowed, "{architecture} {isa} {n}: {error:e}");
            }
        }
    }
}

#[test]
fn a_radiographs_logits_do_not_depend_on_its_batch() {
    let config = config(Architecture::ResNet18, 64, 48);
    let network = Network::new(&config, 3).unwrap();
    let folded = Folded::new(&network, Isa::best()).unwrap();
    let mut memory = FoldedMemory::default();
    let batch = images(&config, 18, 4);
    let together = folded.logits(&batch, &mut memory).unwrap();
    for place in [0, 7, 17] {
        let image = batch.narrow(0, place, 1).unwrap().contiguous().unwrap();
        let alone = folded.logits(&image, &mut memory).unwrap();
        assert_eq!(
            alone,
            together[place * FINDINGS..][..FINDINGS],
            "place {place}"
        );
    }
}
