//! What a run is made of: every key with its default, its range and its origin.
//!
//! Four layers, each over the one before: the built-in defaults, a preset, a file, single
//! `key=value` settings. Unknown keys, wrong types and values out of range are all reported at
//! once. Nothing here reads the environment or argv: callers hand in what was typed.

use cxr_augment::{AffineRanges, Interpolation, Preprocess};
use cxr_data::{PosWeightRule, Uncertain};
use cxr_metrics::ThresholdRule;
use cxr_models::{Architecture, Compute, Place};
use cxr_ops::device::{Planning, Precision};
use serde::{Deserialize, Serialize};

use crate::config_fault::ConfigFault;
use crate::optimizer::OptimizerKind;
use crate::schedule::ScheduleKind;

/// A whole run in numbers and words. The documentation of each key is `presets/default.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    missing_docs,
    reason = "presets/default.toml, printed by `config --defaults`, documents each key"
)]
pub struct RunConfig {
    pub name: String,
    pub seed: u64,
    pub epochs: u64,
    pub batch_size: usize,
    pub model: Architecture,
    pub size: u32,
    pub dropout: f64,
    pub pretrained: String,
    pub freeze: Vec<String>,
    pub optimizer: OptimizerKind,
    pub learning_rate: f64,
    pub weight_decay: f64,
    pub schedule: ScheduleKind,
    pub warmup_epochs: f64,
    pub pos_weight: PosWeightRule,
    pub non_finite: NonFinitePolicy,
    pub augment: AugmentConfig,
    pub threshold: ThresholdConfig,
    pub data: DataConfig,
    pub phantom: PhantomConfig,
    pub cuda: CudaConfig,
}

/// The random part of the training transform: see [`AffineRanges`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "presets/default.toml documents each key")]
pub struct AugmentConfig {
    pub flip_probability: f64,
    pub max_degrees: f64,
    pub max_translate: f64,
    pub min_scale: f64,
    pub max_scale: f64,
    pub max_shear_degrees: f64,
    pub interpolation: Interpolation,
}

/// How operating points are chosen on valid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "presets/default.toml documents each key")]
pub struct ThresholdConfig {
    pub rule: ThresholdRule,
}

/// Where labels and images come from and what to do when they are not clean.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "presets/default.toml documents each key")]
pub struct DataConfig {
    pub train: String,
    pub valid: String,
    pub test: String,
    pub images: String,
    pub uncertain: Uncertain,
    pub leakage: LeakagePolicy,
    pub bad_images: BadImagePolicy,
}

/// The synthetic cohort, used when no tables are given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "presets/default.toml documents each key")]
pub struct PhantomConfig {
    pub rows: Vec<usize>,
    pub size: u32,
    pub seed: u64,
    pub like: String,
}

/// How a card computes. The processor computes in f32 whatever stands here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "presets/default.toml documents each key")]
pub struct CudaConfig {
    #[serde(with = "as_word")]
    pub precision: Precision,
    #[serde(with = "as_word")]
    pub plans: Planning,
}

/// A setting of another crate as the word that it is printed and read as.
mod as_word {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<T: Display, S: Serializer>(
        value: &T,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(super) fn deserialize<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<T, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

/// What happens to patients and images that stand in two splits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LeakagePolicy {
    /// The run stops and names them.
    Refuse,
    /// They are dropped from valid and test, and the report says so.
    Repair,
}

/// What happens to images that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BadImagePolicy {
    /// The run stops and names them all.
    Fail,
    /// They are left out, and listed in the run folder.
    Skip,
}

/// What happens when a loss or a gradient is not finite, before the optimizer steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NonFinitePolicy {
    /// The run stops with exit code 5; the batch's images are listed in the run folder.
    Abort,
    /// The batch is passed over, at most [`MAX_SKIPPED_BATCHES`] times in a run.
    Skip,
}

/// How many batches `non_finite = "skip"` passes over before it gives up.
pub const MAX_SKIPPED_BATCHES: usize = 10;

impl RunConfig {
    /// The serialisable transform specification that training, evaluation and prediction share.
    #[must_use]
    pub fn preprocess(&self) -> Preprocess {
        Preprocess {
            width: self.size,
            height: self.size,
            ..Preprocess::default()
        }
    }

    /// The draws of the training transform.
    #[must_use]
    pub fn affine_ranges(&self) -> AffineRanges {
        let augment = &self.augment;
        AffineRanges {
            flip_probability: augment.flip_probability,
            max_degrees: augment.max_degrees,
            max_translate: augment.max_translate,
            scale: (augment.min_scale, augment.max_scale),
            max_shear_degrees: augment.max_shear_degrees,
        }
    }

    /// How a network of this run computes at a place.
    #[must_use]
    pub fn compute(&self, place: Place) -> Compute {
        Compute {
            place,
            precision: self.cuda.precision,
            plans: self.cuda.plans,
        }
    }

    /// Every value that is out of range, all at once.
    pub(crate) fn faults(&self) -> Vec<ConfigFault> {
        let mut faults = Vec::new();
        let mut refuse = |is_fine: bool, key: &str, rule: &str, found: String| {
            if !is_fine {
                let message = format!("{key}: must be {rule}, was {found}");
                faults.push(ConfigFault::refused(
                    key,
                    message,
                    found,
                    &format!("{rule} is right"),
                ));
            }
        };
        let share = |value: f64| (0.0..=1.0).contains(&value);
        let a = &self.augment;
        refuse(
            self.epochs >= 1,
            "epochs",
            "at least 1",
            self.epochs.to_string(),
        );
        refuse(
            self.batch_size >= 1,
            "batch_size",
            "at least 1",
            self.batch_size.to_string(),
        );
        refuse(
            (16..=4096).contains(&self.size) && self.size.is_multiple_of(16),
            "size",
            "a multiple of 16 from 16 to 4096",
            self.size.to_string(),
        );
        refuse(
            (0.0..1.0).contains(&self.dropout),
            "dropout",
            "at least 0 and below 1",
            self.dropout.to_string(),
        );
        refuse(
            self.learning_rate > 0.0 && self.learning_rate.is_finite(),
            "learning_rate",
            "above 0",
            self.learning_rate.to_string(),
        );
        refuse(
            self.weight_decay >= 0.0 && self.weight_decay.is_finite(),
            "weight_decay",
            "at least 0",
            self.weight_decay.to_string(),
        );
        refuse(
            self.warmup_epochs >= 0.0 && self.warmup_epochs.is_finite(),
            "warmup_epochs",
            "at least 0",
            self.warmup_epochs.to_string(),
        );
        for (key, value) in [
            ("augment.flip_probability", a.flip_probability),
            ("augment.max_translate", a.max_translate),
        ] {
            refuse(share(value), key, "between 0 and 1", value.to_string());
        }
        for (key, value, most) in [
            ("augment.max_degrees", a.max_degrees, 180.0),
            ("augment.max_shear_degrees", a.max_shear_degrees, 80.0),
        ] {
            let rule = format!("between 0 and {most}");
            refuse((0.0..=most).contains(&value), key, &rule, value.to_string());
        }
        for (key, value) in [
            ("augment.min_scale", a.min_scale),
            ("augment.max_scale", a.max_scale),
        ] {
            refuse(
                (0.05..=20.0).contains(&value),
                key,
                "between 0.05 and 20",
                value.to_string(),
            );
        }
        refuse(
            a.min_scale <= a.max_scale,
            "augment.min_scale",
            "at most augment.max_scale",
            a.min_scale.to_string(),
        );
        refuse(
            self.phantom.rows.is_empty() || self.phantom.rows.len() == 3,
            "phantom.rows",
            "three numbers (train, valid, test)",
            format!("{:?}", self.phantom.rows),
        );
        refuse(
            !self.name.is_empty() && self.name.chars().all(is_name_character),
            "name",
            "letters, digits, `-` and `_`",
            format!("{:?}", self.name),
        );
        faults
    }
}

fn is_name_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '_'
}
