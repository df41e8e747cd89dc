//! `Step`: a training step of a shipped network, layer by layer, without candle's graph.
//!
//! For the training loop. It gives the logits, running statistics and gradients of
//! `Network::forward` in training mode and candle's backward pass, several times faster and in less
//! memory: maps lie as [N, H, W, C], batch norm, ReLU and pooling are worked out inside the
//! convolutions (`cxr_ops::nhwc`), and every buffer is kept from step to step. Deliberately not
//! here: the loss, the optimizer, and networks with frozen layers, which candle's graph serves.

mod conv_norm;
mod gradients;
mod head;
mod resnet;
mod xray_cnn;

pub use gradients::Gradients;

use candle_core::Tensor;
use cxr_ops::nhwc::{Kernels, MapSize, Planes};

use crate::fault::{AtLayer, ModelFault};
use crate::network::{Layers, Network};
use crate::numbers::{Numbers, with_numbers};
use resnet::ResNetStep;
use xray_cnn::XrayCnnStep;

/// Working memory that layers share: nothing in it outlives a call.
#[derive(Debug, Default)]
pub(crate) struct Workspace {
    /// A kernel, packed.
    pub(crate) packed: Vec<f32>,
    /// Sums and planes of a weight gradient.
    pub(crate) memory: Vec<f32>,
}

/// The numbers that dropout is drawn from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chance {
    pub(crate) seed: u64,
    pub(crate) step: u64,
}

/// A training step of one network, with its memory.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use cxr_models::{Architecture, ModelConfig, Network, Step};
/// use cxr_ops::nhwc::Isa;
///
/// let network = Network::new(&ModelConfig::new(Architecture::ResNet18, 2, 32, 32), 7)?;
/// let mut step = Step::new(&network, Isa::best()).ok_or("a layer is frozen")?;
/// let images = Tensor::ones((2, 3, 32, 32), DType::F32, &Device::Cpu)?;
/// let logits = step.forward(&network, &images, (7, 0))?;
/// assert_eq!(logits.len(), 2 * 2);
/// let gradients = step.backward(&network, &images, &[0.5, 0.0, -0.25, 0.0])?;
/// assert_eq!(gradients.get("fc.bias"), Some([0.25, 0.0].as_slice()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Step {
    layers: StepLayers,
    /// Images of the last forward pass.
    n_images: usize,
    workspace: Workspace,
    gradients: Gradients,
}

#[derive(Debug)]
enum StepLayers {
    XrayCnn(XrayCnnStep),
    ResNet(Box<ResNetStep>),
}

impl Step {
    /// A step for this network, or `None` where a layer is frozen: candle's graph serves that.
    #[must_use]
    pub fn new(network: &Network, kernels: impl Into<Kernels>) -> Option<Self> {
        let kernels = kernels.into();
        if network.n_trainable_parameters() != network.n_parameters() {
            return None;
        }
        let layers = match network.layers() {
            Layers::XrayCnn(layers) => {
                StepLayers::XrayCnn(XrayCnnStep::new(network.config(), layers, kernels))
            }
            Layers::ResNet(layers) => {
                StepLayers::ResNet(Box::new(ResNetStep::new(network.config(), layers, kernels)))
            }
        };
        Some(Self {
            layers,
            n_images: 0,
            workspace: Workspace::default(),
            gradients: Gradients::default(),
        })
    }

    /// Images f32 [B, 3, H, W] → logits `[B, K]`, row-major. Running statistics move. The dropout
    /// mask is a pure function of (seed, step).
    ///
    /// # Errors
    /// Images of another shape or type; a batch norm that sees one value per channel; another
    /// network than the one that the step was made for.
    pub fn forward(
        &mut self,
        network: &Network,
        images: &Tensor,
        chance: (u64, u64),
    ) -> Result<Vec<f32>, ModelFault> {
        with_images(images, |images| {
            self.forward_planes(network, &images, chance)
        })?
    }

    /// [`Step::forward`] of images that are in no tensor.
    ///
    /// # Errors
    /// As [`Step::forward`].
    pub fn forward_planes(
        &mut self,
        network: &Network,
        images: &Planes<'_>,
        (seed, step): (u64, u64),
    ) -> Result<Vec<f32>, ModelFault> {
        let n = Network::check_planes(network.config(), images)?;
        let chance = Chance { seed, step };
        self.n_images = n;
        match (&mut self.layers, network.layers()) {
            (StepLayers::XrayCnn(step), Layers::XrayCnn(layers)) => {
                step.forward(layers, (n, *images), chance, &mut self.workspace)
            }
            (StepLayers::ResNet(step), Layers::ResNet(layers)) => {
                step.forward(layers, (n, *images), chance, &mut self.workspace)
            }
            _ => Err(another_network()),
        }
    }

    /// The gradient of every parameter from the gradient of the logits `[B, K]` of the last
    /// [`Step::forward`], whose images are given again.
    ///
    /// # Errors
    /// As [`Step::forward`]; a gradient of another length.
    pub fn backward(
        &mut self,
        network: &Network,
        images: &Tensor,
        logit_gradient: &[f32],
    ) -> Result<&Gradients, ModelFault> {
        with_images(images, |images| {
            self.backward_planes(network, &images, logit_gradient)
                .map(drop)
        })??;
        Ok(&self.gradients)
    }

    /// [`Step::backward`] of images that are in no tensor.
    ///
    /// # Errors
    /// As [`Step::backward`].
    pub fn backward_planes(
        &mut self,
        network: &Network,
        images: &Planes<'_>,
        logit_gradient: &[f32],
    ) -> Result<&Gradients, ModelFault> {
        let n = Network::check_planes(network.config(), images)?;
        let n_images = self.n_images;
        let expected = n_images * network.config().n_findings;
        if n != n_images || logit_gradient.len() != expected {
            let found = logit_gradient.len();
            return Err(ModelFault::Input {
                expected: format!(
                    "the {n_images} images of the last forward pass and a gradient of {expected} logits"
                ),
                found: format!("{n} images and a gradient of {found} logits"),
            });
        }
        let images = (n, *images);
        let (workspace, gradients) = (&mut self.workspace, &mut self.gradients);
        match (&mut self.layers, network.layers()) {
            (StepLayers::XrayCnn(step), Layers::XrayCnn(layers)) => {
                step.backward(layers, images, logit_gradient, workspace, gradients)?;
            }
            (StepLayers::ResNet(step), Layers::ResNet(layers)) => {
                step.backward(layers, images, logit_gradient, workspace, gradients)?;
            }
            _ => return Err(another_network()),
        }
        Ok(&self.gradients)
    }
}

fn another_network() -> ModelFault {
    ModelFault::Input {
        expected: "the architecture that this step was made for".to_owned(),
        found: "another architecture".to_owned(),
    }
}

/// Shows the images of a tensor to `look`.
pub(crate) fn with_images<R>(
    images: &Tensor,
    look: impl FnOnce(Planes<'_>) -> R,
) -> Result<R, ModelFault> {
    let (_, channels, height, width) = images.dims4().at("images")?;
    let size = MapSize {
        height,
        width,
        channels,
    };
    with_numbers(images, |numbers| match numbers {
        Numbers::F32(data) => Ok(look(Planes { size, data })),
        Numbers::I64(_) => Err(ModelFault::Input {
            expected: "images of f32".to_owned(),
            found: "I64".to_owned(),
        }),
    })
    .at("images")?
}

/// Gives a buffer this length; what it held stays or is zero.
pub(crate) fn fit<T: Clone + Default>(buffer: &mut Vec<T>, len: usize) -> &mut [T] {
    if buffer.len() < len {
        buffer.resize(len, T::default());
    }
    &mut buffer[..len]
}
