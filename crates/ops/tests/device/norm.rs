//! The reference's batch norms against the CPU's.

use cxr_ops::device::{
    Activation, Device, Gate, NORM_EPSILON, NormPlaces, Numbers, Reference, Rows, Shortcut,
};
use cxr_ops::kernels::batch_norm::{self, Moments, NormShape};
use cxr_ops::kernels::relu;

use super::numbers::{assert_close, exchanged, normal, poisoned};

const DEVICE: Reference<f32> = Reference::new();
const IMAGES: usize = 3;
const MAP_PLACES: usize = 5 * 7;
const CHANNELS: usize = 16;
const OF: Rows = Rows {
    rows: IMAGES * MAP_PLACES,
    channels: CHANNELS,
};
const SHAPE: NormShape = NormShape {
    images: IMAGES,
    channels: CHANNELS,
    places: MAP_PLACES,
};
const PLACES: NormPlaces = NormPlaces {
    weight: CHANNELS,
    bias: 0,
    running_mean: CHANNELS,
    running_variance: 0,
};

fn planes(map: &Numbers<f32>) -> Vec<f32> {
    exchanged(map.as_slice(), MAP_PLACES, CHANNELS)
}

/// A norm run over a batch on both sides.
struct Norm {
    input: Numbers<f32>,
    vectors: Numbers<f32>,
    running: Numbers<f32>,
    saved: Numbers<f32>,
    moments: Moments,
}

impl Norm {
    fn of_a_batch() -> Self {
        let input = normal(1, OF.len());
        let vectors = normal(2, 2 * CHANNELS);
        let mut running = normal(3, 2 * CHANNELS);
        let mut saved = poisoned(4 * CHANNELS);
        DEVICE
            .norm_moments(OF, &input, &vectors, &mut running, PLACES, &mut saved)
            .unwrap();
        let moments = batch_norm::moments(&SHAPE, &planes(&input));
        Self {
            input,
            vectors,
            running,
            saved,
            moments,
        }
    }

    fn affine(&self) -> [&[f32]; 2] {
        let (bias, weight) = self.vectors.as_slice().split_at(CHANNELS);
        [weight, bias]
    }

    /// The norm's output on the CPU, planes.
    fn normalized(&self) -> Vec<f32> {
        let mut output = vec![f32::NAN; OF.len()];
        let input = planes(&self.input);
        let (moments, affine) = (&self.moments, self.affine());
        batch_norm::normalize(&SHAPE, moments, NORM_EPSILON, affine, &input, &mut output);
        output
    }

    fn applied(
        &self,
        shortcut: Shortcut<'_, Reference<f32>>,
        activation: Activation,
    ) -> Numbers<f32> {
        let mut output = poisoned(OF.len());
        DEVICE
            .norm_apply(
                OF,
                &self.input,
                &self.saved,
                shortcut,
                activation,
                &mut output,
            )
            .unwrap();
        output
    }
}

#[test]
fn the_output_is_that_of_the_cpu_under_every_shortcut_and_activation() {
    let norm = Norm::of_a_batch();
    let normalized = norm.normalized();
    let other: Numbers<f32> = normal(4, OF.len());
    let sum_with = |scale: f32| -> Vec<f32> {
        let sums = normalized.iter().zip(planes(&other));
        sums.map(|(number, other)| number + scale * other).collect()
    };
    let relu = |numbers: &[f32]| {
        let mut output = vec![f32::NAN; numbers.len()];
        relu::forward(numbers, &mut output);
        output
    };
    let plain = norm.applied(Shortcut::None, Activation::None);
    assert_close("plain", &planes(&plain), &normalized);
    let active = norm.applied(Shortcut::None, Activation::Relu);
    assert_close("ReLU", &planes(&active), &relu(&normalized));
    let beside = norm.applied(Shortcut::Map(&other), Activation::Relu);
    assert_close("a map", &planes(&beside), &relu(&sum_with(1.0)));
    // Scale 3, shift 0.
    let mut scaled = vec![0.0; 4 * CHANNELS];
    scaled[2 * CHANNELS..3 * CHANNELS].fill(3.0);
    let beside = norm.applied(Shortcut::Norm(&other, &scaled.into()), Activation::None);
    assert_close("a norm", &planes(&beside), &sum_with(3.0));
}

#[test]
fn running_statistics_move_a_tenth_of_the_way_with_the_unbiased_variance() {
    let norm = Norm::of_a_batch();
    let before: Numbers<f32> = normal(3, 2 * CHANNELS);
    let n = OF.rows as f64;
    let unbiased = norm
        .moments
        .variance
        .iter()
        .map(|variance| variance * n / (n - 1.0));
    // The variances come first here.
    let fresh: Vec<f64> = unbiased.chain(norm.moments.mean.iter().copied()).collect();
    let moved = before.as_slice().iter().zip(fresh);
    let expected: Vec<f32> = moved
        .map(|(&old, fresh)| (0.9 * f64::from(old) + 0.1 * fresh) as f32)
        .collect();
    assert_close("running statistics", norm.running.as_slice(), &expected);
}

#[test]
fn running_statistics_all_stay_where_one_moment_is_not_finite() {
    let mut norm = Norm::of_a_batch();
    let before = norm.running.clone();
    for number in [f32::NAN, f32::INFINITY] {
        norm.input.as_mut_slice()[CHANNELS + 5] = number;
        let (input, vectors) = (&norm.input, &norm.vectors);
        DEVICE
            .norm_moments(
                OF,
                input,
                vectors,
                &mut norm.running,
                PLACES,
                &mut norm.saved,
            )
            .unwrap();
        assert_eq!(norm.running, before, "{number}");
        assert!(norm.saved.as_slice()[2 * CHANNELS + 5].is_nan(), "{number}");
        assert!(
            norm.saved.as_slice()[2 * CHANNELS + 4].is_finite(),
            "{number}"
        );
    }
}

#[test]
fn gradients_are_those_of_the_cpu_behind_every_gate() {
    let norm = Norm::of_a_batch();
    let active = norm.applied(Shortcut::None, Activation::Relu);
    let gates = [
        ("open", Gate::Open),
        ("by the norm", Gate::Norm),
        ("by a map", Gate::Map(&active)),
    ];
    for (name, gate) in gates {
        let given: Numbers<f32> = normal(5, OF.len());
        let mut gated = planes(&given);
        if !matches!(gate, Gate::Open) {
            relu::input_gradient(&norm.normalized(), &planes(&given), &mut gated);
        }
        let input = planes(&norm.input);
        let sums = batch_norm::gradient_sums(&SHAPE, &norm.moments, NORM_EPSILON, &input, &gated);
        let mut expected = vec![f32::NAN; OF.len()];
        let [weight, _] = norm.affine();
        batch_norm::input_gradient_through_moments(
            &SHAPE,
            &norm.moments,
            NORM_EPSILON,
            weight,
            &sums,
            [&input, &gated],
            &mut expected,
        );
        let keeps = matches!(gate, Gate::Map(_));
        let (gradient, vector_gradients, output) = backward(&norm, given.clone(), gate);
        let narrow = |sums: &[f64]| sums.iter().map(|&sum| sum as f32).collect::<Vec<_>>();
        let (bias, weight) = vector_gradients.as_slice().split_at(CHANNELS);
        assert_close(name, bias, &narrow(&sums.gradient));
        assert_close(name, weight, &narrow(&sums.gradient_by_normalized));
        assert_close(name, &planes(&output), &expected);
        let left = if keeps { gated } else { planes(&given) };
        assert_eq!(planes(&gradient), left, "{name}");
    }
}

/// The gradient as it is left, those of weight and bias, and that of the input.
fn backward(
    norm: &Norm,
    mut gradient: Numbers<f32>,
    gate: Gate<'_, Reference<f32>>,
) -> (Numbers<f32>, Numbers<f32>, Numbers<f32>) {
    let again = match &gate {
        Gate::Open => Gate::Open,
        Gate::Norm => Gate::Norm,
        Gate::Map(map) => Gate::Map(*map),
    };
    let mut vector_gradients = poisoned(2 * CHANNELS);
    let (mut factors, mut output) = (poisoned(3 * CHANNELS), poisoned(OF.len()));
    DEVICE
        .norm_backward_sums(
            OF,
            &mut gradient,
            again,
            &norm.input,
            &norm.vectors,
            PLACES,
            &norm.saved,
            &mut vector_gradients,
            &mut factors,
        )
        .unwrap();
    DEVICE
        .norm_backward(
            OF,
            &gradient,
            gate,
            &norm.input,
            &norm.saved,
            &factors,
            &mut output,
        )
        .unwrap();
    (gradient, vector_gradients, output)
}

#[test]
fn a_norm_of_running_statistics_is_that_of_the_cpu_in_both_directions() {
    let mut norm = Norm::of_a_batch();
    for variance in &mut norm.running.as_mut_slice()[..CHANNELS] {
        *variance = variance.abs() + 0.5;
    }
    let (variance, mean) = norm.running.as_slice().split_at(CHANNELS);
    norm.moments = Moments::from_f32(mean, variance);
    let mut saved = poisoned(4 * CHANNELS);
    DEVICE
        .norm_of_running(CHANNELS, &norm.vectors, &norm.running, PLACES, &mut saved)
        .unwrap();
    norm.saved = saved;
    let output = norm.applied(Shortcut::None, Activation::None);
    assert_close("output", &planes(&output), &norm.normalized());

    let gradient = normal(6, OF.len());
    let (mut factors, mut got) = (poisoned(3 * CHANNELS), poisoned(OF.len()));
    DEVICE
        .norm_fixed_factors(CHANNELS, &norm.saved, &mut factors)
        .unwrap();
    let (input, saved) = (&norm.input, &norm.saved);
    DEVICE
        .norm_backward(OF, &gradient, Gate::Open, input, saved, &factors, &mut got)
        .unwrap();
    let mut expected = vec![f32::NAN; OF.len()];
    let [weight, _] = norm.affine();
    batch_norm::input_gradient_of_fixed_moments(
        &SHAPE,
        &norm.moments,
        NORM_EPSILON,
        weight,
        &planes(&gradient),
        &mut expected,
    );
    assert_close("gradient", &planes(&got), &expected);
}

#[test]
fn a_gate_closes_at_0_and_below_and_where_nothing_is_known() {
    let activation = Numbers::from(vec![1.0, 0.0, -0.0, -1.0, f32::NAN, f32::INFINITY, -1.0]);
    let mut gradient = Numbers::from(vec![2.0, 3.0, f32::NAN, 5.0, 6.0, 7.0, 8.0]);
    DEVICE.gate(6, &activation, &mut gradient).unwrap();
    assert_eq!(gradient.as_slice(), [2.0, 0.0, 0.0, 0.0, 0.0, 7.0, 8.0]);
}
