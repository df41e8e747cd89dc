//! polars, kept in: a checked table as a data frame, and the questions that are asked of it.
//!
//! For `explore`. No polars type leaves this file.

use std::io::Cursor;
use std::sync::Arc;

use polars::prelude::{
    ChunkAgg, ChunkCompareEq, ChunkQuantile, Column, CsvReadOptions, DataFrame, DataType, Field,
    Int64Chunked, PlSmallStr, PolarsError, PolarsResult, Schema, SerReader,
};
use serde::Serialize;

use crate::cohort::Cohort;
use crate::radiograph::Label;

const IMAGE: &str = "Image";
const PATIENT: &str = "PatientId";
/// What polars calls the numbers of a group-by.
const IMAGE_COUNT: &str = "Image_count";
const PATIENT_COUNT: &str = "PatientId_count";

/// What kind of values a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ColumnKind {
    /// Whole numbers.
    Integer,
    /// Numbers.
    Number,
    /// `true` and `false`.
    Boolean,
    /// Anything else.
    Text,
    /// Nothing at all.
    Empty,
}

impl ColumnKind {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Text => "text",
            Self::Empty => "empty",
        }
    }
}

/// One column of a table as it stands in the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ColumnFacts {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub kind: ColumnKind,
    /// Rows without a value.
    pub nulls: usize,
}

/// How many radiographs patients have.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RadiographsPerPatient {
    /// The fewest.
    pub min: usize,
    /// The median.
    pub median: f64,
    /// The mean.
    pub mean: f64,
    /// The most.
    pub max: usize,
    /// How many patients have how many radiographs.
    pub histogram: Vec<PatientsWith>,
}

/// How many patients have a certain number of radiographs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct PatientsWith {
    /// The number of radiographs.
    pub radiographs: usize,
    /// The number of patients.
    pub patients: usize,
}

/// The table library's own message; it has no business with a checked table.
pub(crate) struct FrameError(pub(crate) String);

impl From<PolarsError> for FrameError {
    fn from(error: PolarsError) -> Self {
        Self(error.to_string())
    }
}

/// Rows and columns of a table, as written by a CSV writer of ours from checked rows. The columns
/// in `identifiers` are text whatever they look like.
pub(crate) fn table_facts(
    csv: Vec<u8>,
    identifiers: &[String],
) -> Result<(usize, Vec<ColumnFacts>), FrameError> {
    // A number too large for any column type is no reason to fail: everything is text then.
    let frame =
        read_frame(&csv, identifiers, None).or_else(|_| read_frame(&csv, identifiers, Some(0)))?;
    let facts = frame.columns().iter().map(|column| ColumnFacts {
        name: column.name().to_string(),
        kind: kind_of(column),
        nulls: column.null_count(),
    });
    Ok((frame.height(), facts.collect()))
}

fn read_frame(
    csv: &[u8],
    identifiers: &[String],
    infer_rows: Option<usize>,
) -> PolarsResult<DataFrame> {
    let text = |name: &String| Field::new(PlSmallStr::from_str(name), DataType::String);
    let schema = Schema::from_iter(identifiers.iter().map(text));
    CsvReadOptions::default()
        .with_has_header(true)
        .with_infer_schema_length(infer_rows)
        .with_schema_overwrite(Some(Arc::new(schema)))
        .into_reader_with_file_handle(Cursor::new(csv.to_vec()))
        .finish()
}

fn kind_of(column: &Column) -> ColumnKind {
    match column.dtype() {
        _ if column.null_count() == column.len() => ColumnKind::Empty,
        DataType::Boolean => ColumnKind::Boolean,
        dtype if dtype.is_integer() => ColumnKind::Integer,
        dtype if dtype.is_float() => ColumnKind::Number,
        _ => ColumnKind::Text,
    }
}

/// The labels of a cohort as a data frame: image, patient, and one nullable column a finding.
pub(crate) struct LabelFrame {
    frame: DataFrame,
    findings: Vec<Int64Chunked>,
}

/// What one finding's column adds up to.
pub(crate) struct FindingSums {
    pub(crate) positives: usize,
    pub(crate) unknown: usize,
}

impl LabelFrame {
    pub(crate) fn of(cohort: &Cohort) -> Result<Self, FrameError> {
        let radiographs = cohort.radiographs();
        let images: Vec<&str> = radiographs.iter().map(|one| one.image.as_str()).collect();
        let patients: Vec<&str> = radiographs.iter().map(|one| one.patient.key()).collect();
        let mut columns = vec![
            Column::new(IMAGE.into(), images),
            Column::new(PATIENT.into(), patients),
        ];
        for (place, finding) in cohort.findings().iter().enumerate() {
            let value = |label: Label| label.known().map(i64::from);
            let values: Vec<Option<i64>> = radiographs
                .iter()
                .map(|one| value(one.labels[place]))
                .collect();
            columns.push(Column::new(finding.as_str().into(), values));
        }
        let frame = DataFrame::new(radiographs.len(), columns)?;
        let findings: PolarsResult<Vec<Int64Chunked>> = cohort
            .findings()
            .iter()
            .map(|finding| Ok(frame.column(finding.as_str())?.i64()?.clone()))
            .collect();
        Ok(Self {
            findings: findings?,
            frame,
        })
    }

    pub(crate) fn sums(&self) -> Vec<FindingSums> {
        let sums = self.findings.iter().map(|column| FindingSums {
            positives: count(column.sum()),
            unknown: column.null_count(),
        });
        sums.collect()
    }

    /// How many radiographs have two findings, for all pairs; the diagonal holds the positives.
    pub(crate) fn co_occurrence(&self) -> Vec<Vec<usize>> {
        let both = |one: &Int64Chunked, other: &Int64Chunked| count((one * other).sum());
        self.findings
            .iter()
            .map(|one| self.findings.iter().map(|other| both(one, other)).collect())
            .collect()
    }

    /// Radiographs of which it is known that they have none of the findings.
    pub(crate) fn n_without_finding(&self) -> usize {
        let mut columns = self.findings.iter();
        let Some(first) = columns.next() else {
            return self.frame.height();
        };
        let sums = columns.fold(first.clone(), |sums, column| &sums + column);
        count(sums.equal(0).sum().map(i64::from))
    }

    pub(crate) fn radiographs_per_patient(&self) -> Result<RadiographsPerPatient, FrameError> {
        let per_patient = self.frame.group_by([PATIENT])?.select([IMAGE]).count()?;
        let sizes = per_patient.column(IMAGE_COUNT)?.idx()?;
        let by_size = per_patient
            .group_by([IMAGE_COUNT])?
            .select([PATIENT])
            .count()?;
        let radiographs = by_size.column(IMAGE_COUNT)?.idx()?;
        let patients = by_size.column(PATIENT_COUNT)?.idx()?;
        let mut histogram: Vec<PatientsWith> = radiographs
            .iter()
            .zip(patients.iter())
            .map(|(radiographs, patients)| PatientsWith {
                radiographs: radiographs.map_or(0, |n| n as usize),
                patients: patients.map_or(0, |n| n as usize),
            })
            .collect();
        histogram.sort_unstable();
        Ok(RadiographsPerPatient {
            min: sizes.min().map_or(0, |n| n as usize),
            median: sizes.median().unwrap_or(0.0),
            mean: sizes.mean().unwrap_or(0.0),
            max: sizes.max().map_or(0, |n| n as usize),
            histogram,
        })
    }
}

fn count(sum: Option<i64>) -> usize {
    sum.and_then(|sum| usize::try_from(sum).ok()).unwrap_or(0)
}
