//! What a network promises beside PyTorch's numbers: reproducible weights, modes, freezing,
//! strict loading, the same bits for any number of threads.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use candle_core::{D, DType, Device, Tensor, Var};
use candle_nn::VarBuilder;
use cxr_models::{Architecture, Mode, ModelConfig, ModelFault, Network, TensorRole, tensor_specs};
use cxr_ops::{AdamMoments, AdamParameters};
use cxr_stream::{Purpose, Stream};

const TRAIN: Mode = Mode::Train { seed: 5, step: 3 };

fn xray(findings: usize) -> ModelConfig {
    ModelConfig::new(Architecture::XrayCnn, findings, 48, 32)
}

fn resnet(findings: usize) -> ModelConfig {
    ModelConfig::new(Architecture::ResNet18, findings, 48, 64)
}

fn normal(index: u64, shape: &[usize]) -> Tensor {
    let mut stream = Stream::new(1, Purpose::Test, 0, index);
    let numbers = (0..shape.iter().product()).map(|_| stream.normal() as f32);
    Tensor::from_vec(numbers.collect::<Vec<f32>>(), shape, &Device::Cpu).unwrap()
}

fn images(config: &ModelConfig, batch: usize) -> Tensor {
    normal(0, &[batch, 3, config.height, config.width])
}

fn numbers(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn relative_error(reference: &Tensor, found: &Tensor) -> f64 {
    let (reference, found) = (numbers(reference), numbers(found));
    assert_eq!(reference.len(), found.len());
    let pairs = reference.iter().zip(&found);
    let error: f64 = pairs.map(|(a, b)| f64::from(a - b).powi(2)).sum();
    let norm: f64 = reference.iter().map(|a| f64::from(*a).powi(2)).sum();
    (error / norm).sqrt()
}

/// A network whose norms are not the identity and whose running statistics are not fresh.
fn worn(config: &ModelConfig) -> Network {
    let network = Network::new(config, 11).unwrap();
    for (index, (name, var)) in network
        .parameters()
        .into_iter()
        .chain(network.buffers())
        .enumerate()
    {
        if var.rank() != 1 || var.dtype() != DType::F32 {
            continue;
        }
        let noise = normal(100 + index as u64, var.dims()).tanh().unwrap();
        let number = match name.rsplit('.').next().unwrap() {
            "bias" | "running_mean" => noise.affine(0.2, 0.0),
            _ => noise.affine(0.3, 1.0),
        };
        var.set(&number.unwrap()).unwrap();
    }
    network
}

fn buffers_of(network: &Network) -> BTreeMap<String, Vec<f32>> {
    let f32_of = |var: Var| numbers(&var.to_dtype(DType::F32).unwrap());
    let buffers = network.buffers().into_iter();
    buffers.map(|(name, var)| (name, f32_of(var))).collect()
}

fn loss_of(network: &Network, images: &Tensor) -> Tensor {
    let logits = network.forward(images, TRAIN).unwrap();
    let (rows, findings) = logits.dims2().unwrap();
    let targets = normal(7, &[rows, findings]).gt(0.0).unwrap();
    let targets = targets.to_dtype(DType::F32).unwrap();
    let ones = Tensor::ones((rows, findings), DType::F32, &Device::Cpu).unwrap();
    let weight = Tensor::full(2f32, findings, &Device::Cpu).unwrap();
    cxr_ops::bce_with_logits(&logits, &targets, &ones, &weight).unwrap()
}

#[test]
fn parameter_counts_are_pytorchs() {
    let count = |architecture, findings, side| {
        let config = ModelConfig::new(architecture, findings, side, side);
        let specs = tensor_specs(&config).unwrap();
        let parameters = specs.iter().filter(|s| s.role == TensorRole::Parameter);
        parameters.map(|spec| spec.n_elements()).sum::<usize>()
    };
    assert_eq!(count(Architecture::XrayCnn, 14, 320), 52_541_614);
    assert_eq!(count(Architecture::ResNet18, 1000, 224), 11_689_512);
    assert_eq!(count(Architecture::ResNet34, 1000, 224), 21_797_672);
    let network = Network::new(&xray(4), 1).unwrap();
    assert_eq!(network.n_parameters(), network.n_trainable_parameters());
    assert_eq!(network.n_parameters(), network.summary().n_parameters());
}

#[test]
fn fresh_weights_depend_on_the_seed_alone() {
    let digest =
        |config: &ModelConfig, seed| Network::new(config, seed).unwrap().weight_digest().unwrap();
    for config in [xray(3), resnet(3)] {
        assert_eq!(digest(&config, 8), digest(&config, 8));
        assert_ne!(digest(&config, 8), digest(&config, 9));
    }
}

#[test]
fn fresh_weights_have_pytorchs_distributions() {
    let moments = |tensor: &Tensor| {
        let numbers = numbers(tensor);
        let n = numbers.len() as f64;
        let mean = numbers.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
        let square = numbers.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / n;
        let largest = numbers.iter().fold(0f32, |a, b| a.max(b.abs()));
        (mean, square.sqrt(), f64::from(largest), n)
    };
    let tensors = Network::new(&xray(3), 1).unwrap().tensors();
    for (name, fan_in) in [
        ("conv4.weight", 576.0),
        ("fc1.weight", 768.0),
        ("fc1.bias", 768.0),
    ] {
        let bound = 1.0 / f64::sqrt(fan_in);
        let (mean, deviation, largest, n) = moments(&tensors[name]);
        let expected = bound / 3f64.sqrt();
        assert!(
            largest <= bound && largest > 0.98 * bound,
            "{name}: {largest}"
        );
        assert!(mean.abs() < 4.0 * expected / n.sqrt(), "{name}: {mean}");
        assert!(
            (deviation / expected - 1.0).abs() < 3.0 / n.sqrt(),
            "{name}: {deviation}"
        );
    }
    let tensors = Network::new(&resnet(3), 1).unwrap().tensors();
    for (name, fan_out) in [
        ("conv1.weight", 64.0 * 49.0),
        ("layer2.0.downsample.0.weight", 128.0),
        ("layer4.1.conv2.weight", 512.0 * 9.0),
    ] {
        let (mean, deviation, _, n) = moments(&tensors[name]);
        let expected = f64::sqrt(2.0 / fan_out);
        assert!(mean.abs() < 4.0 * expected / n.sqrt(), "{name}: {mean}");
        assert!(
            (deviation / expected - 1.0).abs() < 3.0 / n.sqrt(),
            "{name}: {deviation}"
        );
    }
    assert!(
        numbers(&tensors["layer3.1.bn2.weight"])
            .iter()
            .all(|&x| x.to_bits() == 1f32.to_bits())
    );
    assert!(
        numbers(&tensors["bn1.bias"])
            .iter()
            .all(|&x| x.to_bits() == 0)
    );
    // Two tensors of one shape share no numbers.
    assert_ne!(
        numbers(&tensors["layer4.1.conv1.weight"]),
        numbers(&tensors["layer4.1.conv2.weight"])
    );
}

#[test]
fn evaluation_equals_candle_transformers_resnets() {
    for architecture in [Architecture::ResNet18, Architecture::ResNet34] {
        let config = ModelConfig::new(architecture, 5, 80, 64);
        let network = worn(&config);
        let tensors = network.tensors().into_iter().collect();
        let builder = VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);
        let oracle = match architecture {
            Architecture::ResNet18 => candle_transformers::models::resnet::resnet18(5, builder),
            _ => candle_transformers::models::resnet::resnet34(5, builder),
        };
        let images = images(&config, 2);
        let expected = images.apply(&oracle.unwrap()).unwrap();
        let logits = network.forward(&images, Mode::Eval).unwrap();
        let error = relative_error(&expected, &logits);
        assert!(error < 1e-5, "{architecture}: {error:e}");
    }
}

#[test]
fn a_training_step_gives_the_same_bits_on_1_and_2_and_3_threads() {
    for config in [xray(3), resnet(3)] {
        let step = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            pool.build().unwrap().install(|| {
                let network = Network::new(&config, 2).unwrap();
                let gradients = loss_of(&network, &images(&config, 5)).backward().unwrap();
                for (_, var) in network.parameters() {
                    let gradient = gradients.get(&var).unwrap();
                    let mut moments = AdamMoments::zeros(var.elem_count());
                    let settings = AdamParameters::default();
                    cxr_ops::adam_step(&var, gradient, &mut moments, 1, &settings).unwrap();
                }
                network.weight_digest().unwrap()
            })
        };
        let one = step(1);
        assert_ne!(
            one,
            Network::new(&config, 2).unwrap().weight_digest().unwrap()
        );
        assert_eq!(one, step(2));
        assert_eq!(one, step(3));
    }
}

#[test]
fn dropout_is_a_function_of_seed_and_step_and_absent_in_evaluation() {
    let mut config = xray(3);
    let network = Network::new(&config, 4).unwrap();
    config.dropout = 0.0;
    let plain = Network::from_tensors(&config, &network.tensors()).unwrap();
    let images = images(&config, 2);
    let logits = |network: &Network, mode| numbers(&network.forward(&images, mode).unwrap());
    let train = |seed, step| logits(&network, Mode::Train { seed, step });
    assert_eq!(train(1, 1), train(1, 1));
    assert_ne!(train(1, 1), train(1, 2));
    assert_ne!(train(1, 1), train(2, 1));
    assert_ne!(train(1, 1), logits(&network, Mode::Eval));
    assert_eq!(logits(&plain, TRAIN), logits(&plain, Mode::Eval));
    assert_eq!(logits(&network, Mode::Eval), logits(&plain, Mode::Eval));
}

#[test]
fn dropout_keeps_the_mean_logit() {
    let network = Network::new(&xray(3), 4).unwrap();
    let images = images(network.config(), 1);
    let steps = 400;
    let passes: Vec<Tensor> = (0..steps)
        .map(|step| {
            network
                .forward(&images, Mode::Train { seed: 1, step })
                .unwrap()
        })
        .collect();
    let all = Tensor::cat(&passes, 0).unwrap();
    let mean = numbers(&all.mean(0).unwrap());
    let deviation = numbers(&all.var(0).unwrap().sqrt().unwrap());
    let expected = numbers(&network.forward(&images, Mode::Eval).unwrap());
    for ((mean, deviation), expected) in mean.iter().zip(&deviation).zip(&expected) {
        let standard_error = deviation / (steps as f32).sqrt();
        assert!(*deviation > 1e-3, "{deviation}");
        assert!(
            (mean - expected).abs() < 4.0 * standard_error,
            "{mean} {expected}"
        );
    }
}

#[test]
fn evaluation_builds_no_graph_and_moves_nothing() {
    for network in [worn(&xray(3)), worn(&resnet(3))] {
        let before = network.weight_digest().unwrap();
        let logits = network
            .forward(&images(network.config(), 2), Mode::Eval)
            .unwrap();
        assert!(!logits.track_op());
        assert_eq!(before, network.weight_digest().unwrap());
    }
}

#[test]
fn head_after_features_is_the_forward_pass_and_gives_the_maps_gradient() {
    for network in [worn(&xray(3)), worn(&resnet(3))] {
        let images = images(network.config(), 2);
        let map = network.features(&images, Mode::Eval).unwrap();
        assert_eq!(map.dims()[1..], network.feature_shape());
        let logits = network.head(&map, Mode::Eval).unwrap();
        let whole = network.forward(&images, Mode::Eval).unwrap();
        assert_eq!(numbers(&logits), numbers(&whole));
        // A map without ties: at zeros side by side a pooling has a kink.
        let map = Var::from_tensor(&normal(60, map.dims())).unwrap();
        let logits = network.head(map.as_tensor(), Mode::Eval).unwrap();
        let score = logits.narrow(D::Minus1, 1, 1).unwrap().sum_all().unwrap();
        let gradients = score.backward().unwrap();
        let gradient = gradients.get(&map).unwrap();
        // The directional derivative along the gradient is its squared norm. The heads are
        // piecewise linear, so a small step meets it closely.
        let square: f64 = numbers(gradient)
            .iter()
            .map(|g| f64::from(*g).powi(2))
            .sum();
        let length = 1e-3 / square.sqrt();
        let moved = (map.as_tensor() + (gradient * length).unwrap()).unwrap();
        let logits = network.head(&moved, Mode::Eval).unwrap();
        let moved = logits.narrow(D::Minus1, 1, 1).unwrap().sum_all().unwrap();
        let difference =
            f64::from(moved.to_scalar::<f32>().unwrap() - score.to_scalar::<f32>().unwrap());
        assert!(
            (difference / length / square - 1.0).abs() < 0.02,
            "{difference} {square}"
        );
    }
}

#[test]
fn frozen_layers_get_no_gradient_and_frozen_norms_do_not_move() {
    let mut network = worn(&resnet(3));
    let all = network.parameters().len();
    network
        .freeze(&["conv1", "bn1", "layer1", "layer3.0.bn2.bias"])
        .unwrap();
    assert_eq!(network.parameters().len(), all - 3 - 12 - 1);
    let frozen = |name: &str| name.starts_with("bn1.") || name.starts_with("layer1.");
    let (before, start) = (buffers_of(&network), network.snapshot().unwrap());
    let gradients = loss_of(&network, &images(network.config(), 3))
        .backward()
        .unwrap();
    for (name, var) in network.parameters() {
        let gradient = gradients.get(&var).unwrap_or_else(|| panic!("{name}"));
        assert!(numbers(gradient).iter().any(|g| g.abs() > 0.0), "{name}");
        assert!(!frozen(&name));
    }
    let tensors = network.tensors();
    assert!(gradients.get(&tensors["conv1.weight"]).is_none());
    assert!(gradients.get(&tensors["layer3.0.bn2.bias"]).is_none());
    // A norm of which one half is frozen still trains on its batch; a wholly frozen one does not.
    for (name, after) in buffers_of(&network) {
        assert_eq!(before[&name] == after, frozen(&name), "{name}");
    }
    for (name, tensor) in &start {
        if frozen(name) && tensor.dtype() == DType::F32 {
            assert_eq!(numbers(tensor), numbers(&tensors[name]), "{name}");
        }
    }
    network.unfreeze();
    assert_eq!(network.parameters().len(), all);
}

#[test]
fn a_frozen_norm_computes_as_in_evaluation() {
    let mut network = worn(&resnet(3));
    let images = images(network.config(), 3);
    let evaluated = network.forward(&images, Mode::Eval).unwrap();
    let names: Vec<String> = network
        .parameters()
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    let norms: Vec<&String> = names
        .iter()
        .filter(|n| n.contains("bn") || n.contains("downsample.1"))
        .collect();
    network.freeze(&norms).unwrap();
    let trained = network.forward(&images, TRAIN).unwrap();
    assert!(trained.track_op());
    assert_eq!(numbers(&evaluated), numbers(&trained));
}

#[test]
fn freezing_what_is_not_there_is_refused_by_name() {
    let mut network = Network::new(&resnet(3), 1).unwrap();
    for name in [
        "layer5",
        "layer",
        "conv",
        "fc.weigh",
        "bn1.running_mean",
        "",
    ] {
        let fault = network.freeze(&[name]).unwrap_err();
        assert_eq!(fault.code(), "M006", "{name}");
        assert_eq!(fault.value().unwrap(), format!("{name:?}"));
        assert!(fault.help().unwrap().contains("layer4"));
    }
    assert_eq!(network.n_parameters(), network.n_trainable_parameters());
}

#[test]
fn images_of_another_shape_or_type_are_refused() {
    let network = Network::new(&xray(3), 1).unwrap();
    for shape in [
        vec![2, 3, 48, 32],
        vec![2, 1, 32, 48],
        vec![3, 32, 48],
        vec![0, 3, 32, 48],
    ] {
        let images = Tensor::zeros(shape.as_slice(), DType::F32, &Device::Cpu).unwrap();
        let fault = network.forward(&images, Mode::Eval).unwrap_err();
        assert_eq!(fault.code(), "M005");
        assert!(fault.to_string().contains("[batch, 3, 32, 48]"), "{fault}");
        assert!(fault.value().unwrap().contains(&format!("{shape:?}")));
    }
    let images = Tensor::zeros((2, 3, 32, 48), DType::F64, &Device::Cpu).unwrap();
    assert_eq!(
        network.forward(&images, Mode::Eval).unwrap_err().code(),
        "M005"
    );
}

#[test]
fn one_value_per_channel_cannot_train_and_says_where() {
    let config = ModelConfig::new(Architecture::ResNet18, 3, 32, 32);
    let network = Network::new(&config, 1).unwrap();
    let fault = network.forward(&images(&config, 1), TRAIN).unwrap_err();
    assert_eq!((fault.code(), fault.exit_code()), ("N012", 2));
    assert!(
        fault.location().unwrap().contains("layer4.0.bn1"),
        "{fault:?}"
    );
    assert!(network.forward(&images(&config, 1), Mode::Eval).is_ok());
}

#[test]
fn a_batch_that_is_not_finite_spoils_its_loss_and_no_running_statistic() {
    let network = worn(&resnet(3));
    let before = network.weight_digest().unwrap();
    let mut pixels = numbers(&images(network.config(), 2));
    pixels[1234] = f32::NAN;
    let images = Tensor::from_vec(pixels, (2, 3, 64, 48), &Device::Cpu).unwrap();
    let logits = network.forward(&images, TRAIN).unwrap();
    assert!(numbers(&logits).iter().all(|logit| logit.is_nan()));
    assert_eq!(before, network.weight_digest().unwrap());
}

#[test]
fn loading_is_strict_names_every_fault_and_takes_nothing_where_any_is() {
    let network = worn(&resnet(3));
    let fresh = Network::new(&resnet(3), 99).unwrap();
    let before = fresh.weight_digest().unwrap();
    let mut tensors = network.snapshot().unwrap();
    let moved = tensors.remove("layer1.0.conv1.weight").unwrap();
    tensors.insert("module.layer1.0.conv1.weight".to_owned(), moved);
    let narrow = |tensor: &Tensor| tensor.narrow(0, 0, 2).unwrap();
    tensors.insert("fc.bias".to_owned(), narrow(&tensors["fc.bias"]));
    let double = tensors["bn1.bias"].to_dtype(DType::F64).unwrap();
    tensors.insert("bn1.bias".to_owned(), double);
    let mut spoilt = numbers(&tensors["bn1.weight"]);
    spoilt[5] = f32::NEG_INFINITY;
    let of = |numbers: Vec<f32>| Tensor::new(numbers, &Device::Cpu).unwrap();
    tensors.insert("bn1.weight".to_owned(), of(spoilt));
    let mut negative = numbers(&tensors["bn1.running_var"]);
    negative[9] = -1.0;
    tensors.insert("bn1.running_var".to_owned(), of(negative));

    let ModelFault::Tensors(faults) = fresh.load_tensors(&tensors).unwrap_err() else {
        panic!("another fault");
    };
    let found: Vec<(&str, &str)> = faults
        .faults()
        .iter()
        .map(|f| (f.code(), f.name()))
        .collect();
    assert_eq!(
        found,
        [
            ("M014", "bn1.weight"),
            ("M013", "bn1.bias"),
            ("M015", "bn1.running_var"),
            ("M010", "layer1.0.conv1.weight"),
            ("M012", "fc.bias"),
            ("M011", "module.layer1.0.conv1.weight"),
        ]
    );
    assert_eq!(faults.exit_code(), 6);
    assert_eq!(
        faults.location().unwrap(),
        "tensor \"bn1.weight\", element 5"
    );
    assert_eq!(faults.value().unwrap(), "-inf");
    assert!(faults.help().unwrap().contains("M012 \"fc.bias\""));
    assert_eq!(before, fresh.weight_digest().unwrap());

    fresh.load_tensors(&network.tensors()).unwrap();
    assert_eq!(
        network.weight_digest().unwrap(),
        fresh.weight_digest().unwrap()
    );
}

#[test]
fn loading_some_tensors_leaves_the_others_and_names_them() {
    let network = worn(&resnet(3));
    let fresh = Network::new(&resnet(3), 99).unwrap();
    let mut some = network.snapshot().unwrap();
    some.retain(|name, _| !name.starts_with("fc."));
    let head = numbers(&fresh.tensors()["fc.weight"]);
    assert_eq!(
        fresh.load_some_tensors(&some).unwrap(),
        ["fc.weight", "fc.bias"]
    );
    let loaded = fresh.tensors();
    assert_eq!(head, numbers(&loaded["fc.weight"]));
    assert_eq!(
        numbers(&some["conv1.weight"]),
        numbers(&loaded["conv1.weight"])
    );
    some.insert("fc.extra".to_owned(), some["bn1.bias"].clone());
    assert_eq!(fresh.load_some_tensors(&some).unwrap_err().code(), "M011");
}

#[test]
fn tensors_follow_the_network_and_a_snapshot_does_not() {
    let network = worn(&resnet(3));
    let (views, snapshot) = (network.tensors(), network.snapshot().unwrap());
    network
        .forward(&images(network.config(), 2), TRAIN)
        .unwrap();
    let name = "bn1.running_mean";
    assert_eq!(numbers(&views[name]), numbers(&network.tensors()[name]));
    assert_ne!(numbers(&views[name]), numbers(&snapshot[name]));
}

#[test]
fn reopened_batch_norm_computes_what_the_folded_network_did() {
    let network = worn(&resnet(3));
    let batches = [images(network.config(), 3), normal(50, &[2, 3, 64, 48])];
    let expected = network.forward(&batches[0], Mode::Eval).unwrap();

    // Fold every norm into the convolution before it.
    let mut tensors = network.snapshot().unwrap();
    let norms: Vec<String> = tensors
        .keys()
        .filter_map(|name| name.strip_suffix(".running_mean").map(str::to_owned))
        .collect();
    let mut biases = BTreeMap::new();
    for norm in norms {
        let of = |word: &str| tensors[&format!("{norm}.{word}")].clone();
        let deviation = (of("running_var") + 1e-5).unwrap().sqrt().unwrap();
        let scale = (of("weight") / deviation).unwrap();
        let bias = (of("bias") - (of("running_mean") * &scale).unwrap()).unwrap();
        let convolution = match norm.strip_suffix("downsample.1") {
            Some(block) => format!("{block}downsample.0.weight"),
            None => format!("{}.weight", norm.replace("bn", "conv")),
        };
        let folded = tensors[&convolution].broadcast_mul(&scale.reshape(((), 1, 1, 1)).unwrap());
        tensors.insert(convolution, folded.unwrap());
        biases.insert(norm, numbers(&bias));
    }
    let reopened = Network::new(network.config(), 1).unwrap();
    reopened.load_tensors(&tensors).unwrap();
    reopened
        .reopen_batch_norm(&batches, biases.clone())
        .unwrap();
    let logits = reopened.forward(&batches[0], Mode::Eval).unwrap();
    let error = relative_error(&expected, &logits);
    assert!(error < 1e-4, "{error:e}");
    // Over the very batch that was measured, training mode computes the same.
    reopened
        .reopen_batch_norm(&batches[..1], biases.clone())
        .unwrap();
    let logits = reopened.forward(&batches[0], TRAIN).unwrap();
    let error = relative_error(&expected, &logits);
    assert!(error < 1e-3, "{error:e}");

    let fault = reopened.reopen_batch_norm(&[], biases.clone());
    assert_eq!(fault.unwrap_err().code(), "M005");
    biases.insert("layer9.0.bn1".to_owned(), vec![0.0; 64]);
    let fault = reopened.reopen_batch_norm(&batches, biases).unwrap_err();
    assert_eq!(
        (fault.code(), fault.value().unwrap().as_str()),
        ("M006", "\"layer9.0.bn1\"")
    );
}

#[test]
fn a_summary_lists_every_layer_with_its_shape_and_says_what_is_frozen() {
    let mut network = Network::new(&xray(3), 1).unwrap();
    network.freeze(&["conv1"]).unwrap();
    let summary = network.summary();
    let names: Vec<&str> = summary
        .layers
        .iter()
        .map(|layer| layer.name.as_str())
        .collect();
    assert_eq!(names, ["conv1", "conv2", "conv3", "conv4", "fc1", "fc2"]);
    assert_eq!(summary.layers[4].weight_shape, [1024, 128 * 2 * 3]);
    assert_eq!(summary.layers[4].n_parameters, 1024 * 768 + 1024);
    let text = summary.to_string();
    assert_eq!(text.matches("frozen").count(), 1, "{text}");
    assert!(text.contains("[16, 3, 3, 3]"), "{text}");
    let resnet = Network::new(&resnet(3), 1).unwrap().summary();
    let norm = resnet
        .layers
        .iter()
        .find(|layer| layer.name == "layer2.0.downsample.1")
        .unwrap();
    assert_eq!((norm.n_parameters, norm.n_buffer_elements), (256, 257));
}
