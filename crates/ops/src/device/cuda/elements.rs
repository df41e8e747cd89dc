//! What is done number by number, whatever the shape: ReLU, dropout, a common factor.
//!
//! For `crate::card`; numbers may begin anywhere.

use super::grid::{FLAT_BLOCKS, Grid};
use super::launch::arguments;
use super::{Cuda, Floats};
use crate::device::Result;
use crate::device::checks::Call;
use crate::kernels::dropout::DropoutKey;

impl Cuda {
    /// max(`input`, 0); not a number stays one.
    pub(crate) fn relu(&self, len: usize, input: &Floats, output: &mut Floats) -> Result<()> {
        let call = Call("relu");
        call.holds("the input", input.len(), len)?;
        call.holds("the output", output.len(), len)?;
        let arguments = arguments![len, input.address(), output.address()];
        self.inner.launch(call.0, self.flat(len), arguments)
    }

    /// `output` = the gradient where `activation`, the ReLU's output, is not 0 or below.
    pub(crate) fn relu_gradient(
        &self,
        len: usize,
        activation: &Floats,
        gradient: &Floats,
        output: &mut Floats,
    ) -> Result<()> {
        let call = Call("relu_gradient");
        call.holds("the activation", activation.len(), len)?;
        call.holds("the gradient", gradient.len(), len)?;
        call.holds("the output", output.len(), len)?;
        let addresses = [activation.address(), gradient.address(), output.address()];
        let [activation, gradient, output] = addresses;
        let arguments = arguments![len, activation, gradient, output];
        self.inner.launch(call.0, self.flat(len), arguments)
    }

    /// Every number times the first of `factor`.
    pub(crate) fn times(&self, len: usize, factor: &Floats, numbers: &mut Floats) -> Result<()> {
        let call = Call("times");
        call.holds("the factor", factor.len(), 1)?;
        call.holds("the numbers", numbers.len(), len)?;
        let arguments = arguments![len, factor.address(), numbers.address()];
        self.inner.launch(call.0, self.flat(len), arguments)
    }

    /// Dropout with the mask of [`crate::kernels::dropout::apply`], to the bit.
    pub(crate) fn dropout(
        &self,
        len: usize,
        (key, probability): (&DropoutKey, f64),
        input: &Floats,
        output: &mut Floats,
    ) -> Result<()> {
        let call = Call("dropout");
        call.holds("the input", input.len(), len)?;
        call.holds("the output", output.len(), len)?;
        let ([_, index, epoch, purpose], [key_low, key_high]) = key.origin();
        self.inner.launch(
            call.0,
            self.flat(len.div_ceil(4)),
            arguments![
                len,
                probability,
                (1.0 / (1.0 - probability)) as f32,
                key_low,
                key_high,
                index,
                epoch,
                purpose,
                input.address(),
                output.address()
            ],
        )
    }

    /// A thread for each of `len`, and no more blocks than run at once.
    pub(super) fn flat(&self, len: usize) -> Grid {
        Grid::flat(len, self.inner.streams.multiprocessors * FLAT_BLOCKS)
    }
}
