//! What can be wrong with tensors that are meant for a network: one fault a tensor, all at once.
//!
//! For whoever loads weights.

use std::fmt;

use thiserror::Error;

/// How many faults a message names before it counts the rest.
const SHOWN: usize = 20;

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
