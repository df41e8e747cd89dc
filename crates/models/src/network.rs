//! `Network`: one of the architectures with its weights; images in, logits out.
//!
//! For training and inference, which see parameters, buffers and logits and no layers. Not here:
//! losses, optimizers, files.

use std::collections::{BTreeMap, BTreeSet};

use candle_core::{DType, Tensor, Var};
use cxr_ops::nhwc::{MapSize, Planes};

use crate::architecture::{Architecture, INPUT_CHANNELS, ModelConfig};
use crate::digest::digest_of_tensors;
use crate::fault::{AtLayer, ModelFault};
use crate::layer::{Moments, Pass};
use crate::resnet::ResNet;
use crate::summary::Summary;
use crate::weights::{Coverage, TensorSpec, Weights};
use crate::xray_cnn::XrayCnn;

/// What a forward pass is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Gradients, dropout, batch statistics. Running statistics move. The dropout mask is a pure
    /// function of (seed, step).
    Train {
        /// The run's seed.
        seed: u64,
        /// The optimizer step, counted over the whole run.
        step: u64,
    },
    /// No gradients with respect to weights, no dropout, running statistics used and left alone.
    Eval,
}

impl From<Mode> for Pass<'_> {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Train { seed, step } => Self::Train { seed, step },
            Mode::Eval => Self::Eval,
        }
    }
}

#[derive(Debug)]
pub(crate) enum Layers {
    XrayCnn(XrayCnn),
    ResNet(ResNet),
}

/// A network with weights on the CPU.
///
/// The weights are candle `Var`s: an optimizer that sets them changes the network.
#[derive(Debug)]
pub struct Network {
    config: ModelConfig,
    weights: Weights,
    layers: Layers,
}

/// Every tensor that a network of this config has, in PyTorch's order: names, shapes, types.
///
/// # Errors
/// As [`ModelConfig::check`].
pub fn tensor_specs(config: &ModelConfig) -> Result<Vec<TensorSpec>, ModelFault> {
    config.check()?;
    Ok(match config.architecture {
        Architecture::XrayCnn => XrayCnn::specs(config),
        Architecture::ResNet18 | Architecture::ResNet34 => ResNet::specs(config),
    })
}

impl Network {
    /// A network with fresh weights, a pure function of config and seed.
    ///
    /// # Errors
    /// As [`ModelConfig::check`].
    pub fn new(config: &ModelConfig, seed: u64) -> Result<Self, ModelFault> {
        Self::build(config, Weights::fresh(tensor_specs(config)?, seed)?)
    }

    /// A network with a copy of these weights, all of them and no others.
    ///
    /// # Errors
    /// As [`ModelConfig::check`], and every tensor that is missing, unknown, of another shape or
    /// type, or not finite.
    pub fn from_tensors(
        config: &ModelConfig,
        tensors: &BTreeMap<String, Tensor>,
    ) -> Result<Self, ModelFault> {
        Self::build(config, Weights::given(tensor_specs(config)?, tensors)?)
    }

    fn build(config: &ModelConfig, weights: Weights) -> Result<Self, ModelFault> {
        let layers = match config.architecture {
            Architecture::XrayCnn => Layers::XrayCnn(XrayCnn::new(config, &weights)?),
            Architecture::ResNet18 | Architecture::ResNet34 => {
                Layers::ResNet(ResNet::new(config, &weights)?)
            }
        };
        Ok(Self {
            config: config.clone(),
            weights,
            layers,
        })
    }

    /// What it was built from.
    #[must_use]
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Images f32 [B, 3, H, W] → logits [B, K], findings in the config's order.
    ///
    /// # Errors
    /// Images of another shape or type; in training, a batch norm that sees one value per channel.
    pub fn forward(&self, images: &Tensor, mode: Mode) -> Result<Tensor, ModelFault> {
        let map = self.features(images, mode)?;
        self.head(&map, mode)
    }

    /// Images [B, 3, H, W] → the last convolutional map, [B, C, h, w] of
    /// [`Network::feature_shape`], after its ReLU. With [`Network::head`] it is the forward pass.
    ///
    /// # Errors
    /// As [`Network::forward`].
    pub fn features(&self, images: &Tensor, mode: Mode) -> Result<Tensor, ModelFault> {
        self.check_input(images)?;
        self.map_of(images, mode.into())
    }

    /// The last convolutional map → logits [B, K]. For Grad-CAM, make the map a `Var` and read its
    /// gradient.
    ///
    /// # Errors
    /// A map of another shape.
    pub fn head(&self, map: &Tensor, mode: Mode) -> Result<Tensor, ModelFault> {
        let [channels, height, width] = self.feature_shape();
        expect_shape("feature maps", map, [channels, height, width])?;
        match &self.layers {
            Layers::XrayCnn(layers) => layers.head(map, mode.into()),
            Layers::ResNet(layers) => layers.head(map, mode.into()),
        }
    }

    /// [C, h, w] of the last convolutional map.
    #[must_use]
    pub fn feature_shape(&self) -> [usize; 3] {
        match &self.layers {
            Layers::XrayCnn(_) => XrayCnn::feature_shape(&self.config),
            Layers::ResNet(_) => ResNet::feature_shape(&self.config),
        }
    }

    fn map_of(&self, images: &Tensor, pass: Pass<'_>) -> Result<Tensor, ModelFault> {
        match &self.layers {
            Layers::XrayCnn(layers) => layers.features(images, pass),
            Layers::ResNet(layers) => layers.features(images, pass),
        }
    }

    pub(crate) fn layers(&self) -> &Layers {
        &self.layers
    }

    pub(crate) fn check_input(&self, images: &Tensor) -> Result<(), ModelFault> {
        expect_shape(
            "images",
            images,
            [INPUT_CHANNELS, self.config.height, self.config.width],
        )
    }

    /// Refuses images that a network of this config does not take; how many there are.
    pub(crate) fn check_planes(
        config: &ModelConfig,
        images: &Planes<'_>,
    ) -> Result<usize, ModelFault> {
        let MapSize {
            height,
            width,
            channels,
        } = images.size;
        let len = channels * height * width;
        let is_fit = [channels, height, width] == [INPUT_CHANNELS, config.height, config.width]
            && images.data.len().is_multiple_of(len)
            && !images.data.is_empty();
        if is_fit {
            return Ok(images.data.len() / len);
        }
        let found = images.data.len();
        Err(ModelFault::Input {
            expected: format!(
                "images [N, {INPUT_CHANNELS}, {}, {}], N at least 1",
                config.height, config.width
            ),
            found: format!("{found} numbers as [N, {channels}, {height}, {width}]"),
        })
    }

    /// Names and variables that an optimizer moves, in PyTorch's order, without the frozen ones.
    #[must_use]
    pub fn parameters(&self) -> Vec<(String, Var)> {
        self.weights.trainable()
    }

    /// Running statistics and their counts, in PyTorch's order.
    #[must_use]
    pub fn buffers(&self) -> Vec<(String, Var)> {
        self.weights.buffers()
    }

    /// Every tensor's variable, frozen ones too.
    pub(crate) fn variables(&self) -> Vec<(String, Var)> {
        self.weights.all()
    }

    /// Every tensor that a checkpoint holds, by name. They are views: they change as the network
    /// trains. [`Network::snapshot`] copies.
    #[must_use]
    pub fn tensors(&self) -> BTreeMap<String, Tensor> {
        self.weights.tensors()
    }

    /// A copy of every tensor that a checkpoint holds, by name.
    ///
    /// # Errors
    /// Where the copy cannot be allocated.
    pub fn snapshot(&self) -> Result<BTreeMap<String, Tensor>, ModelFault> {
        let copy = |(name, tensor): (String, Tensor)| {
            let copied = tensor.copy().at(&name)?;
            Ok((name, copied))
        };
        self.tensors().into_iter().map(copy).collect()
    }

    /// Takes over these weights. All must be there and fit, and no others; where any is at fault
    /// none is taken.
    ///
    /// # Errors
    /// [`ModelFault::Tensors`] with every fault.
    pub fn load_tensors(&self, tensors: &BTreeMap<String, Tensor>) -> Result<(), ModelFault> {
        self.weights.fill(tensors, Coverage::All).map(drop)
    }

    /// Takes over the weights that are given and returns the names of those that were not.
    ///
    /// # Errors
    /// [`ModelFault::Tensors`] with every tensor that does not fit; then none is taken.
    pub fn load_some_tensors(
        &self,
        tensors: &BTreeMap<String, Tensor>,
    ) -> Result<Vec<String>, ModelFault> {
        self.weights.fill(tensors, Coverage::Some)
    }

    /// Takes the parameters below these names (`conv1`, `layer1`, `layer2.0.bn1`, `fc.bias`) out
    /// of training. A batch norm whose weight and bias are both frozen runs in evaluation mode even
    /// in a training pass, and its running statistics stay. Layers before the first trainable one
    /// keep nothing for the backward pass.
    ///
    /// # Errors
    /// A name that is no whole part of a parameter's; the names before it are frozen by then.
    pub fn freeze<S: AsRef<str>>(&mut self, names: &[S]) -> Result<(), ModelFault> {
        names
            .iter()
            .try_for_each(|name| self.weights.freeze(name.as_ref()))
    }

    /// Makes every parameter trainable again.
    pub fn unfreeze(&mut self) {
        self.weights.unfreeze();
    }

    /// Numbers among all parameters, frozen ones too; running statistics not.
    #[must_use]
    pub fn n_parameters(&self) -> usize {
        self.summary().n_parameters()
    }

    /// Numbers among the parameters that are not frozen.
    #[must_use]
    pub fn n_trainable_parameters(&self) -> usize {
        self.parameters()
            .iter()
            .map(|(_, var)| var.elem_count())
            .sum()
    }

    /// Its tensors layer by layer, with shapes and counts.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let frozen = self.frozen();
        Summary::new(&self.config, self.weights.specs(), &frozen)
    }

    fn frozen(&self) -> BTreeSet<String> {
        let trainable: BTreeSet<String> = self.parameters().into_iter().map(|(n, _)| n).collect();
        let all = self.weights.specs().map(|spec| spec.name.clone());
        all.filter(|name| !trainable.contains(name)).collect()
    }

    /// BLAKE3 (hex) over names, types, shapes and bytes of every tensor, sorted by name: equal
    /// exactly where every weight and running statistic is.
    ///
    /// # Errors
    /// Where a tensor cannot be read.
    pub fn weight_digest(&self) -> Result<String, ModelFault> {
        digest_of_tensors(&self.tensors())
    }

    /// Gives batch norms back to convolutions into which they had been folded, keeping what the
    /// network computes on `batches`.
    ///
    /// `folded_biases` holds, by batch-norm name (`layer1.0.bn1`), the bias of the folded
    /// convolution before it; those norms then get running_mean = E\[y], running_var = Var\[y],
    /// weight = √(Var\[y] + ε) and bias = old bias + E\[y] of the convolution's bias-free output y
    /// over all batches (Var over n). Other norms are left alone.
    ///
    /// # Errors
    /// A name that is no batch norm, a bias of another length, no batch, or images that do not fit.
    pub fn reopen_batch_norm(
        &self,
        batches: &[Tensor],
        folded_biases: BTreeMap<String, Vec<f32>>,
    ) -> Result<(), ModelFault> {
        for (name, bias) in &folded_biases {
            let expected = self.weights.buffer_of(name, "running_mean")?;
            if expected.elem_count() != bias.len() {
                return Err(ModelFault::Input {
                    expected: format!("a bias of {} for {name}", expected.elem_count()),
                    found: bias.len().to_string(),
                });
            }
        }
        if batches.is_empty() {
            return Err(ModelFault::Input {
                expected: "at least one batch of images to measure".to_owned(),
                found: "0".to_owned(),
            });
        }
        let moments = Moments::new(folded_biases);
        for images in batches {
            self.check_input(images)?;
            self.map_of(images, Pass::Reopen(&moments))?;
        }
        match &self.layers {
            Layers::ResNet(layers) => layers.reopen(&moments),
            Layers::XrayCnn(_) => Ok(()),
        }
    }
}

fn expect_shape(what: &str, found: &Tensor, expected: [usize; 3]) -> Result<(), ModelFault> {
    let [channels, height, width] = expected;
    let fits = match found.dims() {
        [batch, rest @ ..] => *batch > 0 && *rest == expected,
        [] => false,
    };
    if fits && found.dtype() == DType::F32 {
        return Ok(());
    }
    Err(ModelFault::Input {
        expected: format!("{what} of f32 [batch, {channels}, {height}, {width}]"),
        found: format!("{} {:?}", found.dtype().as_str(), found.dims()),
    })
}
