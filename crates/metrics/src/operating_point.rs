//! Operating points: the threshold of a finding, by a rule, with what it reached where it was
//! chosen.
//!
//! They are chosen on valid and carried to test. Deliberately not here: the rules themselves
//! ([`ThresholdRule`]), and applying a point ([`crate::Decisions`]).

use crate::{
    Cells, Confusion, MetricFault, Ranking, ScoreScale, Scores, Threshold, ThresholdRule, Truths,
    Undefined,
};
use serde::{Deserialize, Serialize};

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

    /// The same point as a fall-back: the rule found nothing to choose by, for this reason.
    #[must_use]
    pub fn without_own(self, reason: Undefined) -> Self {
        Self {
            own: None,
            reason: Some(reason),
            ..self
        }
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

/// One finding's operating point by a rule on its known cells, whose scores are on that scale, and
/// what it reaches on these very cells.
///
/// On valid that is the choice. On test it is the oracle's point, to be shown beside the carried one
/// and never used.
pub fn choose_operating_point(
    cells: &Cells,
    scale: ScoreScale,
    rule: ThresholdRule,
) -> OperatingPoint {
    let ranking = Ranking::new(&cells.scores, &cells.truths);
    let own = ranking.and_then(|ranking| rule.choose(&ranking, scale));
    let mut point = OperatingPoint::with(rule, own);
    let limit = point.threshold().on(scale);
    if let Ok(counts) = Confusion::at(&cells.scores, &cells.truths, limit) {
        point.recall = counts.recall().ok();
        point.specificity = counts.specificity().ok();
        point.precision = counts.precision().ok();
    }
    point
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
            Ok(choose_operating_point(&cells, scores.scale(), rule))
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
        for rule in &ThresholdRule::FORMS[1..] {
            let rule = rule.parse().unwrap();
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

    fn by(rule: &str, logits: &[f64], truths: &[bool]) -> OperatingPoint {
        choose(logits, truths, rule.parse().unwrap())
    }

    /// Ten positives and ten negatives, alternating from the top but for a false alarm above all.
    fn ladder() -> (Vec<f64>, Vec<bool>) {
        let logits = (0..20).map(|place| f64::from(20 - place)).collect();
        (logits, (0..20).map(|place| place % 2 == 1).collect())
    }

    #[test]
    fn a_fixed_recall_is_reached_with_the_best_specificity() {
        let (logits, truths) = ladder();
        let point = by("sensitivity=0.9", &logits, &truths);
        // The ninth positive stands at place 18; 9 / 10 is 0.9, though 0.9 is not nine tenths.
        assert_eq!(point.own, Threshold::new(ScoreScale::Logit, 3.0).ok());
        assert_eq!((point.recall, point.specificity), (Some(0.9), Some(0.1)));
        let all = by("sensitivity=1", &logits, &truths);
        assert_eq!(all.own, Threshold::new(ScoreScale::Logit, 1.0).ok());
    }

    #[test]
    fn a_fixed_specificity_is_the_lowest_threshold_that_keeps_it() {
        let (logits, truths) = ladder();
        let point = by("specificity=0.9", &logits, &truths);
        assert_eq!(point.own, Threshold::new(ScoreScale::Logit, 19.0).ok());
        assert_eq!((point.recall, point.specificity), (Some(0.1), Some(0.9)));
        let none = by("specificity=0.95", &logits, &truths);
        assert_eq!(
            (none.own, none.reason),
            (None, Some(Undefined::SpecificityNotReached))
        );
        assert_eq!(none.fall_back, ThresholdRule::Half);
    }

    #[test]
    fn a_fixed_precision_is_the_lowest_threshold_that_has_it_though_precision_goes_up_and_down() {
        let truths = [
            false, true, true, false, false, true, true, true, false, false,
        ];
        let logits: Vec<f64> = (0..10).map(|place| f64::from(-place)).collect();
        // Precision: 0, 1/2, 2/3, 2/4, 2/5, 3/6, 4/7, 5/8, 5/9, 5/10.
        let at = |rule| by(rule, &logits, &truths).own.map(Threshold::logit);
        assert_eq!(at("ppv=0.6"), Some(-7.0));
        assert_eq!(at("ppv=0.625"), Some(-7.0));
        assert_eq!(at("ppv=0.64"), Some(-2.0));
        assert_eq!(at("ppv=0.5"), Some(-9.0));
        let none = by("ppv=0.7", &logits, &truths);
        assert_eq!(none.reason, Some(Undefined::PrecisionNotReached));
        assert_eq!(none.threshold(), Threshold::HALF);
    }

    #[test]
    fn a_cost_moves_the_threshold_down_and_silence_is_said_to_be_cheapest() {
        let (logits, truths) = ladder();
        let at = |rule| by(rule, &logits, &truths).own.map(Threshold::logit);
        // A miss at the cost of an alarm and a half: all ten hits are worth their ten alarms.
        assert_eq!(at("cost=1.5"), Some(1.0));
        // At equal cost every hit costs its alarm: the highest threshold with cost 10.
        assert_eq!(at("cost=1"), Some(19.0));
        let silent = by("cost=0.5", &logits, &truths);
        assert_eq!(silent.reason, Some(Undefined::NothingIsCheapest));
    }

    #[test]
    fn f_beta_of_1_is_max_f1_and_a_larger_beta_asks_for_more_recall() {
        let truths = [true, false, false, true, false, true, false, false, false];
        let logits: Vec<f64> = (0..9).map(|place| f64::from(-place)).collect();
        let own = |rule| by(rule, &logits, &truths).own.map(Threshold::logit);
        assert_eq!(own("f-beta=1"), own("max-f1"));
        // F0.5: 1.25/1.75 at once against 3.75/6.75 with all three; F2: 5/13 against 15/18.
        assert_eq!(own("f-beta=0.5"), Some(0.0));
        assert_eq!(own("f-beta=2"), Some(-5.0));
    }

    #[test]
    fn the_point_of_one_findings_cells_is_the_cohorts() {
        let (logits, truths) = ladder();
        let cells = Cells {
            scores: logits.clone(),
            rows: (0..20).collect(),
            truths: truths.clone(),
        };
        let rule = "f-beta=2".parse().unwrap();
        assert_eq!(
            choose_operating_point(&cells, ScoreScale::Logit, rule),
            choose(&logits, &truths, rule)
        );
    }
}
