//! Calls that must be refused before anything is written: short buffers, odd channels, empty shapes.

use cxr_ops::device::{
    Activation, Device, DeviceFault, Gate, NormPlaces, Part, PictureGather, Pixels, PoolShape,
    Result, Rows, Shortcut,
};
use cxr_ops::kernels::Window;
use cxr_ops::kernels::conv::ConvShape;
use cxr_ops::kernels::linear::LinearShape;
use cxr_ops::nhwc::Onto;

const OF: Rows = Rows {
    rows: 6,
    channels: 8,
};
const PLACES: NormPlaces = NormPlaces {
    weight: 0,
    bias: 8,
    running_mean: 0,
    running_variance: 8,
};
const WINDOW: Window = Window {
    input: [3, 2],
    kernel: [3, 3],
    stride: 1,
    padding: [1, 1],
};
const CONV: ConvShape = ConvShape {
    images: 1,
    channels: 8,
    out_channels: 8,
    window: WINDOW,
};
const POOL: PoolShape = PoolShape {
    images: 1,
    channels: 8,
    window: WINDOW,
};
const LINEAR: LinearShape = LinearShape {
    rows: 2,
    inputs: 8,
    outputs: 3,
};

/// Each function with a buffer that is too short, and with shapes that it does not take.
pub(crate) fn check_refusals<D: Device>(device: &D) {
    let result = Buffers::new(device).map(|mut buffers| {
        buffers.convolutions(device);
        buffers.norms(device);
        buffers.backward_norms(device);
        buffers.poolings(device);
        buffers.dense_layers(device);
        buffers.training(device);
        buffers.pictures(device);
        buffers.shapes(device);
    });
    assert!(result.is_ok(), "{result:?}");
}

fn is_too_short(call: &str, result: Result<()>) {
    let is_refused = matches!(result, Err(DeviceFault::TooShort { .. }));
    assert!(is_refused, "{call}: a short buffer: {result:?}");
}

fn has_odd_channels(call: &str, result: Result<()>) {
    let is_refused = matches!(result, Err(DeviceFault::Channels { .. }));
    assert!(is_refused, "{call}: odd channels: {result:?}");
}

fn has_no_such_shape(call: &str, result: Result<()>) {
    let is_refused = matches!(result, Err(DeviceFault::Shape { .. }));
    assert!(is_refused, "{call}: a shape: {result:?}");
}

/// Long enough for every call here, and too short for every one.
struct Buffers<D: Device> {
    map: D::Map,
    other: D::Map,
    target: D::Map,
    short: D::Map,
    floats: D::Floats,
    more: D::Floats,
    result: D::Floats,
    short_floats: D::Floats,
    bytes: D::Bytes,
    short_bytes: D::Bytes,
}

impl<D: Device> Buffers<D> {
    fn new(device: &D) -> Result<Self> {
        Ok(Self {
            map: device.map(2048)?,
            other: device.map(2048)?,
            target: device.map(2048)?,
            short: device.map(1)?,
            floats: device.floats(2048)?,
            more: device.floats(2048)?,
            result: device.floats(2048)?,
            short_floats: device.floats(1)?,
            bytes: device.bytes(2048)?,
            short_bytes: device.bytes(1)?,
        })
    }

    fn convolutions(&mut self, device: &D) {
        let Self {
            map,
            other,
            target,
            short,
            ..
        } = self;
        let call = "conv_forward";
        is_too_short(call, device.conv_forward(&CONV, short, other, 0, target));
        is_too_short(call, device.conv_forward(&CONV, map, short, 0, target));
        is_too_short(call, device.conv_forward(&CONV, map, other, 2000, target));
        is_too_short(call, device.conv_forward(&CONV, map, other, 0, short));
        let call = "conv_input_gradient";
        let onto = Onto::Unset;
        let result = device.conv_input_gradient(&CONV, other, 2000, map, onto, target);
        is_too_short(call, result);
        let result = device.conv_input_gradient(&CONV, other, 0, short, onto, target);
        is_too_short(call, result);
        let result = device.conv_input_gradient(&CONV, other, 0, map, onto, short);
        is_too_short(call, result);
        let call = "conv_weight_gradient";
        let result = device.conv_weight_gradient(&CONV, short, other, target, 0);
        is_too_short(call, result);
        let result = device.conv_weight_gradient(&CONV, map, short, target, 0);
        is_too_short(call, result);
        let result = device.conv_weight_gradient(&CONV, map, other, target, 2000);
        is_too_short(call, result);
    }

    fn norms(&mut self, device: &D) {
        let Self {
            map,
            other,
            target,
            short,
            floats,
            more,
            result,
            short_floats,
            ..
        } = self;
        let call = "norm_moments";
        let running = &mut *more;
        is_too_short(
            call,
            device.norm_moments(OF, short, floats, running, PLACES, result),
        );
        is_too_short(
            call,
            device.norm_moments(OF, map, short_floats, running, PLACES, result),
        );
        is_too_short(
            call,
            device.norm_moments(OF, map, floats, short_floats, PLACES, result),
        );
        is_too_short(
            call,
            device.norm_moments(OF, map, floats, running, PLACES, short_floats),
        );
        let call = "norm_of_running";
        is_too_short(
            call,
            device.norm_of_running(8, short_floats, more, PLACES, result),
        );
        is_too_short(
            call,
            device.norm_of_running(8, floats, short_floats, PLACES, result),
        );
        is_too_short(
            call,
            device.norm_of_running(8, floats, more, PLACES, short_floats),
        );
        let call = "norm_apply";
        let (none, plain) = (|| Shortcut::None, Activation::None);
        is_too_short(
            call,
            device.norm_apply(OF, short, floats, none(), plain, target),
        );
        is_too_short(
            call,
            device.norm_apply(OF, map, short_floats, none(), plain, target),
        );
        is_too_short(
            call,
            device.norm_apply(OF, map, floats, none(), plain, short),
        );
        let beside = Shortcut::Map(short);
        is_too_short(
            call,
            device.norm_apply(OF, map, floats, beside, plain, target),
        );
        let beside = Shortcut::Norm(other, short_floats);
        is_too_short(
            call,
            device.norm_apply(OF, map, floats, beside, plain, target),
        );
    }

    fn backward_norms(&mut self, device: &D) {
        let Self {
            map,
            other,
            target,
            short,
            floats,
            more,
            result,
            short_floats,
            ..
        } = self;
        let sums = |gradient: &mut D::Map,
                    gate: Gate<'_, D>,
                    vector_gradients: &mut D::Floats,
                    factors: &mut D::Floats| {
            device.norm_backward_sums(
                OF,
                gradient,
                gate,
                map,
                floats,
                PLACES,
                floats,
                vector_gradients,
                factors,
            )
        };
        let call = "norm_backward_sums";
        is_too_short(call, sums(short, Gate::Open, more, result));
        is_too_short(call, sums(target, Gate::Map(short), more, result));
        is_too_short(call, sums(target, Gate::Norm, short_floats, result));
        is_too_short(call, sums(target, Gate::Norm, more, short_floats));
        let call = "norm_fixed_factors";
        is_too_short(call, device.norm_fixed_factors(8, short_floats, result));
        is_too_short(call, device.norm_fixed_factors(8, floats, short_floats));
        let back =
            |gradient: &D::Map, gate: Gate<'_, D>, factors: &D::Floats, output: &mut D::Map| {
                device.norm_backward(OF, gradient, gate, map, floats, factors, output)
            };
        let call = "norm_backward";
        is_too_short(call, back(short, Gate::Open, more, target));
        is_too_short(call, back(other, Gate::Map(short), more, target));
        is_too_short(call, back(other, Gate::Norm, short_floats, target));
        is_too_short(call, back(other, Gate::Norm, more, short));
        is_too_short("gate", device.gate(9, short, target));
        is_too_short("gate", device.gate(9, map, short));
    }

    fn poolings(&mut self, device: &D) {
        let Self {
            map,
            other,
            target,
            short,
            floats,
            more,
            result,
            short_floats,
            bytes,
            short_bytes,
        } = self;
        let both = ((&*floats, 0), (&*floats, 8));
        let call = "pool_forward";
        let result_of = device.pool_forward(&POOL, short, both.0, both.1, target, bytes);
        is_too_short(call, result_of);
        let late = (&*floats, 2047);
        is_too_short(
            call,
            device.pool_forward(&POOL, map, late, both.1, target, bytes),
        );
        is_too_short(
            call,
            device.pool_forward(&POOL, map, both.0, late, target, bytes),
        );
        is_too_short(
            call,
            device.pool_forward(&POOL, map, both.0, both.1, short, bytes),
        );
        let result_of = device.pool_forward(&POOL, map, both.0, both.1, target, short_bytes);
        is_too_short(call, result_of);
        let mut sums =
            |gradient: &mut D::Map, pooled: &D::Map, picked: &D::Bytes, factors: &mut D::Floats| {
                device.pool_backward_sums(
                    &POOL, gradient, pooled, picked, map, floats, PLACES, floats, more, factors,
                )
            };
        let call = "pool_backward_sums";
        is_too_short(call, sums(short, other, bytes, result));
        is_too_short(call, sums(target, short, bytes, result));
        is_too_short(call, sums(target, other, short_bytes, result));
        is_too_short(call, sums(target, other, bytes, short_floats));
        let call = "pool_backward_bias";
        is_too_short(
            call,
            device.pool_backward_bias(&POOL, short, other, more, 0),
        );
        is_too_short(
            call,
            device.pool_backward_bias(&POOL, target, short, more, 0),
        );
        is_too_short(
            call,
            device.pool_backward_bias(&POOL, target, other, more, 2047),
        );
        let call = "pool_backward";
        is_too_short(
            call,
            device.pool_backward(&POOL, short, bytes, None, target),
        );
        is_too_short(
            call,
            device.pool_backward(&POOL, map, short_bytes, None, target),
        );
        is_too_short(call, device.pool_backward(&POOL, map, bytes, None, short));
        let norm = Some((&*other, &*short_floats));
        is_too_short(call, device.pool_backward(&POOL, map, bytes, norm, target));
    }

    fn dense_layers(&mut self, device: &D) {
        let Self {
            map,
            other,
            target,
            short,
            floats,
            result,
            short_floats,
            ..
        } = self;
        let call = "mean_of_places";
        is_too_short(call, device.mean_of_places(2, 3, 8, short, result));
        is_too_short(call, device.mean_of_places(2, 3, 8, map, short_floats));
        let call = "spread_to_places";
        is_too_short(call, device.spread_to_places(2, 3, 8, short_floats, target));
        is_too_short(call, device.spread_to_places(2, 3, 8, floats, short));
        is_too_short("round", device.round(5, short_floats, None, target));
        is_too_short("round", device.round(5, floats, Some(short_floats), target));
        is_too_short("round", device.round(5, floats, None, short));
        let call = "linear_forward";
        let l = &LINEAR;
        is_too_short(
            call,
            device.linear_forward(l, short, other, 0, floats, 0, result),
        );
        is_too_short(
            call,
            device.linear_forward(l, map, other, 2040, floats, 0, result),
        );
        is_too_short(
            call,
            device.linear_forward(l, map, other, 0, floats, 2046, result),
        );
        is_too_short(
            call,
            device.linear_forward(l, map, other, 0, floats, 0, short_floats),
        );
        let call = "linear_weight_gradient";
        is_too_short(
            call,
            device.linear_weight_gradient(l, short, other, target, 0),
        );
        is_too_short(
            call,
            device.linear_weight_gradient(l, map, short, target, 0),
        );
        is_too_short(
            call,
            device.linear_weight_gradient(l, map, other, target, 2040),
        );
        let call = "linear_bias_gradient";
        is_too_short(
            call,
            device.linear_bias_gradient(l, short_floats, result, 0),
        );
        is_too_short(call, device.linear_bias_gradient(l, floats, result, 2046));
        let call = "linear_input_gradient";
        is_too_short(
            call,
            device.linear_input_gradient(l, map, 2040, other, result),
        );
        is_too_short(call, device.linear_input_gradient(l, map, 0, short, result));
        is_too_short(
            call,
            device.linear_input_gradient(l, map, 0, other, short_floats),
        );
    }

    fn training(&mut self, device: &D) {
        let Self {
            map,
            target,
            short,
            floats,
            more,
            result,
            short_floats,
            ..
        } = self;
        let loss = |logits: &D::Floats,
                    weights: &D::Floats,
                    gradient: &mut D::Floats,
                    outcome: &mut D::Floats| {
            device.bce(2, 3, logits, floats, floats, weights, gradient, outcome)
        };
        is_too_short("bce", loss(short_floats, floats, more, result));
        is_too_short("bce", loss(floats, short_floats, more, result));
        is_too_short("bce", loss(floats, floats, short_floats, result));
        is_too_short("bce", loss(floats, floats, more, short_floats));
        let call = "gradient_norm";
        is_too_short(call, device.gradient_norm((map, 2049), (floats, 1), result));
        is_too_short(call, device.gradient_norm((map, 1), (floats, 2049), result));
        is_too_short(
            call,
            device.gradient_norm((map, 1), (floats, 1), short_floats),
        );
        let part = Part {
            start: 2045,
            len: 4,
        };
        let buffers = Self::new(device);
        assert!(buffers.is_ok(), "no more buffers");
        let Ok(mut buffers) = buffers else { return };
        let (mean, square) = (&mut buffers.more, &mut buffers.result);
        let call = "adam_weights";
        let result_of = device.adam_weights(part, floats, floats, map, more, mean, square, target);
        is_too_short(call, result_of);
        let part = Part::first(4);
        let result_of = device.adam_weights(part, floats, floats, map, more, mean, square, short);
        is_too_short(call, result_of);
        let result_of =
            device.adam_weights(part, short_floats, floats, map, more, mean, square, target);
        is_too_short(call, result_of);
        let call = "adam_vectors";
        let result_of = device.adam_vectors(part, floats, floats, short_floats, more, mean, square);
        is_too_short(call, result_of);
        let result_of = device.adam_vectors(part, floats, short_floats, floats, more, mean, square);
        is_too_short(call, result_of);
        let result_of = device.adam_vectors(part, floats, floats, floats, more, mean, short_floats);
        is_too_short(call, result_of);
    }

    fn pictures(&mut self, device: &D) {
        let Self {
            target,
            short,
            floats,
            short_floats,
            bytes,
            short_bytes,
            ..
        } = self;
        const {
            assert!(
                2 * PictureGather::BYTES <= 2048,
                "the bytes hold two gathers"
            )
        }
        let fill = |picture_channels, gathers: &D::Bytes, output: &mut D::Map| {
            let (pixels, norms) = (Pixels::Kept(&*bytes), [(0.0, 1.0); 3]);
            let size = [3, 2];
            device.fill_pictures(
                2,
                size,
                picture_channels,
                pixels,
                gathers,
                bytes,
                norms,
                output,
            )
        };
        is_too_short("fill_pictures", fill(1, short_bytes, target));
        is_too_short("fill_pictures", fill(1, bytes, short));
        has_no_such_shape("fill_pictures", fill(2, bytes, target));
        is_too_short(
            "fill_planes",
            device.fill_planes(2, [3, 2], short_floats, target),
        );
        is_too_short("fill_planes", device.fill_planes(2, [3, 2], floats, short));
    }

    fn shapes(&mut self, device: &D) {
        let Self {
            map,
            other,
            target,
            floats,
            more,
            result,
            bytes,
            ..
        } = self;
        let conv = ConvShape {
            out_channels: 12,
            ..CONV
        };
        has_odd_channels(
            "conv_forward",
            device.conv_forward(&conv, map, other, 0, target),
        );
        let conv = ConvShape {
            channels: 12,
            ..CONV
        };
        has_odd_channels(
            "conv_forward",
            device.conv_forward(&conv, map, other, 0, target),
        );
        let of = Rows { channels: 12, ..OF };
        let moments = device.norm_moments(of, map, floats, more, PLACES, result);
        has_odd_channels("norm_moments", moments);
        let of = Rows { rows: 1, ..OF };
        let moments = device.norm_moments(of, map, floats, more, PLACES, result);
        has_no_such_shape("norm_moments", moments);
        let both = ((&*floats, 0), (&*floats, 8));
        let pool = PoolShape {
            channels: 4,
            ..POOL
        };
        let pooled = device.pool_forward(&pool, map, both.0, both.1, target, bytes);
        has_odd_channels("pool_forward", pooled);
        for (kernel, padding) in [([5, 5], [0, 0]), ([1, 3], [1, 1]), ([16, 16], [8, 8])] {
            let window = Window {
                kernel,
                padding,
                ..WINDOW
            };
            let pool = PoolShape { window, ..POOL };
            let pooled = device.pool_forward(&pool, map, both.0, both.1, target, bytes);
            has_no_such_shape("pool_forward", pooled);
        }
        let window = Window {
            kernel: [5, 5],
            ..WINDOW
        };
        let conv = ConvShape { window, ..CONV };
        has_no_such_shape(
            "conv_forward",
            device.conv_forward(&conv, map, other, 0, target),
        );
        has_odd_channels(
            "mean_of_places",
            device.mean_of_places(2, 3, 7, map, result),
        );
    }
}
