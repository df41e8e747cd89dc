//! What a table holds, in numbers: the facts behind `explore`.
//!
//! For commands and reports. Not here: image statistics, charts, printing.

use std::path::Path;

use serde::Serialize;

use crate::fault::{TableFaultKind, TableFaults};
use crate::frame::{ColumnFacts, FrameError, LabelFrame, RadiographsPerPatient, table_facts};
use crate::header::{Header, Role, column_name};
use crate::prevalence::PosWeightRule;
use crate::read::{ReadCohort, ReadOptions, read_rows};
use crate::source::whole_file;
use crate::warning::TableWarning;
use crate::{Cohort, FindingPrevalence};

/// One finding in numbers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FindingFacts {
    /// Its name.
    pub name: String,
    /// Radiographs with it.
    pub positives: usize,
    /// Radiographs without it.
    pub negatives: usize,
    /// Radiographs of which it is not known.
    pub unknown: usize,
    /// Positives among those of which it is known.
    pub prevalence: Option<f64>,
    /// Negatives ÷ positives; `None` without positives or without negatives.
    pub pos_weight: Option<f64>,
    /// The square root of that.
    pub pos_weight_sqrt: Option<f64>,
}

/// What a table holds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Exploration {
    /// Rows of the file below its header.
    pub rows: usize,
    /// Columns of the file.
    pub columns: usize,
    /// Patients.
    pub patients: usize,
    /// Empty values in the file.
    pub nulls: usize,
    /// The findings in the table's order.
    pub findings: Vec<FindingFacts>,
    /// The columns in the file's order.
    pub column_types: Vec<ColumnFacts>,
    /// Radiographs that are known to have none of the findings.
    pub without_finding: usize,
    /// How many radiographs have two findings, in the order of the findings; positives on the
    /// diagonal.
    pub co_occurrence: Vec<Vec<usize>>,
    /// How many radiographs patients have.
    pub radiographs_per_patient: RadiographsPerPatient,
    /// [`Cohort::fingerprint`].
    pub fingerprint: String,
}

/// A table's facts with the cohort that they are about.
#[derive(Clone, Debug)]
pub struct Explored {
    /// The facts.
    pub exploration: Exploration,
    /// The radiographs.
    pub cohort: Cohort,
    /// What was dealt with while reading.
    pub warnings: Vec<TableWarning>,
}

/// Reads a table strictly and says what it holds.
///
/// # Errors
/// As [`read_cohort`](crate::read_cohort).
pub fn explore(path: &Path, options: &ReadOptions) -> Result<Explored, TableFaults> {
    let mut copy = CleanCopy::default();
    let read = read_rows(path, options, |header, record| copy.add(header, record))?;
    let bug =
        |FrameError(message)| TableFaults::one(whole_file(path, TableFaultKind::Frame { message }));
    let ReadCohort { cohort, warnings } = read;
    let (rows, column_types) = copy.facts().map_err(bug)?;
    let exploration = exploration(rows, column_types, &cohort).map_err(bug)?;
    Ok(Explored {
        exploration,
        cohort,
        warnings,
    })
}

fn exploration(
    rows: usize,
    column_types: Vec<ColumnFacts>,
    cohort: &Cohort,
) -> Result<Exploration, FrameError> {
    let frame = LabelFrame::of(cohort)?;
    let radiographs_per_patient = frame.radiographs_per_patient()?;
    let findings = cohort
        .findings()
        .iter()
        .zip(frame.sums())
        .map(|(finding, sums)| {
            facts_of(FindingPrevalence {
                name: finding.to_string(),
                positives: sums.positives,
                negatives: cohort.len() - sums.positives - sums.unknown,
                unknown: sums.unknown,
            })
        });
    Ok(Exploration {
        rows,
        columns: column_types.len(),
        patients: radiographs_per_patient
            .histogram
            .iter()
            .map(|entry| entry.patients)
            .sum(),
        nulls: column_types.iter().map(|column| column.nulls).sum(),
        findings: findings.collect(),
        column_types,
        without_finding: frame.n_without_finding(),
        co_occurrence: frame.co_occurrence(),
        radiographs_per_patient,
        fingerprint: cohort.fingerprint(),
    })
}

fn facts_of(counts: FindingPrevalence) -> FindingFacts {
    let weight = |rule: PosWeightRule| rule.weight(counts.positives, counts.negatives);
    FindingFacts {
        prevalence: counts.prevalence(),
        pos_weight: weight(PosWeightRule::Ratio),
        pos_weight_sqrt: weight(PosWeightRule::SqrtRatio),
        positives: counts.positives,
        negatives: counts.negatives,
        unknown: counts.unknown,
        name: counts.name,
    }
}

/// The checked rows as plain CSV: trimmed, LF only, no empty lines, every column named. What
/// polars would read in another way than we do is gone from it.
#[derive(Default)]
struct CleanCopy {
    csv: Option<csv::Writer<Vec<u8>>>,
    identifiers: Vec<String>,
    failure: Option<csv::Error>,
}

impl CleanCopy {
    fn add(&mut self, header: &Header, record: &csv::ByteRecord) {
        let written = match &mut self.csv {
            Some(writer) => writer.write_record(record.iter().map(<[u8]>::trim_ascii)),
            None => {
                let names: Vec<String> = (0..header.names.len())
                    .map(|place| column_name(&header.names, place))
                    .collect();
                self.identifiers = names
                    .iter()
                    .zip(&header.roles)
                    .filter(|(_, role)| matches!(role, Role::Image | Role::Patient))
                    .map(|(name, _)| name.clone())
                    .collect();
                let mut writer = csv::WriterBuilder::new()
                    .flexible(true)
                    .from_writer(Vec::new());
                let written = writer.write_record(&names);
                self.csv = Some(writer);
                written
            }
        };
        if let Err(error) = written {
            self.failure = Some(error);
        }
    }

    fn facts(self) -> Result<(usize, Vec<ColumnFacts>), FrameError> {
        if let Some(error) = self.failure {
            return Err(FrameError(error.to_string()));
        }
        let csv = match self.csv {
            Some(writer) => writer
                .into_inner()
                .map_err(|error| FrameError(error.to_string()))?,
            None => Vec::new(),
        };
        table_facts(csv, &self.identifiers)
    }
}
