//! The tensors of a network in the memory of a device.
//!
//! For the passes, which read them; only running statistics move there. What an optimizer needs
//! beside them is in `optimizer`.

use candle_core::{Device as Cpu, Tensor, Var};
use cxr_ops::device::{self, Device};

use super::layout::{Arena, Layout, Slot};
use crate::fault::{AtLayer, ModelFault};
use crate::network::Network;
use crate::numbers::{Numbers, with_numbers};

/// Three arenas as the layout says.
#[derive(Debug)]
pub(crate) struct Parameters<D: Device> {
    pub(crate) weights: D::Map,
    pub(crate) vectors: D::Floats,
    pub(crate) running: D::Floats,
}

impl<D: Device> Parameters<D> {
    pub(crate) fn new(device: &D, layout: &Layout) -> device::Result<Self> {
        Ok(Self {
            weights: device.map(layout.weights.len)?,
            vectors: device.floats(layout.vectors.len)?,
            running: device.floats(layout.running.len)?,
        })
    }

    /// Writes a tensor that lies in the device's order.
    pub(crate) fn write(&mut self, device: &D, slot: &Slot, numbers: &[f32]) -> device::Result<()> {
        let start = slot.part.start;
        match slot.arena {
            Arena::Weights => device.write_map(&mut self.weights, start, numbers),
            Arena::Vectors => device.write_floats(&mut self.vectors, start, numbers),
            Arena::Running => device.write_floats(&mut self.running, start, numbers),
        }
    }

    /// Takes over every tensor of a network; each is shown to `also`, in the device's order.
    pub(crate) fn load(
        &mut self,
        device: &D,
        layout: &Layout,
        network: &Network,
        mut also: impl FnMut(&Slot, &[f32]) -> device::Result<()>,
    ) -> Result<(), ModelFault> {
        for (name, var) in network.variables() {
            // Counts of batches stay on the host.
            let Ok(slot) = layout.slot(&name) else {
                continue;
            };
            let numbers = numbers_of(&var).at(&name)?;
            let numbers = slot.order.to_device(&numbers);
            self.write(device, slot, &numbers).at(&name)?;
            also(slot, &numbers).at(&name)?;
        }
        Ok(())
    }
}

/// A copy of a variable's numbers.
fn numbers_of(var: &Var) -> candle_core::Result<Vec<f32>> {
    let dtype = var.dtype();
    with_numbers(var.as_tensor(), |numbers| match numbers {
        Numbers::F32(numbers) => Ok(numbers.to_vec()),
        Numbers::I64(_) => Err(candle_core::Error::UnsupportedDTypeForOp(dtype, "a weight")),
    })?
}

/// Sets a variable to numbers in the order of its shape.
pub(crate) fn set_numbers(var: &Var, numbers: Vec<f32>) -> candle_core::Result<()> {
    var.set(&Tensor::from_vec(numbers, var.shape(), &Cpu::Cpu)?)
}

/// A tensor of an arena of f32, in PyTorch's order.
pub(crate) fn read_floats<D: Device>(
    device: &D,
    floats: &D::Floats,
    slot: &Slot,
) -> device::Result<Vec<f32>> {
    let numbers = device.read_floats(floats, slot.part)?;
    Ok(slot.order.to_host(numbers))
}

/// A tensor of an arena in the maps' type, in PyTorch's order.
pub(crate) fn read_map<D: Device>(
    device: &D,
    map: &D::Map,
    slot: &Slot,
) -> device::Result<Vec<f32>> {
    let numbers = device.read_map(map, slot.part)?;
    Ok(slot.order.to_host(numbers))
}
