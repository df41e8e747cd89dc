//! The layers of a backward pass on a device, one call a gradient.
//!
//! For `resnet` and `xray_cnn`, which say which follows which and stop where nothing trains any
//! more. A layer's own gradients are written into the arenas, those of maps into maps of the plan.

use cxr_ops::device::{self, Device, Gate, PoolShape};
use cxr_ops::nhwc::Onto;

use super::buffers::{Buffers, pick};
use super::optimizer::GradientArenas;
use super::pass::Pass;
use super::plan::{ConvPlan, Layers, LinearPlan, MapId, NormPlan, Plan, PoolPlan};
use crate::fault::{AtLayer, ModelFault};

/// Rows of the factors of a norm's gradient.
pub(crate) const FACTORS: usize = 3;

/// Memory of a backward pass beside the maps.
#[derive(Debug)]
pub(crate) struct BackwardBuffers<D: Device> {
    /// Those of the norm at work.
    factors: D::Floats,
    /// What dropout multiplies the features with; [B, F].
    pub(crate) dropout: D::Floats,
    /// [B, K], and the same in the maps' type.
    pub(crate) logit_gradient: D::Floats,
    rounded_logit_gradient: D::Map,
    /// Of what a linear layer reads: the last one's features, then the map before fc1.
    feature_gradient: D::Floats,
}

impl<D: Device> BackwardBuffers<D> {
    pub(crate) fn new(device: &D, plan: &Plan, batch: usize) -> device::Result<Self> {
        let (features, logits) = (plan.last.inputs, plan.last.outputs);
        Ok(Self {
            factors: device.floats(factors_len(plan))?,
            dropout: device.floats(batch * features)?,
            logit_gradient: device.floats(batch * logits)?,
            rounded_logit_gradient: device.map(batch * logits)?,
            feature_gradient: device.floats(batch * feature_gradient_len(plan))?,
        })
    }
}

/// Factors of the widest norm; a network without norms has room for those of one channel, since no
/// buffer of a device is empty.
pub(crate) fn factors_len(plan: &Plan) -> usize {
    FACTORS * plan.widest_norm().max(1)
}

/// The most numbers that a linear layer reads of an image.
pub(crate) fn feature_gradient_len(plan: &Plan) -> usize {
    let before = match &plan.layers {
        Layers::ResNet(_) => 0,
        Layers::XrayCnn(layers) => layers.flat_len(),
    };
    plan.last.inputs.max(before)
}

/// One run back through the layers.
#[derive(Debug)]
pub(crate) struct Backward<'a, D: Device> {
    pub(crate) pass: Pass<'a, D>,
    pub(crate) gradients: &'a mut GradientArenas<D>,
    pub(crate) memory: &'a mut BackwardBuffers<D>,
    /// Whether `memory.dropout` is in use.
    pub(crate) drops_out: bool,
}

/// How a gradient comes through the ReLU behind a norm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gated {
    /// There is none, or what it closes is 0 already.
    Already,
    /// Where the norm's output is above 0.
    ByNorm,
    /// Where this map, the ReLU's output, is above 0; elsewhere the gradient becomes 0.
    ByMap(MapId),
}

impl<D: Device> Backward<'_, D> {
    /// From the gradient of the logits to those of the last layer and, where something before it
    /// trains, of the features.
    pub(crate) fn classify(&mut self, last: &LinearPlan) -> Result<(), ModelFault> {
        let Pass {
            device,
            images,
            parameters,
            buffers,
            ..
        } = &mut self.pass;
        let (device, len) = (*device, *images * last.outputs);
        let memory = &mut *self.memory;
        let rounded = &mut memory.rounded_logit_gradient;
        device
            .round(len, &memory.logit_gradient, None, rounded)
            .at(&last.name)?;
        let shape = last.over(*images);
        if last.trains {
            let of_weights = &mut self.gradients.weights;
            device
                .linear_weight_gradient(&shape, &buffers.dropped, rounded, of_weights, last.weight)
                .at(&last.name)?;
        }
        let of_vectors = &mut self.gradients.vectors;
        device
            .linear_bias_gradient(&shape, &memory.logit_gradient, of_vectors, last.bias)
            .at(&last.name)?;
        if !last.trains_before {
            return Ok(());
        }
        let (weights, features) = (&parameters.weights, &mut memory.feature_gradient);
        device
            .linear_input_gradient(&shape, weights, last.weight, rounded, features)
            .at(&last.name)?;
        if self.drops_out {
            let len = *images * last.inputs;
            device.scale(len, &memory.dropout, features).at("dropout")?;
        }
        Ok(())
    }

    /// From the gradient of the features, each channel's mean, to that of the map.
    pub(crate) fn spread(&mut self, norm: &NormPlan, gradient: MapId) -> Result<(), ModelFault> {
        let pass = &mut self.pass;
        let (places, channels) = (norm.size.places(), norm.size.channels);
        let (features, map) = (
            &self.memory.feature_gradient,
            &mut pass.buffers.maps[gradient],
        );
        pass.device
            .spread_to_places(pass.images, places, channels, features, map)
            .at("avgpool")
    }

    /// From the gradient of the features to those of the linear layer that gave them and, where
    /// something before it trains, of the map that it read.
    pub(crate) fn flatten(
        &mut self,
        linear: &LinearPlan,
        map: MapId,
        gradient: MapId,
    ) -> Result<(), ModelFault> {
        let Pass {
            device,
            images,
            parameters,
            buffers,
            ..
        } = &mut self.pass;
        let (device, shape) = (*device, linear.over(*images));
        let Buffers { maps, dropped, .. } = &mut **buffers;
        let features = &mut self.memory.feature_gradient;
        let of_vectors = &mut self.gradients.vectors;
        let mut done = || -> device::Result<()> {
            device.linear_bias_gradient(&shape, features, of_vectors, linear.bias)?;
            // The last layer has read the features for the last time.
            let len = *images * linear.outputs;
            device.round(len, features, None, dropped)?;
            if linear.trains {
                let of_weights = &mut self.gradients.weights;
                let start = linear.weight;
                device.linear_weight_gradient(&shape, &maps[map], dropped, of_weights, start)?;
            }
            if linear.trains_before {
                let weights = &parameters.weights;
                device.linear_input_gradient(&shape, weights, linear.weight, dropped, features)?;
                let len = *images * linear.inputs;
                device.round(len, features, None, &mut maps[gradient])?;
            }
            Ok(())
        };
        done().at(&linear.name)
    }

    /// The gradients of a norm, from that of its output, and what [`Backward::norm_input`] needs.
    pub(crate) fn norm_sums(
        &mut self,
        norm: &NormPlan,
        gated: Gated,
        gradient: MapId,
    ) -> Result<(), ModelFault> {
        let Pass {
            device,
            images,
            parameters,
            buffers,
            ..
        } = &mut self.pass;
        let (device, rows) = (*device, norm.rows(*images));
        let Buffers { maps, saved, .. } = &mut **buffers;
        let (saved, factors) = (&saved[norm.id], &mut self.memory.factors);
        if norm.is_fixed {
            if let Gated::ByMap(map) = gated {
                let [gradient, map] = pick(maps, [gradient, map])?;
                device.gate(rows.len(), map, gradient).at(&norm.name)?;
            }
            return device
                .norm_fixed_factors(rows.channels, saved, factors)
                .at(&norm.name);
        }
        let (gradient, gate, input) = match gated {
            Gated::ByMap(map) => {
                let [gradient, map, input] = pick(maps, [gradient, map, norm.input])?;
                (gradient, Gate::Map(map), input)
            }
            Gated::ByNorm | Gated::Already => {
                let [gradient, input] = pick(maps, [gradient, norm.input])?;
                (gradient, gate_of(gated), input)
            }
        };
        device
            .norm_backward_sums(
                rows,
                gradient,
                gate,
                input,
                &parameters.vectors,
                norm.places,
                saved,
                &mut self.gradients.vectors,
                factors,
            )
            .at(&norm.name)
    }

    /// The gradient of a norm's input, after [`Backward::norm_sums`].
    pub(crate) fn norm_input(
        &mut self,
        norm: &NormPlan,
        gated: Gated,
        gradient: MapId,
        output: MapId,
    ) -> Result<(), ModelFault> {
        let pass = &mut self.pass;
        let Buffers { maps, saved, .. } = &mut *pass.buffers;
        let [gradient, input, output] = pick(maps, [gradient, norm.input, output])?;
        pass.device
            .norm_backward(
                norm.rows(pass.images),
                gradient,
                gate_of(gated),
                input,
                &saved[norm.id],
                &self.memory.factors,
                output,
            )
            .at(&norm.name)
    }

    /// The gradient of a kernel that trains, from that of the convolution's output.
    pub(crate) fn kernel(&mut self, conv: &ConvPlan, gradient: MapId) -> Result<(), ModelFault> {
        if !conv.trains {
            return Ok(());
        }
        let (maps, shape) = (&self.pass.buffers.maps, conv.over(self.pass.images));
        let of_weights = &mut self.gradients.weights;
        self.pass
            .device
            .conv_weight_gradient(
                &shape,
                &maps[conv.input],
                &maps[gradient],
                of_weights,
                conv.weight,
            )
            .at(&conv.name)
    }

    /// The gradient of a convolution's input, from that of its output.
    pub(crate) fn conv_input(
        &mut self,
        conv: &ConvPlan,
        gradient: MapId,
        onto: Onto,
        output: MapId,
    ) -> Result<(), ModelFault> {
        let pass = &mut self.pass;
        let shape = conv.over(pass.images);
        let [gradient, output] = pick(&mut pass.buffers.maps, [gradient, output])?;
        let weights = &pass.parameters.weights;
        pass.device
            .conv_input_gradient(&shape, weights, conv.weight, gradient, onto, output)
            .at(&conv.name)
    }

    /// [`Backward::norm_sums`] through a pooling and its ReLU.
    pub(crate) fn pool_norm_sums(
        &mut self,
        pool: &PoolPlan,
        norm: &NormPlan,
        gradient: MapId,
    ) -> Result<(), ModelFault> {
        let Pass {
            device,
            images,
            parameters,
            buffers,
            ..
        } = &mut self.pass;
        let (device, shape) = (*device, pool.over(*images));
        let Buffers {
            maps,
            saved,
            picked,
            ..
        } = &mut **buffers;
        let (saved, factors) = (&saved[norm.id], &mut self.memory.factors);
        let [gradient, pooled, input] = pick(maps, [gradient, pool.output, norm.input])?;
        if norm.is_fixed {
            device
                .gate(shape.output_len(), pooled, gradient)
                .at(&norm.name)?;
            return device
                .norm_fixed_factors(norm.size.channels, saved, factors)
                .at(&norm.name);
        }
        device
            .pool_backward_sums(
                &shape,
                gradient,
                pooled,
                &picked[pool.picked],
                input,
                &parameters.vectors,
                norm.places,
                saved,
                &mut self.gradients.vectors,
                factors,
            )
            .at(&norm.name)
    }

    /// The gradient of the bias before a pooling; the gradient is 0 behind closed ReLUs afterwards.
    pub(crate) fn pool_bias(
        &mut self,
        pool: &PoolPlan,
        bias: usize,
        gradient: MapId,
    ) -> Result<(), ModelFault> {
        let pass = &mut self.pass;
        let shape: PoolShape = pool.over(pass.images);
        let [gradient, pooled] = pick(&mut pass.buffers.maps, [gradient, pool.output])?;
        let of_vectors = &mut self.gradients.vectors;
        pass.device
            .pool_backward_bias(&shape, gradient, pooled, of_vectors, bias)
            .at(&pool.name)
    }

    /// The gradient of the map before a pooling and before the norm in it.
    pub(crate) fn unpool(
        &mut self,
        pool: &PoolPlan,
        norm: Option<&NormPlan>,
        gradient: MapId,
        output: MapId,
    ) -> Result<(), ModelFault> {
        let pass = &mut self.pass;
        let shape = pool.over(pass.images);
        let Buffers { maps, picked, .. } = &mut *pass.buffers;
        let picked = &picked[pool.picked];
        let (gradient, norm, output) = match norm {
            Some(norm) => {
                let [gradient, input, output] = pick(maps, [gradient, norm.input, output])?;
                let input: &D::Map = input;
                (gradient, Some((input, &self.memory.factors)), output)
            }
            None => {
                let [gradient, output] = pick(maps, [gradient, output])?;
                (gradient, None, output)
            }
        };
        pass.device
            .pool_backward(&shape, gradient, picked, norm, output)
            .at(&pool.name)
    }
}

fn gate_of<'a, D: Device>(gated: Gated) -> Gate<'a, D> {
    match gated {
        Gated::ByNorm => Gate::Norm,
        Gated::Already | Gated::ByMap(_) => Gate::Open,
    }
}
