//! Max pooling behind a norm or a bias and a ReLU, and the way back.

use cxr_ops::device::{Device, Part, PoolShape, Result};
use cxr_ops::kernels::Window;

use super::case::{Case, check};
use super::desk::{Desk, Rule};
use super::norm::{ExactNorm, keep_sums, places};

/// Every call over overlapping, touching and lopsided windows. Inputs have few bits, so that ties
/// are common, outputs are exact, and every device must pick the same places.
pub(crate) fn check_poolings<D: Device>(device: &D) {
    let shapes = [
        shape(1, 8, [7, 10], [3, 3], 2, [1, 1]),
        shape(2, 64, [12, 9], [3, 3], 2, [1, 1]),
        shape(3, 24, [6, 8], [2, 2], 2, [0, 0]),
        shape(2, 32, [5, 7], [2, 2], 2, [0, 0]),
        shape(1, 16, [5, 4], [3, 3], 1, [1, 1]),
        shape(2, 8, [9, 7], [3, 2], 2, [1, 0]),
        shape(1, 8, [2, 1], [3, 3], 2, [1, 1]),
    ];
    for pool in shapes {
        for call in [
            Call::Forward,
            Call::ForwardOfNan,
            Call::BackwardSums,
            Call::BackwardBias,
            Call::Backward,
            Call::BackwardBehindNorm,
        ] {
            check(device, &Pooling { pool, call });
        }
    }
}

fn shape(
    images: usize,
    channels: usize,
    input: [usize; 2],
    kernel: [usize; 2],
    stride: usize,
    padding: [usize; 2],
) -> PoolShape {
    PoolShape {
        images,
        channels,
        window: Window {
            input,
            kernel,
            stride,
            padding,
        },
    }
}

#[derive(Clone, Copy, Debug)]
enum Call {
    Forward,
    ForwardOfNan,
    BackwardSums,
    BackwardBias,
    Backward,
    BackwardBehindNorm,
}

struct Pooling {
    pool: PoolShape,
    call: Call,
}

impl Case for Pooling {
    fn name(&self) -> String {
        format!("pooling {:?} of {:?}", self.call, self.pool)
    }

    fn run<D: Device>(&self, desk: &mut Desk<'_, D>) -> Result<()> {
        match self.call {
            Call::Forward => self.forward(desk, None),
            Call::ForwardOfNan => self.forward(desk, Some(f32::NAN)),
            Call::BackwardSums => self.backward_sums(desk),
            Call::BackwardBias => self.backward_bias(desk),
            Call::Backward => self.backward(desk, false),
            Call::BackwardBehindNorm => self.backward(desk, true),
        }
    }
}

/// What a pooling leaves for the way back.
struct Forward<D: Device> {
    input: D::Map,
    saved: D::Floats,
    norm: ExactNorm,
    pooled: D::Map,
    picked: D::Bytes,
}

impl Pooling {
    fn output(&self) -> Part {
        Part::first(self.pool.output_len())
    }

    fn run_forward<D: Device>(
        &self,
        desk: &mut Desk<'_, D>,
        odd_one: Option<f32>,
    ) -> Result<Forward<D>> {
        let channels = self.pool.channels;
        let norm = ExactNorm::new(desk, channels);
        let mut input = desk.grid(self.pool.input_len(), 4, 1);
        if let Some(number) = odd_one {
            let place = desk.below(input.len());
            input[place] = number;
        }
        let input = desk.map(input)?;
        let saved = desk.floats(&norm.saved())?;
        let mut pooled = desk.poisoned_map(self.pool.output_len())?;
        let mut picked = desk.poisoned_bytes(self.pool.output_len())?;
        desk.device.pool_forward(
            &self.pool,
            &input,
            (&saved, 2 * channels),
            (&saved, 3 * channels),
            &mut pooled,
            &mut picked,
        )?;
        Ok(Forward {
            input,
            saved,
            norm,
            pooled,
            picked,
        })
    }

    fn forward<D: Device>(&self, desk: &mut Desk<'_, D>, odd_one: Option<f32>) -> Result<()> {
        let forward = self.run_forward(desk, odd_one)?;
        desk.keep_map("output", &forward.pooled, self.output(), Rule::Exact)?;
        desk.keep_bytes("picked places", &forward.picked, self.pool.output_len())
    }

    fn backward_sums<D: Device>(&self, desk: &mut Desk<'_, D>) -> Result<()> {
        let channels = self.pool.channels;
        let forward = self.run_forward(desk, None)?;
        let gradient = desk.normal(self.pool.output_len());
        let mut gradient = desk.map_in_place(gradient)?;
        let vectors = forward.norm.vectors(desk)?;
        let mut vector_gradients = desk.poisoned_floats(places(channels).bias + channels)?;
        let mut factors = desk.poisoned_floats(3 * channels)?;
        desk.device.pool_backward_sums(
            &self.pool,
            &mut gradient,
            &forward.pooled,
            &forward.picked,
            &forward.input,
            &vectors,
            places(channels),
            &forward.saved,
            &mut vector_gradients,
            &mut factors,
        )?;
        keep_sums(desk, channels, &vector_gradients, &factors)?;
        desk.keep_map_in_place("gradient", &gradient, self.output(), Rule::Exact)
    }

    fn backward_bias<D: Device>(&self, desk: &mut Desk<'_, D>) -> Result<()> {
        let forward = self.run_forward(desk, None)?;
        let gradient = desk.normal(self.pool.output_len());
        let mut gradient = desk.map_in_place(gradient)?;
        let bias = Part {
            start: 24,
            len: self.pool.channels,
        };
        let mut vector_gradients = desk.poisoned_floats(bias.end())?;
        desk.device.pool_backward_bias(
            &self.pool,
            &mut gradient,
            &forward.pooled,
            &mut vector_gradients,
            bias.start,
        )?;
        desk.keep_floats("bias gradient", &vector_gradients, &[bias], Rule::Sums)?;
        desk.keep_map_in_place("gradient", &gradient, self.output(), Rule::Exact)
    }

    fn backward<D: Device>(&self, desk: &mut Desk<'_, D>, is_behind_norm: bool) -> Result<()> {
        let forward = self.run_forward(desk, None)?;
        let gradient = desk.normal(self.pool.output_len());
        let gradient = desk.map(gradient)?;
        let factors = desk.normal(3 * self.pool.channels);
        let factors = desk.floats(&factors)?;
        let norm = is_behind_norm.then_some((&forward.input, &factors));
        let len = self.pool.input_len();
        let mut output = desk.poisoned_map(len)?;
        let device = desk.device;
        device.pool_backward(&self.pool, &gradient, &forward.picked, norm, &mut output)?;
        desk.keep_map("output", &output, Part::first(len), Rule::Sums)
    }
}
