//! Norms on planes as they lie, [images, channels, places].
//!
//! For `crate::card`; the arithmetic is that of `crate::kernels` on the CPU. Planes may begin
//! anywhere. Sums that a call needs are made anew, in working memory.

use super::grid::{FLAT_BLOCKS, Grid, int};
use super::launch::arguments;
use super::memory::download;
use super::{Cuda, Floats};
use crate::device::checks::Call;
use crate::device::{Part, Result};
use crate::kernels::batch_norm::{Moments, NormShape};

/// A norm whose moments are known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlaneNorm<'a> {
    pub(crate) shape: NormShape,
    pub(crate) epsilon: f64,
    pub(crate) moments: &'a Moments,
    pub(crate) weight: &'a Floats,
}

/// Gradients of a norm's weight and bias, and what [`Cuda::plane_norm_backward`] works with.
#[derive(Debug)]
pub(crate) struct NormGradients<'a> {
    pub(crate) weight: &'a mut Floats,
    pub(crate) bias: &'a mut Floats,
    pub(crate) factors: &'a mut Floats,
}

impl NormGradients<'_> {
    /// Numbers of the factors.
    pub(crate) fn factors_len(channels: usize) -> usize {
        4 * channels
    }
}

/// Slices of a channel, which a thread adds up one after the other.
const MOST_SLICES: usize = 64;

/// Sums over a channel, by slices.
struct Slices {
    count: usize,
    partial: u64,
    grid: Grid,
}

impl Cuda {
    /// Mean and biased variance of each channel; the host waits for them.
    pub(crate) fn plane_moments(&self, shape: &NormShape, input: &Floats) -> Result<Moments> {
        let call = Call("plane_moments");
        let [images, channels, places] = sizes(call, shape, input.len())?;
        let moments = self.unset_floats(4 * shape.channels)?;
        let slices = self.slices(call, shape)?;
        self.inner.launch(
            "plane_moment_sums",
            slices.grid,
            arguments![images, channels, places, input.address(), slices.partial],
        )?;
        self.inner.launch(
            call.0,
            Grid::flat(shape.channels, usize::MAX),
            arguments![
                slices.count as i32,
                shape.per_channel() as f64,
                channels,
                places,
                input.address(),
                slices.partial,
                moments.address()
            ],
        )?;
        let part = Part::first(2 * shape.channels);
        let mut mean: Vec<f64> = download(&self.inner.streams, call.0, moments.address(), part)?;
        let variance = mean.split_off(shape.channels);
        Ok(Moments { mean, variance })
    }

    /// (x − mean) ÷ √(variance + ε) · weight + bias.
    pub(crate) fn plane_normalize(
        &self,
        norm: &PlaneNorm<'_>,
        bias: &Floats,
        input: &Floats,
        output: &mut Floats,
    ) -> Result<()> {
        let call = Call("plane_normalize");
        let shape = &norm.shape;
        let [_, channels, places] = sizes(call, shape, input.len())?;
        call.holds("the weight", norm.weight.len(), shape.channels)?;
        call.holds("the bias", bias.len(), shape.channels)?;
        call.holds("the output", output.len(), shape.len())?;
        let moments = self.upload_moments(call, norm.moments)?;
        let factors = self.unset_floats(2 * shape.channels)?;
        self.inner.launch(
            "plane_norm_factors",
            Grid::flat(shape.channels, usize::MAX),
            arguments![
                channels,
                norm.epsilon,
                moments.address(),
                norm.weight.address(),
                factors.address()
            ],
        )?;
        self.inner.launch(
            call.0,
            self.flat(shape.len()),
            arguments![
                shape.len(),
                channels,
                places,
                input.address(),
                factors.address(),
                bias.address(),
                output.address()
            ],
        )
    }

    /// The gradients of weight and bias of such a norm, and the factors for that of its input.
    pub(crate) fn plane_norm_gradients(
        &self,
        norm: &PlaneNorm<'_>,
        gradient: &Floats,
        input: &Floats,
        into: NormGradients<'_>,
    ) -> Result<()> {
        let call = Call("plane_norm_gradients");
        let shape = &norm.shape;
        let [images, channels, places] = sizes(call, shape, input.len())?;
        call.holds("the gradient", gradient.len(), shape.len())?;
        call.holds("the weight", norm.weight.len(), shape.channels)?;
        call.holds("the weight's gradient", into.weight.len(), shape.channels)?;
        call.holds("the bias's gradient", into.bias.len(), shape.channels)?;
        let needed = NormGradients::factors_len(shape.channels);
        call.holds("the factors", into.factors.len(), needed)?;
        let moments = self.upload_moments(call, norm.moments)?;
        let slices = self.slices(call, shape)?;
        self.inner.launch(
            "plane_gradient_sums",
            slices.grid,
            arguments![
                images,
                channels,
                places,
                gradient.address(),
                input.address(),
                moments.address(),
                slices.partial
            ],
        )?;
        self.inner.launch(
            call.0,
            Grid::flat(shape.channels, usize::MAX),
            arguments![
                slices.count as i32,
                shape.per_channel() as f64,
                channels,
                norm.epsilon,
                slices.partial,
                moments.address(),
                norm.weight.address(),
                into.weight.address(),
                into.bias.address(),
                into.factors.address()
            ],
        )
    }

    /// The gradient of a norm's input by such factors; without an `input` where its moments do not
    /// depend on it.
    pub(crate) fn plane_norm_backward(
        &self,
        shape: &NormShape,
        gradient: &Floats,
        input: Option<&Floats>,
        factors: &Floats,
        output: &mut Floats,
    ) -> Result<()> {
        let call = Call("plane_norm_backward");
        let [_, channels, places] = sizes(call, shape, gradient.len())?;
        if let Some(input) = input {
            call.holds("the input", input.len(), shape.len())?;
        }
        let needed = NormGradients::factors_len(shape.channels);
        call.holds("the factors", factors.len(), needed)?;
        call.holds("the output", output.len(), shape.len())?;
        self.inner.launch(
            call.0,
            self.flat(shape.len()),
            arguments![
                shape.len(),
                channels,
                places,
                gradient.address(),
                input.map_or(0, Floats::address),
                factors.address(),
                output.address()
            ],
        )
    }

    /// The sum of each channel of `gradient`.
    pub(crate) fn plane_bias_gradient(
        &self,
        shape: &NormShape,
        gradient: &Floats,
        output: &mut Floats,
    ) -> Result<()> {
        let call = Call("plane_bias_gradient");
        let [images, channels, places] = sizes(call, shape, gradient.len())?;
        call.holds("the output", output.len(), shape.channels)?;
        let slices = self.slices(call, shape)?;
        let (no_input, no_moments) = (0_u64, 0_u64);
        self.inner.launch(
            "plane_gradient_sums",
            slices.grid,
            arguments![
                images,
                channels,
                places,
                gradient.address(),
                no_input,
                no_moments,
                slices.partial
            ],
        )?;
        self.inner.launch(
            call.0,
            Grid::flat(shape.channels, usize::MAX),
            arguments![
                slices.count as i32,
                channels,
                slices.partial,
                output.address()
            ],
        )
    }

    /// Numbers that are unset.
    pub(crate) fn unset_floats(&self, len: usize) -> Result<Floats> {
        Floats::unset(&self.inner.streams, "floats", len, size_of::<f32>())
    }

    /// Working memory and blocks for sums over every channel.
    fn slices(&self, call: Call, shape: &NormShape) -> Result<Slices> {
        let threads = Grid::one_block().threads as usize;
        let held = self.inner.streams.multiprocessors * FLAT_BLOCKS;
        let most = held.div_ceil(shape.channels).clamp(1, MOST_SLICES);
        let count = shape.per_channel().div_ceil(threads).clamp(1, most);
        let len = 2 * count * shape.channels * size_of::<f64>();
        let grid = Grid::flat_each(shape.channels * threads, usize::MAX, count);
        Ok(Slices {
            count,
            partial: self.inner.scratch(call.0, len)?,
            grid: grid.sharing_f64(1),
        })
    }

    /// Mean, then variance, in f64.
    fn upload_moments(&self, call: Call, moments: &Moments) -> Result<Floats> {
        let numbers: Vec<f64> = [&moments.mean[..], &moments.variance].concat();
        let uploaded = self.unset_floats(2 * numbers.len())?;
        self.inner.upload(call.0, uploaded.address(), &numbers)?;
        Ok(uploaded)
    }
}

/// Images, channels and places, held against the numbers that there are.
fn sizes(call: Call, shape: &NormShape, found: usize) -> Result<[i32; 3]> {
    call.holds("the map", found, shape.len())?;
    // Kernels count the numbers in 32 bits.
    int(call.0, "numbers", shape.len())?;
    Ok([
        int(call.0, "images", shape.images)?,
        int(call.0, "channels", shape.channels)?,
        int(call.0, "places", shape.places)?,
    ])
}
