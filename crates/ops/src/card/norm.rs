//! `batch_norm_train` and `batch_norm_eval` on a card.

use candle_core::{CpuStorage, CudaStorage, CustomOp3, Layout, Result, Shape, Tensor};

use super::{Card, not_here};
use crate::device::cuda::{NormGradients, PlaneNorm};
use crate::kernels::batch_norm::{Moments, NormShape};

/// A batch norm whose moments are known.
pub(crate) struct BatchNorm {
    pub(crate) op: &'static str,
    pub(crate) shape: NormShape,
    pub(crate) epsilon: f64,
    pub(crate) moments: Moments,
    /// Whether the moments are those of the input, and so depend on it.
    pub(crate) are_of_input: bool,
}

/// Mean and biased variance of each channel of a contiguous tensor on a card.
pub(crate) fn moments(shape: &NormShape, input: &Tensor) -> Result<Moments> {
    let card = Card::of(input)?;
    card.with([input], |[input]| {
        Ok(card.cuda.plane_moments(shape, &input.floats)?)
    })
}

/// `input` under such a norm, times `weight`, plus `bias`.
pub(crate) fn batch_norm(
    norm: BatchNorm,
    input: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
) -> Result<Tensor> {
    input.apply_op3(weight, bias, norm)
}

impl CustomOp3 for BatchNorm {
    fn name(&self) -> &'static str {
        self.op
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
        not_here(self.op)
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
        let norm = PlaneNorm {
            shape: self.shape,
            epsilon: self.epsilon,
            moments: &self.moments,
            weight: &weight.floats,
        };
        let output = card.output(self.shape.len(), |output| {
            let output = &mut output.floats;
            Ok(card
                .cuda
                .plane_normalize(&norm, &bias.floats, &input.floats, output)?)
        })?;
        Ok((output, input_layout.shape().clone()))
    }

    fn bwd(
        &self,
        input: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _output: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (card, shape) = (Card::of(input)?, &self.shape);
        card.with([input, weight, gradient], |[x, w, g]| {
            let norm = PlaneNorm {
                shape: *shape,
                epsilon: self.epsilon,
                moments: &self.moments,
                weight: &w.floats,
            };
            let mut factors = card
                .cuda
                .unset_floats(NormGradients::factors_len(shape.channels))?;
            let mut of_bias = None;
            let of_weight = card.gradient_of(weight, |of_weight| {
                of_bias = Some(card.gradient_of(bias, |of_bias| {
                    let into = NormGradients {
                        weight: &mut of_weight.floats,
                        bias: &mut of_bias.floats,
                        factors: &mut factors,
                    };
                    Ok(card
                        .cuda
                        .plane_norm_gradients(&norm, &g.floats, &x.floats, into)?)
                })?);
                Ok(())
            })?;
            let of_input = || {
                card.gradient_of(input, |target| {
                    let x = self.are_of_input.then_some(&x.floats);
                    let target = &mut target.floats;
                    Ok(card
                        .cuda
                        .plane_norm_backward(shape, &g.floats, x, &factors, target)?)
                })
            };
            Ok((
                input.track_op().then(of_input).transpose()?,
                weight.track_op().then_some(of_weight),
                of_bias.filter(|_| bias.track_op()),
            ))
        })
    }
}
