//! Draws and writes what was measured: run folders, plots, one page.
//!
//! For the command that trains, for `report RUN`, and for anybody who has scores and wants pictures
//! of them. Deliberately not here: computing figures (`cxr-metrics`), the clock, the environment,
//! and anything that prints.
//!
//! A run folder holds, by these names:
//! ```text
//! config.toml                 every setting, `key = value  # origin`
//! run.json                    RunRecord: how it ended, machine, versions, fingerprints
//! events.jsonl results.csv    the logs; cut to a recorded length on resume
//! evaluation.json             Evaluations: valid and test
//! data/class_weights.json     plots::ClassTable         data/leakage.json    LeakageRecord
//! data/ceilings.json          the phantom's, byte for byte
//! plots/*.svg                 class_distribution loss accuracy auroc auroc_per_finding roc pr
//!                             calibration thresholds     plots/train_batch.png
//! plots/findings/<nn-name>/   roc pr calibration thresholds of one finding
//! data/examples.json          ExamplesRecord: right and wrong, with plots/examples/<nnn>.png
//! predictions/ weights/       written by others
//! run.lock                    names the process that writes
//! report.html                 page::write, from the files above and nothing else
//! ```
//!
//! ```
//! use cxr_report::{EventKind, RunFolder, RunRecord, RUN_RECORD, page, plots};
//! let root = tempfile::tempdir()?;
//! let run = RunFolder::create(root.path(), "example")?;
//! assert_eq!(run.name(), "example-001");
//! assert_eq!(RunFolder::open(run.dir()).unwrap_err().code(), "R006"); // one writer at a time
//! run.write_json(RUN_RECORD, &RunRecord { seed: Some(7), ..RunRecord::default() })?;
//! run.append_event(EventKind::RunStart, &serde_json::json!({"seed": 7}))?;
//! let curve = plots::Curve { name: "Edema".into(), points: vec![(0.0, 0.0), (0.2, 0.9), (1.0, 1.0)],
//!     figure: Some(0.85), ..plots::Curve::default() };
//! run.write("plots/roc.svg", plots::roc("test", &[curve])?.as_bytes())?;
//! let html = std::fs::read_to_string(page::write(run.dir())?)?;
//! assert!(html.contains("ROC on test") && !html.contains("<script"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod ceilings;
mod disk;
mod drawings;
mod evaluations;
mod examples;
mod json_file;
mod leakage;
mod logs;
pub mod page;
pub mod plots;
mod report_error;
pub mod results;
mod run_folder;
mod run_record;

pub use ceilings::{AurocCeilings, CEILINGS, read_ceilings};
pub use disk::{require_space, write_file};
pub use drawings::{CLASS_TABLE, TRAIN_BATCH};
pub use evaluations::{EVALUATION, Evaluations};
pub use examples::{
    ChosenExample, EXAMPLES, Example, ExampleKind, ExampleRecord, ExamplesRecord, choose_examples,
    picture_path,
};
pub use leakage::{LEAKAGE, LeakageRecord};
pub use logs::{EVENTS, EventKind, LogLengths, RESULTS};
pub use report_error::ReportError;
pub use run_folder::RunFolder;
pub use run_record::{
    BestEpoch, DataRecord, FailureRecord, ModelRecord, RUN_RECORD, RunRecord, RunStatus,
    SplitRecord,
};
