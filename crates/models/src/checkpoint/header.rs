//! What a checkpoint says about itself beside its weights.
//!
//! For whoever writes or reads a checkpoint. The preprocessing spec and the calibration are kept
//! as JSON that this crate does not interpret. Not here: bytes and digests.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::architecture::ModelConfig;
use crate::checkpoint::fault::{CheckpointFaultKind, FindingsDiffer};

/// The newest layout of a checkpoint that this program reads, and the one that it writes. A change
/// that an older program must not overlook raises it.
pub const FORMAT_VERSION: u32 = 1;

/// Everything about a network but its weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckpointHeader {
    /// Layout of the file, [`FORMAT_VERSION`] when written here.
    pub format_version: u32,
    /// What the network is built from.
    pub model: ModelConfig,
    /// The findings, in the order of the logits.
    pub findings: Vec<String>,
    /// How an image becomes the network's input.
    pub preprocess: Value,
    /// Where the weights come from.
    #[serde(default)]
    pub training: TrainingFacts,
    /// A threshold for each finding, in the order of `findings`.
    #[serde(default)]
    pub operating_points: Option<Vec<SavedOperatingPoint>>,
    /// How logits become calibrated probabilities.
    #[serde(default)]
    pub calibration: Option<Value>,
}

/// Where weights come from. All optional: imported weights know little.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TrainingFacts {
    /// Fingerprint of the training cohort.
    pub train_fingerprint: Option<String>,
    /// Fingerprint of the validation cohort.
    pub valid_fingerprint: Option<String>,
    /// The last epoch that was trained, from 1.
    pub epoch: Option<u64>,
    /// Optimizer steps taken.
    pub step: Option<u64>,
    /// The run's seed.
    pub seed: Option<u64>,
    /// The weights that training started from, in words.
    pub pretrained: Option<String>,
    /// Anything else worth knowing, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub notes: BTreeMap<String, Value>,
}

/// The decision threshold of one finding, on its logit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedOperatingPoint {
    /// The finding.
    pub finding: String,
    /// Positive where logit ≥ threshold. `None` where there is none; `reason` says why.
    #[serde(with = "exact")]
    pub threshold_logit: Option<f64>,
    /// How it was chosen: `0.5`, `youden`, `max-f1`, `sensitivity=0.9` and the like.
    pub rule: String,
    /// Why there is no threshold, or why another rule stood in.
    #[serde(default)]
    pub reason: Option<String>,
}

impl CheckpointHeader {
    /// A header of the current format that knows nothing of its training.
    #[must_use]
    pub fn new(model: ModelConfig, findings: Vec<String>, preprocess: Value) -> Self {
        Self {
            format_version: FORMAT_VERSION,
            model,
            findings,
            preprocess,
            training: TrainingFacts::default(),
            operating_points: None,
            calibration: None,
        }
    }

    /// Whether the header agrees with itself.
    pub(crate) fn check(&self) -> Result<(), CheckpointFaultKind> {
        let contradiction = |what: &str, value: String| {
            Err(CheckpointFaultKind::Contradiction {
                what: what.to_owned(),
                value,
            })
        };
        if self.format_version != FORMAT_VERSION {
            return contradiction(
                "the format is not the current one",
                self.format_version.to_string(),
            );
        }
        if let Err(fault) = self.model.check() {
            return contradiction(&fault.to_string(), fault.value().unwrap_or_default());
        }
        if self.findings.len() != self.model.n_findings {
            let value = format!(
                "{} for {} logits",
                self.findings.len(),
                self.model.n_findings
            );
            return contradiction("the number of findings is not the network's", value);
        }
        let mut seen = BTreeSet::new();
        if let Some(twice) = self.findings.iter().find(|name| !seen.insert(*name)) {
            return contradiction("a finding is named twice", format!("{twice:?}"));
        }
        let points = self.operating_points.as_deref().unwrap_or_default();
        let names = points.iter().map(|point| &point.finding);
        if self.operating_points.is_some() && !names.eq(&self.findings) {
            let names: Vec<&str> = points.iter().map(|point| point.finding.as_str()).collect();
            return contradiction(
                "the operating points are not one a finding",
                format!("{names:?}"),
            );
        }
        let not_finite = |point: &&SavedOperatingPoint| {
            point
                .threshold_logit
                .is_some_and(|threshold| !threshold.is_finite())
        };
        if let Some(point) = points.iter().find(not_finite) {
            return contradiction("a threshold is not finite", format!("{:?}", point.finding));
        }
        Ok(())
    }

    /// Whether `expected` are this checkpoint's findings, in order.
    ///
    /// # Errors
    /// The names that only one side has, or the first that stand in different order.
    pub fn check_findings(&self, expected: &[String]) -> Result<(), FindingsDiffer> {
        if self.findings == expected {
            return Ok(());
        }
        let only_in = |these: &[String], those: &[String]| -> Vec<String> {
            these
                .iter()
                .filter(|name| !those.contains(name))
                .cloned()
                .collect()
        };
        let places = self.findings.iter().zip(expected).enumerate();
        let first_moved = places
            .into_iter()
            .find(|(_, (ours, theirs))| ours != theirs)
            .map(|(index, (ours, theirs))| (index, ours.clone(), theirs.clone()));
        Err(FindingsDiffer {
            only_in_checkpoint: only_in(&self.findings, expected),
            only_expected: only_in(expected, &self.findings),
            first_moved,
        })
    }
}

/// A number as the shortest text that gives back its very bits: JSON readers may round numbers by
/// one unit in the last place, and a logit equal to its threshold must stay a positive decision.
mod exact {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        number: &Option<f64>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match number {
            Some(number) => serializer.serialize_str(&format!("{number:?}")),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<f64>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| text.parse().map_err(D::Error::custom))
            .transpose()
    }
}

#[cfg(test)]
mod tests {
    use cxr_stream::{Purpose, Stream};

    use super::*;

    #[test]
    fn every_threshold_comes_back_with_its_very_bits() {
        let mut stream = Stream::new(2, Purpose::Test, 0, 0);
        for _ in 0..2000 {
            let threshold = stream.normal() * 4.0;
            let point = SavedOperatingPoint {
                finding: "Edema".to_owned(),
                threshold_logit: Some(threshold),
                rule: "youden".to_owned(),
                reason: None,
            };
            let json = serde_json::to_string(&point).unwrap();
            let again: SavedOperatingPoint = serde_json::from_str(&json).unwrap();
            let bits = again.threshold_logit.map(f64::to_bits);
            assert_eq!(bits, Some(threshold.to_bits()), "{json}");
        }
    }
}
