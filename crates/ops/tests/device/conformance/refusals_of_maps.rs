//! Short buffers for convolutions, norms and poolings.

use cxr_ops::device::{Activation, Device, Gate, Shortcut};
use cxr_ops::nhwc::Onto;

use super::refusals::{Buffers, CONV, OF, PLACES, POOL, is_too_short};

impl<D: Device> Buffers<D> {
    pub(super) fn convolutions(&mut self, device: &D) {
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

    pub(super) fn norms(&mut self, device: &D) {
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

    pub(super) fn backward_norms(&mut self, device: &D) {
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

    pub(super) fn poolings(&mut self, device: &D) {
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
}
