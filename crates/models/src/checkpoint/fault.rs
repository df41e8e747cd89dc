//! What can be wrong with a checkpoint file, each with a code, a place, a value and a remedy.
//!
//! For callers of `Checkpoint`. Faults of single tensors are in `crate::fault`.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;

use crate::architecture::Architecture;
use crate::fault::ModelFault;
use crate::tensor_fault::TensorFaults;

/// Why a checkpoint was refused, and which.
#[derive(Debug)]
pub struct CheckpointFault {
    /// The file; empty for a checkpoint that is only in memory.
    pub path: PathBuf,
    /// What is wrong with it.
    pub kind: Box<CheckpointFaultKind>,
}

impl fmt::Display for CheckpointFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl Error for CheckpointFault {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.kind.source()
    }
}

/// What can be wrong with a checkpoint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointFaultKind {
    /// A file of no bytes.
    #[error("the checkpoint is empty")]
    Empty,
    /// A folder, a pipe, a device.
    #[error("the checkpoint is not a regular file")]
    NotAFile,
    /// Another kind of file, or safetensors that another program wrote.
    #[error("the file is not a checkpoint of this program")]
    NotACheckpoint {
        /// Its first bytes, escaped.
        found: String,
    },
    /// The first eight bytes promise more header than there can be.
    #[error("the checkpoint's header length is impossible")]
    HeaderLength {
        /// The length that they promise.
        found: u64,
        /// The longest that the file could hold.
        longest: u64,
    },
    /// A header that cannot be understood.
    #[error("the checkpoint's header is unreadable: {detail}")]
    HeaderUnreadable {
        /// Where and how reading it failed.
        detail: String,
    },
    /// The file is shorter or longer than its header says.
    #[error("the checkpoint is cut or has something after its end")]
    Length {
        /// Bytes that it should have.
        expected: u64,
        /// Bytes that it has.
        found: u64,
    },
    /// Tensors that overlap, leave a hole, or whose bytes do not fit their shape.
    #[error("the checkpoint's tensors do not lie side by side: {detail}")]
    Offsets {
        /// The first tensor at fault.
        tensor: String,
        /// In what way.
        detail: String,
    },
    /// A tensor of a type that no network of ours has.
    #[error("the checkpoint holds a type of number that no network here has")]
    Dtype {
        /// The tensor.
        tensor: String,
        /// Its type, as the file names it.
        found: String,
    },
    /// At least one bit is not what was written.
    #[error("the checkpoint is damaged: its content does not match its digest")]
    Digest {
        /// The digest that it carries.
        expected: String,
        /// The digest of what is there.
        found: String,
    },
    /// Written by a later program.
    #[error("the checkpoint has a newer format")]
    NewerFormat {
        /// Its format.
        found: u64,
        /// The newest that this program reads.
        newest: u32,
    },
    /// A header that contradicts itself.
    #[error("the checkpoint's header contradicts itself: {what}")]
    Contradiction {
        /// In what way.
        what: String,
        /// The value.
        value: String,
    },
    /// Tensors that are not the network's that the header names.
    #[error("the checkpoint's tensors are not its network's: {0}")]
    Tensors(TensorFaults),
    /// The network to save holds a number that is not finite.
    #[error("weights that are not finite are not saved: {0}")]
    NotFinite(TensorFaults),
    /// Another finding set than the caller's.
    #[error("the checkpoint is for other findings")]
    Findings(FindingsDiffer),
    /// Another network than the caller's.
    #[error("the checkpoint holds another architecture")]
    Architecture {
        /// The caller's.
        expected: Architecture,
        /// The checkpoint's.
        found: Architecture,
    },
    /// A network that could not be built or read.
    #[error(transparent)]
    Model(Box<ModelFault>),
    /// Reading or writing failed.
    #[error(transparent)]
    Io(std::io::Error),
}

/// In what two finding lists differ.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the findings differ")]
pub struct FindingsDiffer {
    /// Names that only the checkpoint has.
    pub only_in_checkpoint: Vec<String>,
    /// Names that only the caller has.
    pub only_expected: Vec<String>,
    /// The first place (from 0) where the names differ: the checkpoint's and the caller's.
    pub first_moved: Option<(usize, String, String)>,
}

impl FindingsDiffer {
    /// The difference in words.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut parts = Vec::new();
        if !self.only_in_checkpoint.is_empty() {
            parts.push(format!(
                "only in the checkpoint: {:?}",
                self.only_in_checkpoint
            ));
        }
        if !self.only_expected.is_empty() {
            parts.push(format!("not in the checkpoint: {:?}", self.only_expected));
        }
        if let (true, Some((index, ours, theirs))) = (parts.is_empty(), &self.first_moved) {
            parts.push(format!(
                "logit {index} is {ours:?} in the checkpoint, {theirs:?} was expected"
            ));
        }
        parts.join("; ")
    }
}

impl CheckpointFault {
    /// The stable code, as docs/errors/models.md explains it.
    #[must_use]
    pub fn code(&self) -> &'static str {
        use CheckpointFaultKind as Kind;
        match &*self.kind {
            Kind::Empty => "M020",
            Kind::NotACheckpoint { .. } => "M021",
            Kind::HeaderLength { .. } => "M022",
            Kind::HeaderUnreadable { .. } => "M023",
            Kind::Length { .. } => "M024",
            Kind::Offsets { .. } => "M025",
            Kind::Digest { .. } => "M026",
            Kind::NewerFormat { .. } => "M027",
            Kind::Findings(_) => "M028",
            Kind::Architecture { .. } => "M029",
            Kind::Contradiction { .. } => "M030",
            Kind::Dtype { .. } => "M013",
            Kind::Tensors(faults) => faults.code(),
            Kind::NotFinite(_) => "M031",
            Kind::Io(_) => "M032",
            Kind::NotAFile => "M033",
            Kind::Model(fault) => fault.code(),
        }
    }

    /// 4 where reading or writing failed, 5 where weights to save are not finite, 6 for every
    /// damage and mismatch.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match &*self.kind {
            CheckpointFaultKind::Io(_) => 4,
            CheckpointFaultKind::NotFinite(_) => 5,
            CheckpointFaultKind::Model(fault) => fault.exit_code(),
            _ => 6,
        }
    }

    /// The file, and the tensor where one is at fault.
    #[must_use]
    pub fn location(&self) -> Option<String> {
        use CheckpointFaultKind as Kind;
        let inner = match &*self.kind {
            Kind::Tensors(faults) | Kind::NotFinite(faults) => faults.location(),
            Kind::Offsets { tensor, .. } | Kind::Dtype { tensor, .. } => {
                Some(format!("tensor {tensor:?}"))
            }
            Kind::Model(fault) => fault.location(),
            _ => None,
        };
        let file = (!self.path.as_os_str().is_empty()).then(|| escaped(&self.path.display()));
        match (file, inner) {
            (Some(file), Some(inner)) => Some(format!("{file}, {inner}")),
            (file, inner) => file.or(inner),
        }
    }

    /// The offending value.
    #[must_use]
    pub fn value(&self) -> Option<String> {
        use CheckpointFaultKind as Kind;
        match &*self.kind {
            Kind::NotACheckpoint { found } => Some(format!("{found:?}")),
            Kind::HeaderLength { found, .. } => Some(found.to_string()),
            Kind::Length { found, .. } => Some(format!("{found} bytes")),
            Kind::Dtype { found, .. } => Some(format!("{found:?}")),
            Kind::Digest { found, .. } => Some(found.clone()),
            Kind::NewerFormat { found, .. } => Some(found.to_string()),
            Kind::Contradiction { value, .. } => Some(value.clone()),
            Kind::Tensors(faults) | Kind::NotFinite(faults) => faults.value(),
            Kind::Findings(differ) => Some(differ.describe()),
            Kind::Architecture { found, .. } => Some(found.to_string()),
            Kind::Model(fault) => fault.value(),
            Kind::Empty | Kind::NotAFile | Kind::HeaderUnreadable { .. } => None,
            Kind::Offsets { .. } | Kind::Io(_) => None,
        }
    }

    /// What would be right.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        use CheckpointFaultKind as Kind;
        let earlier = "the file is damaged: take an earlier checkpoint or copy it again";
        Some(match &*self.kind {
            Kind::NotACheckpoint { .. } => {
                "weights of other programs come in through import-weights".to_owned()
            }
            Kind::HeaderLength { longest, .. } => format!("at most {longest}; {earlier}"),
            Kind::Length { expected, .. } => format!("expected {expected} bytes; {earlier}"),
            Kind::Digest { expected, .. } => format!("expected {expected}; {earlier}"),
            Kind::NewerFormat { newest, .. } => {
                format!("this program reads up to format {newest}: use the newer program")
            }
            Kind::Findings(_) => {
                "logits have the checkpoint's finding order: use a table of these findings"
                    .to_owned()
            }
            Kind::Architecture { expected, .. } => format!("expected {expected}"),
            Kind::Dtype { .. } => "weights are F32, counts I64".to_owned(),
            Kind::Tensors(faults) => return faults.help(),
            Kind::NotFinite(_) => "the training diverged: see the loss before it".to_owned(),
            Kind::Model(fault) => return fault.help(),
            Kind::Io(_) => return None,
            Kind::NotAFile => "name a .safetensors file".to_owned(),
            Kind::Empty
            | Kind::HeaderUnreadable { .. }
            | Kind::Offsets { .. }
            | Kind::Contradiction { .. } => earlier.to_owned(),
        })
    }
}

impl CheckpointFaultKind {
    /// The fault of the file at `path`.
    pub(crate) fn of(self, path: impl Into<PathBuf>) -> CheckpointFault {
        CheckpointFault {
            path: path.into(),
            kind: Box::new(self),
        }
    }
}

impl CheckpointFaultKind {
    /// As an error of reading or writing, for writers that know no other.
    pub(crate) fn into_io(self) -> std::io::Error {
        match self {
            Self::Io(error) => error,
            other => std::io::Error::other(other.of("")),
        }
    }

    /// The same fault of weights that are about to be saved: numbers that are not finite are then
    /// a training that diverged, not a damaged file.
    pub(crate) fn before_saving(self) -> Self {
        match self {
            Self::Tensors(faults) if faults.code() == "M014" => Self::NotFinite(faults),
            other => other,
        }
    }
}

impl From<ModelFault> for CheckpointFaultKind {
    fn from(fault: ModelFault) -> Self {
        match fault {
            ModelFault::Tensors(faults) => Self::Tensors(faults),
            other => Self::Model(Box::new(other)),
        }
    }
}

impl From<std::io::Error> for CheckpointFaultKind {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

/// Without raw control characters, which a file name may hold.
fn escaped(text: &dyn fmt::Display) -> String {
    let escape = |letter: char| -> String {
        if letter.is_control() {
            letter.escape_debug().to_string()
        } else {
            letter.to_string()
        }
    };
    text.to_string().chars().map(escape).collect()
}
