//! A mean over findings that always says over how many of them it is defined.

use crate::summation;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Mean over the findings where a figure is defined.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MacroMean {
    /// The mean; `None` where it is defined for no finding.
    pub value: Option<f64>,
    /// Findings in the mean.
    pub over: usize,
    /// Findings there are.
    pub of: usize,
}

impl MacroMean {
    /// Mean of those that are there.
    pub fn of(values: impl IntoIterator<Item = Option<f64>>) -> Self {
        let values: Vec<Option<f64>> = values.into_iter().collect();
        let defined: Vec<f64> = values.iter().copied().flatten().collect();
        Self {
            value: summation::mean(defined.iter().copied()),
            over: defined.len(),
            of: values.len(),
        }
    }
}

impl fmt::Display for MacroMean {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value {
            Some(value) => write!(f, "{value:.4} over {} of {}", self.over, self.of),
            None => write!(f, "undefined over 0 of {}", self.of),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_undefined_is_neither_zero_nor_chance() {
        let mean = MacroMean::of([Some(0.75), None, Some(0.25)]);
        assert_eq!(
            mean,
            MacroMean {
                value: Some(0.5),
                over: 2,
                of: 3
            }
        );
        assert_eq!(mean.to_string(), "0.5000 over 2 of 3");
        assert_eq!(
            MacroMean::of([None, None]).to_string(),
            "undefined over 0 of 2"
        );
    }
}
