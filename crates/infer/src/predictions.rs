//! Predictions as a table: `Image,PatientId,<finding>…`, ours or anybody's.
//!
//! For the run folder, and for evaluating a model of any making. A table is read in one pass that
//! finds every fault with its row, column and value. Deliberately not here: labels, and any figure.
//!
//! ```
//! use cxr_infer::Predictions;
//! use cxr_metrics::{Logits, ScoreScale, Scores};
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("predictions.csv");
//! let scores = Scores::Logits(Logits::new(vec![-2.0, 0.1, 3.0, -0.7], 2)?);
//! let images = vec!["a.png".to_string(), "b.png".to_string()];
//! let patients = vec!["7".to_string(), "9".to_string()];
//! let findings = vec!["Edema".to_string(), "Mass".to_string()];
//! Predictions::new(images, patients, findings, scores)?.write(&path)?;
//! // In another order, by name, as a table of labels asks for them.
//! let read = Predictions::read(&path, ScoreScale::Logit, &["Mass", "Edema"])?;
//! let scores = read.matched_to(&["b.png", "a.png"])?;
//! assert_eq!(scores.ranking_column(0), [-0.7, 0.1]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod fault;
mod read;
mod write;

pub use fault::{KEPT_PREDICTION_FAULTS, PredictionFault, PredictionFaults};

use cxr_metrics::{Logits, MetricFault, Probabilities, ScoreScale, Scores};
use fault::FaultList;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

/// The column that names the radiograph.
const IMAGE: &str = "Image";
/// The column that names the patient.
const PATIENT: &str = "PatientId";

/// Scores of radiographs, each row with its image name, each column with its finding.
#[derive(Clone, Debug, PartialEq)]
pub struct Predictions {
    images: Vec<String>,
    patients: Vec<String>,
    findings: Vec<String>,
    unused_columns: Vec<String>,
    scores: Scores,
    /// The file that they were read from and the line of each row.
    origin: Option<(PathBuf, Vec<u64>)>,
}

impl Predictions {
    /// Predictions of these images.
    ///
    /// # Errors
    /// Sizes that do not agree, or a name twice.
    pub fn new(
        images: Vec<String>,
        patients: Vec<String>,
        findings: Vec<String>,
        scores: Scores,
    ) -> Result<Self, PredictionFault> {
        let sizes = [
            ("images of predictions", scores.n_rows(), images.len()),
            ("patients of predictions", scores.n_rows(), patients.len()),
            (
                "findings of predictions",
                scores.n_findings(),
                findings.len(),
            ),
        ];
        for (what, expected, found) in sizes {
            if expected != found {
                return Err(MetricFault::SizeMismatch {
                    what,
                    expected,
                    found,
                }
                .into());
            }
        }
        for names in [&images, &findings] {
            let mut seen = HashSet::new();
            if let Some(name) = names.iter().find(|name| !seen.insert(name.as_str())) {
                return Err(PredictionFault::NameTwice { name: name.clone() });
            }
        }
        Ok(Self {
            images,
            patients,
            findings,
            unused_columns: Vec::new(),
            scores,
            origin: None,
        })
    }

    /// Reads the columns of the wanted findings, in that order, whatever the order of the table.
    ///
    /// A column that is neither `Image`, `PatientId` nor wanted is left alone
    /// ([`Predictions::unused_columns`]). `PatientId` may be missing: who is who is for the table of
    /// labels to say.
    ///
    /// # Errors
    /// Every fault of the table: the first 20 with place and value, the rest counted.
    pub fn read(
        path: &Path,
        scale: ScoreScale,
        findings: &[impl AsRef<str>],
    ) -> Result<Self, PredictionFaults> {
        let wanted: Vec<String> = findings
            .iter()
            .map(|name| name.as_ref().to_string())
            .collect();
        read::read(path, scale, Some(wanted))
    }

    /// Reads every column but `Image` and `PatientId` as a finding.
    ///
    /// # Errors
    /// As [`Predictions::read`].
    pub fn read_all(path: &Path, scale: ScoreScale) -> Result<Self, PredictionFaults> {
        read::read(path, scale, None)
    }

    /// Writes the table beside, synced and renamed, with as many digits as give the same f64 back.
    ///
    /// # Errors
    /// [`PredictionFault::Io`]; what stood at `path` is untouched then.
    pub fn write(&self, path: &Path) -> Result<(), PredictionFault> {
        cxr_durable::write(path, &self.to_csv()?).map_err(|source| PredictionFault::Io {
            path: path.to_owned(),
            source,
        })
    }

    /// The bytes of the table.
    ///
    /// # Errors
    /// [`PredictionFault::Io`], which memory does not give.
    pub fn to_csv(&self) -> Result<Vec<u8>, PredictionFault> {
        write::table(self).map_err(|source| PredictionFault::Io {
            path: PathBuf::from("memory"),
            source,
        })
    }

    /// The same with probabilities in place of logits.
    #[must_use]
    pub fn as_probabilities(&self) -> Self {
        Self {
            scores: self.scores.probabilities().into(),
            ..self.clone()
        }
    }

    /// The scores of exactly these images, in their order.
    ///
    /// # Errors
    /// Every image without a row here, and every row whose image is not asked for.
    pub fn matched_to(&self, images: &[impl AsRef<str>]) -> Result<Scores, PredictionFaults> {
        let mut faults = FaultList::default();
        let rows: HashMap<&str, usize> = self
            .images
            .iter()
            .enumerate()
            .map(|(row, image)| (image.as_str(), row))
            .collect();
        let mut left: HashSet<&str> = rows.keys().copied().collect();
        let mut order = Vec::with_capacity(images.len());
        for image in images.iter().map(AsRef::as_ref) {
            left.remove(image);
            match rows.get(image) {
                Some(&row) => order.push(row),
                None => faults.push(PredictionFault::MissingImage {
                    path: self.path(),
                    image: image.to_string(),
                }),
            }
        }
        for (row, image) in self.images.iter().enumerate() {
            if left.contains(image.as_str()) {
                let place = self
                    .origin
                    .as_ref()
                    .and_then(|(_, lines)| lines.get(row).copied());
                faults.push(PredictionFault::ExtraImage {
                    path: self.path(),
                    row: place,
                    image: image.clone(),
                });
            }
        }
        faults.into_result()?;
        self.in_row_order(&order)
            .map_err(|fault| PredictionFaults::one(fault.into()))
    }

    fn in_row_order(&self, order: &[usize]) -> Result<Scores, MetricFault> {
        let n_findings = self.findings.len();
        let pick = |values: &[f64]| -> Vec<f64> {
            order
                .iter()
                .flat_map(|row| &values[row * n_findings..(row + 1) * n_findings])
                .copied()
                .collect()
        };
        scores_of(self.scores.scale(), pick(self.values()), n_findings)
    }

    fn values(&self) -> &[f64] {
        match &self.scores {
            Scores::Logits(logits) => logits.values(),
            Scores::Probabilities(probabilities) => probabilities.values(),
        }
    }

    fn path(&self) -> Option<PathBuf> {
        self.origin.as_ref().map(|(path, _)| path.clone())
    }

    /// Image names, in the order of the rows.
    pub fn images(&self) -> &[String] {
        &self.images
    }

    /// Patients, in the order of the rows; empty where the table has no such column.
    pub fn patients(&self) -> &[String] {
        &self.patients
    }

    /// Findings, in the order of the columns.
    pub fn findings(&self) -> &[String] {
        &self.findings
    }

    /// Columns of the file that were not read.
    pub fn unused_columns(&self) -> &[String] {
        &self.unused_columns
    }

    /// The scores.
    pub fn scores(&self) -> &Scores {
        &self.scores
    }
}

fn scores_of(
    scale: ScoreScale,
    values: Vec<f64>,
    n_findings: usize,
) -> Result<Scores, MetricFault> {
    match scale {
        ScoreScale::Logit => Logits::new(values, n_findings).map(Scores::Logits),
        ScoreScale::Probability => {
            Probabilities::from_external(values, n_findings).map(Scores::Probabilities)
        }
    }
}

#[cfg(test)]
mod tests;
