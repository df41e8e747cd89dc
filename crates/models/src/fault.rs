//! Why a network could not be built, filled or run, each with a code, a place, a value and a
//! remedy.
//!
//! For callers of `Network`. Faults of single tensors are in `tensor_fault`, those of files in
//! `checkpoint::fault`.

use thiserror::Error;

use cxr_ops::device::DeviceFault;

use crate::architecture::{Architecture, INPUT_CHANNELS};
use crate::tensor_fault::TensorFaults;

/// Why a network could not be built, filled or run.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ModelFault {
    /// The image size cannot be halved as the layers need it.
    #[error("{architecture} cannot take images of {width}×{height} pixels")]
    Size {
        /// The network asked for.
        architecture: Architecture,
        /// Width asked for.
        width: usize,
        /// Height asked for.
        height: usize,
    },
    /// A network without outputs.
    #[error("a network needs at least one finding")]
    NoFindings,
    /// Dropout outside [0, 1).
    #[error("dropout is not in [0, 1)")]
    Dropout {
        /// The share asked for.
        value: f32,
    },
    /// A word that names no network.
    #[error("no such architecture")]
    UnknownArchitecture {
        /// The word.
        value: String,
    },
    /// A tensor of another shape than the network's input (or feature map).
    #[error("the network expects {expected}")]
    Input {
        /// What the network takes, in words.
        expected: String,
        /// Shape and type that it was given.
        found: String,
    },
    /// A name to freeze that is no layer.
    #[error("no layer or tensor of the network has this name")]
    UnknownLayer {
        /// The name.
        value: String,
        /// The network's own top-level names.
        known: Vec<String>,
    },
    /// An operation refused its input; code, value and help are the operation's.
    #[error("{source}")]
    Operation {
        /// The layer.
        layer: String,
        /// Why.
        source: Box<cxr_ops::OpError>,
    },
    /// The tensor library failed.
    #[error("the computation of {layer} failed: {source}")]
    Compute {
        /// The layer.
        layer: String,
        /// Why.
        source: candle_core::Error,
    },
    /// A device could not do what a layer needs.
    #[error("{source}")]
    Device {
        /// The layer, where it was the work of one.
        layer: Option<String>,
        /// Why.
        source: DeviceFault,
    },
    /// The buffers of a batch do not fit into a device's memory.
    #[error(
        "batches of {batch} images need {needed} bytes of the device's memory, {free} are free"
    )]
    DeviceMemory {
        /// Images asked for.
        batch: usize,
        /// Bytes that all buffers take together.
        needed: u64,
        /// Bytes that were free before the first of them.
        free: u64,
        /// The largest batch whose buffers would fit.
        fits: Option<usize>,
    },
    /// Tensors that do not fit the network.
    #[error(transparent)]
    Tensors(#[from] TensorFaults),
}

impl ModelFault {
    /// The stable code, as docs/errors/models.md explains it.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Size { .. } => "M001",
            Self::NoFindings => "M002",
            Self::Dropout { .. } => "M003",
            Self::UnknownArchitecture { .. } => "M004",
            Self::Input { .. } => "M005",
            Self::UnknownLayer { .. } => "M006",
            Self::Operation { source, .. } => source.code(),
            Self::Compute { .. } => "M007",
            Self::Device { source, .. } => match source {
                DeviceFault::NoDevice { .. } => "M016",
                DeviceFault::OutOfMemory { .. } => "M009",
                _ => "M008",
            },
            Self::DeviceMemory { .. } => "M009",
            Self::Tensors(faults) => faults.code(),
        }
    }

    /// What the process should exit with.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Device {
                source: DeviceFault::NoDevice { .. } | DeviceFault::OutOfMemory { .. },
                ..
            } => 2,
            Self::Compute { .. } | Self::Input { .. } | Self::Device { .. } => 1,
            Self::Operation { source, .. } => source.exit_code(),
            Self::Tensors(faults) => faults.exit_code(),
            _ => 2,
        }
    }

    /// Which layer or tensor.
    #[must_use]
    pub fn location(&self) -> Option<String> {
        match self {
            Self::Operation { layer, source } => Some(match source.location() {
                Some(inner) => format!("layer {layer}, {inner}"),
                None => format!("layer {layer}"),
            }),
            Self::Compute { layer, .. } => Some(format!("layer {layer}")),
            Self::Device { layer, .. } => layer.as_ref().map(|layer| format!("layer {layer}")),
            Self::Tensors(faults) => faults.location(),
            _ => None,
        }
    }

    /// The offending value, escaped.
    #[must_use]
    pub fn value(&self) -> Option<String> {
        match self {
            Self::Size { width, height, .. } => Some(format!("{width}×{height}")),
            Self::NoFindings => Some("0".to_owned()),
            Self::Dropout { value } => Some(value.to_string()),
            Self::UnknownArchitecture { value } | Self::UnknownLayer { value, .. } => {
                Some(format!("{value:?}"))
            }
            Self::Input { found, .. } => Some(found.clone()),
            Self::Operation { source, .. } => source.value(),
            Self::Compute { .. } | Self::Device { .. } => None,
            Self::DeviceMemory { batch, .. } => Some(batch.to_string()),
            Self::Tensors(faults) => faults.value(),
        }
    }

    /// What would be right.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Size { architecture, .. } => Some(size_help(*architecture)),
            Self::NoFindings => Some("name at least one finding column".to_owned()),
            Self::Dropout { .. } => Some("0 switches it off; .25 is xray-cnn's own".to_owned()),
            Self::UnknownArchitecture { .. } => Some(format!(
                "one of {}",
                Architecture::ALL.map(Architecture::name).join(", ")
            )),
            Self::Input { .. } => Some(format!(
                "images are f32 [batch, {INPUT_CHANNELS}, height, width] of the configured size"
            )),
            Self::UnknownLayer { known, .. } => {
                Some(format!("the network has {}", known.join(", ")))
            }
            Self::Operation { source, .. } => source.help(),
            Self::Device {
                source: DeviceFault::NoDevice { .. },
                ..
            } => {
                Some("what a card needs: docs/guide/cuda.md; without one: --device cpu".to_owned())
            }
            Self::Device {
                source: DeviceFault::OutOfMemory { .. },
                ..
            } => Some("a smaller batch, or a card that nobody else uses".to_owned()),
            Self::Compute { .. } | Self::Device { .. } => None,
            Self::DeviceMemory { fits, .. } => Some(match fits {
                Some(fits) => format!("a batch of at most {fits} images"),
                None => "not one image fits: a smaller size of image".to_owned(),
            }),
            Self::Tensors(faults) => faults.help(),
        }
    }
}

fn size_help(architecture: Architecture) -> String {
    match architecture {
        Architecture::XrayCnn => "each side must be a multiple of 16, from 16 to 8192".to_owned(),
        Architecture::ResNet18 | Architecture::ResNet34 => {
            "each side must be from 32 to 8192".to_owned()
        }
    }
}

/// Says in which layer an operation failed.
pub(crate) trait AtLayer<T> {
    /// The same result with the layer's name in its error.
    fn at(self, layer: &str) -> Result<T, ModelFault>;
}

impl<T> AtLayer<T> for Result<T, candle_core::Error> {
    fn at(self, layer: &str) -> Result<T, ModelFault> {
        self.map_err(|source| ModelFault::Compute {
            layer: layer.to_owned(),
            source,
        })
    }
}

impl<T> AtLayer<T> for Result<T, cxr_ops::OpError> {
    fn at(self, layer: &str) -> Result<T, ModelFault> {
        self.map_err(|source| ModelFault::Operation {
            layer: layer.to_owned(),
            source: Box::new(source),
        })
    }
}

impl<T> AtLayer<T> for Result<T, DeviceFault> {
    fn at(self, layer: &str) -> Result<T, ModelFault> {
        self.map_err(|source| ModelFault::Device {
            layer: Some(layer.to_owned()),
            source,
        })
    }
}

impl From<DeviceFault> for ModelFault {
    fn from(source: DeviceFault) -> Self {
        Self::Device {
            layer: None,
            source,
        }
    }
}
