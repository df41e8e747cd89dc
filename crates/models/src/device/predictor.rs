//! `DevicePredictor`: a network on a device that gives logits and nothing else.
//!
//! For evaluation and prediction. Its maps are overwritten as soon as they were read, so it takes
//! far less memory than a trainer. It is a copy: weights that change later do not change it.

use cxr_ops::device::{self, Device, Part};

use super::buffers::Buffers;
use super::memory::Memory;
use super::parameters::Parameters;
use super::pass::{Moments, Pass};
use super::plan::{Layers, Plan, Purpose};
use super::recordings::Recordings;
use super::{DeviceImages, check_network};
use crate::fault::ModelFault;
use crate::network::Network;

/// A network in evaluation mode on a device.
#[derive(Debug)]
pub struct DevicePredictor<D: Device> {
    device: D,
    plan: Plan,
    largest_batch: usize,
    parameters: Parameters<D>,
    buffers: Buffers<D>,
    /// By the number of images.
    recordings: Recordings<D, usize>,
}

impl<D: Device> DevicePredictor<D> {
    /// A copy of the network as it is now, for batches of up to `largest_batch` images.
    ///
    /// # Errors
    /// No image at all; [`ModelFault::DeviceMemory`] where the device has no room.
    pub fn new(device: D, network: &Network, largest_batch: usize) -> Result<Self, ModelFault> {
        let (config, precision) = (network.config(), device.precision());
        let plan = Plan::new(config, precision, Purpose::Prediction, |_| false)?;
        check_batch(largest_batch)?;
        let free = device.memory()?.map(|(free, _)| free);
        let allocated = || -> device::Result<_> {
            let parameters = Parameters::new(&device, &plan.layout)?;
            Ok((parameters, Buffers::new(&device, &plan, largest_batch)?))
        };
        let (parameters, buffers) = allocated()
            .map_err(|fault| Memory::of_prediction(&plan).fault(largest_batch, free, fault))?;
        let mut predictor = Self {
            device,
            plan,
            largest_batch,
            parameters,
            buffers,
            recordings: Recordings::new(),
        };
        predictor.load(network)?;
        Ok(predictor)
    }

    /// Takes over the weights and running statistics of a network of the same config.
    ///
    /// # Errors
    /// A network of another config; a weight that cannot be read.
    pub fn load(&mut self, network: &Network) -> Result<(), ModelFault> {
        check_network(&self.plan, network)?;
        let layout = &self.plan.layout;
        self.parameters
            .load(&self.device, layout, network, |_, _| Ok(()))?;
        let mut pass = Pass {
            device: &self.device,
            images: 1,
            moments: Moments::Running,
            parameters: &mut self.parameters,
            buffers: &mut self.buffers,
        };
        self.plan
            .norms
            .iter()
            .try_for_each(|norm| pass.measure(norm))
    }

    /// The most images that it takes at a time.
    #[must_use]
    pub fn largest_batch(&self) -> usize {
        self.largest_batch
    }

    /// The device.
    pub fn device(&self) -> &D {
        &self.device
    }

    /// The logits [B, K] of a batch, row-major: those of [`Network::forward`] in evaluation mode.
    ///
    /// # Errors
    /// Images of another number or shape; the device fails.
    pub fn logits(&mut self, images: DeviceImages<'_, D>) -> Result<Vec<f32>, ModelFault> {
        images.check(&self.plan, self.largest_batch)?;
        let Self {
            device,
            plan,
            parameters,
            buffers,
            recordings,
            ..
        } = self;
        buffers.fill(device, plan, &images)?;
        let images = images.len();
        let work = || {
            let mut pass = Pass {
                device: &*device,
                images,
                moments: Moments::Saved,
                parameters,
                buffers: &mut *buffers,
            };
            forward(plan, &mut pass, None)
        };
        recordings.run(device, images, work)?;
        let part = Part::first(images * plan.last.outputs);
        Ok(device.read_floats(&buffers.logits, part)?)
    }
}

/// Images to logits.
pub(crate) fn forward<D: Device>(
    plan: &Plan,
    pass: &mut Pass<'_, D>,
    dropout: Option<&D::Floats>,
) -> Result<(), ModelFault> {
    match &plan.layers {
        Layers::ResNet(layers) => layers.forward(pass)?,
        Layers::XrayCnn(layers) => layers.forward(pass)?,
    }
    pass.classify(&plan.last, dropout)
}

pub(crate) fn check_batch(largest_batch: usize) -> Result<(), ModelFault> {
    if largest_batch > 0 {
        return Ok(());
    }
    Err(ModelFault::Input {
        expected: "batches of at least 1 image".to_owned(),
        found: "0".to_owned(),
    })
}
