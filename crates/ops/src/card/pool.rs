//! `max_pool2d` and `avg_pool_global` on a card.

use std::sync::OnceLock;

use candle_core::{CpuStorage, CudaStorage, CustomOp1, Layout, Result, Shape, Tensor};

use super::{Card, not_here};
use crate::device::cuda::Places;
use crate::kernels::Window;

const MAX: &str = "max_pool2d";
const AVERAGE: &str = "avg_pool_global";

/// [`crate::max_pool2d`] of a contiguous tensor on a card, whose windows all meet it.
pub(crate) fn max_pool2d(input: &Tensor, window: Window) -> Result<Tensor> {
    input.apply_op1(MaxPool2d {
        window,
        places: OnceLock::new(),
    })
}

/// [`crate::avg_pool_global`] of a contiguous tensor on a card.
pub(crate) fn avg_pool_global(input: &Tensor) -> Result<Tensor> {
    input.apply_op1(AveragePoolGlobal)
}

struct MaxPool2d {
    window: Window,
    /// The place of each maximum, kept from the forward pass.
    places: OnceLock<Places>,
}

impl CustomOp1 for MaxPool2d {
    fn name(&self) -> &'static str {
        MAX
    }

    fn cpu_fwd(&self, _input: &CpuStorage, _layout: &Layout) -> Result<(CpuStorage, Shape)> {
        not_here(MAX)
    }

    fn cuda_fwd(&self, input: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let card = Card::new(&input.device)?;
        let (images, channels, _, _) = layout.shape().dims4()?;
        let [height, width] = self.window.output();
        let shape = Shape::from((images, channels, height, width));
        let mut places = card.cuda.unset_places(shape.elem_count())?;
        let (planes, input) = (images * channels, card.lend(input, layout)?);
        let output = card.output(shape.elem_count(), |output| {
            let output = &mut output.floats;
            let (window, input) = (&self.window, &input.floats);
            Ok(card
                .cuda
                .plane_pool(planes, window, input, output, &mut places)?)
        })?;
        // An op object serves one forward pass; a second one would find the same places.
        self.places.get_or_init(|| places);
        Ok((output, shape))
    }

    fn bwd(&self, input: &Tensor, _output: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let Some(places) = self.places.get() else {
            candle_core::bail!("{MAX}: backward before forward");
        };
        let card = Card::of(input)?;
        let (images, channels, _, _) = input.dims4()?;
        card.with([gradient], |[gradient]| {
            let of_input = card.gradient_of(input, |target| {
                Ok(card.cuda.plane_pool_backward(
                    images * channels,
                    &self.window,
                    &gradient.floats,
                    places,
                    &mut target.floats,
                )?)
            })?;
            Ok(Some(of_input))
        })
    }
}

struct AveragePoolGlobal;

impl CustomOp1 for AveragePoolGlobal {
    fn name(&self) -> &'static str {
        AVERAGE
    }

    fn cpu_fwd(&self, _input: &CpuStorage, _layout: &Layout) -> Result<(CpuStorage, Shape)> {
        not_here(AVERAGE)
    }

    fn cuda_fwd(&self, input: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let card = Card::new(&input.device)?;
        let (images, channels, height, width) = layout.shape().dims4()?;
        let (sizes, input) = (
            [images * channels, height * width],
            card.lend(input, layout)?,
        );
        let output = card.output(images * channels, |output| {
            let output = &mut output.floats;
            Ok(card.cuda.plane_means(sizes, &input.floats, output)?)
        })?;
        Ok((output, (images, channels).into()))
    }

    fn bwd(&self, input: &Tensor, _output: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let card = Card::of(input)?;
        let (images, channels, height, width) = input.dims4()?;
        let sizes = [images * channels, height * width];
        card.with([gradient], |[gradient]| {
            let of_input = card.gradient_of(input, |target| {
                let target = &mut target.floats;
                Ok(card.cuda.plane_spread(sizes, &gradient.floats, target)?)
            })?;
            Ok(Some(of_input))
        })
    }
}
