//! `data/leakage.json`: what `check --json` prints about a run's tables.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Where a run keeps what its tables shared.
pub const LEAKAGE: &str = "data/leakage.json";

/// What the splits of a run shared, and what was done about it. Keys are `train_valid`,
/// `train_test`, `valid_test`, and the splits' names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LeakageRecord {
    /// Whether the tables as given shared nothing and had no fault.
    pub clean: bool,
    /// Patients in two splits.
    pub shared_patients: BTreeMap<String, Vec<String>>,
    /// Images in two splits.
    pub shared_images: BTreeMap<String, Vec<String>>,
    /// Rows as given.
    pub rows: BTreeMap<String, u64>,
    /// Rows after the repair; `None` when nothing was repaired.
    pub repaired_rows: Option<BTreeMap<String, u64>>,
}

impl LeakageRecord {
    /// How many patients were in more than one split.
    #[must_use]
    pub fn n_shared_patients(&self) -> usize {
        let patients = self.shared_patients.values().flatten();
        patients.collect::<std::collections::BTreeSet<_>>().len()
    }

    /// How many rows the repair dropped.
    #[must_use]
    pub fn n_dropped_rows(&self) -> u64 {
        let sum = |rows: &BTreeMap<String, u64>| rows.values().sum::<u64>();
        let repaired = self.repaired_rows.as_ref();
        repaired.map_or(0, |rows| sum(&self.rows).saturating_sub(sum(rows)))
    }
}
