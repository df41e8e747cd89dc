//! The two logs that grow while a run goes on: `events.jsonl` and `results.csv`.
//!
//! For the command that trains. A checkpoint records how long they are (`RunFolder::sync_logs`); a
//! resumed run cuts them to that length (`RunFolder::cut_logs`) and so writes the same lines again.
//! Deliberately not here: the clock. Whoever appends an event gives its time as a field.

use std::io::Write;
use std::path::Path;

use cxr_metrics::{EpochRecord, History};
use serde::{Deserialize, Serialize};

use crate::report_error::ReportError;
use crate::results;
use crate::run_folder::RunFolder;

/// The events' file.
pub const EVENTS: &str = "events.jsonl";
/// The epochs' file.
pub const RESULTS: &str = "results.csv";

/// What an event says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A run began or was resumed.
    RunStart,
    /// The training pass of an epoch ended.
    EpochEnd,
    /// Valid was read.
    Valid,
    /// A checkpoint is durable.
    Checkpoint,
    /// Something the reader of the run should know.
    Warning,
    /// A run ended, well or not.
    RunEnd,
}

/// How long the logs are, in bytes: kept in a checkpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLengths {
    /// Of `events.jsonl`.
    pub events: u64,
    /// Of `results.csv`.
    pub results: u64,
}

#[derive(Serialize)]
struct Line<'a> {
    event: EventKind,
    #[serde(flatten)]
    fields: &'a serde_json::Map<String, serde_json::Value>,
}

impl RunFolder {
    /// Appends one line to `events.jsonl`: `{"event":"epoch_end", …fields}`.
    ///
    /// `fields` is anything that serialises to a JSON object, `serde_json::json!({…})` included.
    ///
    /// # Errors
    /// `R011` for fields that make no JSON object, `R001` and `R002` where the disk refuses.
    pub fn append_event(
        &self,
        event: EventKind,
        fields: &impl Serialize,
    ) -> Result<(), ReportError> {
        let path = self.dir().join(EVENTS);
        let not_json = |problem: String| ReportError::NotJson {
            path: path.clone(),
            problem,
        };
        let fields = match serde_json::to_value(fields) {
            Ok(serde_json::Value::Object(fields)) if !fields.contains_key("event") => fields,
            Ok(_) => return Err(not_json("not an object, or one with a key `event`".into())),
            Err(error) => return Err(not_json(error.to_string())),
        };
        let line = Line {
            event,
            fields: &fields,
        };
        let mut bytes = serde_json::to_vec(&line).map_err(|error| not_json(error.to_string()))?;
        bytes.push(b'\n');
        append(&path, &bytes)
    }

    /// Appends the history's last epoch to `results.csv`, which gets its header with the first.
    ///
    /// # Errors
    /// `R012` when the findings are not those of the header, `R001` and `R002` where the disk
    /// refuses. A history without an epoch writes nothing.
    pub fn append_epoch(&self, history: &History) -> Result<(), ReportError> {
        let Some(epoch) = history.last() else {
            return Ok(());
        };
        self.append_record(history.findings(), epoch)
    }

    /// Reads `results.csv` back; `None` before its first epoch.
    ///
    /// # Errors
    /// `R009` for a table that no run wrote, `R001` where it cannot be read.
    pub fn history(&self) -> Result<Option<History>, ReportError> {
        let path = self.dir().join(RESULTS);
        if length(&path)? == 0 {
            return Ok(None);
        }
        results::read(&path).map(Some)
    }

    fn append_record(&self, findings: &[String], epoch: &EpochRecord) -> Result<(), ReportError> {
        let path = self.dir().join(RESULTS);
        let columns = results::columns(findings);
        let mut bytes = Vec::new();
        if length(&path)? == 0 {
            bytes.extend(results::line(&columns));
        } else {
            let there = results::read_columns(&path)?;
            if there != columns {
                return Err(ReportError::OtherFindings {
                    path,
                    expected: there,
                    found: columns,
                });
            }
        }
        bytes.extend(results::line(&results::cells(epoch, findings.len())));
        append(&path, &bytes)
    }

    /// Makes both logs durable and says how long they are: call it before a checkpoint is written.
    ///
    /// # Errors
    /// `R001` where the disk refuses.
    pub fn sync_logs(&self) -> Result<LogLengths, ReportError> {
        let synced = |name: &str| {
            let path = self.dir().join(name);
            let length = length(&path)?;
            if length > 0 {
                fs_err::File::open(&path)
                    .and_then(|file| file.sync_all())
                    .map_err(ReportError::io("sync the log", &path))?;
            }
            Ok(length)
        };
        let lengths = LogLengths {
            events: synced(EVENTS)?,
            results: synced(RESULTS)?,
        };
        crate::disk::sync_folder(self.dir())?;
        Ok(lengths)
    }

    /// Cuts both logs to the lengths that a checkpoint recorded, before anything is appended.
    ///
    /// # Errors
    /// `R008` when a log is shorter than recorded (neither is then cut), `R001` where the disk
    /// refuses.
    pub fn cut_logs(&self, lengths: &LogLengths) -> Result<(), ReportError> {
        let logs = [(EVENTS, lengths.events), (RESULTS, lengths.results)];
        for (name, recorded_bytes) in logs {
            let path = self.dir().join(name);
            let found_bytes = length(&path)?;
            if found_bytes < recorded_bytes {
                return Err(ReportError::LogTooShort {
                    path,
                    recorded_bytes,
                    found_bytes,
                });
            }
        }
        for (name, recorded_bytes) in logs {
            let path = self.dir().join(name);
            if length(&path)? > recorded_bytes {
                fs_err::OpenOptions::new()
                    .write(true)
                    .open(&path)
                    .and_then(|file| file.set_len(recorded_bytes).and_then(|()| file.sync_all()))
                    .map_err(ReportError::io("cut the log", &path))?;
            }
        }
        Ok(())
    }
}

/// In bytes; a file that is not there has none.
fn length(path: &Path) -> Result<u64, ReportError> {
    match fs_err::metadata(path) {
        Ok(metadata) => Ok(metadata.len()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(ReportError::io("measure the log", path)(error)),
    }
}

/// One write, so that a line is there as a whole or cut at the end of the file.
fn append(path: &Path, bytes: &[u8]) -> Result<(), ReportError> {
    fs_err::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .and_then(|mut file| file.write_all(bytes))
        .map_err(ReportError::io("append to the log", path))
}

#[cfg(test)]
mod tests {
    use cxr_metrics::{MacroMean, PassSummary};
    use serde_json::json;

    use super::*;

    fn pass(loss: f64) -> PassSummary {
        let aurocs = vec![Some(2.0 / 3.0), None];
        PassSummary {
            loss,
            subset_accuracy: None,
            label_accuracy: Some(0.1 + 0.2),
            auroc: MacroMean::of(aurocs.clone()),
            average_precision: MacroMean::of([None, None]),
            auroc_per_finding: aurocs,
        }
    }

    /// As many epochs, the honest pass over train in the second only.
    fn history(n_epochs: u64) -> History {
        let mut history = History::new(vec!["Edema".into(), "Odd, \"one\"".into()]);
        for epoch in 1..=n_epochs {
            let record = EpochRecord {
                epoch,
                learning_rate: 1e-4 / 3.0,
                seconds: 2.5,
                images_per_second: 640.0,
                training_pass: pass(1e-300),
                train: (epoch == 2).then(|| pass(0.3)),
                valid: pass(f64::MAX),
            };
            history.push(record).unwrap();
        }
        history
    }

    #[test]
    fn events_are_one_json_object_a_line() {
        let root = tempfile::tempdir().unwrap();
        let run = RunFolder::create(root.path(), "r").unwrap();
        run.append_event(EventKind::RunStart, &json!({"seed": 7}))
            .unwrap();
        run.append_event(EventKind::Warning, &json!({"text": "two\nlines"}))
            .unwrap();
        let text = std::fs::read_to_string(run.dir().join(EVENTS)).unwrap();
        assert_eq!(
            text,
            "{\"event\":\"run_start\",\"seed\":7}\n{\"event\":\"warning\",\"text\":\"two\\nlines\"}\n"
        );
        for fields in [json!(3), json!({"event": "x"})] {
            let error = run.append_event(EventKind::Valid, &fields).unwrap_err();
            assert_eq!(error.code(), "R011");
        }
    }

    #[test]
    fn results_come_back_as_they_were_written_bit_for_bit() {
        let root = tempfile::tempdir().unwrap();
        let run = RunFolder::create(root.path(), "r").unwrap();
        assert_eq!(run.history().unwrap(), None);
        run.append_epoch(&History::new(Vec::new())).unwrap();
        assert_eq!(run.history().unwrap(), None);
        for n_epochs in 1..=3 {
            run.append_epoch(&history(n_epochs)).unwrap();
        }
        assert_eq!(run.history().unwrap(), Some(history(3)));
    }

    #[test]
    fn a_resumed_run_writes_the_same_bytes_as_one_that_went_through() {
        let root = tempfile::tempdir().unwrap();
        let through = RunFolder::create(root.path(), "r").unwrap();
        let resumed = RunFolder::create(root.path(), "r").unwrap();
        let mut lengths = LogLengths::default();
        for run in [&through, &resumed] {
            run.append_epoch(&history(1)).unwrap();
            run.append_event(EventKind::EpochEnd, &json!({"epoch": 1}))
                .unwrap();
            lengths = run.sync_logs().unwrap();
        }
        // Killed in epoch 2, in the middle of a line.
        resumed.append_epoch(&history(2)).unwrap();
        append(&resumed.dir().join(EVENTS), b"{\"event\":\"epo").unwrap();
        resumed.cut_logs(&lengths).unwrap();
        for run in [&through, &resumed] {
            run.append_epoch(&history(2)).unwrap();
            run.append_event(EventKind::EpochEnd, &json!({"epoch": 2}))
                .unwrap();
        }
        for log in [EVENTS, RESULTS] {
            assert_eq!(
                std::fs::read(through.dir().join(log)).unwrap(),
                std::fs::read(resumed.dir().join(log)).unwrap(),
                "{log}"
            );
        }
    }

    #[test]
    fn logs_shorter_than_recorded_are_refused_and_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let run = RunFolder::create(root.path(), "r").unwrap();
        run.append_event(EventKind::RunStart, &json!({})).unwrap();
        let before = run.sync_logs().unwrap();
        let error = run
            .cut_logs(&LogLengths {
                events: 3,
                results: 9,
            })
            .unwrap_err();
        assert_eq!((error.code(), error.exit_code()), ("R008", 6));
        assert_eq!(error.value().unwrap(), "0 of 9 bytes");
        assert_eq!(run.sync_logs().unwrap(), before);
    }

    #[test]
    fn an_epoch_with_other_findings_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let run = RunFolder::create(root.path(), "r").unwrap();
        run.append_epoch(&history(1)).unwrap();
        let mut other = History::new(vec!["Odd, \"one\"".into(), "Edema".into()]);
        other.push(history(2).last().unwrap().clone()).unwrap();
        let error = run.append_epoch(&other).unwrap_err();
        assert_eq!((error.code(), error.exit_code()), ("R012", 6));
        assert_eq!(run.history().unwrap(), Some(history(1)));
    }
}
