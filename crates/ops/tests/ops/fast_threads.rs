//! The same bits with 1, 2, 4 and 16 threads, for every kernel of the fast path and every
//! instruction set.

use crate::fast_maps::{bits, conv_shape, map, sets};
use crate::reference::values;
use cxr_ops::kernels::Window;
use cxr_ops::kernels::batch_norm::Moments;
use cxr_ops::nhwc::{
    Activation, Algorithm, BandMoments, Conv, Gate, GradientSums, Isa, MapSize, NormBackward,
    NormGradients, NormRelu, Onto, Picked, Planes, ScaleShift, Shortcut, Sink, Source, Store,
    StoreActivated, StoreGradient, StorePooled, StoreWithMoments, Stored, Unpooled,
    UnpooledNormBackward, add_shortcut, gate_gradient, max_pool, mean_of_places, measure_gradient,
    spread_to_places, transpose_images,
};

const IMAGES: usize = 5;
const EPSILON: f64 = 1e-5;

/// A convolution with its weight, its batch norm's parameters, and the norm's moments.
struct Layer {
    conv: Conv,
    weight: Vec<f32>,
    affine: [Vec<f32>; 2],
    output: Vec<f32>,
    moments: Moments,
    norm: ScaleShift,
}

impl Layer {
    fn run(
        isa: Isa,
        salt: u32,
        (size, outputs): (MapSize, usize),
        kernel: [usize; 3],
        input: &impl Source,
    ) -> Self {
        let conv = Conv::new(isa, conv_shape(IMAGES, size, outputs, kernel));
        let mut layer = Self {
            conv,
            weight: values(salt, conv.shape().weight_len()),
            affine: [salt + 1, salt + 2].map(|salt| values(salt, outputs)),
            output: vec![f32::NAN; conv.shape().output_len()],
            moments: Moments::default(),
            norm: ScaleShift::default(),
        };
        let mut moments = BandMoments::default();
        let mut output = std::mem::take(&mut layer.output);
        let sink = StoreWithMoments {
            output: &mut output,
            moments: &mut moments,
        };
        layer.forward(input, sink);
        layer.output = output;
        layer.moments = moments.combine().0;
        let [weight, bias] = &layer.affine;
        layer.norm = ScaleShift::new(&layer.moments, EPSILON, weight, bias);
        layer
    }

    fn size(&self) -> MapSize {
        self.conv.output_size()
    }

    fn stored(&self) -> Stored<'_> {
        Stored {
            size: self.size(),
            data: &self.output,
        }
    }

    fn activated(&self) -> NormRelu<'_> {
        NormRelu {
            input: self.stored(),
            scale: &self.norm.scale,
            shift: &self.norm.shift,
        }
    }

    fn gate(&self) -> Gate<'_> {
        Gate::Norm {
            input: &self.output,
            scale: &self.norm.scale,
            shift: &self.norm.shift,
        }
    }

    fn forward(&self, input: &impl Source, sink: impl Sink) {
        let mut packed = Vec::new();
        self.conv.pack_forward(&self.weight, &mut packed);
        self.conv.forward(&packed, input, sink);
    }

    fn input_gradient(&self, gradient: &impl Source, sink: impl Sink) {
        let mut packed = Vec::new();
        self.conv.pack_backward(&self.weight, &mut packed);
        self.conv.input_gradient(&packed, gradient, sink);
    }

    fn weight_gradient(&self, input: &impl Source, gradient: &impl Source) -> Vec<f32> {
        let mut of_weight = vec![f32::NAN; self.weight.len()];
        let conv = &self.conv;
        conv.weight_gradient(input, gradient, &mut Vec::new(), &mut of_weight);
        of_weight
    }

    fn norm_gradients(&self, sums: &GradientSums) -> NormGradients {
        let n = IMAGES * self.size().places();
        NormGradients::new(&self.moments, EPSILON, &self.affine[0], sums, n)
    }

    /// The gradient of its convolution's output, of that of its norm's.
    fn behind<'a>(&'a self, gradient: &'a [f32], of_norm: &'a NormGradients) -> NormBackward<'a> {
        NormBackward {
            gradient: Stored {
                size: self.size(),
                data: gradient,
            },
            input: self.stored(),
            factors: &of_norm.factors,
        }
    }

    /// Everything that its forward pass made.
    fn results(&self) -> Vec<f32> {
        let moments = self.moments.mean.iter().chain(&self.moments.variance);
        let mut results: Vec<f32> = moments.map(|&moment| moment as f32).collect();
        results.extend(&self.output);
        results
    }
}

/// A stem with its pooling, then a residual block: direct and Winograd convolutions over maps of
/// several bands.
struct Network {
    isa: Isa,
    images: Vec<f32>,
    stem: Layer,
    window: Window,
    pooled: Vec<f32>,
    picked: Vec<f32>,
    places: Vec<u8>,
    first: Layer,
    second: Layer,
    shortcut: Layer,
    block: Vec<f32>,
    means: Vec<f32>,
}

impl Network {
    const IMAGE: MapSize = MapSize {
        height: 90,
        width: 75,
        channels: 3,
    };

    fn images(images: &[f32]) -> Planes<'_> {
        Planes {
            size: Self::IMAGE,
            data: images,
        }
    }

    fn run(isa: Isa) -> Self {
        let images = values(1, IMAGES * Self::IMAGE.len());
        let source = Self::images(&images);
        let stem = Layer::run(isa, 10, (Self::IMAGE, 16), [7, 2, 3], &source);
        let window = Window {
            input: [stem.size().height, stem.size().width],
            kernel: [3; 2],
            stride: 2,
            padding: [1; 2],
        };
        let [height, width] = window.output();
        let size = map(height, width, 16);
        let [mut pooled, mut picked] = [(); 2].map(|()| vec![f32::NAN; IMAGES * size.len()]);
        let mut places = vec![255; pooled.len()];
        let kept = Picked {
            values: &mut picked,
            places: &mut places,
            from: stem.stored(),
        };
        max_pool(
            isa,
            IMAGES,
            &window,
            &stem.activated(),
            &mut pooled,
            Some(kept),
        );
        let input = Stored {
            size,
            data: &pooled,
        };
        let first = Layer::run(isa, 20, (size, 32), [3, 1, 1], &input);
        let second = Layer::run(isa, 30, (first.size(), 32), [3, 1, 1], &first.activated());
        let shortcut = Layer::run(isa, 40, (size, 32), [1, 1, 0], &input);
        assert_eq!(stem.conv.algorithms().forward, Algorithm::Direct);
        assert_eq!(first.conv.algorithms().weight_gradient, Algorithm::Winograd);

        let out = second.size();
        let mut block = vec![f32::NAN; IMAGES * out.len()];
        let normed = (second.output.as_slice(), &second.norm);
        let added = Shortcut::Norm(&shortcut.output, &shortcut.norm);
        add_shortcut(isa, IMAGES, out, normed, added, &mut block);
        let mut means = vec![f32::NAN; IMAGES * out.channels];
        mean_of_places(IMAGES, out, &block, &mut means);
        Self {
            isa,
            images,
            stem,
            window,
            pooled,
            picked,
            places,
            first,
            second,
            shortcut,
            block,
            means,
        }
    }

    fn input(&self) -> Stored<'_> {
        Stored {
            size: self.first.conv.input_size(),
            data: &self.pooled,
        }
    }

    /// What the forward pass made.
    fn results(&self) -> Vec<Vec<f32>> {
        let layers = [&self.stem, &self.first, &self.second, &self.shortcut];
        let mut results: Vec<_> = layers.map(Layer::results).into();
        let places = self.places.iter().map(|&place| f32::from(place)).collect();
        let maps = [&self.pooled, &self.picked, &self.block, &self.means];
        results.extend(maps.into_iter().cloned());
        results.push(places);
        results
    }

    /// The gradient of the block's output, gated, and what the block's two norms make of it.
    fn block_gradients(&self) -> (Vec<f32>, [NormGradients; 2]) {
        let Self {
            isa,
            second,
            shortcut,
            block,
            ..
        } = self;
        let out = second.size();
        let mut gradient = vec![f32::NAN; block.len()];
        spread_to_places(IMAGES, out, &values(50, self.means.len()), &mut gradient);
        let gate = Gate::Activation {
            activation: block,
            input: Some(&second.output),
        };
        let mut sums = GradientSums::around(&second.moments.mean);
        gate_gradient(*isa, IMAGES, out, gate, &mut gradient, &mut sums);
        let of_second = second.norm_gradients(&sums);
        let mut sums = GradientSums::around(&shortcut.moments.mean);
        measure_gradient(*isa, IMAGES, out, &gradient, &shortcut.output, &mut sums);
        (gradient, [of_second, shortcut.norm_gradients(&sums)])
    }

    /// What the backward pass makes.
    fn gradients(&self) -> Vec<Vec<f32>> {
        let Self {
            stem,
            first,
            second,
            shortcut,
            ..
        } = self;
        let (gradient, [of_second, of_shortcut]) = self.block_gradients();
        let behind_second = second.behind(&gradient, &of_second);
        let behind_shortcut = shortcut.behind(&gradient, &of_shortcut);
        let mut inner = vec![f32::NAN; first.output.len()];
        let mut sums = GradientSums::around(&first.moments.mean);
        let sink = StoreGradient {
            gradient: &mut inner,
            onto: Onto::Unset,
            gate: first.gate(),
            sums: &mut sums,
        };
        second.input_gradient(&behind_second, sink);
        let of_first = first.norm_gradients(&sums);
        let behind_first = first.behind(&inner, &of_first);
        let (of_pooled, of_stem) = self.stem_gradients(&behind_shortcut, &behind_first);
        let behind_stem = UnpooledNormBackward {
            unpooled: Unpooled {
                window: self.window,
                gradient: Stored {
                    size: first.conv.input_size(),
                    data: &of_pooled,
                },
                places: &self.places,
            },
            input: stem.stored(),
            factors: &of_stem.factors,
        };
        let mut of_images = vec![0.0; self.images.len()];
        stem.input_gradient(
            &behind_stem,
            Store {
                output: &mut of_images,
            },
        );
        let weights = [
            stem.weight_gradient(&Self::images(&self.images), &behind_stem),
            first.weight_gradient(&self.input(), &behind_first),
            second.weight_gradient(&first.activated(), &behind_second),
            shortcut.weight_gradient(&self.input(), &behind_shortcut),
        ];
        let norms = [&of_stem, &of_first, &of_second, &of_shortcut];
        let mut gradients: Vec<_> = weights.into();
        gradients.extend(norms.map(|norm| [&*norm.weight, &norm.bias].concat()));
        gradients.extend([gradient, inner, of_pooled, of_images]);
        gradients
    }

    /// The gradient of the pooled map, from both ways through the block, and the stem's norm's.
    fn stem_gradients(
        &self,
        behind_shortcut: &impl Source,
        behind_first: &impl Source,
    ) -> (Vec<f32>, NormGradients) {
        let mut of_pooled = vec![0.0; self.pooled.len()];
        let sink = Store {
            output: &mut of_pooled,
        };
        self.shortcut.input_gradient(behind_shortcut, sink);
        let mut sums = GradientSums::around(&self.stem.moments.mean);
        let sink = StoreGradient {
            gradient: &mut of_pooled,
            onto: Onto::Sum,
            gate: Gate::Activation {
                activation: &self.pooled,
                input: Some(&self.picked),
            },
            sums: &mut sums,
        };
        self.first.input_gradient(behind_first, sink);
        let of_stem = self.stem.norm_gradients(&sums);
        (of_pooled, of_stem)
    }

    /// What inference makes of the same layers.
    fn inferred(&self) -> Vec<Vec<f32>> {
        let mut stored = vec![f32::NAN; self.second.output.len()];
        let sink = StoreActivated {
            output: &mut stored,
            bias: &self.second.norm.shift,
            residual: Some(&self.shortcut.output),
            activation: Activation::Relu,
        };
        self.second.forward(&self.first.activated(), sink);
        let MapSize {
            height,
            width,
            channels,
        } = self.first.size();
        let len = IMAGES * (height / 2) * (width / 2) * channels;
        let (mut pooled, mut places) = (vec![f32::NAN; len], vec![255; len]);
        let sink = StorePooled {
            output: &mut pooled,
            places: Some(&mut places),
            bias: &self.first.norm.shift,
        };
        self.first.forward(&self.input(), sink);
        let mut transposed = vec![f32::NAN; stored.len()];
        transpose_images(channels, height * width, &stored, &mut transposed);
        let places = places.into_iter().map(f32::from).collect();
        vec![stored, pooled, transposed, places]
    }
}

/// One step of training, then inference.
fn one_step(isa: Isa) -> Vec<Vec<f32>> {
    let network = Network::run(isa);
    let mut all = network.results();
    all.extend(network.gradients());
    all.extend(network.inferred());
    all
}

#[test]
fn every_kernel_has_the_same_bits_with_1_2_4_and_16_threads() {
    for isa in sets() {
        let with = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            pool.build().unwrap().install(|| one_step(isa))
        };
        let expected = with(1);
        assert!(expected.iter().flatten().all(|value| value.is_finite()));
        for threads in [2, 4, 16] {
            for (part, (got, expected)) in with(threads).iter().zip(&expected).enumerate() {
                let equal = bits(got) == bits(expected);
                assert!(equal, "part {part} differs with {threads} threads, {isa}");
            }
        }
    }
}
