//! `XrayCnn`: four convolutions and two linear layers, exactly as the write-up's PyTorch class
//! names and orders them.
//!
//! For `Network`. There is no ReLU between the two linear layers; that is the published network.

use candle_core::Tensor;
use cxr_ops::{Conv2dGeometry, Pool2dGeometry};

use crate::architecture::{INPUT_CHANNELS, ModelConfig};
use crate::fault::{AtLayer, ModelFault};
use crate::init::Initial;
use crate::layer::{Convolution, Linear, Pass, dropout};
use crate::weights::{TensorSpec, Weights};

/// Input and output channels of conv1 … conv4.
pub(crate) const CHANNELS: [(usize, usize); 4] =
    [(INPUT_CHANNELS, 16), (16, 32), (32, 64), (64, 128)];
/// Outputs of fc1.
pub(crate) const HIDDEN: usize = 1024;
/// What the four poolings divide each side by.
const REDUCTION: usize = 16;

pub(crate) const GEOMETRY: Conv2dGeometry = Conv2dGeometry {
    stride: 1,
    padding: 1,
};
pub(crate) const POOL: Pool2dGeometry = Pool2dGeometry {
    kernel: 2,
    stride: 2,
    padding: 0,
};

/// conv1 … conv4 with ReLU and 2×2 pooling, fc1, dropout, fc2.
#[derive(Debug)]
pub(crate) struct XrayCnn {
    pub(crate) convolutions: Vec<Convolution>,
    pub(crate) fc1: Linear,
    pub(crate) fc2: Linear,
    dropout: f32,
}

impl XrayCnn {
    /// Its tensors in PyTorch's order.
    pub(crate) fn specs(config: &ModelConfig) -> Vec<TensorSpec> {
        let mut specs = Vec::new();
        let mut layer = |name: &str, shape: &[usize]| {
            let fan_in = shape.iter().skip(1).product();
            let initial = Initial::Uniform { fan_in };
            let bias = shape.first().copied().unwrap_or(0);
            specs.push(TensorSpec::parameter(
                format!("{name}.weight"),
                shape,
                initial,
            ));
            specs.push(TensorSpec::parameter(
                format!("{name}.bias"),
                &[bias],
                initial,
            ));
        };
        for (index, (inputs, outputs)) in CHANNELS.into_iter().enumerate() {
            layer(&convolution_name(index), &[outputs, inputs, 3, 3]);
        }
        let flat = Self::pooled_shape(config).into_iter().product();
        layer("fc1", &[HIDDEN, flat]);
        layer("fc2", &[config.n_findings, HIDDEN]);
        specs
    }

    pub(crate) fn new(config: &ModelConfig, weights: &Weights) -> Result<Self, ModelFault> {
        let convolutions = (0..CHANNELS.len())
            .map(|index| Convolution::with_bias(weights, &convolution_name(index), GEOMETRY))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            convolutions,
            fc1: Linear::new(weights, "fc1")?,
            fc2: Linear::new(weights, "fc2")?,
            dropout: config.dropout,
        })
    }

    /// [B, 3, H, W] → conv4's activations before the last pooling, [B, 128, H/8, W/8].
    pub(crate) fn features(&self, images: &Tensor, pass: Pass<'_>) -> Result<Tensor, ModelFault> {
        let mut map = images.clone();
        for (index, convolution) in self.convolutions.iter().enumerate() {
            if index > 0 {
                map = cxr_ops::max_pool2d(&map, POOL).at("pool")?;
            }
            map = convolution.forward(&map, pass)?;
            map = cxr_ops::relu(&map).at("relu")?;
        }
        Ok(map)
    }

    /// [B, 128, H/8, W/8] → logits [B, K].
    pub(crate) fn head(&self, map: &Tensor, pass: Pass<'_>) -> Result<Tensor, ModelFault> {
        let pooled = cxr_ops::max_pool2d(map, POOL).at("pool")?; // [B, 128, H/16, W/16]
        let flat = pooled.flatten_from(1).at("flatten")?; // [B, 128·H/16·W/16]
        let hidden = self.fc1.forward(&flat, pass)?; // [B, 1024]
        let hidden = dropout(&hidden, self.dropout, pass)?;
        self.fc2.forward(&hidden, pass)
    }

    /// Shape of the map that fc1 reads, without the batch.
    pub(crate) fn pooled_shape(config: &ModelConfig) -> [usize; 3] {
        let (_, channels) = CHANNELS[CHANNELS.len() - 1];
        [
            channels,
            config.height / REDUCTION,
            config.width / REDUCTION,
        ]
    }

    /// Shape of [`Self::features`] without the batch.
    pub(crate) fn feature_shape(config: &ModelConfig) -> [usize; 3] {
        let (_, channels) = CHANNELS[CHANNELS.len() - 1];
        [
            channels,
            config.height * 2 / REDUCTION,
            config.width * 2 / REDUCTION,
        ]
    }
}

pub(crate) fn convolution_name(index: usize) -> String {
    format!("conv{}", index + 1)
}
