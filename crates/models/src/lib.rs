//! The networks and their saved form.
//!
//! For training, inference and import: [`Network`] turns images into logits and hands its
//! parameters to an optimizer; [`Checkpoint`] is a network on disk that describes itself and
//! notices damage. Names, shapes and semantics of all tensors are PyTorch's, so weights travel
//! both ways. Not here: data, losses, optimizers.
//!
//! ```
//! use candle_core::{DType, Device, Tensor};
//! use cxr_models::{Architecture, Checkpoint, CheckpointHeader, Mode, ModelConfig, Network};
//!
//! let config = ModelConfig::new(Architecture::XrayCnn, 2, 48, 32);
//! let network = Network::new(&config, 7)?;
//! let images = Tensor::ones((1, 3, 32, 48), DType::F32, &Device::Cpu)?;
//! let logits = network.forward(&images, Mode::Eval)?;
//! assert_eq!(logits.dims(), [1, 2]);
//!
//! let findings = vec!["Edema".to_owned(), "Hernia".to_owned()];
//! let header = CheckpointHeader::new(config, findings, serde_json::json!({}));
//! let bytes = Checkpoint::of(&network, header)?.to_bytes()?;
//! let again = Checkpoint::from_bytes(&bytes)?.network()?;
//! assert_eq!(again.weight_digest()?, network.weight_digest()?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod hub;
pub mod import;

mod architecture;
mod checkpoint;
mod compute;
mod device;
mod digest;
mod fault;
mod folded;
mod init;
mod layer;
mod network;
mod numbers;
mod resnet;
mod step;
mod summary;
mod tensor_fault;
mod weights;
mod xray_cnn;

pub use architecture::{Architecture, INPUT_CHANNELS, ModelConfig};
pub use checkpoint::{
    Checkpoint, CheckpointFault, CheckpointFaultKind, CheckpointHeader, FORMAT_VERSION,
    FindingsDiffer, SavedOperatingPoint, TrainingFacts,
};
pub use compute::{Compute, DeviceUser, Place};
pub use device::{
    DeviceImages, DevicePredictor, DeviceTrainer, Labels, StepOutcome, device_memory,
    largest_batch_within,
};
pub use digest::digest_of_tensors;
pub use fault::ModelFault;
pub use folded::{Folded, FoldedMemory};
pub use network::{Mode, Network, tensor_specs};
pub use step::{Gradients, Step};
pub use summary::{LayerSummary, Summary};
pub use tensor_fault::{TensorFault, TensorFaults};
pub use weights::{TensorRole, TensorSpec};
