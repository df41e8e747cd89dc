//! The reference's pooling behind a norm and a ReLU against the CPU's, one after the other.

use cxr_ops::device::{Device, NormPlaces, Numbers, PoolShape, Reference};
use cxr_ops::kernels::{Window, pool, relu};

use super::numbers::{assert_close, exchanged, normal, poisoned, quarters};

const DEVICE: Reference<f32> = Reference::new();
const CHANNELS: usize = 8;

fn shapes() -> impl Iterator<Item = PoolShape> {
    let sizes = [
        (1, [7, 10], [3, 3], 2, [1, 1]),
        (2, [6, 8], [2, 2], 2, [0, 0]),
        (3, [5, 4], [3, 2], 1, [1, 0]),
        (2, [9, 7], [3, 3], 2, [1, 1]),
    ];
    sizes
        .into_iter()
        .map(|(images, input, kernel, stride, padding)| PoolShape {
            images,
            channels: CHANNELS,
            window: Window {
                input,
                kernel,
                stride,
                padding,
            },
        })
}

/// A pooling run on both sides; everything of the CPU's in planes.
struct Pooled {
    pool: PoolShape,
    input: Numbers<f32>,
    output: Numbers<f32>,
    picked: Vec<u8>,
    activated: Vec<f32>,
    maxima: Vec<f32>,
    places: Vec<u8>,
}

impl Pooled {
    /// Of scale −2 or 2 and shift −½ in turn, over numbers with many ties.
    fn new(pool: PoolShape, odd_one: Option<f32>) -> Self {
        let mut input = quarters(1, pool.input_len());
        if let Some(number) = odd_one {
            input.as_mut_slice()[pool.input_len() / 2] = number;
        }
        let scales: Vec<f32> = (0..CHANNELS)
            .map(|c| if c % 2 == 0 { 2.0 } else { -2.0 })
            .collect();
        let floats = Numbers::from([vec![-0.5; CHANNELS], scales.clone()].concat());
        let mut output = poisoned(pool.output_len());
        let mut picked = vec![200; pool.output_len()];
        DEVICE
            .pool_forward(
                &pool,
                &input,
                (&floats, CHANNELS),
                (&floats, 0),
                &mut output,
                &mut picked,
            )
            .unwrap();
        let numbers = input.as_slice().iter().enumerate();
        let normed: Vec<f32> = numbers
            .map(|(i, x)| scales[i % CHANNELS] * x - 0.5)
            .collect();
        let mut activated = vec![f32::NAN; normed.len()];
        relu::forward(&normed, &mut activated);
        let activated = exchanged(&activated, pool.window.input_places(), CHANNELS);
        let mut maxima = vec![f32::NAN; pool.output_len()];
        let mut places = vec![200_u8; pool.output_len()];
        pool::max_forward(&pool.window, &activated, &mut maxima, &mut places);
        Self {
            pool,
            input,
            output,
            picked,
            activated,
            maxima,
            places,
        }
    }

    /// A map of the output's size, in planes.
    fn output_planes(&self, map: &[f32]) -> Vec<f32> {
        exchanged(map, self.pool.window.output_places(), CHANNELS)
    }

    fn assert_same_maxima(&self) {
        let bits = |numbers: &[f32]| numbers.iter().map(|n| n.to_bits()).collect::<Vec<_>>();
        let output = self.output_planes(self.output.as_slice());
        assert_eq!(bits(&output), bits(&self.maxima), "{:?}", self.pool);
        let picked: Vec<f32> = self.picked.iter().map(|&place| place.into()).collect();
        let places: Vec<f32> = self.places.iter().map(|&place| place.into()).collect();
        assert_eq!(self.output_planes(&picked), places, "{:?}", self.pool);
    }

    /// The gradient behind pooling and ReLU on the CPU, planes.
    fn gradient(&self, gradient: &[f32]) -> Vec<f32> {
        let mut unpooled = vec![f32::NAN; self.pool.input_len()];
        let gradient = self.output_planes(gradient);
        pool::max_input_gradient(&self.pool.window, &self.places, &gradient, &mut unpooled);
        let mut gated = vec![f32::NAN; self.pool.input_len()];
        relu::input_gradient(&self.activated, &unpooled, &mut gated);
        gated
    }
}

#[test]
fn maxima_and_their_places_are_those_of_the_cpu_with_ties_and_with_nan() {
    for pool in shapes() {
        Pooled::new(pool, None).assert_same_maxima();
        Pooled::new(pool, Some(f32::NAN)).assert_same_maxima();
        Pooled::new(pool, Some(f32::NEG_INFINITY)).assert_same_maxima();
    }
}

#[test]
fn the_gradient_behind_a_bias_is_that_of_the_cpu() {
    for pool in shapes() {
        let pooled = Pooled::new(pool, None);
        let given: Numbers<f32> = normal(2, pool.output_len());
        let expected = pooled.gradient(given.as_slice());
        let (mut gradient, mut bias) = (given, poisoned(CHANNELS + 3));
        DEVICE
            .pool_backward_bias(&pool, &mut gradient, &pooled.output, &mut bias, 3)
            .unwrap();
        let mut output = poisoned(pool.input_len());
        DEVICE
            .pool_backward(&pool, &gradient, &pooled.picked, None, &mut output)
            .unwrap();
        let places = pool.window.input_places();
        let output = exchanged(output.as_slice(), places, CHANNELS);
        assert_close(&format!("{pool:?}"), &output, &expected);
        let mut sums = [0.0; CHANNELS];
        for (plane, numbers) in expected.chunks_exact(places).enumerate() {
            sums[plane % CHANNELS] += numbers.iter().sum::<f32>();
        }
        assert_close(&format!("{pool:?}"), &bias.as_slice()[3..], &sums);
    }
}

#[test]
fn sums_and_gradient_behind_a_norm_are_those_of_the_unpooled_gradient() {
    for pool in shapes() {
        let pooled = Pooled::new(pool, None);
        let of = cxr_ops::device::Rows {
            rows: pool.images * pool.window.input_places(),
            channels: CHANNELS,
        };
        let places = NormPlaces {
            weight: 0,
            bias: CHANNELS,
            running_mean: 0,
            running_variance: CHANNELS,
        };
        let (vectors, saved) = (normal(3, 2 * CHANNELS), normal(4, 4 * CHANNELS));
        let given: Numbers<f32> = normal(5, pool.output_len());
        let unpooled = pooled.gradient(given.as_slice());
        let unpooled = exchanged(&unpooled, CHANNELS, pool.window.input_places());

        let (mut sums, mut factors) = (poisoned(2 * CHANNELS), poisoned(3 * CHANNELS));
        let mut gradient = given;
        DEVICE
            .pool_backward_sums(
                &pool,
                &mut gradient,
                &pooled.output,
                &pooled.picked,
                &pooled.input,
                &vectors,
                places,
                &saved,
                &mut sums,
                &mut factors,
            )
            .unwrap();
        let norm = Some((&pooled.input, &factors));
        let mut output = poisoned(pool.input_len());
        DEVICE
            .pool_backward(&pool, &gradient, &pooled.picked, norm, &mut output)
            .unwrap();

        let mut whole = Numbers::from(unpooled);
        let (mut plain_sums, mut plain_factors) = (poisoned(2 * CHANNELS), poisoned(3 * CHANNELS));
        let open = || cxr_ops::device::Gate::Open;
        DEVICE
            .norm_backward_sums(
                of,
                &mut whole,
                open(),
                &pooled.input,
                &vectors,
                places,
                &saved,
                &mut plain_sums,
                &mut plain_factors,
            )
            .unwrap();
        let mut expected = poisoned(pool.input_len());
        let (input, factors) = (&pooled.input, &factors);
        DEVICE
            .norm_backward(of, &whole, open(), input, &saved, factors, &mut expected)
            .unwrap();
        let name = format!("{pool:?}");
        assert_close(&name, sums.as_slice(), plain_sums.as_slice());
        assert_close(&name, factors.as_slice(), plain_factors.as_slice());
        assert_close(&name, output.as_slice(), expected.as_slice());
    }
}
