//! The networks against PyTorch: logits, every gradient, running statistics and three Adam steps
//! from weights given by a formula. The reference is fixtures/golden/models.json, made by models.py
//! beside it in f64; each fact of a tensor is compared relative to that tensor's norm.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "how near it came is worth seeing")]

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use cxr_models::{Architecture, Mode, ModelConfig, Network, Step, TensorSpec, tensor_specs};
use cxr_ops::nhwc::{Isa, Kernels};
use cxr_ops::{AdamMoments, AdamParameters};
use serde::Deserialize;

/// What f32 must reach against the f64 reference.
const RELATIVE_ERROR: f64 = 1e-5;
/// The same for the step, which sums in another order (1.02e-5 seen).
const STEP_RELATIVE_ERROR: f64 = 2e-5;
/// Adam divides a gradient by its own size, so a gradient that is rounding noise moves its weight
/// by a full step; PyTorch's own f32 is off by `torch_f32_error`, and so may we be, times this.
const ADAM_SLACK: f64 = 3.0;

#[derive(Deserialize)]
struct Facts {
    norm: f64,
    projection: f64,
    elements: Vec<f64>,
}

#[derive(Deserialize)]
struct AdamCase {
    learning_rate: f64,
    losses: Vec<f64>,
    parameters: BTreeMap<String, Facts>,
    changes: BTreeMap<String, Facts>,
    torch_f32_error: BTreeMap<String, f64>,
}

#[derive(Deserialize)]
struct Case {
    images: usize,
    findings: usize,
    height: usize,
    width: usize,
    eval_logits: Vec<f64>,
    train_logits: Vec<f64>,
    loss: f64,
    #[serde(default)]
    gradients: BTreeMap<String, Facts>,
    buffers: BTreeMap<String, Facts>,
    adam: Vec<AdamCase>,
}

struct Batch {
    images: Tensor,
    targets: Tensor,
    mask: Tensor,
    pos_weight: Tensor,
}

fn case(architecture: Architecture) -> Case {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden/models.json");
    let text = fs_err::read_to_string(path).unwrap();
    let mut cases: BTreeMap<String, Case> = serde_json::from_str(&text).unwrap();
    cases.remove(architecture.name()).unwrap()
}

/// The same numbers as `uniform` in models.py: [-1, 1), multiples of 2⁻²³.
fn uniform(name: &str, count: usize) -> Vec<f32> {
    let salt = name.bytes().fold(2_166_136_261u32, |salt, byte| {
        (salt ^ u32::from(byte)).wrapping_mul(16_777_619)
    });
    (0..count as u32)
        .map(|index| {
            let mut hash = index.wrapping_mul(0x9E37_79B1) ^ salt;
            hash = (hash ^ (hash >> 16)).wrapping_mul(0x85EB_CA6B);
            hash = (hash ^ (hash >> 13)).wrapping_mul(0xC2B2_AE35);
            hash ^= hash >> 16;
            (hash >> 8) as f32 / (1u32 << 23) as f32 - 1.0
        })
        .collect()
}

/// The same weights as `formula` in models.py.
fn formula(spec: &TensorSpec) -> Tensor {
    if spec.dtype == DType::I64 {
        return Tensor::zeros((), DType::I64, &Device::Cpu).unwrap();
    }
    let mut numbers = uniform(&spec.name, spec.n_elements());
    let (offset, scale) = match spec.name.rsplit('.').next().unwrap() {
        "running_var" => (1.0, 0.5),
        "running_mean" | "bias" => (0.0, 0.125),
        _ if spec.shape.len() == 1 => (1.0, 0.25),
        _ => {
            let fan_in: usize = spec.shape[1..].iter().product();
            let exponent = (0..).find(|&e| fan_in <= 6 * 4usize.pow(e)).unwrap();
            (0.0, 0.5f32.powi(exponent as i32))
        }
    };
    for number in &mut numbers {
        *number = offset + scale * *number;
    }
    Tensor::from_vec(numbers, spec.shape.as_slice(), &Device::Cpu).unwrap()
}

fn network(architecture: Architecture, case: &Case) -> Network {
    let mut config = ModelConfig::new(architecture, case.findings, case.width, case.height);
    config.dropout = 0.0;
    let specs = tensor_specs(&config).unwrap();
    let tensors = specs.iter().map(|s| (s.name.clone(), formula(s))).collect();
    Network::from_tensors(&config, &tensors).unwrap()
}

fn batch(case: &Case) -> Batch {
    let (images, findings) = (case.images, case.findings);
    let tensor = |numbers: Vec<f32>, shape: &[usize]| {
        Tensor::from_vec(numbers, shape, &Device::Cpu).unwrap()
    };
    let map = |name: &str, count, f: fn(f32) -> f32| uniform(name, count).into_iter().map(f);
    let pixels = map("images", images * 3 * case.height * case.width, |u| 2.0 * u).collect();
    let cells = images * findings;
    let targets = map("targets", cells, |u| f32::from(u < -0.4)).collect();
    let mask = map("mask", cells, |u| f32::from(u < 0.8)).collect();
    let pos_weight = map("pos_weight", findings, |u| 2.0 + u).collect();
    Batch {
        images: tensor(pixels, &[images, 3, case.height, case.width]),
        targets: tensor(targets, &[images, findings]),
        mask: tensor(mask, &[images, findings]),
        pos_weight: tensor(pos_weight, &[findings]),
    }
}

const TRAIN: Mode = Mode::Train { seed: 1, step: 0 };

fn loss_of(network: &Network, batch: &Batch) -> (Tensor, Tensor) {
    let logits = network.forward(&batch.images, TRAIN).unwrap();
    let Batch {
        targets,
        mask,
        pos_weight,
        ..
    } = batch;
    let loss = cxr_ops::bce_with_logits(&logits, targets, mask, pos_weight).unwrap();
    (logits, loss)
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    let tensor = tensor.to_dtype(DType::F64).unwrap();
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn norm(numbers: &[f64]) -> f64 {
    numbers.iter().map(|n| n * n).sum::<f64>().sqrt()
}

/// The largest error of any fact of `found`, relative to the reference's norm.
fn distance(name: &str, facts: &Facts, found: &[f64]) -> f64 {
    let signs = uniform(&format!("projection {name}"), found.len());
    let projection: f64 = found
        .iter()
        .zip(&signs)
        .map(|(n, s)| n * f64::from(*s))
        .sum();
    let n = found.len();
    let all = facts.elements.len() == n;
    let place = |k: usize| if all { k } else { n * k / 8 };
    let elements = facts.elements.iter().enumerate();
    let errors = elements.map(|(k, element)| (element - found[place(k)]).abs());
    let worst = errors
        .chain([
            (facts.norm - norm(found)).abs(),
            (facts.projection - projection).abs(),
        ])
        .max_by(f64::total_cmp)
        .unwrap();
    worst / facts.norm.max(1e-30)
}

/// Every tensor of the reference is there and within `tolerance`; returns the largest error.
fn assert_near(
    what: &str,
    reference: &BTreeMap<String, Facts>,
    found: &BTreeMap<String, Vec<f64>>,
    tolerance: f64,
) -> f64 {
    assert!(reference.keys().eq(found.keys()), "{what}");
    let mut worst = (0.0, "");
    for (name, facts) in reference {
        let error = distance(name, facts, &found[name]);
        if error.total_cmp(&worst.0).is_gt() {
            worst = (error, name);
        }
    }
    println!("{what}: {:.1e} ({})", worst.0, worst.1);
    assert!(
        worst.0 <= tolerance,
        "{what}: {worst:?} above {tolerance:e}"
    );
    worst.0
}

fn assert_numbers(what: &str, reference: &[f64], found: &Tensor, tolerance: f64) {
    let found = numbers(found);
    assert_eq!(found.len(), reference.len());
    let errors: Vec<f64> = found.iter().zip(reference).map(|(a, b)| a - b).collect();
    let error = norm(&errors) / norm(reference);
    println!("{what}: {error:.1e}");
    assert!(error <= tolerance, "{what}: {error:e} above {tolerance:e}");
}

fn by_name(vars: Vec<(String, candle_core::Var)>) -> BTreeMap<String, Vec<f64>> {
    vars.into_iter()
        .filter(|(_, var)| var.dtype() == DType::F32)
        .map(|(name, var)| (name, numbers(var.as_tensor())))
        .collect()
}

fn check_passes(architecture: Architecture) {
    let case = case(architecture);
    let network = network(architecture, &case);
    let batch = batch(&case);
    let logits = network.forward(&batch.images, Mode::Eval).unwrap();
    assert_numbers("eval logits", &case.eval_logits, &logits, RELATIVE_ERROR);
    let (logits, loss) = loss_of(&network, &batch);
    assert_numbers("train logits", &case.train_logits, &logits, RELATIVE_ERROR);
    assert_numbers("loss", &[case.loss], &loss, RELATIVE_ERROR);
    assert_near(
        "buffers",
        &case.buffers,
        &by_name(network.buffers()),
        RELATIVE_ERROR,
    );
    for (name, var) in network.buffers() {
        if name.ends_with("num_batches_tracked") {
            assert_eq!(var.to_scalar::<i64>().unwrap(), 1, "{name}");
        }
    }
    if case.gradients.is_empty() {
        return;
    }
    let gradients = loss.backward().unwrap();
    let found = network
        .parameters()
        .into_iter()
        .map(|(name, var)| {
            let gradient = gradients.get(&var).unwrap();
            (name, numbers(gradient))
        })
        .collect();
    assert_near("gradients", &case.gradients, &found, RELATIVE_ERROR);
}

fn check_adam(architecture: Architecture) {
    let case = case(architecture);
    let batch = batch(&case);
    for adam in &case.adam {
        let network = network(architecture, &case);
        let start = by_name(network.parameters());
        let settings = AdamParameters {
            learning_rate: adam.learning_rate,
            ..AdamParameters::default()
        };
        let mut moments: Vec<AdamMoments> = network
            .parameters()
            .iter()
            .map(|(_, var)| AdamMoments::zeros(var.elem_count()))
            .collect();
        let mut losses = Vec::new();
        for step in 1..=3 {
            let (_, loss) = loss_of(&network, &batch);
            losses.push(loss.to_scalar::<f32>().unwrap());
            let gradients = loss.backward().unwrap();
            for ((_, var), moments) in network.parameters().iter().zip(&mut moments) {
                let gradient = gradients.get(var).unwrap();
                cxr_ops::adam_step(var, gradient, moments, step, &settings).unwrap();
            }
        }
        let end = by_name(network.parameters());
        let changes = end
            .iter()
            .map(|(name, end)| {
                let moved = end.iter().zip(&start[name]).map(|(a, b)| a - b);
                (name.clone(), moved.collect())
            })
            .collect();
        let tolerance = |what: &str| (ADAM_SLACK * adam.torch_f32_error[what]).max(RELATIVE_ERROR);
        let what = |word: &str| format!("Adam {} {word}", adam.learning_rate);
        let losses = Tensor::new(losses, &Device::Cpu).unwrap();
        assert_numbers("losses", &adam.losses, &losses, tolerance("losses"));
        let allowed = tolerance("parameters");
        assert_near(&what("parameters"), &adam.parameters, &end, allowed);
        let allowed = tolerance("changes");
        assert_near(&what("changes"), &adam.changes, &changes, allowed);
    }
}

/// Logits, running statistics and gradients of the layer-wise step, with every instruction set.
fn check_step(architecture: Architecture) {
    let case = case(architecture);
    let batch = batch(&case);
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
        let network = network(architecture, &case);
        // Direct sums: the rounding of F(4×4, 3×3) moves numbers near 0 across a ReLU now and then,
        // which no tolerance for rounding allows for.
        let mut step = Step::new(&network, Kernels::exact(isa)).unwrap();
        let logits = step.forward(&network, &batch.images, (1, 0)).unwrap();
        let shape = (case.images, case.findings);
        let logits = Tensor::from_vec(logits, shape, &Device::Cpu).unwrap();
        let what = |word: &str| format!("{isa} {word}");
        let allowed = STEP_RELATIVE_ERROR;
        assert_numbers(&what("logits"), &case.train_logits, &logits, allowed);
        let buffers = by_name(network.buffers());
        assert_near(&what("buffers"), &case.buffers, &buffers, allowed);
        if case.gradients.is_empty() {
            continue;
        }
        let logits = candle_core::Var::from_tensor(&logits).unwrap();
        let Batch {
            targets,
            mask,
            pos_weight,
            ..
        } = &batch;
        let loss = cxr_ops::bce_with_logits(&logits, targets, mask, pos_weight).unwrap();
        let of_logits = loss.backward().unwrap();
        let of_logits = of_logits.get(&logits).unwrap().flatten_all().unwrap();
        let of_logits = of_logits.to_vec1::<f32>().unwrap();
        let gradients = step.backward(&network, &batch.images, &of_logits).unwrap();
        let found = gradients
            .iter()
            .map(|(name, numbers)| (name.to_owned(), numbers.iter().map(|&n| n.into()).collect()))
            .collect();
        assert_near(&what("gradients"), &case.gradients, &found, allowed);
    }
}

#[test]
fn the_step_of_xray_cnn_equals_pytorch() {
    check_step(Architecture::XrayCnn);
}

#[test]
fn the_step_of_resnet18_equals_pytorch() {
    check_step(Architecture::ResNet18);
}

#[test]
fn the_step_of_resnet34_equals_pytorch() {
    check_step(Architecture::ResNet34);
}

#[test]
fn xray_cnn_equals_pytorch_in_logits_and_every_gradient() {
    check_passes(Architecture::XrayCnn);
}

#[test]
fn resnet18_equals_torchvision_in_logits_gradients_and_running_statistics() {
    check_passes(Architecture::ResNet18);
}

#[test]
fn resnet34_equals_torchvision_in_logits_and_running_statistics() {
    check_passes(Architecture::ResNet34);
}

#[test]
fn three_adam_steps_of_xray_cnn_equal_pytorchs() {
    check_adam(Architecture::XrayCnn);
}

#[test]
fn three_adam_steps_of_resnet18_equal_pytorchs() {
    check_adam(Architecture::ResNet18);
}
