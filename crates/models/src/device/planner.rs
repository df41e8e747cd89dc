//! A plan in the making: layers are asked for one by one, and get shapes, places and maps.
//!
//! For `resnet` and `xray_cnn`, in the order of their forward passes: what trains before a layer is
//! known when it is asked for.

use cxr_ops::Conv2dGeometry;
use cxr_ops::device::{NormPlaces, Precision};
use cxr_ops::kernels::Window;
use cxr_ops::kernels::conv::ConvShape;
use cxr_ops::nhwc::MapSize;

use super::layout::{Layout, filled_channels};
use super::plan::{ConvPlan, LinearPlan, MapId, NormPlan, PoolPlan, Purpose};
use crate::architecture::{INPUT_CHANNELS, ModelConfig};
use crate::fault::ModelFault;

/// What was asked for so far.
pub(crate) struct Planner<'a> {
    layout: &'a Layout,
    purpose: Purpose,
    pub(super) maps: Vec<usize>,
    /// The maps that are shared, by the number under which layers ask for them.
    shared: Vec<Option<MapId>>,
    pub(super) picked: Vec<usize>,
    pub(super) norms: Vec<NormPlan>,
    /// Whether a layer so far trains.
    pub(crate) trains: bool,
    pub(crate) input: MapSize,
}

impl<'a> Planner<'a> {
    pub(super) fn new(
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
