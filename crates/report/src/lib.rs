//! Draws and writes what was measured.

mod ceilings;
mod disk;
mod drawings;
mod evaluations;
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
pub use leakage::{LEAKAGE, LeakageRecord};
pub use logs::{EVENTS, EventKind, LogLengths, RESULTS};
pub use report_error::ReportError;
pub use run_folder::RunFolder;
pub use run_record::{
    BestEpoch, DataRecord, FailureRecord, ModelRecord, RUN_RECORD, RunRecord, RunStatus,
    SplitRecord,
};
