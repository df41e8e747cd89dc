//! candle's memory as buffers of [`crate::device::Cuda`], without a copy.
//!
//! While a buffer is lent, candle's events around it are kept: what candle does before and behind
//! it, on whichever stream, is in order.

use candle_core::backend::BackendStorage;
use candle_core::cuda::cudarc::driver::{DevicePtrMut, SyncOnDrop};
use candle_core::op::BackpropOp;
use candle_core::{CudaStorage, Layout, Result, Storage, Tensor};

use super::Card;
use crate::device::cuda::{Floats, Map};

/// Numbers of a storage, as either kind of buffer: maps hold f32 in the precisions of cards.
pub(super) struct Lent<'a> {
    pub(super) floats: Floats,
    pub(super) map: Map,
    _until: SyncOnDrop<'a>,
}

impl Lent<'_> {
    /// # Safety
    /// As [`Floats::lent`], for as long as this is.
    unsafe fn new(address: u64, len: usize, until: SyncOnDrop<'_>) -> Lent<'_> {
        // SAFETY: the caller sees to it.
        let (floats, map) = unsafe { (Floats::lent(address, len), Map::lent(address, len)) };
        Lent {
            floats,
            map,
            _until: until,
        }
    }
}

impl Card {
    /// The numbers of a contiguous storage, to be read.
    pub(super) fn lend<'a>(
        &'a self,
        storage: &'a CudaStorage,
        layout: &Layout,
    ) -> Result<Lent<'a>> {
        let slice = storage.as_cuda_slice::<f32>()?;
        let Some((start, end)) = layout.contiguous_offsets() else {
            candle_core::bail!("the tensor is not contiguous: {layout:?}");
        };
        let (address, until) = slice.slice(start..end).view_ptr(&self.stream);
        // SAFETY: the storage is borrowed, and its events are kept, as long as `until` is.
        Ok(unsafe { Lent::new(address, end - start, until) })
    }

    /// Gives `work` the numbers of tensors, to be read.
    pub(super) fn with<const N: usize, R>(
        &self,
        tensors: [&Tensor; N],
        work: impl FnOnce([&Lent<'_>; N]) -> Result<R>,
    ) -> Result<R> {
        let contiguous = tensors.map(Tensor::contiguous);
        let contiguous = contiguous.into_iter().collect::<Result<Vec<_>>>()?;
        let held: Vec<_> = contiguous.iter().map(Tensor::storage_and_layout).collect();
        let lent = held.iter().map(|(storage, layout)| match &**storage {
            Storage::Cuda(storage) => self.lend(storage, layout),
            _ => candle_core::bail!("the tensor does not lie on a card"),
        });
        let lent = lent.collect::<Result<Vec<_>>>()?;
        work(std::array::from_fn(|place| &lent[place]))
    }

    /// A new storage of `len` numbers, all of them written by `write`.
    pub(super) fn output(
        &self,
        len: usize,
        write: impl FnOnce(&mut Lent<'_>) -> Result<()>,
    ) -> Result<CudaStorage> {
        // SAFETY: `write` sets every number, or the storage is dropped.
        let mut slice = unsafe { self.device.alloc::<f32>(len) }?;
        {
            let (address, until) = slice.device_ptr_mut(&self.stream);
            // SAFETY: the slice is borrowed, and its events are kept, as long as `until` is.
            write(&mut unsafe { Lent::new(address, len, until) })?;
        }
        Ok(CudaStorage::wrap_cuda_slice(slice, self.device.clone()))
    }

    /// A new tensor in the shape of `like`, all of it written by `write`.
    pub(super) fn gradient_of(
        &self,
        like: &Tensor,
        write: impl FnOnce(&mut Lent<'_>) -> Result<()>,
    ) -> Result<Tensor> {
        let storage = Storage::Cuda(self.output(like.elem_count(), write)?);
        let op = BackpropOp::none();
        Ok(Tensor::from_storage(storage, like.shape(), op, false))
    }
}

/// The numbers of a contiguous storage, on the host.
pub(crate) fn read(storage: &CudaStorage, layout: &Layout) -> Result<Vec<f32>> {
    let numbers = storage.to_cpu_storage()?;
    crate::inputs::slice(&numbers, layout).map(<[f32]>::to_vec)
}
