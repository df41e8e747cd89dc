//! cuDNN's handle and descriptors, owned: made, filled and destroyed.
//!
//! For `convolution`. Sizes go to cuDNN as [N, C, H, W] whatever lies in memory; the format says
//! that channels come last.

use cudarc::cudnn::result;
use cudarc::cudnn::sys::{
    self, cudnnConvolutionDescriptor_t, cudnnConvolutionMode_t, cudnnDataType_t,
    cudnnFilterDescriptor_t, cudnnHandle_t, cudnnMathType_t, cudnnTensorDescriptor_t,
    cudnnTensorFormat_t,
};

use super::fault::check_cudnn;
use super::grid::int;
use super::stream::Streams;
use crate::device::{Precision, Result};
use crate::kernels::conv::ConvShape;

const FORMAT: cudnnTensorFormat_t = cudnnTensorFormat_t::CUDNN_TENSOR_NHWC;

/// The sizes of a convolution in cuDNN's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sizes {
    /// [N, C, H, W].
    pub(super) input: [i32; 4],
    /// [O, C, kh, kw].
    pub(super) kernel: [i32; 4],
    /// [N, O, H′, W′].
    pub(super) output: [i32; 4],
    /// Above and left.
    pub(super) padding: [i32; 2],
    pub(super) stride: i32,
}

impl Sizes {
    /// Those of a shape that [`super::super::checks::Call::conv`] takes.
    pub(super) fn new(call: &'static str, shape: &ConvShape) -> Result<Self> {
        let window = &shape.window;
        let four = |numbers: [usize; 4]| -> Result<[i32; 4]> {
            let mut sizes = [0; 4];
            for (size, number) in sizes.iter_mut().zip(numbers) {
                *size = int(call, "numbers along an axis", number)?;
            }
            Ok(sizes)
        };
        let ([height, width], [out_height, out_width]) = (window.input, window.output());
        let [kernel_height, kernel_width] = window.kernel;
        Ok(Self {
            input: four([shape.images, shape.channels, height, width])?,
            kernel: four([
                shape.out_channels,
                shape.channels,
                kernel_height,
                kernel_width,
            ])?,
            output: four([shape.images, shape.out_channels, out_height, out_width])?,
            padding: [
                int(call, "padded rows", window.padding[0])?,
                int(call, "padded columns", window.padding[1])?,
            ],
            stride: int(call, "places of a step", window.stride)?,
        })
    }
}

/// How cuDNN calls the numbers of maps.
pub(super) fn numbers_of(precision: Precision) -> cudnnDataType_t {
    match precision {
        Precision::F32 | Precision::Tf32 => cudnnDataType_t::CUDNN_DATA_FLOAT,
        Precision::Bf16 => cudnnDataType_t::CUDNN_DATA_BFLOAT16,
    }
}

/// Which units may sum the products. The default lets TF32 units take f32, as in PyTorch.
pub(super) fn math_of(precision: Precision) -> cudnnMathType_t {
    match precision {
        Precision::F32 => cudnnMathType_t::CUDNN_FMA_MATH,
        Precision::Tf32 => cudnnMathType_t::CUDNN_DEFAULT_MATH,
        Precision::Bf16 => cudnnMathType_t::CUDNN_TENSOR_OP_MATH,
    }
}

/// Something of cuDNN's that is destroyed with its owner.
macro_rules! owned {
    ($(#[$words:meta])* $name:ident, $handle:ty, $create:path, $destroy:path) => {
        $(#[$words])*
        #[derive(Debug)]
        pub(super) struct $name(pub(super) $handle);

        // SAFETY: the library takes it from any thread, one call after the other, which a lock
        // sees to.
        unsafe impl Send for $name {}

        impl $name {
            fn create() -> Result<Self> {
                match $create() {
                    Ok(handle) => Ok(Self(handle)),
                    Err(error) => Err(super::fault::of_cudnn(stringify!($create), 0, error)),
                }
            }
        }

        impl Drop for $name {
            fn drop(&mut self) {
                // SAFETY: it was created once and is destroyed once. Nobody is left to hear a fault.
                let _ = unsafe { $destroy(self.0) };
            }
        }
    };
}

owned!(
    /// cuDNN on one stream.
    Handle,
    cudnnHandle_t,
    result::create_handle,
    result::destroy_handle
);
owned!(
    /// The type, format and sizes of a map.
    TensorDescriptor,
    cudnnTensorDescriptor_t,
    result::create_tensor_descriptor,
    result::destroy_tensor_descriptor
);
owned!(
    /// The type, format and sizes of a kernel.
    FilterDescriptor,
    cudnnFilterDescriptor_t,
    result::create_filter_descriptor,
    result::destroy_filter_descriptor
);
owned!(
    /// How a kernel slides, and how products are summed.
    ConvDescriptor,
    cudnnConvolutionDescriptor_t,
    result::create_convolution_descriptor,
    result::destroy_convolution_descriptor
);

impl Handle {
    pub(super) fn new(streams: &Streams) -> Result<Self> {
        streams.bind("Cuda::new")?;
        let handle = Self::create()?;
        // SAFETY: a handle and a stream that live.
        let status = unsafe { sys::cudnnSetStream(handle.0, streams.work.cu_stream().cast()) };
        check_cudnn("cudnnSetStream", 0, status)?;
        Ok(handle)
    }
}

impl TensorDescriptor {
    pub(super) fn new(numbers: cudnnDataType_t, [n, c, h, w]: [i32; 4]) -> Result<Self> {
        let descriptor = Self::create()?;
        // SAFETY: a descriptor that lives.
        let status =
            unsafe { sys::cudnnSetTensor4dDescriptor(descriptor.0, FORMAT, numbers, n, c, h, w) };
        check_cudnn("cudnnSetTensor4dDescriptor", 0, status)?;
        Ok(descriptor)
    }
}

impl FilterDescriptor {
    pub(super) fn new(numbers: cudnnDataType_t, [o, c, h, w]: [i32; 4]) -> Result<Self> {
        let descriptor = Self::create()?;
        // SAFETY: a descriptor that lives.
        let status =
            unsafe { sys::cudnnSetFilter4dDescriptor(descriptor.0, numbers, FORMAT, o, c, h, w) };
        check_cudnn("cudnnSetFilter4dDescriptor", 0, status)?;
        Ok(descriptor)
    }
}

impl ConvDescriptor {
    pub(super) fn new(sizes: &Sizes, math: cudnnMathType_t) -> Result<Self> {
        let descriptor = Self::create()?;
        let ([above, left], step) = (sizes.padding, sizes.stride);
        // Sums are f32 whatever the numbers are.
        let sums = cudnnDataType_t::CUDNN_DATA_FLOAT;
        let mode = cudnnConvolutionMode_t::CUDNN_CROSS_CORRELATION;
        // SAFETY: a descriptor that lives.
        let status = unsafe {
            sys::cudnnSetConvolution2dDescriptor(
                descriptor.0,
                above,
                left,
                step,
                step,
                1,
                1,
                mode,
                sums,
            )
        };
        check_cudnn("cudnnSetConvolution2dDescriptor", 0, status)?;
        descriptor.set_math(math)?;
        Ok(descriptor)
    }

    pub(super) fn set_math(&self, math: cudnnMathType_t) -> Result<()> {
        // SAFETY: a descriptor that lives.
        let status = unsafe { sys::cudnnSetConvolutionMathType(self.0, math) };
        check_cudnn("cudnnSetConvolutionMathType", 0, status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Window;

    #[test]
    fn cudnn_is_told_channels_second_and_rows_before_columns() {
        let window = Window {
            input: [12, 20],
            kernel: [3, 5],
            stride: 2,
            padding: [1, 2],
        };
        let shape = ConvShape {
            images: 7,
            channels: 8,
            out_channels: 16,
            window,
        };
        let sizes = Sizes::new("conv_forward", &shape).unwrap();
        assert_eq!(sizes.input, [7, 8, 12, 20]);
        assert_eq!(sizes.kernel, [16, 8, 3, 5]);
        assert_eq!(sizes.output, [7, 16, 6, 10]);
        assert_eq!((sizes.padding, sizes.stride), ([1, 2], 2));
    }
}
