//! The comparison behind a plan: each tensor of the network is placed, each of the file accounted
//! for, and every difference is kept.
//!
//! For [`plan`](super::plan) alone.

use std::collections::{BTreeMap, BTreeSet};

use candle_core::{DType, Device, Tensor};

use super::fault::ImportFault;
use super::misfit::{Misfit, WrongShape, WrongType};
use super::plan::{Completeness, Filled, Head, ImportOptions, ImportPlan, ImportReport, Unused};
use super::tensors::{ImportedTensor, Tensors, Values};
use crate::architecture::{Architecture, ModelConfig};
use crate::weights::TensorSpec;

/// What wrappers put in front of every name: data-parallel training, compilation, Lightning.
const PREFIXES: [&str; 3] = ["module.", "_orig_mod.", "model."];

/// The common prefixes of all names, taken away.
pub(super) fn without_prefix(
    tensors: &Tensors,
) -> (Option<String>, BTreeMap<&str, &ImportedTensor>) {
    let mut stripped = String::new();
    let mut file: BTreeMap<&str, &ImportedTensor> = tensors.iter().collect();
    while let Some(prefix) = PREFIXES
        .iter()
        .find(|prefix| !file.is_empty() && file.keys().all(|name| name.starts_with(**prefix)))
    {
        stripped.push_str(prefix);
        file = file
            .into_iter()
            .map(|(name, tensor)| (name.strip_prefix(prefix).unwrap_or(name), tensor))
            .collect();
    }
    ((!stripped.is_empty()).then_some(stripped), file)
}

/// The last linear layer's name.
fn head_of(architecture: Architecture) -> &'static str {
    match architecture {
        Architecture::XrayCnn => "fc2",
        Architecture::ResNet18 | Architecture::ResNet34 => "fc",
    }
}

/// The batch norm after a convolution, in torchvision's names.
pub(super) fn norm_after(convolution: &str) -> Option<String> {
    if let Some(block) = convolution.strip_suffix("downsample.0") {
        return Some(format!("{block}downsample.1"));
    }
    let (block, last) = convolution.rsplit_once('.').unwrap_or(("", convolution));
    let number = last.strip_prefix("conv")?;
    let dot = if block.is_empty() { "" } else { "." };
    Some(format!("{block}{dot}bn{number}"))
}

pub(super) struct Matching<'a> {
    config: &'a ModelConfig,
    options: ImportOptions,
    specs: BTreeMap<&'a str, &'a TensorSpec>,
    file: &'a BTreeMap<&'a str, &'a ImportedTensor>,
    /// Batch norms that the file has folded away, with the biases that they left.
    folds: BTreeMap<String, &'a [f32]>,
    /// The names of those biases in the file.
    fold_biases: BTreeSet<String>,
    filled: Vec<Filled>,
    fresh: Vec<Unused>,
    dropped: Vec<Unused>,
    misfit: Misfit,
}

impl<'a> Matching<'a> {
    pub(super) fn new(
        config: &'a ModelConfig,
        options: ImportOptions,
        specs: &'a [TensorSpec],
        file: &'a BTreeMap<&'a str, &'a ImportedTensor>,
    ) -> Self {
        let specs = specs
            .iter()
            .map(|spec| (spec.name.as_str(), spec))
            .collect();
        let mut matching = Self {
            config,
            options,
            specs,
            file,
            folds: BTreeMap::new(),
            fold_biases: BTreeSet::new(),
            filled: Vec::new(),
            fresh: Vec::new(),
            dropped: Vec::new(),
            misfit: Misfit::default(),
        };
        matching.find_folds();
        matching
    }

    /// A convolution with a bias that the network does not have, and without its batch norm.
    fn find_folds(&mut self) {
        for (name, bias) in self.file {
            let Some(convolution) = name.strip_suffix(".bias") else {
                continue;
            };
            let Some(norm) = norm_after(convolution) else {
                continue;
            };
            let mean = format!("{norm}.running_mean");
            let channels = self
                .specs
                .get(mean.as_str())
                .map(|spec| spec.shape.as_slice());
            let weight_fits = self.fits(&format!("{convolution}.weight"));
            let norm_is_gone = !self.file.keys().any(|other| {
                other
                    .strip_prefix(norm.as_str())
                    .is_some_and(|rest| rest.starts_with('.'))
            });
            if let Values::F32(values) = &bias.values
                && !self.specs.contains_key(name)
                && channels == Some(bias.shape.as_slice())
                && weight_fits
                && norm_is_gone
            {
                self.folds.insert(norm, values);
                self.fold_biases.insert((*name).to_owned());
            }
        }
    }

    fn fits(&self, name: &str) -> bool {
        match (self.specs.get(name), self.file.get(name)) {
            (Some(spec), Some(tensor)) => spec.shape == tensor.shape,
            _ => false,
        }
    }

    fn is_partial(&self) -> bool {
        self.options.completeness == Completeness::Partial
    }

    fn is_head(&self, name: &str) -> bool {
        let head = head_of(self.config.architecture);
        name.strip_prefix(head)
            .is_some_and(|rest| rest == ".weight" || rest == ".bias")
    }

    fn head_outputs(&self) -> Option<usize> {
        let weight = format!("{}.weight", head_of(self.config.architecture));
        self.file
            .get(weight.as_str())
            .and_then(|tensor| tensor.shape.first().copied())
    }

    /// A head to be kept must be there, whole, with one output for each finding.
    pub(super) fn check_head(&self) -> Result<(), ImportFault> {
        if self.options.head == Head::Fresh {
            return Ok(());
        }
        let missing: Vec<String> = self
            .specs
            .keys()
            .filter(|name| self.is_head(name) && !self.file.contains_key(**name))
            .map(|name| (*name).to_owned())
            .collect();
        if !missing.is_empty() {
            return Err(ImportFault::NoHead { missing });
        }
        match self.head_outputs() {
            Some(outputs) if outputs != self.config.n_findings => Err(ImportFault::HeadOutputs {
                findings: self.config.n_findings,
                outputs,
            }),
            _ => Ok(()),
        }
    }

    /// Decides where a tensor of the network comes from.
    pub(super) fn place(&mut self, spec: &TensorSpec) {
        let name = spec.name.as_str();
        if self.options.head == Head::Fresh && self.is_head(name) {
            return self.stays_fresh(spec, "no findings were named for the head");
        }
        let Some(tensor) = self.file.get(name) else {
            return self.place_missing(spec);
        };
        if tensor.shape != spec.shape {
            self.misfit.wrong_shape.push(WrongShape {
                name: name.to_owned(),
                found: tensor.shape.clone(),
                expected: spec.shape.clone(),
            });
        } else if matches!(tensor.values, Values::I64(_)) != (spec.dtype == DType::I64) {
            self.misfit.wrong_type.push(WrongType {
                name: name.to_owned(),
                found: tensor.stored_as,
                expected: if spec.dtype == DType::I64 {
                    "a whole number"
                } else {
                    "a float"
                },
            });
        } else {
            self.filled.push(Filled {
                name: name.to_owned(),
                shape: spec.shape.clone(),
                stored_as: tensor.stored_as,
            });
        }
    }

    fn place_missing(&mut self, spec: &TensorSpec) {
        let layer = spec.name.rsplit_once('.').map_or("", |(layer, _)| layer);
        if self.is_partial() && self.folds.contains_key(layer) {
            return; // the calibration pass fills it
        }
        if spec.name.ends_with(".num_batches_tracked") {
            self.stays_fresh(spec, "a count that older versions of PyTorch did not save");
        } else if self.is_partial() {
            self.stays_fresh(spec, "not in the file");
        } else {
            self.misfit.missing.push(spec.name.clone());
        }
    }

    fn stays_fresh(&mut self, spec: &TensorSpec, reason: &'static str) {
        self.fresh.push(Unused {
            name: spec.name.clone(),
            shape: spec.shape.clone(),
            reason,
        });
    }

    /// Decides what becomes of a tensor of the file that the network has no place for.
    pub(super) fn account_for(&mut self, name: &str, tensor: &ImportedTensor) {
        let reason = if self.options.head == Head::Fresh && self.is_head(name) {
            "no findings were named for its outputs"
        } else if self.specs.contains_key(name) {
            return;
        } else if self.is_partial() && self.fold_biases.contains(name) {
            return; // it becomes part of a batch norm
        } else if self.is_partial() && self.is_bias_of_missing(name) {
            "a bias whose convolution is not in the file"
        } else if self.is_partial() {
            "no such tensor in the network"
        } else {
            self.misfit.extra.push(name.to_owned());
            return;
        };
        let shape = tensor.shape.clone();
        self.dropped.push(Unused {
            name: name.to_owned(),
            shape,
            reason,
        });
    }

    fn is_bias_of_missing(&self, name: &str) -> bool {
        name.strip_suffix(".bias")
            .map(|layer| format!("{layer}.weight"))
            .is_some_and(|weight| {
                self.specs.contains_key(weight.as_str()) && !self.file.contains_key(weight.as_str())
            })
    }

    pub(super) fn finish(self) -> Result<ImportPlan, ImportFault> {
        let architecture = self.config.architecture;
        if self.filled.is_empty() {
            let names = self.file.keys().map(|name| (*name).to_owned()).collect();
            return Err(ImportFault::NothingFits {
                architecture,
                names,
            });
        }
        if !self.misfit.is_empty() {
            let hint = super::hint::hint(&self.misfit, self.config, self.file, self.folds.len());
            return Err(ImportFault::Misfit {
                architecture,
                misfit: Box::new(self.misfit),
                hint,
            });
        }
        let mut tensors = BTreeMap::new();
        for filled in &self.filled {
            if let Some(tensor) = self.file.get(filled.name.as_str()) {
                check_finite(&filled.name, &tensor.values)?;
                tensors.insert(filled.name.clone(), to_candle(tensor)?);
            }
        }
        let folds = if self.is_partial() {
            self.folds.clone()
        } else {
            BTreeMap::new()
        };
        for (norm, bias) in &folds {
            check_finite(norm, &Values::F32(bias.to_vec()))?;
        }
        let report = ImportReport {
            architecture,
            table: None,
            stripped_prefix: None,
            head_outputs: self.head_outputs(),
            reopened: folds.keys().cloned().collect(),
            filled: self.filled,
            fresh: self.fresh,
            dropped: self.dropped,
        };
        let folded = folds
            .into_iter()
            .map(|(norm, bias)| (norm, bias.to_vec()))
            .collect();
        Ok(ImportPlan {
            config: self.config.clone(),
            report,
            tensors,
            folded,
        })
    }
}

fn check_finite(name: &str, values: &Values) -> Result<(), ImportFault> {
    let Values::F32(values) = values else {
        return Ok(());
    };
    let Some(first_index) = values.iter().position(|value| !value.is_finite()) else {
        return Ok(());
    };
    let count = values.iter().filter(|value| !value.is_finite()).count();
    Err(ImportFault::NonFinite {
        name: name.to_owned(),
        count,
        first_index,
    })
}

pub(super) fn to_candle(tensor: &ImportedTensor) -> Result<Tensor, ImportFault> {
    let shape = tensor.shape.as_slice();
    Ok(match &tensor.values {
        Values::F32(values) => Tensor::from_slice(values, shape, &Device::Cpu)?,
        Values::I64(values) => Tensor::from_slice(values, shape, &Device::Cpu)?,
    })
}
