//! A convolution with the batch norm behind it, in a training step.

use cxr_ops::OpError;
use cxr_ops::kernels::batch_norm::Moments;
use cxr_ops::kernels::conv::ConvShape;
use cxr_ops::nhwc::{
    BandMoments, Conv, GradientSums, Kernels, MapSize, NormGradients, NormRelu, ScaleShift, Sink,
    Source, StoreWithMoments, Stored,
};

use super::{Gradients, Workspace, fit};
use crate::fault::{AtLayer, ModelFault};
use crate::layer::{BATCH_NORM_EPSILON, BatchNorm, Convolution};

/// The two layers with what the backward pass needs: the convolution's output and its moments. The
/// normalised map itself is never written.
#[derive(Debug)]
pub(crate) struct ConvNorm {
    pub(crate) conv: Conv,
    kernels: Kernels,
    output: Vec<f32>,
    bands: BandMoments,
    moments: Moments,
    /// How the norm maps the convolution's output.
    pub(crate) norm: ScaleShift,
    /// Numbers that share a mean.
    n: usize,
}

impl ConvNorm {
    pub(crate) fn new(kernels: Kernels, shape: ConvShape) -> Self {
        Self {
            conv: Conv::new(kernels, shape),
            kernels,
            output: Vec::new(),
            bands: BandMoments::default(),
            moments: Moments::default(),
            norm: ScaleShift::default(),
            n: 0,
        }
    }

    pub(crate) fn size(&self) -> MapSize {
        self.conv.output_size()
    }

    /// The convolution's output, before the norm.
    pub(crate) fn output(&self) -> Stored<'_> {
        Stored {
            size: self.size(),
            data: &self.output[..self.conv.shape().output_len()],
        }
    }

    /// The normalised output behind a ReLU.
    pub(crate) fn activation(&self) -> NormRelu<'_> {
        NormRelu {
            input: self.output(),
            scale: &self.norm.scale,
            shift: &self.norm.shift,
        }
    }

    /// Sums for the way back, around this norm's means.
    pub(crate) fn sums(&self) -> GradientSums {
        GradientSums::around(&self.moments.mean)
    }

    /// Runs both layers over a batch of `images`; running statistics move.
    pub(crate) fn forward(
        &mut self,
        (convolution, norm): (&Convolution, &BatchNorm),
        images: usize,
        input: &impl Source,
        workspace: &mut Workspace,
    ) -> Result<(), ModelFault> {
        let shape = ConvShape {
            images,
            ..*self.conv.shape()
        };
        self.conv = Conv::new(self.kernels, shape);
        self.n = images * self.size().places();
        if self.n < 2 {
            let MapSize {
                height,
                width,
                channels,
            } = self.size();
            let shape = vec![images, channels, height, width];
            return Err(OpError::OneValuePerChannel { shape }).at(norm.name());
        }
        let packed = &mut workspace.packed;
        convolution.with_weight(|weight| self.conv.pack_forward(weight, packed))?;
        let sink = StoreWithMoments {
            output: fit(&mut self.output, shape.output_len()),
            moments: &mut self.bands,
        };
        self.conv.forward(packed, input, sink);
        (self.moments, _) = self.bands.combine();
        let [weight, bias] = norm.affine()?;
        self.norm = ScaleShift::new(&self.moments, BATCH_NORM_EPSILON, &weight, &bias);
        norm.track_moments(&self.moments, self.n)
    }

    /// The way back through the norm; its own gradients are kept by name.
    pub(crate) fn norm_backward(
        &self,
        norm: &BatchNorm,
        sums: &GradientSums,
        gradients: &mut Gradients,
    ) -> Result<NormGradients, ModelFault> {
        let [weight, _] = norm.affine()?;
        let mut back = NormGradients::new(&self.moments, BATCH_NORM_EPSILON, &weight, sums, self.n);
        gradients.set(
            &format!("{}.weight", norm.name()),
            std::mem::take(&mut back.weight),
        );
        gradients.set(
            &format!("{}.bias", norm.name()),
            std::mem::take(&mut back.bias),
        );
        Ok(back)
    }

    /// The gradient of the convolution's weight.
    pub(crate) fn weight_gradient(
        &self,
        convolution: &Convolution,
        input: &impl Source,
        gradient: &impl Source,
        workspace: &mut Workspace,
        gradients: &mut Gradients,
    ) {
        let slot = gradients.slot(&convolution.weight_name(), self.conv.shape().weight_len());
        self.conv
            .weight_gradient(input, gradient, &mut workspace.memory, slot);
    }

    /// Gives the gradient of the convolution's input to `sink`.
    pub(crate) fn input_gradient(
        &self,
        convolution: &Convolution,
        gradient: &impl Source,
        workspace: &mut Workspace,
        sink: impl Sink,
    ) -> Result<(), ModelFault> {
        let packed = &mut workspace.packed;
        convolution.with_weight(|weight| self.conv.pack_backward(weight, packed))?;
        self.conv.input_gradient(packed, gradient, sink);
        Ok(())
    }
}
