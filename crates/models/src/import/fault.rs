//! What can be wrong with weights from strangers, and the words for it.
//!
//! For whoever shows a failed import to a person. Each fault has a stable code (M050–M079) with a
//! section in `docs/errors/import.md`. The hub's faults (M080–M099) live in [`crate::hub`].

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::misfit::Misfit;
use crate::architecture::Architecture;
use crate::fault::ModelFault;

/// A fault as the reader's child process reports it: a line of JSON on its stderr.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedFault {
    /// The fault's code.
    pub code: String,
    /// One line.
    pub message: String,
    /// Where.
    pub location: Option<String>,
    /// The value at fault, already escaped.
    pub value: Option<String>,
    /// What to do.
    pub help: Option<String>,
    /// The exit code that goes with it.
    pub exit_code: u8,
}

/// Why weights could not be imported.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ImportFault {
    /// The file system said no.
    #[error("the weights cannot be read or handed over")]
    Io {
        /// What the file system said, with the path.
        #[from]
        source: std::io::Error,
    },
    /// A folder, a fifo, a device.
    #[error("not a regular file")]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// Something is larger than its limit.
    #[error("{what} is over the limit: {found} > {limit}")]
    OverLimit {
        /// The file.
        path: PathBuf,
        /// What is too large.
        what: &'static str,
        /// How large it is (at least).
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// Neither safetensors nor a PyTorch file.
    #[error("not a file of weights that can be read here")]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// Its first bytes.
        start: Vec<u8>,
    },
    /// A safetensors file whose header does not hold together.
    #[error("the safetensors header is damaged: {what}")]
    SafetensorsHeader {
        /// The file.
        path: PathBuf,
        /// What does not hold.
        what: String,
    },
    /// A tensor of a type that has no place in a network here.
    #[error("tensor {name:?} has a type that cannot be imported")]
    ElementType {
        /// The file.
        path: PathBuf,
        /// The tensor or storage.
        name: String,
        /// Its type.
        found: String,
    },
    /// Two tensors of one name.
    #[error("two tensors have the same name")]
    DuplicateName {
        /// The file.
        path: PathBuf,
        /// The name.
        name: String,
    },
    /// A zip archive that `torch.save` would not write.
    #[error("the archive is not one that torch.save writes: {what}")]
    Archive {
        /// The file.
        path: PathBuf,
        /// The entry, where one is at fault.
        entry: Option<String>,
        /// What is wrong.
        what: String,
    },
    /// A pickle instruction outside of the allowed list.
    #[error("the pickle uses an instruction that a table of tensors does not need")]
    PickleInstruction {
        /// The file.
        path: PathBuf,
        /// Byte offset in the pickle.
        offset: usize,
        /// The instruction.
        instruction: u8,
    },
    /// A pickle that wants a class or function outside of the allowed list.
    #[error("the pickle asks for a class or function that is not allowed")]
    PickleGlobal {
        /// The file.
        path: PathBuf,
        /// Byte offset in the pickle.
        offset: usize,
        /// `module.name`.
        global: String,
    },
    /// A pickle that is cut, or whose stack or memo does not hold together.
    #[error("the pickle is damaged: {what}")]
    Pickle {
        /// The file.
        path: PathBuf,
        /// Byte offset in the pickle.
        offset: usize,
        /// What does not hold.
        what: String,
    },
    /// A tensor that reaches outside of its storage, or whose sizes make no sense.
    #[error("a tensor does not fit its storage: {what}")]
    Layout {
        /// The file.
        path: PathBuf,
        /// The tensor's place: a name, or a storage key.
        name: String,
        /// What does not fit.
        what: String,
    },
    /// The file holds no table from names to tensors.
    #[error("no table of named tensors in this file")]
    NoStateDict {
        /// The file.
        path: PathBuf,
        /// What was found instead.
        found: String,
    },
    /// Infinite or undefined weights.
    #[error("a tensor holds values that are not finite")]
    NonFinite {
        /// The tensor.
        name: String,
        /// How many such values.
        count: usize,
        /// The place of the first.
        first_index: usize,
    },
    /// Names or shapes that are not the network's.
    #[error(
        "the tensors are not those of {architecture}: {} missing, {} extra, {} of another shape \
         or type",
        misfit.missing.len(), misfit.extra.len(),
        misfit.wrong_shape.len() + misfit.wrong_type.len()
    )]
    Misfit {
        /// The network.
        architecture: Architecture,
        /// All of them.
        misfit: Box<Misfit>,
        /// What may have happened.
        hint: Option<String>,
    },
    /// The findings are not as many as the head's outputs.
    #[error("{findings} findings are named, but the head in the file has {outputs} outputs")]
    HeadOutputs {
        /// Findings that were named.
        findings: usize,
        /// Outputs in the file.
        outputs: usize,
    },
    /// Findings were named, so the head must be kept, but the file has none (or half of one).
    #[error("findings are named, but the file has no complete head to keep")]
    NoHead {
        /// The head's tensors that the file lacks.
        missing: Vec<String>,
    },
    /// Nothing in the file has a place in the network.
    #[error("not one tensor of the file has a place in {architecture}")]
    NothingFits {
        /// The network.
        architecture: Architecture,
        /// Names in the file.
        names: Vec<String>,
    },
    /// Batch norm is folded into the convolutions and no images were given to open it again.
    #[error("batch norm is folded into {folded} convolutions: images are needed to open it again")]
    NeedsCalibration {
        /// How many.
        folded: usize,
    },
    /// The network refused the weights, or the images of the calibration pass.
    #[error("{source}")]
    Network {
        /// Why.
        source: Box<ModelFault>,
    },
    /// The tensor library refused.
    #[error("the tensors could not be built")]
    Tensor {
        /// What it said.
        #[from]
        source: candle_core::Error,
    },
    /// The reader in its own process reported a fault.
    #[error("{}", .0.message)]
    Reported(Box<ReportedFault>),
    /// The reader in its own process ran into its time limit.
    #[error("reading took longer than {seconds} s and was stopped")]
    ChildTimedOut {
        /// The file.
        path: PathBuf,
        /// The limit.
        seconds: u64,
    },
    /// The reader in its own process died, by a limit or by a bug.
    #[error("the reading process was stopped: {how}")]
    ChildDied {
        /// The file.
        path: PathBuf,
        /// Its exit status.
        how: String,
        /// The end of what it wrote on stderr.
        last_words: String,
    },
}

/// What is the same for every fault: code, exit code, place. Value and help are in `advice`.
impl ImportFault {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } => "M050",
            Self::NotAFile { .. } => "M051",
            Self::OverLimit { .. } => "M052",
            Self::UnknownFormat { .. } => "M053",
            Self::SafetensorsHeader { .. } => "M054",
            Self::ElementType { .. } => "M055",
            Self::DuplicateName { .. } => "M056",
            Self::Archive { .. } => "M057",
            Self::PickleInstruction { .. } => "M058",
            Self::PickleGlobal { .. } => "M059",
            Self::Pickle { .. } => "M060",
            Self::Layout { .. } => "M061",
            Self::NoStateDict { .. } => "M062",
            Self::NonFinite { .. } => "M063",
            Self::Misfit { .. } => "M064",
            Self::HeadOutputs { .. } => "M065",
            Self::NoHead { .. } => "M066",
            Self::NothingFits { .. } => "M067",
            Self::NeedsCalibration { .. } => "M068",
            Self::Network { source } => source.code(),
            Self::Tensor { .. } => "M070",
            Self::ChildTimedOut { .. } => "M071",
            Self::ChildDied { .. } => "M072",
            Self::Reported(fault) => READER_CODES
                .iter()
                .find(|code| **code == fault.code)
                .copied()
                .unwrap_or("M072"),
        }
    }

    /// The exit code: 4 for the file system, 2 for what the caller asked for, 6 for the file.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Io { .. } | Self::NotAFile { .. } => 4,
            Self::HeadOutputs { .. } | Self::NeedsCalibration { .. } => 2,
            Self::Tensor { .. } => 1,
            Self::Network { source } => source.exit_code(),
            Self::Reported(fault) => fault.exit_code,
            _ => 6,
        }
    }

    /// Where: the file, with the place in it as far as there is one.
    pub fn location(&self) -> Option<String> {
        match self {
            Self::NotAFile { path }
            | Self::OverLimit { path, .. }
            | Self::UnknownFormat { path, .. }
            | Self::SafetensorsHeader { path, .. }
            | Self::DuplicateName { path, .. }
            | Self::ElementType { path, .. }
            | Self::NoStateDict { path, .. }
            | Self::ChildTimedOut { path, .. }
            | Self::ChildDied { path, .. } => Some(shown(path)),
            Self::Archive { path, entry, .. } => Some(match entry {
                Some(entry) => format!("{}, entry {entry:?}", shown(path)),
                None => shown(path),
            }),
            Self::PickleInstruction { path, offset, .. }
            | Self::PickleGlobal { path, offset, .. }
            | Self::Pickle { path, offset, .. } => {
                Some(format!("{}, byte {offset} of the pickle", shown(path)))
            }
            Self::Layout { path, name, .. } => Some(format!("{}, tensor {name:?}", shown(path))),
            Self::NonFinite { name, .. } => Some(format!("tensor {name:?}")),
            Self::Network { source } => source.location(),
            Self::Reported(fault) => fault.location.clone(),
            _ => None,
        }
    }

    /// The message with those of its causes, which do not cross to another process.
    fn with_causes(&self) -> String {
        let mut message = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(source) = cause {
            message = format!("{message}: {source}");
            cause = source.source();
        }
        message.chars().flat_map(escaped).collect()
    }

    /// The same fault as plain fields, to cross from one process to another.
    pub fn report(&self) -> ReportedFault {
        ReportedFault {
            code: self.code().to_owned(),
            message: self.with_causes(),
            location: self.location(),
            value: self.value(),
            help: self.help(),
            exit_code: self.exit_code(),
        }
    }
}

/// The codes that the reader's process may report.
const READER_CODES: [&str; 15] = [
    "M050", "M051", "M052", "M053", "M054", "M055", "M056", "M057", "M058", "M059", "M060", "M061",
    "M062", "M070", "M072",
];

/// A path as a message shows it: control characters escaped.
fn shown(path: &Path) -> String {
    path.display()
        .to_string()
        .chars()
        .flat_map(escaped)
        .collect()
}

fn escaped(character: char) -> Vec<char> {
    if character.is_control() {
        character.escape_default().collect()
    } else {
        vec![character]
    }
}
