//! What a network is on a device, before there is one: its layers with their shapes, the places of
//! their numbers, and which maps they read and write.
//!
//! For the passes, which follow it, and for the memory plan, which adds it up. All sizes are those
//! of one image. A function of config, precision, purpose and of what is frozen.

use cxr_ops::Conv2dGeometry;
use cxr_ops::device::{NormPlaces, PoolShape, Precision, Rows};
use cxr_ops::kernels::Window;
use cxr_ops::kernels::conv::ConvShape;
use cxr_ops::kernels::linear::LinearShape;
use cxr_ops::nhwc::MapSize;

use super::layout::{Layout, filled_channels};
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
    shape: ConvShape,
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
    window: Window,
    channels: usize,
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

/// A plan in the making: layers are asked for in the order of the forward pass.
pub(crate) struct Planner<'a> {
    layout: &'a Layout,
    purpose: Purpose,
    maps: Vec<usize>,
    /// The maps that are shared, by the number under which layers ask for them.
    shared: Vec<Option<MapId>>,
    picked: Vec<usize>,
    norms: Vec<NormPlan>,
    /// Whether a layer so far trains.
    pub(crate) trains: bool,
    pub(crate) input: MapSize,
}

impl<'a> Planner<'a> {
    fn new(
        config: &ModelConfig,
        layout: &'a Layout,
        precision: Precision,
        purpose: Purpose,
    ) -> Self {
        let input = MapSize {
            height: config.height,
            width: config.width,
            channels: filled_channels(INPUT_CHANNELS, precision),
        };
        Self {
            layout,
            purpose,
            maps: vec![input.len()],
            shared: Vec::new(),
            picked: Vec::new(),
            norms: Vec::new(),
            trains: false,
            input,
        }
    }

    pub(crate) fn is_training(&self) -> bool {
        self.purpose == Purpose::Training
    }

    /// A map that layers share under this number; as large as the largest that is asked for.
    pub(crate) fn shared_map(&mut self, number: usize, len: usize) -> MapId {
        if self.shared.len() <= number {
            self.shared.resize(number + 1, None);
        }
        let id = *self.shared[number].get_or_insert_with(|| {
            self.maps.push(0);
            self.maps.len() - 1
        });
        self.maps[id] = self.maps[id].max(len);
        id
    }

    /// A map that is read on the way back; without one it is shared under this number.
    pub(crate) fn kept_map(&mut self, number: usize, len: usize) -> MapId {
        if !self.is_training() {
            return self.shared_map(number, len);
        }
        self.maps.push(len);
        self.maps.len() - 1
    }

    /// A convolution whose output is still to be given a map.
    pub(crate) fn conv(
        &mut self,
        name: &str,
        (input, size): (MapId, MapSize),
        geometry: Conv2dGeometry,
    ) -> Result<ConvPlan, ModelFault> {
        let slot = self.layout.slot(&format!("{name}.weight"))?;
        let [out_channels, _, height, width] =
            std::array::from_fn(|axis| slot.shape.get(axis).copied().unwrap_or(1));
        let trains_before = self.trains;
        self.trains |= slot.trains;
        Ok(ConvPlan {
            name: name.to_owned(),
            shape: ConvShape {
                images: 1,
                channels: size.channels,
                out_channels,
                window: Window {
                    input: [size.height, size.width],
                    kernel: [height, width],
                    stride: geometry.stride,
                    padding: [geometry.padding; 2],
                },
            },
            weight: slot.part.start,
            trains: slot.trains,
            trains_before,
            input,
            output: input,
        })
    }

    /// A norm over the output of a convolution.
    pub(crate) fn norm(&mut self, name: &str, conv: &ConvPlan) -> Result<NormPlan, ModelFault> {
        let slot = |word: &str| self.layout.slot(&format!("{name}.{word}"));
        let (weight, bias) = (slot("weight")?, slot("bias")?);
        let places = NormPlaces {
            weight: weight.part.start,
            bias: bias.part.start,
            running_mean: slot("running_mean")?.part.start,
            running_variance: slot("running_var")?.part.start,
        };
        let is_fixed = !weight.trains && !bias.trains;
        self.trains |= !is_fixed;
        let size = conv.output_size();
        let norm = NormPlan {
            name: name.to_owned(),
            id: self.norms.len(),
            size,
            places,
            is_fixed,
            input: conv.output,
        };
        self.norms.push(norm.clone());
        Ok(norm)
    }

    /// A pooling over a map.
    pub(crate) fn pool(
        &mut self,
        name: &str,
        (input, size): (MapId, MapSize),
        window: Window,
        shared: usize,
    ) -> PoolPlan {
        let len = window.output_places() * size.channels;
        if self.is_training() || self.picked.is_empty() {
            self.picked.push(len);
        }
        let picked = self.picked.len() - 1;
        self.picked[picked] = self.picked[picked].max(len);
        PoolPlan {
            name: name.to_owned(),
            window,
            channels: size.channels,
            input,
            output: self.kept_map(shared, len),
            picked,
        }
    }

    /// Where a bias begins among the vectors.
    pub(crate) fn bias(&mut self, name: &str) -> Result<usize, ModelFault> {
        let slot = self.layout.slot(&format!("{name}.bias"))?;
        self.trains |= slot.trains;
        Ok(slot.part.start)
    }

    pub(crate) fn linear(&mut self, name: &str) -> Result<LinearPlan, ModelFault> {
        let slot = self.layout.slot(&format!("{name}.weight"))?;
        let outputs = slot.shape.first().copied().unwrap_or(1);
        let (weight, trains, trains_before) = (slot.part.start, slot.trains, self.trains);
        let inputs = slot.shape.iter().skip(1).product();
        self.trains |= trains;
        Ok(LinearPlan {
            name: name.to_owned(),
            inputs,
            outputs,
            weight,
            bias: self.bias(name)?,
            trains,
            trains_before,
        })
    }
}
