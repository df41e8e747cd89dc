//! What can be wrong with a call of an operation: one enum, each fault with the place, the value
//! and what would have been right.
//!
//! For callers that report faults by code (`N…`, listed in docs/errors/ops.md). A shape fault here
//! is a fault of the calling program, found before anything is computed. Not here: the numbers
//! themselves. A NaN in an input is carried to the output, as in PyTorch.

use candle_core::DType;

/// The result of an operation.
pub type Result<T> = std::result::Result<T, OpError>;

/// A call that an operation refuses.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpError {
    /// A tensor has another number of axes.
    #[error("{op}: `{input}` has {} axes where {rank} are needed", shape.len())]
    Rank {
        /// The operation that was called.
        op: &'static str,
        /// Which of its inputs.
        input: &'static str,
        /// The number of axes that it needs.
        rank: usize,
        /// The shape that it got.
        shape: Vec<usize>,
    },
    /// A tensor has the right number of axes but does not fit the others.
    #[error("{op}: the shape of `{input}` does not fit")]
    Shape {
        /// The operation that was called.
        op: &'static str,
        /// Which of its inputs.
        input: &'static str,
        /// The shape that it got.
        shape: Vec<usize>,
        /// The shape that would fit.
        expected: Vec<usize>,
    },
    /// A tensor has an axis of length 0.
    #[error("{op}: `{input}` is empty")]
    Empty {
        /// The operation that was called.
        op: &'static str,
        /// Which of its inputs.
        input: &'static str,
        /// The shape that it got.
        shape: Vec<usize>,
    },
    /// A tensor does not hold f32.
    #[error("{op}: `{input}` does not hold f32")]
    ElementType {
        /// The operation that was called.
        op: &'static str,
        /// Which of its inputs.
        input: &'static str,
        /// The type that it holds.
        dtype: DType,
    },
    /// A tensor lies where the operation does not work, or not beside the others.
    ///
    /// Operations work on the CPU, and on a card in a build with the feature `cuda`.
    #[error("{op}: `{input}` lies on a device that does not fit")]
    Device {
        /// The operation that was called.
        op: &'static str,
        /// Which of its inputs.
        input: &'static str,
    },
    /// A kernel, stride or padding that leaves no output or no sense.
    #[error("{op}: the {setting} does not fit")]
    Geometry {
        /// The operation that was called.
        op: &'static str,
        /// `kernel`, `stride` or `padding`.
        setting: &'static str,
        /// The value that it got.
        given: String,
        /// What would be right.
        expected: String,
    },
    /// A dropout probability outside of [0, 1).
    #[error("dropout: the probability is not in [0, 1)")]
    Probability {
        /// The value that it got.
        probability: f64,
    },
    /// A dropout key that would share its numbers with another one.
    #[error("dropout: the key's {part} is too large")]
    DropoutKey {
        /// `step`, `layer` or `elements`.
        part: &'static str,
        /// The value that it got.
        given: u64,
        /// The largest one that is allowed.
        largest: u64,
    },
    /// A batch in which no label is known, so that the mean loss is undefined.
    #[error("bce_with_logits: no cell of the batch is known")]
    NoKnownCell {
        /// Rows × findings of the batch.
        shape: Vec<usize>,
    },
    /// A known cell's target outside of [0, 1], or a mask that is neither 0 nor 1.
    #[error("bce_with_logits: a cell of `{input}` is out of range")]
    Cell {
        /// `targets` or `mask`.
        input: &'static str,
        /// The row in the batch, from 0.
        row: usize,
        /// The finding, from 0.
        finding_index: usize,
        /// The value that it got.
        given: f32,
    },
    /// A positive weight that is negative or not finite.
    #[error("bce_with_logits: a positive weight is not a finite number ≥ 0")]
    PosWeight {
        /// The finding, from 0.
        finding_index: usize,
        /// The value that it got.
        given: f32,
    },
    /// Batch statistics of a single value per channel, whose unbiased variance is undefined.
    #[error("batch_norm_train: one value per channel has no variance")]
    OneValuePerChannel {
        /// The shape of the input.
        shape: Vec<usize>,
    },
    /// A constant (epsilon, running variance, Adam's settings) out of range.
    #[error("{op}: `{setting}` is out of range")]
    Setting {
        /// The operation that was called.
        op: &'static str,
        /// Which of its settings.
        setting: &'static str,
        /// The value that it got.
        given: f64,
        /// What would be right.
        expected: &'static str,
    },
    /// Slices that belong together have different lengths.
    #[error("{op}: `{input}` has another length than the rest")]
    Length {
        /// The operation that was called.
        op: &'static str,
        /// Which of its inputs.
        input: &'static str,
        /// The length that it got.
        given: usize,
        /// The length that would fit.
        expected: usize,
    },
    /// candle refused something that is not checked here.
    #[error("candle refused an operation")]
    Candle(#[from] candle_core::Error),
}

impl OpError {
    /// The stable code under which docs/errors/ops.md explains the fault.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Rank { .. } => "N001",
            Self::Shape { .. } => "N002",
            Self::Empty { .. } => "N003",
            Self::ElementType { .. } => "N004",
            Self::Device { .. } => "N005",
            Self::Geometry { .. } => "N006",
            Self::Probability { .. } => "N007",
            Self::DropoutKey { .. } => "N008",
            Self::NoKnownCell { .. } => "N009",
            Self::Cell { .. } => "N010",
            Self::PosWeight { .. } => "N011",
            Self::OneValuePerChannel { .. } => "N012",
            Self::Setting { .. } => "N013",
            Self::Length { .. } => "N014",
            Self::Candle(_) => "N099",
        }
    }

    /// The exit code of a command that ends with this fault: 3 for labels, 2 for settings, 1 for a
    /// fault of the program itself.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NoKnownCell { .. } | Self::Cell { .. } => 3,
            Self::Geometry { .. }
            | Self::Probability { .. }
            | Self::PosWeight { .. }
            | Self::OneValuePerChannel { .. }
            | Self::Setting { .. } => 2,
            _ => 1,
        }
    }

    /// Where the fault is: the input or the cell.
    #[must_use]
    pub fn location(&self) -> Option<String> {
        match self {
            Self::Cell {
                input,
                row,
                finding_index,
                ..
            } => Some(format!(
                "bce_with_logits, `{input}`, row {row} of the batch, finding {finding_index}"
            )),
            Self::PosWeight { finding_index, .. } => Some(format!(
                "bce_with_logits, `pos_weight`, finding {finding_index}"
            )),
            Self::Rank { op, input, .. }
            | Self::Shape { op, input, .. }
            | Self::Empty { op, input, .. }
            | Self::ElementType { op, input, .. }
            | Self::Device { op, input }
            | Self::Length { op, input, .. } => Some(format!("{op}, `{input}`")),
            Self::Geometry { op, setting, .. } | Self::Setting { op, setting, .. } => {
                Some(format!("{op}, `{setting}`"))
            }
            _ => None,
        }
    }

    /// The value that was refused.
    #[must_use]
    pub fn value(&self) -> Option<String> {
        match self {
            Self::Rank { shape, .. }
            | Self::Shape { shape, .. }
            | Self::Empty { shape, .. }
            | Self::NoKnownCell { shape }
            | Self::OneValuePerChannel { shape } => Some(format!("{shape:?}")),
            Self::ElementType { dtype, .. } => Some(format!("{dtype:?}")),
            Self::Geometry { given, .. } => Some(given.clone()),
            Self::Probability { probability } => Some(probability.to_string()),
            Self::DropoutKey { given, .. } => Some(given.to_string()),
            Self::Cell { given, .. } | Self::PosWeight { given, .. } => Some(given.to_string()),
            Self::Setting { given, .. } => Some(given.to_string()),
            Self::Length { given, .. } => Some(given.to_string()),
            Self::Candle(source) => Some(format!("{:?}", source.to_string())),
            Self::Device { .. } => None,
        }
    }

    /// What would be right.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Rank { rank, .. } => Some(format!("give a tensor with {rank} axes")),
            Self::Shape { expected, .. } => Some(format!("expected {expected:?}")),
            Self::Empty { .. } => Some("every axis needs a length of at least 1".to_owned()),
            Self::ElementType { .. } => Some("convert it with `to_dtype(DType::F32)`".to_owned()),
            Self::Device { .. } => Some(
                "all inputs of an operation lie on the CPU, or on one card in a build with CUDA: \
                 move it with `to_device`"
                    .to_owned(),
            ),
            Self::Geometry { expected, .. } => Some(expected.clone()),
            Self::Probability { .. } => Some("0 keeps everything; 0.25 drops a quarter".to_owned()),
            Self::DropoutKey { largest, .. } => Some(format!("at most {largest}")),
            Self::NoKnownCell { .. } => {
                Some("leave out batches without a known label, or use larger ones".to_owned())
            }
            Self::Cell { input: "mask", .. } => {
                Some("1 marks a known label, 0 an unknown one".to_owned())
            }
            Self::Cell { .. } => Some("a known target lies in [0, 1]".to_owned()),
            Self::PosWeight { .. } => Some(
                "1 weighs positives like negatives; a finding without positives needs 1".to_owned(),
            ),
            Self::OneValuePerChannel { .. } => {
                Some("use larger batches or images, or the evaluation mode".to_owned())
            }
            Self::Setting { expected, .. } => Some((*expected).to_owned()),
            Self::Length { expected, .. } => Some(format!("expected {expected}")),
            Self::Candle(_) => None,
        }
    }
}

impl From<OpError> for candle_core::Error {
    fn from(fault: OpError) -> Self {
        match fault {
            OpError::Candle(source) => source,
            other => Self::wrap(other),
        }
    }
}
