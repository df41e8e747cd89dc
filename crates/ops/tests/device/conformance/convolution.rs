//! Convolutions in three directions.

use cxr_ops::device::{Device, Part, Result};
use cxr_ops::kernels::Window;
use cxr_ops::kernels::conv::ConvShape;
use cxr_ops::nhwc::Onto;

use super::case::{Case, check};
use super::desk::{Desk, Rule};

/// Where the kernel begins in its arena.
const WEIGHT_START: usize = 24;

/// Every direction over kernels of 1, 3 and 7, both strides, odd and even maps, and the kernel over
/// the network's input.
pub(crate) fn check_convolutions<D: Device>(device: &D) {
    let input_channels = device.precision().input_channels();
    let shapes = [
        shape(1, [8, 8], [5, 7], 3, 1),
        shape(2, [16, 24], [9, 6], 3, 1),
        shape(3, [8, 16], [1, 1], 3, 1),
        shape(1, [64, 64], [14, 11], 3, 1),
        shape(2, [32, 64], [11, 14], 3, 2),
        shape(3, [24, 40], [8, 12], 3, 2),
        shape(1, [64, 32], [7, 5], 1, 1),
        shape(2, [16, 32], [7, 9], 1, 2),
        shape(2, [32, 16], [10, 8], 1, 2),
        shape(2, [input_channels, 64], [23, 18], 7, 2),
        shape(1, [input_channels, 32], [12, 9], 3, 1),
        shape(1, [8, 8], [13, 10], 7, 2),
    ];
    for shape in shapes {
        for way in [
            Way::Forward,
            Way::InputGradient(Onto::Unset),
            Way::InputGradient(Onto::Sum),
            Way::WeightGradient,
        ] {
            check(device, &Convolution { shape, way });
        }
    }
}

/// A square kernel padded by its half.
fn shape(
    images: usize,
    [channels, out_channels]: [usize; 2],
    input: [usize; 2],
    kernel: usize,
    stride: usize,
) -> ConvShape {
    ConvShape {
        images,
        channels,
        out_channels,
        window: Window {
            input,
            kernel: [kernel; 2],
            stride,
            padding: [kernel / 2; 2],
        },
    }
}

#[derive(Clone, Copy, Debug)]
enum Way {
    Forward,
    InputGradient(Onto),
    WeightGradient,
}

struct Convolution {
    shape: ConvShape,
    way: Way,
}

impl Case for Convolution {
    fn name(&self) -> String {
        format!("convolution {:?} of {:?}", self.way, self.shape)
    }

    fn run<D: Device>(&self, desk: &mut Desk<'_, D>) -> Result<()> {
        match self.way {
            Way::Forward => self.forward(desk),
            Way::InputGradient(onto) => self.input_gradient(desk, onto),
            Way::WeightGradient => self.weight_gradient(desk),
        }
    }
}

impl Convolution {
    fn forward<D: Device>(&self, desk: &mut Desk<'_, D>) -> Result<()> {
        let input = desk.normal(self.shape.input_len());
        let input = desk.map(input)?;
        let weights = desk.normal(self.shape.weight_len());
        let weights = desk.map_at(WEIGHT_START, weights)?;
        let len = self.shape.output_len();
        let mut output = desk.poisoned_map(len)?;
        let device = desk.device;
        device.conv_forward(&self.shape, &input, &weights, WEIGHT_START, &mut output)?;
        desk.keep_map("output", &output, Part::first(len), Rule::Products)
    }

    fn input_gradient<D: Device>(&self, desk: &mut Desk<'_, D>, onto: Onto) -> Result<()> {
        let len = self.shape.input_len();
        let weights = desk.normal(self.shape.weight_len());
        let weights = desk.map_at(WEIGHT_START, weights)?;
        let gradient = desk.normal(self.shape.output_len());
        let gradient = desk.map(gradient)?;
        let mut target = match onto {
            Onto::Unset => desk.poisoned_map(len)?,
            Onto::Sum => {
                let standing = desk.normal(len);
                desk.map_in_place(standing)?
            }
        };
        desk.device.conv_input_gradient(
            &self.shape,
            &weights,
            WEIGHT_START,
            &gradient,
            onto,
            &mut target,
        )?;
        let part = Part::first(len);
        match onto {
            Onto::Unset => desk.keep_map("input gradient", &target, part, Rule::Products),
            Onto::Sum => desk.keep_map_in_place("sum", &target, part, Rule::Products),
        }
    }

    fn weight_gradient<D: Device>(&self, desk: &mut Desk<'_, D>) -> Result<()> {
        let input = desk.normal(self.shape.input_len());
        let input = desk.map(input)?;
        let gradient = desk.normal(self.shape.output_len());
        let gradient = desk.map(gradient)?;
        let part = Part {
            start: WEIGHT_START,
            len: self.shape.weight_len(),
        };
        let mut target = desk.poisoned_map(part.end())?;
        desk.device.conv_weight_gradient(
            &self.shape,
            &input,
            &gradient,
            &mut target,
            WEIGHT_START,
        )?;
        desk.keep_map("weight gradient", &target, part, Rule::Products)
    }
}
