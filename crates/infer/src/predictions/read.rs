//! Reading a table of predictions: one strict pass, all faults.

use super::fault::{FaultList, PredictionFault, PredictionFaults};
use super::{IMAGE, PATIENT, Predictions, scores_of};
use csv::StringRecord;
use cxr_metrics::ScoreScale;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::Path;

/// Reads the wanted findings, or every column that could be one.
pub(super) fn read(
    path: &Path,
    scale: ScoreScale,
    wanted: Option<Vec<String>>,
) -> Result<Predictions, PredictionFaults> {
    let io = |source| {
        PredictionFaults::one(PredictionFault::Io {
            path: path.to_owned(),
            source,
        })
    };
    // The whole file, so that a folder, a missing file and a half-read one are told apart here.
    let bytes = fs_err::read(path).map_err(io)?;
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .from_reader(without_mark(&bytes));
    let header = match reader.headers() {
        Ok(header) => header.clone(),
        Err(error) => return Err(PredictionFaults::one(unreadable(path, error))),
    };
    let columns = Columns::of(path, &header, wanted)?;
    let mut rows = Rows::new(path, scale, columns);
    let mut record = StringRecord::new();
    loop {
        match reader.read_record(&mut record) {
            Ok(true) => rows.add(&record),
            Ok(false) => break,
            Err(error) => rows.faults.push(unreadable(path, error)),
        }
    }
    rows.finish()
}

fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

fn unreadable(path: &Path, error: csv::Error) -> PredictionFault {
    let row = error.position().map_or(1, csv::Position::line);
    match error.into_kind() {
        csv::ErrorKind::Io(source) => PredictionFault::Io {
            path: path.to_owned(),
            source,
        },
        _ => PredictionFault::NotText {
            path: path.to_owned(),
            row,
        },
    }
}

/// Where in a row everything is.
struct Columns {
    n_columns: usize,
    image: usize,
    patient: Option<usize>,
    findings: Vec<(String, usize)>,
    unused: Vec<String>,
}

impl Columns {
    fn of(
        path: &Path,
        header: &StringRecord,
        wanted: Option<Vec<String>>,
    ) -> Result<Self, PredictionFaults> {
        let mut faults = FaultList::default();
        let names: Vec<String> = header.iter().map(|name| name.trim().to_string()).collect();
        let mut places = HashMap::new();
        for (place, name) in names.iter().enumerate() {
            if places.insert(name.as_str(), place).is_some() {
                faults.push(PredictionFault::ColumnTwice {
                    path: path.to_owned(),
                    column: name.clone(),
                });
            }
        }
        let mut place_of = |column: &str| -> usize {
            places.get(column).copied().unwrap_or_else(|| {
                faults.push(PredictionFault::MissingColumn {
                    path: path.to_owned(),
                    column: column.to_string(),
                    found: names.clone(),
                });
                0
            })
        };
        let image = place_of(IMAGE);
        let is_key = |name: &String| name == IMAGE || name == PATIENT;
        let wanted =
            wanted.unwrap_or_else(|| names.iter().filter(|name| !is_key(name)).cloned().collect());
        let is_unused = |name: &&String| !is_key(name) && !wanted.contains(name);
        let unused = names.iter().filter(is_unused).cloned().collect();
        let findings = wanted
            .iter()
            .map(|name| (name.clone(), place_of(name)))
            .collect();
        let patient = places.get(PATIENT).copied();
        faults.into_result()?;
        Ok(Self {
            n_columns: names.len(),
            image,
            patient,
            findings,
            unused,
        })
    }
}

/// Rows as they come in.
struct Rows<'a> {
    path: &'a Path,
    scale: ScoreScale,
    columns: Columns,
    faults: FaultList,
    line_of: HashMap<String, u64>,
    images: Vec<String>,
    patients: Vec<String>,
    lines: Vec<u64>,
    values: Vec<f64>,
}

impl<'a> Rows<'a> {
    fn new(path: &'a Path, scale: ScoreScale, columns: Columns) -> Self {
        Self {
            path,
            scale,
            columns,
            faults: FaultList::default(),
            line_of: HashMap::new(),
            images: Vec::new(),
            patients: Vec::new(),
            lines: Vec::new(),
            values: Vec::new(),
        }
    }

    fn add(&mut self, record: &StringRecord) {
        let path = || self.path.to_owned();
        let row = record.position().map_or(0, csv::Position::line);
        if record.len() != self.columns.n_columns {
            let (found, expected) = (record.len(), self.columns.n_columns);
            self.faults.push(PredictionFault::RowLength {
                path: path(),
                row,
                found,
                expected,
            });
            return;
        }
        let image = record[self.columns.image].trim();
        if image.is_empty() {
            self.faults
                .push(PredictionFault::NoImage { path: path(), row });
        } else {
            match self.line_of.entry(image.to_string()) {
                Entry::Occupied(first) => self.faults.push(PredictionFault::ImageTwice {
                    path: path(),
                    row,
                    first_row: *first.get(),
                    image: image.to_string(),
                }),
                Entry::Vacant(place) => drop(place.insert(row)),
            }
        }
        for (column, place) in &self.columns.findings {
            match self.score(row, column, record[*place].trim()) {
                Ok(score) => self.values.push(score),
                Err(fault) => self.faults.push(fault),
            }
        }
        self.images.push(image.to_string());
        let patient = self
            .columns
            .patient
            .map_or("", |place| record[place].trim());
        self.patients.push(patient.to_string());
        self.lines.push(row);
    }

    fn score(&self, row: u64, column: &str, text: &str) -> Result<f64, PredictionFault> {
        let (path, scale) = (self.path.to_owned(), self.scale);
        let (column, value) = (column.to_string(), text.to_string());
        match text.parse::<f64>() {
            Err(_) => Err(PredictionFault::NotANumber {
                path,
                row,
                column,
                value,
                scale,
            }),
            Ok(score) if !score.is_finite() => Err(PredictionFault::NotFinite {
                path,
                row,
                column,
                value,
                scale,
            }),
            Ok(score) if scale == ScoreScale::Probability && !(0.0..=1.0).contains(&score) => {
                Err(PredictionFault::NotAProbability {
                    path,
                    row,
                    column,
                    value,
                })
            }
            Ok(score) => Ok(score),
        }
    }

    fn finish(mut self) -> Result<Predictions, PredictionFaults> {
        if self.images.is_empty() && self.faults.is_empty() {
            self.faults.push(PredictionFault::NoRow {
                path: self.path.to_owned(),
            });
        }
        self.faults.into_result()?;
        let findings: Vec<String> = self
            .columns
            .findings
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        let scores = scores_of(self.scale, self.values, findings.len())
            .map_err(|fault| PredictionFaults::one(fault.into()))?;
        Ok(Predictions {
            images: self.images,
            patients: self.patients,
            findings,
            unused_columns: self.columns.unused,
            scores,
            origin: Some((self.path.to_owned(), self.lines)),
        })
    }
}
