//! Maps fitted to one finding's logits and labels by least loss.

use crate::scores::sigmoid;
use crate::summation::{as_f64, sum};
use crate::{LogitMap, Undefined};

impl LogitMap {
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
        Self::new(high * base.slope(), high * base.intercept())
            .map_err(|_| Undefined::NotIncreasing)
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
        let (mut slope, mut intercept) = (
            start.slope() * spread,
            start.intercept() + start.slope() * centre,
        );
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CalibrationMethod, FindingCalibration};

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
}
