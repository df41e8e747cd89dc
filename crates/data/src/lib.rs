//! Label tables into cohorts that are safe to split.
//!
//! A table is read in one strict pass that finds every fault at once, with its row, column and
//! value. What comes out is a [`Cohort`]: radiographs with their patients and labels. [`Splits`]
//! cannot hold a patient twice; [`repair`] and [`split_cohort`] make such splits.
//! Deliberately not here: pixels, tensors, printing.
//!
//! ```
//! use cxr_data::{PosWeightRule, ReadOptions, SharedPatients, Splits, read_cohort, repair};
//! # let folder = tempfile::tempdir()?;
//! # let (train_csv, valid_csv) = (folder.path().join("t.csv"), folder.path().join("v.csv"));
//! std::fs::write(&train_csv, "Image,PatientId,Edema\na.png,1,0\nb.png,2,1\nc.png,3,0\n")?;
//! std::fs::write(&valid_csv, "PatientId,Image,Edema\n2,d.png,1\n4,e.png,0\n")?;
//! let train = read_cohort(&train_csv, &ReadOptions::default())?.cohort;
//! let valid = read_cohort(&valid_csv, &ReadOptions::default())?.cohort;
//! let shared = SharedPatients::between(&train, &valid, None);
//! assert_eq!(shared.train_valid[0].as_str(), "2");
//! assert!(Splits::new(train.clone(), valid.clone(), None).is_err());
//! let splits = repair(train, valid, None).splits;
//! assert_eq!(splits.valid().len(), 1);
//! assert_eq!(PosWeightRule::Ratio.weights(&splits.train().prevalence()).weights, [2.0]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod assemble;
mod cell;
mod cohort;
mod data_error;
mod escape;
mod explore;
mod fault;
mod fault_list;
mod finding;
mod frame;
mod header;
mod image_name;
mod known_splits;
mod pass;
mod patient_sketch;
mod prevalence;
mod radiograph;
mod read;
mod source;
mod splits;
mod stratify;
mod structure;
mod warning;
mod write;

pub use cohort::{Cohort, CohortError};
pub use data_error::DataError;
pub use explore::{Exploration, Explored, FindingFacts, explore};
pub use fault::{KEPT_FAULTS, TableFault, TableFaultKind, TableFaults};
pub use finding::{Finding, FindingError, FindingSet};
pub use frame::{ColumnFacts, ColumnKind, PatientsWith, RadiographsPerPatient};
pub use image_name::{ImageName, ImageNameError, ImageNameFault};
pub use known_splits::{KNOWN_SPLITS, KnownSplit, known_split};
pub use patient_sketch::{PatientOverlap, PatientSketch, PatientSketchError};
pub use prevalence::{
    FindingPrevalence, PosWeightRule, PosWeightRuleError, PosWeights, Prevalence,
};
pub use radiograph::{Label, PatientId, PatientIdError, Radiograph};
pub use read::{ReadCohort, ReadOptions, Uncertain, UnknownPolicy, read_cohort};
pub use splits::{Dropped, RepairReport, Repaired, SharedImages, SharedPatients, Splits, repair};
pub use stratify::{SplitCohort, SplitFacts, SplitReport, split_cohort};
pub use warning::{TableWarning, TableWarningKind};
pub use write::write_cohort;
