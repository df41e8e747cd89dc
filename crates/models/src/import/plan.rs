//! Which tensor of a file goes where in a network, decided and reported before anything is built.
//!
//! For the `import-weights` command and for training from pretrained weights. Names and shapes are
//! compared one by one and every difference is listed. The head (the last linear layer) is kept
//! only on request, since its outputs mean something else in another training.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use serde::Serialize;

use super::fault::ImportFault;
use super::matching::{Matching, without_prefix};
use super::tensors::{Element, Tensors};
use crate::architecture::{Architecture, INPUT_CHANNELS, ModelConfig};
use crate::fault::ModelFault;
use crate::network::{Network, tensor_specs};

/// What becomes of the last linear layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// The file's head answers for exactly these findings, in this order.
    Keep,
    /// A fresh one.
    Fresh,
}

/// How strict to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completeness {
    /// Every tensor must be there, and no other.
    Whole,
    /// What is there is taken, the rest stays fresh; batch norm that was folded into convolutions
    /// is opened again.
    Partial,
}

/// How a file is to be imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImportOptions {
    /// The head.
    pub head: Head,
    /// Whole or partial.
    pub completeness: Completeness,
}

/// A tensor that comes from the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Filled {
    /// Its name in the network.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// The type that it had in the file.
    pub stored_as: Element,
}

/// A tensor with a reason why it is not what the file has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unused {
    /// Its name.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Why.
    pub reason: &'static str,
}

/// What an import does, tensor by tensor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImportReport {
    /// The network.
    pub architecture: Architecture,
    /// The key under which the tensors lay in the file, if they were not the whole of it.
    pub table: Option<String>,
    /// What stood in front of every name.
    pub stripped_prefix: Option<String>,
    /// Outputs of the file's head, if it has one.
    pub head_outputs: Option<usize>,
    /// Tensors from the file.
    pub filled: Vec<Filled>,
    /// Batch norms that are opened again by the calibration pass.
    pub reopened: Vec<String>,
    /// Tensors of the network that stay as they were drawn.
    pub fresh: Vec<Unused>,
    /// Tensors of the file that are not used.
    pub dropped: Vec<Unused>,
}

/// A file's tensors, matched with a network.
#[derive(Clone, Debug)]
pub struct ImportPlan {
    pub(super) config: ModelConfig,
    pub(super) report: ImportReport,
    pub(super) tensors: BTreeMap<String, Tensor>,
    /// By batch norm: the bias of the folded convolution before it.
    pub(super) folded: BTreeMap<String, Vec<f32>>,
}

impl ImportPlan {
    /// Matches a file's tensors with the network of this config.
    ///
    /// # Errors
    /// Every name and shape that does not fit, at once; a head with other than
    /// `config.n_findings` outputs that should be kept; values that are not finite.
    pub fn new(
        tensors: &Tensors,
        config: &ModelConfig,
        options: ImportOptions,
    ) -> Result<Self, ImportFault> {
        let specs = tensor_specs(config).map_err(refused)?;
        let (prefix, file) = without_prefix(tensors);
        let mut matching = Matching::new(config, options, &specs, &file);
        matching.check_head()?;
        for spec in &specs {
            matching.place(spec);
        }
        for (name, tensor) in &file {
            matching.account_for(name, tensor);
        }
        let mut plan = matching.finish()?;
        plan.report.stripped_prefix = prefix;
        plan.report.table = tensors.table().map(str::to_owned);
        Ok(plan)
    }

    /// What the import does, tensor by tensor.
    pub fn report(&self) -> &ImportReport {
        &self.report
    }

    /// The network that it fills.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Whether batch norm must be opened again, for which images are needed.
    pub fn needs_calibration(&self) -> bool {
        !self.folded.is_empty()
    }

    /// A network with the file's tensors; the rest is drawn with this seed. Folded batch norms are
    /// opened again over `calibration`, batches of f32 [B, 3, H, W] prepared as for evaluation.
    ///
    /// # Errors
    /// [`ImportFault::NeedsCalibration`] where images are needed and none are given; images of
    /// another shape.
    pub fn build(&self, seed: u64, calibration: &[Tensor]) -> Result<Network, ImportFault> {
        if self.needs_calibration() && calibration.is_empty() {
            return Err(ImportFault::NeedsCalibration {
                folded: self.folded.len(),
            });
        }
        let network = Network::new(&self.config, seed).map_err(refused)?;
        network.load_some_tensors(&self.tensors).map_err(refused)?;
        if self.needs_calibration() {
            network
                .reopen_batch_norm(calibration, self.folded.clone())
                .map_err(refused)?;
        }
        Ok(network)
    }
}

fn refused(source: ModelFault) -> ImportFault {
    ImportFault::Network {
        source: Box::new(source),
    }
}

/// Images to a batch of the calibration pass; it bounds the memory that the pass needs.
const CALIBRATION_BATCH: usize = 8;

/// Images, each f32 [3, H, W] in one piece, as batches for [`ImportPlan::build`].
///
/// # Errors
/// An image of another length.
pub fn calibration_batches(
    config: &ModelConfig,
    images: &[Vec<f32>],
) -> Result<Vec<Tensor>, ImportFault> {
    let ModelConfig { width, height, .. } = *config;
    images
        .chunks(CALIBRATION_BATCH)
        .map(|batch| {
            let shape = (batch.len(), INPUT_CHANNELS, height, width);
            Ok(Tensor::from_vec(batch.concat(), shape, &Device::Cpu)?)
        })
        .collect()
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
