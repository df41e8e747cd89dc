//! How the operations compute on a card: a setting of the whole process.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::device::{DeviceFault, Precision, Result};

static IS_TF32: AtomicBool = AtomicBool::new(false);

/// Sets how products are summed on a card from now on: [`Precision::F32`], as it is at first, or
/// [`Precision::Tf32`], which is faster and keeps 10 bits of what is multiplied.
///
/// For convolutions and linear layers of candle's tensors. A backward pass follows what is set when
/// it runs.
///
/// # Errors
/// [`DeviceFault::Shape`] for [`Precision::Bf16`]: the tensors hold f32.
pub fn set_card_precision(precision: Precision) -> Result<()> {
    if precision == Precision::Bf16 {
        return Err(DeviceFault::Shape {
            call: "set_card_precision",
            problem: "bf16: candle's tensors are f32; f32 and tf32 can be set".to_owned(),
        });
    }
    IS_TF32.store(precision == Precision::Tf32, Ordering::Release);
    Ok(())
}

pub(super) fn precision() -> Precision {
    if IS_TF32.load(Ordering::Acquire) {
        Precision::Tf32
    } else {
        Precision::F32
    }
}
