//! The functions of [`Device`], each handed to the file that does it.

use super::head::Labels;
use super::input::Batch;
use super::memory::{bf16_bits, download, of_bf16_bits};
use super::optimizer::Arenas;
use super::{Bytes, Cuda, Floats, Map, Recording, Staging, locked};
use crate::device::checks::Call;
use crate::device::{
    Activation, Device, Gate, NormPlaces, Part, Pixels, PoolShape, Precision, Result, Rows,
    Shortcut,
};
use crate::kernels::conv::ConvShape;
use crate::kernels::linear::LinearShape;
use crate::nhwc::Onto;

impl Device for Cuda {
    type Map = Map;
    type Floats = Floats;
    type Bytes = Bytes;
    type Staging = Staging;
    type Recording = Recording;

    fn precision(&self) -> Precision {
        self.inner.precision
    }

    fn map(&self, len: usize) -> Result<Map> {
        Map::zeros(
            &self.inner.streams,
            "map",
            len,
            self.inner.precision.bytes(),
        )
    }

    fn floats(&self, len: usize) -> Result<Floats> {
        Floats::zeros(&self.inner.streams, "floats", len, size_of::<f32>())
    }

    fn bytes(&self, len: usize) -> Result<Bytes> {
        Bytes::zeros(&self.inner.streams, "bytes", len, 1)
    }

    fn write_map(&self, target: &mut Map, start: usize, numbers: &[f32]) -> Result<()> {
        let (call, len) = (Call("write_map"), numbers.len());
        call.holds_part("the target", target.len(), Part { start, len })?;
        let bytes = self.inner.precision.bytes();
        let address = target.address() + (start * bytes) as u64;
        match self.inner.precision {
            Precision::F32 | Precision::Tf32 => self.inner.upload(call.0, address, numbers),
            Precision::Bf16 => {
                let rounded: Vec<u16> = numbers.iter().copied().map(bf16_bits).collect();
                self.inner.upload(call.0, address, &rounded)
            }
        }
    }

    fn write_floats(&self, target: &mut Floats, start: usize, numbers: &[f32]) -> Result<()> {
        let (call, len) = (Call("write_floats"), numbers.len());
        call.holds_part("the target", target.len(), Part { start, len })?;
        let address = super::norm::at(target, start);
        self.inner.upload(call.0, address, numbers)
    }

    fn write_bytes(&self, target: &mut Bytes, start: usize, bytes: &[u8]) -> Result<()> {
        let (call, len) = (Call("write_bytes"), bytes.len());
        call.holds_part("the target", target.len(), Part { start, len })?;
        self.inner
            .upload(call.0, target.address() + start as u64, bytes)
    }

    fn read_map(&self, source: &Map, part: Part) -> Result<Vec<f32>> {
        let call = Call("read_map");
        call.holds_part("the source", source.len(), part)?;
        let (streams, address) = (&self.inner.streams, source.address());
        match self.inner.precision {
            Precision::F32 | Precision::Tf32 => download(streams, call.0, address, part),
            Precision::Bf16 => {
                let numbers = download::<u16>(streams, call.0, address, part)?;
                Ok(numbers.into_iter().map(of_bf16_bits).collect())
            }
        }
    }

    fn read_floats(&self, source: &Floats, part: Part) -> Result<Vec<f32>> {
        let call = Call("read_floats");
        call.holds_part("the source", source.len(), part)?;
        download(&self.inner.streams, call.0, source.address(), part)
    }

    fn read_bytes(&self, source: &Bytes, part: Part) -> Result<Vec<u8>> {
        let call = Call("read_bytes");
        call.holds_part("the source", source.len(), part)?;
        download(&self.inner.streams, call.0, source.address(), part)
    }

    fn staging(&self, len: usize) -> Result<Staging> {
        Staging::new(&self.inner.streams, len)
    }

    fn staging_bytes<'a>(&self, staging: &'a mut Staging) -> Result<&'a mut [u8]> {
        staging.bytes()
    }

    fn send(&self, staging: &mut Staging, len: usize) -> Result<()> {
        staging.send(&self.inner.streams, len)
    }

    fn memory(&self) -> Result<Option<(u64, u64)>> {
        self.inner.streams.memory().map(Some)
    }

    fn choices(&self) -> Vec<String> {
        locked(&self.inner.convolutions).choices()
    }

    fn synchronize(&self) -> Result<()> {
        self.inner.streams.refuse_recording("synchronize")?;
        self.inner.streams.synchronize("synchronize")
    }

    fn record(&self, work: impl FnOnce() -> Result<()>) -> Result<Option<Recording>> {
        self.inner.record(work)
    }

    fn replay(&self, recording: &Recording) -> Result<()> {
        self.inner.replay(recording)
    }

    fn conv_forward(
        &self,
        shape: &ConvShape,
        input: &Map,
        weights: &Map,
        weight_start: usize,
        output: &mut Map,
    ) -> Result<()> {
        let kernel = (weights, weight_start);
        self.inner.conv_forward(shape, input, kernel, output)
    }

    fn conv_input_gradient(
        &self,
        shape: &ConvShape,
        weights: &Map,
        weight_start: usize,
        output_gradient: &Map,
        onto: Onto,
        input_gradient: &mut Map,
    ) -> Result<()> {
        let kernel = (weights, weight_start);
        self.inner
            .conv_input_gradient(shape, kernel, output_gradient, onto, input_gradient)
    }

    fn conv_weight_gradient(
        &self,
        shape: &ConvShape,
        input: &Map,
        output_gradient: &Map,
        weight_gradients: &mut Map,
        weight_start: usize,
    ) -> Result<()> {
        self.inner.conv_weight_gradient(
            shape,
            input,
            output_gradient,
            weight_gradients,
            weight_start,
        )
    }

    fn norm_moments(
        &self,
        of: Rows,
        input: &Map,
        vectors: &Floats,
        running: &mut Floats,
        places: NormPlaces,
        saved: &mut Floats,
    ) -> Result<()> {
        self.inner
            .norm_moments(of, input, vectors, running, places, saved)
    }

    fn norm_of_running(
        &self,
        channels: usize,
        vectors: &Floats,
        running: &Floats,
        places: NormPlaces,
        saved: &mut Floats,
    ) -> Result<()> {
        self.inner
            .norm_of_running(channels, vectors, running, places, saved)
    }

    fn norm_apply(
        &self,
        of: Rows,
        input: &Map,
        saved: &Floats,
        shortcut: Shortcut<'_, Self>,
        activation: Activation,
        output: &mut Map,
    ) -> Result<()> {
        self.inner
            .norm_apply(of, input, saved, &shortcut, activation, output)
    }

    fn norm_backward_sums(
        &self,
        of: Rows,
        gradient: &mut Map,
        gate: Gate<'_, Self>,
        input: &Map,
        vectors: &Floats,
        places: NormPlaces,
        saved: &Floats,
        vector_gradients: &mut Floats,
        factors: &mut Floats,
    ) -> Result<()> {
        self.inner.norm_backward_sums(
            of,
            gradient,
            &gate,
            input,
            vectors,
            places,
            saved,
            vector_gradients,
            factors,
        )
    }

    fn norm_fixed_factors(
        &self,
        channels: usize,
        saved: &Floats,
        factors: &mut Floats,
    ) -> Result<()> {
        self.inner.norm_fixed_factors(channels, saved, factors)
    }

    fn norm_backward(
        &self,
        of: Rows,
        gradient: &Map,
        gate: Gate<'_, Self>,
        input: &Map,
        saved: &Floats,
        factors: &Floats,
        output: &mut Map,
    ) -> Result<()> {
        self.inner
            .norm_backward(of, gradient, &gate, input, saved, factors, output)
    }

    fn gate(&self, len: usize, activation: &Map, gradient: &mut Map) -> Result<()> {
        self.inner.gate(len, activation, gradient)
    }

    fn pool_forward(
        &self,
        pool: &PoolShape,
        input: &Map,
        scale: (&Floats, usize),
        shift: (&Floats, usize),
        output: &mut Map,
        picked: &mut Bytes,
    ) -> Result<()> {
        self.inner
            .pool_forward(pool, input, scale, shift, output, picked)
    }

    fn pool_backward_sums(
        &self,
        pool: &PoolShape,
        gradient: &mut Map,
        pooled: &Map,
        picked: &Bytes,
        input: &Map,
        vectors: &Floats,
        places: NormPlaces,
        saved: &Floats,
        vector_gradients: &mut Floats,
        factors: &mut Floats,
    ) -> Result<()> {
        self.inner.pool_backward_sums(
            pool,
            gradient,
            pooled,
            picked,
            input,
            vectors,
            places,
            saved,
            vector_gradients,
            factors,
        )
    }

    fn pool_backward_bias(
        &self,
        pool: &PoolShape,
        gradient: &mut Map,
        pooled: &Map,
        vector_gradients: &mut Floats,
        bias_start: usize,
    ) -> Result<()> {
        self.inner
            .pool_backward_bias(pool, gradient, pooled, vector_gradients, bias_start)
    }

    fn pool_backward(
        &self,
        pool: &PoolShape,
        gradient: &Map,
        picked: &Bytes,
        norm: Option<(&Map, &Floats)>,
        output: &mut Map,
    ) -> Result<()> {
        self.inner
            .pool_backward(pool, gradient, picked, norm, output)
    }

    fn mean_of_places(
        &self,
        images: usize,
        places: usize,
        channels: usize,
        input: &Map,
        output: &mut Floats,
    ) -> Result<()> {
        self.inner
            .mean_of_places([images, places, channels], input, output)
    }

    fn spread_to_places(
        &self,
        images: usize,
        places: usize,
        channels: usize,
        gradient: &Floats,
        output: &mut Map,
    ) -> Result<()> {
        self.inner
            .spread_to_places([images, places, channels], gradient, output)
    }

    fn round(
        &self,
        len: usize,
        input: &Floats,
        factors: Option<&Floats>,
        output: &mut Map,
    ) -> Result<()> {
        self.inner.round(len, input, factors, output)
    }

    fn scale(&self, len: usize, factors: &Floats, numbers: &mut Floats) -> Result<()> {
        self.inner.scale(len, factors, numbers)
    }

    fn linear_forward(
        &self,
        shape: &LinearShape,
        input: &Map,
        weights: &Map,
        weight_start: usize,
        vectors: &Floats,
        bias_start: usize,
        output: &mut Floats,
    ) -> Result<()> {
        let (weight, bias) = ((weights, weight_start), (vectors, bias_start));
        self.inner
            .linear_forward(shape, input, weight, bias, output)
    }

    fn linear_weight_gradient(
        &self,
        shape: &LinearShape,
        input: &Map,
        output_gradient: &Map,
        weight_gradients: &mut Map,
        weight_start: usize,
    ) -> Result<()> {
        self.inner.linear_weight_gradient(
            shape,
            input,
            output_gradient,
            weight_gradients,
            weight_start,
        )
    }

    fn linear_bias_gradient(
        &self,
        shape: &LinearShape,
        output_gradient: &Floats,
        vector_gradients: &mut Floats,
        bias_start: usize,
    ) -> Result<()> {
        self.inner
            .linear_bias_gradient(shape, output_gradient, vector_gradients, bias_start)
    }

    fn linear_input_gradient(
        &self,
        shape: &LinearShape,
        weights: &Map,
        weight_start: usize,
        output_gradient: &Map,
        input_gradient: &mut Floats,
    ) -> Result<()> {
        let weight = (weights, weight_start);
        self.inner
            .linear_input_gradient(shape, weight, output_gradient, input_gradient)
    }

    fn bce(
        &self,
        rows: usize,
        findings: usize,
        logits: &Floats,
        targets: &Floats,
        mask: &Floats,
        pos_weights: &Floats,
        gradient: &mut Floats,
        outcome: &mut Floats,
    ) -> Result<()> {
        let labels = Labels {
            targets,
            mask,
            pos_weights,
        };
        self.inner
            .bce([rows, findings], logits, labels, gradient, outcome)
    }

    fn gradient_norm(
        &self,
        weight_gradients: (&Map, usize),
        vector_gradients: (&Floats, usize),
        outcome: &mut Floats,
    ) -> Result<()> {
        self.inner
            .gradient_norm(weight_gradients, vector_gradients, outcome)
    }

    fn adam_weights(
        &self,
        part: Part,
        factors: &Floats,
        outcome: &Floats,
        gradients: &Map,
        master: &mut Floats,
        mean: &mut Floats,
        mean_square: &mut Floats,
        weights: &mut Map,
    ) -> Result<()> {
        let arenas = Arenas {
            parameters: master,
            mean,
            mean_square,
        };
        self.inner
            .adam_weights(part, [factors, outcome], gradients, &arenas, weights)
    }

    fn adam_vectors(
        &self,
        part: Part,
        factors: &Floats,
        outcome: &Floats,
        gradients: &Floats,
        vectors: &mut Floats,
        mean: &mut Floats,
        mean_square: &mut Floats,
    ) -> Result<()> {
        let arenas = Arenas {
            parameters: vectors,
            mean,
            mean_square,
        };
        self.inner
            .adam_vectors(part, [factors, outcome], gradients, &arenas)
    }

    fn fill_pictures(
        &self,
        images: usize,
        size: [usize; 2],
        picture_channels: usize,
        pixels: Pixels<'_, Self>,
        gathers: &Bytes,
        tables: &Bytes,
        norms: [(f32, f32); 3],
        output: &mut Map,
    ) -> Result<()> {
        let batch = Batch {
            images,
            size,
            picture_channels,
            gathers,
            tables,
            norms,
        };
        self.inner.fill_pictures(&batch, &pixels, output)
    }

    fn fill_planes(
        &self,
        images: usize,
        size: [usize; 2],
        planes: &Floats,
        output: &mut Map,
    ) -> Result<()> {
        self.inner.fill_planes(images, size, planes, output)
    }
}
