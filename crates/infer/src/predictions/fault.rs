//! What can be wrong with a table of predictions: each fault with file, row, column and value.

use cxr_metrics::{MetricFault, ScoreScale};
use std::fmt;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Faults that are kept with their place; the rest is counted.
pub const KEPT_PREDICTION_FAULTS: usize = 20;

/// Values longer than this are cut in messages.
const SHOWN_CHARS: usize = 80;

/// One fault. `Display` is the message; place, value and help have methods of their own. Rows are
/// lines of the file, from 1.
#[derive(Debug, Error)]
#[non_exhaustive]
#[expect(
    missing_docs,
    reason = "path, row, column and value are the same in every variant"
)]
pub enum PredictionFault {
    /// A column that is needed is not there.
    #[error("predictions lack a column")]
    MissingColumn {
        path: PathBuf,
        column: String,
        found: Vec<String>,
    },
    /// A column is there twice.
    #[error("predictions have a column twice")]
    ColumnTwice { path: PathBuf, column: String },
    /// A row has more or fewer values than the header.
    #[error("row has {found} values, the header {expected}")]
    RowLength {
        path: PathBuf,
        row: u64,
        found: usize,
        expected: usize,
    },
    /// A row without an image name.
    #[error("row names no image")]
    NoImage { path: PathBuf, row: u64 },
    /// An image has two rows.
    #[error("image has two rows of predictions")]
    ImageTwice {
        path: PathBuf,
        row: u64,
        first_row: u64,
        image: String,
    },
    /// A value is not a number.
    #[error("{scale} is not a number")]
    NotANumber {
        path: PathBuf,
        row: u64,
        column: String,
        value: String,
        scale: ScoreScale,
    },
    /// A value is NaN or infinite.
    #[error("{scale} is not a finite number")]
    NotFinite {
        path: PathBuf,
        row: u64,
        column: String,
        value: String,
        scale: ScoreScale,
    },
    /// A probability is outside [0, 1].
    #[error("probability is outside 0 to 1")]
    NotAProbability {
        path: PathBuf,
        row: u64,
        column: String,
        value: String,
    },
    /// The table of labels has a radiograph without predictions.
    #[error("radiograph has no predictions")]
    MissingImage {
        path: Option<PathBuf>,
        image: String,
    },
    /// There are predictions of an image that the table of labels does not have.
    #[error("predictions of an image that the table does not have")]
    ExtraImage {
        path: Option<PathBuf>,
        row: Option<u64>,
        image: String,
    },
    /// There is no row.
    #[error("predictions hold no row")]
    NoRow { path: PathBuf },
    /// The file is not UTF-8 text.
    #[error("predictions are not UTF-8 text")]
    NotText { path: PathBuf, row: u64 },
    /// Predictions that were put together in memory name something twice.
    #[error("predictions name something twice")]
    NameTwice { name: String },
    /// Scores that do not fit together.
    #[error(transparent)]
    Scores(#[from] MetricFault),
    /// The system refused.
    #[error("predictions could not be read or written: {source}")]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
}

impl PredictionFault {
    /// The stable code, listed in docs/errors/metrics.md.
    pub fn code(&self) -> &'static str {
        match self {
            Self::MissingColumn { .. } => "E101",
            Self::ColumnTwice { .. } => "E102",
            Self::RowLength { .. } => "E103",
            Self::NoImage { .. } => "E104",
            Self::ImageTwice { .. } => "E105",
            Self::NotANumber { .. } => "E106",
            Self::NotFinite { .. } => "E107",
            Self::NotAProbability { .. } => "E108",
            Self::MissingImage { .. } => "E109",
            Self::ExtraImage { .. } => "E110",
            Self::NoRow { .. } => "E111",
            Self::NotText { .. } => "E112",
            Self::NameTwice { .. } => "E113",
            Self::Io { .. } => "E114",
            Self::Scores(fault) => fault.code(),
        }
    }

    /// Where it is, such as `predictions.csv:418, column "Edema"`.
    pub fn location(&self) -> Option<String> {
        let at = |path: &Path| shown_path(path);
        match self {
            Self::MissingColumn { path, column, .. } => {
                Some(format!("{}:1, column {}", at(path), quoted(column)))
            }
            Self::ColumnTwice { path, column } => {
                Some(format!("{}:1, column {}", at(path), quoted(column)))
            }
            Self::NotANumber {
                path, row, column, ..
            }
            | Self::NotFinite {
                path, row, column, ..
            }
            | Self::NotAProbability {
                path, row, column, ..
            } => Some(format!("{}:{row}, column {}", at(path), quoted(column))),
            Self::ImageTwice { path, row, .. } | Self::NoImage { path, row } => {
                Some(format!("{}:{row}, column \"Image\"", at(path)))
            }
            Self::RowLength { path, row, .. } | Self::NotText { path, row } => {
                Some(format!("{}:{row}", at(path)))
            }
            Self::ExtraImage { path, row, .. } => {
                let path = at(path.as_deref()?);
                Some(match row {
                    Some(row) => format!("{path}:{row}, column \"Image\""),
                    None => path,
                })
            }
            Self::MissingImage { path, .. } => path
                .as_deref()
                .map(|path| format!("{}, column \"Image\"", at(path))),
            Self::NoRow { path } | Self::Io { path, .. } => Some(at(path)),
            Self::NameTwice { .. } => None,
            Self::Scores(fault) => fault.location(),
        }
    }

    /// The offending value, escaped.
    pub fn value(&self) -> Option<String> {
        match self {
            Self::NotANumber { value, .. }
            | Self::NotFinite { value, .. }
            | Self::NotAProbability { value, .. } => Some(quoted(value)),
            Self::ImageTwice { image, .. }
            | Self::MissingImage { image, .. }
            | Self::ExtraImage { image, .. } => Some(quoted(image)),
            Self::NameTwice { name } => Some(quoted(name)),
            Self::RowLength { found, .. } => Some(format!("{found} values")),
            Self::Scores(fault) => fault.value(),
            _ => None,
        }
    }

    /// What would be right.
    pub fn help(&self) -> Option<String> {
        Some(match self {
            Self::MissingColumn { found, .. } => missing_column_help(found),
            Self::ColumnTwice { .. } => "keep one of them".to_string(),
            Self::RowLength { expected, .. } => format!("each row has {expected} values"),
            Self::NoImage { .. } => "write the image name of the table".to_string(),
            Self::ImageTwice { first_row, .. } => {
                format!("it is in line {first_row} already; keep one row an image")
            }
            Self::NotANumber { .. } => "write a number such as 0.0731 or 7.31e-2".to_string(),
            Self::NotFinite { .. } => {
                "NaN and infinities cannot be ranked; look at the run that wrote them".to_string()
            }
            Self::NotAProbability { .. } => {
                "if these are logits, say so: --scores logit".to_string()
            }
            Self::MissingImage { .. } => {
                "each radiograph of the table needs a row, under the table's own name for it; \
                 is it another split?"
                    .to_string()
            }
            Self::ExtraImage { .. } => {
                "drop the row, or evaluate with the table that it belongs to".to_string()
            }
            Self::NoRow { .. } => {
                "a header `Image,PatientId,<finding>…` and one row a radiograph".to_string()
            }
            Self::NotText { .. } => "save the table as UTF-8".to_string(),
            Self::NameTwice { .. } => "names of images and of findings are unique".to_string(),
            Self::Scores(fault) => return fault.help(),
            Self::Io { .. } => return None,
        })
    }

    /// The process exit code that a command gives for it.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Io { .. } => 4,
            Self::Scores(fault) => fault.exit_code(),
            _ => 3,
        }
    }
}

/// All faults of a table: the first few, and how many there are.
#[derive(Debug)]
pub struct PredictionFaults {
    faults: Vec<PredictionFault>,
    n_faults: usize,
}

impl PredictionFaults {
    pub(crate) fn one(fault: PredictionFault) -> Self {
        Self {
            faults: vec![fault],
            n_faults: 1,
        }
    }

    /// The first [`KEPT_PREDICTION_FAULTS`], in the order of the file; never empty.
    pub fn faults(&self) -> &[PredictionFault] {
        &self.faults
    }

    /// The same, to keep.
    pub fn into_faults(self) -> Vec<PredictionFault> {
        self.faults
    }

    /// How many there are.
    pub fn n_faults(&self) -> usize {
        self.n_faults
    }
}

impl fmt::Display for PredictionFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.faults.first() {
            Some(first) if self.n_faults > 1 => {
                write!(f, "{first} (and {} more faults)", self.n_faults - 1)
            }
            Some(first) => write!(f, "{first}"),
            None => f.write_str("no fault"),
        }
    }
}

impl std::error::Error for PredictionFaults {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.faults.first().map(|fault| fault as _)
    }
}

/// Faults as they are found.
#[derive(Debug, Default)]
pub(crate) struct FaultList {
    faults: Vec<PredictionFault>,
    n_faults: usize,
}

impl FaultList {
    pub(crate) fn push(&mut self, fault: PredictionFault) {
        self.n_faults += 1;
        if self.faults.len() < KEPT_PREDICTION_FAULTS {
            self.faults.push(fault);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.n_faults == 0
    }

    pub(crate) fn into_result(self) -> Result<(), PredictionFaults> {
        if self.n_faults == 0 {
            return Ok(());
        }
        Err(PredictionFaults {
            faults: self.faults,
            n_faults: self.n_faults,
        })
    }
}

fn missing_column_help(found: &[String]) -> String {
    let shown: Vec<String> = found.iter().take(20).map(|name| quoted(name)).collect();
    let text = format!("the header has {}", shown.join(", "));
    if found.len() == 1 && found[0].contains([';', '\t']) {
        return format!("{text}; separate columns by commas");
    }
    text
}

/// The text in quotes, escaped, not longer than a line.
fn quoted(text: &str) -> String {
    let shown: String = text.chars().take(SHOWN_CHARS).collect();
    let left = text.chars().count().saturating_sub(SHOWN_CHARS);
    match left {
        0 => format!("{shown:?}"),
        _ => format!("{shown:?} … and {left} more characters"),
    }
}

/// A path without quotes around it, escaped.
fn shown_path(path: &Path) -> String {
    let text = format!("{:?}", path.to_string_lossy());
    text.trim_matches('"').to_string()
}
