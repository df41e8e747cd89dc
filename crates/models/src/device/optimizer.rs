//! Gradients and Adam's memory on a device: arenas beside those of the parameters.
//!
//! For the trainer. Which step it is and how fast it learns is the caller's.

use std::collections::BTreeMap;

use cxr_ops::AdamMoments;
use cxr_ops::device::{self, AdamFactors, Device, Part};

use super::layout::{Arena, Layout, Slot};
use super::parameters::{Parameters, read_floats, read_map};
use crate::fault::{AtLayer, ModelFault};
use crate::step::Gradients;

/// A number for each number of the parameters. Those of frozen parameters are not looked at.
#[derive(Debug)]
pub(crate) struct GradientArenas<D: Device> {
    pub(crate) weights: D::Map,
    pub(crate) vectors: D::Floats,
}

impl<D: Device> GradientArenas<D> {
    pub(crate) fn new(device: &D, layout: &Layout) -> device::Result<Self> {
        Ok(Self {
            weights: device.map(layout.weights.len)?,
            vectors: device.floats(layout.vectors.len)?,
        })
    }

    /// A copy of all that are trained.
    pub(crate) fn read(&self, device: &D, layout: &Layout) -> Result<Gradients, ModelFault> {
        let mut gradients = Gradients::default();
        for (name, slot) in layout.trained() {
            let gradient = match slot.arena {
                Arena::Weights => read_map(device, &self.weights, slot),
                Arena::Vectors | Arena::Running => read_floats(device, &self.vectors, slot),
            };
            gradients.set(name, gradient.at(name)?);
        }
        Ok(gradients)
    }
}

/// What Adam keeps of the weights, and of the vectors.
#[derive(Debug)]
pub(crate) struct AdamArenas<D: Device> {
    /// The weights before they are rounded to the maps' type.
    pub(crate) master: D::Floats,
    weights: MomentArenas<D>,
    vectors: MomentArenas<D>,
    pub(crate) factors: D::Floats,
}

#[derive(Debug)]
struct MomentArenas<D: Device> {
    mean: D::Floats,
    mean_square: D::Floats,
}

impl<D: Device> MomentArenas<D> {
    fn new(device: &D, len: usize) -> device::Result<Self> {
        Ok(Self {
            mean: device.floats(len)?,
            mean_square: device.floats(len)?,
        })
    }
}

impl<D: Device> AdamArenas<D> {
    pub(crate) fn new(device: &D, layout: &Layout) -> device::Result<Self> {
        Ok(Self {
            master: device.floats(layout.weights.len)?,
            weights: MomentArenas::new(device, layout.weights.len)?,
            vectors: MomentArenas::new(device, layout.vectors.len)?,
            factors: device.floats(AdamFactors::LEN)?,
        })
    }

    /// Moves everything that is trained, unless `outcome` is not finite.
    pub(crate) fn step(
        &mut self,
        device: &D,
        layout: &Layout,
        gradients: &GradientArenas<D>,
        outcome: &D::Floats,
        parameters: &mut Parameters<D>,
    ) -> device::Result<()> {
        if layout.weights.trained > 0 {
            device.adam_weights(
                Part::first(layout.weights.trained),
                &self.factors,
                outcome,
                &gradients.weights,
                &mut self.master,
                &mut self.weights.mean,
                &mut self.weights.mean_square,
                &mut parameters.weights,
            )?;
        }
        if layout.vectors.trained > 0 {
            device.adam_vectors(
                Part::first(layout.vectors.trained),
                &self.factors,
                outcome,
                &gradients.vectors,
                &mut parameters.vectors,
                &mut self.vectors.mean,
                &mut self.vectors.mean_square,
            )?;
        }
        Ok(())
    }

    fn moments_of(&self, slot: &Slot) -> &MomentArenas<D> {
        match slot.arena {
            Arena::Weights => &self.weights,
            Arena::Vectors | Arena::Running => &self.vectors,
        }
    }

    /// The moments of all that is trained.
    pub(crate) fn read(
        &self,
        device: &D,
        layout: &Layout,
    ) -> Result<BTreeMap<String, AdamMoments>, ModelFault> {
        let mut all = BTreeMap::new();
        for (name, slot) in layout.trained() {
            let moments = self.moments_of(slot);
            let mean = read_floats(device, &moments.mean, slot).at(name)?;
            let mean_square = read_floats(device, &moments.mean_square, slot).at(name)?;
            all.insert(name.to_owned(), AdamMoments { mean, mean_square });
        }
        Ok(all)
    }

    /// Takes up the moments of all that is trained; nothing where one is missing or does not fit.
    pub(crate) fn write(
        &mut self,
        device: &D,
        layout: &Layout,
        all: &BTreeMap<String, AdamMoments>,
    ) -> Result<(), ModelFault> {
        let mut fitting = Vec::new();
        for (name, slot) in layout.trained() {
            fitting.push((name, slot, fitting_moments(name, slot, all.get(name))?));
        }
        for (name, slot, moments) in fitting {
            let arenas = match slot.arena {
                Arena::Weights => &mut self.weights,
                Arena::Vectors | Arena::Running => &mut self.vectors,
            };
            let pairs = [
                (&mut arenas.mean, &moments.mean),
                (&mut arenas.mean_square, &moments.mean_square),
            ];
            for (floats, numbers) in pairs {
                let numbers = slot.order.to_device(numbers);
                device
                    .write_floats(floats, slot.part.start, &numbers)
                    .at(name)?;
            }
        }
        Ok(())
    }
}

fn fitting_moments<'a>(
    name: &str,
    slot: &Slot,
    moments: Option<&'a AdamMoments>,
) -> Result<&'a AdamMoments, ModelFault> {
    let expected = slot.order.host_len();
    let found = match moments {
        Some(found) if found.mean.len() == expected && found.mean_square.len() == expected => {
            return Ok(found);
        }
        Some(AdamMoments { mean, mean_square }) => [mean.len(), mean_square.len()],
        None => [0; 2],
    };
    Err(ModelFault::Input {
        expected: format!("two moments of {expected} numbers for {name}"),
        found: format!("{} and {} numbers", found[0], found[1]),
    })
}
