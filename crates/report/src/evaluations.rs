//! `evaluation.json`: what `evaluate --json` prints, for valid and for test.

use cxr_metrics::Evaluation;
use serde::{Deserialize, Serialize};

/// Where a run keeps its evaluations.
pub const EVALUATION: &str = "evaluation.json";

/// The evaluations of a run's kept weights.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Evaluations {
    /// On valid, which chose the epoch and the thresholds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid: Option<Evaluation>,
    /// On test, which was read once, last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<Evaluation>,
}

impl Evaluations {
    /// The one that the run is judged by, with its split's name: test, or valid where there is no
    /// test.
    #[must_use]
    pub fn judged(&self) -> Option<(&'static str, &Evaluation)> {
        let test = self.test.as_ref().map(|evaluation| ("test", evaluation));
        test.or_else(|| self.valid.as_ref().map(|evaluation| ("valid", evaluation)))
    }
}
