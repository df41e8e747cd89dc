//! A label table into a cohort: one strict pass over all rows that finds every fault at once.
//!
//! For whoever starts from a table. Not here: what a fault says (`fault`), how columns are told
//! apart (`header`), and anything about images.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::assemble::assemble;
use crate::cohort::Cohort;
use crate::escape::{escaped, quoted};
use crate::fault::{TableFaultKind, TableFaults};
use crate::fault_list::FaultList;
use crate::header::{Header, HeaderNotes};
use crate::pass::Pass;
use crate::source::{Source, whole_file};
use crate::warning::TableWarning;

/// What an uncertain (−1) or empty label means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Uncertain {
    /// It is a fault.
    #[default]
    Refuse,
    /// −1 is negative.
    Zeros,
    /// −1 is positive.
    Ones,
    /// −1 is unknown.
    Ignore,
}

impl FromStr for Uncertain {
    type Err = UnknownPolicy;

    fn from_str(text: &str) -> Result<Self, UnknownPolicy> {
        match text {
            "refuse" => Ok(Self::Refuse),
            "zeros" => Ok(Self::Zeros),
            "ones" => Ok(Self::Ones),
            "ignore" => Ok(Self::Ignore),
            _ => Err(UnknownPolicy { text: text.into() }),
        }
    }
}

impl fmt::Display for Uncertain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refuse => "refuse",
            Self::Zeros => "zeros",
            Self::Ones => "ones",
            Self::Ignore => "ignore",
        })
    }
}

/// A policy for uncertain labels that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown policy for uncertain labels: `{}`", escaped(text))]
pub struct UnknownPolicy {
    /// What was given.
    pub text: String,
}

impl UnknownPolicy {
    /// `D045`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "D045"
    }

    /// Nowhere: the policy comes from a setting.
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
        Some("write refuse, zeros, ones or ignore".into())
    }

    /// 2: configuration.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        2
    }
}

/// How a table is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// What −1 and an empty label mean. Under `Zeros` and `Ones` an empty label is negative (not
    /// mentioned, as CheXpert's authors read it); under `Ignore` it is unknown, but negative in a
    /// table of CheXpert's own form.
    pub uncertain: Uncertain,
}

/// A cohort and what its reader should know about the table.
#[derive(Clone, Debug)]
pub struct ReadCohort {
    /// The radiographs in the order of the rows.
    pub cohort: Cohort,
    /// What was dealt with on the way.
    pub warnings: Vec<TableWarning>,
}

/// The cohort of a table: NIH's one-column-a-finding form, its `Data_Entry_2017` form or
/// CheXpert's, told apart by their columns. The order of columns does not matter to what is read;
/// findings come in the table's order.
///
/// # Errors
/// Every fault of the table at once: the first 20 with row, column and value, the rest counted.
pub fn read_cohort(path: &Path, options: &ReadOptions) -> Result<ReadCohort, TableFaults> {
    read_rows(path, options, |_, _| {})
}

/// As [`read_cohort`]; each row is shown to `look` with its header, header row included.
pub(crate) fn read_rows(
    path: &Path,
    options: &ReadOptions,
    mut look: impl FnMut(&Header, &csv::ByteRecord),
) -> Result<ReadCohort, TableFaults> {
    let source = Source::open(path)?;
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(source.bytes.as_slice());
    let mut record = csv::ByteRecord::new();
    let mut lines = LineCounter::new(&source.bytes);
    let fail = |error: csv::Error| {
        let source = std::io::Error::other(error);
        TableFaults::one(whole_file(path, TableFaultKind::Io { source }))
    };
    if !reader.read_byte_record(&mut record).map_err(fail)? {
        return Err(TableFaults::one(whole_file(path, TableFaultKind::Empty)));
    }
    let mut notes = HeaderNotes {
        path,
        row: lines.row_of(&record),
        faults: Vec::new(),
        warnings: source.warnings,
    };
    let Some(header) = Header::read(&record, &mut notes) else {
        return Err(TableFaults::new(path, notes.faults, 0));
    };
    look(&header, &record);
    let faults = FaultList::new(path, &header, notes.faults);
    let mut pass = Pass::new(&header, *options, faults, notes.warnings);
    while reader.read_byte_record(&mut record).map_err(fail)? {
        let row = lines.row_of(&record);
        let is_last = reader.position().byte() >= source.bytes.len() as u64;
        let is_cut = is_last && !source.ends_with_newline;
        pass.read_row(row, &record, is_cut);
        look(&header, &record);
    }
    assemble(pass, path)
}

/// Physical line numbers of records. The csv crate's own are off after CRLF and empty lines.
struct LineCounter<'a> {
    bytes: &'a [u8],
    counted_to: usize,
    row: u64,
}

impl<'a> LineCounter<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            counted_to: 0,
            row: 1,
        }
    }

    fn row_of(&mut self, record: &csv::ByteRecord) -> u64 {
        let position = record.position().map_or(0, csv::Position::byte);
        let mut start = usize::try_from(position).unwrap_or(usize::MAX);
        start = start.min(self.bytes.len());
        while matches!(self.bytes.get(start), Some(b'\r' | b'\n')) {
            start += 1;
        }
        let passed = &self.bytes[self.counted_to.min(start)..start];
        self.row += passed.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.counted_to = start;
        self.row
    }
}
