//! Changing a tensor on a card by the host: what a step of Adam with the host's moments does.

use candle_core::{CudaStorage, Layout, Result};

use super::lend;

/// Brings the numbers of a contiguous storage to the host, lets `change` change them, and brings
/// them back.
pub(crate) fn change(
    storage: &mut CudaStorage,
    layout: &Layout,
    change: impl FnOnce(&mut [f32]),
) -> Result<()> {
    let mut numbers = lend::read(storage, layout)?;
    change(&mut numbers);
    let (device, start) = (storage.device.clone(), layout.start_offset());
    let slice = storage.as_cuda_slice_mut::<f32>()?;
    let mut target = slice.slice_mut(start..start + numbers.len());
    device.memcpy_htod(&numbers, &mut target)
}
