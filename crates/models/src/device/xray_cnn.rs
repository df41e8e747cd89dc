//! `XrayCnn` on a device: which layer reads what, forward and backward.
//!
//! Bias, ReLU and pooling are one step; a convolution's output is read by its pooling alone, so all
//! of them share a map, which carries their gradients on the way back. fc1 reads the last pooled
//! map as it lies.

use cxr_ops::device::Device;
use cxr_ops::nhwc::Onto;

use super::backward::Backward;
use super::pass::Pass;
use super::plan::{ConvPlan, INPUT, LinearPlan, MapId, PoolPlan};
use super::planner::Planner;
use crate::fault::ModelFault;
use crate::xray_cnn::{CHANNELS, GEOMETRY, POOL, convolution_name};

/// Everything before fc2.
#[derive(Debug)]
pub(crate) struct XrayCnnPlan {
    layers: Vec<PooledConv>,
    fc1: LinearPlan,
    /// Whether something in fc1 or before it trains.
    is_reached: bool,
    /// The map for gradients of pooled maps; none where nothing is trained.
    gradient: Option<MapId>,
}

#[derive(Debug)]
struct PooledConv {
    conv: ConvPlan,
    bias: usize,
    pool: PoolPlan,
    /// Whether something in it or before it trains.
    is_reached: bool,
}

/// Numbers of the maps that layers share: outputs of convolutions; pooled maps in prediction, their
/// gradients in training.
const RAW: usize = 0;
const POOLED: usize = 1;

impl XrayCnnPlan {
    pub(crate) fn new(planner: &mut Planner<'_>) -> Result<(Self, LinearPlan), ModelFault> {
        let is_training = planner.is_training();
        let mut map = (INPUT, planner.input);
        let mut layers: Vec<PooledConv> = Vec::new();
        for index in 0..CHANNELS.len() {
            let name = convolution_name(index);
            let mut conv = planner.conv(&name, map, GEOMETRY)?;
            let size = conv.output_size();
            conv.output = planner.shared_map(RAW, size.len());
            let bias = planner.bias(&name)?;
            let pool = planner.pool(&name, (conv.output, size), POOL.over(size), POOLED);
            map = (pool.output, pool.output_size());
            layers.push(PooledConv {
                conv,
                bias,
                pool,
                is_reached: planner.trains,
            });
        }
        let fc1 = planner.linear("fc1")?;
        let is_reached = planner.trains;
        let mut gradient = None;
        for layer in layers.iter().filter(|_| is_training) {
            gradient = Some(planner.shared_map(POOLED, layer.pool.output_size().len()));
        }
        let last = planner.linear("fc2")?;
        let plan = Self {
            layers,
            fc1,
            is_reached,
            gradient,
        };
        Ok((plan, last))
    }

    /// Images to features.
    pub(crate) fn forward<D: Device>(&self, pass: &mut Pass<'_, D>) -> Result<(), ModelFault> {
        for layer in &self.layers {
            pass.convolve(&layer.conv)?;
            pass.pool_bias(&layer.pool, layer.bias)?;
        }
        match self.layers.last() {
            Some(layer) => pass.flatten(&self.fc1, layer.pool.output),
            None => Ok(()),
        }
    }

    /// From the gradient of the features to those of all that trains before them.
    pub(crate) fn backward<D: Device>(&self, back: &mut Backward<'_, D>) -> Result<(), ModelFault> {
        let (Some(gradient), Some(last), true) =
            (self.gradient, self.layers.last(), self.is_reached)
        else {
            return Ok(());
        };
        back.flatten(&self.fc1, last.pool.output, gradient)?;
        for layer in self.layers.iter().rev() {
            if !layer.is_reached {
                return Ok(());
            }
            back.pool_bias(&layer.pool, layer.bias, gradient)?;
            let (conv, raw) = (&layer.conv, layer.conv.output);
            if conv.is_reached() {
                back.unpool(&layer.pool, None, gradient, raw)?;
                back.kernel(conv, raw)?;
            }
            if conv.trains_before {
                back.conv_input(conv, raw, Onto::Unset, gradient)?;
            }
        }
        Ok(())
    }

    /// Numbers of the largest input of a linear layer before the last one.
    pub(crate) fn flat_len(&self) -> usize {
        self.fc1.inputs
    }
}
