//! [`Device`] for the reference: checks, then the definition of each function.

use std::convert::Infallible;

use super::dense::Places;
use super::loss::Labels;
use super::optimizer::Arenas;
use super::pictures::Batch;
use super::{Numbers, Real, Reference, conv, dense, loss, norm, optimizer, pictures, pool};
use crate::device::checks::{Call, ConvLengths};
use crate::device::{
    Activation, Device, Gate, NormPlaces, Part, PictureGather, Pixels, PoolShape, Precision,
    Result, Rows, Shortcut,
};
use crate::kernels::conv::ConvShape;
use crate::kernels::linear::LinearShape;
use crate::nhwc::Onto;

/// Bytes to be sent, and what was sent last.
#[derive(Clone, Debug, Default)]
pub struct Staged {
    host: Vec<u8>,
    sent: Vec<u8>,
}

impl<T: Real> Device for Reference<T> {
    type Map = Numbers<T>;
    type Floats = Numbers<T::Float>;
    type Bytes = Vec<u8>;
    type Staging = Staged;
    type Recording = Infallible;

    fn precision(&self) -> Precision {
        T::PRECISION
    }

    fn map(&self, len: usize) -> Result<Self::Map> {
        Ok(Numbers::zeros(len))
    }

    fn floats(&self, len: usize) -> Result<Self::Floats> {
        Ok(Numbers::zeros(len))
    }

    fn bytes(&self, len: usize) -> Result<Self::Bytes> {
        Ok(vec![0; len])
    }

    fn write_map(&self, target: &mut Self::Map, start: usize, numbers: &[f32]) -> Result<()> {
        write(Call("write_map"), target, start, numbers)
    }

    fn write_floats(&self, target: &mut Self::Floats, start: usize, numbers: &[f32]) -> Result<()> {
        write(Call("write_floats"), target, start, numbers)
    }

    fn write_bytes(&self, target: &mut Self::Bytes, start: usize, bytes: &[u8]) -> Result<()> {
        let len = bytes.len();
        Call("write_bytes").holds_part("the target", target.len(), Part { start, len })?;
        target[start..][..len].copy_from_slice(bytes);
        Ok(())
    }

    fn read_map(&self, source: &Self::Map, part: Part) -> Result<Vec<f32>> {
        read(Call("read_map"), source, part)
    }

    fn read_floats(&self, source: &Self::Floats, part: Part) -> Result<Vec<f32>> {
        read(Call("read_floats"), source, part)
    }

    fn read_bytes(&self, source: &Self::Bytes, part: Part) -> Result<Vec<u8>> {
        Call("read_bytes").holds_part("the source", source.len(), part)?;
        Ok(source[part.start..part.end()].to_vec())
    }

    fn staging(&self, len: usize) -> Result<Self::Staging> {
        Ok(Staged {
            host: vec![0; len],
            sent: vec![0; len],
        })
    }

    fn staging_bytes<'a>(&self, staging: &'a mut Self::Staging) -> Result<&'a mut [u8]> {
        Ok(&mut staging.host)
    }

    fn send(&self, staging: &mut Self::Staging, len: usize) -> Result<()> {
        Call("send").holds("the staging", staging.host.len(), len)?;
        staging.sent[..len].copy_from_slice(&staging.host[..len]);
        Ok(())
    }

    fn memory(&self) -> Result<Option<(u64, u64)>> {
        Ok(None)
    }

    fn synchronize(&self) -> Result<()> {
        Ok(())
    }

    fn record(&self, work: impl FnOnce() -> Result<()>) -> Result<Option<Self::Recording>> {
        work()?;
        Ok(None)
    }

    fn replay(&self, recording: &Self::Recording) -> Result<()> {
        match *recording {}
    }

    fn conv_forward(
        &self,
        shape: &ConvShape,
        input: &Self::Map,
        weights: &Self::Map,
        weight_start: usize,
        output: &mut Self::Map,
    ) -> Result<()> {
        let lengths = ConvLengths {
            input: input.len(),
            weights: weights.len(),
            weight_start,
            output: output.len(),
        };
        Call("conv_forward").conv(T::PRECISION, shape, lengths)?;
        conv::forward(shape, input, weights, weight_start, output);
        Ok(())
    }

    fn conv_input_gradient(
        &self,
        shape: &ConvShape,
        weights: &Self::Map,
        weight_start: usize,
        output_gradient: &Self::Map,
        onto: Onto,
        input_gradient: &mut Self::Map,
    ) -> Result<()> {
        let lengths = ConvLengths {
            input: input_gradient.len(),
            weights: weights.len(),
            weight_start,
            output: output_gradient.len(),
        };
        Call("conv_input_gradient").conv(T::PRECISION, shape, lengths)?;
        let weights = (weights, weight_start);
        conv::input_gradient(shape, weights, output_gradient, onto, input_gradient);
        Ok(())
    }

    fn conv_weight_gradient(
        &self,
        shape: &ConvShape,
        input: &Self::Map,
        output_gradient: &Self::Map,
        weight_gradients: &mut Self::Map,
        weight_start: usize,
    ) -> Result<()> {
        let lengths = ConvLengths {
            input: input.len(),
            weights: weight_gradients.len(),
            weight_start,
            output: output_gradient.len(),
        };
        Call("conv_weight_gradient").conv(T::PRECISION, shape, lengths)?;
        conv::weight_gradient(
            shape,
            input,
            output_gradient,
            weight_gradients,
            weight_start,
        );
        Ok(())
    }

    fn norm_moments(
        &self,
        of: Rows,
        input: &Self::Map,
        vectors: &Self::Floats,
        running: &mut Self::Floats,
        places: NormPlaces,
        saved: &mut Self::Floats,
    ) -> Result<()> {
        let call = Call("norm_moments");
        call.rows_with_variance(of)?;
        call.holds("the input", input.len(), of.len())?;
        call.affine(of.channels, places, vectors.len())?;
        call.running(of.channels, places, running.len())?;
        call.saved(of.channels, saved.len())?;
        norm::measure(of, input, vectors, running, places, saved);
        Ok(())
    }

    fn norm_of_running(
        &self,
        channels: usize,
        vectors: &Self::Floats,
        running: &Self::Floats,
        places: NormPlaces,
        saved: &mut Self::Floats,
    ) -> Result<()> {
        let call = Call("norm_of_running");
        call.channels(channels)?;
        call.affine(channels, places, vectors.len())?;
        call.running(channels, places, running.len())?;
        call.saved(channels, saved.len())?;
        norm::of_running(channels, vectors, running, places, saved);
        Ok(())
    }

    fn norm_apply(
        &self,
        of: Rows,
        input: &Self::Map,
        saved: &Self::Floats,
        shortcut: Shortcut<'_, Self>,
        activation: Activation,
        output: &mut Self::Map,
    ) -> Result<()> {
        let call = Call("norm_apply");
        call.rows(of)?;
        call.holds("the input", input.len(), of.len())?;
        call.saved(of.channels, saved.len())?;
        match &shortcut {
            Shortcut::None => {}
            Shortcut::Map(map) => call.holds("the shortcut", map.len(), of.len())?,
            Shortcut::Norm(map, saved) => {
                call.holds("the shortcut", map.len(), of.len())?;
                call.saved(of.channels, saved.len())?;
            }
        }
        call.holds("the output", output.len(), of.len())?;
        norm::apply(of, input, saved, &shortcut, activation, output);
        Ok(())
    }

    fn norm_backward_sums(
        &self,
        of: Rows,
        gradient: &mut Self::Map,
        gate: Gate<'_, Self>,
        input: &Self::Map,
        vectors: &Self::Floats,
        places: NormPlaces,
        saved: &Self::Floats,
        vector_gradients: &mut Self::Floats,
        factors: &mut Self::Floats,
    ) -> Result<()> {
        let call = Call("norm_backward_sums");
        call.rows_with_variance(of)?;
        call.holds("the gradient", gradient.len(), of.len())?;
        hold_gate(call, of, &gate)?;
        call.holds("the input", input.len(), of.len())?;
        call.affine(of.channels, places, vectors.len())?;
        call.saved(of.channels, saved.len())?;
        call.affine(of.channels, places, vector_gradients.len())?;
        call.factors(of.channels, factors.len())?;
        let sums = norm::backward_sums(of, gradient, &gate, input, saved);
        let vectors = (vectors, places);
        norm::finish_sums(&sums, of.rows, vectors, saved, vector_gradients, factors);
        Ok(())
    }

    fn norm_fixed_factors(
        &self,
        channels: usize,
        saved: &Self::Floats,
        factors: &mut Self::Floats,
    ) -> Result<()> {
        let call = Call("norm_fixed_factors");
        call.channels(channels)?;
        call.saved(channels, saved.len())?;
        call.factors(channels, factors.len())?;
        norm::fixed_factors(channels, saved, factors);
        Ok(())
    }

    fn norm_backward(
        &self,
        of: Rows,
        gradient: &Self::Map,
        gate: Gate<'_, Self>,
        input: &Self::Map,
        saved: &Self::Floats,
        factors: &Self::Floats,
        output: &mut Self::Map,
    ) -> Result<()> {
        let call = Call("norm_backward");
        call.rows(of)?;
        call.holds("the gradient", gradient.len(), of.len())?;
        hold_gate(call, of, &gate)?;
        call.holds("the input", input.len(), of.len())?;
        call.saved(of.channels, saved.len())?;
        call.factors(of.channels, factors.len())?;
        call.holds("the output", output.len(), of.len())?;
        norm::backward(of, gradient, &gate, input, (saved, factors), output);
        Ok(())
    }

    fn gate(&self, len: usize, activation: &Self::Map, gradient: &mut Self::Map) -> Result<()> {
        let call = Call("gate");
        call.holds("the activation", activation.len(), len)?;
        call.holds("the gradient", gradient.len(), len)?;
        norm::close_gate(len, activation, gradient);
        Ok(())
    }

    fn pool_forward(
        &self,
        pool: &PoolShape,
        input: &Self::Map,
        scale: (&Self::Floats, usize),
        shift: (&Self::Floats, usize),
        output: &mut Self::Map,
        picked: &mut Self::Bytes,
    ) -> Result<()> {
        let call = Call("pool_forward");
        call.pool(pool)?;
        call.holds("the input", input.len(), pool.input_len())?;
        for (what, (floats, start)) in [("the scale", scale), ("the shift", shift)] {
            let len = pool.channels;
            call.holds_part(what, floats.len(), Part { start, len })?;
        }
        call.holds("the output", output.len(), pool.output_len())?;
        call.holds("the picked places", picked.len(), pool.output_len())?;
        pool::forward(pool, input, scale, shift, output, picked);
        Ok(())
    }

    fn pool_backward_sums(
        &self,
        pool: &PoolShape,
        gradient: &mut Self::Map,
        pooled: &Self::Map,
        picked: &Self::Bytes,
        input: &Self::Map,
        vectors: &Self::Floats,
        places: NormPlaces,
        saved: &Self::Floats,
        vector_gradients: &mut Self::Floats,
        factors: &mut Self::Floats,
    ) -> Result<()> {
        let call = Call("pool_backward_sums");
        call.pool(pool)?;
        let (channels, rows) = (pool.channels, pool.images * pool.window.input_places());
        call.rows_with_variance(Rows { rows, channels })?;
        call.holds("the gradient", gradient.len(), pool.output_len())?;
        call.holds("the pooled map", pooled.len(), pool.output_len())?;
        call.holds("the picked places", picked.len(), pool.output_len())?;
        call.holds("the input", input.len(), pool.input_len())?;
        call.affine(channels, places, vectors.len())?;
        call.saved(channels, saved.len())?;
        call.affine(channels, places, vector_gradients.len())?;
        call.factors(channels, factors.len())?;
        let sums = pool::backward_sums(pool, gradient, pooled, picked, input, saved);
        let vectors = (vectors, places);
        norm::finish_sums(&sums, rows, vectors, saved, vector_gradients, factors);
        Ok(())
    }

    fn pool_backward_bias(
        &self,
        pool: &PoolShape,
        gradient: &mut Self::Map,
        pooled: &Self::Map,
        vector_gradients: &mut Self::Floats,
        bias_start: usize,
    ) -> Result<()> {
        let call = Call("pool_backward_bias");
        call.pool(pool)?;
        call.holds("the gradient", gradient.len(), pool.output_len())?;
        call.holds("the pooled map", pooled.len(), pool.output_len())?;
        let bias = Part {
            start: bias_start,
            len: pool.channels,
        };
        call.holds_part("the arena of vectors", vector_gradients.len(), bias)?;
        pool::backward_bias(pool, gradient, pooled, vector_gradients, bias_start);
        Ok(())
    }

    fn pool_backward(
        &self,
        pool: &PoolShape,
        gradient: &Self::Map,
        picked: &Self::Bytes,
        norm: Option<(&Self::Map, &Self::Floats)>,
        output: &mut Self::Map,
    ) -> Result<()> {
        let call = Call("pool_backward");
        call.pool(pool)?;
        call.holds("the gradient", gradient.len(), pool.output_len())?;
        call.holds("the picked places", picked.len(), pool.output_len())?;
        if let Some((input, factors)) = norm {
            call.holds("the input", input.len(), pool.input_len())?;
            call.factors(pool.channels, factors.len())?;
        }
        call.holds("the output", output.len(), pool.input_len())?;
        pool::backward(pool, gradient, picked, norm, output);
        Ok(())
    }

    fn mean_of_places(
        &self,
        images: usize,
        places: usize,
        channels: usize,
        input: &Self::Map,
        output: &mut Self::Floats,
    ) -> Result<()> {
        let call = Call("mean_of_places");
        call.places(images, places, channels)?;
        call.holds("the input", input.len(), images * places * channels)?;
        call.holds("the output", output.len(), images * channels)?;
        let of = Places {
            images,
            places,
            channels,
        };
        dense::mean_of_places(of, input, output);
        Ok(())
    }

    fn spread_to_places(
        &self,
        images: usize,
        places: usize,
        channels: usize,
        gradient: &Self::Floats,
        output: &mut Self::Map,
    ) -> Result<()> {
        let call = Call("spread_to_places");
        call.places(images, places, channels)?;
        call.holds("the gradient", gradient.len(), images * channels)?;
        call.holds("the output", output.len(), images * places * channels)?;
        let of = Places {
            images,
            places,
            channels,
        };
        dense::spread_to_places(of, gradient, output);
        Ok(())
    }

    fn round(
        &self,
        len: usize,
        input: &Self::Floats,
        factors: Option<&Self::Floats>,
        output: &mut Self::Map,
    ) -> Result<()> {
        let call = Call("round");
        call.holds("the input", input.len(), len)?;
        if let Some(factors) = factors {
            call.holds("the factors", factors.len(), len)?;
        }
        call.holds("the output", output.len(), len)?;
        dense::round(len, input, factors, output);
        Ok(())
    }

    fn scale(&self, len: usize, factors: &Self::Floats, numbers: &mut Self::Floats) -> Result<()> {
        let call = Call("scale");
        call.holds("the factors", factors.len(), len)?;
        call.holds("the numbers", numbers.len(), len)?;
        dense::scale(len, factors, numbers);
        Ok(())
    }

    fn linear_forward(
        &self,
        shape: &LinearShape,
        input: &Self::Map,
        weights: &Self::Map,
        weight_start: usize,
        vectors: &Self::Floats,
        bias_start: usize,
        output: &mut Self::Floats,
    ) -> Result<()> {
        let call = Call("linear_forward");
        call.linear(shape)?;
        call.holds("the input", input.len(), shape.rows * shape.inputs)?;
        call.linear_weight(shape, weights.len(), weight_start)?;
        call.linear_bias(shape, vectors.len(), bias_start)?;
        call.holds("the output", output.len(), shape.rows * shape.outputs)?;
        let (weights, vectors) = ((weights, weight_start), (vectors, bias_start));
        dense::linear_forward(shape, input, weights, vectors, output);
        Ok(())
    }

    fn linear_weight_gradient(
        &self,
        shape: &LinearShape,
        input: &Self::Map,
        output_gradient: &Self::Map,
        weight_gradients: &mut Self::Map,
        weight_start: usize,
    ) -> Result<()> {
        let call = Call("linear_weight_gradient");
        call.linear(shape)?;
        call.holds("the input", input.len(), shape.rows * shape.inputs)?;
        call.linear_gradient(shape, output_gradient.len())?;
        call.linear_weight(shape, weight_gradients.len(), weight_start)?;
        dense::linear_weight_gradient(
            shape,
            input,
            output_gradient,
            weight_gradients,
            weight_start,
        );
        Ok(())
    }

    fn linear_bias_gradient(
        &self,
        shape: &LinearShape,
        output_gradient: &Self::Floats,
        vector_gradients: &mut Self::Floats,
        bias_start: usize,
    ) -> Result<()> {
        let call = Call("linear_bias_gradient");
        call.linear(shape)?;
        call.linear_gradient(shape, output_gradient.len())?;
        call.linear_bias(shape, vector_gradients.len(), bias_start)?;
        dense::linear_bias_gradient(shape, output_gradient, vector_gradients, bias_start);
        Ok(())
    }

    fn linear_input_gradient(
        &self,
        shape: &LinearShape,
        weights: &Self::Map,
        weight_start: usize,
        output_gradient: &Self::Map,
        input_gradient: &mut Self::Floats,
    ) -> Result<()> {
        let call = Call("linear_input_gradient");
        call.linear(shape)?;
        call.linear_weight(shape, weights.len(), weight_start)?;
        call.linear_gradient(shape, output_gradient.len())?;
        let needed = shape.rows * shape.inputs;
        call.holds("the input's gradient", input_gradient.len(), needed)?;
        let weights = (weights, weight_start);
        dense::linear_input_gradient(shape, weights, output_gradient, input_gradient);
        Ok(())
    }

    fn bce(
        &self,
        rows: usize,
        findings: usize,
        logits: &Self::Floats,
        targets: &Self::Floats,
        mask: &Self::Floats,
        pos_weights: &Self::Floats,
        gradient: &mut Self::Floats,
        outcome: &mut Self::Floats,
    ) -> Result<()> {
        let call = Call("bce");
        let cells = rows * findings;
        call.at_least(1, "labels", cells)?;
        call.holds("the logits", logits.len(), cells)?;
        call.holds("the targets", targets.len(), cells)?;
        call.holds("the mask", mask.len(), cells)?;
        call.holds("the weights of positives", pos_weights.len(), findings)?;
        call.holds("the gradient", gradient.len(), cells)?;
        call.outcome(outcome.len())?;
        let labels = Labels {
            targets,
            mask,
            pos_weights,
        };
        loss::bce([rows, findings], logits, labels, gradient, outcome);
        Ok(())
    }

    fn gradient_norm(
        &self,
        weight_gradients: (&Self::Map, usize),
        vector_gradients: (&Self::Floats, usize),
        outcome: &mut Self::Floats,
    ) -> Result<()> {
        let call = Call("gradient_norm");
        let (weights, vectors) = (weight_gradients, vector_gradients);
        call.holds("the weight gradients", weights.0.len(), weights.1)?;
        call.holds("the vector gradients", vectors.0.len(), vectors.1)?;
        call.outcome(outcome.len())?;
        loss::gradient_norm(weights, vectors, outcome);
        Ok(())
    }

    fn adam_weights(
        &self,
        part: Part,
        factors: &Self::Floats,
        outcome: &Self::Floats,
        gradients: &Self::Map,
        master: &mut Self::Floats,
        mean: &mut Self::Floats,
        mean_square: &mut Self::Floats,
        weights: &mut Self::Map,
    ) -> Result<()> {
        let call = Call("adam_weights");
        call.adam(factors.len(), outcome.len())?;
        call.holds_part("the gradients", gradients.len(), part)?;
        call.holds_part("the master weights", master.len(), part)?;
        call.holds_part("the means", mean.len(), part)?;
        call.holds_part("the mean squares", mean_square.len(), part)?;
        call.holds_part("the weights", weights.len(), part)?;
        let arenas = Arenas {
            parameters: &mut *master,
            mean,
            mean_square,
        };
        if optimizer::step(part, factors, outcome, gradients, arenas) {
            weights.put_all(
                part.start,
                (part.start..part.end()).map(|place| master.at(place)),
            );
        }
        Ok(())
    }

    fn adam_vectors(
        &self,
        part: Part,
        factors: &Self::Floats,
        outcome: &Self::Floats,
        gradients: &Self::Floats,
        vectors: &mut Self::Floats,
        mean: &mut Self::Floats,
        mean_square: &mut Self::Floats,
    ) -> Result<()> {
        let call = Call("adam_vectors");
        call.adam(factors.len(), outcome.len())?;
        call.holds_part("the gradients", gradients.len(), part)?;
        call.holds_part("the vectors", vectors.len(), part)?;
        call.holds_part("the means", mean.len(), part)?;
        call.holds_part("the mean squares", mean_square.len(), part)?;
        let arenas = Arenas {
            parameters: vectors,
            mean,
            mean_square,
        };
        optimizer::step(part, factors, outcome, gradients, arenas);
        Ok(())
    }

    fn fill_pictures(
        &self,
        images: usize,
        size: [usize; 2],
        picture_channels: usize,
        pixels: Pixels<'_, Self>,
        gathers: &Self::Bytes,
        tables: &Self::Bytes,
        norms: [(f32, f32); 3],
        output: &mut Self::Map,
    ) -> Result<()> {
        let call = Call("fill_pictures");
        call.pictures(images, size)?;
        if ![1, 3].contains(&picture_channels) {
            return call.refuse(format!(
                "{picture_channels} channels in a picture, not 1 or 3"
            ));
        }
        let needed = images * PictureGather::BYTES;
        call.holds("the gathers", gathers.len(), needed)?;
        let needed = images * size[0] * size[1] * T::PRECISION.input_channels();
        call.holds("the output", output.len(), needed)?;
        let batch = Batch {
            call,
            images,
            size,
            picture_channels,
            pixels: match pixels {
                Pixels::Kept(bytes) => bytes,
                Pixels::Sent(staging) => &staging.sent,
            },
            gathers,
            tables,
            norms,
        };
        batch.fill(output)
    }

    fn fill_planes(
        &self,
        images: usize,
        size: [usize; 2],
        planes: &Self::Floats,
        output: &mut Self::Map,
    ) -> Result<()> {
        let call = Call("fill_planes");
        call.pictures(images, size)?;
        let places = size[0] * size[1];
        call.holds("the planes", planes.len(), images * 3 * places)?;
        let needed = images * places * T::PRECISION.input_channels();
        call.holds("the output", output.len(), needed)?;
        pictures::fill_planes(images, places, planes, output);
        Ok(())
    }
}

fn write<T: Real>(
    call: Call,
    target: &mut Numbers<T>,
    start: usize,
    numbers: &[f32],
) -> Result<()> {
    let len = numbers.len();
    call.holds_part("the target", target.len(), Part { start, len })?;
    target.put_all(start, numbers.iter().map(|&number| number.into()));
    Ok(())
}

fn read<T: Real>(call: Call, source: &Numbers<T>, part: Part) -> Result<Vec<f32>> {
    call.holds_part("the source", source.len(), part)?;
    let numbers = part.start..part.end();
    Ok(numbers.map(|place| source.at(place) as f32).collect())
}

fn hold_gate<T: Real>(call: Call, of: Rows, gate: &Gate<'_, Reference<T>>) -> Result<()> {
    match gate {
        Gate::Open | Gate::Norm => Ok(()),
        Gate::Map(activation) => call.holds("the activation", activation.len(), of.len()),
    }
}
