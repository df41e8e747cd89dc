//! What surrounds the last layer: the mean over places, rounding, and the linear layer.

use super::{Numbers, Real};
use crate::kernels::linear::LinearShape;

/// The sizes of maps [N, places, C].
#[derive(Clone, Copy)]
pub(super) struct Places {
    pub(super) images: usize,
    pub(super) places: usize,
    pub(super) channels: usize,
}

pub(super) fn mean_of_places<T: Real>(
    of: Places,
    input: &Numbers<T>,
    output: &mut Numbers<T::Float>,
) {
    for cell in 0..of.images * of.channels {
        let (image, channel) = (cell / of.channels, cell % of.channels);
        let numbers = (0..of.places)
            .map(|place| input.at((image * of.places + place) * of.channels + channel));
        output.put(cell, numbers.sum::<f64>() / of.places as f64);
    }
}

pub(super) fn spread_to_places<T: Real>(
    of: Places,
    gradient: &Numbers<T::Float>,
    output: &mut Numbers<T>,
) {
    for place in 0..of.images * of.places {
        for channel in 0..of.channels {
            let share = gradient.at(place / of.places * of.channels + channel) / of.places as f64;
            output.put(place * of.channels + channel, share);
        }
    }
}

pub(super) fn round<T: Real>(
    len: usize,
    input: &Numbers<T::Float>,
    factors: Option<&Numbers<T::Float>>,
    output: &mut Numbers<T>,
) {
    for place in 0..len {
        let factor = factors.map_or(1.0, |factors| factors.at(place));
        output.put(place, input.at(place) * factor);
    }
}

pub(super) fn scale<F: Real>(len: usize, factors: &Numbers<F>, numbers: &mut Numbers<F>) {
    for place in 0..len {
        numbers.put(place, numbers.at(place) * factors.at(place));
    }
}

pub(super) fn linear_forward<T: Real>(
    shape: &LinearShape,
    input: &Numbers<T>,
    weights: (&Numbers<T>, usize),
    vectors: (&Numbers<T::Float>, usize),
    output: &mut Numbers<T::Float>,
) {
    let ((weights, weight_start), (vectors, bias_start)) = (weights, vectors);
    for row in 0..shape.rows {
        for column in 0..shape.outputs {
            let weight_row = weight_start + column * shape.inputs;
            let products = (0..shape.inputs)
                .map(|i| input.at(row * shape.inputs + i) * weights.at(weight_row + i));
            let sum = products.sum::<f64>() + vectors.at(bias_start + column);
            output.put(row * shape.outputs + column, sum);
        }
    }
}

pub(super) fn linear_weight_gradient<T: Real>(
    shape: &LinearShape,
    input: &Numbers<T>,
    output_gradient: &Numbers<T>,
    weight_gradients: &mut Numbers<T>,
    weight_start: usize,
) {
    for output in 0..shape.outputs {
        for i in 0..shape.inputs {
            let products = (0..shape.rows).map(|row| {
                output_gradient.at(row * shape.outputs + output) * input.at(row * shape.inputs + i)
            });
            let place = weight_start + output * shape.inputs + i;
            weight_gradients.put(place, products.sum());
        }
    }
}

pub(super) fn linear_bias_gradient<F: Real>(
    shape: &LinearShape,
    output_gradient: &Numbers<F>,
    vector_gradients: &mut Numbers<F>,
    bias_start: usize,
) {
    for output in 0..shape.outputs {
        let column = (0..shape.rows).map(|row| output_gradient.at(row * shape.outputs + output));
        vector_gradients.put(bias_start + output, column.sum());
    }
}

pub(super) fn linear_input_gradient<T: Real>(
    shape: &LinearShape,
    weights: (&Numbers<T>, usize),
    output_gradient: &Numbers<T>,
    input_gradient: &mut Numbers<T::Float>,
) {
    let (weights, weight_start) = weights;
    for row in 0..shape.rows {
        for i in 0..shape.inputs {
            let products = (0..shape.outputs).map(|output| {
                output_gradient.at(row * shape.outputs + output)
                    * weights.at(weight_start + output * shape.inputs + i)
            });
            input_gradient.put(row * shape.inputs + i, products.sum());
        }
    }
}
