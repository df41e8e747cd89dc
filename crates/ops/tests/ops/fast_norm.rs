//! Batch normalisation around the fast path's convolutions: against the kernels over planes, and
//! against central differences in f64 of the whole norm, through its mean and variance.

use crate::fast_maps::{give_map, map, rows_of, sets, to_nchw, to_nhwc};
use crate::reference::{
    assert_close, difference_gradient, distinct, max_pool, moments, normalize, values, wide,
};
use cxr_ops::kernels::Window;
use cxr_ops::kernels::batch_norm::{self as kernel, Moments, NormShape};
use cxr_ops::nhwc::{
    BandMoments, Gate, GradientSums, Isa, MapSize, NormBackward, NormGradients, NormRelu, Picked,
    ScaleShift, StoreWithMoments, Stored, Unpooled, UnpooledNormBackward, gate_gradient,
    max_pool as pool_map, measure_gradient,
};

const EPSILON: f64 = 1e-5;
/// f32 sums over bands, and three f32 roundings of what is made of them.
const TOLERANCE: f64 = 2e-6;
/// Against differences of a curved function in f64 with a step of 1e-5.
const DIFFERENCE_TOLERANCE: f64 = 5e-6;
/// Where the mean is a hundred deviations, which a band's f32 mean knows to some ten-thousandths.
const FAR_FROM_ZERO: f64 = 2e-3;

/// A batch norm of a map [N, H, W, C].
struct Norm {
    images: usize,
    size: MapSize,
    input: Vec<f32>,
    weight: Vec<f32>,
    bias: Vec<f32>,
}

impl Norm {
    fn new(images: usize, size: MapSize) -> Self {
        // Some weights are negative.
        let [weight, bias] = [2, 3].map(|salt| values(salt, size.channels));
        Self {
            images,
            size,
            input: values(1, images * size.len()),
            weight,
            bias,
        }
    }

    /// Maps of several bands, bands of several images with a short last one, and a small map.
    fn all() -> impl Iterator<Item = Self> {
        let sizes = [(2, map(37, 45, 6)), (11, map(9, 7, 35)), (3, map(1, 2, 3))];
        sizes
            .into_iter()
            .map(|(images, size)| Self::new(images, size))
    }

    fn len(&self) -> usize {
        self.input.len()
    }

    fn per_channel(&self) -> usize {
        self.images * self.size.places()
    }

    fn stored<'a>(&self, data: &'a [f32]) -> Stored<'a> {
        let size = self.size;
        Stored { size, data }
    }

    /// [N, H, W, C] → [N, C, P].
    fn planes(&self, data: &[f32]) -> Vec<f32> {
        to_nchw(self.images, self.size.channels, data)
    }

    fn shape(&self) -> NormShape {
        NormShape {
            images: self.images,
            channels: self.size.channels,
            places: self.size.places(),
        }
    }

    fn moments(&self, isa: Isa) -> Moments {
        let mut moments = BandMoments::default();
        let mut output = vec![f32::NAN; self.len()];
        let sink = StoreWithMoments {
            output: &mut output,
            moments: &mut moments,
        };
        give_map(isa, self.images, self.size, &self.input, sink);
        moments.combine().0
    }

    fn scale_shift(&self, moments: &Moments) -> ScaleShift {
        ScaleShift::new(moments, EPSILON, &self.weight, &self.bias)
    }

    /// Its output of an input [N, C, P], in f64.
    fn output(&self, input: &[f64], [weight, bias]: [&[f64]; 2]) -> Vec<f64> {
        let (channels, places) = (self.size.channels, self.size.places());
        let (mean, variance) = moments([self.images, channels, places], input);
        let sizes = [channels, places];
        normalize(sizes, input, [weight, bias], [&mean, &variance], EPSILON)
    }
}

#[test]
fn scale_and_shift_are_the_norm_of_the_planes() {
    for norm in Norm::all() {
        for isa in sets() {
            let moments = norm.moments(isa);
            let planes = norm.planes(&norm.input);
            let affine = [norm.weight.as_slice(), &norm.bias];
            let of_planes = kernel::moments(&norm.shape(), &planes);
            let mut expected = vec![f32::NAN; norm.len()];
            let shape = norm.shape();
            kernel::normalize(&shape, &of_planes, EPSILON, affine, &planes, &mut expected);
            let expected: Vec<f64> = expected.iter().map(|&y| f64::from(y.max(0.0))).collect();
            let ScaleShift { scale, shift } = norm.scale_shift(&moments);
            let source = NormRelu {
                input: norm.stored(&norm.input),
                scale: &scale,
                shift: &shift,
            };
            let got = norm.planes(&rows_of(norm.images, &source));
            assert_close(
                &format!("{isa}, {:?}", norm.size),
                &got,
                &expected,
                TOLERANCE,
            );
        }
    }
}

#[test]
fn the_gradients_of_a_norm_are_those_of_the_planes() {
    for norm in Norm::all() {
        let gradient = values(4, norm.len());
        let (planes, of_planes) = (norm.planes(&norm.input), norm.planes(&gradient));
        let shape = norm.shape();
        let moments = kernel::moments(&shape, &planes);
        let sums = kernel::gradient_sums(&shape, &moments, EPSILON, &planes, &of_planes);
        let mut of_input = vec![f32::NAN; norm.len()];
        kernel::input_gradient_through_moments(
            &shape,
            &moments,
            EPSILON,
            &norm.weight,
            &sums,
            [&planes, &of_planes],
            &mut of_input,
        );
        for isa in sets() {
            let what = |part: &str| format!("{part}, {isa}, {:?}", norm.size);
            let moments = norm.moments(isa);
            let mut measured = GradientSums::around(&moments.mean);
            let (images, size) = (norm.images, norm.size);
            measure_gradient(isa, images, size, &gradient, &norm.input, &mut measured);
            let n = norm.per_channel();
            let got = NormGradients::new(&moments, EPSILON, &norm.weight, &measured, n);
            let expected = &sums.gradient_by_normalized;
            assert_close(&what("weight"), &got.weight, expected, TOLERANCE);
            assert_close(&what("bias"), &got.bias, &sums.gradient, TOLERANCE);
            let source = NormBackward {
                gradient: norm.stored(&gradient),
                input: norm.stored(&norm.input),
                factors: &got.factors,
            };
            let got = norm.planes(&rows_of(images, &source));
            assert_close(&what("input"), &got, &wide(&of_input), TOLERANCE);
        }
    }
}

#[test]
fn the_gradients_of_a_norm_behind_a_relu_equal_its_central_differences() {
    let norm = Norm::new(3, map(4, 5, 3));
    let gradient = values(4, norm.len());
    let [weight, bias] = [&norm.weight, &norm.bias].map(|numbers| wide(numbers));
    let input = wide(&norm.planes(&norm.input));
    let weights = norm.planes(&gradient);
    let behind_relu =
        |output: Vec<f64>| -> Vec<f64> { output.iter().map(|value| value.max(0.0)).collect() };
    // No number is as near to the ReLU's corner as the step is wide.
    let output = norm.output(&input, [&weight, &bias]);
    assert!(output.iter().all(|value| value.abs() > 1e-4));
    let of_input = difference_gradient(&input, &weights, 1e-5, |x| {
        behind_relu(norm.output(x, [&weight, &bias]))
    });
    let of_weight = difference_gradient(&weight, &weights, 1e-5, |w| {
        behind_relu(norm.output(&input, [w, &bias]))
    });
    let of_bias = difference_gradient(&bias, &weights, 1e-5, |b| {
        behind_relu(norm.output(&input, [&weight, b]))
    });
    let activation = behind_relu(output)
        .iter()
        .map(|&y| y as f32)
        .collect::<Vec<_>>();
    let activation = to_nhwc(norm.images, norm.size.channels, &activation);
    for isa in sets() {
        let moments = norm.moments(isa);
        let ScaleShift { scale, shift } = norm.scale_shift(&moments);
        let gates = [
            Gate::Norm {
                input: &norm.input,
                scale: &scale,
                shift: &shift,
            },
            Gate::Activation {
                activation: &activation,
                input: Some(&norm.input),
            },
        ];
        for gate in gates {
            let mut gated = gradient.clone();
            let mut sums = GradientSums::around(&moments.mean);
            gate_gradient(isa, norm.images, norm.size, gate, &mut gated, &mut sums);
            let n = norm.per_channel();
            let got = NormGradients::new(&moments, EPSILON, &norm.weight, &sums, n);
            assert_close("weight", &got.weight, &of_weight, DIFFERENCE_TOLERANCE);
            assert_close("bias", &got.bias, &of_bias, DIFFERENCE_TOLERANCE);
            let source = NormBackward {
                gradient: norm.stored(&gated),
                input: norm.stored(&norm.input),
                factors: &got.factors,
            };
            let got = norm.planes(&rows_of(norm.images, &source));
            assert_close("input", &got, &of_input, DIFFERENCE_TOLERANCE);
        }
    }
}

#[test]
fn the_gradients_of_a_norm_behind_a_pooling_equal_its_central_differences() {
    let mut norm = Norm::new(2, map(7, 5, 3));
    // No two are near each other, so that the step changes no maximum.
    norm.input = distinct(5, norm.len()).iter().map(|x| x / 64.0).collect();
    let [weight, bias] = [&norm.weight, &norm.bias].map(|numbers| wide(numbers));
    let input = wide(&norm.planes(&norm.input));
    for (kernel, padding) in [(3, 1), (2, 0)] {
        let window = Window {
            input: [7, 5],
            kernel: [kernel; 2],
            stride: 2,
            padding: [padding; 2],
        };
        let pooled = |input: &[f64], affine: [&[f64]; 2]| {
            let output = norm.output(input, affine);
            let activation: Vec<f64> = output.iter().map(|value| value.max(0.0)).collect();
            max_pool(&window, &activation)
        };
        let [height, width] = window.output();
        let pooled_size = map(height, width, 3);
        let gradient = values(4, norm.images * pooled_size.len());
        let weights = to_nchw(norm.images, 3, &gradient);
        let of_input = difference_gradient(&input, &weights, 1e-5, |x| pooled(x, [&weight, &bias]));
        let of_weight =
            difference_gradient(&weight, &weights, 1e-5, |w| pooled(&input, [w, &bias]));
        let of_bias = difference_gradient(&bias, &weights, 1e-5, |b| pooled(&input, [&weight, b]));
        for isa in sets() {
            let (moments, images) = (norm.moments(isa), norm.images);
            let ScaleShift { scale, shift } = norm.scale_shift(&moments);
            let source = NormRelu {
                input: norm.stored(&norm.input),
                scale: &scale,
                shift: &shift,
            };
            let [mut output, mut picked] = [(); 2].map(|()| vec![f32::NAN; gradient.len()]);
            let mut places = vec![255; gradient.len()];
            let kept = Picked {
                values: &mut picked,
                places: &mut places,
                from: norm.stored(&norm.input),
            };
            pool_map(isa, images, &window, &source, &mut output, Some(kept));
            let gate = Gate::Activation {
                activation: &output,
                input: Some(&picked),
            };
            let mut gated = gradient.clone();
            let mut sums = GradientSums::around(&moments.mean);
            gate_gradient(isa, images, pooled_size, gate, &mut gated, &mut sums);
            let n = norm.per_channel();
            let got = NormGradients::new(&moments, EPSILON, &norm.weight, &sums, n);
            assert_close("weight", &got.weight, &of_weight, DIFFERENCE_TOLERANCE);
            assert_close("bias", &got.bias, &of_bias, DIFFERENCE_TOLERANCE);
            let source = UnpooledNormBackward {
                unpooled: Unpooled {
                    window,
                    gradient: Stored {
                        size: pooled_size,
                        data: &gated,
                    },
                    places: &places,
                },
                input: norm.stored(&norm.input),
                factors: &got.factors,
            };
            let got = norm.planes(&rows_of(images, &source));
            assert_close("input", &got, &of_input, DIFFERENCE_TOLERANCE);
        }
    }
}

/// The gradients of a norm's input, weight and bias in f64, of maps [N, C, P].
fn gradients_f64(norm: &Norm, input: &[f64], gradient: &[f64]) -> [Vec<f64>; 3] {
    let (channels, places) = (norm.size.channels, norm.size.places());
    let (mean, variance) = moments([norm.images, channels, places], input);
    let n = norm.per_channel() as f64;
    let normal = |place: usize| {
        let c = place / places % channels;
        (input[place] - mean[c]) / (variance[c] + EPSILON).sqrt()
    };
    let (mut of_weight, mut of_bias) = (vec![0.0; channels], vec![0.0; channels]);
    for (place, gradient) in gradient.iter().enumerate() {
        let c = place / places % channels;
        of_weight[c] += gradient * normal(place);
        of_bias[c] += gradient;
    }
    let of_input = gradient.iter().enumerate().map(|(place, gradient)| {
        let c = place / places % channels;
        let scale = f64::from(norm.weight[c]) / (variance[c] + EPSILON).sqrt();
        scale * (gradient - of_bias[c] / n - normal(place) * of_weight[c] / n)
    });
    let of_input = of_input.collect();
    [of_input, of_weight, of_bias]
}

#[test]
fn a_mean_of_a_hundred_deviations_leaves_the_gradients_three_digits() {
    for mut norm in Norm::all() {
        norm.input.iter_mut().for_each(|x| *x += 30.0);
        // All of one sign, so that an error of the mean meets a large sum.
        let gradient: Vec<f32> = values(4, norm.len()).iter().map(|g| g + 0.5).collect();
        let [input, of_output] = [&norm.input, &gradient].map(|data| wide(&norm.planes(data)));
        let [of_input, of_weight, of_bias] = gradients_f64(&norm, &input, &of_output);
        for isa in sets() {
            let moments = norm.moments(isa);
            let mut sums = GradientSums::around(&moments.mean);
            let (images, size) = (norm.images, norm.size);
            measure_gradient(isa, images, size, &gradient, &norm.input, &mut sums);
            let n = norm.per_channel();
            let got = NormGradients::new(&moments, EPSILON, &norm.weight, &sums, n);
            assert_close("weight", &got.weight, &of_weight, FAR_FROM_ZERO);
            assert_close("bias", &got.bias, &of_bias, TOLERANCE);
            let source = NormBackward {
                gradient: norm.stored(&gradient),
                input: norm.stored(&norm.input),
                factors: &got.factors,
            };
            let got = norm.planes(&rows_of(images, &source));
            assert_close("input", &got, &of_input, FAR_FROM_ZERO);
        }
    }
}
