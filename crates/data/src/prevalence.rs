//! How often each finding occurs, and the weight of its positives in a loss that follows from it.
//!
//! For explorers and losses. Not here: the loss.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::cohort::Cohort;
use crate::escape::{escaped, quoted};
use crate::radiograph::Label;

/// How often one finding is there, is not, and is not known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FindingPrevalence {
    /// The finding.
    pub name: String,
    /// Radiographs with it.
    pub positives: usize,
    /// Radiographs without it.
    pub negatives: usize,
    /// Radiographs of which it is not known.
    pub unknown: usize,
}

impl FindingPrevalence {
    /// Positives among the radiographs of which it is known; `None` without any.
    #[must_use]
    pub fn prevalence(&self) -> Option<f64> {
        let known = self.positives + self.negatives;
        (known > 0).then(|| self.positives as f64 / known as f64)
    }
}

/// How often each finding of a cohort occurs, in the cohort's order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Prevalence {
    /// Radiographs.
    pub rows: usize,
    /// One entry a finding.
    pub findings: Vec<FindingPrevalence>,
}

impl Prevalence {
    /// Counts a cohort's labels.
    #[must_use]
    pub fn of(cohort: &Cohort) -> Self {
        let mut findings: Vec<FindingPrevalence> = cohort
            .findings()
            .iter()
            .map(|finding| FindingPrevalence {
                name: finding.to_string(),
                positives: 0,
                negatives: 0,
                unknown: 0,
            })
            .collect();
        for radiograph in cohort.radiographs() {
            for (count, label) in findings.iter_mut().zip(&radiograph.labels) {
                match label {
                    Label::Positive => count.positives += 1,
                    Label::Negative => count.negatives += 1,
                    Label::Unknown => count.unknown += 1,
                }
            }
        }
        Self {
            rows: cohort.len(),
            findings,
        }
    }
}

/// How the weight of a finding's positives follows from its counts.
///
/// Written `none`, `ratio`, `sqrt`, `clamp:10` and `effective:0.999`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum PosWeightRule {
    /// 1.
    None,
    /// Negatives ÷ positives.
    Ratio,
    /// The square root of that.
    #[default]
    SqrtRatio,
    /// Negatives ÷ positives, but at most this.
    Clamp {
        /// Above 0.
        max: f64,
    },
    /// (1 − βⁿ) ÷ (1 − βᵖ) for n negatives and p positives: the ratio of the class weights of Cui
    /// et al. 2019, "Class-balanced loss based on effective number of samples". β → 1 is the ratio.
    EffectiveNumber {
        /// In [0, 1).
        beta: f64,
    },
}

/// One weight for each finding, and which of them could not follow from the rule.
#[derive(Clone, Debug, PartialEq)]
pub struct PosWeights {
    /// In the order of the findings; all finite and above 0.
    pub weights: Vec<f64>,
    /// One sentence for each finding without positives or without negatives; its weight is 1.
    pub warnings: Vec<String>,
}

impl PosWeightRule {
    /// The weight of each finding's positives.
    #[must_use]
    pub fn weights(self, prevalence: &Prevalence) -> PosWeights {
        let mut warnings = Vec::new();
        let weights = prevalence
            .findings
            .iter()
            .map(|finding| {
                self.weight(finding.positives, finding.negatives)
                    .unwrap_or_else(|| {
                        let lacks = if finding.positives == 0 {
                            "positives"
                        } else {
                            "negatives"
                        };
                        let name = quoted(&finding.name);
                        warnings.push(format!("finding {name} has no {lacks}: its weight is 1"));
                        1.0
                    })
            })
            .collect();
        PosWeights { weights, warnings }
    }

    /// The weight for these counts; `None` without positives or without negatives, and where the
    /// rule's own number is out of range.
    #[must_use]
    pub fn weight(self, positives: usize, negatives: usize) -> Option<f64> {
        if self == Self::None {
            return Some(1.0);
        }
        if positives == 0 || negatives == 0 {
            return None;
        }
        let ratio = negatives as f64 / positives as f64;
        let weight = match self {
            Self::None => 1.0,
            Self::Ratio => ratio,
            Self::SqrtRatio => ratio.sqrt(),
            Self::Clamp { max } => ratio.min(max),
            Self::EffectiveNumber { beta } => {
                effective_number(beta, negatives) / effective_number(beta, positives)
            }
        };
        (weight.is_finite() && weight > 0.0).then_some(weight)
    }

    /// Whether the rule's own number is in its range.
    ///
    /// # Errors
    /// [`PosWeightRuleError`] says what the range is.
    pub fn check(self) -> Result<Self, PosWeightRuleError> {
        let (number, is_right, expected) = match self {
            Self::Clamp { max } => (max, max > 0.0 && max.is_finite(), "a number above 0"),
            Self::EffectiveNumber { beta } => {
                (beta, (0.0..1.0).contains(&beta), "a number in [0, 1)")
            }
            Self::None | Self::Ratio | Self::SqrtRatio => return Ok(self),
        };
        if is_right {
            return Ok(self);
        }
        Err(PosWeightRuleError {
            text: number.to_string(),
            expected,
        })
    }
}

/// 1 − βⁿ, to full precision for β near 1.
fn effective_number(beta: f64, n: usize) -> f64 {
    -(n as f64 * beta.ln()).exp_m1()
}

impl fmt::Display for PosWeightRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Ratio => f.write_str("ratio"),
            Self::SqrtRatio => f.write_str("sqrt"),
            Self::Clamp { max } => write!(f, "clamp:{max}"),
            Self::EffectiveNumber { beta } => write!(f, "effective:{beta}"),
        }
    }
}

impl FromStr for PosWeightRule {
    type Err = PosWeightRuleError;

    fn from_str(text: &str) -> Result<Self, PosWeightRuleError> {
        let fail = |expected| PosWeightRuleError {
            text: text.to_owned(),
            expected,
        };
        let rule = match text.split_once(':') {
            None => match text {
                "none" => Self::None,
                "ratio" => Self::Ratio,
                "sqrt" => Self::SqrtRatio,
                _ => return Err(fail("none, ratio, sqrt, clamp:<max> or effective:<beta>")),
            },
            Some(("clamp", number)) => Self::Clamp {
                max: number.parse().map_err(|_| fail("clamp:<number above 0>"))?,
            },
            Some(("effective", number)) => Self::EffectiveNumber {
                beta: number
                    .parse()
                    .map_err(|_| fail("effective:<number in [0, 1)>"))?,
            },
            Some(_) => return Err(fail("none, ratio, sqrt, clamp:<max> or effective:<beta>")),
        };
        rule.check()
    }
}

impl TryFrom<String> for PosWeightRule {
    type Error = PosWeightRuleError;

    fn try_from(text: String) -> Result<Self, PosWeightRuleError> {
        text.parse()
    }
}

impl From<PosWeightRule> for String {
    fn from(rule: PosWeightRule) -> Self {
        rule.to_string()
    }
}

/// A rule for weights that does not exist, or whose number is out of range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no rule for positive weights: `{}`; expected {expected}",
    escaped(text)
)]
pub struct PosWeightRuleError {
    /// What was given.
    pub text: String,
    /// What would be right.
    pub expected: &'static str,
}

impl PosWeightRuleError {
    /// `D044`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "D044"
    }

    /// Nowhere: the rule comes from a setting.
    #[must_use]
    pub fn location(&self) -> Option<String> {
        None
    }

    /// What was given, escaped.
    #[must_use]
    pub fn value(&self) -> Option<String> {
        Some(quoted(&self.text))
    }

    /// What would be right.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        Some(format!("expected {}", self.expected))
    }

    /// 2: configuration.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(pairs: &[(&str, usize, usize)]) -> Prevalence {
        Prevalence {
            rows: pairs.iter().map(|(_, p, n)| p + n).max().unwrap_or(0),
            findings: pairs
                .iter()
                .map(|(name, positives, negatives)| FindingPrevalence {
                    name: (*name).into(),
                    positives: *positives,
                    negatives: *negatives,
                    unknown: 0,
                })
                .collect(),
        }
    }

    fn close(found: f64, expected: f64) {
        assert!(
            (found - expected).abs() <= 1e-12 * expected.abs(),
            "{found} {expected}"
        );
    }

    #[test]
    fn each_rule_gives_its_weight() {
        let weight = |rule: &str| {
            rule.parse::<PosWeightRule>()
                .unwrap()
                .weight(106, 894)
                .unwrap()
        };
        close(weight("none"), 1.0);
        close(weight("ratio"), 8.433_962_264_150_944);
        close(weight("sqrt"), 2.904_128_486_164_299);
        close(weight("clamp:5"), 5.0);
        close(weight("clamp:10"), 8.433_962_264_150_944);
        // (1 - 0.999**894) / (1 - 0.999**106) in Python.
        close(weight("effective:0.999"), EFFECTIVE_0_999);
        close(weight("effective:0"), 1.0);
        // β → 1 is the ratio.
        let near = weight("effective:0.999999999999");
        assert!((near - 8.433_962_264).abs() < 1e-4, "{near}");
    }

    const EFFECTIVE_0_999: f64 = 5.875_060_328_853_539;

    #[test]
    fn a_finding_without_positives_or_negatives_weighs_1_and_is_named() {
        let prevalence = counts(&[("Edema", 2, 8), ("Hernia", 0, 10), ("Mass", 10, 0)]);
        for rule in ["ratio", "sqrt", "clamp:10", "effective:0.99"] {
            let weights = rule.parse::<PosWeightRule>().unwrap().weights(&prevalence);
            assert!(weights.weights[0] > 1.0);
            close(weights.weights[1], 1.0);
            close(weights.weights[2], 1.0);
            assert_eq!(weights.warnings.len(), 2);
            assert!(weights.warnings[0].contains("\"Hernia\" has no positives"));
            assert!(weights.warnings[1].contains("\"Mass\" has no negatives"));
        }
        let unweighted = PosWeightRule::None.weights(&prevalence);
        assert_eq!(unweighted.warnings, Vec::<String>::new());
    }

    #[test]
    fn rules_are_read_back_as_they_are_written() {
        for text in [
            "none",
            "ratio",
            "sqrt",
            "clamp:10",
            "clamp:2.5",
            "effective:0.999",
        ] {
            let rule: PosWeightRule = text.parse().unwrap();
            assert_eq!(rule.to_string(), text);
            let json = serde_json::to_string(&rule).unwrap();
            assert_eq!(json, format!("\"{text}\""));
            assert_eq!(serde_json::from_str::<PosWeightRule>(&json).unwrap(), rule);
        }
        for bad in [
            "",
            "squrt",
            "clamp",
            "clamp:",
            "clamp:0",
            "clamp:-1",
            "clamp:nan",
            "clamp:inf",
            "effective:1",
            "effective:-0.1",
            "effective:nan",
            "ratio:2",
        ] {
            let error = bad.parse::<PosWeightRule>().unwrap_err();
            assert_eq!((error.code(), error.exit_code()), ("D044", 2), "{bad}");
        }
    }

    #[test]
    fn prevalence_is_over_what_is_known() {
        let finding = FindingPrevalence {
            name: "Edema".into(),
            positives: 1,
            negatives: 3,
            unknown: 6,
        };
        assert_eq!(finding.prevalence(), Some(0.25));
        let unknown = FindingPrevalence {
            positives: 0,
            negatives: 0,
            ..finding
        };
        assert_eq!(unknown.prevalence(), None);
    }
}
