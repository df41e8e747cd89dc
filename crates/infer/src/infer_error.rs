//! Why a checkpoint could not be run over images.

use cxr_augment::{FeedFault, ImageFault, SpecFault, SpecFaults};
use cxr_metrics::MetricFault;
use cxr_models::{CheckpointFault, ModelFault};
use cxr_ops::device::DeviceFault;

/// Why a checkpoint could not be run over images. Codes are those of the crate that found the fault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InferError {
    /// The checkpoint cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointFault),
    /// The checkpoint's preprocessing cannot be read.
    #[error("the checkpoint's preprocessing cannot be read")]
    Preprocess(#[source] serde_json::Error),
    /// The checkpoint's calibration cannot be read, or is not one a finding.
    #[error("the checkpoint's calibration cannot be read")]
    Calibration(#[source] serde_json::Error),
    /// The network refuses its input.
    #[error(transparent)]
    Model(#[from] ModelFault),
    /// The preprocessing contradicts itself.
    #[error(transparent)]
    Spec(#[from] SpecFaults),
    /// An image does not have the size that it was to be prepared to.
    #[error(transparent)]
    Picture(#[from] SpecFault),
    /// An image cannot be read.
    #[error(transparent)]
    Image(#[from] ImageFault),
    /// A logit is not finite.
    #[error(transparent)]
    Metric(#[from] MetricFault),
    /// candle refused an operation.
    #[error("a tensor operation failed")]
    Tensor(#[from] candle_core::Error),
}

/// Asks the error inside for something; the errors of this crate's own answer for themselves.
macro_rules! of_the_cause {
    ($self:ident, $error:ident => $answer:expr, $($own:tt)*) => {
        match $self {
            Self::Checkpoint($error) => $answer,
            Self::Model($error) => $answer,
            Self::Spec($error) => $answer,
            Self::Picture($error) => $answer,
            Self::Image($error) => $answer,
            Self::Metric($error) => $answer,
            $($own)*
        }
    };
}

impl From<DeviceFault> for InferError {
    fn from(fault: DeviceFault) -> Self {
        Self::Model(fault.into())
    }
}

impl From<FeedFault> for InferError {
    fn from(fault: FeedFault) -> Self {
        match fault {
            FeedFault::Image(fault) => fault.into(),
            FeedFault::Spec(fault) => fault.into(),
        }
    }
}

impl InferError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        of_the_cause!(self, error => error.code(), Self::Preprocess(_) => "M034", Self::Calibration(_) => "M036", Self::Tensor(_) => "T016")
    }

    /// Where it happened.
    #[must_use]
    pub fn location(&self) -> Option<String> {
        of_the_cause!(self, error => error.location(), _ => None)
    }

    /// What was found there.
    #[must_use]
    pub fn value(&self) -> Option<String> {
        of_the_cause!(self, error => error.value(), _ => None)
    }

    /// What to do about it.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        of_the_cause!(self, error => error.help(), _ => None)
    }

    /// 3 data, 4 input/output, 6 checkpoint, 1 a bug of ours.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        of_the_cause!(self, error => error.exit_code(), Self::Preprocess(_) | Self::Calibration(_) => 6, Self::Tensor(_) => 1)
    }
}
