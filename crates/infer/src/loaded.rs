//! A checkpoint made ready: its network, its preprocessing, its findings and its thresholds.

use std::path::Path;

use cxr_augment::Preprocess;
use cxr_metrics::{
    FindingCalibration, OperatingPoint, ScoreScale, Threshold, ThresholdRule, Undefined,
};
use cxr_models::{Checkpoint, CheckpointHeader, Compute, Network};

use crate::infer_error::InferError;
use crate::predictor::Predictor;

/// Everything that is needed to run a checkpoint over images, taken from the checkpoint alone.
#[derive(Debug)]
pub struct LoadedModel {
    header: CheckpointHeader,
    network: Network,
    preprocess: Preprocess,
}

impl LoadedModel {
    /// Reads and checks a checkpoint.
    ///
    /// # Errors
    /// A damaged or foreign file, weights that do not fit their header, preprocessing that cannot be
    /// read.
    pub fn open(path: &Path) -> Result<Self, InferError> {
        let checkpoint = Checkpoint::load(path)?;
        let header = checkpoint.header().clone();
        let preprocess =
            serde_json::from_value(header.preprocess.clone()).map_err(InferError::Preprocess)?;
        Ok(Self {
            network: checkpoint.network()?,
            header,
            preprocess,
        })
    }

    /// What the checkpoint says about itself.
    #[must_use]
    pub fn header(&self) -> &CheckpointHeader {
        &self.header
    }

    /// The network.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// How images become its input.
    #[must_use]
    pub fn preprocess(&self) -> &Preprocess {
        &self.preprocess
    }

    /// The names of its outputs, in order.
    #[must_use]
    pub fn findings(&self) -> &[String] {
        &self.header.findings
    }

    /// Runs images through the network, wherever `compute` says.
    ///
    /// # Errors
    /// The preprocessing contradicts itself; no such device.
    pub fn predictor(&self, compute: &Compute) -> Result<Predictor, InferError> {
        Predictor::on(compute, &self.network, &self.preprocess)
    }

    /// How logits become calibrated probabilities, one map a finding as fitted on valid; empty where
    /// the checkpoint has none.
    ///
    /// # Errors
    /// A stored calibration of another form, or of other findings.
    pub fn calibrations(&self) -> Result<Vec<FindingCalibration>, InferError> {
        let Some(saved) = &self.header.calibration else {
            return Ok(Vec::new());
        };
        let saved: Vec<FindingCalibration> =
            serde_json::from_value(saved.clone()).map_err(InferError::Calibration)?;
        if saved.iter().map(|one| &one.finding).eq(self.findings()) {
            Ok(saved)
        } else {
            let names: Vec<&str> = saved.iter().map(|one| one.finding.as_str()).collect();
            let problem = format!("it is of {names:?}, not of {:?}", self.findings());
            Err(InferError::Calibration(serde::de::Error::custom(problem)))
        }
    }

    /// The operating point of each finding as it was chosen on valid; probability one half where the
    /// checkpoint has none.
    ///
    /// # Errors
    /// A stored threshold that is not a number.
    pub fn operating_points(&self) -> Result<Vec<OperatingPoint>, InferError> {
        let Some(saved) = &self.header.operating_points else {
            return Ok(vec![OperatingPoint::half(); self.findings().len()]);
        };
        let mut points = Vec::with_capacity(saved.len());
        for point in saved {
            points.push(match point.threshold_logit {
                Some(logit) => {
                    let rule: ThresholdRule = point.rule.parse()?;
                    let carried =
                        OperatingPoint::carried(rule, Threshold::new(ScoreScale::Logit, logit)?);
                    match point.reason.as_deref().and_then(Undefined::from_text) {
                        Some(reason) if rule == carried.fall_back => carried.without_own(reason),
                        _ => carried,
                    }
                }
                None => OperatingPoint::half(),
            });
        }
        Ok(points)
    }
}
