//! A reference that counts what is allocated, has only so much memory, keeps the names of its calls,
//! and records: while it does, it takes no call that a card could not record.

use std::cell::{Cell, RefCell};

use cxr_ops::device::{
    Activation, Device, DeviceFault, Gate, NormPlaces, Numbers, Part, Pixels, PoolShape, Precision,
    Real, Reference, Result, Rows, Shortcut, Staged,
};
use cxr_ops::kernels::conv::ConvShape;
use cxr_ops::kernels::linear::LinearShape;
use cxr_ops::nhwc::Onto;

#[derive(Debug, Default)]
pub(crate) struct Watched<T: Real> {
    inner: Reference<T>,
    memory: Option<u64>,
    pub(crate) allocated: Cell<u64>,
    pub(crate) calls: RefCell<Vec<&'static str>>,
    is_recording: Cell<bool>,
}

impl<T: Real> Watched<T> {
    pub(crate) fn with_memory(bytes: u64) -> Self {
        Self {
            memory: Some(bytes),
            ..Self::default()
        }
    }

    fn note(&self, call: &'static str) {
        let on_the_host = ["write_", "read_", "staging", "send", "synchronize"];
        let is_on_the_host = on_the_host.iter().any(|start| call.starts_with(start));
        assert!(
            !(self.is_recording.get() && is_on_the_host),
            "{call} is recorded"
        );
        self.calls.borrow_mut().push(call);
    }

    fn allocate(&self, bytes: usize) -> Result<()> {
        assert!(!self.is_recording.get() && bytes > 0);
        let (asked, used) = (bytes as u64, self.allocated.get());
        if let Some(total) = self.memory.filter(|total| used + asked > *total) {
            let free = total - used;
            return Err(DeviceFault::OutOfMemory { asked, free, total });
        }
        self.allocated.set(used + asked);
        Ok(())
    }
}

fn shortcut_of<T: Real>(shortcut: Shortcut<'_, Watched<T>>) -> Shortcut<'_, Reference<T>> {
    match shortcut {
        Shortcut::None => Shortcut::None,
        Shortcut::Map(map) => Shortcut::Map(map),
        Shortcut::Norm(map, saved) => Shortcut::Norm(map, saved),
    }
}

fn gate_of<T: Real>(gate: Gate<'_, Watched<T>>) -> Gate<'_, Reference<T>> {
    match gate {
        Gate::Open => Gate::Open,
        Gate::Norm => Gate::Norm,
        Gate::Map(map) => Gate::Map(map),
    }
}

fn pixels_of<T: Real>(pixels: Pixels<'_, Watched<T>>) -> Pixels<'_, Reference<T>> {
    match pixels {
        Pixels::Kept(bytes) => Pixels::Kept(bytes),
        Pixels::Sent(staging) => Pixels::Sent(staging),
    }
}

impl<T: Real> Device for Watched<T> {
    type Map = Numbers<T>;
    type Floats = Numbers<T::Float>;
    type Bytes = Vec<u8>;
    type Staging = Staged;
    type Recording = ();

    fn precision(&self) -> Precision {
        T::PRECISION
    }
    fn map(&self, len: usize) -> Result<Self::Map> {
        self.allocate(len * T::PRECISION.bytes())?;
        self.inner.map(len)
    }
    fn floats(&self, len: usize) -> Result<Self::Floats> {
        self.allocate(len * size_of::<f32>())?;
        self.inner.floats(len)
    }
    fn bytes(&self, len: usize) -> Result<Self::Bytes> {
        self.allocate(len)?;
        self.inner.bytes(len)
    }
    fn memory(&self) -> Result<Option<(u64, u64)>> {
        let free = |total| (total - self.allocated.get(), total);
        Ok(self.memory.map(free))
    }
    fn record(&self, work: impl FnOnce() -> Result<()>) -> Result<Option<()>> {
        self.calls.borrow_mut().push("record");
        self.is_recording.set(true);
        let done = work();
        self.is_recording.set(false);
        done.map(Some)
    }
    fn replay(&self, _recording: &()) -> Result<()> {
        self.note("replay");
        Ok(())
    }
    fn write_map(&self, target: &mut Self::Map, start: usize, numbers: &[f32]) -> Result<()> {
        self.note("write_map");
        self.inner.write_map(target, start, numbers)
    }
    fn write_floats(&self, target: &mut Self::Floats, start: usize, numbers: &[f32]) -> Result<()> {
        self.note("write_floats");
        self.inner.write_floats(target, start, numbers)
    }
    fn write_bytes(&self, target: &mut Self::Bytes, start: usize, bytes: &[u8]) -> Result<()> {
        self.note("write_bytes");
        self.inner.write_bytes(target, start, bytes)
    }
    fn read_map(&self, source: &Self::Map, part: Part) -> Result<Vec<f32>> {
        self.note("read_map");
        self.inner.read_map(source, part)
    }
    fn read_floats(&self, source: &Self::Floats, part: Part) -> Result<Vec<f32>> {
        self.note("read_floats");
        self.inner.read_floats(source, part)
    }
    fn read_bytes(&self, source: &Self::Bytes, part: Part) -> Result<Vec<u8>> {
        self.note("read_bytes");
        self.inner.read_bytes(source, part)
    }
    fn staging(&self, len: usize) -> Result<Self::Staging> {
        self.note("staging");
        self.inner.staging(len)
    }
    fn staging_bytes<'a>(&self, staging: &'a mut Self::Staging) -> Result<&'a mut [u8]> {
        self.note("staging_bytes");
        self.inner.staging_bytes(staging)
    }
    fn send(&self, staging: &mut Self::Staging, len: usize) -> Result<()> {
        self.note("send");
        self.inner.send(staging, len)
    }
    fn synchronize(&self) -> Result<()> {
        self.note("synchronize");
        self.inner.synchronize()
    }
    fn conv_forward(
        &self,
        shape: &ConvShape,
        input: &Self::Map,
        weights: &Self::Map,
        weight_start: usize,
        output: &mut Self::Map,
    ) -> Result<()> {
        self.note("conv_forward");
        self.inner
            .conv_forward(shape, input, weights, weight_start, output)
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
        self.note("conv_input_gradient");
        self.inner.conv_input_gradient(
            shape,
            weights,
            weight_start,
            output_gradient,
            onto,
            input_gradient,
        )
    }
    fn conv_weight_gradient(
        &self,
        shape: &ConvShape,
        input: &Self::Map,
        output_gradient: &Self::Map,
        weight_gradients: &mut Self::Map,
        weight_start: usize,
    ) -> Result<()> {
        self.note("conv_weight_gradient");
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
        input: &Self::Map,
        vectors: &Self::Floats,
        running: &mut Self::Floats,
        places: NormPlaces,
        saved: &mut Self::Floats,
    ) -> Result<()> {
        self.note("norm_moments");
        self.inner
            .norm_moments(of, input, vectors, running, places, saved)
    }
    fn norm_of_running(
        &self,
        channels: usize,
        vectors: &Self::Floats,
        running: &Self::Floats,
        places: NormPlaces,
        saved: &mut Self::Floats,
    ) -> Result<()> {
        self.note("norm_of_running");
        self.inner
            .norm_of_running(channels, vectors, running, places, saved)
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
        self.note("norm_apply");
        self.inner
            .norm_apply(of, input, saved, shortcut_of(shortcut), activation, output)
    }
    #[expect(clippy::too_many_arguments, reason = "the trait's own")]
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
        self.note("norm_backward_sums");
        self.inner.norm_backward_sums(
            of,
            gradient,
            gate_of(gate),
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
        saved: &Self::Floats,
        factors: &mut Self::Floats,
    ) -> Result<()> {
        self.note("norm_fixed_factors");
        self.inner.norm_fixed_factors(channels, saved, factors)
    }
    #[expect(clippy::too_many_arguments, reason = "the trait's own")]
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
        self.note("norm_backward");
        self.inner
            .norm_backward(of, gradient, gate_of(gate), input, saved, factors, output)
    }
    fn gate(&self, len: usize, activation: &Self::Map, gradient: &mut Self::Map) -> Result<()> {
        self.note("gate");
        self.inner.gate(len, activation, gradient)
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
        self.note("pool_forward");
        self.inner
            .pool_forward(pool, input, scale, shift, output, picked)
    }
    #[expect(clippy::too_many_arguments, reason = "the trait's own")]
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
        self.note("pool_backward_sums");
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
        gradient: &mut Self::Map,
        pooled: &Self::Map,
        vector_gradients: &mut Self::Floats,
        bias_start: usize,
    ) -> Result<()> {
        self.note("pool_backward_bias");
        self.inner
            .pool_backward_bias(pool, gradient, pooled, vector_gradients, bias_start)
    }
    fn pool_backward(
        &self,
        pool: &PoolShape,
        gradient: &Self::Map,
        picked: &Self::Bytes,
        norm: Option<(&Self::Map, &Self::Floats)>,
        output: &mut Self::Map,
    ) -> Result<()> {
        self.note("pool_backward");
        self.inner
            .pool_backward(pool, gradient, picked, norm, output)
    }
    fn mean_of_places(
        &self,
        images: usize,
        places: usize,
        channels: usize,
        input: &Self::Map,
        output: &mut Self::Floats,
    ) -> Result<()> {
        self.note("mean_of_places");
        self.inner
            .mean_of_places(images, places, channels, input, output)
    }
    fn spread_to_places(
        &self,
        images: usize,
        places: usize,
        channels: usize,
        gradient: &Self::Floats,
        output: &mut Self::Map,
    ) -> Result<()> {
        self.note("spread_to_places");
        self.inner
            .spread_to_places(images, places, channels, gradient, output)
    }
    fn round(
        &self,
        len: usize,
        input: &Self::Floats,
        factors: Option<&Self::Floats>,
        output: &mut Self::Map,
    ) -> Result<()> {
        self.note("round");
        self.inner.round(len, input, factors, output)
    }
    fn scale(&self, len: usize, factors: &Self::Floats, numbers: &mut Self::Floats) -> Result<()> {
        self.note("scale");
        self.inner.scale(len, factors, numbers)
    }
    #[expect(clippy::too_many_arguments, reason = "the trait's own")]
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
        self.note("linear_forward");
        self.inner.linear_forward(
            shape,
            input,
            weights,
            weight_start,
            vectors,
            bias_start,
            output,
        )
    }
    fn linear_weight_gradient(
        &self,
        shape: &LinearShape,
        input: &Self::Map,
        output_gradient: &Self::Map,
        weight_gradients: &mut Self::Map,
        weight_start: usize,
    ) -> Result<()> {
        self.note("linear_weight_gradient");
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
        output_gradient: &Self::Floats,
        vector_gradients: &mut Self::Floats,
        bias_start: usize,
    ) -> Result<()> {
        self.note("linear_bias_gradient");
        self.inner
            .linear_bias_gradient(shape, output_gradient, vector_gradients, bias_start)
    }
    fn linear_input_gradient(
        &self,
        shape: &LinearShape,
        weights: &Self::Map,
        weight_start: usize,
        output_gradient: &Self::Map,
        input_gradient: &mut Self::Floats,
    ) -> Result<()> {
        self.note("linear_input_gradient");
        self.inner.linear_input_gradient(
            shape,
            weights,
            weight_start,
            output_gradient,
            input_gradient,
        )
    }
    #[expect(clippy::too_many_arguments, reason = "the trait's own")]
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
        self.note("bce");
        self.inner.bce(
            rows,
            findings,
            logits,
            targets,
            mask,
            pos_weights,
            gradient,
            outcome,
        )
    }
    fn gradient_norm(
        &self,
        weight_gradients: (&Self::Map, usize),
        vector_gradients: (&Self::Floats, usize),
        outcome: &mut Self::Floats,
    ) -> Result<()> {
        self.note("gradient_norm");
        self.inner
            .gradient_norm(weight_gradients, vector_gradients, outcome)
    }
    #[expect(clippy::too_many_arguments, reason = "the trait's own")]
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
        self.note("adam_weights");
        self.inner.adam_weights(
            part,
            factors,
            outcome,
            gradients,
            master,
            mean,
            mean_square,
            weights,
        )
    }
    #[expect(clippy::too_many_arguments, reason = "the trait's own")]
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
        self.note("adam_vectors");
        self.inner.adam_vectors(
            part,
            factors,
            outcome,
            gradients,
            vectors,
            mean,
            mean_square,
        )
    }
}
