//! `max_pool2d` and `avg_pool_global` for candle: the kernels of [`crate::kernels::pool`].

use crate::conv::check_window;
use crate::error::{OpError, Result};
use crate::inputs::{Input, gradient_of, output, slice, with_slice};
use crate::kernels::Window;
use crate::kernels::pool::{self, Place};
use crate::nhwc::MapSize;
use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor};
use std::sync::OnceLock;

const MAX: &str = "max_pool2d";
const AVERAGE: &str = "avg_pool_global";

/// How a pooling window slides, along both axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pool2dGeometry {
    /// Height and width of the window, 1 to 256.
    pub kernel: usize,
    /// The step between windows, at least 1.
    pub stride: usize,
    /// Places that are added on each side and count as −∞; less than `kernel`.
    pub padding: usize,
}

impl Pool2dGeometry {
    /// The window over maps of this size.
    #[must_use]
    pub fn over(&self, map: MapSize) -> Window {
        Window {
            input: [map.height, map.width],
            kernel: [self.kernel; 2],
            stride: self.stride,
            padding: [self.padding; 2],
        }
    }
}

/// The largest value under each window of `input` [N, C, H, W]: [N, C, H′, W′].
///
/// Each output's gradient goes to the first of its largest inputs, row by row.
///
/// # Errors
/// [`OpError`] where the tensor is no f32 on the CPU or a card, has another rank or an axis of
/// length 0, or where a window fits nowhere or lies in the padding alone.
pub fn max_pool2d(input: &Tensor, geometry: Pool2dGeometry) -> Result<Tensor> {
    let input = Input {
        op: MAX,
        name: "input",
        tensor: input,
    }
    .checked(4)?;
    let (_, _, height, width) = input.dims4()?;
    let Pool2dGeometry {
        kernel,
        stride,
        padding,
    } = geometry;
    let refuse = |setting, given: usize, expected: &str| {
        let (given, expected) = (given.to_string(), expected.to_owned());
        Err(OpError::Geometry {
            op: MAX,
            setting,
            given,
            expected,
        })
    };
    if kernel == 0 || kernel > 256 {
        return refuse("kernel", kernel, "a pooling kernel is 1 to 256 wide");
    }
    if padding >= kernel {
        return refuse(
            "padding",
            padding,
            "a pooling window must meet the input: padding < kernel",
        );
    }
    let window = Window {
        input: [height, width],
        kernel: [kernel; 2],
        stride,
        padding: [padding; 2],
    };
    check_window(MAX, &window)?;
    #[cfg(feature = "cuda")]
    if input.device().is_cuda() {
        return Ok(crate::card::max_pool2d(&input, window)?);
    }
    Ok(if window.taps() <= 256 {
        input.apply_op1(MaxPool2d::<u8> {
            window,
            places: OnceLock::new(),
        })?
    } else {
        input.apply_op1(MaxPool2d::<u32> {
            window,
            places: OnceLock::new(),
        })?
    })
}

/// The mean of each plane of `input` [N, C, H, W]: [N, C].
///
/// # Errors
/// [`OpError`] where the tensor is no f32 on the CPU or a card, has another rank or an axis of
/// length 0.
pub fn avg_pool_global(input: &Tensor) -> Result<Tensor> {
    let input = Input {
        op: AVERAGE,
        name: "input",
        tensor: input,
    }
    .checked(4)?;
    #[cfg(feature = "cuda")]
    if input.device().is_cuda() {
        return Ok(crate::card::avg_pool_global(&input)?);
    }
    Ok(input.apply_op1(AveragePoolGlobal)?)
}

struct MaxPool2d<P> {
    window: Window,
    /// The place of each maximum, kept from the forward pass.
    places: OnceLock<Vec<P>>,
}

impl<P: Place> CustomOp1 for MaxPool2d<P> {
    fn name(&self) -> &'static str {
        MAX
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let (images, channels, _, _) = layout.shape().dims4()?;
        let [height, width] = self.window.output();
        let input = slice(input, layout)?;
        let mut places = vec![P::from_index(0); images * channels * height * width];
        let result = output((images, channels, height, width), |output| {
            pool::max_forward(&self.window, input, output, &mut places);
        });
        // An op object serves one forward pass; a second one would find the same places.
        self.places.get_or_init(|| places);
        Ok(result)
    }

    fn bwd(
        &self,
        input: &Tensor,
        _output: &Tensor,
        gradient: &Tensor,
    ) -> candle_core::Result<Option<Tensor>> {
        let Some(places) = self.places.get() else {
            candle_core::bail!("{MAX}: backward before forward");
        };
        let of_input = with_slice(gradient, |gradient| {
            gradient_of(input, |target| {
                pool::max_input_gradient(&self.window, places, gradient, target);
            })
        })??;
        Ok(Some(of_input))
    }
}

struct AveragePoolGlobal;

impl CustomOp1 for AveragePoolGlobal {
    fn name(&self) -> &'static str {
        AVERAGE
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let (images, channels, height, width) = layout.shape().dims4()?;
        let input = slice(input, layout)?;
        Ok(output((images, channels), |output| {
            pool::average_forward(height * width, input, output)
        }))
    }

    fn bwd(
        &self,
        input: &Tensor,
        _output: &Tensor,
        gradient: &Tensor,
    ) -> candle_core::Result<Option<Tensor>> {
        let (_, _, height, width) = input.dims4()?;
        let of_input = with_slice(gradient, |gradient| {
            gradient_of(input, |target| {
                pool::average_input_gradient(height * width, gradient, target);
            })
        })??;
        Ok(Some(of_input))
    }
}
