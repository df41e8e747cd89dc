//! The mean over places, rounding, scaling, and linear layers.

use cxr_ops::device::{Device, Part, Result};
use cxr_ops::kernels::linear::LinearShape;

use super::case::{Case, check};
use super::desk::{Desk, Rule};

/// The mean over places and its gradient.
pub(crate) fn check_places<D: Device>(device: &D) {
    for [images, places, channels] in [[1, 35, 8], [3, 1, 24], [2, 100, 64], [5, 12, 512]] {
        for is_mean in [true, false] {
            let case = Places {
                images,
                places,
                channels,
                is_mean,
            };
            check(device, &case);
        }
    }
}

/// Floats into maps, with and without factors, and floats times factors in place.
pub(crate) fn check_rounding<D: Device>(device: &D) {
    for len in [1, 37, 512, 70_001] {
        for has_factors in [false, true] {
            check(device, &Rounding { len, has_factors });
        }
        check(device, &Scaling { len });
    }
}

/// Linear layers, among them those with 14 findings.
pub(crate) fn check_linear_layers<D: Device>(device: &D) {
    for [rows, inputs, outputs] in [[1, 8, 1], [3, 64, 14], [17, 512, 14], [5, 96, 72]] {
        let shape = LinearShape {
            rows,
            inputs,
            outputs,
        };
        for call in [
            LinearCall::Forward,
            LinearCall::WeightGradient,
            LinearCall::BiasGradient,
            LinearCall::InputGradient,
        ] {
            check(device, &Linear { shape, call });
        }
    }
}

#[derive(Debug)]
struct Places {
    images: usize,
    places: usize,
    channels: usize,
    is_mean: bool,
}

impl Case for Places {
    fn name(&self) -> String {
        format!("{self:?}")
    }

    fn run<D: Device>(&self, desk: &mut Desk<'_, D>) -> Result<()> {
        let &Self {
            images,
            places,
            channels,
            is_mean,
        } = self;
        let (map_len, mean_len) = (images * places * channels, images * channels);
        let device = desk.device;
        if is_mean {
            let input = desk.normal(map_len);
            let input = desk.map(input)?;
            let mut output = desk.poisoned_floats(mean_len)?;
            device.mean_of_places(images, places, channels, &input, &mut output)?;
            desk.keep_floats("mean", &output, &[Part::first(mean_len)], Rule::Sums)
        } else {
            let gradient = desk.normal(mean_len);
            let gradient = desk.floats(&gradient)?;
            let mut output = desk.poisoned_map(map_len)?;
            device.spread_to_places(images, places, channels, &gradient, &mut output)?;
            desk.keep_map("gradient", &output, Part::first(map_len), Rule::Sums)
        }
    }
}

#[derive(Debug)]
struct Rounding {
    len: usize,
    has_factors: bool,
}

impl Case for Rounding {
    fn name(&self) -> String {
        format!("{self:?}")
    }

    fn run<D: Device>(&self, desk: &mut Desk<'_, D>) -> Result<()> {
        let (input, factors) = (desk.normal(self.len), desk.normal(self.len));
        let (input, factors) = (desk.floats(&input)?, desk.floats(&factors)?);
        let factors = self.has_factors.then_some(&factors);
        let mut output = desk.poisoned_map(self.len)?;
        desk.device.round(self.len, &input, factors, &mut output)?;
        desk.keep_map("output", &output, Part::first(self.len), Rule::Exact)
    }
}

#[derive(Debug)]
struct Scaling {
    len: usize,
}

impl Case for Scaling {
    fn name(&self) -> String {
        format!("{self:?}")
    }

    fn run<D: Device>(&self, desk: &mut Desk<'_, D>) -> Result<()> {
        let (numbers, factors) = (desk.normal(self.len), desk.normal(self.len));
        let factors = desk.floats(&factors)?;
        let mut numbers = desk.arena_in_place(&[(0, &numbers)])?;
        desk.device.scale(self.len, &factors, &mut numbers)?;
        let part = Part::first(self.len);
        // One product, rounded once.
        desk.keep_floats_in_place("numbers", &numbers, &[part], Rule::Exact)
    }
}

#[derive(Clone, Copy, Debug)]
enum LinearCall {
    Forward,
    WeightGradient,
    BiasGradient,
    InputGradient,
}

#[derive(Debug)]
struct Linear {
    shape: LinearShape,
    call: LinearCall,
}

impl Case for Linear {
    fn name(&self) -> String {
        format!("{self:?}")
    }

    fn run<D: Device>(&self, desk: &mut Desk<'_, D>) -> Result<()> {
        match self.call {
            LinearCall::Forward => self.forward(desk),
            LinearCall::WeightGradient => self.weight_gradient(desk),
            LinearCall::BiasGradient => self.bias_gradient(desk),
            LinearCall::InputGradient => self.input_gradient(desk),
        }
    }
}

impl Linear {
    fn weight(&self) -> Part {
        Part {
            start: 64,
            len: self.shape.outputs * self.shape.inputs,
        }
    }

    fn bias(&self) -> Part {
        Part {
            start: 16,
            len: self.shape.outputs,
        }
    }

    fn input_len(&self) -> usize {
        self.shape.rows * self.shape.inputs
    }

    fn output_len(&self) -> usize {
        self.shape.rows * self.shape.outputs
    }

    fn forward<D: Device>(&self, desk: &mut Desk<'_, D>) -> Result<()> {
        let (weight, bias) = (self.weight(), self.bias());
        let (input, weights) = (desk.normal(self.input_len()), desk.normal(weight.len));
        let (input, weights) = (desk.map(input)?, desk.map_at(weight.start, weights)?);
        let vectors = desk.normal(bias.len);
        let vectors = desk.floats_at(bias.start, &vectors)?;
        let mut output = desk.poisoned_floats(self.output_len())?;
        desk.device.linear_forward(
            &self.shape,
            &input,
            &weights,
            weight.start,
            &vectors,
            bias.start,
            &mut output,
        )?;
        let part = Part::first(self.output_len());
        desk.keep_floats("output", &output, &[part], Rule::Products)
    }

    fn weight_gradient<D: Device>(&self, desk: &mut Desk<'_, D>) -> Result<()> {
        let (input, gradient) = (
            desk.normal(self.input_len()),
            desk.normal(self.output_len()),
        );
        let (input, gradient) = (desk.map(input)?, desk.map(gradient)?);
        let mut target = desk.poisoned_map(self.weight().end())?;
        let (device, start) = (desk.device, self.weight().start);
        device.linear_weight_gradient(&self.shape, &input, &gradient, &mut target, start)?;
        desk.keep_map("weight gradient", &target, self.weight(), Rule::Products)
    }

    fn bias_gradient<D: Device>(&self, desk: &mut Desk<'_, D>) -> Result<()> {
        let gradient = desk.normal(self.output_len());
        let gradient = desk.floats(&gradient)?;
        let mut target = desk.poisoned_floats(self.bias().end())?;
        let (device, start) = (desk.device, self.bias().start);
        device.linear_bias_gradient(&self.shape, &gradient, &mut target, start)?;
        desk.keep_floats("bias gradient", &target, &[self.bias()], Rule::Sums)
    }

    fn input_gradient<D: Device>(&self, desk: &mut Desk<'_, D>) -> Result<()> {
        let weight = self.weight();
        let (weights, gradient) = (desk.normal(weight.len), desk.normal(self.output_len()));
        let (weights, gradient) = (desk.map_at(weight.start, weights)?, desk.map(gradient)?);
        let mut target = desk.poisoned_floats(self.input_len())?;
        let device = desk.device;
        device.linear_input_gradient(
            &self.shape,
            &weights,
            weight.start,
            &gradient,
            &mut target,
        )?;
        let part = Part::first(self.input_len());
        desk.keep_floats("input gradient", &target, &[part], Rule::Products)
    }
}
