//! Pooling on planes as they lie: the largest number of each window, the mean of each plane.
//!
//! For `crate::card`; the arithmetic is that of `crate::kernels` on the CPU. Planes may begin
//! anywhere, and their numbers have either sign.

use super::grid::{Grid, int};
use super::launch::arguments;
use super::memory::Buffer;
use super::{Cuda, Floats};
use crate::device::checks::Call;
use crate::device::{PoolShape, Result};
use crate::kernels::Window;

/// Which place of its window each number of a pooled map came from.
pub(crate) type Places = Buffer<u32>;

impl Cuda {
    /// The largest number under each window of every plane, and its place in the window.
    pub(crate) fn plane_pool(
        &self,
        planes: usize,
        window: &Window,
        input: &Floats,
        output: &mut Floats,
        picked: &mut Places,
    ) -> Result<()> {
        let call = Call("plane_pool");
        let pool = of_planes(planes, window);
        int(call.0, "numbers", pool.input_len())?;
        call.holds("the input", input.len(), pool.input_len())?;
        call.holds("the output", output.len(), pool.output_len())?;
        call.holds("the picked places", picked.len(), pool.output_len())?;
        let first = arguments![input.address(), output.address(), picked.address()];
        let all = self.inner.pool_arguments(call, &pool, first)?;
        let grid = self.flat(pool.output_len());
        self.inner.launch(call.0, grid, &all)
    }

    /// The gradient of its input.
    pub(crate) fn plane_pool_backward(
        &self,
        planes: usize,
        window: &Window,
        gradient: &Floats,
        picked: &Places,
        output: &mut Floats,
    ) -> Result<()> {
        let call = Call("plane_pool_backward");
        let pool = of_planes(planes, window);
        call.holds("the gradient", gradient.len(), pool.output_len())?;
        call.holds("the picked places", picked.len(), pool.output_len())?;
        call.holds("the output", output.len(), pool.input_len())?;
        let first = arguments![gradient.address(), picked.address(), output.address()];
        let all = self.inner.pool_arguments(call, &pool, first)?;
        let grid = self.flat(pool.input_len());
        self.inner.launch(call.0, grid, &all)
    }

    /// The mean of each plane.
    pub(crate) fn plane_means(
        &self,
        [planes, places]: [usize; 2],
        input: &Floats,
        output: &mut Floats,
    ) -> Result<()> {
        let call = Call("plane_means");
        call.holds("the input", input.len(), planes * places)?;
        call.holds("the output", output.len(), planes)?;
        int(call.0, "planes", planes)?;
        let threads = Grid::one_block().threads as usize;
        self.inner.launch(
            call.0,
            Grid::flat(planes * threads, usize::MAX).sharing_f64(1),
            arguments![
                int(call.0, "places", places)?,
                input.address(),
                output.address()
            ],
        )
    }

    /// Each plane's gradient, shared evenly by its places.
    pub(crate) fn plane_spread(
        &self,
        [planes, places]: [usize; 2],
        gradient: &Floats,
        output: &mut Floats,
    ) -> Result<()> {
        let call = Call("plane_spread");
        let len = planes * places;
        int(call.0, "numbers", len)?;
        call.holds("the gradient", gradient.len(), planes)?;
        call.holds("the output", output.len(), len)?;
        self.inner.launch(
            call.0,
            self.flat(len),
            arguments![
                len,
                int(call.0, "places", places)?,
                gradient.address(),
                output.address()
            ],
        )
    }

    /// Room for the places that a pooling picks.
    pub(crate) fn unset_places(&self, len: usize) -> Result<Places> {
        Places::unset(&self.inner.streams, "places", len, size_of::<u32>())
    }
}

/// Planes as images of one channel.
fn of_planes(planes: usize, window: &Window) -> PoolShape {
    PoolShape {
        images: planes,
        channels: 1,
        window: *window,
    }
}
