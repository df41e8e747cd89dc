//! Names and shapes are compared one by one; folded batch norm comes back without changing what
//! the network computes.

use cxr_ops::{Conv2dGeometry, Pool2dGeometry};

use super::super::matching::{norm_after, to_candle};
use super::super::{ImportedTensor, Limits, Misfit, Values, read_pth, read_safetensors};
use super::*;
use crate::network::Mode;

const WHOLE_FRESH: ImportOptions = ImportOptions {
    head: Head::Fresh,
    completeness: Completeness::Whole,
};
const WHOLE_KEEP: ImportOptions = ImportOptions {
    head: Head::Keep,
    completeness: Completeness::Whole,
};
const PARTIAL: ImportOptions = ImportOptions {
    head: Head::Fresh,
    completeness: Completeness::Partial,
};

fn golden(name: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fixtures/golden")
        .join(name)
}

fn resnet18(n_findings: usize, side: usize) -> ModelConfig {
    ModelConfig::new(Architecture::ResNet18, n_findings, side, side)
}

/// The images of `fixtures/golden/import.py`.
fn images(side: usize) -> Tensor {
    let values: Vec<f32> = (0..2 * 3 * side * side)
        .map(|index| {
            let index = index as f64;
            (2.0 * (0.37 * index + 0.0007 * index * index).sin()) as f32
        })
        .collect();
    Tensor::from_vec(values, (2, 3, side, side), &Device::Cpu).unwrap()
}

fn flat(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// The largest difference, as a share of the largest value.
fn relative_difference(found: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let largest = expected
        .iter()
        .fold(0.0, |most: f64, it| most.max(f64::from(*it).abs()));
    let apart = found
        .iter()
        .zip(expected)
        .map(|(one, other)| (f64::from(*one) - f64::from(*other)).abs())
        .fold(0.0, f64::max);
    apart / largest
}

/// A file with a network's names and shapes, and no values: enough to be compared.
fn names_and_shapes(config: &ModelConfig) -> Tensors {
    let mut file = Tensors::new();
    for spec in tensor_specs(config).unwrap() {
        let tensor = floats(&spec.shape, Vec::new());
        file.insert(spec.name, tensor).unwrap();
    }
    file
}

fn floats(shape: &[usize], values: Vec<f32>) -> ImportedTensor {
    ImportedTensor {
        shape: shape.to_vec(),
        values: Values::F32(values),
        stored_as: Element::F32,
    }
}

/// Rebuilds a file with each tensor renamed, changed or left out.
fn mapped(
    file: &Tensors,
    change: impl Fn(&str, &ImportedTensor) -> Option<(String, ImportedTensor)>,
) -> Tensors {
    let mut changed = Tensors::new();
    for (name, tensor) in file.iter() {
        if let Some((name, tensor)) = change(name, tensor) {
            changed.insert(name, tensor).unwrap();
        }
    }
    changed
}

fn misfit_of(fault: ImportFault) -> (Misfit, Option<String>) {
    match fault {
        ImportFault::Misfit { misfit, hint, .. } => (*misfit, hint),
        other => panic!("expected a misfit, found {other}"),
    }
}

#[test]
fn torchvisions_resnet18_gives_torchvisions_logits() {
    let file = read_pth(&golden("import_resnet18.pth"), &Limits::default()).unwrap();
    let plan = ImportPlan::new(&file, &resnet18(2, 64), WHOLE_KEEP).unwrap();
    assert_eq!(plan.report().filled.len(), 122);
    assert!(plan.report().fresh.is_empty() && plan.report().dropped.is_empty());
    let network = plan.build(0, &[]).unwrap();
    assert_logits(&network, "resnet18", 64);
}

#[test]
fn the_write_ups_network_gives_pytorchs_logits() {
    let file = read_pth(&golden("import_xray_cnn.pth"), &Limits::default()).unwrap();
    let config = ModelConfig::new(Architecture::XrayCnn, 2, 16, 16);
    let network = ImportPlan::new(&file, &config, WHOLE_KEEP)
        .unwrap()
        .build(0, &[])
        .unwrap();
    assert_logits(&network, "xray_cnn", 16);
}

fn assert_logits(network: &Network, key: &str, side: usize) {
    let json = std::fs::read(golden("import.json")).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let expected: Vec<Vec<f32>> = serde_json::from_value(json[key].clone()).unwrap();
    let logits = network.forward(&images(side), Mode::Eval).unwrap();
    let apart = relative_difference(&flat(&logits), &expected.concat());
    assert!(apart < 1e-5, "{key}: {apart:e}");
}

#[test]
fn a_fresh_head_replaces_one_of_any_size() {
    let file = read_pth(&golden("import_resnet18.pth"), &Limits::default()).unwrap();
    let plan = ImportPlan::new(&file, &resnet18(14, 32), WHOLE_FRESH).unwrap();
    let report = plan.report();
    assert_eq!(report.head_outputs, Some(2));
    let names =
        |unused: &[Unused]| -> Vec<String> { unused.iter().map(|it| it.name.clone()).collect() };
    assert_eq!(names(&report.fresh), ["fc.weight", "fc.bias"]);
    assert_eq!(names(&report.dropped), ["fc.bias", "fc.weight"]);
    assert_eq!(report.filled.len(), 120);
    let tensors = plan.build(1, &[]).unwrap().tensors();
    assert_eq!(tensors["fc.weight"].dims(), [14, 512]);
    assert!(flat(&tensors["fc.weight"]).iter().any(|it| *it != 0.0));
    let Values::F32(stem) = &file.get("conv1.weight").unwrap().values else {
        panic!("weights are floats");
    };
    assert_eq!(flat(&tensors["conv1.weight"]), *stem);
}

#[test]
fn a_head_is_kept_only_with_one_finding_for_each_output() {
    let file = read_pth(&golden("import_resnet18.pth"), &Limits::default()).unwrap();
    let fault = ImportPlan::new(&file, &resnet18(3, 32), WHOLE_KEEP).unwrap_err();
    assert_eq!((fault.code(), fault.exit_code()), ("M065", 2));
    assert_eq!(
        fault.to_string(),
        "3 findings are named, but the head in the file has 2 outputs"
    );
    let headless = mapped(&file, |name, it| {
        (name != "fc.bias").then(|| (name.to_owned(), it.clone()))
    });
    let fault = ImportPlan::new(&headless, &resnet18(2, 32), WHOLE_KEEP).unwrap_err();
    assert_eq!(
        (fault.code(), fault.value().as_deref()),
        ("M066", Some("\"fc.bias\""))
    );
}

#[test]
fn prefixes_of_wrappers_are_taken_away_only_where_every_name_has_them() {
    let file = read_pth(&golden("import_xray_cnn.pth"), &Limits::default()).unwrap();
    let config = ModelConfig::new(Architecture::XrayCnn, 2, 16, 16);
    let wrapped = mapped(&file, |name, it| {
        Some((format!("module._orig_mod.{name}"), it.clone()))
    });
    let plan = ImportPlan::new(&wrapped, &config, WHOLE_KEEP).unwrap();
    assert_eq!(
        plan.report().stripped_prefix.as_deref(),
        Some("module._orig_mod.")
    );
    let half = mapped(&file, |name, it| {
        let prefix = if name.starts_with("conv") {
            "module."
        } else {
            ""
        };
        Some((format!("{prefix}{name}"), it.clone()))
    });
    let (misfit, _) = misfit_of(ImportPlan::new(&half, &config, WHOLE_KEEP).unwrap_err());
    assert_eq!((misfit.missing.len(), misfit.extra.len()), (8, 8));
}

#[test]
fn every_difference_is_listed_at_once() {
    let file = read_pth(&golden("import_resnet18.pth"), &Limits::default()).unwrap();
    let changed = mapped(&file, |name, it| match name {
        "bn1.weight" | "layer3.0.conv1.weight" => None,
        "layer1.0.bn1.bias" => Some(("layer1.0.bn1.beta".to_owned(), it.clone())),
        "conv1.weight" => Some((name.to_owned(), floats(&[64, 1, 7, 7], vec![0.0; 3136]))),
        "bn1.bias" => Some((
            name.to_owned(),
            ImportedTensor {
                shape: vec![64],
                values: Values::I64(vec![0; 64]),
                stored_as: Element::I32,
            },
        )),
        _ => Some((name.to_owned(), it.clone())),
    });
    let fault = ImportPlan::new(&changed, &resnet18(2, 32), WHOLE_KEEP).unwrap_err();
    assert_eq!((fault.code(), fault.exit_code()), ("M064", 6));
    let value = fault.value().unwrap();
    assert!(
        value.contains("\"conv1.weight\" is [64, 1, 7, 7], expected [64, 3, 7, 7]"),
        "{value}"
    );
    assert!(
        value.contains("\"bn1.bias\" is I32, expected a float"),
        "{value}"
    );
    let (misfit, _) = misfit_of(fault);
    assert_eq!(
        misfit.missing,
        ["bn1.weight", "layer1.0.bn1.bias", "layer3.0.conv1.weight"]
    );
    assert_eq!(misfit.extra, ["layer1.0.bn1.beta"]);
    assert_eq!((misfit.wrong_shape.len(), misfit.wrong_type.len()), (1, 1));
}

#[test]
fn the_usual_mix_ups_get_a_hint() {
    let hint = |file: &Tensors, config: &ModelConfig| {
        misfit_of(ImportPlan::new(file, config, WHOLE_FRESH).unwrap_err())
            .1
            .unwrap()
    };
    let config34 = ModelConfig::new(Architecture::ResNet34, 2, 32, 32);
    let deep = names_and_shapes(&config34);
    assert!(hint(&deep, &resnet18(2, 32)).contains("--arch resnet34"));
    let flat = read_pth(&golden("import_resnet18.pth"), &Limits::default()).unwrap();
    assert!(hint(&flat, &config34).contains("--arch resnet18"));
    let cnn = read_pth(&golden("import_xray_cnn.pth"), &Limits::default()).unwrap();
    let larger = ModelConfig::new(Architecture::XrayCnn, 2, 32, 32);
    assert!(hint(&cnn, &larger).contains("--size 16"));
}

#[test]
fn counts_that_older_files_lack_are_no_fault() {
    let file = read_pth(&golden("import_resnet18.pth"), &Limits::default()).unwrap();
    let old = mapped(&file, |name, it| {
        (!name.ends_with("num_batches_tracked")).then(|| (name.to_owned(), it.clone()))
    });
    let plan = ImportPlan::new(&old, &resnet18(2, 32), WHOLE_KEEP).unwrap();
    assert_eq!(
        (plan.report().filled.len(), plan.report().fresh.len()),
        (102, 20)
    );
}

#[test]
fn weights_that_are_not_finite_are_refused_by_name() {
    let file = read_pth(&golden("import_xray_cnn.pth"), &Limits::default()).unwrap();
    let config = ModelConfig::new(Architecture::XrayCnn, 2, 16, 16);
    let spoiled = mapped(&file, |name, it| {
        let mut it = it.clone();
        if let (Values::F32(values), "conv2.bias") = (&mut it.values, name) {
            values[3] = f32::NAN;
            values[5] = f32::INFINITY;
        }
        Some((name.to_owned(), it))
    });
    let fault = ImportPlan::new(&spoiled, &config, WHOLE_KEEP).unwrap_err();
    assert_eq!(
        (fault.code(), fault.location().as_deref()),
        ("M063", Some("tensor \"conv2.bias\""))
    );
    assert_eq!(fault.value().unwrap(), "2 values, the first at index 3");
}

#[test]
fn a_file_of_other_names_altogether_is_refused_even_in_part() {
    let mut file = Tensors::new();
    file.insert("encoder.weight".to_owned(), floats(&[1], vec![1.0]))
        .unwrap();
    for options in [WHOLE_FRESH, PARTIAL] {
        let fault = ImportPlan::new(&file, &resnet18(2, 32), options).unwrap_err();
        assert_eq!(
            (fault.code(), fault.value().as_deref()),
            ("M067", Some("\"encoder.weight\""))
        );
    }
}

#[test]
fn a_wrong_shape_is_a_fault_even_in_part() {
    let file = read_pth(&golden("import_xray_cnn.pth"), &Limits::default()).unwrap();
    let larger = ModelConfig::new(Architecture::XrayCnn, 2, 32, 32);
    let (misfit, _) = misfit_of(ImportPlan::new(&file, &larger, PARTIAL).unwrap_err());
    assert_eq!(misfit.wrong_shape.len(), 1);
    assert!(misfit.missing.is_empty() && misfit.extra.is_empty());
}

#[test]
fn the_batch_norm_after_a_convolution_is_found_by_its_name() {
    let after = |name| norm_after(name).unwrap_or_default();
    assert_eq!(after("conv1"), "bn1");
    assert_eq!(after("layer1.0.conv2"), "layer1.0.bn2");
    assert_eq!(after("layer2.0.downsample.0"), "layer2.0.downsample.1");
    assert_eq!(norm_after("fc"), None);
}

/// The network of the golden file with each batch norm folded into its convolution.
fn folded_golden() -> Tensors {
    let file = read_pth(&golden("import_resnet18.pth"), &Limits::default()).unwrap();
    let values = |name: &str| match &file.get(name).unwrap().values {
        Values::F32(values) => values.clone(),
        Values::I64(_) => panic!("{name}"),
    };
    let mut folded = Tensors::new();
    for (name, tensor) in file.iter() {
        let Some(convolution) = name.strip_suffix(".weight") else {
            continue;
        };
        let Some(norm) = norm_after(convolution) else {
            continue;
        };
        let of_norm = |word: &str| values(&format!("{norm}.{word}"));
        let (gain, shift) = (of_norm("weight"), of_norm("bias"));
        let (mean, variance) = (of_norm("running_mean"), of_norm("running_var"));
        let scale: Vec<f32> = gain
            .iter()
            .zip(&variance)
            .map(|(gain, it)| gain / (it + 1e-5).sqrt())
            .collect();
        let weights = values(name);
        let per_channel = weights.len() / scale.len();
        let weights = weights
            .chunks(per_channel)
            .zip(&scale)
            .flat_map(|(chunk, scale)| chunk.iter().map(move |it| it * scale))
            .collect();
        let biases = (0..scale.len())
            .map(|place| shift[place] - mean[place] * scale[place])
            .collect();
        folded
            .insert(name.to_owned(), floats(&tensor.shape, weights))
            .unwrap();
        folded
            .insert(
                format!("{convolution}.bias"),
                floats(&[scale.len()], biases),
            )
            .unwrap();
    }
    for name in ["fc.weight", "fc.bias"] {
        folded
            .insert(name.to_owned(), file.get(name).unwrap().clone())
            .unwrap();
    }
    folded
}

#[test]
fn folded_batch_norm_is_named_and_not_taken_without_being_asked_for() {
    let (misfit, hint) =
        misfit_of(ImportPlan::new(&folded_golden(), &resnet18(2, 64), WHOLE_KEEP).unwrap_err());
    assert_eq!((misfit.missing.len(), misfit.extra.len()), (80, 20));
    assert!(hint.unwrap().contains("folded into 20 convolutions"));
}

#[test]
fn batch_norm_that_was_folded_comes_back_with_the_same_logits() {
    let options = ImportOptions {
        head: Head::Keep,
        ..PARTIAL
    };
    let plan = ImportPlan::new(&folded_golden(), &resnet18(2, 64), options).unwrap();
    assert_eq!(plan.report().reopened.len(), 20);
    assert_eq!(plan.report().filled.len(), 22);
    assert!(plan.report().fresh.is_empty() && plan.report().dropped.is_empty());
    assert_eq!(plan.build(0, &[]).unwrap_err().code(), "M068");
    let network = plan.build(0, &[images(64)]).unwrap();
    assert_logits(&network, "resnet18", 64);
    // The running statistics are those of these images: in training mode, on them, little changes.
    let eval = network.features(&images(64), Mode::Eval).unwrap();
    let train = network
        .features(&images(64), Mode::Train { seed: 0, step: 0 })
        .unwrap();
    let apart = relative_difference(&flat(&train), &flat(&eval));
    assert!(apart < 0.2, "{apart}");
    assert!(
        flat(&network.tensors()["bn1.running_var"])
            .iter()
            .all(|it| *it > 0.0)
    );
}

/// What the folded network computes, straight from the file: convolution and bias where it was
/// folded, the fresh network's convolution (and a batch norm that does next to nothing) elsewhere.
struct FoldedWalk<'a> {
    file: &'a Tensors,
    fresh: BTreeMap<String, Tensor>,
}

impl FoldedWalk<'_> {
    fn in_file(&self, name: &str) -> Option<Tensor> {
        self.file.get(name).map(|tensor| to_candle(tensor).unwrap())
    }

    fn convolve(&self, x: &Tensor, name: &str, stride: usize, padding: usize) -> Tensor {
        let weight = format!("{name}.weight");
        let geometry = Conv2dGeometry { stride, padding };
        match self.in_file(&weight) {
            Some(weight) => {
                let bias = self.in_file(&format!("{name}.bias"));
                cxr_ops::conv2d(x, &weight, bias.as_ref(), geometry).unwrap()
            }
            None => {
                let y = cxr_ops::conv2d(x, &self.fresh[&weight], None, geometry).unwrap();
                (y / f64::from(1.0f32 + 1e-5).sqrt()).unwrap()
            }
        }
    }

    fn block(&self, x: &Tensor, name: &str, stride: usize) -> Tensor {
        let y = self
            .convolve(x, &format!("{name}.conv1"), stride, 1)
            .relu()
            .unwrap();
        let y = self.convolve(&y, &format!("{name}.conv2"), 1, 1);
        let shortcut = format!("{name}.downsample.0");
        let shortcut = if stride == 2 {
            self.convolve(x, &shortcut, 2, 0)
        } else {
            x.clone()
        };
        (y + shortcut).unwrap().relu().unwrap()
    }

    fn features(&self, images: &Tensor) -> Tensor {
        let pool = Pool2dGeometry {
            kernel: 3,
            stride: 2,
            padding: 1,
        };
        let stem = self.convolve(images, "conv1", 2, 3).relu().unwrap();
        let mut map = cxr_ops::max_pool2d(&stem, pool).unwrap();
        for (stage, stride) in [(1, 1), (2, 2), (3, 2), (4, 2)] {
            map = self.block(&map, &format!("layer{stage}.0"), stride);
            map = self.block(&map, &format!("layer{stage}.1"), 1);
        }
        map
    }
}

#[test]
fn the_folded_imagenet_weights_keep_their_features_through_the_calibration() {
    let shared = std::env::var_os("CXR_SHARED").map_or_else(
        || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        Into::into,
    );
    let path = shared.join("weights/resnet18-imagenet-bnfolded-partial.safetensors");
    if !path.is_file() {
        println!("skipped: {} is not here", path.display());
        return;
    }
    let file = read_safetensors(&path, &Limits::default()).unwrap();
    let plan = ImportPlan::new(&file, &resnet18(14, 64), PARTIAL).unwrap();
    let report = plan.report();
    // 16 convolutions whole (stem, 4 + 5 + 5, and layer4's shortcut), 4 of layer4 missing.
    assert_eq!(report.reopened.len(), 16);
    assert_eq!(report.filled.len(), 16);
    let orphans: Vec<_> = report
        .dropped
        .iter()
        .filter(|it| it.name.starts_with("layer4"))
        .collect();
    assert_eq!(orphans.len(), 4, "{orphans:?}");
    assert_eq!(report.dropped.len(), 6); // and the head of 1,000
    let network = plan.build(5, &[images(64)]).unwrap();
    let walk = FoldedWalk {
        file: &file,
        fresh: network.tensors(),
    };
    for images in [images(64), (images(64) * 0.3).unwrap()] {
        let found = network.features(&images, Mode::Eval).unwrap();
        let expected = walk.features(&images);
        let apart = relative_difference(&flat(&found), &flat(&expected));
        assert!(apart < 1e-4, "{apart:e}");
    }
}
