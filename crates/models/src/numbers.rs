//! The plain numbers of a tensor on the CPU, without a copy where it is contiguous, and their
//! little-endian bytes.
//!
//! For what reads weights as numbers: checks, digests, files.

use candle_core::{CpuStorage, DType, Device, Error, Result, Storage, Tensor};

/// Numbers turned into bytes at a time.
const CHUNK: usize = 1 << 14;

/// A tensor's numbers in row-major order.
pub(crate) enum Numbers<'a> {
    F32(&'a [f32]),
    I64(&'a [i64]),
}

/// Shows `tensor`'s numbers to `look`. Other types than f32 and i64 are an error.
pub(crate) fn with_numbers<R>(tensor: &Tensor, look: impl FnOnce(Numbers<'_>) -> R) -> Result<R> {
    let tensor = tensor.to_device(&Device::Cpu)?.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    let places = layout.start_offset()..layout.start_offset() + layout.shape().elem_count();
    let numbers = match &*storage {
        Storage::Cpu(CpuStorage::F32(numbers)) => numbers.get(places).map(Numbers::F32),
        Storage::Cpu(CpuStorage::I64(numbers)) => numbers.get(places).map(Numbers::I64),
        _ => None,
    };
    let numbers = numbers.ok_or_else(|| Error::UnsupportedDTypeForOp(tensor.dtype(), "reading"))?;
    Ok(look(numbers))
}

/// Hands `tensor`'s little-endian bytes to `take`, piece by piece; stops at its first error.
pub(crate) fn each_bytes<E>(
    tensor: &Tensor,
    mut take: impl FnMut(&[u8]) -> std::result::Result<(), E>,
) -> Result<std::result::Result<(), E>> {
    let mut bytes = Vec::with_capacity(CHUNK * size_of::<i64>());
    with_numbers(tensor, |numbers| match numbers {
        Numbers::F32(numbers) => numbers.chunks(CHUNK).try_for_each(|chunk| {
            bytes.clear();
            bytes.extend(chunk.iter().flat_map(|number| number.to_le_bytes()));
            take(&bytes)
        }),
        Numbers::I64(numbers) => numbers.chunks(CHUNK).try_for_each(|chunk| {
            bytes.clear();
            bytes.extend(chunk.iter().flat_map(|number| number.to_le_bytes()));
            take(&bytes)
        }),
    })
}

/// A tensor from little-endian bytes; `None` where their number does not fit the shape.
pub(crate) fn from_bytes(bytes: &[u8], dtype: DType, shape: &[usize]) -> Result<Option<Tensor>> {
    if shape.iter().product::<usize>() * dtype.size_in_bytes() != bytes.len() {
        return Ok(None);
    }
    let tensor = match dtype {
        DType::F32 => {
            let (words, _) = bytes.as_chunks::<4>();
            let numbers: Vec<f32> = words.iter().map(|word| f32::from_le_bytes(*word)).collect();
            Tensor::from_vec(numbers, shape, &Device::Cpu)?
        }
        DType::I64 => {
            let (words, _) = bytes.as_chunks::<8>();
            let numbers: Vec<i64> = words.iter().map(|word| i64::from_le_bytes(*word)).collect();
            Tensor::from_vec(numbers, shape, &Device::Cpu)?
        }
        other => return Err(Error::UnsupportedDTypeForOp(other, "reading")),
    };
    Ok(Some(tensor))
}
