//! Fits a network to a split: the configuration, the loop, and everything a run leaves behind.
//!
//! For programs that train: [`run`] is the main job, [`fit`] the loop alone. Deliberately not here:
//! argv, printing, clocks (a [`Watch`] is handed in), plots, and the synthetic cohort.

mod closing;
mod cohorts;
mod config;
mod fit;
mod generation;
mod layers;
mod loader;
mod optimizer;
mod pictures;
mod run;
mod schedule;
mod state;
mod train_error;
mod truths;
mod watch;

pub use cohorts::{ReadSplits, Tables, read_splits};
pub use config::{
    AugmentConfig, BadImagePolicy, DataConfig, LeakagePolicy, MAX_SKIPPED_BATCHES, NonFinitePolicy,
    PhantomConfig, RunConfig, ThresholdConfig,
};
pub use fit::{Fitted, Material, fit};
pub use layers::{ConfigFault, ConfigFaults, DEFAULTS, Layers, Origin, PRESETS, ResolvedConfig, schema};
pub use loader::{Batch, Loader};
pub use optimizer::{Adam, OptimizerKind};
pub use pictures::{Pictured, SkippedImage, load_pictures};
pub use run::{BEST, LAST, RunOutcome, RunRequest, SplitSummary, run};
pub use schedule::{Schedule, ScheduleKind};
pub use state::{Fingerprints, TrainState};
pub use train_error::TrainError;
pub use truths::{targets_of, truths_of};
pub use watch::{BatchProgress, Stage, Unwatched, Watch};
