//! The layers of a forward pass on a device, one call a layer.
//!
//! For `resnet` and `xray_cnn`, which say which follows which. Names of layers go into the faults.

use cxr_ops::device::{Activation, Device, Shortcut};

use super::buffers::{Buffers, pick};
use super::parameters::Parameters;
use super::plan::{ConvPlan, LinearPlan, MapId, NormPlan, PoolPlan};
use crate::fault::{AtLayer, ModelFault};

/// Which moments norms take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moments {
    /// The batch's, and the running ones move towards them; fixed norms take the running ones.
    OfBatch,
    /// The running ones.
    Running,
    /// Those that were saved by an earlier pass.
    Saved,
}

/// One run through the layers.
#[derive(Debug)]
pub(crate) struct Pass<'a, D: Device> {
    pub(crate) device: &'a D,
    pub(crate) images: usize,
    pub(crate) moments: Moments,
    pub(crate) parameters: &'a mut Parameters<D>,
    pub(crate) buffers: &'a mut Buffers<D>,
}

/// What is added to the output of a norm before its ReLU.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Added<'a> {
    Nothing,
    Map(MapId),
    Norm(&'a NormPlan),
}

impl<D: Device> Pass<'_, D> {
    pub(crate) fn convolve(&mut self, conv: &ConvPlan) -> Result<(), ModelFault> {
        let [input, output] = pick(&mut self.buffers.maps, [conv.input, conv.output])?;
        let (shape, weights) = (conv.over(self.images), &self.parameters.weights);
        self.device
            .conv_forward(&shape, input, weights, conv.weight, output)
            .at(&conv.name)
    }

    /// Works out what a norm does to its input.
    pub(crate) fn measure(&mut self, norm: &NormPlan) -> Result<(), ModelFault> {
        let (device, parameters) = (self.device, &mut *self.parameters);
        let saved = &mut self.buffers.saved[norm.id];
        let vectors = &parameters.vectors;
        let done = match self.moments {
            Moments::Saved => Ok(()),
            Moments::OfBatch if !norm.is_fixed => device.norm_moments(
                norm.rows(self.images),
                &self.buffers.maps[norm.input],
                vectors,
                &mut parameters.running,
                norm.places,
                saved,
            ),
            Moments::OfBatch | Moments::Running => {
                let running = &parameters.running;
                let channels = norm.size.channels;
                device.norm_of_running(channels, vectors, running, norm.places, saved)
            }
        };
        done.at(&norm.name)
    }

    /// `output` = relu(norm(its input) + what is added).
    pub(crate) fn activate(
        &mut self,
        norm: &NormPlan,
        added: Added<'_>,
        output: MapId,
    ) -> Result<(), ModelFault> {
        let (maps, saved) = (&mut self.buffers.maps, &self.buffers.saved);
        let (input, shortcut, output) = match added {
            Added::Nothing => {
                let [input, output] = pick(maps, [norm.input, output])?;
                (input, Shortcut::None, output)
            }
            Added::Map(map) => {
                let [input, map, output] = pick(maps, [norm.input, map, output])?;
                (input, Shortcut::Map(map), output)
            }
            Added::Norm(other) => {
                let [input, map, output] = pick(maps, [norm.input, other.input, output])?;
                (input, Shortcut::Norm(map, &saved[other.id]), output)
            }
        };
        let (rows, saved) = (norm.rows(self.images), &saved[norm.id]);
        self.device
            .norm_apply(rows, input, saved, shortcut, Activation::Relu, output)
            .at(&norm.name)
    }

    /// The largest of relu(norm(x)) in each window.
    pub(crate) fn pool_norm(&mut self, pool: &PoolPlan, norm: &NormPlan) -> Result<(), ModelFault> {
        let Buffers {
            maps,
            saved,
            picked,
            ..
        } = &mut *self.buffers;
        let [input, output] = pick(maps, [pool.input, pool.output])?;
        let (saved, channels) = (&saved[norm.id], norm.size.channels);
        self.device
            .pool_forward(
                &pool.over(self.images),
                input,
                (saved, 2 * channels),
                (saved, 3 * channels),
                output,
                &mut picked[pool.picked],
            )
            .at(&pool.name)
    }

    /// The largest of relu(x + bias) in each window.
    pub(crate) fn pool_bias(&mut self, pool: &PoolPlan, bias: usize) -> Result<(), ModelFault> {
        let Buffers {
            maps, ones, picked, ..
        } = &mut *self.buffers;
        let [input, output] = pick(maps, [pool.input, pool.output])?;
        self.device
            .pool_forward(
                &pool.over(self.images),
                input,
                (ones, 0),
                (&self.parameters.vectors, bias),
                output,
                &mut picked[pool.picked],
            )
            .at(&pool.name)
    }

    /// The mean of each channel of a map becomes the features.
    pub(crate) fn average(&mut self, norm: &NormPlan, map: MapId) -> Result<(), ModelFault> {
        let Buffers { maps, features, .. } = &mut *self.buffers;
        let (places, channels) = (norm.size.places(), norm.size.channels);
        self.device
            .mean_of_places(self.images, places, channels, &maps[map], features)
            .at("avgpool")
    }

    /// A linear layer over a map as it lies gives the features.
    pub(crate) fn flatten(&mut self, linear: &LinearPlan, map: MapId) -> Result<(), ModelFault> {
        let Buffers { maps, features, .. } = &mut *self.buffers;
        let Parameters {
            weights, vectors, ..
        } = &*self.parameters;
        self.device
            .linear_forward(
                &linear.over(self.images),
                &maps[map],
                weights,
                linear.weight,
                vectors,
                linear.bias,
                features,
            )
            .at(&linear.name)
    }

    /// The features, times what dropout makes of them, through the last layer.
    pub(crate) fn classify(
        &mut self,
        last: &LinearPlan,
        dropout: Option<&D::Floats>,
    ) -> Result<(), ModelFault> {
        let Buffers {
            features,
            dropped,
            logits,
            ..
        } = &mut *self.buffers;
        let Parameters {
            weights, vectors, ..
        } = &*self.parameters;
        let shape = last.over(self.images);
        let len = self.images * last.inputs;
        self.device
            .round(len, features, dropout, dropped)
            .at("dropout")?;
        self.device
            .linear_forward(
                &shape,
                dropped,
                weights,
                last.weight,
                vectors,
                last.bias,
                logits,
            )
            .at(&last.name)
    }
}
