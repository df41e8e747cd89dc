//! What a network is on a device, before there is one: its layers with their shapes, the places of
//! their numbers, and which maps they read and write.
//!
//! For the passes, which follow it, and for the memory plan, which adds it up. All sizes are those
//! of one image. A function of config, precision, purpose and of what is frozen.

use cxr_ops::device::{NormPlaces, PoolShape, Precision, Rows};
use cxr_ops::kernels::Window;
use cxr_ops::kernels::conv::ConvShape;
use cxr_ops::kernels::linear::LinearShape;
use cxr_ops::nhwc::MapSize;

use super::layout::Layout;
use super::planner::Planner;
use crate::architecture::{Architecture, INPUT_CHANNELS, ModelConfig};
use crate::fault::ModelFault;

use super::resnet::ResNetPlan;
use super::xray_cnn::XrayCnnPlan;

/// What the maps are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The way back reads them: each layer has its own.
    Training,
    /// They are overwritten as soon as they were read.
    Prediction,
}

/// Which of a plan's maps.
pub(crate) type MapId = usize;

/// The map of the images.
pub(crate) const INPUT: MapId = 0;

/// A network on a device.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) config: ModelConfig,
    pub(crate) precision: Precision,
    pub(crate) layout: Layout,
    /// Numbers of each map.
    pub(crate) maps: Vec<usize>,
    /// Picked places of each pooling.
    pub(crate) picked: Vec<usize>,
    /// Every norm, by its id.
    pub(crate) norms: Vec<NormPlan>,
    pub(crate) layers: Layers,
    /// The layer that gives the logits.
    pub(crate) last: LinearPlan,
}

/// The layers before the last one.
#[derive(Debug)]
pub(crate) enum Layers {
    ResNet(Box<ResNetPlan>),
    XrayCnn(XrayCnnPlan),
}

impl Plan {
    pub(crate) fn new(
        config: &ModelConfig,
        precision: Precision,
        purpose: Purpose,
        trains: impl Fn(&str) -> bool,
    ) -> Result<Self, ModelFault> {
        let layout = Layout::new(config, precision, trains)?;
        let mut planner = Planner::new(config, &layout, precision, purpose);
        let (layers, last) = match config.architecture {
            Architecture::XrayCnn => {
                let (plan, last) = XrayCnnPlan::new(&mut planner)?;
                (Layers::XrayCnn(plan), last)
            }
            Architecture::ResNet18 | Architecture::ResNet34 => {
                let (plan, last) = ResNetPlan::new(config, &mut planner)?;
                (Layers::ResNet(Box::new(plan)), last)
            }
        };
        let Planner {
            maps,
            picked,
            norms,
            ..
        } = planner;
        Ok(Self {
            config: config.clone(),
            precision,
            layout,
            maps,
            picked,
            norms,
            layers,
            last,
        })
    }

    /// The most channels that a norm has.
    pub(crate) fn widest_norm(&self) -> usize {
        let channels = self.norms.iter().map(|norm| norm.size.channels);
        channels.max().unwrap_or(0)
    }

    /// Numbers in an image [3, H, W].
    pub(crate) fn image_len(&self) -> usize {
        INPUT_CHANNELS * self.places()
    }

    /// Places of an image.
    pub(crate) fn places(&self) -> usize {
        self.config.height * self.config.width
    }
}

/// A convolution.
#[derive(Debug)]
pub(crate) struct ConvPlan {
    pub(crate) name: String,
    pub(super) shape: ConvShape,
    /// Where its kernel begins among the weights.
    pub(crate) weight: usize,
    pub(crate) trains: bool,
    /// Whether something before it trains.
    pub(crate) trains_before: bool,
    pub(crate) input: MapId,
    pub(crate) output: MapId,
}

impl ConvPlan {
    pub(crate) fn over(&self, images: usize) -> ConvShape {
        ConvShape {
            images,
            ..self.shape
        }
    }

    pub(crate) fn output_size(&self) -> MapSize {
        let [height, width] = self.shape.window.output();
        MapSize {
            height,
            width,
            channels: self.shape.out_channels,
        }
    }

    /// Whether the gradient of its output is of use.
    pub(crate) fn is_reached(&self) -> bool {
        self.trains || self.trains_before
    }
}

/// A batch norm.
#[derive(Clone, Debug)]
pub(crate) struct NormPlan {
    pub(crate) name: String,
    /// Which of the saved numbers are its own.
    pub(crate) id: usize,
    pub(crate) size: MapSize,
    pub(crate) places: NormPlaces,
    /// Weight and bias are frozen: it runs with its running statistics, which stay.
    pub(crate) is_fixed: bool,
    pub(crate) input: MapId,
}

impl NormPlan {
    pub(crate) fn rows(&self, images: usize) -> Rows {
        Rows {
            rows: images * self.size.places(),
            channels: self.size.channels,
        }
    }
}

/// A convolution and the norm behind it.
#[derive(Debug)]
pub(crate) struct ConvNorm {
    pub(crate) conv: ConvPlan,
    pub(crate) norm: NormPlan,
}

/// A pooling; its ReLU and what it has of a norm or bias are inside.
#[derive(Debug)]
pub(crate) struct PoolPlan {
    pub(crate) name: String,
    pub(super) window: Window,
    pub(super) channels: usize,
    pub(crate) input: MapId,
    pub(crate) output: MapId,
    /// Which of the picked places are its own.
    pub(crate) picked: usize,
}

impl PoolPlan {
    pub(crate) fn over(&self, images: usize) -> PoolShape {
        PoolShape {
            images,
            channels: self.channels,
            window: self.window,
        }
    }

    pub(crate) fn output_size(&self) -> MapSize {
        let [height, width] = self.window.output();
        MapSize {
            height,
            width,
            channels: self.channels,
        }
    }
}

/// A linear layer.
#[derive(Debug)]
pub(crate) struct LinearPlan {
    pub(crate) name: String,
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    pub(crate) weight: usize,
    pub(crate) bias: usize,
    pub(crate) trains: bool,
    pub(crate) trains_before: bool,
}

impl LinearPlan {
    pub(crate) fn over(&self, images: usize) -> LinearShape {
        LinearShape {
            rows: images,
            inputs: self.inputs,
            outputs: self.outputs,
        }
    }
}
