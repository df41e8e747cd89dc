//! What is remarkable about a table without being wrong, and what was done about it.
//!
//! For whoever shows warnings. Not here: what stops a table from being read (`fault`).

use std::fmt;
use std::path::PathBuf;

use crate::escape::quoted;
use crate::fault::place;

/// Something about a table that its owner should know and that was dealt with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableWarning {
    /// The table.
    pub path: PathBuf,
    /// The first row concerned.
    pub row: Option<u64>,
    /// The column concerned.
    pub column: Option<String>,
    /// What was noticed and what was done.
    pub kind: TableWarningKind,
}

/// What is remarkable about a table without being wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TableWarningKind {
    /// A column's name had spaces around it; they were taken off.
    PaddedName,
    /// Values had spaces around them; they were taken off.
    PaddedValues {
        /// How many.
        count: u64,
    },
    /// A column that is neither known nor holds labels was left out.
    UnknownColumn,
    /// A row said again what an earlier one said and was left out.
    RepeatedRadiographs {
        /// How many.
        count: u64,
    },
    /// Some lines end in LF, some in CRLF.
    MixedLineEnds,
    /// Empty lines were skipped.
    BlankLines {
        /// How many.
        count: u64,
    },
    /// `Finding Labels` names findings that NIH's 14 do not have.
    OtherFindings {
        /// Which.
        names: Vec<String>,
    },
    /// The same patient is written in several ways; the first is used.
    PatientSpellings {
        /// How many rows were changed.
        count: u64,
    },
    /// Uncertain labels were read as the policy says.
    UncertainLabels {
        /// How many.
        count: u64,
        /// What they became.
        became: &'static str,
    },
    /// Empty labels were read as the policy says.
    EmptyLabels {
        /// How many.
        count: u64,
        /// What they became.
        became: &'static str,
    },
    /// Ages that nobody reaches.
    ImplausibleAge {
        /// How many.
        count: u64,
    },
}

impl TableWarning {
    /// A stable code: `D101` to `D111`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self.kind {
            TableWarningKind::PaddedName => "D101",
            TableWarningKind::PaddedValues { .. } => "D102",
            TableWarningKind::UnknownColumn => "D103",
            TableWarningKind::RepeatedRadiographs { .. } => "D104",
            TableWarningKind::MixedLineEnds => "D105",
            TableWarningKind::BlankLines { .. } => "D106",
            TableWarningKind::OtherFindings { .. } => "D107",
            TableWarningKind::PatientSpellings { .. } => "D108",
            TableWarningKind::UncertainLabels { .. } => "D109",
            TableWarningKind::EmptyLabels { .. } => "D110",
            TableWarningKind::ImplausibleAge { .. } => "D111",
        }
    }

    /// `train.csv:418, column "Edema"`: the first place concerned.
    #[must_use]
    pub fn location(&self) -> Option<String> {
        Some(place(&self.path, self.row, self.column.as_deref()))
    }
}

impl fmt::Display for TableWarningKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PaddedName => f.write_str("spaces around the column's name were ignored"),
            Self::PaddedValues { count } => {
                write!(f, "spaces around {count} values were ignored")
            }
            Self::UnknownColumn => f.write_str("unknown column was left out: it holds no labels"),
            Self::RepeatedRadiographs { count } => {
                write!(f, "{count} rows that repeat an earlier one were left out")
            }
            Self::MixedLineEnds => f.write_str("some lines end in LF and some in CRLF"),
            Self::BlankLines { count } => write!(f, "{count} empty lines were skipped"),
            Self::OtherFindings { names } => {
                let names: Vec<String> = names.iter().map(|name| quoted(name)).collect();
                write!(f, "not among NIH's 14 findings: {}", names.join(", "))
            }
            Self::PatientSpellings { count } => write!(
                f,
                "patients are written in several ways; {count} rows now use the first"
            ),
            Self::UncertainLabels { count, became } => {
                write!(f, "{count} uncertain labels (-1) were read as {became}")
            }
            Self::EmptyLabels { count, became } => {
                write!(f, "{count} empty labels were read as {became}")
            }
            Self::ImplausibleAge { count } => {
                write!(f, "{count} ages are over 120 years; they were kept")
            }
        }
    }
}

impl fmt::Display for TableWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = place(&self.path, self.row, self.column.as_deref());
        write!(f, "[{}] {}: {place}", self.code(), self.kind)
    }
}
