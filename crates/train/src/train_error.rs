//! Why a run cannot start or go on.

use std::io;

use cxr_augment::{ImageFault, SpecFault, SpecFaults};
use cxr_data::{CohortError, DataError, SharedImages, SharedPatients, TableFaults};
use cxr_infer::{InferError, PredictionFault};
use cxr_metrics::MetricFault;
use cxr_models::{CheckpointFault, ModelFault};
use cxr_ops::OpError;
use cxr_ops::device::DeviceFault;
use cxr_report::ReportError;

/// Why a run cannot start or go on. Codes: docs/errors/train.md, and those of the crate that found
/// the fault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// The loss or a gradient is not a number any more.
    #[error("the {what} is not finite in epoch {epoch}, batch {batch}")]
    NonFinite {
        /// `logit`, `loss` or `gradient`.
        what: &'static str,
        /// Counted from 1.
        epoch: u64,
        /// Counted from 1.
        batch: usize,
        /// The images of the batch.
        images: Vec<String>,
    },
    /// The network gives a number that is not finite for an image of the honest pass.
    #[error("the network gives no finite logit for an image after epoch {epoch}")]
    NonFiniteLogit {
        /// Counted from 1.
        epoch: u64,
        /// The image.
        image: String,
    },
    /// A parameter took no part in the loss.
    #[error("the parameter `{name}` has no gradient")]
    NoGradient {
        /// The parameter.
        name: String,
    },
    /// A saved optimizer does not fit the network.
    #[error("the saved optimizer has no fitting moment `{name}`")]
    OptimizerState {
        /// The moment.
        name: String,
    },
    /// A saved run cannot be continued.
    #[error("the run cannot be continued: {reason}")]
    Resume {
        /// What does not fit.
        reason: String,
    },
    /// A split holds nothing to learn from or to measure on.
    #[error("{split} holds no radiographs")]
    EmptySplit {
        /// `train`, `valid` or `test`.
        split: &'static str,
    },
    /// A table or folder that every run needs is not named.
    #[error("{key} is not given")]
    NotGiven {
        /// The key of the configuration.
        key: &'static str,
    },
    /// Images that cannot be read, at least one.
    #[error("{} images cannot be read", .0.len())]
    Images(Vec<ImageFault>),
    /// Patients in two splits, and the policy is to refuse.
    #[error(transparent)]
    SharedPatients(#[from] SharedPatients),
    /// Images in two splits, and the policy is to refuse.
    #[error(transparent)]
    SharedImages(#[from] SharedImages),
    /// Tables that cannot be used, at least one.
    #[error("{} tables cannot be used", .0.len())]
    Tables(Vec<TableFaults>),
    /// Tables that do not go together.
    #[error(transparent)]
    Cohort(#[from] CohortError),
    /// A table that cannot be written.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The folder of images.
    #[error(transparent)]
    ImageFolder(#[from] ImageFault),
    /// The transform contradicts itself.
    #[error(transparent)]
    Spec(#[from] SpecFaults),
    /// A picture of another size than its transform.
    #[error(transparent)]
    Picture(#[from] SpecFault),
    /// The network refused its input or state.
    #[error(transparent)]
    Model(#[from] ModelFault),
    /// A checkpoint cannot be read or written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointFault),
    /// An operation refused its input.
    #[error(transparent)]
    Op(#[from] OpError),
    /// A figure could not be computed.
    #[error(transparent)]
    Metric(#[from] MetricFault),
    /// The honest pass failed.
    #[error(transparent)]
    Infer(#[from] InferError),
    /// Predictions could not be written.
    #[error(transparent)]
    Prediction(#[from] PredictionFault),
    /// The run folder could not be written.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// candle refused an operation.
    #[error("a tensor operation failed")]
    Tensor(#[from] candle_core::Error),
    /// A saved generation could not be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Asks the error inside for something; the errors of this crate's own answer for themselves.
macro_rules! of_the_cause {
    ($self:ident, $error:ident => $answer:expr, $($own:tt)*) => {
        match $self {
            Self::SharedPatients($error) => $answer,
            Self::SharedImages($error) => $answer,
            Self::Cohort($error) => $answer,
            Self::Data($error) => $answer,
            Self::ImageFolder($error) => $answer,
            Self::Spec($error) => $answer,
            Self::Picture($error) => $answer,
            Self::Model($error) => $answer,
            Self::Checkpoint($error) => $answer,
            Self::Op($error) => $answer,
            Self::Metric($error) => $answer,
            Self::Infer($error) => $answer,
            Self::Prediction($error) => $answer,
            Self::Report($error) => $answer,
            $($own)*
        }
    };
}

impl From<DeviceFault> for TrainError {
    fn from(fault: DeviceFault) -> Self {
        Self::Model(fault.into())
    }
}

impl TrainError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        of_the_cause!(self, error => error.code(),
            Self::NonFinite { .. } => "T010",
            Self::NonFiniteLogit { .. } => "T020",
            Self::NoGradient { .. } => "T011",
            Self::OptimizerState { .. } => "T012",
            Self::Resume { .. } => "T013",
            Self::EmptySplit { .. } => "T014",
            Self::NotGiven { .. } => "T015",
            Self::Tensor(_) => "T016",
            Self::Images(_) => "T017",
            Self::Tables(_) => "T019",
            Self::Io(_) => "T018",
        )
    }

    /// Where it happened.
    #[must_use]
    pub fn location(&self) -> Option<String> {
        of_the_cause!(self, error => error.location(),
            Self::NonFinite { epoch, batch, .. } => Some(format!("epoch {epoch}, batch {batch}")),
            Self::NonFiniteLogit { image, .. } => Some(image.clone()),
            _ => None,
        )
    }

    /// What was found there.
    #[must_use]
    pub fn value(&self) -> Option<String> {
        of_the_cause!(self, error => error.value(),
            Self::NonFinite { images, .. } => {
                let first: Vec<&str> = images.iter().take(3).map(String::as_str).collect();
                Some(format!("{} images: {}, …", images.len(), first.join(", ")))
            },
            _ => None,
        )
    }

    /// What to do about it.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        let words = of_the_cause!(self, error => return error.help(),
            Self::NonFinite { .. } | Self::NonFiniteLogit { .. } => {
                "lower learning_rate, or pass such batches over with --set non_finite=skip"
            },
            Self::Resume { .. } | Self::OptimizerState { .. } => {
                "start a new run: leave out --resume"
            },
            Self::EmptySplit { .. } => "give a table with at least one radiograph",
            Self::NotGiven { key: "data.images" } => "name the folder of images: --images DIR",
            Self::NotGiven { .. } => "tables are --train CSV --valid CSV, and --test CSV where there is one",
            Self::Images(_) => "leave them out and list them with --set data.bad_images=skip",
            _ => return None,
        );
        Some(words.to_owned())
    }

    /// 2 usage, 3 data, 4 input/output, 5 non-finite, 6 checkpoint, 1 a bug of ours.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        of_the_cause!(self, error => error.exit_code(),
            Self::NonFinite { .. } | Self::NonFiniteLogit { .. } => 5,
            Self::OptimizerState { .. } | Self::Resume { .. } => 6,
            Self::EmptySplit { .. } => 3,
            Self::Tables(tables) => tables.first().map_or(3, TableFaults::exit_code),
            Self::Images(faults) => faults.first().map_or(3, ImageFault::exit_code),
            Self::NotGiven { .. } => 2,
            Self::Io(error) if error.kind() == io::ErrorKind::InvalidData => 6,
            Self::Io(_) => 4,
            Self::NoGradient { .. } | Self::Tensor(_) => 1,
        )
    }
}
