//! The layers that both networks are made of: named tensors around the operations of `cxr-ops`.
//!
//! For `xray_cnn` and `resnet`. Not here: which layer follows which.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use candle_core::{DType, Device, Tensor, Var};
use cxr_ops::kernels::Window;
use cxr_ops::kernels::conv::ConvShape;
use cxr_ops::nhwc::MapSize;
use cxr_ops::{Conv2dGeometry, DropoutKey};

use crate::fault::{AtLayer, ModelFault};
use crate::weights::{Parameter, Weights};

/// torch's and torchvision's.
pub(crate) const BATCH_NORM_EPSILON: f64 = 1e-5;
/// Weight of the newest batch in the running statistics; torch's and torchvision's.
pub(crate) const BATCH_NORM_MOMENTUM: f64 = 0.1;

/// How one forward pass treats chance and running statistics.
#[derive(Clone, Copy)]
pub(crate) enum Pass<'a> {
    /// Gradients, dropout, batch statistics; running statistics move.
    Train { seed: u64, step: u64 },
    /// No gradients, no chance, running statistics as they are.
    Eval,
    /// As `Eval`, but batch norms that were folded away pass their input on with its old bias while
    /// its moments are collected.
    Reopen(&'a Moments),
}

impl Pass<'_> {
    pub(crate) fn is_training(self) -> bool {
        matches!(self, Self::Train { .. })
    }
}

/// Sums over everything that entered the folded batch norms, by layer name.
#[derive(Debug, Default)]
pub(crate) struct Moments {
    pub(crate) biases: BTreeMap<String, Vec<f32>>,
    sums: Mutex<BTreeMap<String, ChannelSums>>,
}

/// Per channel: how many values, their sum, the sum of their squares.
#[derive(Clone, Debug, Default)]
pub(crate) struct ChannelSums {
    count: usize,
    sum: Vec<f64>,
    squares: Vec<f64>,
}

impl ChannelSums {
    fn add(&mut self, input: &Tensor) -> candle_core::Result<()> {
        let (batch, channels, height, width) = input.dims4()?;
        let plane = height * width;
        let numbers = input.flatten_all()?.to_vec1::<f32>()?;
        self.sum.resize(channels, 0.0);
        self.squares.resize(channels, 0.0);
        for (index, values) in numbers.chunks(plane.max(1)).enumerate() {
            let channel = index % channels.max(1);
            for &value in values {
                self.sum[channel] += f64::from(value);
                self.squares[channel] += f64::from(value).powi(2);
            }
        }
        self.count += batch * plane;
        Ok(())
    }

    /// Mean and variance (over n, as a training pass normalises) of each channel.
    fn moments(&self) -> (Vec<f64>, Vec<f64>) {
        let n = self.count as f64;
        let means: Vec<f64> = self.sum.iter().map(|sum| sum / n).collect();
        let variances = means
            .iter()
            .zip(&self.squares)
            .map(|(mean, squares)| (squares / n - mean * mean).max(0.0))
            .collect();
        (means, variances)
    }
}

impl Moments {
    pub(crate) fn new(biases: BTreeMap<String, Vec<f32>>) -> Self {
        Self {
            biases,
            sums: Mutex::default(),
        }
    }

    fn add(&self, layer: &str, input: &Tensor) -> candle_core::Result<()> {
        let mut sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        sums.entry(layer.to_owned()).or_default().add(input)
    }

    fn take(&self, layer: &str) -> Option<ChannelSums> {
        let mut sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        sums.remove(layer)
    }
}

/// A 2-D convolution.
#[derive(Debug)]
pub(crate) struct Convolution {
    name: String,
    weight: Parameter,
    bias: Option<Parameter>,
    geometry: Conv2dGeometry,
}

impl Convolution {
    pub(crate) fn with_bias(
        weights: &Weights,
        name: &str,
        geometry: Conv2dGeometry,
    ) -> Result<Self, ModelFault> {
        let mut convolution = Self::without_bias(weights, name, geometry)?;
        convolution.bias = Some(weights.parameter(&format!("{name}.bias"))?);
        Ok(convolution)
    }

    pub(crate) fn without_bias(
        weights: &Weights,
        name: &str,
        geometry: Conv2dGeometry,
    ) -> Result<Self, ModelFault> {
        Ok(Self {
            name: name.to_owned(),
            weight: weights.parameter(&format!("{name}.weight"))?,
            bias: None,
            geometry,
        })
    }

    /// Its sizes over one map of `input`.
    pub(crate) fn shape_over(&self, input: MapSize) -> ConvShape {
        let dims = self.weight.var.dims();
        let [out_channels, channels, height, width] =
            std::array::from_fn(|axis| dims.get(axis).copied().unwrap_or(1));
        ConvShape {
            images: 1,
            channels,
            out_channels,
            window: Window {
                input: [input.height, input.width],
                kernel: [height, width],
                stride: self.geometry.stride,
                padding: [self.geometry.padding; 2],
            },
        }
    }

    pub(crate) fn weight_name(&self) -> String {
        format!("{}.weight", self.name)
    }

    pub(crate) fn bias_name(&self) -> String {
        format!("{}.bias", self.name)
    }

    pub(crate) fn with_weight<R>(&self, look: impl FnOnce(&[f32]) -> R) -> Result<R, ModelFault> {
        self.weight.with_numbers(look).at(&self.name)
    }

    /// The bias, or nothing.
    pub(crate) fn bias_numbers(&self) -> Result<Vec<f32>, ModelFault> {
        match &self.bias {
            Some(bias) => bias.with_numbers(<[f32]>::to_vec).at(&self.name),
            None => Ok(Vec::new()),
        }
    }

    pub(crate) fn forward(&self, input: &Tensor, pass: Pass<'_>) -> Result<Tensor, ModelFault> {
        let tracked = pass.is_training();
        let weight = self.weight.tensor(tracked);
        let bias = self.bias.as_ref().map(|bias| bias.tensor(tracked));
        cxr_ops::conv2d(input, &weight, bias.as_ref(), self.geometry).at(&self.name)
    }
}

/// A fully connected layer, weight [out, in].
#[derive(Debug)]
pub(crate) struct Linear {
    name: String,
    weight: Parameter,
    bias: Parameter,
}

impl Linear {
    pub(crate) fn new(weights: &Weights, name: &str) -> Result<Self, ModelFault> {
        Ok(Self {
            name: name.to_owned(),
            weight: weights.parameter(&format!("{name}.weight"))?,
            bias: weights.parameter(&format!("{name}.bias"))?,
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Shows weight and bias.
    pub(crate) fn with_numbers<R>(
        &self,
        look: impl FnOnce(&[f32], &[f32]) -> R,
    ) -> Result<R, ModelFault> {
        let bias = self.bias.with_numbers(<[f32]>::to_vec).at(&self.name)?;
        self.weight
            .with_numbers(|weight| look(weight, &bias))
            .at(&self.name)
    }

    pub(crate) fn forward(&self, input: &Tensor, pass: Pass<'_>) -> Result<Tensor, ModelFault> {
        let tracked = pass.is_training();
        let weight = self.weight.tensor(tracked);
        let bias = self.bias.tensor(tracked);
        cxr_ops::linear(input, &weight, Some(&bias)).at(&self.name)
    }
}

/// Dropout before the last layer: a pure function of (seed, step) in training, nothing otherwise.
pub(crate) fn dropout(
    input: &Tensor,
    probability: f32,
    pass: Pass<'_>,
) -> Result<Tensor, ModelFault> {
    match pass {
        Pass::Train { seed, step } if probability > 0.0 => {
            let key = DropoutKey {
                seed,
                step,
                layer: 0,
            };
            cxr_ops::dropout(input, f64::from(probability), key).at("dropout")
        }
        _ => Ok(input.clone()),
    }
}

/// Batch norm over the channels of [N, C, H, W].
///
/// In training it normalises with the batch and moves its running statistics, unless weight and
/// bias are both frozen: then it runs as in evaluation and nothing of it moves.
#[derive(Debug)]
pub(crate) struct BatchNorm {
    name: String,
    weight: Parameter,
    bias: Parameter,
    running_mean: Var,
    running_var: Var,
    num_batches_tracked: Var,
}

impl BatchNorm {
    pub(crate) fn new(weights: &Weights, name: &str) -> Result<Self, ModelFault> {
        Ok(Self {
            name: name.to_owned(),
            weight: weights.parameter(&format!("{name}.weight"))?,
            bias: weights.parameter(&format!("{name}.bias"))?,
            running_mean: weights.buffer(&format!("{name}.running_mean"))?,
            running_var: weights.buffer(&format!("{name}.running_var"))?,
            num_batches_tracked: weights.buffer(&format!("{name}.num_batches_tracked"))?,
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn forward(&self, input: &Tensor, pass: Pass<'_>) -> Result<Tensor, ModelFault> {
        match pass {
            Pass::Train { .. } if !(self.weight.is_frozen() && self.bias.is_frozen()) => {
                self.train(input)
            }
            Pass::Reopen(moments) => match moments.biases.get(&self.name) {
                Some(bias) => self.pass_on(input, moments, bias),
                None => self.evaluate(input),
            },
            Pass::Train { .. } | Pass::Eval => self.evaluate(input),
        }
    }

    fn evaluate(&self, input: &Tensor) -> Result<Tensor, ModelFault> {
        let mean = self.running_mean.to_vec1::<f32>().at(&self.name)?;
        let variance = self.running_var.to_vec1::<f32>().at(&self.name)?;
        cxr_ops::batch_norm_eval(
            input,
            &self.weight.tensor(false),
            &self.bias.tensor(false),
            [&mean, &variance],
            BATCH_NORM_EPSILON,
        )
        .at(&self.name)
    }

    fn train(&self, input: &Tensor) -> Result<Tensor, ModelFault> {
        let weight = self.weight.tensor(true);
        let bias = self.bias.tensor(true);
        let output =
            cxr_ops::batch_norm_train(input, &weight, &bias, BATCH_NORM_EPSILON).at(&self.name)?;
        self.track(&output.mean, &output.var_unbiased)
            .at(&self.name)?;
        Ok(output.y)
    }

    /// Weight and bias.
    pub(crate) fn affine(&self) -> Result<[Vec<f32>; 2], ModelFault> {
        let numbers = |parameter: &Parameter| parameter.with_numbers(<[f32]>::to_vec);
        let weight = numbers(&self.weight).at(&self.name)?;
        Ok([weight, numbers(&self.bias).at(&self.name)?])
    }

    /// Running mean and variance.
    pub(crate) fn running(&self) -> Result<[Vec<f32>; 2], ModelFault> {
        let mean = self.running_mean.to_vec1().at(&self.name)?;
        Ok([mean, self.running_var.to_vec1().at(&self.name)?])
    }

    /// Moves the running statistics towards moments of `n` numbers each.
    pub(crate) fn track_moments(
        &self,
        moments: &cxr_ops::kernels::batch_norm::Moments,
        n: usize,
    ) -> Result<(), ModelFault> {
        let mean: Vec<f32> = moments.mean.iter().map(|&mean| mean as f32).collect();
        let unbiased = n as f64 / (n as f64 - 1.0);
        let variance = moments.variance.iter();
        let variance: Vec<f32> = variance.map(|&v| (v * unbiased) as f32).collect();
        self.track(&mean, &variance).at(&self.name)
    }

    /// Moves the running statistics towards the batch's. A batch that is not finite leaves them:
    /// its loss is not finite either, and whoever skips the batch keeps a sound network.
    fn track(&self, mean: &[f32], var_unbiased: &[f32]) -> candle_core::Result<()> {
        if !mean.iter().chain(var_unbiased).all(|m| m.is_finite()) {
            return Ok(());
        }
        move_towards(&self.running_mean, mean)?;
        move_towards(&self.running_var, var_unbiased)?;
        let count = self.num_batches_tracked.to_scalar::<i64>()?;
        self.num_batches_tracked
            .set(&Tensor::new(count + 1, &Device::Cpu)?)
    }

    fn pass_on(
        &self,
        input: &Tensor,
        moments: &Moments,
        bias: &[f32],
    ) -> Result<Tensor, ModelFault> {
        moments.add(&self.name, input).at(&self.name)?;
        Tensor::new(bias, &Device::Cpu)
            .and_then(|bias| bias.reshape((1, bias.elem_count(), 1, 1)))
            .and_then(|bias| input.broadcast_add(&bias))
            .at(&self.name)
    }

    /// Sets weight, bias and running statistics so that the layer, over what was collected, adds
    /// its old bias and no more: running_mean = E[y], running_var = Var[y],
    /// weight = √(Var[y] + ε), bias = old bias + E[y].
    pub(crate) fn reopen(&self, moments: &Moments) -> candle_core::Result<()> {
        let (Some(bias), Some(sums)) = (moments.biases.get(&self.name), moments.take(&self.name))
        else {
            return Ok(());
        };
        let (means, variances) = sums.moments();
        let epsilon = BATCH_NORM_EPSILON;
        let weight = variances.iter().map(|variance| (variance + epsilon).sqrt());
        let shifted = means.iter().zip(bias).map(|(m, b)| m + f64::from(*b));
        set_numbers(&self.weight.var, weight)?;
        set_numbers(&self.bias.var, shifted)?;
        set_numbers(&self.running_mean, means.iter().copied())?;
        set_numbers(&self.running_var, variances.iter().copied())
    }
}

fn move_towards(running: &Var, batch: &[f32]) -> candle_core::Result<()> {
    let old = running.to_vec1::<f32>()?;
    let new = old.iter().zip(batch).map(|(&old, &batch)| {
        (1.0 - BATCH_NORM_MOMENTUM) * f64::from(old) + BATCH_NORM_MOMENTUM * f64::from(batch)
    });
    set_numbers(running, new)
}

fn set_numbers(var: &Var, numbers: impl Iterator<Item = f64>) -> candle_core::Result<()> {
    let numbers: Vec<f32> = numbers.map(|number| number as f32).collect();
    var.set(&Tensor::new(numbers, &Device::Cpu)?.to_dtype(DType::F32)?)
}
