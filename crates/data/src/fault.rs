//! What is wrong with a table: each fault with file, row, column, value and what would be right.
//!
//! For whoever shows faults. Not here: finding them (`source`, `header`, `pass`), and what is only
//! remarkable (`warning`).

use std::path::{Path, PathBuf};

use crate::escape::{escaped, quoted};
use crate::image_name::ImageNameFault;

/// How many faults of a table are kept; the rest is counted.
pub const KEPT_FAULTS: usize = 20;

/// One thing that is wrong with a table.
#[derive(Debug, thiserror::Error)]
#[error("{kind}")]
pub struct TableFault {
    /// The table.
    pub path: PathBuf,
    /// The line of the file, counted from 1, where the row begins; the header is line 1.
    pub row: Option<u64>,
    /// The column by name, or by number where it has none.
    pub column: Option<String>,
    /// What stands there.
    pub value: Option<String>,
    /// What is wrong.
    #[source]
    pub kind: TableFaultKind,
}

/// What can be wrong with a table.
#[derive(Debug, thiserror::Error)]
pub enum TableFaultKind {
    /// The operating system says no.
    #[error("table cannot be read")]
    Io {
        /// What it said.
        #[source]
        source: std::io::Error,
    },
    /// A folder, a pipe or a device.
    #[error("table is not a regular file")]
    NotAFile,
    /// Zero bytes, or nothing but line ends.
    #[error("table is empty")]
    Empty,
    /// A header and nothing below.
    #[error("table has a header and no rows")]
    NoRows,
    /// Too big to be a label table.
    #[error("table is too large: {found} is over {limit} {unit}")]
    TooLarge {
        /// How much there is.
        found: u64,
        /// How much there may be.
        limit: u64,
        /// Of what.
        unit: &'static str,
    },
    /// UTF-16 or UTF-32.
    #[error("table is in {encoding}, not in UTF-8")]
    Encoding {
        /// What it seems to be.
        encoding: &'static str,
    },
    /// Bytes that are no text.
    #[error("text is not UTF-8")]
    NotUtf8,
    /// A NUL byte or another control character inside a value.
    #[error("text holds a control character")]
    Control,
    /// A carriage return that ends no line.
    #[error("carriage return without line feed ({count} in all)")]
    BareCarriageReturn {
        /// How many there are.
        count: u64,
    },
    /// A quote that is never closed.
    #[error("quote is opened and never closed")]
    OpenQuote,
    /// A quote inside a value that does not begin with one.
    #[error("quote inside an unquoted value, or text after a closing quote")]
    StrayQuote,
    /// The values are separated by something else.
    #[error("values are separated by {found}, not by commas")]
    Delimiter {
        /// The separator that the header seems to use.
        found: &'static str,
    },
    /// A column that every table needs.
    #[error("required column is missing")]
    MissingColumn {
        /// A column whose name is nearly right.
        similar: Option<String>,
    },
    /// Two columns with the same name.
    #[error("two columns have the same name")]
    DuplicateColumn,
    /// Nothing to learn.
    #[error("table has no finding column")]
    NoFindings,
    /// A column name that cannot be a finding's.
    #[error("column name cannot name a finding: {reason}")]
    BadFindingName {
        /// Why.
        reason: &'static str,
    },
    /// A row with fewer or more values than the header.
    #[error("row has {found} values, the header has {expected}")]
    RowLength {
        /// Columns of the header.
        expected: usize,
        /// Values of the row.
        found: usize,
        /// It is the last row and no line end follows it.
        is_cut: bool,
    },
    /// Neither 0 nor 1.
    #[error("label is not 0 or 1")]
    LabelNotBinary,
    /// Nothing where a 0 or 1 belongs.
    #[error("label is empty")]
    EmptyLabel,
    /// CheXpert's −1, and nobody said what to make of it.
    #[error("label is uncertain (-1)")]
    UncertainLabel,
    /// `Finding Labels` contradicts itself or holds an empty name.
    #[error("list of findings is malformed: {reason}")]
    BadFindingList {
        /// Why.
        reason: &'static str,
    },
    /// An image name that does not lead to a file below the images' folder.
    #[error("{reason}")]
    BadImageName {
        /// Why.
        reason: ImageNameFault,
    },
    /// An empty or unprintable patient.
    #[error("{reason}")]
    BadPatient {
        /// Why.
        reason: &'static str,
    },
    /// A CheXpert path without `patientNNNNN`.
    #[error("path does not name the patient")]
    NoPatientInPath,
    /// The same image twice, with other labels or another patient.
    #[error("image is listed twice and the rows contradict each other")]
    ConflictingRadiograph {
        /// The row that named it first.
        first_row: u64,
    },
    /// An age or follow-up number that is none.
    #[error("not {expected}")]
    BadNumber {
        /// What was expected.
        expected: &'static str,
    },
    /// polars refused a table that passed every check: a bug here.
    #[error("the table library refused a checked table: {message}")]
    Frame {
        /// What it said.
        message: String,
    },
}

impl TableFaultKind {
    fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } => "D001",
            Self::NotAFile => "D002",
            Self::Empty => "D003",
            Self::NoRows => "D004",
            Self::TooLarge { .. } => "D005",
            Self::Encoding { .. } => "D006",
            Self::NotUtf8 => "D007",
            Self::Control => "D008",
            Self::BareCarriageReturn { .. } => "D009",
            Self::OpenQuote => "D010",
            Self::StrayQuote => "D011",
            Self::Delimiter { .. } => "D012",
            Self::MissingColumn { .. } => "D013",
            Self::DuplicateColumn => "D014",
            Self::NoFindings => "D015",
            Self::RowLength { .. } => "D016",
            Self::LabelNotBinary => "D017",
            Self::EmptyLabel => "D018",
            Self::UncertainLabel => "D019",
            Self::BadImageName { .. } => "D020",
            Self::BadPatient { .. } => "D021",
            Self::NoPatientInPath => "D022",
            Self::ConflictingRadiograph { .. } => "D023",
            Self::BadNumber { .. } => "D024",
            Self::BadFindingName { .. } => "D025",
            Self::BadFindingList { .. } => "D026",
            Self::Frame { .. } => "D029",
        }
    }

    fn help(&self) -> String {
        let text = match self {
            Self::Io { source } if source.kind() == std::io::ErrorKind::NotFound => {
                "check the path; it is relative to the current folder"
            }
            Self::Io { .. } => "check that the file exists and that you may read it",
            Self::NotAFile => "name the CSV file itself",
            Self::Empty => "a table needs a header with `Image`, `PatientId` and the findings",
            Self::NoRows => "add one row for each radiograph",
            Self::TooLarge { .. } => "this does not look like a label table",
            Self::Encoding { .. } => "save the table as UTF-8",
            Self::NotUtf8 => "save the table as UTF-8; this byte may be Latin-1 or Windows-1252",
            Self::Control => "the file may be damaged: write the value again",
            Self::BareCarriageReturn { .. } => "end each line with LF or with CRLF",
            Self::OpenQuote => "close the quote, or write \"\" for a quote inside a quoted value",
            Self::StrayQuote => "put the whole value in quotes and double the quotes inside it",
            Self::Delimiter { .. } => "save the table with commas between the values",
            Self::MissingColumn {
                similar: Some(name),
            } => {
                return format!("there is a column {}; rename it", quoted(name));
            }
            Self::MissingColumn { similar: None } => {
                "a table needs `Image`, `PatientId` and one 0/1 column for each finding \
                 (NIH's and CheXpert's own tables are read too)"
            }
            Self::DuplicateColumn => "keep one of the two",
            Self::NoFindings => "add one column of 0 and 1 for each finding",
            Self::RowLength { is_cut: true, .. } => {
                "the last line has no line end: the file was probably cut; write it again"
            }
            Self::RowLength { .. } => {
                "give each row as many values as the header; put values with commas in quotes"
            }
            Self::LabelNotBinary => {
                "write 0 or 1; a column that is no finding has to be taken out of the table"
            }
            Self::EmptyLabel => {
                "write 0 or 1, or say what an empty label means: `--uncertain zeros|ones|ignore`"
            }
            Self::UncertainLabel => "say what -1 means: `--uncertain zeros|ones|ignore`",
            Self::BadFindingList { .. } => "write names separated by `|`, or `No Finding` alone",
            Self::BadFindingName { .. } => "rename the column or take it out",
            Self::BadImageName { reason } => reason.help(),
            Self::BadPatient { .. } => {
                "each radiograph needs its patient: splits are made by patient"
            }
            Self::NoPatientInPath => {
                "CheXpert paths look like `train/patient00001/study1/view1_frontal.jpg`; \
                 otherwise add a `PatientId` column"
            }
            Self::ConflictingRadiograph { first_row } => {
                return format!("it stands in row {first_row} already: keep the right one");
            }
            Self::BadNumber { .. } => "leave the value empty where it is not known",
            Self::Frame { .. } => "this is a bug in cxr-data; please report it with the table",
        };
        text.to_owned()
    }
}

impl TableFault {
    /// A stable code: `D001` to `D029`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.kind.code()
    }

    /// `train.csv:418, column "Edema"`.
    #[must_use]
    pub fn location(&self) -> Option<String> {
        Some(place(&self.path, self.row, self.column.as_deref()))
    }

    /// What stands there, in quotes and escaped.
    #[must_use]
    pub fn value(&self) -> Option<String> {
        self.value.as_deref().map(quoted)
    }

    /// What would be right.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        Some(self.kind.help())
    }

    /// 4 where the file could not be read, 1 for a bug, 3 for everything else.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self.kind {
            TableFaultKind::Io { .. } | TableFaultKind::NotAFile => 4,
            TableFaultKind::Frame { .. } => 1,
            _ => 3,
        }
    }
}

/// A place in a table, as messages write it.
pub(crate) fn place(path: &Path, row: Option<u64>, column: Option<&str>) -> String {
    let mut place = escaped(&path.to_string_lossy());
    if let Some(row) = row {
        place.push_str(&format!(":{row}"));
    }
    if let Some(column) = column {
        place.push_str(&format!(", column {}", quoted(column)));
    }
    place
}

/// Everything that is wrong with one table, in the order of its rows.
#[derive(Debug, thiserror::Error)]
#[error("{}: {n_faults} {}", escaped(&path.to_string_lossy()), if *n_faults == 1 { "fault" } else { "faults" })]
pub struct TableFaults {
    path: PathBuf,
    kept: Vec<TableFault>,
    n_faults: usize,
}

impl TableFaults {
    pub(crate) fn new(path: &Path, kept: Vec<TableFault>, n_faults: usize) -> Self {
        Self {
            path: path.to_owned(),
            n_faults: n_faults.max(kept.len()),
            kept,
        }
    }

    pub(crate) fn one(fault: TableFault) -> Self {
        Self {
            path: fault.path.clone(),
            kept: vec![fault],
            n_faults: 1,
        }
    }

    /// The table.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The first [`KEPT_FAULTS`]; at least one.
    #[must_use]
    pub fn faults(&self) -> &[TableFault] {
        &self.kept
    }

    /// How many there are in all.
    #[must_use]
    pub fn n_faults(&self) -> usize {
        self.n_faults
    }

    /// The first fault's code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.kept.first().map_or("D029", TableFault::code)
    }

    /// The first fault's place.
    #[must_use]
    pub fn location(&self) -> Option<String> {
        self.kept.first().and_then(TableFault::location)
    }

    /// The first fault's value.
    #[must_use]
    pub fn value(&self) -> Option<String> {
        self.kept.first().and_then(TableFault::value)
    }

    /// The first fault's help.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        self.kept.first().and_then(TableFault::help)
    }

    /// The first fault's exit code.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        self.kept.first().map_or(1, TableFault::exit_code)
    }
}
