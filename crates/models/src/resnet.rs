//! `ResNet` 18 and 34 with torchvision's semantics and tensor names (torchvision 0.26,
//! `models/resnet.py`, `BasicBlock`): stride on the first 3×3 of a block, pooling 3/2/1 in the
//! stem, Kaiming fan-out weights, no zero-initialised norm.
//!
//! For `Network`. Bottleneck blocks (ResNet50 and deeper) are not here.

use candle_core::Tensor;
use cxr_ops::{Conv2dGeometry, Pool2dGeometry};

use crate::architecture::{Architecture, INPUT_CHANNELS, ModelConfig};
use crate::fault::{AtLayer, ModelFault};
use crate::init::Initial;
use crate::layer::{BatchNorm, Convolution, Linear, Moments, Pass, dropout};
use crate::weights::{TensorSpec, Weights};

/// Channels of the stem.
const STEM: usize = 64;
/// Channels of layer1 … layer4.
const STAGES: [usize; 4] = [64, 128, 256, 512];
pub(crate) const STEM_GEOMETRY: Conv2dGeometry = Conv2dGeometry {
    stride: 2,
    padding: 3,
};
pub(crate) const STEM_POOL: Pool2dGeometry = Pool2dGeometry {
    kernel: 3,
    stride: 2,
    padding: 1,
};

/// One basic block before it has weights.
#[derive(Clone, Debug)]
pub(crate) struct BlockPlan {
    pub(crate) name: String,
    inputs: usize,
    outputs: usize,
    pub(crate) stride: usize,
}

impl BlockPlan {
    pub(crate) fn of(architecture: Architecture) -> Vec<Self> {
        let depths = match architecture {
            Architecture::ResNet34 => [3, 4, 6, 3],
            Architecture::ResNet18 | Architecture::XrayCnn => [2, 2, 2, 2],
        };
        let mut plans = Vec::new();
        let mut inputs = STEM;
        for (stage, (outputs, depth)) in STAGES.into_iter().zip(depths).enumerate() {
            for index in 0..depth {
                plans.push(Self {
                    name: format!("layer{}.{index}", stage + 1),
                    inputs,
                    outputs,
                    stride: if index == 0 && stage > 0 { 2 } else { 1 },
                });
                inputs = outputs;
            }
        }
        plans
    }

    pub(crate) fn has_downsample(&self) -> bool {
        self.stride != 1 || self.inputs != self.outputs
    }

    fn specs(&self) -> Vec<TensorSpec> {
        let Self {
            name,
            inputs,
            outputs,
            ..
        } = self;
        let mut specs = vec![convolution_spec(
            &format!("{name}.conv1"),
            *outputs,
            *inputs,
            3,
        )];
        specs.extend(TensorSpec::batch_norm(&format!("{name}.bn1"), *outputs));
        specs.push(convolution_spec(
            &format!("{name}.conv2"),
            *outputs,
            *outputs,
            3,
        ));
        specs.extend(TensorSpec::batch_norm(&format!("{name}.bn2"), *outputs));
        if self.has_downsample() {
            let name = format!("{name}.downsample");
            specs.push(convolution_spec(&format!("{name}.0"), *outputs, *inputs, 1));
            specs.extend(TensorSpec::batch_norm(&format!("{name}.1"), *outputs));
        }
        specs
    }
}

fn convolution_spec(name: &str, outputs: usize, inputs: usize, side: usize) -> TensorSpec {
    let initial = Initial::NormalFanOut {
        fan_out: outputs * side * side,
    };
    TensorSpec::parameter(
        format!("{name}.weight"),
        &[outputs, inputs, side, side],
        initial,
    )
}

/// Two 3×3 convolutions beside a shortcut.
#[derive(Debug)]
pub(crate) struct BasicBlock {
    name: String,
    pub(crate) conv1: Convolution,
    pub(crate) bn1: BatchNorm,
    pub(crate) conv2: Convolution,
    pub(crate) bn2: BatchNorm,
    pub(crate) downsample: Option<(Convolution, BatchNorm)>,
}

impl BasicBlock {
    fn new(plan: &BlockPlan, weights: &Weights) -> Result<Self, ModelFault> {
        let name = &plan.name;
        let geometry = |stride, padding| Conv2dGeometry { stride, padding };
        let convolution =
            |part: &str, g| Convolution::without_bias(weights, &format!("{name}.{part}"), g);
        let norm = |part: &str| BatchNorm::new(weights, &format!("{name}.{part}"));
        let downsample = if plan.has_downsample() {
            let shortcut = convolution("downsample.0", geometry(plan.stride, 0))?;
            Some((shortcut, norm("downsample.1")?))
        } else {
            None
        };
        Ok(Self {
            name: name.clone(),
            conv1: convolution("conv1", geometry(plan.stride, 1))?,
            bn1: norm("bn1")?,
            conv2: convolution("conv2", geometry(1, 1))?,
            bn2: norm("bn2")?,
            downsample,
        })
    }

    fn forward(&self, input: &Tensor, pass: Pass<'_>) -> Result<Tensor, ModelFault> {
        let hidden = self.conv1.forward(input, pass)?;
        let hidden = self.bn1.forward(&hidden, pass)?;
        let hidden = cxr_ops::relu(&hidden).at(&self.name)?;
        let hidden = self.conv2.forward(&hidden, pass)?;
        let hidden = self.bn2.forward(&hidden, pass)?;
        let shortcut = match &self.downsample {
            Some((convolution, norm)) => norm.forward(&convolution.forward(input, pass)?, pass)?,
            None => input.clone(),
        };
        let sum = (hidden + shortcut).at(&self.name)?;
        cxr_ops::relu(&sum).at(&self.name)
    }

    fn norms(&self) -> impl Iterator<Item = &BatchNorm> {
        let shortcut = self.downsample.as_ref().map(|(_, norm)| norm);
        [&self.bn1, &self.bn2].into_iter().chain(shortcut)
    }
}

/// The stem, four stages of basic blocks, the mean over the map, fc.
#[derive(Debug)]
pub(crate) struct ResNet {
    pub(crate) conv1: Convolution,
    pub(crate) bn1: BatchNorm,
    pub(crate) blocks: Vec<BasicBlock>,
    pub(crate) fc: Linear,
    dropout: f32,
}

impl ResNet {
    /// Its tensors in torchvision's order.
    pub(crate) fn specs(config: &ModelConfig) -> Vec<TensorSpec> {
        let mut specs = vec![convolution_spec("conv1", STEM, INPUT_CHANNELS, 7)];
        specs.extend(TensorSpec::batch_norm("bn1", STEM));
        for plan in BlockPlan::of(config.architecture) {
            specs.extend(plan.specs());
        }
        let fan_in = STAGES[STAGES.len() - 1];
        let initial = Initial::Uniform { fan_in };
        specs.push(TensorSpec::parameter(
            "fc.weight".to_owned(),
            &[config.n_findings, fan_in],
            initial,
        ));
        specs.push(TensorSpec::parameter(
            "fc.bias".to_owned(),
            &[config.n_findings],
            initial,
        ));
        specs
    }

    pub(crate) fn new(config: &ModelConfig, weights: &Weights) -> Result<Self, ModelFault> {
        let blocks = BlockPlan::of(config.architecture)
            .iter()
            .map(|plan| BasicBlock::new(plan, weights))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            conv1: Convolution::without_bias(weights, "conv1", STEM_GEOMETRY)?,
            bn1: BatchNorm::new(weights, "bn1")?,
            blocks,
            fc: Linear::new(weights, "fc")?,
            dropout: config.dropout,
        })
    }

    /// [B, 3, H, W] → layer4's activations, [B, 512, ⌈H/32⌉, ⌈W/32⌉].
    pub(crate) fn features(&self, images: &Tensor, pass: Pass<'_>) -> Result<Tensor, ModelFault> {
        let map = self.conv1.forward(images, pass)?; // [B, 64, ⌈H/2⌉, ⌈W/2⌉]
        let map = self.bn1.forward(&map, pass)?;
        let map = cxr_ops::relu(&map).at("relu")?;
        let mut map = cxr_ops::max_pool2d(&map, STEM_POOL).at("maxpool")?; // [B, 64, ⌈H/4⌉, ⌈W/4⌉]
        for block in &self.blocks {
            map = block.forward(&map, pass)?;
        }
        Ok(map)
    }

    /// [B, 512, h, w] → logits [B, K].
    pub(crate) fn head(&self, map: &Tensor, pass: Pass<'_>) -> Result<Tensor, ModelFault> {
        let means = cxr_ops::avg_pool_global(map).at("avgpool")?; // [B, 512]
        let means = dropout(&means, self.dropout, pass)?;
        self.fc.forward(&means, pass)
    }

    /// Shape of [`Self::features`] without the batch.
    pub(crate) fn feature_shape(config: &ModelConfig) -> [usize; 3] {
        [
            STAGES[STAGES.len() - 1],
            config.height.div_ceil(32),
            config.width.div_ceil(32),
        ]
    }

    /// Turns what `moments` collected into weights and running statistics.
    pub(crate) fn reopen(&self, moments: &Moments) -> Result<(), ModelFault> {
        let inner = self.blocks.iter().flat_map(BasicBlock::norms);
        for norm in std::iter::once(&self.bn1).chain(inner) {
            norm.reopen(moments).at(norm.name())?;
        }
        Ok(())
    }
}
