//! `conv2d` on a card: planes turned into rows of channels, cuDNN, and back.
//!
//! Channels that fill rows up are zeros, so that they change no sum.

use candle_core::{CpuStorage, CudaStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};

use super::lend::Lent;
use super::{Card, not_here};
use crate::device::cuda::{Floats, Map, Turned};
use crate::device::{CHANNEL_MULTIPLE, Device};
use crate::kernels::batch_norm::NormShape;
use crate::kernels::conv::ConvShape;
use crate::nhwc::Onto;

const OP: &str = "conv2d";

/// [`crate::conv2d`] of contiguous tensors on a card, whose shapes fit.
pub(crate) fn conv2d(
    shape: ConvShape,
    input: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
) -> Result<Tensor> {
    match bias {
        None => input.apply_op2(weight, Conv2d { shape }),
        Some(bias) => input.apply_op3(weight, bias, Conv2d { shape }),
    }
}

struct Conv2d {
    shape: ConvShape,
}

/// A convolution over rows, with the planes that it begins and ends with.
struct Rows {
    /// With channels that fill the rows up.
    shape: ConvShape,
    input: Turned,
    weight: Turned,
    output: Turned,
}

impl Rows {
    fn new(card: &Card, of: &ConvShape) -> Self {
        let least = card.cuda.precision().input_channels();
        let channels = if of.channels <= least {
            least
        } else {
            of.channels.next_multiple_of(CHANNEL_MULTIPLE)
        };
        let shape = ConvShape {
            channels,
            out_channels: of.out_channels.next_multiple_of(CHANNEL_MULTIPLE),
            ..*of
        };
        let turned = |images, channels, wide, places| Turned {
            images,
            channels,
            wide,
            places,
        };
        let window = &of.window;
        let (outputs, wide) = (of.out_channels, shape.out_channels);
        Self {
            shape,
            input: turned(of.images, of.channels, channels, window.input_places()),
            weight: turned(of.out_channels, of.channels, channels, window.taps()),
            output: turned(of.images, outputs, wide, window.output_places()),
        }
    }

    fn of_input(&self, card: &Card, input: &Floats) -> Result<Map> {
        Ok(card
            .cuda
            .rows_of_planes(self.input, self.input.images, input)?)
    }

    fn of_weight(&self, card: &Card, weight: &Floats) -> Result<Map> {
        let kernels = self.shape.out_channels;
        Ok(card.cuda.rows_of_planes(self.weight, kernels, weight)?)
    }

    fn of_output(&self, card: &Card, output: &Floats) -> Result<Map> {
        Ok(card
            .cuda
            .rows_of_planes(self.output, self.output.images, output)?)
    }
}

impl Conv2d {
    fn forward(
        &self,
        card: &Card,
        input: &Lent<'_>,
        weight: &Lent<'_>,
        bias: Option<&Floats>,
    ) -> Result<(CudaStorage, Shape)> {
        let rows = Rows::new(card, &self.shape);
        let [height, width] = self.shape.window.output();
        let shape = Shape::from((self.shape.images, self.shape.out_channels, height, width));
        let mut output = card.cuda.unset_map(rows.shape.output_len())?;
        let weight = rows.of_weight(card, &weight.floats)?;
        let input = rows.of_input(card, &input.floats)?;
        card.cuda
            .conv_forward(&rows.shape, &input, &weight, 0, &mut output)?;
        let planes = card.output(shape.elem_count(), |planes| {
            let planes = &mut planes.floats;
            Ok(card
                .cuda
                .planes_of_rows(rows.output, &output, bias, planes)?)
        })?;
        Ok((planes, shape))
    }

    /// The gradients of input and weight, where they are wanted.
    fn gradients(
        &self,
        card: &Card,
        [input, weight, gradient]: [&Tensor; 3],
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        if !input.track_op() && !weight.track_op() {
            return Ok((None, None));
        }
        let rows = Rows::new(card, &self.shape);
        let gradient = card.with([gradient], |[lent]| rows.of_output(card, &lent.floats))?;
        let of_input = || input_gradient(card, &rows, [input, weight], &gradient);
        let of_weight = || weight_gradient(card, &rows, [input, weight], &gradient);
        Ok((
            input.track_op().then(of_input).transpose()?,
            weight.track_op().then(of_weight).transpose()?,
        ))
    }

    fn bias_gradient(&self, card: &Card, bias: &Tensor, gradient: &Tensor) -> Result<Tensor> {
        let shape = NormShape {
            images: self.shape.images,
            channels: self.shape.out_channels,
            places: self.shape.window.output_places(),
        };
        card.with([gradient], |[gradient]| {
            card.gradient_of(bias, |target| {
                let target = &mut target.floats;
                Ok(card
                    .cuda
                    .plane_bias_gradient(&shape, &gradient.floats, target)?)
            })
        })
    }
}

fn input_gradient(
    card: &Card,
    rows: &Rows,
    [input, weight]: [&Tensor; 2],
    gradient: &Map,
) -> Result<Tensor> {
    let weight = card.with([weight], |[weight]| rows.of_weight(card, &weight.floats))?;
    let mut target = card.cuda.unset_map(rows.shape.input_len())?;
    let onto = Onto::Unset;
    card.cuda
        .conv_input_gradient(&rows.shape, &weight, 0, gradient, onto, &mut target)?;
    card.gradient_of(input, |planes| {
        let planes = &mut planes.floats;
        Ok(card
            .cuda
            .planes_of_rows(rows.input, &target, None, planes)?)
    })
}

fn weight_gradient(
    card: &Card,
    rows: &Rows,
    [input, weight]: [&Tensor; 2],
    gradient: &Map,
) -> Result<Tensor> {
    let input = card.with([input], |[input]| rows.of_input(card, &input.floats))?;
    let mut target = card.cuda.unset_map(rows.shape.weight_len())?;
    card.cuda
        .conv_weight_gradient(&rows.shape, &input, gradient, &mut target, 0)?;
    card.gradient_of(weight, |planes| {
        let planes = &mut planes.floats;
        Ok(card
            .cuda
            .planes_of_rows(rows.weight, &target, None, planes)?)
    })
}

impl CustomOp2 for Conv2d {
    fn name(&self) -> &'static str {
        OP
    }

    fn cpu_fwd(
        &self,
        _input: &CpuStorage,
        _input_layout: &Layout,
        _weight: &CpuStorage,
        _weight_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        not_here(OP)
    }

    fn cuda_fwd(
        &self,
        input: &CudaStorage,
        input_layout: &Layout,
        weight: &CudaStorage,
        weight_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let card = Card::new(&input.device)?;
        let input = card.lend(input, input_layout)?;
        let weight = card.lend(weight, weight_layout)?;
        self.forward(&card, &input, &weight, None)
    }

    fn bwd(
        &self,
        input: &Tensor,
        weight: &Tensor,
        _output: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        self.gradients(&Card::of(input)?, [input, weight, gradient])
    }
}

impl CustomOp3 for Conv2d {
    fn name(&self) -> &'static str {
        OP
    }

    fn cpu_fwd(
        &self,
        _input: &CpuStorage,
        _input_layout: &Layout,
        _weight: &CpuStorage,
        _weight_layout: &Layout,
        _bias: &CpuStorage,
        _bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        not_here(OP)
    }

    fn cuda_fwd(
        &self,
        input: &CudaStorage,
        input_layout: &Layout,
        weight: &CudaStorage,
        weight_layout: &Layout,
        bias: &CudaStorage,
        bias_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let card = Card::new(&input.device)?;
        let input = card.lend(input, input_layout)?;
        let weight = card.lend(weight, weight_layout)?;
        let bias = card.lend(bias, bias_layout)?;
        self.forward(&card, &input, &weight, Some(&bias.floats))
    }

    fn bwd(
        &self,
        input: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _output: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let card = Card::of(input)?;
        let (of_input, of_weight) = self.gradients(&card, [input, weight, gradient])?;
        let of_bias = || self.bias_gradient(&card, bias, gradient);
        let of_bias = bias.track_op().then(of_bias).transpose()?;
        Ok((of_input, of_weight, of_bias))
    }
}
