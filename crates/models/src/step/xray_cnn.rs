//! A training step of `XrayCnn`.

use cxr_ops::kernels::Window;
use cxr_ops::kernels::conv::ConvShape;
use cxr_ops::nhwc::{
    Conv, Gate, GradientSums, Kernels, MapSize, Onto, Planes, Source, StoreGradient, StorePooled,
    Stored, Unpooled, gate_gradient, transpose_images,
};

use super::head::{LinearStep, drop_out};
use super::{Chance, Gradients, Workspace, fit};
use crate::architecture::{INPUT_CHANNELS, ModelConfig};
use crate::fault::ModelFault;
use crate::layer::Convolution;
use crate::xray_cnn::{HIDDEN, POOL, XrayCnn};

/// All layers with their memory.
#[derive(Debug)]
pub(crate) struct XrayCnnStep {
    kernels: Kernels,
    images: usize,
    dropout: f32,
    chance: Chance,
    convolutions: Vec<PooledConvolution>,
    fc1: LinearStep,
    fc2: LinearStep,
    /// Gradients of maps: of the one at work and of the one before it.
    current: Vec<f32>,
    next: Vec<f32>,
}

/// A convolution with the pooling, bias and ReLU behind it.
#[derive(Debug)]
struct PooledConvolution {
    conv: Conv,
    /// Behind the ReLU, which is all that is kept of the output.
    pooled: Vec<f32>,
    places: Vec<u8>,
}

impl PooledConvolution {
    fn pool(&self) -> Window {
        POOL.over(self.conv.output_size())
    }

    fn size(&self) -> MapSize {
        let [height, width] = self.pool().output();
        MapSize {
            height,
            width,
            channels: self.conv.output_size().channels,
        }
    }

    fn len(&self) -> usize {
        self.conv.shape().images * self.size().len()
    }

    fn pooled(&self) -> Stored<'_> {
        Stored {
            size: self.size(),
            data: &self.pooled[..self.len()],
        }
    }

    fn gate(&self) -> Gate<'_> {
        Gate::Activation {
            activation: self.pooled().data,
            input: None,
        }
    }

    fn forward(
        &mut self,
        kernels: Kernels,
        layer: &Convolution,
        (images, input): (usize, &impl Source),
        workspace: &mut Workspace,
    ) -> Result<(), ModelFault> {
        let shape = ConvShape {
            images,
            ..*self.conv.shape()
        };
        self.conv = Conv::new(kernels, shape);
        let (len, packed) = (self.len(), &mut workspace.packed);
        layer.with_weight(|weight| self.conv.pack_forward(weight, packed))?;
        let sink = StorePooled {
            output: fit(&mut self.pooled, len),
            places: Some(fit(&mut self.places, len)),
            bias: &layer.bias_numbers()?,
        };
        self.conv.forward(packed, input, sink);
        Ok(())
    }
}

impl XrayCnnStep {
    pub(crate) fn new(config: &ModelConfig, layers: &XrayCnn, kernels: Kernels) -> Self {
        let mut size = MapSize {
            height: config.height,
            width: config.width,
            channels: INPUT_CHANNELS,
        };
        let mut convolutions = Vec::new();
        for layer in &layers.convolutions {
            let step = PooledConvolution {
                conv: Conv::new(kernels, layer.shape_over(size)),
                pooled: Vec::new(),
                places: Vec::new(),
            };
            size = step.size();
            convolutions.push(step);
        }
        Self {
            kernels,
            images: 0,
            dropout: config.dropout,
            chance: Chance { seed: 0, step: 0 },
            convolutions,
            fc1: LinearStep::new(size.len(), HIDDEN),
            fc2: LinearStep::new(HIDDEN, config.n_findings),
            current: Vec::new(),
            next: Vec::new(),
        }
    }

    /// The logits of a batch.
    pub(crate) fn forward(
        &mut self,
        layers: &XrayCnn,
        (n, images): (usize, Planes<'_>),
        chance: Chance,
        workspace: &mut Workspace,
    ) -> Result<Vec<f32>, ModelFault> {
        (self.images, self.chance) = (n, chance);
        for (place, layer) in layers.convolutions.iter().enumerate() {
            let (before, rest) = self.convolutions.split_at_mut(place);
            match before.last() {
                Some(before) => {
                    rest[0].forward(self.kernels, layer, (n, &before.pooled()), workspace)?;
                }
                None => rest[0].forward(self.kernels, layer, (n, &images), workspace)?,
            }
        }
        if let Some(last) = self.convolutions.last() {
            // PyTorch flattens [C, H, W].
            let (size, flat) = (last.size(), fit(&mut self.fc1.input, last.len()));
            transpose_images(size.places(), size.channels, last.pooled().data, flat);
            self.fc1.input.truncate(last.len());
        }
        let mut hidden = self.fc1.forward(&layers.fc1)?; // [B, 1024]
        drop_out(&mut hidden, self.dropout, chance)?;
        self.fc2.input = hidden;
        self.fc2.forward(&layers.fc2)
    }

    /// The gradients of all parameters.
    pub(crate) fn backward(
        &mut self,
        layers: &XrayCnn,
        (n, images): (usize, Planes<'_>),
        logit_gradient: &[f32],
        workspace: &mut Workspace,
        gradients: &mut Gradients,
    ) -> Result<(), ModelFault> {
        let mut hidden = self.fc2.backward(&layers.fc2, logit_gradient, gradients)?;
        drop_out(&mut hidden, self.dropout, self.chance)?;
        let flat = self.fc1.backward(&layers.fc1, &hidden, gradients)?;
        let Some(last) = self.convolutions.last() else {
            return Ok(());
        };
        let (size, current) = (last.size(), fit(&mut self.current, last.len()));
        transpose_images(size.channels, size.places(), &flat, current);
        let mut sums = bias_sums(size);
        gate_gradient(self.kernels.isa, n, size, last.gate(), current, &mut sums);
        for (place, layer) in layers.convolutions.iter().enumerate().rev() {
            let [bias, _] = sums.combine();
            gradients.set(
                &layer.bias_name(),
                bias.iter().map(|&bias| bias as f32).collect(),
            );
            let step = &self.convolutions[place];
            let gradient = Unpooled {
                window: step.pool(),
                gradient: Stored {
                    size: step.size(),
                    data: &self.current[..step.len()],
                },
                places: &step.places,
            };
            let slot = gradients.slot(&layer.weight_name(), step.conv.shape().weight_len());
            let memory = &mut workspace.memory;
            let before = place.checked_sub(1).and_then(|p| self.convolutions.get(p));
            let Some(before) = before else {
                step.conv.weight_gradient(&images, &gradient, memory, slot);
                continue;
            };
            step.conv
                .weight_gradient(&before.pooled(), &gradient, memory, slot);
            sums = bias_sums(before.size());
            let packed = &mut workspace.packed;
            layer.with_weight(|weight| step.conv.pack_backward(weight, packed))?;
            let sink = StoreGradient {
                gradient: fit(&mut self.next, before.len()),
                onto: Onto::Unset,
                gate: before.gate(),
                sums: &mut sums,
            };
            step.conv.input_gradient(packed, &gradient, sink);
            std::mem::swap(&mut self.current, &mut self.next);
        }
        Ok(())
    }
}

/// Sums for the gradient of a bias.
fn bias_sums(size: MapSize) -> GradientSums {
    GradientSums::around(&vec![0.0; size.channels])
}
