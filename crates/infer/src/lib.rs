//! Runs a checkpoint over images.
//!
//! [`LoadedModel`] is a checkpoint made ready, [`Predictor`] a network over decoded
//! images, [`Predictions`] a table of scores, whoever made them.
//! Deliberately not here: loss, optimizer, labels, plots.

mod bench;
mod infer_error;
mod loaded;
mod made_up_pictures;
mod on_device;
mod picture_feed;
mod predictions;
mod predictor;

pub use bench::{InferBench, InferFront};
pub use infer_error::InferError;
pub use loaded::LoadedModel;
pub use made_up_pictures::MadeUpPictures;
pub use picture_feed::{DevicePictures, GatherOf};
pub use predictions::{KEPT_PREDICTION_FAULTS, PredictionFault, PredictionFaults, Predictions};
pub use predictor::Predictor;
