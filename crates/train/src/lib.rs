//! Fits a network to a split: the configuration, the loop, and everything a run leaves behind.
//!
//! For programs that train: [`run`] is the main job, [`fit`] the loop alone. Deliberately not here:
//! argv, printing, clocks (a [`Watch`] is handed in), plots, and the synthetic cohort.
//!
//! ```
//! use cxr_train::{Layers, Origin, Schedule};
//! let mut layers = Layers::new("seed-resnet18");
//! layers.set("epochs=2", &Origin::CommandLine);
//! let config = layers.resolve()?.config;
//! assert_eq!((config.epochs, config.batch_size, config.size), (2, 64, 320));
//! let schedule = Schedule::new(config.schedule, config.learning_rate, 0, 12);
//! assert_eq!(schedule.learning_rate(11), 1e-4);
//!
//! let mut layers = Layers::new("default");
//! layers.set("batch_sise=0", &Origin::CommandLine);
//! let fault = layers.resolve().unwrap_err().faults()[0].clone();
//! assert_eq!(fault.help().as_deref(), Some("did you mean `batch_size`?"));
//! # Ok::<(), cxr_train::ConfigFaults>(())
//! ```

mod attributes;
mod backprop;
mod bench;
mod closing;
mod cohorts;
mod config;
mod config_fault;
mod device_bench;
mod device_learner;
mod examples;
mod fit;
mod generation;
mod images;
mod layers;
mod learner;
mod lesson;
mod loader;
mod optimizer;
mod pictures;
mod run;
mod schedule;
mod state;
mod train_error;
mod truths;
mod watch;

pub use attributes::attributes_of;
pub use backprop::{Backprop, Front, loss_of_batch};
pub use bench::{BenchPictures, StepBench, StepPhases, StepTimes};
pub use cohorts::{ReadSplits, Tables, read_splits};
pub use config::{
    AugmentConfig, BadImagePolicy, CudaConfig, DataConfig, LeakagePolicy, MAX_SKIPPED_BATCHES,
    NonFinitePolicy, PhantomConfig, RunConfig, ThresholdConfig,
};
pub use config_fault::{ConfigFault, ConfigFaults};
pub use device_bench::DeviceSteps;
pub use fit::{Fitted, Material, fit};
pub use images::Images;
pub use layers::{DEFAULTS, Layers, Origin, PRESETS, ResolvedConfig, schema};
pub use loader::{Batch, Loader};
pub use optimizer::{Adam, OptimizerKind};
pub use pictures::{Pictured, Reading, SkippedImage, load_pictures};
pub use run::{BEST, LAST, Prepared, RunOutcome, RunRequest, SplitSummary, TRAIN_PATIENTS, run};
pub use schedule::{Schedule, ScheduleKind};
pub use state::{Fingerprints, TrainState};
pub use train_error::TrainError;
pub use truths::{targets_of, truths_of};
pub use watch::{BatchProgress, Stage, Unwatched, Watch};
