//! All that a trainer has on a device, and the three parts of a step.
//!
//! For the trainer, which writes what differs from step to step and has the parts recorded.

use cxr_ops::device::{self, Device};

use super::backward::{Backward, BackwardBuffers};
use super::buffers::Buffers;
use super::optimizer::{AdamArenas, GradientArenas};
use super::parameters::Parameters;
use super::pass::{Moments, Pass};
use super::plan::{Layers, Plan};
use super::predictor::forward;
use crate::fault::{AtLayer, ModelFault};

/// Loss and length of the gradient.
pub(crate) const OUTCOME: usize = 2;

/// All that lies on the device.
#[derive(Debug)]
pub(crate) struct State<D: Device> {
    pub(crate) parameters: Parameters<D>,
    pub(crate) buffers: Buffers<D>,
    pub(crate) gradients: GradientArenas<D>,
    pub(crate) adam: AdamArenas<D>,
    pub(crate) backward: BackwardBuffers<D>,
    pub(crate) targets: D::Floats,
    pub(crate) mask: D::Floats,
    pub(crate) pos_weights: D::Floats,
    pub(crate) outcome: D::Floats,
}

impl<D: Device> State<D> {
    pub(crate) fn new(device: &D, plan: &Plan, batch: usize) -> device::Result<Self> {
        let findings = plan.last.outputs;
        let mut pos_weights = device.floats(findings)?;
        device.write_floats(&mut pos_weights, 0, &vec![1.0; findings])?;
        Ok(Self {
            parameters: Parameters::new(device, &plan.layout)?,
            buffers: Buffers::new(device, plan, batch)?,
            gradients: GradientArenas::new(device, &plan.layout)?,
            adam: AdamArenas::new(device, &plan.layout)?,
            backward: BackwardBuffers::new(device, plan, batch)?,
            targets: device.floats(batch * findings)?,
            mask: device.floats(batch * findings)?,
            pos_weights,
            outcome: device.floats(OUTCOME)?,
        })
    }

    pub(crate) fn pass<'a>(
        &'a mut self,
        device: &'a D,
        images: usize,
        moments: Moments,
    ) -> Pass<'a, D> {
        Pass {
            device,
            images,
            moments,
            parameters: &mut self.parameters,
            buffers: &mut self.buffers,
        }
    }

    /// Forward and loss; the loss's gradient by the logits.
    pub(crate) fn lose(
        &mut self,
        device: &D,
        plan: &Plan,
        images: usize,
    ) -> Result<(), ModelFault> {
        let mut pass = Pass {
            device,
            images,
            moments: Moments::OfBatch,
            parameters: &mut self.parameters,
            buffers: &mut self.buffers,
        };
        let factors = drops_out(plan).then_some(&self.backward.dropout);
        forward(plan, &mut pass, factors)?;
        device
            .bce(
                images,
                plan.last.outputs,
                &self.buffers.logits,
                &self.targets,
                &self.mask,
                &self.pos_weights,
                &mut self.backward.logit_gradient,
                &mut self.outcome,
            )
            .at("loss")
    }

    /// Backward, and the length of the gradient.
    pub(crate) fn differentiate(
        &mut self,
        device: &D,
        plan: &Plan,
        images: usize,
    ) -> Result<(), ModelFault> {
        let pass = Pass {
            device,
            images,
            moments: Moments::OfBatch,
            parameters: &mut self.parameters,
            buffers: &mut self.buffers,
        };
        let mut back = Backward {
            pass,
            gradients: &mut self.gradients,
            memory: &mut self.backward,
            drops_out: drops_out(plan),
        };
        back.classify(&plan.last)?;
        if plan.last.trains_before {
            match &plan.layers {
                Layers::ResNet(layers) => layers.backward(&mut back)?,
                Layers::XrayCnn(layers) => layers.backward(&mut back)?,
            }
        }
        let (weights, vectors) = (plan.layout.weights.trained, plan.layout.vectors.trained);
        let gradients = &self.gradients;
        Ok(device.gradient_norm(
            (&gradients.weights, weights),
            (&gradients.vectors, vectors),
            &mut self.outcome,
        )?)
    }

    pub(crate) fn update(&mut self, device: &D, plan: &Plan) -> Result<(), ModelFault> {
        let Self {
            parameters,
            gradients,
            adam,
            outcome,
            ..
        } = self;
        Ok(adam.step(device, &plan.layout, gradients, outcome, parameters)?)
    }
}

/// Whether the features go through dropout in training.
pub(crate) fn drops_out(plan: &Plan) -> bool {
    plan.config.dropout > 0.0
}
