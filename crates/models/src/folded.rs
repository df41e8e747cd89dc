//! `Folded`: a network for inference alone, its batch norms folded into the convolutions.
//!
//! For evaluation and prediction. Kernels are packed once; bias, shortcut, ReLU and pooling are
//! worked out inside the convolutions (`cxr_ops::nhwc`). It is a copy: weights that change later
//! do not change it. Deliberately not here: training, feature maps (`Network::features`).

use candle_core::Tensor;
use cxr_ops::kernels::Window;
use cxr_ops::kernels::conv::ConvShape;
use cxr_ops::kernels::linear::{self, LinearShape};
use cxr_ops::nhwc::{
    Activation, Conv, Isa, MapSize, Planes, ScaleShift, Source, StoreActivated, StorePooled,
    Stored, max_pool, mean_of_places, transpose_images,
};

use crate::architecture::{INPUT_CHANNELS, ModelConfig};
use crate::fault::ModelFault;
use crate::layer::{BATCH_NORM_EPSILON, BatchNorm, Convolution, Linear};
use crate::network::{Layers, Network};
use crate::resnet::{ResNet, STEM_POOL};
use crate::step::{fit, with_images};
use crate::xray_cnn::{POOL, XrayCnn};

/// Images that run through the layers together: enough to share the packed kernels, few enough for
/// the maps to stay small.
const IMAGES_TOGETHER: usize = 16;

/// A network that only gives logits.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use cxr_models::{Architecture, Folded, FoldedMemory, Mode, ModelConfig, Network};
/// use cxr_ops::nhwc::Isa;
///
/// let network = Network::new(&ModelConfig::new(Architecture::XrayCnn, 1, 32, 32), 7)?;
/// let images = Tensor::ones((1, 3, 32, 32), DType::F32, &Device::Cpu)?;
/// let folded = Folded::new(&network, Isa::best())?;
/// let logits = folded.logits(&images, &mut FoldedMemory::default())?;
/// let expected = network.forward(&images, Mode::Eval)?.flatten_all()?.to_vec1::<f32>()?;
/// assert!((logits[0] - expected[0]).abs() < 1e-5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Folded {
    config: ModelConfig,
    isa: Isa,
    layers: FoldedLayers,
}

#[derive(Debug)]
enum FoldedLayers {
    XrayCnn {
        convolutions: Vec<FoldedConv>,
        linear: [FoldedLinear; 2],
    },
    ResNet {
        stem: FoldedConv,
        pool: Window,
        blocks: Vec<FoldedBlock>,
        fc: FoldedLinear,
    },
}

#[derive(Debug)]
struct FoldedBlock {
    first: FoldedConv,
    second: FoldedConv,
    downsample: Option<FoldedConv>,
}

/// A convolution whose kernel and bias hold the batch norm behind it.
#[derive(Debug)]
struct FoldedConv {
    isa: Isa,
    shape: ConvShape,
    packed: Vec<f32>,
    bias: Vec<f32>,
}

#[derive(Debug)]
struct FoldedLinear {
    inputs: usize,
    weight: Vec<f32>,
    bias: Vec<f32>,
}

/// The maps of a [`Folded`] network at work; kept between calls, it is not allocated again.
#[derive(Debug, Default)]
pub struct FoldedMemory {
    input: Vec<f32>,
    hidden: Vec<f32>,
    shortcut: Vec<f32>,
    output: Vec<f32>,
}

impl Folded {
    /// A folded copy of the network as it is now.
    ///
    /// # Errors
    /// A weight cannot be read.
    pub fn new(network: &Network, isa: Isa) -> Result<Self, ModelFault> {
        let config = network.config().clone();
        let layers = match network.layers() {
            Layers::XrayCnn(layers) => fold_xray_cnn(&config, layers, isa)?,
            Layers::ResNet(layers) => fold_resnet(&config, layers, isa)?,
        };
        Ok(Self {
            config,
            isa,
            layers,
        })
    }

    /// Images f32 [B, 3, H, W] → logits `[B, K]`, row-major: those of [`Network::forward`] in
    /// evaluation mode, within 1e-5 of the largest (2e-5 for ResNet34).
    ///
    /// # Errors
    /// Images of another shape or type.
    pub fn logits(
        &self,
        images: &Tensor,
        memory: &mut FoldedMemory,
    ) -> Result<Vec<f32>, ModelFault> {
        with_images(images, |images| self.logits_of_planes(&images, memory))?
    }

    /// [`Folded::logits`] of images that are in no tensor.
    ///
    /// # Errors
    /// As [`Folded::logits`].
    pub fn logits_of_planes(
        &self,
        images: &Planes<'_>,
        memory: &mut FoldedMemory,
    ) -> Result<Vec<f32>, ModelFault> {
        Network::check_planes(&self.config, images)?;
        let mut logits = Vec::new();
        let together = images.data.chunks(IMAGES_TOGETHER * images.size.len());
        for data in together {
            let part = Planes { data, ..*images };
            logits.extend(self.logits_of(data.len() / images.size.len(), &part, memory));
        }
        Ok(logits)
    }

    fn logits_of(&self, n: usize, images: &Planes<'_>, memory: &mut FoldedMemory) -> Vec<f32> {
        match &self.layers {
            FoldedLayers::XrayCnn {
                convolutions,
                linear: [fc1, fc2],
            } => {
                let mut size = images.size;
                for (place, convolution) in convolutions.iter().enumerate() {
                    let output = &mut memory.output;
                    if place == 0 {
                        size = convolution.pooled(n, images, output);
                    } else {
                        let data = memory.input.as_slice();
                        size = convolution.pooled(n, &Stored { size, data }, output);
                    }
                    std::mem::swap(&mut memory.input, &mut memory.output);
                }
                // PyTorch flattens [C, H, W].
                let flat = fit(&mut memory.hidden, n * size.len());
                let map = &memory.input[..n * size.len()];
                transpose_images(size.places(), size.channels, map, flat);
                fc2.forward(&fc1.forward(flat))
            }
            FoldedLayers::ResNet {
                stem,
                pool,
                blocks,
                fc,
            } => {
                let activation = Activation::Relu;
                let size = stem.activated(n, images, None, activation, &mut memory.hidden);
                let stored = Stored {
                    size,
                    data: &memory.hidden,
                };
                let [height, width] = pool.output();
                let mut size = MapSize {
                    height,
                    width,
                    ..size
                };
                let output = fit(&mut memory.input, n * size.len());
                max_pool(self.isa, n, pool, &stored, output, None);
                for block in blocks {
                    size = block.forward(n, size, memory);
                }
                let mut means = vec![0.0; n * size.channels]; // [B, 512]
                mean_of_places(n, size, &memory.input[..n * size.len()], &mut means);
                fc.forward(&means)
            }
        }
    }
}

impl FoldedBlock {
    /// From `memory.input` to `memory.input`.
    fn forward(&self, n: usize, size: MapSize, memory: &mut FoldedMemory) -> MapSize {
        let FoldedMemory {
            input,
            hidden,
            shortcut,
            output,
        } = memory;
        let map = Stored {
            size,
            data: &input[..n * size.len()],
        };
        let hidden_size = self
            .first
            .activated(n, &map, None, Activation::Relu, hidden);
        let residual = match &self.downsample {
            Some(convolution) => {
                let size = convolution.activated(n, &map, None, Activation::None, shortcut);
                &shortcut[..n * size.len()]
            }
            None => map.data,
        };
        let map = Stored {
            size: hidden_size,
            data: hidden,
        };
        let size = self
            .second
            .activated(n, &map, Some(residual), Activation::Relu, output);
        std::mem::swap(input, output);
        size
    }
}

impl FoldedConv {
    /// A convolution over maps of `input`, its outputs scaled and shifted by the norm behind it.
    fn new(
        isa: Isa,
        layer: &Convolution,
        norm: Option<&BatchNorm>,
        input: MapSize,
    ) -> Result<Self, ModelFault> {
        let shape = layer.shape_over(input);
        let conv = Conv::new(isa, shape);
        let mut packed = Vec::new();
        let bias = match norm {
            None => {
                layer.with_weight(|weight| conv.pack_forward(weight, &mut packed))?;
                layer.bias_numbers()?
            }
            Some(norm) => {
                let ScaleShift { scale, shift } = evaluation_map(norm)?;
                let per_output = shape.weight_len() / shape.out_channels;
                let mut folded = layer.with_weight(<[f32]>::to_vec)?;
                for (kernel, scale) in folded.chunks_exact_mut(per_output).zip(&scale) {
                    kernel.iter_mut().for_each(|weight| *weight *= scale);
                }
                conv.pack_forward(&folded, &mut packed);
                shift
            }
        };
        Ok(Self {
            isa,
            shape,
            packed,
            bias,
        })
    }

    fn over(&self, images: usize) -> Conv {
        let shape = ConvShape {
            images,
            ..self.shape
        };
        Conv::new(self.isa, shape)
    }

    fn output_size(&self) -> MapSize {
        self.over(1).output_size()
    }

    /// Writes activation(output + bias + residual).
    fn activated(
        &self,
        n: usize,
        input: &impl Source,
        residual: Option<&[f32]>,
        activation: Activation,
        output: &mut Vec<f32>,
    ) -> MapSize {
        let conv = self.over(n);
        let sink = StoreActivated {
            output: fit(output, conv.shape().output_len()),
            bias: &self.bias,
            residual,
            activation,
        };
        conv.forward(&self.packed, input, sink);
        conv.output_size()
    }

    /// Writes the pooled, activated output.
    fn pooled(&self, n: usize, input: &impl Source, output: &mut Vec<f32>) -> MapSize {
        let conv = self.over(n);
        let size = conv.output_size();
        let size = MapSize {
            height: size.height / POOL.stride,
            width: size.width / POOL.stride,
            ..size
        };
        let sink = StorePooled {
            output: fit(output, n * size.len()),
            places: None,
            bias: &self.bias,
        };
        conv.forward(&self.packed, input, sink);
        size
    }
}

impl FoldedLinear {
    fn new(layer: &Linear) -> Result<Self, ModelFault> {
        layer.with_numbers(|weight, bias| Self {
            inputs: weight.len() / bias.len().max(1),
            weight: weight.to_vec(),
            bias: bias.to_vec(),
        })
    }

    fn forward(&self, input: &[f32]) -> Vec<f32> {
        let shape = LinearShape {
            rows: input.len() / self.inputs,
            inputs: self.inputs,
            outputs: self.bias.len(),
        };
        let mut output = vec![0.0; shape.rows * shape.outputs];
        linear::forward(&shape, input, &self.weight, Some(&self.bias), &mut output);
        output
    }
}

/// What a norm does in evaluation mode.
fn evaluation_map(norm: &BatchNorm) -> Result<ScaleShift, ModelFault> {
    let [mean, variance] = norm.running()?;
    let moments = cxr_ops::kernels::batch_norm::Moments::from_f32(&mean, &variance);
    let [weight, bias] = norm.affine()?;
    Ok(ScaleShift::new(
        &moments,
        BATCH_NORM_EPSILON,
        &weight,
        &bias,
    ))
}

fn input_size(config: &ModelConfig) -> MapSize {
    MapSize {
        height: config.height,
        width: config.width,
        channels: INPUT_CHANNELS,
    }
}

fn fold_xray_cnn(
    config: &ModelConfig,
    layers: &XrayCnn,
    isa: Isa,
) -> Result<FoldedLayers, ModelFault> {
    let mut size = input_size(config);
    let mut convolutions = Vec::new();
    for layer in &layers.convolutions {
        let convolution = FoldedConv::new(isa, layer, None, size)?;
        let output = convolution.output_size();
        size = MapSize {
            height: output.height / POOL.stride,
            width: output.width / POOL.stride,
            ..output
        };
        convolutions.push(convolution);
    }
    Ok(FoldedLayers::XrayCnn {
        convolutions,
        linear: [
            FoldedLinear::new(&layers.fc1)?,
            FoldedLinear::new(&layers.fc2)?,
        ],
    })
}

fn fold_resnet(
    config: &ModelConfig,
    layers: &ResNet,
    isa: Isa,
) -> Result<FoldedLayers, ModelFault> {
    let fold = |layer, norm, size| FoldedConv::new(isa, layer, Some(norm), size);
    let stem = fold(&layers.conv1, &layers.bn1, input_size(config))?;
    let pool = STEM_POOL.over(stem.output_size());
    let [height, width] = pool.output();
    let mut size = MapSize {
        height,
        width,
        ..stem.output_size()
    };
    let mut blocks = Vec::new();
    for layers in &layers.blocks {
        let first = fold(&layers.conv1, &layers.bn1, size)?;
        let second = fold(&layers.conv2, &layers.bn2, first.output_size())?;
        let downsample = match &layers.downsample {
            Some((layer, norm)) => Some(fold(layer, norm, size)?),
            None => None,
        };
        size = second.output_size();
        blocks.push(FoldedBlock {
            first,
            second,
            downsample,
        });
    }
    Ok(FoldedLayers::ResNet {
        stem,
        pool,
        blocks,
        fc: FoldedLinear::new(&layers.fc)?,
    })
}
