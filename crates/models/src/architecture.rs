//! Which network, for how many findings, on what size of image: what has to be known before there
//! are weights.
//!
//! For the configuration of a run and the header of a checkpoint. The layers themselves are in
//! `xray_cnn` and `resnet`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::fault::ModelFault;

/// Colour planes of every network's input.
pub const INPUT_CHANNELS: usize = 3;
/// The smallest side that a ResNet takes: 1 after its five halvings.
const RESNET_SMALLEST_SIDE: usize = 32;
/// Above this a side is a slip, not an image.
const LARGEST_SIDE: usize = 8192;
/// Four poolings of 2×2.
const XRAY_CNN_STEP: usize = 16;

/// A network's layer plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Architecture {
    /// Four convolutions (16, 32, 64, 128) and two linear layers.
    XrayCnn,
    /// torchvision's `resnet18`.
    #[serde(rename = "resnet18")]
    ResNet18,
    /// torchvision's `resnet34`.
    #[serde(rename = "resnet34")]
    ResNet34,
}

impl Architecture {
    /// All of them, in the order that messages list them.
    pub const ALL: [Self; 3] = [Self::XrayCnn, Self::ResNet18, Self::ResNet34];

    /// The word for it in configurations, checkpoints and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::XrayCnn => "xray-cnn",
            Self::ResNet18 => "resnet18",
            Self::ResNet34 => "resnet34",
        }
    }

    /// The dropout of the published network: .25 before the last layer of `xray-cnn`, none in the
    /// ResNets.
    #[must_use]
    pub const fn default_dropout(self) -> f32 {
        match self {
            Self::XrayCnn => 0.25,
            Self::ResNet18 | Self::ResNet34 => 0.0,
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Architecture {
    type Err = ModelFault;

    fn from_str(word: &str) -> Result<Self, ModelFault> {
        Self::ALL
            .into_iter()
            .find(|architecture| architecture.name() == word)
            .ok_or_else(|| ModelFault::UnknownArchitecture {
                value: word.to_owned(),
            })
    }
}

/// What a network is built from, and what its checkpoint repeats.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelConfig {
    /// The layer plan.
    pub architecture: Architecture,
    /// Outputs, one logit a finding.
    pub n_findings: usize,
    /// Width of the input in pixels.
    pub width: usize,
    /// Height of the input in pixels.
    pub height: usize,
    /// Share of the activations before the last layer that is dropped in training, in [0, 1).
    pub dropout: f32,
}

impl ModelConfig {
    /// The network with its published dropout. Nothing is checked yet; see [`ModelConfig::check`].
    #[must_use]
    pub const fn new(
        architecture: Architecture,
        n_findings: usize,
        width: usize,
        height: usize,
    ) -> Self {
        let dropout = architecture.default_dropout();
        Self {
            architecture,
            n_findings,
            width,
            height,
            dropout,
        }
    }

    /// Whether such a network exists.
    ///
    /// # Errors
    /// The first of: no findings, a size the layers cannot halve, a dropout outside [0, 1).
    pub fn check(&self) -> Result<(), ModelFault> {
        if self.n_findings == 0 {
            return Err(ModelFault::NoFindings);
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(ModelFault::Dropout {
                value: self.dropout,
            });
        }
        if !self.size_fits() {
            return Err(ModelFault::Size {
                architecture: self.architecture,
                width: self.width,
                height: self.height,
            });
        }
        Ok(())
    }

    fn size_fits(&self) -> bool {
        [self.width, self.height].into_iter().all(|side| {
            side <= LARGEST_SIDE
                && match self.architecture {
                    Architecture::XrayCnn => side > 0 && side.is_multiple_of(XRAY_CNN_STEP),
                    Architecture::ResNet18 | Architecture::ResNet34 => side >= RESNET_SMALLEST_SIDE,
                }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_architecture_is_the_same_word_in_json_and_on_the_command_line() {
        for architecture in Architecture::ALL {
            let json = serde_json::to_string(&architecture).unwrap();
            assert_eq!(json, format!("\"{architecture}\""));
            assert_eq!(
                architecture.name().parse::<Architecture>().unwrap(),
                architecture
            );
        }
        let fault = "resnet-18".parse::<Architecture>().unwrap_err();
        assert_eq!(fault.code(), "M004");
        assert_eq!(fault.value().unwrap(), "\"resnet-18\"");
        assert!(fault.help().unwrap().contains("resnet18"));
    }

    #[test]
    fn sizes_that_the_layers_cannot_halve_are_refused_by_name() {
        let fault = |architecture, width, height| {
            ModelConfig::new(architecture, 14, width, height)
                .check()
                .map_err(|fault| (fault.code(), fault.to_string()))
        };
        assert!(fault(Architecture::XrayCnn, 48, 32).is_ok());
        assert!(fault(Architecture::ResNet18, 33, 47).is_ok());
        for (architecture, width, height) in [
            (Architecture::XrayCnn, 48, 40),
            (Architecture::XrayCnn, 50, 32),
            (Architecture::XrayCnn, 0, 32),
            (Architecture::XrayCnn, 16_384, 32),
            (Architecture::ResNet34, 31, 64),
            (Architecture::ResNet18, 64, 31),
        ] {
            let (code, message) = fault(architecture, width, height).unwrap_err();
            assert_eq!(code, "M001");
            assert!(message.contains(architecture.name()), "{message}");
        }
    }

    #[test]
    fn no_findings_and_impossible_dropout_are_refused() {
        let config = ModelConfig::new(Architecture::XrayCnn, 0, 32, 32);
        assert_eq!(config.check().unwrap_err().code(), "M002");
        for dropout in [1.0, -0.1, f32::NAN] {
            let mut config = ModelConfig::new(Architecture::XrayCnn, 3, 32, 32);
            config.dropout = dropout;
            assert_eq!(config.check().unwrap_err().code(), "M003");
        }
    }
}
