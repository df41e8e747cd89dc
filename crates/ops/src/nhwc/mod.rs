//! The fast path: convolutional networks trained and run layer by layer, without a graph.
//!
//! For `cxr-models`' step and folded networks. Maps are [N, H, W, C]; kernels come and go in
//! PyTorch's layout [O, I, kh, kw]. A convolution reads its input from a [`Source`], which may work
//! the numbers out as they are read (a batch norm with its ReLU, a gradient behind a pooling), and
//! gives its output to a [`Sink`] band by band while it is in the cache (statistics, pooling, bias,
//! ReLU). So most maps between layers are never written to memory. The instruction set is chosen
//! at run time ([`Isa`]); the same bits for any number of threads.
//! Deliberately not here: networks, candle, groups, dilation.
//!
//! ```
//! use cxr_ops::kernels::{Window, conv::ConvShape};
//! use cxr_ops::nhwc::{Activation, Conv, Isa, MapSize, StoreActivated, Stored};
//! // One image of 2×3 places and one channel; a 1×2 kernel for each of two outputs.
//! let window = Window { input: [2, 3], kernel: [1, 2], stride: 1, padding: [0, 0] };
//! let shape = ConvShape { images: 1, channels: 1, out_channels: 2, window };
//! let conv = Conv::new(Isa::best(), shape);
//! assert_eq!(conv.output_size(), MapSize { height: 2, width: 2, channels: 2 });
//!
//! let mut packed = Vec::new();
//! conv.pack_forward(&[1.0, 1.0, -1.0, 1.0], &mut packed); // [O, I, kh, kw]: the sum, the step
//! let input = Stored { size: conv.input_size(), data: &[0.0, 1.0, 2.0, 5.0, 4.0, 3.0] };
//! let mut output = [f32::NAN; 8];
//! let (bias, activation) = (&[0.5, 0.0], Activation::Relu);
//! let sink = StoreActivated { output: &mut output, bias, residual: None, activation };
//! conv.forward(&packed, &input, sink);
//! assert_eq!(output, [1.5, 1.0, 3.5, 1.0, 9.5, 0.0, 7.5, 0.0]); // [H, W, O]
//! ```

mod bands;
mod conv;
mod direct;
mod micro;
mod moments;
mod panels;
mod passes;
mod sinks;
mod sources;
mod winograd;
mod winograd_gradient;
mod winograd_tiles;

pub use crate::kernels::matrix::Onto;
pub use bands::{Band, Bands, MapSize, Source};
pub use conv::{Algorithm, Algorithms, Conv, Kernels, Preference};
pub use cxr_isa::Isa;
pub use moments::{
    BandMoments, GradientSums, NormGradients, ScaleShift, gate_gradient, measure_gradient,
};
pub use passes::{
    Picked, Shortcut, add_shortcut, max_pool, mean_of_places, spread_to_places, transpose_images,
};
pub use sinks::{
    Activation, BandSink, Gate, Sink, Store, StoreActivated, StoreGradient, StorePlanes,
    StorePooled, StoreWithMoments,
};
pub use sources::{
    NormBackward, NormBackwardFactors, NormRelu, Planes, Stored, Unpooled, UnpooledNormBackward,
};
