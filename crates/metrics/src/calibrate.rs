//! Mending a calibration: maps from logits to logits that keep the order of radiographs.
//!
//! Every map rises, so no AUROC can change. The weight of positives in the loss is taken back for free
//! ([`LogitMap::unweighting`]); temperature (Guo et al. 2017), Platt's map (Platt 1999, with his
//! smoothed targets) and a map with a floor and a ceiling, for labels that are wrong now and then
//! whatever the picture shows, are fitted on valid; a shift of prevalence is corrected by Bayes' rule.
//! Deliberately not here: how good a calibration is ([`crate::ReliabilityCurve`]).
//!
//! ```
//! use cxr_metrics::{FindingCalibration, CalibrationMethod, LogitMap};
//! // A loss that weighs positives 4 times moves the optimum by ln 4.
//! let map = LogitMap::unweighting(4.0)?;
//! assert!((map.apply(4f64.ln())).abs() < 1e-15);
//! let logits = [2.0, 0.5, -0.3, -1.0, -2.0, 1.0];
//! let truths = [true, true, false, true, false, false];
//! let fitted = FindingCalibration::fit("Edema", &logits, &truths, 4.0)?;
//! // Six radiographs do not pay for a fit.
//! assert_eq!(fitted.in_force, CalibrationMethod::Unweighted);
//! # Ok::<(), cxr_metrics::MetricFault>(())
//! ```

use crate::calibration::log_loss_of_logits;
use crate::summation::as_f64;
use crate::{Cells, LogitMap, MetricFault, Scores, Truths, Undefined};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// A way from logits to calibrated ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CalibrationMethod {
    /// Nothing is done.
    AsTrained,
    /// ln w is taken off.
    Unweighted,
    /// Then divided by a temperature.
    Temperature,
    /// Slope and intercept, fitted.
    Platt,
    /// Slope, intercept, floor and ceiling, fitted.
    LabelNoise,
    /// The map in force, shifted to the prevalence of the radiographs under evaluation.
    PriorShift,
}

impl fmt::Display for CalibrationMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AsTrained => "as-trained",
            Self::Unweighted => "unweighted",
            Self::Temperature => "temperature",
            Self::Platt => "platt",
            Self::LabelNoise => "label-noise",
            Self::PriorShift => "prior-shift",
        })
    }
}

/// One finding's maps, fitted on valid; a checkpoint keeps them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FindingCalibration {
    /// The finding.
    pub finding: String,
    /// Share of positives where it was fitted; `None` where no label was known.
    pub prevalence: Option<f64>,
    /// The maps that exist.
    pub maps: BTreeMap<CalibrationMethod, LogitMap>,
    /// Why a map does not.
    pub undefined: BTreeMap<CalibrationMethod, Undefined>,
    /// The map that calibrated probabilities come from: the one with the least Akaike criterion where
    /// it was fitted, so that few positives do not pay for a fit of their noise.
    pub in_force: CalibrationMethod,
}

impl FindingCalibration {
    /// Fits every map on a finding's known cells of valid. `pos_weight` is the weight of positives in
    /// the loss, 1 for none.
    ///
    /// # Errors
    /// [`MetricFault::BadLogitMap`] for a weight that is not positive.
    pub fn fit(
        finding: &str,
        logits: &[f64],
        truths: &[bool],
        pos_weight: f64,
    ) -> Result<Self, MetricFault> {
        let unweighted = LogitMap::unweighting(pos_weight)?;
        let fitted = [
            (CalibrationMethod::Unweighted, Ok(unweighted)),
            (
                CalibrationMethod::Temperature,
                LogitMap::fit_temperature(unweighted, logits, truths),
            ),
            (
                CalibrationMethod::Platt,
                LogitMap::fit_platt(logits, truths),
            ),
            (
                CalibrationMethod::LabelNoise,
                LogitMap::fit_label_noise(logits, truths),
            ),
        ];
        let (mut maps, mut undefined) = (BTreeMap::new(), BTreeMap::new());
        for (method, map) in fitted {
            match map {
                Ok(map) => drop(maps.insert(method, map)),
                Err(reason) => drop(undefined.insert(method, reason)),
            }
        }
        let positives = truths.iter().filter(|&&truth| truth).count();
        Ok(Self {
            finding: finding.to_owned(),
            prevalence: (!truths.is_empty()).then(|| as_f64(positives) / as_f64(truths.len())),
            in_force: least_criterion(&maps, logits, truths),
            maps,
            undefined,
        })
    }

    /// The map in force; the identity where a file names one that it does not hold.
    pub fn map(&self) -> LogitMap {
        self.maps
            .get(&self.in_force)
            .copied()
            .unwrap_or(LogitMap::IDENTITY)
    }
}

/// The map with the least 2 · (fitted numbers) + 2 · Σ log loss (Akaike 1974); of equals, the one with
/// fewer fitted numbers.
fn least_criterion(
    maps: &BTreeMap<CalibrationMethod, LogitMap>,
    logits: &[f64],
    truths: &[bool],
) -> CalibrationMethod {
    let n_fitted = |method: CalibrationMethod| match method {
        CalibrationMethod::Temperature => 1.0,
        CalibrationMethod::Platt => 2.0,
        CalibrationMethod::LabelNoise => 4.0,
        _ => 0.0,
    };
    let criterion = |method: CalibrationMethod, map: &LogitMap| {
        let moved: Vec<f64> = logits.iter().map(|&z| map.apply(z)).collect();
        let loss = log_loss_of_logits(&moved, truths).unwrap_or(0.0);
        2.0 * n_fitted(method) + 2.0 * as_f64(truths.len()) * loss
    };
    maps.iter()
        .map(|(&method, map)| (method, criterion(method, map)))
        .min_by(|a, b| a.1.total_cmp(&b.1))
        .map_or(CalibrationMethod::Unweighted, |(method, _)| method)
}

/// One calibration a finding, fitted on these radiographs (those of valid). `pos_weights` are the
/// weights of positives in the loss, one a finding.
///
/// # Errors
/// Sizes that do not agree, or a weight that is not positive.
pub fn fit_calibrations(
    findings: &[String],
    scores: &Scores,
    truths: &Truths,
    pos_weights: &[f64],
) -> Result<Vec<FindingCalibration>, MetricFault> {
    let n_findings = scores.n_findings();
    for (what, found) in [
        ("names of findings", findings.len()),
        ("weights of positives", pos_weights.len()),
    ] {
        if found != n_findings {
            return Err(MetricFault::SizeMismatch {
                what,
                expected: n_findings,
                found,
            });
        }
    }
    let fit = |finding: usize| {
        let cells = Cells::of(scores, truths, finding)?;
        let logits = Scores::as_logits(scores.scale(), &cells.scores);
        FindingCalibration::fit(
            &findings[finding],
            &logits,
            &cells.truths,
            pos_weights[finding],
        )
    };
    (0..n_findings).map(fit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    const LOGITS: [f64; 8] = [3.0, 1.5, 0.2, -0.1, -0.8, -2.0, -3.0, 1.0];
    const TRUTHS: [bool; 8] = [true, true, false, true, false, false, false, true];

    #[test]
    fn a_fit_is_in_force_only_where_enough_radiographs_pay_for_it() {
        // Said at half the steepness that is so: 8 radiographs do not show it, 400 do.
        let few = FindingCalibration::fit("Mass", &LOGITS, &TRUTHS, 1.0).unwrap();
        assert_eq!(few.in_force, CalibrationMethod::Unweighted);
        let logits: Vec<f64> = LOGITS.repeat(50).iter().map(|z| 3.0 * z - 4.0).collect();
        let many = FindingCalibration::fit("Mass", &logits, &TRUTHS.repeat(50), 1.0).unwrap();
        assert_eq!(many.in_force, CalibrationMethod::Platt);
        assert_eq!(many.map(), many.maps[&CalibrationMethod::Platt]);
    }

    #[test]
    fn one_class_gets_the_free_map_and_reasons() {
        let fitted = FindingCalibration::fit("Hernia", &[0.1, 0.2], &[false, false], 1.0).unwrap();
        assert_eq!(fitted.map(), LogitMap::IDENTITY);
        assert_eq!(fitted.prevalence, Some(0.0));
        assert_eq!(fitted.undefined.len(), 3);
        let text = serde_json::to_string(&fitted).unwrap();
        assert_eq!(
            serde_json::from_str::<FindingCalibration>(&text).unwrap(),
            fitted
        );
        assert!(text.contains("\"unweighted\":{\"slope\":1.0,\"intercept\":-0.0}"));
        let harmed = text.replace("\"slope\":1.0", "\"slope\":-1.0");
        assert!(serde_json::from_str::<FindingCalibration>(&harmed).is_err());
    }
}
