//! A network's layers as a table: for people who ask what they are training.
//!
//! Displaying it writes the table; nothing is printed here.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use crate::architecture::{Architecture, INPUT_CHANNELS, ModelConfig};
use crate::weights::{TensorRole, TensorSpec};

/// One layer that has tensors.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerSummary {
    /// Its name, `layer1.0.conv1`.
    pub name: String,
    /// Shape of its `weight`.
    pub weight_shape: Vec<usize>,
    /// Numbers among its parameters.
    pub n_parameters: usize,
    /// Numbers among its running statistics.
    pub n_buffer_elements: usize,
    /// Whether an optimizer moves any of it.
    pub is_trainable: bool,
}

/// All layers that have tensors, in order.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// The network.
    pub architecture: Architecture,
    /// Input [C, H, W].
    pub input: [usize; 3],
    /// Logits an image.
    pub n_findings: usize,
    /// The layers.
    pub layers: Vec<LayerSummary>,
}

impl Summary {
    pub(crate) fn new<'a>(
        config: &ModelConfig,
        specs: impl Iterator<Item = &'a TensorSpec>,
        frozen: &BTreeSet<String>,
    ) -> Self {
        let mut layers: Vec<LayerSummary> = Vec::new();
        for spec in specs {
            let layer_name = spec.name.rsplit_once('.').map_or("", |(layer, _)| layer);
            if layers.last().is_none_or(|layer| layer.name != layer_name) {
                layers.push(LayerSummary {
                    name: layer_name.to_owned(),
                    weight_shape: spec.shape.clone(),
                    n_parameters: 0,
                    n_buffer_elements: 0,
                    is_trainable: false,
                });
            }
            let Some(layer) = layers.last_mut() else {
                continue;
            };
            match spec.role {
                TensorRole::Parameter => {
                    layer.n_parameters += spec.n_elements();
                    layer.is_trainable |= !frozen.contains(&spec.name);
                }
                TensorRole::Buffer => layer.n_buffer_elements += spec.n_elements(),
            }
        }
        Self {
            architecture: config.architecture,
            input: [INPUT_CHANNELS, config.height, config.width],
            n_findings: config.n_findings,
            layers,
        }
    }

    /// Numbers among all parameters.
    #[must_use]
    pub fn n_parameters(&self) -> usize {
        self.layers.iter().map(|layer| layer.n_parameters).sum()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} · input {:?} · {} findings",
            self.architecture, self.input, self.n_findings
        )?;
        let name_width = self.layers.iter().map(|l| l.name.len()).max().unwrap_or(0);
        for layer in &self.layers {
            let shape = format!("{:?}", layer.weight_shape);
            let state = if layer.is_trainable { "" } else { "  frozen" };
            writeln!(
                f,
                "{:name_width$}  {shape:>18}  {:>12}{state}",
                layer.name, layer.n_parameters
            )?;
        }
        write!(f, "{} parameters", self.n_parameters())
    }
}
