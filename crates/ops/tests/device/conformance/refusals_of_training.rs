//! Short buffers for the last layers, the loss, the optimizer and pictures.

use cxr_ops::device::{Device, Part, PictureGather, Pixels};

use super::refusals::{Buffers, LINEAR, has_no_such_shape, is_too_short};

impl<D: Device> Buffers<D> {
    pub(super) fn dense_layers(&mut self, device: &D) {
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
        is_too_short("scale", device.scale(5, short_floats, result));
        is_too_short("scale", device.scale(5, floats, short_floats));
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

    pub(super) fn training(&mut self, device: &D) {
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

    pub(super) fn pictures(&mut self, device: &D) {
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
}
