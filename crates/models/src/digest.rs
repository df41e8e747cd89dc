//! BLAKE3 over tensors: one hex word that two networks share exactly when all their numbers do.
//!
//! For tests of reproducibility and for run records.

use std::collections::BTreeMap;
use std::convert::Infallible;

use candle_core::Tensor;

use crate::fault::{AtLayer, ModelFault};
use crate::numbers::each_bytes;

/// Hex digest over names, types, shapes and little-endian bytes, sorted by name.
///
/// # Errors
/// Where a tensor holds another type than f32 or i64.
pub fn digest_of_tensors(tensors: &BTreeMap<String, Tensor>) -> Result<String, ModelFault> {
    let mut hasher = blake3::Hasher::new();
    for (name, tensor) in tensors {
        // Lengths before contents, so that no two different lists give the same bytes.
        hasher.update(&(name.len() as u64).to_le_bytes());
        hasher.update(name.as_bytes());
        hasher.update(tensor.dtype().as_str().as_bytes());
        hasher.update(&(tensor.rank() as u64).to_le_bytes());
        for &side in tensor.dims() {
            hasher.update(&(side as u64).to_le_bytes());
        }
        let Ok(()) = each_bytes(tensor, |bytes| {
            hasher.update(bytes);
            Ok::<(), Infallible>(())
        })
        .at(name)?;
    }
    Ok(hasher.finalize().to_hex().to_string())
}
