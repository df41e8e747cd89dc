//! Rules for thresholds: how they are written, and which step of a ranking each picks.
//!
//! A rule cannot hold a parameter that makes no sense: [`TargetShare`] and [`RelativeWeight`] check
//! theirs. Deliberately not here: what the picked threshold reached ([`crate::OperatingPoint`]).

use crate::summation::as_f64;
use crate::{MetricFault, Ranking, ScoreScale, Threshold, Undefined};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// How a threshold is chosen among the scores that were seen.
///
/// Written, in JSON too, as `0.5`, `youden`, `max-f1`, `f-beta=2`, `sensitivity=0.9`,
/// `specificity=0.95`, `ppv=0.5`, `cost=5`. Where several thresholds are equally good, the highest.
///
/// Shares are compared as they are reported, rounded to an f64: 9 of 10 is a sensitivity of 0.9.
/// Optima are compared exactly, with β² and the cost as the f64 that they are, up to 90 million
/// radiographs; so the choice is the same on every machine.
///
/// ```
/// use cxr_metrics::{MetricFault, ThresholdRule};
/// let rule: ThresholdRule = "sensitivity=0.90".parse()?;
/// assert_eq!(rule.to_string(), "sensitivity=0.9");
/// assert!("sensitivity=1.5".parse::<ThresholdRule>().is_err());
/// # Ok::<(), MetricFault>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum ThresholdRule {
    /// Probability one half, whatever the data.
    Half,
    /// The largest recall + specificity − 1.
    Youden,
    /// The largest F1.
    MaxF1,
    /// The largest Fβ, recall counting β times as much as precision.
    FBeta(RelativeWeight),
    /// The highest threshold whose recall is at least this: the best specificity that still reaches
    /// it.
    #[doc(alias = "sensitivity")]
    FixedRecall(TargetShare),
    /// The lowest threshold whose specificity is at least this.
    FixedSpecificity(TargetShare),
    /// The lowest threshold whose precision is at least this: the best recall that goes with it.
    #[doc(alias = "ppv")]
    FixedPrecision(TargetShare),
    /// The least cost, one missed positive costing as much as this many false alarms.
    Cost(RelativeWeight),
}

impl ThresholdRule {
    /// The rules that take no parameter, as they are written.
    pub const NAMES: [&'static str; 3] = ["0.5", "youden", "max-f1"];

    /// One example of every rule, as it is written.
    pub const FORMS: [&'static str; 8] = [
        "0.5",
        "youden",
        "max-f1",
        "f-beta=2",
        "sensitivity=0.9",
        "specificity=0.95",
        "ppv=0.5",
        "cost=5",
    ];

    /// The threshold that the rule picks among the scores of a ranking, which are on that scale.
    ///
    /// # Errors
    /// But for [`ThresholdRule::Half`]: one class only; no threshold reaches what was asked for; no
    /// threshold costs less than calling nothing positive.
    pub(crate) fn choose(
        self,
        ranking: &Ranking,
        scale: ScoreScale,
    ) -> Result<Threshold, Undefined> {
        if self == Self::Half {
            return Ok(Threshold::HALF);
        }
        let step = self.pick(&Steps::of(ranking)?)?;
        // Scores are checked when they are made, so a score is always a threshold.
        Threshold::new(scale, ranking.thresholds()[step]).map_err(|_| Undefined::NanScore)
    }

    fn pick(self, steps: &Steps) -> Result<usize, Undefined> {
        match self {
            Self::Half => Ok(0),
            Self::Youden => Ok(steps.best(|a, b| steps.by_youden(a, b))),
            Self::MaxF1 => Ok(steps.best(|a, b| steps.by_f_beta(1.0, a, b))),
            Self::FBeta(beta) => Ok(steps.best(|a, b| steps.by_f_beta(beta.value().powi(2), a, b))),
            Self::FixedRecall(least) => steps
                .places()
                .find(|&step| steps.recall(step) >= least.value())
                .ok_or(Undefined::NoPositive),
            Self::FixedSpecificity(least) => steps
                .places()
                .rfind(|&step| steps.specificity(step) >= least.value())
                .ok_or(Undefined::SpecificityNotReached),
            Self::FixedPrecision(least) => steps
                .places()
                .rfind(|&step| steps.precision(step) >= least.value())
                .ok_or(Undefined::PrecisionNotReached),
            Self::Cost(of_a_miss) => steps.cheapest(of_a_miss.value()),
        }
    }
}

/// Hits and false alarms at every distinct threshold, descending; both classes are there.
struct Steps {
    counts: Vec<(usize, usize)>,
    positives: usize,
    negatives: usize,
}

impl Steps {
    fn of(ranking: &Ranking) -> Result<Self, Undefined> {
        let (positives, negatives) = ranking.both_classes()?;
        Ok(Self {
            counts: ranking.cumulative_counts().collect(),
            positives,
            negatives,
        })
    }

    fn places(&self) -> std::ops::Range<usize> {
        0..self.counts.len()
    }

    fn recall(&self, step: usize) -> f64 {
        as_f64(self.counts[step].0) / as_f64(self.positives)
    }

    fn specificity(&self, step: usize) -> f64 {
        as_f64(self.negatives - self.counts[step].1) / as_f64(self.negatives)
    }

    fn precision(&self, step: usize) -> f64 {
        let (hits, alarms) = self.counts[step];
        as_f64(hits) / as_f64(hits + alarms)
    }

    /// The step that no other is better than; the highest threshold of equals.
    fn best(&self, compare: impl Fn(&(usize, usize), &(usize, usize)) -> Ordering) -> usize {
        // `max_by` keeps the last of equals: from the lowest threshold up, that is the highest.
        let steps = self.places().rev();
        let best = steps.max_by(|&a, &b| compare(&self.counts[a], &self.counts[b]));
        best.unwrap_or(0)
    }

    /// Recall − false alarms' share, times m n.
    fn by_youden(&self, a: &(usize, usize), b: &(usize, usize)) -> Ordering {
        let gain = |&(hits, alarms): &(usize, usize)| {
            wide(hits) * wide(self.negatives) - wide(alarms) * wide(self.positives)
        };
        gain(a).cmp(&gain(b))
    }

    /// h / (β² m + h + a), cross-multiplied: β² m (h − h′) against h′ a − h a′.
    fn by_f_beta(&self, beta_squared: f64, a: &(usize, usize), b: &(usize, usize)) -> Ordering {
        let more_hits = wide(a.0) - wide(b.0);
        let more_alarms = wide(b.0) * wide(a.1) - wide(a.0) * wide(b.1);
        weigh(beta_squared, wide(self.positives) * more_hits, more_alarms)
    }

    fn by_cost(of_a_miss: f64, a: &(usize, usize), b: &(usize, usize)) -> Ordering {
        weigh(of_a_miss, wide(a.0) - wide(b.0), wide(a.1) - wide(b.1))
    }

    /// The step of least cost, unless calling nothing positive costs less still.
    fn cheapest(&self, of_a_miss: f64) -> Result<usize, Undefined> {
        let step = self.best(|a, b| Self::by_cost(of_a_miss, a, b));
        match Self::by_cost(of_a_miss, &self.counts[step], &(0, 0)) {
            Ordering::Less => Err(Undefined::NothingIsCheapest),
            _ => Ok(step),
        }
    }
}

fn wide(count: usize) -> i128 {
    count as i128
}

/// Compares weight × gain with loss, exactly for integers below 2⁵³: where the rounded product equals
/// the loss, what rounding took away decides.
fn weigh(weight: f64, gain: i128, loss: i128) -> Ordering {
    let (gain, loss) = (gain as f64, loss as f64);
    let product = weight * gain;
    let rounded_away = weight.mul_add(gain, -product);
    let order = |a: f64, b: f64| a.partial_cmp(&b).unwrap_or(Ordering::Equal);
    order(product, loss).then(order(rounded_away, 0.0))
}

/// A share that a rule asks for: above 0 and at most 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TargetShare(f64);

/// How much more one thing counts than another: from 1e-6 to 1e6.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RelativeWeight(f64);

// NaN is refused by the constructors.
impl Eq for TargetShare {}
impl Eq for RelativeWeight {}

impl TargetShare {
    /// A checked share.
    ///
    /// # Errors
    /// [`MetricFault::BadRuleParameter`]: NaN, 0 and less, more than 1.
    pub fn new(value: f64) -> Result<Self, MetricFault> {
        if value > 0.0 && value <= 1.0 {
            Ok(Self(value))
        } else {
            Err(MetricFault::BadRuleParameter {
                written: value.to_string(),
                right: "a share above 0 and at most 1",
            })
        }
    }

    /// The share.
    pub fn value(self) -> f64 {
        self.0
    }
}

impl RelativeWeight {
    /// A checked weight.
    ///
    /// # Errors
    /// [`MetricFault::BadRuleParameter`]: NaN, less than 1e-6, more than 1e6.
    pub fn new(value: f64) -> Result<Self, MetricFault> {
        if (1e-6..=1e6).contains(&value) {
            Ok(Self(value))
        } else {
            Err(MetricFault::BadRuleParameter {
                written: value.to_string(),
                right: "a number from 0.000001 to 1000000",
            })
        }
    }

    /// The weight.
    pub fn value(self) -> f64 {
        self.0
    }
}

impl fmt::Display for ThresholdRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Half => f.write_str("0.5"),
            Self::Youden => f.write_str("youden"),
            Self::MaxF1 => f.write_str("max-f1"),
            Self::FBeta(beta) => write!(f, "f-beta={}", beta.value()),
            Self::FixedRecall(least) => write!(f, "sensitivity={}", least.value()),
            Self::FixedSpecificity(least) => write!(f, "specificity={}", least.value()),
            Self::FixedPrecision(least) => write!(f, "ppv={}", least.value()),
            Self::Cost(of_a_miss) => write!(f, "cost={}", of_a_miss.value()),
        }
    }
}

impl From<ThresholdRule> for String {
    fn from(rule: ThresholdRule) -> Self {
        rule.to_string()
    }
}

impl TryFrom<String> for ThresholdRule {
    type Error = MetricFault;

    fn try_from(text: String) -> Result<Self, MetricFault> {
        text.parse()
    }
}

impl FromStr for ThresholdRule {
    type Err = MetricFault;

    fn from_str(text: &str) -> Result<Self, MetricFault> {
        match text.split_once('=') {
            None if text == "0.5" => Ok(Self::Half),
            None if text == "youden" => Ok(Self::Youden),
            None if text == "max-f1" => Ok(Self::MaxF1),
            Some(("f-beta", beta)) => weight_in(beta, text).map(Self::FBeta),
            Some(("sensitivity", least)) => share_in(least, text).map(Self::FixedRecall),
            Some(("specificity", least)) => share_in(least, text).map(Self::FixedSpecificity),
            Some(("ppv", least)) => share_in(least, text).map(Self::FixedPrecision),
            Some(("cost", of_a_miss)) => weight_in(of_a_miss, text).map(Self::Cost),
            _ => Err(MetricFault::UnknownRule {
                value: text.to_string(),
            }),
        }
    }
}

fn share_in(number: &str, rule: &str) -> Result<TargetShare, MetricFault> {
    TargetShare::new(number.parse().unwrap_or(f64::NAN)).map_err(|fault| of_rule(fault, rule))
}

fn weight_in(number: &str, rule: &str) -> Result<RelativeWeight, MetricFault> {
    RelativeWeight::new(number.parse().unwrap_or(f64::NAN)).map_err(|fault| of_rule(fault, rule))
}

/// The fault with the rule as it was written, in place of its number.
fn of_rule(fault: MetricFault, rule: &str) -> MetricFault {
    match fault {
        MetricFault::BadRuleParameter { right, .. } => MetricFault::BadRuleParameter {
            written: rule.to_string(),
            right,
        },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_as_they_are_written_in_json_too() {
        for form in ThresholdRule::FORMS {
            let rule: ThresholdRule = form.parse().unwrap();
            assert_eq!(rule.to_string(), form);
            let json = serde_json::to_string(&rule).unwrap();
            assert_eq!(json, format!("{form:?}"));
            assert_eq!(serde_json::from_str::<ThresholdRule>(&json).unwrap(), rule);
        }
        for name in ThresholdRule::NAMES {
            assert!(ThresholdRule::FORMS.contains(&name));
        }
        let long: ThresholdRule = "cost=0.30000000000000004".parse().unwrap();
        assert_eq!(long.to_string().parse::<ThresholdRule>().unwrap(), long);
    }

    #[test]
    fn an_unknown_rule_gets_the_nearest_and_the_list() {
        for (typed, near) in [
            ("yuden", "youden"),
            ("sensitivty=0.9", "sensitivity=0.9"),
            ("specificity", "specificity=0.95"),
            ("youden=3", "youden"),
            ("PPV", "ppv=0.5"),
        ] {
            let fault = typed.parse::<ThresholdRule>().unwrap_err();
            assert_eq!(fault.code(), "E006");
            let help = fault.help().unwrap();
            assert!(
                help.starts_with(&format!("did you mean `{near}`?")),
                "{help}"
            );
            assert!(help.ends_with(&ThresholdRule::FORMS.join(", ")), "{help}");
        }
    }

    #[test]
    fn parameters_that_make_no_sense_are_refused_with_what_would_be_right() {
        for typed in [
            "sensitivity=0",
            "sensitivity=1.0001",
            "specificity=-0.5",
            "ppv=NaN",
            "ppv=",
            "ppv=half",
            "f-beta=0",
            "f-beta=-1",
            "cost=inf",
            "cost=1e7",
            "f-beta=1e-7",
            "cost=5=5",
            "cost= 5",
        ] {
            let fault = typed.parse::<ThresholdRule>().unwrap_err();
            assert_eq!((fault.code(), fault.exit_code()), ("E009", 2), "{typed}");
            assert_eq!(fault.value(), Some(format!("{typed:?}")));
            let right = if typed.starts_with(['s', 'p']) {
                "a share above 0 and at most 1"
            } else {
                "a number from 0.000001 to 1000000"
            };
            assert_eq!(fault.help().as_deref(), Some(right));
            assert!(serde_json::from_str::<ThresholdRule>(&format!("{typed:?}")).is_err());
        }
        assert!(TargetShare::new(1.0).is_ok() && TargetShare::new(f64::NAN).is_err());
    }

    #[test]
    fn a_weighed_gain_is_compared_beyond_the_precision_of_its_product() {
        // As an f64, 0.1 is a little more than a tenth, yet the product rounds to 1.
        assert_eq!((0.1_f64 * 10.0).to_bits(), 1.0_f64.to_bits());
        assert_eq!(weigh(0.1, 10, 1), Ordering::Greater);
        assert_eq!(weigh(0.1, -10, -1), Ordering::Less);
        assert_eq!(weigh(0.25, 8, 2), Ordering::Equal);
        assert_eq!(weigh(3.0, 0, 0), Ordering::Equal);
        assert_eq!(weigh(3.0, -1, -2), Ordering::Less);
    }
}
