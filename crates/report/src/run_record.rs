//! `run.json`: what ran, on what, with what, and how it ended.
//!
//! For whoever trains (fills it in), the page (shows it) and scripts. All values are passed in.
//! Deliberately not here: asking the clock, the processor or the environment.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Where a run keeps its record.
pub const RUN_RECORD: &str = "run.json";

/// How far a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// At work, or killed before it could say otherwise.
    #[default]
    Running,
    /// Everything was done.
    Finished,
    /// Stopped by a signal after a checkpoint; can be resumed.
    Interrupted,
    /// Stopped by an error.
    Failed,
}

/// The contents of `run.json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunRecord {
    /// How far it is.
    pub status: RunStatus,
    /// The process's exit code, once it has one.
    pub exit_code: Option<u8>,
    /// What stopped it.
    pub failure: Option<FailureRecord>,
    /// The words of the command line.
    pub command: Vec<String>,
    /// The preset that the configuration began with.
    pub preset: Option<String>,
    /// When it began, as `2026-05-09T10:00:00Z`.
    pub started: Option<String>,
    /// When it ended.
    pub finished: Option<String>,
    /// How long it took, resumed parts included.
    pub seconds: Option<f64>,
    /// The seed of every draw.
    pub seed: Option<u64>,
    /// The network.
    pub model: Option<ModelRecord>,
    /// The radiographs.
    pub data: Option<DataRecord>,
    /// The epoch that was kept.
    pub best: Option<BestEpoch>,
    /// The processor's name.
    pub processor: Option<String>,
    /// Worker threads.
    pub threads: Option<usize>,
    /// Memory of the machine.
    pub memory_bytes: Option<u64>,
    /// `cpu`, `cuda:0`.
    pub device: Option<String>,
    /// Of this program, the compiler and the libraries that matter.
    pub versions: BTreeMap<String, String>,
    /// Digests by name: weights, preprocessing, tables.
    pub fingerprints: BTreeMap<String, String>,
    /// Seconds by stage.
    pub timings: BTreeMap<String, f64>,
    /// What the reader should know.
    pub warnings: Vec<String>,
}

/// Why a run failed, as it was printed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FailureRecord {
    /// The stable code.
    pub code: String,
    /// The one-line message.
    pub message: String,
}

/// The network of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ModelRecord {
    /// As in the configuration: `xray-cnn`, `resnet18`.
    pub architecture: String,
    /// Trainable numbers.
    pub n_parameters: u64,
    /// Input width in pixels.
    pub width: u32,
    /// Input height in pixels.
    pub height: u32,
    /// Where its weights came from; `None` when drawn at random.
    pub pretrained: Option<String>,
}

/// The radiographs of a run, after any repair.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DataRecord {
    /// What to call them: the tables' folder, or the phantom's recipe.
    pub name: String,
    /// Whether the images are synthetic.
    pub is_phantom: bool,
    /// Train, valid and, where there is one, test, in this order.
    pub splits: Vec<SplitRecord>,
}

/// One split.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SplitRecord {
    /// `train`, `valid` or `test`.
    pub name: String,
    /// Rows.
    pub radiographs: u64,
    /// People.
    pub patients: u64,
    /// SHA-256 of the sorted image names.
    pub fingerprint: String,
    /// The list it is known to be, as `NIH official test`.
    pub known_as: Option<String>,
    /// What a reader of figures on that list should know.
    pub caution: Option<String>,
}

/// The epoch whose weights were kept, and by what rule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BestEpoch {
    /// From 1.
    pub epoch: u64,
    /// What was compared, as `valid macro AUROC`.
    pub rule: String,
    /// Its value at that epoch.
    pub value: Option<f64>,
}
