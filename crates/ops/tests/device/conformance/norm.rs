//! Batch norms forward and backward, with their gates, and the gate alone.

use cxr_ops::device::{Activation, Device, Gate, NormPlaces, Part, Result, Rows, Shortcut};

use super::case::{Case, check};
use super::desk::{Desk, Rule};

/// Every call over maps from two rows to thousands.
pub(crate) fn check_norms<D: Device>(device: &D) {
    for [rows, channels] in [[2, 8], [35, 24], [105, 64], [3, 128], [1001, 16], [4097, 8]] {
        let of = Rows { rows, channels };
        for call in CALLS {
            check(device, &Norm { of, call });
        }
    }
    let of = Rows {
        rows: 1,
        channels: 16,
    };
    // One row has no variance, but can be normed by running statistics.
    for call in [
        Call::Apply(Beside::Nothing, Activation::Relu),
        Call::Backward(Through::Norm),
    ] {
        check(device, &Norm { of, call });
    }
}

const CALLS: [Call; 17] = [
    Call::Moments,
    Call::MomentsOf(f32::NAN),
    Call::MomentsOf(f32::INFINITY),
    Call::OfRunning,
    Call::Apply(Beside::Nothing, Activation::None),
    Call::Apply(Beside::Nothing, Activation::Relu),
    Call::Apply(Beside::Map, Activation::None),
    Call::Apply(Beside::Map, Activation::Relu),
    Call::Apply(Beside::Norm, Activation::Relu),
    Call::BackwardSums(Through::Open),
    Call::BackwardSums(Through::Norm),
    Call::BackwardSums(Through::Map),
    Call::FixedFactors,
    Call::Backward(Through::Open),
    Call::Backward(Through::Norm),
    Call::Backward(Through::Map),
    Call::Gate,
];

#[derive(Clone, Copy, Debug)]
enum Call {
    Moments,
    /// With one number of the input like this.
    MomentsOf(f32),
    OfRunning,
    Apply(Beside, Activation),
    BackwardSums(Through),
    FixedFactors,
    Backward(Through),
    Gate,
}

/// The shortcut.
#[derive(Clone, Copy, Debug)]
enum Beside {
    Nothing,
    Map,
    Norm,
}

/// The gate.
#[derive(Clone, Copy, Debug)]
enum Through {
    Open,
    Norm,
    Map,
}

struct Norm {
    of: Rows,
    call: Call,
}

impl Case for Norm {
    fn name(&self) -> String {
        format!("norm {:?} of {:?}", self.call, self.of)
    }

    fn run<D: Device>(&self, desk: &mut Desk<'_, D>) -> Result<()> {
        match self.call {
            Call::Moments => self.moments(desk, None),
            Call::MomentsOf(number) => self.moments(desk, Some(number)),
            Call::OfRunning => self.of_running(desk),
            Call::Apply(beside, activation) => self.apply(desk, beside, activation),
            Call::BackwardSums(through) => self.backward_sums(desk, through),
            Call::FixedFactors => self.fixed_factors(desk),
            Call::Backward(through) => self.backward(desk, through),
            Call::Gate => self.gate(desk),
        }
    }
}

impl Norm {
    fn moments<D: Device>(&self, desk: &mut Desk<'_, D>, odd_one: Option<f32>) -> Result<()> {
        let (channels, places) = (self.of.channels, places(self.of.channels));
        let mut input = far_from_zero(desk, self.of);
        if let Some(number) = odd_one {
            let place = desk.below(input.len());
            input[place] = number;
        }
        let input = desk.map(input)?;
        let vectors = vectors(desk, channels)?;
        let mut running = running(desk, channels)?;
        let mut saved = desk.poisoned_floats(4 * channels)?;
        let device = desk.device;
        device.norm_moments(self.of, &input, &vectors, &mut running, places, &mut saved)?;
        let parts = [places.running_mean, places.running_variance].map(|start| Part {
            start,
            len: channels,
        });
        if odd_one.is_none() {
            desk.keep_floats_in_place("running", &running, &parts, Rule::Sums)?;
            return desk.keep_floats("saved", &saved, &quarters(channels), Rule::Sums);
        }
        desk.keep_floats_in_place("running", &running, &parts, Rule::Exact)?;
        let scale = Part {
            start: 2 * channels,
            len: channels,
        };
        let scale = device.read_floats(&saved, scale)?;
        let is_finite = |scale: &f32| f32::from(u8::from(scale.is_finite()));
        let finite = scale.iter().map(is_finite).collect();
        desk.keep_numbers("which scales are finite", finite, Rule::Exact);
        Ok(())
    }

    fn of_running<D: Device>(&self, desk: &mut Desk<'_, D>) -> Result<()> {
        let (channels, places) = (self.of.channels, places(self.of.channels));
        let (vectors, running) = (vectors(desk, channels)?, running(desk, channels)?);
        let mut saved = desk.poisoned_floats(4 * channels)?;
        let device = desk.device;
        device.norm_of_running(channels, &vectors, &running, places, &mut saved)?;
        desk.keep_floats("saved", &saved, &quarters(channels), Rule::Sums)
    }

    fn apply<D: Device>(
        &self,
        desk: &mut Desk<'_, D>,
        beside: Beside,
        activation: Activation,
    ) -> Result<()> {
        let mut input = desk.normal(self.of.len());
        let place = desk.below(input.len());
        input[place] = f32::NAN;
        let input = desk.map(input)?;
        let saved = desk.normal(4 * self.of.channels);
        let saved = desk.floats(&saved)?;
        let other = desk.normal(self.of.len());
        let other = desk.map(other)?;
        let others_saved = desk.normal(4 * self.of.channels);
        let others_saved = desk.floats(&others_saved)?;
        let shortcut = match beside {
            Beside::Nothing => Shortcut::None,
            Beside::Map => Shortcut::Map(&other),
            Beside::Norm => Shortcut::Norm(&other, &others_saved),
        };
        let mut output = desk.poisoned_map(self.of.len())?;
        let device = desk.device;
        device.norm_apply(self.of, &input, &saved, shortcut, activation, &mut output)?;
        desk.keep_map("output", &output, Part::first(self.of.len()), Rule::Sums)
    }

    fn backward_sums<D: Device>(&self, desk: &mut Desk<'_, D>, through: Through) -> Result<()> {
        let (channels, places) = (self.of.channels, places(self.of.channels));
        let exact = ExactNorm::new(desk, channels);
        let (input, activation) = (desk.grid(self.of.len(), 8, 2), relu_like(desk, self.of));
        let (input, activation) = (desk.map(input)?, desk.map(activation)?);
        let gradient = desk.normal(self.of.len());
        let mut gradient = desk.map_in_place(gradient)?;
        let (vectors, saved) = (exact.vectors(desk)?, desk.floats(&exact.saved())?);
        let mut vector_gradients = desk.poisoned_floats(places.bias + channels)?;
        let mut factors = desk.poisoned_floats(3 * channels)?;
        desk.device.norm_backward_sums(
            self.of,
            &mut gradient,
            gate(through, &activation),
            &input,
            &vectors,
            places,
            &saved,
            &mut vector_gradients,
            &mut factors,
        )?;
        keep_sums(desk, channels, &vector_gradients, &factors)?;
        desk.keep_map_in_place(
            "gradient",
            &gradient,
            Part::first(self.of.len()),
            Rule::Exact,
        )
    }

    fn fixed_factors<D: Device>(&self, desk: &mut Desk<'_, D>) -> Result<()> {
        let channels = self.of.channels;
        let saved = desk.normal(4 * channels);
        let saved = desk.floats(&saved)?;
        let mut factors = desk.poisoned_floats(3 * channels)?;
        desk.device
            .norm_fixed_factors(channels, &saved, &mut factors)?;
        desk.keep_floats(
            "factors",
            &factors,
            &[Part::first(3 * channels)],
            Rule::Exact,
        )
    }

    fn backward<D: Device>(&self, desk: &mut Desk<'_, D>, through: Through) -> Result<()> {
        let exact = ExactNorm::new(desk, self.of.channels);
        let (input, activation) = (desk.grid(self.of.len(), 8, 2), relu_like(desk, self.of));
        let (input, activation) = (desk.map(input)?, desk.map(activation)?);
        let gradient = desk.normal(self.of.len());
        let gradient = desk.map(gradient)?;
        let saved = desk.floats(&exact.saved())?;
        let factors = desk.normal(3 * self.of.channels);
        let factors = desk.floats(&factors)?;
        let mut output = desk.poisoned_map(self.of.len())?;
        desk.device.norm_backward(
            self.of,
            &gradient,
            gate(through, &activation),
            &input,
            &saved,
            &factors,
            &mut output,
        )?;
        desk.keep_map("output", &output, Part::first(self.of.len()), Rule::Sums)
    }

    fn gate<D: Device>(&self, desk: &mut Desk<'_, D>) -> Result<()> {
        // The length of a gate is no multiple of anything.
        let len = self.of.len() - 3;
        let mut activation = relu_like(desk, self.of);
        activation.truncate(len);
        activation[len / 2] = f32::NAN;
        let activation = desk.map(activation)?;
        let gradient = desk.normal(len);
        let mut gradient = desk.map_in_place(gradient)?;
        desk.device.gate(len, &activation, &mut gradient)?;
        desk.keep_map_in_place("gradient", &gradient, Part::first(len), Rule::Exact)
    }
}

fn gate<D: Device>(through: Through, activation: &D::Map) -> Gate<'_, D> {
    match through {
        Through::Open => Gate::Open,
        Through::Norm => Gate::Norm,
        Through::Map => Gate::Map(activation),
    }
}

/// Places with gaps between them.
pub(super) fn places(channels: usize) -> NormPlaces {
    NormPlaces {
        weight: 16,
        bias: 16 + channels + 8,
        running_mean: 8,
        running_variance: 8 + channels + 16,
    }
}

/// Keeps what sums over a map give.
pub(super) fn keep_sums<D: Device>(
    desk: &mut Desk<'_, D>,
    channels: usize,
    vector_gradients: &D::Floats,
    factors: &D::Floats,
) -> Result<()> {
    let places = places(channels);
    let parts = [places.weight, places.bias].map(|start| Part {
        start,
        len: channels,
    });
    desk.keep_floats("vector gradients", vector_gradients, &parts, Rule::Sums)?;
    let thirds = [0, 1, 2].map(|row| Part {
        start: row * channels,
        len: channels,
    });
    desk.keep_floats("factors", factors, &thirds, Rule::Sums)
}

fn quarters(channels: usize) -> [Part; 4] {
    [0, 1, 2, 3].map(|row| Part {
        start: row * channels,
        len: channels,
    })
}

/// Channels whose means are up to ten deviations from 0.
fn far_from_zero<D: Device>(desk: &mut Desk<'_, D>, of: Rows) -> Vec<f32> {
    let means = desk.grid(of.channels, 1, 10);
    let mut numbers = desk.normal(of.len());
    for (place, number) in numbers.iter_mut().enumerate() {
        *number += means[place % of.channels];
    }
    numbers
}

/// Half of it 0.
fn relu_like<D: Device>(desk: &mut Desk<'_, D>, of: Rows) -> Vec<f32> {
    let numbers = desk.normal(of.len());
    numbers.into_iter().map(|number| number.max(0.0)).collect()
}

fn vectors<D: Device>(desk: &mut Desk<'_, D>, channels: usize) -> Result<D::Floats> {
    let (weight, bias) = (desk.normal(channels), desk.normal(channels));
    let places = places(channels);
    desk.arena(&[(places.weight, &weight), (places.bias, &bias)])
}

fn running<D: Device>(desk: &mut Desk<'_, D>, channels: usize) -> Result<D::Floats> {
    let (mean, variance) = (desk.normal(channels), desk.normal(channels));
    let variance: Vec<f32> = variance.iter().map(|number| number * number).collect();
    let places = places(channels);
    desk.arena_in_place(&[
        (places.running_mean, &mean),
        (places.running_variance, &variance),
    ])
}

/// A norm whose output is exact over inputs of few bits, so that every device opens the same gates.
pub(super) struct ExactNorm {
    mean: Vec<f32>,
    inverse_deviation: Vec<f32>,
    weight: Vec<f32>,
    bias: Vec<f32>,
}

impl ExactNorm {
    pub(super) fn new<D: Device>(desk: &mut Desk<'_, D>, channels: usize) -> Self {
        Self {
            mean: desk.grid(channels, 4, 1),
            inverse_deviation: desk.some_of(channels, &[0.5, 1.0]),
            weight: desk.some_of(channels, &[-2.0, -1.0, 1.0, 2.0]),
            bias: desk.grid(channels, 4, 1),
        }
    }

    pub(super) fn vectors<D: Device>(&self, desk: &Desk<'_, D>) -> Result<D::Floats> {
        let places = places(self.weight.len());
        desk.arena(&[(places.weight, &self.weight), (places.bias, &self.bias)])
    }

    /// Mean, 1 ÷ deviation, scale and shift.
    pub(super) fn saved(&self) -> Vec<f32> {
        let scales = self.weight.iter().zip(&self.inverse_deviation);
        let scales: Vec<f32> = scales.map(|(weight, inverse)| weight * inverse).collect();
        let shifts = self.bias.iter().zip(&self.mean).zip(&scales);
        let shifts: Vec<f32> = shifts
            .map(|((bias, mean), scale)| bias - mean * scale)
            .collect();
        [&self.mean, &self.inverse_deviation, &scales, &shifts]
            .map(Vec::as_slice)
            .concat()
    }
}
