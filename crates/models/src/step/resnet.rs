//! A training step of ResNet 18 and 34.

use cxr_ops::kernels::Window;
use cxr_ops::nhwc::{
    Gate, GradientSums, Isa, Kernels, MapSize, NormBackward, Onto, Picked, Planes, Shortcut, Store,
    StoreGradient, Stored, Unpooled, UnpooledNormBackward, add_shortcut, gate_gradient, max_pool,
    mean_of_places, measure_gradient, spread_to_places,
};

use super::conv_norm::ConvNorm;
use super::head::{LinearStep, drop_out};
use super::{Chance, Gradients, Workspace, fit};
use crate::architecture::{INPUT_CHANNELS, ModelConfig};
use crate::fault::ModelFault;
use crate::layer::Convolution;
use crate::resnet::{BasicBlock, ResNet, STEM_POOL};

/// All layers with their memory.
#[derive(Debug)]
pub(crate) struct ResNetStep {
    isa: Isa,
    images: usize,
    dropout: f32,
    chance: Chance,
    stem: ConvNorm,
    pool: Window,
    /// The pooled map, the norm's input at each maximum, and the place of each maximum.
    pooled: Vec<f32>,
    picked: Vec<f32>,
    places: Vec<u8>,
    blocks: Vec<BlockStep>,
    fc: LinearStep,
    /// Gradients of maps: of the block at work, inside of it, of the block before it.
    current: Vec<f32>,
    inner: Vec<f32>,
    next: Vec<f32>,
}

/// A basic block with its memory.
#[derive(Debug)]
struct BlockStep {
    first: ConvNorm,
    second: ConvNorm,
    downsample: Option<ConvNorm>,
    /// Behind the last ReLU.
    output: Vec<f32>,
}

impl BlockStep {
    fn size(&self) -> MapSize {
        self.second.size()
    }

    fn len(&self) -> usize {
        self.second.conv.shape().output_len()
    }

    fn output(&self) -> Stored<'_> {
        Stored {
            size: self.size(),
            data: &self.output[..self.len()],
        }
    }

    /// Where a gradient passes this block's last ReLU.
    fn gate(&self) -> Gate<'_> {
        Gate::Activation {
            activation: self.output().data,
            input: Some(self.second.output().data),
        }
    }
}

impl ResNetStep {
    pub(crate) fn new(config: &ModelConfig, layers: &ResNet, kernels: Kernels) -> Self {
        let input = MapSize {
            height: config.height,
            width: config.width,
            channels: INPUT_CHANNELS,
        };
        let conv_norm =
            |layer: &Convolution, input| ConvNorm::new(kernels, layer.shape_over(input));
        let stem = conv_norm(&layers.conv1, input);
        let pool = STEM_POOL.over(stem.size());
        let [height, width] = pool.output();
        let mut input = MapSize {
            height,
            width,
            channels: stem.size().channels,
        };
        let mut blocks = Vec::new();
        for block in &layers.blocks {
            let first = conv_norm(&block.conv1, input);
            let second = conv_norm(&block.conv2, first.size());
            let downsample = block.downsample.as_ref();
            let downsample = downsample.map(|(layer, _)| conv_norm(layer, input));
            input = second.size();
            blocks.push(BlockStep {
                first,
                second,
                downsample,
                output: Vec::new(),
            });
        }
        Self {
            isa: kernels.isa,
            images: 0,
            dropout: config.dropout,
            chance: Chance { seed: 0, step: 0 },
            stem,
            pool,
            pooled: Vec::new(),
            picked: Vec::new(),
            places: Vec::new(),
            blocks,
            fc: LinearStep::new(input.channels, config.n_findings),
            current: Vec::new(),
            inner: Vec::new(),
            next: Vec::new(),
        }
    }

    fn pooled_size(&self) -> MapSize {
        let [height, width] = self.pool.output();
        MapSize {
            height,
            width,
            channels: self.stem.size().channels,
        }
    }

    /// The logits of a batch.
    pub(crate) fn forward(
        &mut self,
        layers: &ResNet,
        (n, images): (usize, Planes<'_>),
        chance: Chance,
        workspace: &mut Workspace,
    ) -> Result<Vec<f32>, ModelFault> {
        (self.images, self.chance) = (n, chance);
        self.stem
            .forward((&layers.conv1, &layers.bn1), n, &images, workspace)?;
        self.pool_stem();
        for (place, layers) in layers.blocks.iter().enumerate() {
            self.forward_block(place, layers, workspace)?;
        }
        let (size, map) = self.last_map();
        let mut means = vec![0.0; n * size.channels]; // [B, 512]
        mean_of_places(n, size, map, &mut means);
        drop_out(&mut means, self.dropout, chance)?;
        self.fc.input = means;
        self.fc.forward(&layers.fc)
    }

    fn last_map(&self) -> (MapSize, &[f32]) {
        match self.blocks.last() {
            Some(block) => (block.size(), block.output().data),
            None => (self.pooled_size(), &self.pooled),
        }
    }

    fn pool_stem(&mut self) {
        let len = self.images * self.pooled_size().len();
        let picked = Picked {
            values: fit(&mut self.picked, len),
            places: fit(&mut self.places, len),
            from: self.stem.output(),
        };
        let output = fit(&mut self.pooled, len);
        let input = self.stem.activation();
        max_pool(
            self.isa,
            self.images,
            &self.pool,
            &input,
            output,
            Some(picked),
        );
    }

    fn forward_block(
        &mut self,
        place: usize,
        layers: &BasicBlock,
        workspace: &mut Workspace,
    ) -> Result<(), ModelFault> {
        let (n, pooled_size) = (self.images, self.pooled_size());
        let (before, rest) = self.blocks.split_at_mut(place);
        let block = &mut rest[0];
        let input = match before.last() {
            Some(block) => block.output(),
            None => Stored {
                size: pooled_size,
                data: &self.pooled[..n * pooled_size.len()],
            },
        };
        block
            .first
            .forward((&layers.conv1, &layers.bn1), n, &input, workspace)?;
        let hidden = block.first.activation();
        block
            .second
            .forward((&layers.conv2, &layers.bn2), n, &hidden, workspace)?;
        if let (Some(step), Some((layer, norm))) = (&mut block.downsample, &layers.downsample) {
            step.forward((layer, norm), n, &input, workspace)?;
        }
        let shortcut = match &block.downsample {
            Some(step) => Shortcut::Norm(step.output().data, &step.norm),
            None => Shortcut::Map(input.data),
        };
        let (size, second) = (block.second.size(), &block.second);
        let output = fit(&mut block.output, n * size.len());
        add_shortcut(
            self.isa,
            n,
            size,
            (second.output().data, &second.norm),
            shortcut,
            output,
        );
        Ok(())
    }

    /// The gradients of all parameters.
    pub(crate) fn backward(
        &mut self,
        layers: &ResNet,
        (_, images): (usize, Planes<'_>),
        logit_gradient: &[f32],
        workspace: &mut Workspace,
        gradients: &mut Gradients,
    ) -> Result<(), ModelFault> {
        let mut means = self.fc.backward(&layers.fc, logit_gradient, gradients)?; // [B, 512]
        drop_out(&mut means, self.dropout, self.chance)?;
        let (n, isa) = (self.images, self.isa);
        let Some(last) = self.blocks.last() else {
            return Ok(());
        };
        let current = fit(&mut self.current, last.len());
        spread_to_places(n, last.size(), &means, current);
        let mut sums = last.second.sums();
        gate_gradient(isa, n, last.size(), last.gate(), current, &mut sums);
        for (place, layers) in layers.blocks.iter().enumerate().rev() {
            sums = self.backward_block(place, layers, &sums, workspace, gradients)?;
        }
        let back = self.stem.norm_backward(&layers.bn1, &sums, gradients)?;
        let pooled = self.pooled_size();
        let gradient = UnpooledNormBackward {
            unpooled: Unpooled {
                window: self.pool,
                gradient: Stored {
                    size: pooled,
                    data: &self.current[..n * pooled.len()],
                },
                places: &self.places,
            },
            input: self.stem.output(),
            factors: &back.factors,
        };
        self.stem
            .weight_gradient(&layers.conv1, &images, &gradient, workspace, gradients);
        Ok(())
    }

    /// From the gated gradient of a block's output, in `current`, and its sums to those of the map
    /// before it.
    fn backward_block(
        &mut self,
        place: usize,
        layers: &BasicBlock,
        sums: &GradientSums,
        workspace: &mut Workspace,
        gradients: &mut Gradients,
    ) -> Result<GradientSums, ModelFault> {
        let (n, isa, pooled_size) = (self.images, self.isa, self.pooled_size());
        let block = &self.blocks[place];
        let before = place
            .checked_sub(1)
            .and_then(|place| self.blocks.get(place));
        let pooled = Stored {
            size: pooled_size,
            data: &self.pooled[..n * pooled_size.len()],
        };
        let (input, gate, mut sums_before) = match before {
            Some(before) => (before.output(), before.gate(), before.second.sums()),
            None => {
                let gate = Gate::Activation {
                    activation: pooled.data,
                    input: Some(&self.picked[..pooled.data.len()]),
                };
                (pooled, gate, self.stem.sums())
            }
        };

        // The second convolution: its input was never written, its gradient is not either.
        let back = block.second.norm_backward(&layers.bn2, sums, gradients)?;
        let gradient = NormBackward {
            gradient: Stored {
                size: block.size(),
                data: &self.current[..block.len()],
            },
            input: block.second.output(),
            factors: &back.factors,
        };
        let hidden = block.first.activation();
        block
            .second
            .weight_gradient(&layers.conv2, &hidden, &gradient, workspace, gradients);
        let mut inner_sums = block.first.sums();
        let sink = StoreGradient {
            gradient: fit(&mut self.inner, block.first.conv.shape().output_len()),
            onto: Onto::Unset,
            gate: Gate::Norm {
                input: hidden.input.data,
                scale: hidden.scale,
                shift: hidden.shift,
            },
            sums: &mut inner_sums,
        };
        block
            .second
            .input_gradient(&layers.conv2, &gradient, workspace, sink)?;

        // The shortcut, so that the first convolution can add onto its part.
        let onto_shortcut = match (&block.downsample, &layers.downsample) {
            (Some(step), Some((layer, norm))) => {
                let mut sums = step.sums();
                let current = &self.current[..block.len()];
                measure_gradient(isa, n, block.size(), current, step.output().data, &mut sums);
                let back = step.norm_backward(norm, &sums, gradients)?;
                let gradient = NormBackward {
                    input: step.output(),
                    factors: &back.factors,
                    ..gradient
                };
                step.weight_gradient(layer, &input, &gradient, workspace, gradients);
                let output = fit(&mut self.next, input.data.len());
                step.input_gradient(layer, &gradient, workspace, Store { output })?;
                true
            }
            _ => false,
        };

        let back = block
            .first
            .norm_backward(&layers.bn1, &inner_sums, gradients)?;
        let gradient = NormBackward {
            gradient: Stored {
                size: block.first.size(),
                data: &self.inner[..block.first.conv.shape().output_len()],
            },
            input: block.first.output(),
            factors: &back.factors,
        };
        block
            .first
            .weight_gradient(&layers.conv1, &input, &gradient, workspace, gradients);
        let onto = if onto_shortcut {
            &mut self.next
        } else {
            &mut self.current
        };
        let sink = StoreGradient {
            gradient: &mut onto[..input.data.len()],
            onto: Onto::Sum,
            gate,
            sums: &mut sums_before,
        };
        block
            .first
            .input_gradient(&layers.conv1, &gradient, workspace, sink)?;
        if onto_shortcut {
            std::mem::swap(&mut self.current, &mut self.next);
        }
        Ok(sums_before)
    }
}
