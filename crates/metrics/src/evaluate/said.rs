//! One finding's probabilities held against what was so, as they are and mended.

use crate::calibration::{
    Binning, BrierDecomposition, DEFAULT_BINS, ReliabilityCurve, brier, log_loss_of_logits,
    log_loss_of_probabilities,
};
use crate::evaluation::keep;
use crate::scores::sigmoid;
use crate::summation::{as_f64, mean};
use crate::{
    CalibratedFigures, CalibrationMethod, Cells, FindingBaselines, FindingCalibration, LogitMap,
    Reasons, ScoreScale, Scores, Undefined,
};

/// What a model said of one finding's radiographs.
pub(super) struct Said<'a> {
    scores: &'a [f64],
    scale: ScoreScale,
    truths: &'a [bool],
    probabilities: Vec<f64>,
    /// Share of positives.
    pub(super) prevalence: Option<f64>,
}

/// Figures of probabilities.
pub(super) struct Calibration {
    pub(super) brier: Option<f64>,
    pub(super) log_loss: Option<f64>,
    pub(super) ece: Option<f64>,
    pub(super) ece_equal_mass: Option<f64>,
    pub(super) ece_by_chance: Option<f64>,
    pub(super) brier_parts: Option<BrierDecomposition>,
}

impl<'a> Said<'a> {
    pub(super) fn of(cells: &'a Cells, scale: ScoreScale) -> Self {
        let probabilities = match scale {
            ScoreScale::Logit => cells.scores.iter().map(|&z| sigmoid(z)).collect(),
            ScoreScale::Probability => cells.scores.clone(),
        };
        let positives = cells.truths.iter().filter(|&&truth| truth).count();
        let n = cells.truths.len();
        Self {
            scores: &cells.scores,
            scale,
            truths: &cells.truths,
            probabilities,
            prevalence: (n > 0).then(|| as_f64(positives) / as_f64(n)),
        }
    }

    /// The figures of the probabilities as they are.
    pub(super) fn figures(&self, undefined: &mut Reasons) -> Calibration {
        let log_loss = match self.scale {
            ScoreScale::Logit => log_loss_of_logits(self.scores, self.truths),
            ScoreScale::Probability => log_loss_of_probabilities(self.scores, self.truths),
        };
        measure(&self.probabilities, self.truths, log_loss, undefined)
    }

    /// What constants reach.
    pub(super) fn baselines(&self) -> FindingBaselines {
        let Some(p) = self.prevalence else {
            return FindingBaselines::default();
        };
        let entropy = |p: f64| if p > 0.0 { -p * p.ln() } else { 0.0 };
        FindingBaselines {
            f1_all_positive: Some(2.0 * p / (1.0 + p)),
            brier_prevalence: Some(p * (1.0 - p)),
            log_loss_prevalence: Some(entropy(p) + entropy(1.0 - p)),
        }
    }

    /// The figures after every map, those of the model as it was trained first.
    pub(super) fn mended(&self, fitted: &FindingCalibration) -> Vec<CalibratedFigures> {
        use CalibrationMethod::{
            AsTrained, LabelNoise, Platt, PriorShift, Temperature, Unweighted,
        };
        let logits = Scores::as_logits(self.scale, self.scores);
        let shifted = match (fitted.prevalence, self.prevalence) {
            (Some(from), Some(to)) => fitted.map().shifted_prior(from, to),
            _ => Err(Undefined::NoKnownLabel),
        };
        [
            AsTrained,
            Unweighted,
            Temperature,
            Platt,
            LabelNoise,
            PriorShift,
        ]
        .into_iter()
        .filter_map(|method| {
            let map = match method {
                AsTrained => Ok(LogitMap::IDENTITY),
                PriorShift => shifted,
                Unweighted | Temperature | Platt | LabelNoise => match fitted.maps.get(&method) {
                    Some(&map) => Ok(map),
                    None => Err(*fitted.undefined.get(&method)?),
                },
            };
            let mut figures = self.after(&logits, map);
            figures.method = method;
            figures.in_force = method == fitted.in_force;
            Some(figures)
        })
        .collect()
    }

    fn after(&self, logits: &[f64], map: Result<LogitMap, Undefined>) -> CalibratedFigures {
        let mut undefined = Reasons::new();
        let map = keep(&mut undefined, "map", map);
        let measured = map.map(|map| {
            let moved: Vec<f64> = logits.iter().map(|&z| map.apply(z)).collect();
            let likely: Vec<f64> = moved.iter().map(|&z| sigmoid(z)).collect();
            let log_loss = log_loss_of_logits(&moved, self.truths);
            let figures = measure(&likely, self.truths, log_loss, &mut undefined);
            (figures, mean(likely.iter().copied()))
        });
        let figure = |pick: fn(&Calibration) -> Option<f64>| {
            measured.as_ref().and_then(|(figures, _)| pick(figures))
        };
        CalibratedFigures {
            method: CalibrationMethod::AsTrained,
            in_force: false,
            slope: map.map(|map| map.slope()),
            intercept: map.map(|map| map.intercept()),
            floor: map.map(|map| map.floor()),
            ceiling: map.map(|map| map.ceiling()),
            shift: map.map(|map| map.shift()),
            mean_probability: measured.as_ref().and_then(|(_, mean)| *mean),
            brier: figure(|f| f.brier),
            log_loss: figure(|f| f.log_loss),
            ece: figure(|f| f.ece),
            ece_equal_mass: figure(|f| f.ece_equal_mass),
            ece_by_chance: figure(|f| f.ece_by_chance),
            undefined,
        }
    }
}

fn measure(
    likely: &[f64],
    truths: &[bool],
    log_loss: Result<f64, Undefined>,
    undefined: &mut Reasons,
) -> Calibration {
    let curve = |binning| ReliabilityCurve::of(likely, truths, binning, DEFAULT_BINS);
    let even = curve(Binning::EqualWidth);
    let of_even = |figure: fn(&ReliabilityCurve) -> f64| even.as_ref().map(figure).map_err(|r| *r);
    let mass = curve(Binning::EqualMass).map(|curve| curve.expected_calibration_error());
    Calibration {
        brier: keep(undefined, "brier", brier(likely, truths)),
        log_loss: keep(undefined, "log_loss", log_loss),
        ece: keep(
            undefined,
            "ece",
            of_even(ReliabilityCurve::expected_calibration_error),
        ),
        ece_equal_mass: keep(undefined, "ece_equal_mass", mass),
        ece_by_chance: keep(
            undefined,
            "ece_by_chance",
            of_even(ReliabilityCurve::error_by_chance),
        ),
        brier_parts: keep(
            undefined,
            "brier_parts",
            even.map(|curve| curve.brier_decomposition()),
        ),
    }
}
