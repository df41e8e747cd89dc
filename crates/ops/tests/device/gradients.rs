//! Every way back against central differences of the way there, in f64.

use cxr_ops::device::{
    Activation, Device, Gate, NormPlaces, Numbers, PoolShape, Reference, Rows, Shortcut,
};
use cxr_ops::kernels::Window;
use cxr_ops::kernels::conv::ConvShape;
use cxr_ops::kernels::linear::LinearShape;
use cxr_ops::nhwc::Onto;

use super::numbers::{assert_within, normal, poisoned};

const DEVICE: Reference<f64> = Reference::new();
const STEP: f64 = 1e-5;
const TOLERANCE: f64 = 1e-7;
const CHANNELS: usize = 8;
const PLACES: NormPlaces = NormPlaces {
    weight: 0,
    bias: CHANNELS,
    running_mean: 0,
    running_variance: CHANNELS,
};
const OF: Rows = Rows {
    rows: 2 * 3 * 5,
    channels: CHANNELS,
};
const WINDOW: Window = Window {
    input: [6, 5],
    kernel: [3, 3],
    stride: 2,
    padding: [1, 1],
};

type Floats = Numbers<f64>;

fn weighed(output: &Floats, weights: &Floats) -> f64 {
    let products = output.as_slice().iter().zip(weights.as_slice());
    products.map(|(output, weight)| output * weight).sum()
}

/// Panics unless `gradient` is that of `loss` by each of the numbers.
fn assert_gradient(what: &str, at: &Floats, gradient: &Floats, loss: impl Fn(&Floats) -> f64) {
    let mut moved = at.clone();
    let differences: Vec<f64> = (0..at.len())
        .map(|place| {
            let mut at_distance = |step: f64| {
                moved.as_mut_slice()[place] = at.as_slice()[place] + step;
                loss(&moved)
            };
            let difference = at_distance(STEP) - at_distance(-STEP);
            at_distance(0.0);
            difference / (2.0 * STEP)
        })
        .collect();
    assert_within(what, gradient.as_slice(), &differences, TOLERANCE);
}

#[test]
fn gradients_of_a_convolution_are_its_slopes() {
    let shape = ConvShape {
        images: 2,
        channels: 4,
        out_channels: 8,
        window: WINDOW,
    };
    let (input, weight) = (normal(1, shape.input_len()), normal(2, shape.weight_len()));
    let gradient = normal(3, shape.output_len());
    let loss = |input: &Floats, weight: &Floats| {
        let mut output = poisoned(shape.output_len());
        DEVICE
            .conv_forward(&shape, input, weight, 0, &mut output)
            .unwrap();
        weighed(&output, &gradient)
    };
    let (mut of_input, mut of_weight) = (poisoned(input.len()), poisoned(weight.len()));
    DEVICE
        .conv_input_gradient(&shape, &weight, 0, &gradient, Onto::Unset, &mut of_input)
        .unwrap();
    DEVICE
        .conv_weight_gradient(&shape, &input, &gradient, &mut of_weight, 0)
        .unwrap();
    assert_gradient("input", &input, &of_input, |input| loss(input, &weight));
    assert_gradient("weight", &weight, &of_weight, |weight| loss(&input, weight));
}

/// The moments of a norm over the rows of a batch.
fn saved(of: Rows, input: &Floats, vectors: &Floats) -> Floats {
    let (mut running, mut saved) = (normal(90, 2 * CHANNELS), poisoned(4 * CHANNELS));
    DEVICE
        .norm_moments(of, input, vectors, &mut running, PLACES, &mut saved)
        .unwrap();
    saved
}

/// Gradients of vectors and input of a norm; a map's gate is closed over `gradient`.
fn norm_gradients(
    gradient: &mut Floats,
    gate: impl Fn() -> Gate<'static, Reference<f64>>,
    input: &Floats,
    vectors: &Floats,
) -> [Floats; 2] {
    let saved = saved(OF, input, vectors);
    let (mut of_vectors, mut factors) = (poisoned(2 * CHANNELS), poisoned(3 * CHANNELS));
    DEVICE
        .norm_backward_sums(
            OF,
            gradient,
            gate(),
            input,
            vectors,
            PLACES,
            &saved,
            &mut of_vectors,
            &mut factors,
        )
        .unwrap();
    let mut of_input = poisoned(OF.len());
    DEVICE
        .norm_backward(OF, gradient, gate(), input, &saved, &factors, &mut of_input)
        .unwrap();
    [of_vectors, of_input]
}

fn applied(
    input: &Floats,
    saved: &Floats,
    shortcut: Shortcut<'_, Reference<f64>>,
    activation: Activation,
) -> Floats {
    let mut output = poisoned(OF.len());
    DEVICE
        .norm_apply(OF, input, saved, shortcut, activation, &mut output)
        .unwrap();
    output
}

#[test]
fn gradients_of_a_norm_are_its_slopes_without_and_with_a_relu() {
    let (input, vectors) = (normal(4, OF.len()), normal(5, 2 * CHANNELS));
    let weights: Floats = normal(6, OF.len());
    for (activation, is_gated) in [(Activation::None, false), (Activation::Relu, true)] {
        let loss = |input: &Floats, vectors: &Floats| {
            let saved = saved(OF, input, vectors);
            let output = applied(input, &saved, Shortcut::None, activation);
            weighed(&output, &weights)
        };
        let gate = || if is_gated { Gate::Norm } else { Gate::Open };
        let [of_vectors, of_input] = norm_gradients(&mut weights.clone(), gate, &input, &vectors);
        assert_gradient("input", &input, &of_input, |input| loss(input, &vectors));
        assert_gradient("vectors", &vectors, &of_vectors, |vectors| {
            loss(&input, vectors)
        });
    }
}

#[test]
fn gradients_of_a_sum_of_two_norms_behind_a_relu_are_its_slopes() {
    let (input, other) = (normal(7, OF.len()), normal(8, OF.len()));
    let (vectors, others_vectors) = (normal(9, 2 * CHANNELS), normal(10, 2 * CHANNELS));
    let weights: Floats = normal(11, OF.len());
    let output = |input: &Floats, other: &Floats, vectors: &Floats| {
        let others_saved = saved(OF, other, &others_vectors);
        let shortcut = Shortcut::Norm(other, &others_saved);
        applied(
            input,
            &saved(OF, input, vectors),
            shortcut,
            Activation::Relu,
        )
    };
    let loss = |input: &Floats, other: &Floats, vectors: &Floats| {
        weighed(&output(input, other, vectors), &weights)
    };
    let activation = output(&input, &other, &vectors);
    let mut gradient = weights.clone();
    DEVICE.gate(OF.len(), &activation, &mut gradient).unwrap();
    let gated = gradient.clone();
    let open = || Gate::Open;
    let [of_vectors, of_input] = norm_gradients(&mut gradient, open, &input, &vectors);
    let [_, of_other] = norm_gradients(&mut gradient, open, &other, &others_vectors);
    assert_gradient("input", &input, &of_input, |x| loss(x, &other, &vectors));
    assert_gradient("shortcut", &other, &of_other, |x| loss(&input, x, &vectors));
    assert_gradient("vectors", &vectors, &of_vectors, |v| {
        loss(&input, &other, v)
    });

    // The sums behind the gate of the map give the same and close it.
    let (mut again, mut factors) = (weights.clone(), poisoned(3 * CHANNELS));
    let mut sums = poisoned(2 * CHANNELS);
    let saved = saved(OF, &input, &vectors);
    DEVICE
        .norm_backward_sums(
            OF,
            &mut again,
            Gate::Map(&activation),
            &input,
            &vectors,
            PLACES,
            &saved,
            &mut sums,
            &mut factors,
        )
        .unwrap();
    assert_eq!(again, gated);
    assert_eq!(sums, of_vectors);
}

#[test]
fn gradients_of_a_norm_of_running_statistics_and_of_a_map_beside_it_are_its_slopes() {
    let (input, other) = (normal(12, OF.len()), normal(13, OF.len()));
    let vectors = normal(14, 2 * CHANNELS);
    let running = Numbers::from(
        (0..2 * CHANNELS)
            .map(|i| 0.3 + 0.1 * i as f64)
            .collect::<Vec<_>>(),
    );
    let mut saved = poisoned(4 * CHANNELS);
    DEVICE
        .norm_of_running(CHANNELS, &vectors, &running, PLACES, &mut saved)
        .unwrap();
    let weights: Floats = normal(15, OF.len());
    let output = |input: &Floats, other: &Floats| {
        applied(input, &saved, Shortcut::Map(other), Activation::Relu)
    };
    let mut gradient = weights.clone();
    DEVICE
        .gate(OF.len(), &output(&input, &other), &mut gradient)
        .unwrap();
    let (mut factors, mut of_input) = (poisoned(3 * CHANNELS), poisoned(OF.len()));
    DEVICE
        .norm_fixed_factors(CHANNELS, &saved, &mut factors)
        .unwrap();
    DEVICE
        .norm_backward(
            OF,
            &gradient,
            Gate::Open,
            &input,
            &saved,
            &factors,
            &mut of_input,
        )
        .unwrap();
    let loss = |input: &Floats, other: &Floats| weighed(&output(input, other), &weights);
    assert_gradient("input", &input, &of_input, |input| loss(input, &other));
    assert_gradient("shortcut", &other, &gradient, |other| loss(&input, other));
}

const POOL: PoolShape = PoolShape {
    images: 2,
    channels: CHANNELS,
    window: WINDOW,
};

fn pooled(input: &Floats, scale: (&Floats, usize), shift: (&Floats, usize)) -> (Floats, Vec<u8>) {
    let (mut output, mut picked) = (poisoned(POOL.output_len()), vec![0; POOL.output_len()]);
    DEVICE
        .pool_forward(&POOL, input, scale, shift, &mut output, &mut picked)
        .unwrap();
    (output, picked)
}

#[test]
fn gradients_of_a_pooling_behind_a_norm_are_its_slopes() {
    let (input, vectors) = (normal(16, POOL.input_len()), normal(17, 2 * CHANNELS));
    let weights: Floats = normal(18, POOL.output_len());
    let of = Rows {
        rows: POOL.images * WINDOW.input_places(),
        channels: CHANNELS,
    };
    let run = |input: &Floats, vectors: &Floats| {
        let saved = saved(of, input, vectors);
        pooled(input, (&saved, 2 * CHANNELS), (&saved, 3 * CHANNELS))
    };
    let (output, picked) = run(&input, &vectors);
    let mut gradient = weights.clone();
    let (mut of_vectors, mut factors) = (poisoned(2 * CHANNELS), poisoned(3 * CHANNELS));
    DEVICE
        .pool_backward_sums(
            &POOL,
            &mut gradient,
            &output,
            &picked,
            &input,
            &vectors,
            PLACES,
            &saved(of, &input, &vectors),
            &mut of_vectors,
            &mut factors,
        )
        .unwrap();
    let mut of_input = poisoned(POOL.input_len());
    let norm = Some((&input, &factors));
    DEVICE
        .pool_backward(&POOL, &gradient, &picked, norm, &mut of_input)
        .unwrap();
    let loss = |input: &Floats, vectors: &Floats| weighed(&run(input, vectors).0, &weights);
    assert_gradient("input", &input, &of_input, |input| loss(input, &vectors));
    assert_gradient("vectors", &vectors, &of_vectors, |vectors| {
        loss(&input, vectors)
    });
}

#[test]
fn gradients_of_a_pooling_behind_a_bias_are_its_slopes() {
    let (input, bias) = (normal(19, POOL.input_len()), normal(20, CHANNELS));
    let ones = Numbers::from(vec![1.0; CHANNELS]);
    let weights: Floats = normal(21, POOL.output_len());
    let run = |input: &Floats, bias: &Floats| pooled(input, (&ones, 0), (bias, 0));
    let (output, picked) = run(&input, &bias);
    let (mut gradient, mut of_bias) = (weights.clone(), poisoned(CHANNELS));
    DEVICE
        .pool_backward_bias(&POOL, &mut gradient, &output, &mut of_bias, 0)
        .unwrap();
    let mut of_input = poisoned(POOL.input_len());
    DEVICE
        .pool_backward(&POOL, &gradient, &picked, None, &mut of_input)
        .unwrap();
    let loss = |input: &Floats, bias: &Floats| weighed(&run(input, bias).0, &weights);
    assert_gradient("input", &input, &of_input, |input| loss(input, &bias));
    assert_gradient("bias", &bias, &of_bias, |bias| loss(&input, bias));
}

#[test]
fn the_gradient_of_a_mean_over_places_is_its_slope() {
    let (images, places) = (3, 10);
    let input = normal(22, images * places * CHANNELS);
    let weights = normal(23, images * CHANNELS);
    let mut of_input = poisoned(input.len());
    DEVICE
        .spread_to_places(images, places, CHANNELS, &weights, &mut of_input)
        .unwrap();
    assert_gradient("input", &input, &of_input, |input| {
        let mut output = poisoned(images * CHANNELS);
        DEVICE
            .mean_of_places(images, places, CHANNELS, input, &mut output)
            .unwrap();
        weighed(&output, &weights)
    });
}

#[test]
fn gradients_of_a_linear_layer_and_of_the_loss_are_their_slopes() {
    let shape = LinearShape {
        rows: 4,
        inputs: 6,
        outputs: 3,
    };
    let (input, weight) = (normal(24, 24), normal(25, 18));
    let (bias, cells) = (normal(26, 3), 12);
    let targets = Numbers::from((0..cells).map(|i| (i % 3) as f64 / 2.0).collect::<Vec<_>>());
    let mask = Numbers::from((0..cells).map(|i| f64::from(i % 4 > 0)).collect::<Vec<_>>());
    let weights = Numbers::from(vec![0.5, 2.0, 9.0]);
    let run = |input: &Floats, weight: &Floats, bias: &Floats| {
        let mut logits = poisoned(cells);
        DEVICE
            .linear_forward(&shape, input, weight, 0, bias, 0, &mut logits)
            .unwrap();
        let (mut gradient, mut outcome) = (poisoned(cells), poisoned(2));
        DEVICE
            .bce(
                4,
                3,
                &logits,
                &targets,
                &mask,
                &weights,
                &mut gradient,
                &mut outcome,
            )
            .unwrap();
        (outcome.as_slice()[0], gradient)
    };
    let (_, gradient) = run(&input, &weight, &bias);
    let (mut of_input, mut of_weight, mut of_bias) = (poisoned(24), poisoned(18), poisoned(3));
    DEVICE
        .linear_input_gradient(&shape, &weight, 0, &gradient, &mut of_input)
        .unwrap();
    DEVICE
        .linear_weight_gradient(&shape, &input, &gradient, &mut of_weight, 0)
        .unwrap();
    DEVICE
        .linear_bias_gradient(&shape, &gradient, &mut of_bias, 0)
        .unwrap();
    assert_gradient("input", &input, &of_input, |input| {
        run(input, &weight, &bias).0
    });
    assert_gradient("weight", &weight, &of_weight, |weight| {
        run(&input, weight, &bias).0
    });
    assert_gradient("bias", &bias, &of_bias, |bias| run(&input, &weight, bias).0);
}
