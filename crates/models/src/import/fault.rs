//! What can be wrong with weights from strangers, and the words for it.
//!
//! For whoever shows a failed import to a person. Each fault has a stable code (M050–M079) with a
//! section in `docs/errors/import.md`. The hub's faults (M080–M099) live in [`crate::hub`].

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::tensors::Element;
use crate::architecture::Architecture;
use crate::fault::ModelFault;

/// How many names a list in a message shows before it counts the rest.
const NAMES_SHOWN: usize = 20;

/// A tensor whose shape is not the network's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WrongShape {
    /// The tensor.
    pub name: String,
    /// Its shape in the file.
    pub found: Vec<usize>,
    /// Its shape in the network.
    pub expected: Vec<usize>,
}

/// A tensor of whole numbers where the network has weights, or the other way round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WrongType {
    /// The tensor.
    pub name: String,
    /// Its type in the file.
    pub found: Element,
    /// What the network holds there.
    pub expected: &'static str,
}

/// Every name, shape and type that does not fit, all at once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Misfit {
    /// The network wants these; the file lacks them.
    pub missing: Vec<String>,
    /// The file has these; the network does not know them.
    pub extra: Vec<String>,
    /// Both have these, with different shapes.
    pub wrong_shape: Vec<WrongShape>,
    /// Both have these, with different kinds of numbers.
    pub wrong_type: Vec<WrongType>,
}

impl Misfit {
    /// Everything fits.
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty()
            && self.extra.is_empty()
            && self.wrong_shape.is_empty()
            && self.wrong_type.is_empty()
    }
}

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
        misfit: Misfit,
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
        source: ModelFault,
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
    Reported(ReportedFault),
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

/// Code, location and help of each fault; one table so that none is forgotten.
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

    /// The value at fault, escaped.
    pub fn value(&self) -> Option<String> {
        match self {
            Self::Io { source } => Some(chain(source)),
            Self::Tensor { source } => Some(source.to_string()),
            Self::Network { source } => source.value(),
            Self::UnknownFormat { start, .. } => Some(format!("\"{}\"", start.escape_ascii())),
            Self::ElementType { found, .. } => Some(format!("{found:?}")),
            Self::DuplicateName { name, .. } => Some(format!("{name:?}")),
            Self::PickleInstruction { instruction, .. } => Some(format!("0x{instruction:02x}")),
            Self::PickleGlobal { global, .. } => Some(format!("{global:?}")),
            Self::NoStateDict { found, .. } => Some(found.clone()),
            Self::NonFinite { count, first_index, .. } => {
                Some(format!("{count} values, the first at index {first_index}"))
            }
            Self::Misfit { misfit, .. } => Some(misfit_lists(misfit)),
            Self::NoHead { missing } => Some(listed(missing)),
            Self::NothingFits { names, .. } => Some(listed(names)),
            Self::ChildDied { last_words, .. } if !last_words.is_empty() => {
                Some(format!("{last_words:?}"))
            }
            Self::Reported(fault) => fault.value.clone(),
            _ => None,
        }
    }

    /// What to do about it.
    pub fn help(&self) -> Option<String> {
        let words = match self {
            Self::NotAFile { .. } => "name the file of weights itself",
            Self::OverLimit { .. } => {
                "a state dict of these networks stays far below this limit; save the state dict \
                 alone: torch.save(model.state_dict(), \"weights.pth\")"
            }
            Self::UnknownFormat { .. } => {
                "safetensors and PyTorch's .pth (zip and older form) are read; an HTML page saved \
                 under such a name is a failed download"
            }
            Self::SafetensorsHeader { .. } | Self::Archive { .. } | Self::Pickle { .. } => {
                "the file is cut or was changed; fetch it again and compare its SHA-256"
            }
            Self::ElementType { .. } => {
                "f32, f16, bf16, f64 and the counters' i64 and i32 are read; convert the rest with \
                 tensor.float() before saving"
            }
            Self::PickleInstruction { .. } | Self::PickleGlobal { .. } => {
                "only a state dict is read and nothing is ever executed; in PyTorch: \
                 torch.save(model.state_dict(), \"weights.pth\"), or \
                 safetensors.torch.save_file(model.state_dict(), \"weights.safetensors\")"
            }
            Self::NoStateDict { .. } => {
                "save model.state_dict(); a table under \"state_dict\", \"model_state_dict\" or \
                 \"model\" is found too"
            }
            Self::DuplicateName { .. } | Self::Layout { .. } => {
                "no version of PyTorch writes such a file; do not trust it"
            }
            Self::NonFinite { .. } => "the training that made this file diverged; use another one",
            Self::Misfit { hint, .. } => return hint.clone(),
            Self::HeadOutputs { .. } => {
                "name one finding for each output, in the file's order, or none to get a fresh head"
            }
            Self::NoHead { .. } => "leave out the findings to get a fresh head",
            Self::NothingFits { .. } => "check the architecture; names must be torchvision's",
            Self::NeedsCalibration { .. } => {
                "give a folder of radiographs with --calibrate-images, some 32 that look like those \
                 to train on"
            }
            Self::ChildTimedOut { .. } | Self::ChildDied { .. } => {
                "the file makes its reader work beyond the limits; no state dict of these networks \
                 does; do not trust it"
            }
            Self::Reported(fault) => return fault.help.clone(),
            Self::Network { source } => return source.help(),
            Self::Io { .. } | Self::Tensor { .. } => return None,
        };
        Some(words.to_owned())
    }

    /// The same fault as plain fields, to cross from one process to another.
    pub fn report(&self) -> ReportedFault {
        ReportedFault {
            code: self.code().to_owned(),
            message: self.to_string(),
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
    path.display().to_string().chars().flat_map(escaped).collect()
}

fn escaped(character: char) -> Vec<char> {
    if character.is_control() {
        character.escape_default().collect()
    } else {
        vec![character]
    }
}

fn chain(source: &std::io::Error) -> String {
    source.to_string().chars().flat_map(escaped).collect()
}

fn listed(names: &[String]) -> String {
    joined(names, |name| format!("{name:?}"))
}

/// The first of them, comma by comma; the rest is counted.
fn joined<T>(items: &[T], words: impl Fn(&T) -> String) -> String {
    let shown: Vec<String> = items.iter().take(NAMES_SHOWN).map(words).collect();
    match items.len().saturating_sub(NAMES_SHOWN) {
        0 => shown.join(", "),
        rest => format!("{} and {rest} more", shown.join(", ")),
    }
}

fn misfit_lists(misfit: &Misfit) -> String {
    let mut parts = Vec::new();
    if !misfit.missing.is_empty() {
        parts.push(format!("missing {}", listed(&misfit.missing)));
    }
    if !misfit.extra.is_empty() {
        parts.push(format!("extra {}", listed(&misfit.extra)));
    }
    if !misfit.wrong_shape.is_empty() {
        let wrong = |it: &WrongShape| {
            format!("{:?} is {:?}, expected {:?}", it.name, it.found, it.expected)
        };
        parts.push(format!("of another shape {}", joined(&misfit.wrong_shape, wrong)));
    }
    if !misfit.wrong_type.is_empty() {
        let wrong =
            |it: &WrongType| format!("{:?} is {:?}, expected {}", it.name, it.found, it.expected);
        parts.push(format!("of another type {}", joined(&misfit.wrong_type, wrong)));
    }
    parts.join("; ")
}
