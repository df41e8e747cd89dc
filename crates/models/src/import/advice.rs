//! The value at fault and what to do about it, for each fault of an import.
//!
//! Apart from [`fault`](super::fault) so that what can go wrong fits on one screen there.

use super::fault::ImportFault;
use super::misfit::{listed, misfit_lists};

impl ImportFault {
    /// The value at fault, escaped.
    pub fn value(&self) -> Option<String> {
        match self {
            Self::Network { source } => source.value(),
            Self::UnknownFormat { start, .. } => Some(format!("\"{}\"", start.escape_ascii())),
            Self::ElementType { found, .. } => Some(format!("{found:?}")),
            Self::DuplicateName { name, .. } => Some(format!("{name:?}")),
            Self::PickleInstruction { instruction, .. } => Some(format!("0x{instruction:02x}")),
            Self::PickleGlobal { global, .. } => Some(format!("{global:?}")),
            Self::NoStateDict { found, .. } => Some(found.clone()),
            Self::NonFinite {
                count, first_index, ..
            } => Some(format!("{count} values, the first at index {first_index}")),
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
}
