//! Everything that a run would lose if it were killed, and its form on disk.

use std::collections::BTreeMap;

use candle_core::Tensor;
use cxr_metrics::History;
use cxr_models::{Checkpoint, CheckpointHeader, Network};
use cxr_report::LogLengths;
use safetensors::SafeTensors;
use serde::{Deserialize, Serialize};

use crate::generation::Files;
use crate::optimizer::Adam;
use crate::train_error::TrainError;

const MODEL: &str = "model.safetensors";
const OPTIMIZER: &str = "optimizer.safetensors";
const STATE: &str = "state.json";

/// A run between two epochs. There is no random state: every draw is a function of the seed and of
/// the counters here.
#[derive(Debug)]
pub struct TrainState {
    /// The weights and running statistics.
    pub network: Network,
    /// The moments.
    pub optimizer: Adam,
    /// What each epoch reached.
    pub history: History,
    /// Batches seen, those passed over included.
    pub n_batches: u64,
    /// Batches passed over because a number was not finite.
    pub n_skipped: usize,
}

/// The counters of a state, and what it was fitted to.
#[derive(Debug, Serialize, Deserialize)]
struct Counters {
    n_batches: u64,
    n_steps: u64,
    n_skipped: usize,
    history: History,
    train_fingerprint: String,
    valid_fingerprint: String,
    logs: LogLengths,
}

/// The cohorts that a state was fitted to, as fingerprints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprints {
    /// Of train.
    pub train: String,
    /// Of valid.
    pub valid: String,
}

impl TrainState {
    /// A run that has not begun.
    #[must_use]
    pub fn new(network: Network, optimizer: Adam, findings: Vec<String>) -> Self {
        Self {
            network,
            optimizer,
            history: History::new(findings),
            n_batches: 0,
            n_skipped: 0,
        }
    }

    /// How many epochs are complete.
    #[must_use]
    pub fn n_epochs(&self) -> u64 {
        self.history.last().map_or(0, |record| record.epoch)
    }

    /// The epoch with the best macro AUROC on valid; the last one while that is defined for none.
    #[must_use]
    pub fn best_epoch(&self) -> Option<u64> {
        self.history
            .best()
            .or(self.history.last())
            .map(|record| record.epoch)
    }

    /// The files of a generation.
    ///
    /// # Errors
    /// A weight is not finite, or cannot be written as safetensors.
    pub(crate) fn to_files(
        &self,
        header: CheckpointHeader,
        fingerprints: &Fingerprints,
        logs: LogLengths,
    ) -> Result<Files, TrainError> {
        let model = Checkpoint::of(&self.network, header)?.to_bytes()?;
        let optimizer =
            safetensors::serialize(self.optimizer.tensors()?, None).map_err(|error| {
                TrainError::Resume {
                    reason: error.to_string(),
                }
            })?;
        let counters = Counters {
            n_batches: self.n_batches,
            n_steps: self.optimizer.n_steps(),
            n_skipped: self.n_skipped,
            history: self.history.clone(),
            train_fingerprint: fingerprints.train.clone(),
            valid_fingerprint: fingerprints.valid.clone(),
            logs,
        };
        let counters =
            serde_json::to_vec_pretty(&counters).map_err(|error| TrainError::Resume {
                reason: error.to_string(),
            })?;
        let files = [(MODEL, model), (OPTIMIZER, optimizer), (STATE, counters)];
        Ok(files.map(|(name, bytes)| (name.to_owned(), bytes)).into())
    }

    /// Takes up the files of a generation, and tells how long the logs were when it was saved.
    ///
    /// # Errors
    /// A file is missing or does not fit this network, or the run was fitted to other cohorts.
    pub(crate) fn restore(
        &mut self,
        files: &Files,
        fitted_to: &Fingerprints,
    ) -> Result<LogLengths, TrainError> {
        let file = |name: &str| {
            let missing = || TrainError::Resume {
                reason: format!("{name} is missing"),
            };
            files.get(name).ok_or_else(missing)
        };
        let counters: Counters =
            serde_json::from_slice(file(STATE)?).map_err(|error| TrainError::Resume {
                reason: format!("{STATE}: {error}"),
            })?;
        let saved = Fingerprints {
            train: counters.train_fingerprint,
            valid: counters.valid_fingerprint,
        };
        if saved != *fitted_to {
            let reason = "train or valid holds other radiographs than when the run began";
            return Err(TrainError::Resume {
                reason: reason.to_owned(),
            });
        }
        let checkpoint = Checkpoint::from_bytes(file(MODEL)?)?;
        checkpoint.check_findings(counters.history.findings())?;
        self.network.load_tensors(checkpoint.tensors())?;
        self.optimizer
            .restore(&read_tensors(file(OPTIMIZER)?)?, counters.n_steps)?;
        self.history = counters.history;
        self.n_batches = counters.n_batches;
        self.n_skipped = counters.n_skipped;
        Ok(counters.logs)
    }
}

fn read_tensors(bytes: &[u8]) -> Result<BTreeMap<String, Tensor>, TrainError> {
    let refused = |error: &dyn std::fmt::Display| TrainError::Resume {
        reason: format!("{OPTIMIZER}: {error}"),
    };
    SafeTensors::deserialize(bytes).map_err(|error| refused(&error))?;
    let tensors = candle_core::safetensors::load_buffer(bytes, &candle_core::Device::Cpu)
        .map_err(|error| refused(&error))?;
    Ok(tensors.into_iter().collect())
}
