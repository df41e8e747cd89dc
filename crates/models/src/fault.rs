//! What can be wrong with a network or with tensors given to it, each with a code, a place, a
//! value and a remedy.
//!
//! For callers of `Network`. Faults of files are in `checkpoint::fault`.

use std::fmt;

use thiserror::Error;

use crate::architecture::{Architecture, INPUT_CHANNELS};

/// How many faults of one kind a message shows before it counts the rest.
const SHOWN: usize = 20;

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
    /// Batch statistics of a single value have no variance.
    #[error("batch norm cannot train on one value per channel")]
    OneValuePerChannel {
        /// The layer.
        layer: String,
        /// What it was given.
        shape: Vec<usize>,
    },
    /// A name to freeze that is no layer.
    #[error("no layer or tensor of the network has this name")]
    UnknownLayer {
        /// The name.
        value: String,
        /// The network's own top-level names.
        known: Vec<String>,
    },
    /// An operation refused its input.
    #[error("the operation of {layer} was refused: {source}")]
    Operation {
        /// The layer.
        layer: String,
        /// Why.
        source: cxr_ops::OpError,
    },
    /// The tensor library failed.
    #[error("the computation of {layer} failed: {source}")]
    Compute {
        /// The layer.
        layer: String,
        /// Why.
        source: candle_core::Error,
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
            Self::OneValuePerChannel { .. } => "M006",
            Self::UnknownLayer { .. } => "M007",
            Self::Operation { .. } | Self::Compute { .. } => "M008",
            Self::Tensors(faults) => faults.code(),
        }
    }

    /// What the process should exit with.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Operation { .. } | Self::Compute { .. } | Self::Input { .. } => 1,
            Self::Tensors(faults) => faults.exit_code(),
            _ => 2,
        }
    }

    /// Which layer or tensor.
    #[must_use]
    pub fn location(&self) -> Option<String> {
        match self {
            Self::OneValuePerChannel { layer, .. }
            | Self::Operation { layer, .. }
            | Self::Compute { layer, .. } => Some(format!("layer {layer}")),
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
            Self::OneValuePerChannel { shape, .. } => Some(format!("{shape:?}")),
            Self::Operation { source, .. } => source.value(),
            Self::Compute { .. } => None,
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
            Self::OneValuePerChannel { .. } => {
                Some("use a batch of at least 2, or larger images".to_owned())
            }
            Self::UnknownLayer { known, .. } => {
                Some(format!("the network has {}", known.join(", ")))
            }
            Self::Operation { source, .. } => source.help(),
            Self::Compute { .. } => None,
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

/// One tensor that does not fit the network.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum TensorFault {
    /// The network needs it and it is not there.
    #[error("tensor is missing")]
    Missing {
        /// Its name.
        name: String,
        /// The shape it should have.
        expected: Vec<usize>,
    },
    /// It is there and the network has no such tensor.
    #[error("the network has no such tensor")]
    Extra {
        /// Its name.
        name: String,
        /// Its shape.
        found: Vec<usize>,
    },
    /// Another shape.
    #[error("tensor has another shape than the network's")]
    Shape {
        /// Its name.
        name: String,
        /// The network's.
        expected: Vec<usize>,
        /// The one given.
        found: Vec<usize>,
    },
    /// Another number type.
    #[error("tensor holds another type of number than the network's")]
    Dtype {
        /// Its name.
        name: String,
        /// The network's.
        expected: &'static str,
        /// The one given.
        found: String,
    },
    /// NaN or infinity among its numbers.
    #[error("tensor holds a number that is not finite")]
    NotFinite {
        /// Its name.
        name: String,
        /// Place of the first in row-major order.
        index: usize,
        /// The first.
        value: f32,
    },
    /// A running variance or count below zero.
    #[error("tensor holds a negative number where none can be")]
    Negative {
        /// Its name.
        name: String,
        /// Place of the first in row-major order.
        index: usize,
        /// The first.
        value: f32,
    },
}

impl TensorFault {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "M010",
            Self::Extra { .. } => "M011",
            Self::Shape { .. } => "M012",
            Self::Dtype { .. } => "M013",
            Self::NotFinite { .. } => "M014",
            Self::Negative { .. } => "M015",
        }
    }

    /// The tensor's name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Missing { name, .. }
            | Self::Extra { name, .. }
            | Self::Shape { name, .. }
            | Self::Dtype { name, .. }
            | Self::NotFinite { name, .. }
            | Self::Negative { name, .. } => name,
        }
    }

    /// Where: the tensor, and the element where one is at fault.
    #[must_use]
    pub fn location(&self) -> Option<String> {
        match self {
            Self::NotFinite { name, index, .. } | Self::Negative { name, index, .. } => {
                Some(format!("tensor {name:?}, element {index}"))
            }
            other => Some(format!("tensor {:?}", other.name())),
        }
    }

    /// The offending shape, type or number.
    #[must_use]
    pub fn value(&self) -> Option<String> {
        match self {
            Self::Missing { .. } => None,
            Self::Extra { found, .. } | Self::Shape { found, .. } => Some(format!("{found:?}")),
            Self::Dtype { found, .. } => Some(format!("{found:?}")),
            Self::NotFinite { value, .. } | Self::Negative { value, .. } => Some(value.to_string()),
        }
    }

    /// What would be right.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Missing { expected, .. } | Self::Shape { expected, .. } => {
                Some(format!("the network's is {expected:?}"))
            }
            Self::Extra { .. } => {
                Some("these weights are of another architecture or another program".to_owned())
            }
            Self::Dtype { expected, .. } => Some(format!("expected {expected}")),
            Self::NotFinite { .. } | Self::Negative { .. } => {
                Some("these weights are spoilt: take an earlier checkpoint".to_owned())
            }
        }
    }
}

/// Every tensor that does not fit, at least one, in the network's order.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorFaults {
    faults: Vec<TensorFault>,
}

impl TensorFaults {
    /// `Err` with all of them, `Ok` where there is none.
    pub(crate) fn refuse(faults: Vec<TensorFault>) -> Result<(), Self> {
        if faults.is_empty() {
            return Ok(());
        }
        Err(Self { faults })
    }

    /// All of them.
    #[must_use]
    pub fn faults(&self) -> &[TensorFault] {
        &self.faults
    }

    /// The first one's code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.faults.first().map_or("M010", TensorFault::code)
    }

    /// 6: the weights do not match, or are damaged.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        6
    }

    /// The first one's place.
    #[must_use]
    pub fn location(&self) -> Option<String> {
        self.faults.first().and_then(TensorFault::location)
    }

    /// The first one's value.
    #[must_use]
    pub fn value(&self) -> Option<String> {
        self.faults.first().and_then(TensorFault::value)
    }

    /// The first one's remedy, then the names of the others.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        let (first, others) = self.faults.split_first()?;
        let mut help = first.help().unwrap_or_default();
        if !others.is_empty() {
            let names: Vec<String> = others
                .iter()
                .take(SHOWN)
                .map(|fault| format!("{} {:?}", fault.code(), fault.name()))
                .collect();
            help.push_str(&format!("; also {}", names.join(", ")));
            if others.len() > SHOWN {
                help.push_str(&format!(" and {} more", others.len() - SHOWN));
            }
        }
        Some(help)
    }
}

impl fmt::Display for TensorFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(first) = self.faults.first() {
            write!(f, "{first}")?;
        }
        match self.faults.len() {
            0 | 1 => Ok(()),
            n => write!(f, " (the first of {n} faults)"),
        }
    }
}

impl std::error::Error for TensorFaults {}

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
            source,
        })
    }
}
