//! Tensors as checked inputs, and as slices for the kernels.

use crate::error::{OpError, Result};
use candle_core::{CpuStorage, DType, Device, Layout, Shape, Storage, Tensor};

/// One input of one operation, for messages.
#[derive(Clone, Copy)]
pub(crate) struct Input<'a> {
    pub(crate) op: &'static str,
    pub(crate) name: &'static str,
    pub(crate) tensor: &'a Tensor,
}

impl Input<'_> {
    /// Refuses a tensor on another device than `first`, the input that was checked before it.
    pub(crate) fn beside(self, first: &Tensor) -> Result<Self> {
        if self.tensor.device().same_device(first.device()) {
            return Ok(self);
        }
        let Self { op, name, .. } = self;
        Err(OpError::Device { op, input: name })
    }

    /// The tensor with its numbers next to each other, if it holds f32 where operations are (on the
    /// CPU; with the feature `cuda` also on a card) and has `rank` axes, none of length 0.
    pub(crate) fn checked(self, rank: usize) -> Result<Tensor> {
        let Self {
            op,
            name: input,
            tensor,
        } = self;
        let shape = || tensor.dims().to_vec();
        let is_on_card = cfg!(feature = "cuda") && tensor.device().is_cuda();
        if !(tensor.device().is_cpu() || is_on_card) {
            return Err(OpError::Device { op, input });
        }
        if tensor.dtype() != DType::F32 {
            return Err(OpError::ElementType {
                op,
                input,
                dtype: tensor.dtype(),
            });
        }
        if tensor.rank() != rank {
            return Err(OpError::Rank {
                op,
                input,
                rank,
                shape: shape(),
            });
        }
        if tensor.elem_count() == 0 {
            return Err(OpError::Empty {
                op,
                input,
                shape: shape(),
            });
        }
        Ok(tensor.contiguous()?)
    }

    /// [`Self::checked`] for a tensor whose shape is known.
    pub(crate) fn shaped(self, expected: &[usize]) -> Result<Tensor> {
        let checked = self.checked(expected.len())?;
        if checked.dims() == expected {
            return Ok(checked);
        }
        let (shape, expected) = (checked.dims().to_vec(), expected.to_vec());
        Err(OpError::Shape {
            op: self.op,
            input: self.name,
            shape,
            expected,
        })
    }
}

/// The numbers of a contiguous storage.
pub(crate) fn slice<'a>(
    storage: &'a CpuStorage,
    layout: &Layout,
) -> candle_core::Result<&'a [f32]> {
    let numbers = storage.as_slice::<f32>()?;
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&numbers[start..end]),
        None => candle_core::bail!("the tensor is not contiguous: {layout:?}"),
    }
}

/// Gives `read` the numbers of a tensor on the CPU, or a copy of those on a card.
pub(crate) fn with_slice<R>(
    tensor: &Tensor,
    read: impl FnOnce(&[f32]) -> R,
) -> candle_core::Result<R> {
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => Ok(read(slice(storage, layout)?)),
        #[cfg(feature = "cuda")]
        Storage::Cuda(storage) => Ok(read(&crate::card::read(storage, layout)?)),
        _ => candle_core::bail!("the tensor does not lie on the CPU"),
    }
}

/// A new output for `CustomOp::cpu_fwd`, written by `write`.
pub(crate) fn output(
    shape: impl Into<Shape>,
    write: impl FnOnce(&mut [f32]),
) -> (CpuStorage, Shape) {
    let shape = shape.into();
    let mut numbers = vec![0.0; shape.elem_count()];
    write(&mut numbers);
    (CpuStorage::F32(numbers), shape)
}

/// A new tensor in the shape of `like`, written by `write`.
pub(crate) fn gradient_of(
    like: &Tensor,
    write: impl FnOnce(&mut [f32]),
) -> candle_core::Result<Tensor> {
    let mut numbers = vec![0.0; like.elem_count()];
    write(&mut numbers);
    Tensor::from_vec(numbers, like.shape(), &Device::Cpu)
}
