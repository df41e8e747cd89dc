//! What is wrong with scores, labels or thresholds that were handed in.
//!
//! Rows and findings count from 1 in messages and from 0 in the fields. Deliberately not here:
//! figures without a value ([`crate::Undefined`]), and faults of files (crate `infer`).

use crate::ScoreScale;
use thiserror::Error;

/// A fault of the input to a measurement. `Display` is the one-line message; place, value and help
/// have methods of their own.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum MetricFault {
    /// The number of values is no multiple of the number of findings.
    #[error("{n_values} values cannot be rows of {n_findings} findings")]
    NotRectangular {
        /// Values given.
        n_values: usize,
        /// Findings a row should have.
        n_findings: usize,
    },
    /// Things that belong together have different sizes.
    #[error("{what}: expected {expected}, found {found}")]
    SizeMismatch {
        /// What is counted, such as `rows of truths`.
        what: &'static str,
        /// The count that the scores imply.
        expected: usize,
        /// The count given.
        found: usize,
    },
    /// A score is NaN or infinite.
    #[error("{scale} is not a finite number")]
    NotFinite {
        /// What the score is.
        scale: ScoreScale,
        /// Row, from 0.
        row: usize,
        /// Finding, from 0.
        finding: usize,
        /// The score.
        value: f64,
    },
    /// A probability lies outside [0, 1].
    #[error("probability is outside 0 to 1")]
    NotAProbability {
        /// Row, from 0.
        row: usize,
        /// Finding, from 0.
        finding: usize,
        /// The value.
        value: f64,
    },
    /// A threshold is NaN, infinite, or outside [0, 1] on the probability scale.
    #[error("threshold is not a {scale} that can be reached")]
    BadThreshold {
        /// The threshold's scale.
        scale: ScoreScale,
        /// The value.
        value: f64,
    },
    /// A map of logits that would not keep their order.
    #[error("a logit map needs a positive slope, room above its floor, and finite numbers")]
    BadLogitMap {
        /// Its slope.
        slope: f64,
        /// Its intercept.
        intercept: f64,
        /// The least probability that it would give.
        floor: f64,
        /// The largest.
        ceiling: f64,
        /// What it would add last.
        shift: f64,
    },
    /// A rule for thresholds is not known.
    #[error("unknown threshold rule")]
    UnknownRule {
        /// What was written.
        value: String,
    },
    /// A rule for thresholds has a parameter that makes no sense.
    #[error("parameter of a threshold rule is out of range")]
    BadRuleParameter {
        /// What was written.
        written: String,
        /// What would be right.
        right: &'static str,
    },
    /// A record of an epoch holds NaN, an infinity, or a number that cannot be.
    #[error("{field} of an epoch is not a number that can be recorded")]
    BadEpochValue {
        /// The epoch.
        epoch: u64,
        /// Which field.
        field: &'static str,
        /// Its value.
        value: f64,
    },
    /// Records of epochs do not ascend.
    #[error("epoch is not after the one before it")]
    EpochOrder {
        /// The epoch before.
        last: u64,
        /// The epoch given.
        epoch: u64,
    },
}

impl MetricFault {
    /// The stable code, listed in docs/errors/metrics.md.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotRectangular { .. } => "E001",
            Self::SizeMismatch { .. } => "E002",
            Self::NotFinite { .. } => "E003",
            Self::NotAProbability { .. } => "E004",
            Self::BadThreshold { .. } => "E005",
            Self::BadLogitMap { .. } => "E010",
            Self::UnknownRule { .. } => "E006",
            Self::BadEpochValue { .. } => "E007",
            Self::EpochOrder { .. } => "E008",
            Self::BadRuleParameter { .. } => "E009",
        }
    }

    /// Where it is, such as `row 3, finding 2` (both from 1).
    pub fn location(&self) -> Option<String> {
        match self {
            Self::NotFinite { row, finding, .. } | Self::NotAProbability { row, finding, .. } => {
                Some(format!("row {}, finding {}", row + 1, finding + 1))
            }
            Self::BadEpochValue { epoch, field, .. } => Some(format!("epoch {epoch}, {field}")),
            Self::EpochOrder { epoch, .. } => Some(format!("epoch {epoch}")),
            _ => None,
        }
    }

    /// The offending value, escaped.
    pub fn value(&self) -> Option<String> {
        match self {
            Self::NotFinite { value, .. }
            | Self::NotAProbability { value, .. }
            | Self::BadThreshold { value, .. }
            | Self::BadEpochValue { value, .. } => Some(format!("{value:?}")),
            Self::BadLogitMap {
                slope,
                intercept,
                floor,
                ceiling,
                shift,
            } => Some(format!(
                "slope {slope:?}, intercept {intercept:?}, floor {floor:?}, ceiling {ceiling:?}, \
                 shift {shift:?}"
            )),
            Self::UnknownRule { value: text } | Self::BadRuleParameter { written: text, .. } => {
                Some(format!("{text:?}"))
            }
            Self::EpochOrder { epoch, .. } => Some(epoch.to_string()),
            Self::NotRectangular { n_values, .. } => Some(n_values.to_string()),
            Self::SizeMismatch { found, .. } => Some(found.to_string()),
        }
    }

    /// What would be right.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::NotRectangular { .. } => Some(
                "scores are row-major, one row a radiograph, one column a finding (at least one)"
                    .to_string(),
            ),
            Self::SizeMismatch { .. } => None,
            Self::NotFinite { .. } => Some(
                "a NaN or an infinity cannot be ranked or averaged; look at the run that wrote it"
                    .to_string(),
            ),
            Self::NotAProbability { .. } => {
                Some("if these are logits, say so (`--scores logit`)".to_string())
            }
            Self::BadThreshold { .. } => {
                Some("a finite logit, or a probability from 0 to 1".to_string())
            }
            Self::BadLogitMap { .. } => Some(
                "the weights of positives that a calibration undoes are positive numbers"
                    .to_string(),
            ),
            Self::UnknownRule { value } => Some(rule_help(value)),
            Self::BadRuleParameter { right, .. } => Some((*right).to_string()),
            Self::BadEpochValue { .. } => Some(
                "losses and rates are finite; a figure without a value is None, not NaN"
                    .to_string(),
            ),
            Self::EpochOrder { last, .. } => Some(format!("the last one was {last}")),
        }
    }

    /// The process exit code that a command gives for it.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::UnknownRule { .. }
            | Self::BadRuleParameter { .. }
            | Self::BadThreshold { .. } => 2,
            Self::BadEpochValue { .. } => 5,
            _ => 3,
        }
    }
}

fn rule_help(written: &str) -> String {
    let known = crate::ThresholdRule::FORMS;
    let shared = |name: &str| {
        let pairs = name.chars().zip(written.chars());
        pairs.take_while(|(a, b)| a.eq_ignore_ascii_case(b)).count()
    };
    match known.iter().max_by_key(|name| shared(name)) {
        Some(near) if shared(near) > 0 => {
            format!("did you mean `{near}`? known: {}", known.join(", "))
        }
        _ => format!("known: {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_names_its_place_and_value() {
        let fault = MetricFault::NotAProbability {
            row: 416,
            finding: 3,
            value: 1.5,
        };
        assert_eq!(fault.code(), "E004");
        assert_eq!(fault.to_string(), "probability is outside 0 to 1");
        assert_eq!(fault.location().as_deref(), Some("row 417, finding 4"));
        assert_eq!(fault.value().as_deref(), Some("1.5"));
        assert_eq!(fault.exit_code(), 3);
    }

    #[test]
    fn a_misspelt_rule_is_escaped_and_gets_a_suggestion() {
        let fault = MetricFault::UnknownRule {
            value: "yuden\u{1b}".to_string(),
        };
        assert_eq!(fault.value().as_deref(), Some(r#""yuden\u{1b}""#));
        assert!(
            fault
                .help()
                .is_some_and(|help| help.starts_with("did you mean `youden`?"))
        );
        assert_eq!(fault.exit_code(), 2);
    }
}
