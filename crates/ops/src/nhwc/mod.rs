//! The fast path: convolutional networks trained and run layer by layer, without a graph.
//!
//! For `cxr-models`' step and folded networks. Maps are [N, H, W, C]; kernels come and go in
//! PyTorch's layout [O, I, kh, kw]. A convolution reads its input from a [`Source`], which may work
//! the numbers out as they are read (a batch norm with its ReLU, a gradient behind a pooling), and
//! gives its output to a [`Sink`] band by band while it is in the cache (statistics, pooling, bias,
//! ReLU). So most maps between layers are never written to memory. The instruction set is chosen
//! at run time ([`Isa`]); the same bits for any number of threads.
//! Deliberately not here: networks, candle, groups, dilation.

mod bands;
mod conv;
mod direct;
mod isa;
mod micro;
mod moments;
mod panels;
mod passes;
mod sinks;
mod sources;
mod winograd;
mod winograd_gradient;
mod winograd_tiles;

pub use bands::{Band, Bands, MapSize, Source};
pub use conv::{Algorithm, Algorithms, Conv};
pub use isa::Isa;
pub use moments::{
    BandMoments, GradientSums, NormGradients, ScaleShift, gate_gradient, measure_gradient,
};
pub use passes::{
    Picked, Shortcut, add_shortcut, max_pool, mean_of_places, spread_to_places, transpose_images,
};
pub use sinks::{
    Activation, AddTo, BandSink, Gate, Onto, Sink, Store, StoreActivated, StoreGradient,
    StorePooled, StoreWithMoments,
};
pub use sources::{
    NormBackward, NormBackwardFactors, NormRelu, Planes, Stored, Unpooled, UnpooledNormBackward,
};
