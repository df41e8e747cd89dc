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
use crate::scores::{logit, sigmoid};
use crate::summation::{as_f64, sum};
use crate::{Cells, MetricFault, Scores, Truths, Undefined};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// z ↦ logit(floor + (ceiling − floor) σ(slope · z + intercept)) + shift: rising, all numbers finite.
/// With floor 0, ceiling 1 and no shift it is slope · z + intercept.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "WrittenMap", into = "WrittenMap")]
pub struct LogitMap {
    slope: f64,
    intercept: f64,
    floor: f64,
    ceiling: f64,
    shift: f64,
}

#[derive(Serialize, Deserialize)]
struct WrittenMap {
    slope: f64,
    intercept: f64,
    #[serde(default, skip_serializing_if = "is_zero")]
    floor: f64,
    #[serde(default = "one", skip_serializing_if = "is_one")]
    ceiling: f64,
    #[serde(default, skip_serializing_if = "is_zero")]
    shift: f64,
}

fn one() -> f64 {
    1.0
}

fn is_zero(value: &f64) -> bool {
    value.to_bits() == 0
}

fn is_one(value: &f64) -> bool {
    value.to_bits() == 1.0_f64.to_bits()
}

impl TryFrom<WrittenMap> for LogitMap {
    type Error = MetricFault;

    fn try_from(written: WrittenMap) -> Result<Self, MetricFault> {
        Self::new(written.slope, written.intercept)?
            .between(written.floor, written.ceiling)?
            .shifted(written.shift)
    }
}

impl From<LogitMap> for WrittenMap {
    fn from(map: LogitMap) -> Self {
        Self {
            slope: map.slope,
            intercept: map.intercept,
            floor: map.floor,
            ceiling: map.ceiling,
            shift: map.shift,
        }
    }
}

impl LogitMap {
    /// Leaves logits as they are.
    pub const IDENTITY: Self = Self {
        slope: 1.0,
        intercept: 0.0,
        floor: 0.0,
        ceiling: 1.0,
        shift: 0.0,
    };

    /// A map by its numbers.
    ///
    /// # Errors
    /// [`MetricFault::BadLogitMap`] for a slope that is not positive, or a number that is not finite.
    pub fn new(slope: f64, intercept: f64) -> Result<Self, MetricFault> {
        if slope.is_finite() && slope > 0.0 && intercept.is_finite() {
            Ok(Self {
                slope,
                intercept,
                ..Self::IDENTITY
            })
        } else {
            Err(MetricFault::BadLogitMap { slope, intercept })
        }
    }

    /// The same with a floor and a ceiling of the probability.
    ///
    /// # Errors
    /// [`MetricFault::BadLogitMap`] unless 0 ≤ floor < ceiling ≤ 1.
    pub fn between(self, floor: f64, ceiling: f64) -> Result<Self, MetricFault> {
        if 0.0 <= floor && floor < ceiling && ceiling <= 1.0 {
            Ok(Self {
                floor,
                ceiling,
                ..self
            })
        } else {
            Err(MetricFault::BadLogitMap {
                slope: floor,
                intercept: ceiling,
            })
        }
    }

    fn shifted(self, shift: f64) -> Result<Self, MetricFault> {
        if shift.is_finite() {
            Ok(Self { shift, ..self })
        } else {
            Err(MetricFault::BadLogitMap {
                slope: self.slope,
                intercept: shift,
            })
        }
    }

    /// z − ln w: what training with a weight w for positives added to the logit is taken back.
    ///
    /// # Errors
    /// [`MetricFault::BadLogitMap`] for a weight that is not positive and finite.
    pub fn unweighting(pos_weight: f64) -> Result<Self, MetricFault> {
        Self::new(1.0, -pos_weight.ln())
    }

    /// The factor.
    pub fn slope(&self) -> f64 {
        self.slope
    }

    /// What is added.
    pub fn intercept(&self) -> f64 {
        self.intercept
    }

    /// The least probability that it gives: how often the label is there where the finding is not.
    pub fn floor(&self) -> f64 {
        self.floor
    }

    /// The largest probability that it gives: how often the label is there where the finding is.
    pub fn ceiling(&self) -> f64 {
        self.ceiling
    }

    /// The logit that stands for `z`.
    pub fn apply(&self, z: f64) -> f64 {
        let moved = self.slope.mul_add(z, self.intercept);
        let bounded = if is_zero(&self.floor) && is_one(&self.ceiling) {
            moved
        } else {
            logit(self.floor + (self.ceiling - self.floor) * sigmoid(moved))
        };
        bounded + self.shift
    }

    /// The probability that stands for the logit `z`.
    pub fn probability(&self, z: f64) -> f64 {
        sigmoid(self.apply(z))
    }

    /// This map, then a shift of the logit by the odds of another prevalence (Saerens et al. 2002):
    /// right where the two cohorts differ in how often the finding is there and in nothing else.
    ///
    /// # Errors
    /// [`Undefined::NoPositive`], [`Undefined::NoNegative`] for a prevalence of 0 or 1.
    pub fn shifted_prior(&self, from: f64, to: f64) -> Result<Self, Undefined> {
        for prevalence in [from, to] {
            if prevalence <= 0.0 {
                return Err(Undefined::NoPositive);
            }
            if prevalence >= 1.0 {
                return Err(Undefined::NoNegative);
            }
        }
        self.shifted(self.shift + logit(to) - logit(from))
            .map_err(|_| Undefined::NanScore)
    }

    /// `base`, then the division by the temperature that gives these radiographs the least log loss.
    ///
    /// # Errors
    /// One class only; [`Undefined::PerfectlySeparated`] where any colder is better still;
    /// [`Undefined::NotIncreasing`] where the best slope is not positive.
    pub fn fit_temperature(base: Self, logits: &[f64], truths: &[bool]) -> Result<Self, Undefined> {
        both_classes(logits, truths)?;
        let moved: Vec<f64> = logits.iter().map(|&z| base.apply(z)).collect();
        // The loss is convex in the slope: its derivative Σ z (σ(a z) − y) crosses 0 once.
        let derivative = |slope: f64| {
            sum(moved
                .iter()
                .zip(truths)
                .map(|(&z, &truth)| z * (sigmoid(slope * z) - target(truth))))
        };
        if derivative(0.0) >= 0.0 {
            return Err(Undefined::NotIncreasing);
        }
        let is_right = |(&z, &truth): (&f64, &bool)| if truth { z >= 0.0 } else { z <= 0.0 };
        if moved.iter().zip(truths).all(is_right) {
            return Err(Undefined::PerfectlySeparated);
        }
        let (mut low, mut high) = (0.0, 1.0);
        while derivative(high) < 0.0 {
            (low, high) = (high, 2.0 * high);
        }
        while high - low > f64::EPSILON * high {
            let middle = 0.5 * (low + high);
            if middle <= low || middle >= high {
                break;
            }
            if derivative(middle) < 0.0 {
                low = middle;
            } else {
                high = middle;
            }
        }
        Self::new(high * base.slope, high * base.intercept).map_err(|_| Undefined::NotIncreasing)
    }

    /// Platt's map: the logistic regression on the logit, with targets (m + 1)/(m + 2) and
    /// 1/(n + 2) in place of 1 and 0, so that it exists even where the classes are separated.
    ///
    /// Equals scikit-learn's `_sigmoid_calibration`.
    ///
    /// # Errors
    /// One class only; [`Undefined::NotIncreasing`] where the best slope is not positive.
    pub fn fit_platt(logits: &[f64], truths: &[bool]) -> Result<Self, Undefined> {
        let (m, n) = both_classes(logits, truths)?;
        let targets = [
            1.0 / (as_f64(n) + 2.0),
            (as_f64(m) + 1.0) / (as_f64(m) + 2.0),
        ];
        let (centre, spread) = centre_and_spread(logits);
        if spread <= 0.0 {
            return Err(Undefined::NotIncreasing);
        }
        let scaled: Vec<(f64, f64)> = logits
            .iter()
            .zip(truths)
            .map(|(&z, &truth)| ((z - centre) / spread, targets[usize::from(truth)]))
            .collect();
        let (slope, intercept) = logistic_regression(&scaled, (0.0, 0.0));
        let (slope, intercept) = (slope / spread, intercept - slope * centre / spread);
        Self::new(slope, intercept).map_err(|_| Undefined::NotIncreasing)
    }

    /// The map with a floor and a ceiling that explains these labels best, if each label is drawn
    /// with the ceiling's chance where the finding is really there and with the floor's where it is
    /// not, and the finding is there with probability σ(slope · z + intercept).
    ///
    /// Fitted by expectation and maximisation (Dempster et al. 1977), the expectations smoothed as
    /// Platt smooths his targets.
    ///
    /// # Errors
    /// One class only; [`Undefined::NotIncreasing`] where the best map does not rise.
    pub fn fit_label_noise(logits: &[f64], truths: &[bool]) -> Result<Self, Undefined> {
        let start = Self::fit_platt(logits, truths)?;
        let (centre, spread) = centre_and_spread(logits);
        let n = as_f64(logits.len());
        let (mut slope, mut intercept) =
            (start.slope * spread, start.intercept + start.slope * centre);
        let (mut floor, mut ceiling) = (0.02, 0.98);
        for _ in 0..MOST_ROUNDS {
            let before = (slope, intercept, floor, ceiling);
            let mut points = Vec::with_capacity(logits.len());
            let (mut there, mut there_labelled, mut absent_labelled) = (0.0, 0.0, 0.0);
            for (&z, &truth) in logits.iter().zip(truths) {
                let x = (z - centre) / spread;
                let p = sigmoid(slope * x + intercept);
                let (if_there, if_absent) = if truth {
                    (ceiling, floor)
                } else {
                    (1.0 - ceiling, 1.0 - floor)
                };
                let is_there = p * if_there / (p * if_there + (1.0 - p) * if_absent);
                there += is_there;
                if truth {
                    there_labelled += is_there;
                    absent_labelled += 1.0 - is_there;
                }
                points.push((x, (is_there * n + 1.0) / (n + 2.0)));
            }
            // Half a label more on each side keeps both away from 0 and 1.
            ceiling = (there_labelled + 0.5) / (there + 1.0);
            floor = (absent_labelled + 0.5) / (n - there + 1.0);
            (slope, intercept) = logistic_regression(&points, (slope, intercept));
            let moved = (slope - before.0).abs() / (1.0 + slope.abs())
                + (intercept - before.1).abs() / (1.0 + intercept.abs())
                + (floor - before.2).abs()
                + (ceiling - before.3).abs();
            if moved < ROUNDS_END {
                break;
            }
        }
        Self::new(slope / spread, intercept - slope * centre / spread)
            .and_then(|map| map.between(floor, ceiling))
            .map_err(|_| Undefined::NotIncreasing)
    }
}

/// Rounds of expectation and maximisation at most.
const MOST_ROUNDS: usize = 1000;
/// They end where nothing moves by more than this.
const ROUNDS_END: f64 = 1e-7;

/// Newton's method with halved steps on Σ softplus(v) − t v, v = slope x + intercept. The loss is
/// strictly convex for targets inside (0, 1) and an x that varies.
fn logistic_regression(points: &[(f64, f64)], start: (f64, f64)) -> (f64, f64) {
    let loss = |a: f64, b: f64| {
        sum(points.iter().map(|&(x, t)| {
            let v = a * x + b;
            v.max(0.0) + (-v.abs()).exp().ln_1p() - t * v
        }))
    };
    let (mut a, mut b) = start;
    let mut current = loss(a, b);
    for _ in 0..200 {
        let (mut ga, mut gb, mut haa, mut hab, mut hbb) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for &(x, t) in points {
            let p = sigmoid(a * x + b);
            let (residual, weight) = (p - t, p * (1.0 - p));
            ga += residual * x;
            gb += residual;
            haa += weight * x * x;
            hab += weight * x;
            hbb += weight;
        }
        // Far out every weight is 0 and there is no curvature left: a little of it keeps the step.
        let (haa, hbb) = (haa + 1e-12, hbb + 1e-12);
        let determinant = haa * hbb - hab * hab;
        let step = (
            (hbb * ga - hab * gb) / determinant,
            (haa * gb - hab * ga) / determinant,
        );
        let mut share = 1.0;
        let moved = loop {
            let next = (a - share * step.0, b - share * step.1);
            let there = loss(next.0, next.1);
            if there <= current {
                break Some((next, there));
            }
            share *= 0.5;
            if share < 1e-10 {
                break None;
            }
        };
        let Some((next, there)) = moved else { break };
        let is_still = (next.0 - a).abs() + (next.1 - b).abs() < 1e-14 * (1.0 + a.abs() + b.abs());
        ((a, b), current) = (next, there);
        if is_still {
            break;
        }
    }
    (a, b)
}

fn centre_and_spread(values: &[f64]) -> (f64, f64) {
    let n = as_f64(values.len());
    let centre = sum(values.iter().map(|value| value / n));
    let variance = sum(values.iter().map(|value| (value - centre).powi(2) / n));
    (centre, variance.sqrt())
}

fn target(truth: bool) -> f64 {
    f64::from(u8::from(truth))
}

fn both_classes(logits: &[f64], truths: &[bool]) -> Result<(usize, usize), Undefined> {
    if logits.len() != truths.len() {
        return Err(Undefined::UnequalLengths);
    }
    if logits.iter().any(|z| !z.is_finite()) {
        return Err(Undefined::NanScore);
    }
    let m = truths.iter().filter(|&&truth| truth).count();
    match (m, truths.len() - m) {
        (0, 0) => Err(Undefined::NoKnownLabel),
        (0, _) => Err(Undefined::NoPositive),
        (_, 0) => Err(Undefined::NoNegative),
        counts => Ok(counts),
    }
}

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

    /// Σ over radiographs of the loss' gradient, for a map that should be at its minimum.
    fn gradient(map: LogitMap, logits: &[f64], targets: &[f64]) -> (f64, f64) {
        let residual = |(&z, &t): (&f64, &f64)| (z, sigmoid(map.apply(z)) - t);
        let pairs: Vec<(f64, f64)> = logits.iter().zip(targets).map(residual).collect();
        (
            pairs.iter().map(|(z, r)| z * r).sum(),
            pairs.iter().map(|(_, r)| r).sum(),
        )
    }

    const LOGITS: [f64; 8] = [3.0, 1.5, 0.2, -0.1, -0.8, -2.0, -3.0, 1.0];
    const TRUTHS: [bool; 8] = [true, true, false, true, false, false, false, true];

    #[test]
    fn taking_ln_w_off_gives_the_true_probability_back() {
        // The minimum of π w softplus(−z) + (1 − π) softplus(z) is σ(z) = w π / (w π + 1 − π).
        for (prevalence, weight) in [(0.1_f64, 9.0_f64), (0.5, 3.0), (0.002, 22.3)] {
            let learned = logit(weight * prevalence / (weight * prevalence + 1.0 - prevalence));
            let map = LogitMap::unweighting(weight).unwrap();
            assert!((sigmoid(map.apply(learned)) - prevalence).abs() < 1e-15);
        }
        assert!(LogitMap::unweighting(0.0).is_err());
        assert!(LogitMap::unweighting(f64::NAN).is_err());
    }

    #[test]
    fn platts_map_is_where_the_gradient_of_his_loss_vanishes() {
        let map = LogitMap::fit_platt(&LOGITS, &TRUTHS).unwrap();
        let targets = TRUTHS.map(|truth| if truth { 5.0 / 6.0 } else { 1.0 / 6.0 });
        let (a, b) = gradient(map, &LOGITS, &targets);
        assert!(a.abs() < 1e-10 && b.abs() < 1e-10, "{a} {b}");
        // A logit far from 0 and of another unit gives the same probabilities.
        let other = LOGITS.map(|z| 1000.0 * z + 5e4);
        let moved = LogitMap::fit_platt(&other, &TRUTHS).unwrap();
        for (z, other) in LOGITS.iter().zip(other) {
            assert!((map.apply(*z) - moved.apply(other)).abs() < 1e-8);
        }
    }

    #[test]
    fn platt_is_finite_where_the_classes_are_separated_and_temperature_is_none() {
        let (logits, truths) = ([2.0, 1.0, -1.0, -3.0], [true, true, false, false]);
        assert!(LogitMap::fit_platt(&logits, &truths).unwrap().slope() < 10.0);
        assert_eq!(
            LogitMap::fit_temperature(LogitMap::IDENTITY, &logits, &truths),
            Err(Undefined::PerfectlySeparated)
        );
    }

    #[test]
    fn labels_that_are_wrong_now_and_then_give_back_their_floor_and_ceiling() {
        use cxr_stream::{Purpose, Stream};
        let (mut logits, mut truths) = (Vec::new(), Vec::new());
        for row in 0..4000 {
            let mut stream = Stream::new(3, Purpose::Test, 0, row);
            let z = 3.0 * stream.normal();
            let is_there = stream.uniform() < sigmoid(1.5 * z - 1.0);
            truths.push(stream.uniform() < if is_there { 0.85 } else { 0.06 });
            logits.push(z);
        }
        let map = LogitMap::fit_label_noise(&logits, &truths).unwrap();
        assert!((map.ceiling() - 0.85).abs() < 0.03, "{map:?}");
        assert!((map.floor() - 0.06).abs() < 0.02, "{map:?}");
        assert!((map.slope() - 1.5).abs() < 0.3, "{map:?}");
        let fitted = FindingCalibration::fit("Mass", &logits, &truths, 1.0).unwrap();
        assert_eq!(fitted.in_force, CalibrationMethod::LabelNoise);
        let text = serde_json::to_string(&fitted).unwrap();
        let again: FindingCalibration = serde_json::from_str(&text).unwrap();
        assert!((again.map().probability(2.0) - fitted.map().probability(2.0)).abs() < 1e-12);
        assert!(map.between(0.3, 0.3).is_err() && map.between(-0.1, 1.0).is_err());
        assert!(map.between(0.0, 1.1).is_err() && map.between(f64::NAN, 1.0).is_err());
    }

    #[test]
    fn temperature_is_where_its_derivative_vanishes() {
        let map = LogitMap::fit_temperature(LogitMap::IDENTITY, &LOGITS, &TRUTHS).unwrap();
        let targets = TRUTHS.map(target);
        assert!(gradient(map, &LOGITS, &targets).0.abs() < 1e-10);
        assert!(map.intercept().abs() < f64::EPSILON);
        let base = LogitMap::unweighting(4.0).unwrap();
        let map = LogitMap::fit_temperature(base, &LOGITS, &TRUTHS).unwrap();
        assert!((map.intercept() / map.slope() + 4f64.ln()).abs() < 1e-12);
    }

    #[test]
    fn scores_that_rank_the_wrong_way_round_get_no_slope() {
        let backwards = LOGITS.map(|z| -z);
        assert_eq!(
            LogitMap::fit_platt(&backwards, &TRUTHS),
            Err(Undefined::NotIncreasing)
        );
        assert_eq!(
            LogitMap::fit_temperature(LogitMap::IDENTITY, &backwards, &TRUTHS),
            Err(Undefined::NotIncreasing)
        );
        assert_eq!(
            LogitMap::fit_platt(&[1.0; 8], &TRUTHS),
            Err(Undefined::NotIncreasing)
        );
        let fitted = FindingCalibration::fit("Mass", &backwards, &TRUTHS, 4.0).unwrap();
        assert_eq!(fitted.in_force, CalibrationMethod::Unweighted);
        assert_eq!(fitted.map(), LogitMap::unweighting(4.0).unwrap());
        assert_eq!(
            fitted.undefined[&CalibrationMethod::Platt],
            Undefined::NotIncreasing
        );
    }

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
    fn a_shift_of_prevalence_multiplies_the_odds() {
        let map = LogitMap::IDENTITY.shifted_prior(0.1, 0.5).unwrap();
        assert!((map.apply(logit(0.1))).abs() < 1e-15);
        assert_eq!(
            LogitMap::IDENTITY.shifted_prior(0.0, 0.5),
            Err(Undefined::NoPositive)
        );
        assert_eq!(
            LogitMap::IDENTITY.shifted_prior(0.5, 1.0),
            Err(Undefined::NoNegative)
        );
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
