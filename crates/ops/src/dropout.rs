//! `dropout` for candle: the kernel of [`crate::kernels::dropout`].

use crate::error::{OpError, Result};
use crate::inputs::{Input, gradient_of, output, slice, with_slice};
use crate::kernels::dropout::{DropoutKey, apply};
use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor};

const OP: &str = "dropout";

/// `input` with each element dropped with `probability`, and the others divided by
/// 1 − `probability`; for training only.
///
/// Which elements are dropped is a pure function of `key` and the element's place. A probability of
/// 0 gives the input itself.
///
/// # Errors
/// [`OpError`] where the tensor is no f32 on the CPU or a card or is empty, where `probability` is
/// not in [0, 1), or where the key is out of its range.
pub fn dropout(input: &Tensor, probability: f64, key: DropoutKey) -> Result<Tensor> {
    let input = Input {
        op: OP,
        name: "input",
        tensor: input,
    }
    .checked(input.rank())?;
    if !(0.0..1.0).contains(&probability) {
        return Err(OpError::Probability { probability });
    }
    key.check(input.elem_count())?;
    if probability == 0.0 {
        return Ok(input);
    }
    #[cfg(feature = "cuda")]
    if input.device().is_cuda() {
        return Ok(crate::card::dropout(&input, probability, key)?);
    }
    Ok(input.apply_op1(Dropout { probability, key })?)
}

impl DropoutKey {
    /// Refuses a key that has no mask of its own, or too many elements for one mask.
    ///
    /// # Errors
    /// [`OpError::DropoutKey`] with the first part that is too large.
    pub fn check(&self, elements: usize) -> Result<()> {
        let parts = [
            ("step", self.step, Self::STEPS - 1),
            ("layer", self.layer, Self::LAYERS - 1),
            ("elements", elements as u64, Self::ELEMENTS),
        ];
        for (part, given, largest) in parts {
            if given > largest {
                return Err(OpError::DropoutKey {
                    part,
                    given,
                    largest,
                });
            }
        }
        Ok(())
    }
}

struct Dropout {
    probability: f64,
    key: DropoutKey,
}

impl CustomOp1 for Dropout {
    fn name(&self) -> &'static str {
        OP
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let input = slice(input, layout)?;
        Ok(output(layout.shape(), |output| {
            apply(&self.key, self.probability, input, output)
        }))
    }

    fn bwd(
        &self,
        input: &Tensor,
        _output: &Tensor,
        gradient: &Tensor,
    ) -> candle_core::Result<Option<Tensor>> {
        let of_input = with_slice(gradient, |gradient| {
            gradient_of(input, |target| {
                apply(&self.key, self.probability, gradient, target)
            })
        })??;
        Ok(Some(of_input))
    }
}
