//! What may have happened, for a file whose tensors do not fit.
//!
//! For [`plan`](super::plan): it turns the usual mix-ups (another depth, another input size, folded
//! batch norm) into a sentence that says what to type instead.

use std::collections::BTreeMap;

use super::misfit::Misfit;
use super::tensors::ImportedTensor;
use crate::architecture::{Architecture, ModelConfig};

/// Channels of `xray-cnn`'s last convolution, and what its poolings divide each side by.
const XRAY_CNN_CHANNELS: usize = 128;
const XRAY_CNN_STEP: usize = 16;

pub(crate) fn hint(
    misfit: &Misfit,
    config: &ModelConfig,
    file: &BTreeMap<&str, &ImportedTensor>,
    n_folds: usize,
) -> Option<String> {
    let has = |name: &str| file.contains_key(name);
    if has("layer1.0.conv3.weight") {
        return Some(
            "these are bottleneck blocks (ResNet-50 or deeper); resnet18 and resnet34 are here"
                .to_owned(),
        );
    }
    let looks_like = if has("layer1.2.conv1.weight") {
        Some(Architecture::ResNet34)
    } else if has("layer1.1.conv1.weight") {
        Some(Architecture::ResNet18)
    } else if has("conv4.weight") && has("fc1.weight") {
        Some(Architecture::XrayCnn)
    } else {
        None
    };
    match looks_like {
        Some(other) if other != config.architecture => {
            return Some(format!(
                "the names are those of {other}: try --arch {other}"
            ));
        }
        _ => {}
    }
    if n_folds > 0 {
        return Some(format!(
            "batch norm is folded into {n_folds} convolutions: --partial with \
             --calibrate-images DIR opens it again"
        ));
    }
    if let Some(side) = xray_cnn_side(misfit, config) {
        return Some(format!(
            "the file is for images of {side}×{side} pixels: try --size {side}"
        ));
    }
    if misfit.wrong_shape.is_empty() && misfit.wrong_type.is_empty() {
        return Some("--partial takes what fits, and lists what stays fresh".to_owned());
    }
    Some("only files for the same network can be imported".to_owned())
}

/// The side of the square images that the file's first linear layer was made for.
fn xray_cnn_side(misfit: &Misfit, config: &ModelConfig) -> Option<usize> {
    if config.architecture != Architecture::XrayCnn {
        return None;
    }
    let wrong = misfit
        .wrong_shape
        .iter()
        .find(|wrong| wrong.name == "fc1.weight")?;
    let [_, inputs] = wrong.found.as_slice() else {
        return None;
    };
    let area = inputs / XRAY_CNN_CHANNELS;
    let side = area.isqrt();
    (side * side * XRAY_CNN_CHANNELS == *inputs).then_some(side * XRAY_CNN_STEP)
}
