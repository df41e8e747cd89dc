//! The best AUROC that any model can reach, where the radiographs are synthetic and it is known.
//!
//! For plots and pages. The file is the phantom's own `ceilings.json`; what is not needed here is
//! not looked at. Deliberately not here: how a ceiling is computed.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::json_file;
use crate::report_error::ReportError;

/// Where a run keeps the ceilings of its phantom cohort.
pub const CEILINGS: &str = "data/ceilings.json";

/// Ceiling of the AUROC by finding, for one split.
pub type AurocCeilings = BTreeMap<String, f64>;

#[derive(Deserialize)]
struct Written {
    findings: Vec<WrittenFinding>,
}

#[derive(Deserialize)]
struct WrittenFinding {
    name: String,
    splits: Vec<WrittenSplit>,
}

#[derive(Deserialize)]
struct WrittenSplit {
    split: String,
    ceiling: WrittenCeiling,
}

#[derive(Deserialize)]
struct WrittenCeiling {
    auroc: f64,
}

/// Reads the phantom's ceilings; none where there is no such file.
///
/// # Errors
/// `R010` for a file of another form, `R001` where it cannot be read.
pub fn read_ceilings(path: &Path, split: &str) -> Result<AurocCeilings, ReportError> {
    let Some(written) = json_file::read::<Written>(path)? else {
        return Ok(AurocCeilings::new());
    };
    let of_split = |finding: WrittenFinding| {
        let one = finding.splits.into_iter().find(|one| one.split == split)?;
        Some((finding.name, one.ceiling.auroc))
    };
    Ok(written.findings.into_iter().filter_map(of_split).collect())
}
