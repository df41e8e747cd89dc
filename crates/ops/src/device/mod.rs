//! The functions of a training step on a device: a trait, and its reference on the CPU.
//!
//! For networks that are run layer by layer on a card (`cxr_models::DeviceTrainer`). Maps are
//! [N, H, W, C], kernels [O, kh, kw, C], both in the type that the [`Precision`] says; statistics,
//! vectors, logits and moments are f32. One stream of work: what is called later sees what was
//! called before. [`Reference`] is the definition, in plain loops; with the feature `cuda` there is
//! `Cuda`, which must agree with it. Deliberately not here: networks, candle's tensors.

mod checks;
#[cfg(feature = "cuda")]
pub mod cuda;
mod fault;
mod gather;
mod reference;
mod shapes;

#[cfg(feature = "cuda")]
pub use cuda::Cuda;
pub use fault::DeviceFault;
pub use gather::{GatherKind, PictureGather};
pub use reference::{Bf16, Numbers, Real, Reference, Staged};
pub use shapes::{Activation, AdamFactors, NormPlaces, Part, Planning, PoolShape, Precision, Rows};

use crate::kernels::conv::ConvShape;
use crate::kernels::linear::LinearShape;

/// What a device gives back.
pub type Result<T> = std::result::Result<T, DeviceFault>;

/// What is added before the ReLU behind a norm.
#[derive(Debug)]
pub enum Shortcut<'a, D: Device> {
    /// Nothing.
    None,
    /// A map of the same size.
    Map(&'a D::Map),
    /// A map of the same size under the scale and shift of these saved numbers.
    Norm(&'a D::Map, &'a D::Floats),
}

/// Where a gradient comes through a ReLU.
#[derive(Debug)]
pub enum Gate<'a, D: Device> {
    /// Everywhere: there is none.
    Open,
    /// Where the norm's own output, scale·x + shift, is above 0.
    Norm,
    /// Where this activation, the ReLU's output, is above 0.
    Map(&'a D::Map),
}

/// Where the bytes of pictures lie.
#[derive(Debug)]
pub enum Pixels<'a, D: Device> {
    /// In memory of the device that stays.
    Kept(&'a D::Bytes),
    /// In what was sent last.
    Sent(&'a D::Staging),
}

/// A device that can train a convolutional network. A clone is the same device.
///
/// Lengths and offsets count numbers. A buffer may be longer than what a call uses: the call takes
/// its beginning. Outputs are overwritten in full, whatever stood there. A call that is recorded
/// allocates nothing. Every function gives the same bits for the same numbers.
///
/// # Errors
/// Every function: [`DeviceFault`] where a buffer is too short for the shape, where a number of
/// channels is no multiple of [`CHANNEL_MULTIPLE`], or where the device fails.
pub trait Device: Sized + Clone + std::fmt::Debug + Send + Sync + 'static {
    /// Numbers in the type of maps and kernels.
    type Map: std::fmt::Debug + Send + Sync;
    /// f32 numbers.
    type Floats: std::fmt::Debug + Send + Sync;
    /// Bytes.
    type Bytes: std::fmt::Debug + Send + Sync;
    /// Bytes on their way to the device, beside its work.
    type Staging: std::fmt::Debug + Send + Sync;
    /// Work that was recorded and can be replayed.
    type Recording: std::fmt::Debug + Send + Sync;

    /// The type of maps, and how products are summed.
    fn precision(&self) -> Precision;

    /// Zeros in the maps' type.
    fn map(&self, len: usize) -> Result<Self::Map>;
    /// Zeros.
    fn floats(&self, len: usize) -> Result<Self::Floats>;
    /// Zeros.
    fn bytes(&self, len: usize) -> Result<Self::Bytes>;
    /// Overwrites from `start` on; the numbers are rounded to the maps' type.
    fn write_map(&self, target: &mut Self::Map, start: usize, numbers: &[f32]) -> Result<()>;
    /// Overwrites from `start` on.
    fn write_floats(&self, target: &mut Self::Floats, start: usize, numbers: &[f32]) -> Result<()>;
    /// Overwrites from `start` on.
    fn write_bytes(&self, target: &mut Self::Bytes, start: usize, bytes: &[u8]) -> Result<()>;
    /// A copy of a part, after all work so far.
    fn read_map(&self, source: &Self::Map, part: Part) -> Result<Vec<f32>>;
    /// A copy of a part, after all work so far.
    fn read_floats(&self, source: &Self::Floats, part: Part) -> Result<Vec<f32>>;
    /// A copy of a part, after all work so far.
    fn read_bytes(&self, source: &Self::Bytes, part: Part) -> Result<Vec<u8>>;

    /// Room for `len` bytes on the host and on the device.
    fn staging(&self, len: usize) -> Result<Self::Staging>;
    /// The host's side, to be filled; waits until what was sent from it has arrived.
    fn staging_bytes<'a>(&self, staging: &'a mut Self::Staging) -> Result<&'a mut [u8]>;
    /// Sends the first `len` bytes beside the work that goes on; later calls that read them wait
    /// for them, and they wait for earlier calls that read what stood there.
    fn send(&self, staging: &mut Self::Staging, len: usize) -> Result<()>;

    /// Free and total bytes of the device's memory, where it has memory of its own.
    fn memory(&self) -> Result<Option<(u64, u64)>>;
    /// What the device has chosen for itself so far, in lines for people; most have no choice.
    fn choices(&self) -> Vec<String> {
        Vec::new()
    }
    /// Waits until all work is done.
    fn synchronize(&self) -> Result<()>;
    /// Records the calls that `work` makes instead of running them. `None` where the device cannot:
    /// then `work` was run. The same calls must have been run once before, with buffers that stay.
    fn record(&self, work: impl FnOnce() -> Result<()>) -> Result<Option<Self::Recording>>;
    /// Runs recorded work.
    fn replay(&self, recording: &Self::Recording) -> Result<()>;

    /// `output` = `input` ⋆ the kernel at `weight_start`, without bias. `shape.channels` is the
    /// map's number of channels, zeros that fill it up included.
    fn conv_forward(
        &self,
        shape: &ConvShape,
        input: &Self::Map,
        weights: &Self::Map,
        weight_start: usize,
        output: &mut Self::Map,
    ) -> Result<()>;
    /// The gradient of the input, from that of the output; `onto` says whether it is added to what
    /// stands there.
    fn conv_input_gradient(
        &self,
        shape: &ConvShape,
        weights: &Self::Map,
        weight_start: usize,
        output_gradient: &Self::Map,
        onto: crate::nhwc::Onto,
        input_gradient: &mut Self::Map,
    ) -> Result<()>;
    /// The gradient of the kernel, written at `weight_start`.
    fn conv_weight_gradient(
        &self,
        shape: &ConvShape,
        input: &Self::Map,
        output_gradient: &Self::Map,
        weight_gradients: &mut Self::Map,
        weight_start: usize,
    ) -> Result<()>;

    /// The moments of each channel over the rows: `saved` [4, C] = mean, 1/√(variance + ε), scale,
    /// shift. Running statistics move a tenth of the way, the variance unbiased; all of them stay
    /// where any moment is not finite. ε is 1e-5.
    fn norm_moments(
        &self,
        of: Rows,
        input: &Self::Map,
        vectors: &Self::Floats,
        running: &mut Self::Floats,
        places: NormPlaces,
        saved: &mut Self::Floats,
    ) -> Result<()>;
    /// `saved` as [`Device::norm_moments`] gives it, of the running statistics.
    fn norm_of_running(
        &self,
        channels: usize,
        vectors: &Self::Floats,
        running: &Self::Floats,
        places: NormPlaces,
        saved: &mut Self::Floats,
    ) -> Result<()>;
    /// `output` = activation(scale·x + shift + shortcut).
    fn norm_apply(
        &self,
        of: Rows,
        input: &Self::Map,
        saved: &Self::Floats,
        shortcut: Shortcut<'_, Self>,
        activation: Activation,
        output: &mut Self::Map,
    ) -> Result<()>;
    /// Sums over the rows for the way back through a norm of [`Device::norm_moments`]: gradients of
    /// its weight and bias, written at their places, and `factors` [3, C] with which
    /// [`Device::norm_backward`] gives the gradient of its input. Behind [`Gate::Map`] `gradient` is
    /// 0 afterwards where the gate is closed; behind the others it stays.
    #[expect(
        clippy::too_many_arguments,
        reason = "the tensors of a norm and its gradient"
    )]
    fn norm_backward_sums(
        &self,
        of: Rows,
        gradient: &mut Self::Map,
        gate: Gate<'_, Self>,
        input: &Self::Map,
        vectors: &Self::Floats,
        places: NormPlaces,
        saved: &Self::Floats,
        vector_gradients: &mut Self::Floats,
        factors: &mut Self::Floats,
    ) -> Result<()>;
    /// `factors` for a norm of [`Device::norm_of_running`]: its scale, nothing else.
    fn norm_fixed_factors(
        &self,
        channels: usize,
        saved: &Self::Floats,
        factors: &mut Self::Floats,
    ) -> Result<()>;
    /// `output` = factors₀·g + factors₁·x + factors₂, g the gradient where the gate is open. Behind
    /// [`Gate::Map`] `gradient` is not changed.
    #[expect(
        clippy::too_many_arguments,
        reason = "the tensors of a norm and its gradient"
    )]
    fn norm_backward(
        &self,
        of: Rows,
        gradient: &Self::Map,
        gate: Gate<'_, Self>,
        input: &Self::Map,
        saved: &Self::Floats,
        factors: &Self::Floats,
        output: &mut Self::Map,
    ) -> Result<()>;
    /// Sets `gradient` to 0 where the activation is not above 0.
    fn gate(&self, len: usize, activation: &Self::Map, gradient: &mut Self::Map) -> Result<()>;

    /// `output` = max over each window of relu(scale·x + shift), and `picked`: which place of the
    /// window it was, counted row by row, the first of equals. The scale begins at `scale.1` of
    /// `scale.0`, the shift likewise.
    fn pool_forward(
        &self,
        pool: &PoolShape,
        input: &Self::Map,
        scale: (&Self::Floats, usize),
        shift: (&Self::Floats, usize),
        output: &mut Self::Map,
        picked: &mut Self::Bytes,
    ) -> Result<()>;
    /// [`Device::norm_backward_sums`] through the pooling and the ReLU: `gradient` is that of the
    /// pooled map, 0 afterwards where `pooled` is not above 0.
    #[expect(
        clippy::too_many_arguments,
        reason = "the tensors of a norm and its gradient"
    )]
    fn pool_backward_sums(
        &self,
        pool: &PoolShape,
        gradient: &mut Self::Map,
        pooled: &Self::Map,
        picked: &Self::Bytes,
        input: &Self::Map,
        vectors: &Self::Floats,
        places: NormPlaces,
        saved: &Self::Floats,
        vector_gradients: &mut Self::Floats,
        factors: &mut Self::Floats,
    ) -> Result<()>;
    /// The gradient of a bias before ReLU and pooling, written at `bias_start`: the sum of
    /// `gradient` over the places where `pooled` is above 0; elsewhere it is 0 afterwards.
    fn pool_backward_bias(
        &self,
        pool: &PoolShape,
        gradient: &mut Self::Map,
        pooled: &Self::Map,
        vector_gradients: &mut Self::Floats,
        bias_start: usize,
    ) -> Result<()>;
    /// The gradient of the map before the pooling: `output` = factors₀·g + factors₁·x + factors₂,
    /// g the sum of the gradients of the windows that picked the place; g alone without a norm.
    fn pool_backward(
        &self,
        pool: &PoolShape,
        gradient: &Self::Map,
        picked: &Self::Bytes,
        norm: Option<(&Self::Map, &Self::Floats)>,
        output: &mut Self::Map,
    ) -> Result<()>;

    /// [N, places, C] → [N, C].
    fn mean_of_places(
        &self,
        images: usize,
        places: usize,
        channels: usize,
        input: &Self::Map,
        output: &mut Self::Floats,
    ) -> Result<()>;
    /// The gradient of [`Device::mean_of_places`].
    fn spread_to_places(
        &self,
        images: usize,
        places: usize,
        channels: usize,
        gradient: &Self::Floats,
        output: &mut Self::Map,
    ) -> Result<()>;
    /// `output` = `input`, times `factors` where there are any, in the maps' type.
    fn round(
        &self,
        len: usize,
        input: &Self::Floats,
        factors: Option<&Self::Floats>,
        output: &mut Self::Map,
    ) -> Result<()>;

    /// `numbers` times `factors`, one by one.
    fn scale(&self, len: usize, factors: &Self::Floats, numbers: &mut Self::Floats) -> Result<()>;

    /// `output` [rows, outputs] = `input` [rows, inputs] · weightᵀ + bias; weight [outputs, inputs].
    #[expect(clippy::too_many_arguments, reason = "two arenas with an offset each")]
    fn linear_forward(
        &self,
        shape: &LinearShape,
        input: &Self::Map,
        weights: &Self::Map,
        weight_start: usize,
        vectors: &Self::Floats,
        bias_start: usize,
        output: &mut Self::Floats,
    ) -> Result<()>;
    /// The gradient of the weight, written at `weight_start`.
    fn linear_weight_gradient(
        &self,
        shape: &LinearShape,
        input: &Self::Map,
        output_gradient: &Self::Map,
        weight_gradients: &mut Self::Map,
        weight_start: usize,
    ) -> Result<()>;
    /// The gradient of the bias, written at `bias_start`.
    fn linear_bias_gradient(
        &self,
        shape: &LinearShape,
        output_gradient: &Self::Floats,
        vector_gradients: &mut Self::Floats,
        bias_start: usize,
    ) -> Result<()>;
    /// The gradient of the input.
    fn linear_input_gradient(
        &self,
        shape: &LinearShape,
        weights: &Self::Map,
        weight_start: usize,
        output_gradient: &Self::Map,
        input_gradient: &mut Self::Floats,
    ) -> Result<()>;

    /// Binary cross-entropy as `cxr_ops::bce_with_logits`: `outcome`₀ = the mean over the known
    /// labels of [rows, findings], `gradient` its derivative by each logit. Without a known label
    /// the loss is not a number.
    #[expect(clippy::too_many_arguments, reason = "the tensors of the loss")]
    fn bce(
        &self,
        rows: usize,
        findings: usize,
        logits: &Self::Floats,
        targets: &Self::Floats,
        mask: &Self::Floats,
        pos_weights: &Self::Floats,
        gradient: &mut Self::Floats,
        outcome: &mut Self::Floats,
    ) -> Result<()>;
    /// `outcome`₁ = √ of the sum of the squares of the first numbers of both arenas.
    fn gradient_norm(
        &self,
        weight_gradients: (&Self::Map, usize),
        vector_gradients: (&Self::Floats, usize),
        outcome: &mut Self::Floats,
    ) -> Result<()>;
    /// One step of Adam for a part of the weights, unless `outcome`₀ or `outcome`₁ is not finite;
    /// `weights` = the rounded `master`. `factors` holds [`AdamFactors`].
    #[expect(clippy::too_many_arguments, reason = "the arenas of an optimizer")]
    fn adam_weights(
        &self,
        part: Part,
        factors: &Self::Floats,
        outcome: &Self::Floats,
        gradients: &Self::Map,
        master: &mut Self::Floats,
        mean: &mut Self::Floats,
        mean_square: &mut Self::Floats,
        weights: &mut Self::Map,
    ) -> Result<()>;
    /// The same for a part of the vectors.
    #[expect(clippy::too_many_arguments, reason = "the arenas of an optimizer")]
    fn adam_vectors(
        &self,
        part: Part,
        factors: &Self::Floats,
        outcome: &Self::Floats,
        gradients: &Self::Floats,
        vectors: &mut Self::Floats,
        mean: &mut Self::Floats,
        mean_square: &mut Self::Floats,
    ) -> Result<()>;

    /// Pictures of `size` [height, width] under their gathers (`gathers` holds one
    /// [`PictureGather`] after the other, `tables` what they refer to) into a map of
    /// [`Precision::input_channels`] channels: (byte ÷ 255 − mean) ÷ deviation, zeros beyond the
    /// third. `picture_channels` is 1 or 3.
    #[expect(clippy::too_many_arguments, reason = "what a batch is made of")]
    fn fill_pictures(
        &self,
        images: usize,
        size: [usize; 2],
        picture_channels: usize,
        pixels: Pixels<'_, Self>,
        gathers: &Self::Bytes,
        tables: &Self::Bytes,
        norms: [(f32, f32); 3],
        output: &mut Self::Map,
    ) -> Result<()>;
    /// Planes [N, 3, H, W] into such a map.
    fn fill_planes(
        &self,
        images: usize,
        size: [usize; 2],
        planes: &Self::Floats,
        output: &mut Self::Map,
    ) -> Result<()>;
}

/// Channels of every map behind the input come in multiples of this: one load of 16 bytes.
pub const CHANNEL_MULTIPLE: usize = 8;
/// Added to variances; PyTorch's default.
pub const NORM_EPSILON: f64 = 1e-5;
/// The weight of the newest batch in running statistics; PyTorch's default.
pub const NORM_MOMENTUM: f64 = 0.1;
