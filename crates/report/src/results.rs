//! `results.csv`: a run's history, one row an epoch; what is read equals what was written, bit for
//! bit.
//!
//! For plots and pages, which read the table, and for `RunFolder::append_epoch`, which writes it.
//! A figure without a value is an empty cell. Deliberately not here: how the figures are computed
//! (`cxr-metrics`).

use std::path::Path;

use cxr_metrics::{EpochRecord, History, MacroMean, PassSummary};

use crate::report_error::ReportError;

const OF_THE_EPOCH: [&str; 4] = ["epoch", "learning_rate", "seconds", "images_per_second"];
/// Before the name of each figure: which pass it is from.
const PASSES: [&str; 3] = ["training_pass", "train", "valid"];
const OF_A_PASS: [&str; 7] = [
    "loss",
    "subset_accuracy",
    "label_accuracy",
    "auroc",
    "auroc_over",
    "average_precision",
    "average_precision_over",
];
/// Between the name of a pass and a finding's.
const AUROC: &str = "_auroc:";

/// Reads `results.csv`.
///
/// # Errors
/// `R001` where it cannot be read, `R009` with line, column and value for a table that no run
/// wrote.
pub fn read(path: &Path) -> Result<History, ReportError> {
    let header = read_columns(path)?;
    let findings = findings_of(path, &header)?;
    let mut history = History::new(findings);
    for record in open(path)?.records() {
        let record = record.map_err(|error| unreadable(path, &error))?;
        let mut cells = Cells {
            path,
            header: &header,
            record: &record,
            next: 0,
        };
        let epoch = cells.epoch(history.findings().len())?;
        let line = cells.line();
        history.push(epoch).map_err(|fault| ReportError::Results {
            path: path.into(),
            row: line,
            column: None,
            value: Some(fault.to_string()),
            problem: "this row cannot follow the rows before it",
        })?;
    }
    Ok(history)
}

pub(crate) fn read_columns(path: &Path) -> Result<Vec<String>, ReportError> {
    let mut reader = open(path)?;
    let header = reader.headers().map_err(|error| unreadable(path, &error))?;
    Ok(header.iter().map(str::to_owned).collect())
}

pub(crate) fn columns(findings: &[String]) -> Vec<String> {
    let mut columns: Vec<String> = OF_THE_EPOCH.map(str::to_owned).into();
    for pass in PASSES {
        columns.extend(OF_A_PASS.iter().map(|figure| format!("{pass}_{figure}")));
    }
    for pass in PASSES {
        columns.extend(
            findings
                .iter()
                .map(|finding| format!("{pass}{AUROC}{finding}")),
        );
    }
    columns
}

pub(crate) fn cells(epoch: &EpochRecord, n_findings: usize) -> Vec<String> {
    let passes = [
        Some(&epoch.training_pass),
        epoch.train.as_ref(),
        Some(&epoch.valid),
    ];
    let mut cells = vec![
        epoch.epoch.to_string(),
        epoch.learning_rate.to_string(),
        epoch.seconds.to_string(),
        epoch.images_per_second.to_string(),
    ];
    for pass in passes {
        match pass {
            Some(pass) => cells.extend(cells_of(pass)),
            None => cells.extend(OF_A_PASS.map(|_| String::new())),
        }
    }
    for pass in passes {
        let aurocs = pass.map_or(&[][..], |pass| &pass.auroc_per_finding);
        let padded = aurocs.iter().copied().chain(std::iter::repeat(None));
        cells.extend(padded.take(n_findings).map(cell));
    }
    cells
}

/// One line of CSV with its end.
pub(crate) fn line(cells: &[String]) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    // Writing to memory has nothing that can fail.
    drop(writer.write_record(cells));
    writer.into_inner().unwrap_or_default()
}

fn cells_of(pass: &PassSummary) -> [String; 7] {
    [
        pass.loss.to_string(),
        cell(pass.subset_accuracy),
        cell(pass.label_accuracy),
        cell(pass.auroc.value),
        pass.auroc.over.to_string(),
        cell(pass.average_precision.value),
        pass.average_precision.over.to_string(),
    ]
}

fn cell(figure: Option<f64>) -> String {
    figure.map_or_else(String::new, |figure| figure.to_string())
}

fn open(path: &Path) -> Result<csv::Reader<fs_err::File>, ReportError> {
    let file = fs_err::File::open(path).map_err(ReportError::io("read the table", path))?;
    Ok(csv::ReaderBuilder::new().from_reader(file))
}

fn unreadable(path: &Path, error: &csv::Error) -> ReportError {
    ReportError::Results {
        path: path.into(),
        row: error.position().map_or(1, csv::Position::line),
        column: None,
        value: None,
        problem: match error.kind() {
            csv::ErrorKind::UnequalLengths { .. } => "this row has another number of cells",
            csv::ErrorKind::Utf8 { .. } => "this row is not UTF-8",
            _ => "this row cannot be read",
        },
    }
}

fn findings_of(path: &Path, header: &[String]) -> Result<Vec<String>, ReportError> {
    let [first, ..] = PASSES;
    let findings: Vec<String> = header
        .iter()
        .filter_map(|column| column.strip_prefix(first)?.strip_prefix(AUROC))
        .map(str::to_owned)
        .collect();
    let expected = columns(&findings);
    if header == expected {
        return Ok(findings);
    }
    let strange = header
        .iter()
        .zip(&expected)
        .find(|(found, expected)| found != expected);
    Err(ReportError::Results {
        path: path.into(),
        row: 1,
        column: None,
        value: strange.map(|(found, _)| found.clone()),
        problem: "these are not the columns of a run's results",
    })
}

/// The cells of a row, taken one after the other.
struct Cells<'a> {
    path: &'a Path,
    header: &'a [String],
    record: &'a csv::StringRecord,
    next: usize,
}

impl Cells<'_> {
    fn epoch(&mut self, n_findings: usize) -> Result<EpochRecord, ReportError> {
        let (epoch, learning_rate) = (self.number()?, self.number()?);
        let (seconds, images_per_second) = (self.number()?, self.number()?);
        let [training_pass, train, valid] = [
            self.pass(n_findings)?,
            self.pass(n_findings)?,
            self.pass(n_findings)?,
        ];
        let mut with_aurocs = |pass: Option<PassSummary>| {
            let auroc_per_finding = (0..n_findings)
                .map(|_| self.figure())
                .collect::<Result<Vec<_>, _>>()?;
            Ok(pass.map(|pass| PassSummary {
                auroc_per_finding,
                ..pass
            }))
        };
        let training_pass = with_aurocs(training_pass)?;
        let train = with_aurocs(train)?;
        let valid = with_aurocs(valid)?;
        Ok(EpochRecord {
            epoch,
            learning_rate,
            seconds,
            images_per_second,
            training_pass: training_pass.ok_or_else(|| self.without(0))?,
            train,
            valid: valid.ok_or_else(|| self.without(2))?,
        })
    }

    /// A pass without its AUROCs; `None` when it was not made and so has no loss.
    fn pass(&mut self, of: usize) -> Result<Option<PassSummary>, ReportError> {
        let Some(loss) = self.figure()? else {
            self.next += OF_A_PASS.len() - 1;
            return Ok(None);
        };
        let (subset_accuracy, label_accuracy) = (self.figure()?, self.figure()?);
        let mut mean = || {
            Ok(MacroMean {
                value: self.figure()?,
                over: self.number()?,
                of,
            })
        };
        Ok(Some(PassSummary {
            loss,
            subset_accuracy,
            label_accuracy,
            auroc: mean()?,
            average_precision: mean()?,
            auroc_per_finding: Vec::new(),
        }))
    }

    fn figure(&mut self) -> Result<Option<f64>, ReportError> {
        if self.record.get(self.next).is_none_or(str::is_empty) {
            self.next += 1;
            return Ok(None);
        }
        self.number().map(Some)
    }

    fn number<T: std::str::FromStr>(&mut self) -> Result<T, ReportError> {
        let place = self.next;
        self.next += 1;
        let cell = self.record.get(place).unwrap_or_default();
        cell.parse().map_err(|_| ReportError::Results {
            path: self.path.into(),
            row: self.line(),
            column: self.header.get(place).cloned(),
            value: Some(cell.into()),
            problem: "this cell is not the number that a run writes",
        })
    }

    fn without(&self, pass: usize) -> ReportError {
        let place = OF_THE_EPOCH.len() + pass * OF_A_PASS.len();
        ReportError::Results {
            path: self.path.into(),
            row: self.line(),
            column: self.header.get(place).cloned(),
            value: Some(String::new()),
            problem: "this epoch has no loss",
        }
    }

    fn line(&self) -> u64 {
        self.record.position().map_or(0, csv::Position::line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> ReportError {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.csv");
        std::fs::write(&path, text).unwrap();
        read(&path).unwrap_err()
    }

    fn table(change: impl Fn(&mut Vec<String>)) -> String {
        let header = columns(&[]);
        let mut cells = vec![String::from("1"); header.len()];
        change(&mut cells);
        format!("{}\n{}\n", header.join(","), cells.join(","))
    }

    #[test]
    fn a_cell_that_is_no_number_is_named_by_line_column_and_value() {
        let error = fault(&table(|cells| cells[5] = "abc".into()));
        assert_eq!((error.code(), error.exit_code()), ("R009", 3));
        let location = error.location().unwrap();
        assert!(
            location.ends_with("results.csv:2, column \"training_pass_subset_accuracy\""),
            "{location}"
        );
        assert_eq!(error.value().unwrap(), "\"abc\"");
        let error = fault(&table(|cells| cells[4].clear()));
        assert_eq!(error.to_string(), "this epoch has no loss");
        let error = fault(&table(|cells| cells[5] = "NaN".into()));
        assert!(
            error.value().unwrap().contains("subset accuracy"),
            "{error:?}"
        );
    }

    #[test]
    fn a_cut_row_strange_columns_and_a_repeated_epoch_are_refused() {
        let error = fault(&table(|cells| cells.truncate(3)));
        assert!(
            error.location().unwrap().ends_with("results.csv:2"),
            "{error:?}"
        );
        for header in ["", "epoch\n", "Epoch,x\n"] {
            assert_eq!(fault(header).code(), "R009", "{header:?}");
        }
        let twice = table(|_| ());
        let error = fault(&format!("{twice}{}\n", twice.lines().nth(1).unwrap()));
        assert!(
            error.location().unwrap().ends_with("results.csv:3"),
            "{error:?}"
        );
    }
}
