//! Operating points: the threshold of a finding, by a rule, with what it reached where it was
//! chosen.
//!
//! They are chosen on valid and carried to test. Deliberately not here: applying one
//! ([`crate::Decisions`]).

use crate::{Cells, Confusion, MetricFault, Ranking, Scores, Threshold, Truths, Undefined};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// How a threshold is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ThresholdRule {
    /// Probability one half, whatever the data.
    #[serde(rename = "0.5")]
    Half,
    /// The largest recall + specificity − 1.
    #[serde(rename = "youden")]
    Youden,
    /// The largest F1.
    #[serde(rename = "max-f1")]
    MaxF1,
}

impl ThresholdRule {
    /// The rules as they are written.
    pub const NAMES: [&'static str; 3] = ["0.5", "youden", "max-f1"];

    /// The step of a ranking that the rule picks; the highest threshold where several are equal.
    fn pick(self, ranking: &Ranking) -> Option<usize> {
        let counts: Vec<(usize, usize)> = ranking.cumulative_counts().collect();
        let (m, n) = (ranking.positives() as i128, ranking.negatives() as i128);
        // Compared as integers, so that equal thresholds are equal on every machine.
        let gain = |&(hits, alarms): &(usize, usize)| -> (i128, i128) {
            let (hits, alarms) = (hits as i128, alarms as i128);
            match self {
                Self::Half => (0, 1),
                Self::Youden => (hits * n - alarms * m, 1),
                Self::MaxF1 => (2 * hits, hits + alarms + m),
            }
        };
        let by_gain = |a: &usize, b: &usize| -> Ordering {
            let (a, b) = (gain(&counts[*a]), gain(&counts[*b]));
            (a.0 * b.1).cmp(&(b.0 * a.1))
        };
        // `max_by` keeps the last of equals: from the lowest threshold up, that is the highest.
        (0..counts.len()).rev().max_by(by_gain)
    }
}

impl fmt::Display for ThresholdRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Half => "0.5",
            Self::Youden => "youden",
            Self::MaxF1 => "max-f1",
        })
    }
}

impl FromStr for ThresholdRule {
    type Err = MetricFault;

    fn from_str(text: &str) -> Result<Self, MetricFault> {
        match text {
            "0.5" => Ok(Self::Half),
            "youden" => Ok(Self::Youden),
            "max-f1" => Ok(Self::MaxF1),
            _ => Err(MetricFault::UnknownRule {
                value: text.to_string(),
            }),
        }
    }
}

/// A finding's threshold, and what it reached on the radiographs it was chosen on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct OperatingPoint {
    /// The rule that was asked for.
    pub rule: ThresholdRule,
    /// The threshold by that rule; `None` where the finding gives it nothing to choose by.
    pub own: Option<Threshold>,
    /// Why there is no threshold of its own.
    pub reason: Option<Undefined>,
    /// The rule in force where there is none.
    pub fall_back: ThresholdRule,
    /// Recall at the threshold in force, where it was chosen.
    #[doc(alias = "sensitivity")]
    pub recall: Option<f64>,
    /// Specificity there.
    pub specificity: Option<f64>,
    /// Precision there.
    #[doc(alias = "ppv")]
    pub precision: Option<f64>,
}

impl OperatingPoint {
    /// Probability one half, chosen on nothing.
    pub fn half() -> Self {
        Self::with(ThresholdRule::Half, Ok(Threshold::HALF))
    }

    /// A threshold that somebody chose by a rule elsewhere, such as one kept in a checkpoint.
    pub fn carried(rule: ThresholdRule, threshold: Threshold) -> Self {
        Self::with(rule, Ok(threshold))
    }

    /// Chooses on one finding's known cells, whose scores are on that scale.
    pub(crate) fn choose(cells: &Cells, scores: &Scores, rule: ThresholdRule) -> Self {
        let ranking = Ranking::new(&cells.scores, &cells.truths);
        let own = ranking.and_then(|ranking| {
            if rule == ThresholdRule::Half {
                return Ok(Threshold::HALF);
            }
            ranking.both_classes()?;
            let step = rule.pick(&ranking).ok_or(Undefined::NoKnownLabel)?;
            // Scores are checked when they are made, so a score is always a threshold.
            Threshold::new(scores.scale(), ranking.thresholds()[step])
                .map_err(|_| Undefined::NanScore)
        });
        let mut point = Self::with(rule, own);
        let limit = point.threshold().on(scores.scale());
        if let Ok(counts) = Confusion::at(&cells.scores, &cells.truths, limit) {
            point.recall = counts.recall().ok();
            point.specificity = counts.specificity().ok();
            point.precision = counts.precision().ok();
        }
        point
    }

    fn with(rule: ThresholdRule, own: Result<Threshold, Undefined>) -> Self {
        Self {
            rule,
            own: own.ok(),
            reason: own.err(),
            fall_back: ThresholdRule::Half,
            recall: None,
            specificity: None,
            precision: None,
        }
    }

    /// The threshold in force: its own, or the fall-back's.
    pub fn threshold(&self) -> Threshold {
        self.own.unwrap_or(Threshold::HALF)
    }

    /// The threshold in force on the logit scale, as checkpoints keep it.
    pub fn threshold_logit(&self) -> f64 {
        self.threshold().logit()
    }
}

/// One operating point a finding, chosen by a rule on these radiographs (those of valid).
///
/// # Errors
/// Scores and truths of different shapes.
pub fn choose_operating_points(
    scores: &Scores,
    truths: &Truths,
    rule: ThresholdRule,
) -> Result<Vec<OperatingPoint>, MetricFault> {
    (0..scores.n_findings())
        .map(|finding| {
            let cells = Cells::of(scores, truths, finding)?;
            Ok(OperatingPoint::choose(&cells, scores, rule))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Logits, Probabilities};

    fn choose(logits: &[f64], truths: &[bool], rule: ThresholdRule) -> OperatingPoint {
        let scores = Scores::Logits(Logits::new(logits.to_vec(), 1).unwrap());
        choose_operating_points(&scores, &Truths::known(truths, 1).unwrap(), rule).unwrap()[0]
    }

    #[test]
    fn youden_takes_the_largest_gain_and_the_highest_of_equals() {
        let truths = [true, false, true, false];
        let point = choose(&[3.0, 2.0, 1.0, 0.0], &truths, ThresholdRule::Youden);
        // J is ½ at both 3 and 1.
        assert_eq!(
            point.own,
            Threshold::new(crate::ScoreScale::Logit, 3.0).ok()
        );
        assert_eq!((point.recall, point.specificity), (Some(0.5), Some(1.0)));
        assert_eq!(point.precision, Some(1.0));
    }

    #[test]
    fn max_f1_takes_the_largest_f1() {
        let truths = [true, false, true, true, false];
        let point = choose(&[5.0, 4.0, 3.0, 2.0, -9.0], &truths, ThresholdRule::MaxF1);
        assert_eq!(point.threshold_logit().to_bits(), 2.0_f64.to_bits());
        assert_eq!((point.recall, point.precision), (Some(1.0), Some(0.75)));
    }

    #[test]
    fn a_finding_without_one_class_gets_no_point_of_its_own_but_a_reason() {
        for rule in [ThresholdRule::Youden, ThresholdRule::MaxF1] {
            let point = choose(&[1.0, -1.0], &[false, false], rule);
            assert_eq!(
                (point.own, point.reason),
                (None, Some(Undefined::NoPositive))
            );
            assert_eq!(
                (point.fall_back, point.threshold()),
                (ThresholdRule::Half, Threshold::HALF)
            );
            assert_eq!((point.recall, point.specificity), (None, Some(0.5)));
            let point = choose(&[1.0, -1.0], &[true, true], rule);
            assert_eq!(point.reason, Some(Undefined::NoNegative));
        }
    }

    #[test]
    fn a_half_is_a_half_whatever_the_data() {
        let point = choose(&[0.0, -1.0], &[false, false], ThresholdRule::Half);
        assert_eq!((point.own, point.reason), (Some(Threshold::HALF), None));
        assert_eq!(point.specificity, Some(0.5));
    }

    #[test]
    fn a_point_chosen_on_probabilities_meets_the_very_score_it_came_from() {
        let p = [0.001, 0.1 + 0.2, 0.123_456_789_012_345_68, 1e-300];
        let scores = Scores::Probabilities(Probabilities::from_external(p.to_vec(), 1).unwrap());
        let truths = Truths::known(&[true, true, true, false], 1).unwrap();
        let point = choose_operating_points(&scores, &truths, ThresholdRule::Youden).unwrap()[0];
        assert_eq!(
            point.threshold().probability().to_bits(),
            0.001_f64.to_bits()
        );
        assert_eq!(point.recall, Some(1.0));
        let text = serde_json::to_string(&point).unwrap();
        assert_eq!(
            serde_json::from_str::<OperatingPoint>(&text).unwrap(),
            point
        );
    }

    #[test]
    fn rules_are_read_as_they_are_written() {
        for name in ThresholdRule::NAMES {
            assert_eq!(name.parse::<ThresholdRule>().unwrap().to_string(), name);
        }
        assert_eq!("yuden".parse::<ThresholdRule>().unwrap_err().code(), "E006");
    }
}
