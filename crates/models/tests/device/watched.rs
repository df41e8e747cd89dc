//! A device that counts what is allocated, has only so much memory, keeps the names of its calls and
//! works out nothing. It records: while it does, it takes no call that a card could not record.

use std::sync::{Arc, Mutex};

use cxr_ops::device::{
    Activation, Device, DeviceFault, Gate, NormPlaces, Numbers, Part, Pixels, PoolShape, Precision,
    Real, Reference, Result, Rows, Shortcut, Staged,
};
use cxr_ops::kernels::conv::ConvShape;
use cxr_ops::kernels::linear::LinearShape;
use cxr_ops::nhwc::Onto;

#[derive(Clone, Debug, Default)]
pub(crate) struct Watched<T: Real> {
    inner: Reference<T>,
    memory: Option<u64>,
    seen: Arc<Mutex<Seen>>,
}

/// What all clones have seen.
#[derive(Debug, Default)]
struct Seen {
    allocated: u64,
    calls: Vec<&'static str>,
    is_recording: bool,
}

impl<T: Real> Watched<T> {
    pub(crate) fn with_memory(bytes: u64) -> Self {
        Self {
            memory: Some(bytes),
            ..Self::default()
        }
    }

    pub(crate) fn allocated(&self) -> u64 {
        self.seen.lock().unwrap().allocated
    }

    /// The calls since this was asked last.
    pub(crate) fn take_calls(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.seen.lock().unwrap().calls)
    }

    fn note(&self, call: &'static str) {
        let on_the_host = ["write_", "read_", "staging", "send", "synchronize"];
        let is_on_the_host = on_the_host.iter().any(|start| call.starts_with(start));
        let mut seen = self.seen.lock().unwrap();
        assert!(!(seen.is_recording && is_on_the_host), "{call} is recorded");
        seen.calls.push(call);
    }

    fn allocate(&self, bytes: usize) -> Result<()> {
        let mut seen = self.seen.lock().unwrap();
        assert!(!seen.is_recording, "an allocation is recorded");
        assert!(bytes > 0, "a buffer is empty");
        let (asked, used) = (bytes as u64, seen.allocated);
        if let Some(total) = self.memory.filter(|total| used + asked > *total) {
            let free = total - used;
            return Err(DeviceFault::OutOfMemory { asked, free, total });
        }
        seen.allocated = used + asked;
        Ok(())
    }
}

/// Functions that are noted and do nothing: buffers keep their zeros.
macro_rules! noted {
    ($($name:ident($($argument:ty),*);)*) => {
        $(fn $name(&self, $(_: $argument),*) -> Result<()> {
            self.note(stringify!($name));
            Ok(())
        })*
    };
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
        let free = |total| (total - self.allocated(), total);
        Ok(self.memory.map(free))
    }
    fn record(&self, work: impl FnOnce() -> Result<()>) -> Result<Option<()>> {
        self.note("record");
        self.seen.lock().unwrap().is_recording = true;
        let done = work();
        self.seen.lock().unwrap().is_recording = false;
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
    noted! {
        conv_forward(&ConvShape, &Self::Map, &Self::Map, usize, &mut Self::Map);
        conv_input_gradient(&ConvShape, &Self::Map, usize, &Self::Map, Onto, &mut Self::Map);
        conv_weight_gradient(&ConvShape, &Self::Map, &Self::Map, &mut Self::Map, usize);
        norm_moments(Rows, &Self::Map, &Self::Floats, &mut Self::Floats, NormPlaces, &mut Self::Floats);
        norm_of_running(usize, &Self::Floats, &Self::Floats, NormPlaces, &mut Self::Floats);
        norm_apply(Rows, &Self::Map, &Self::Floats, Shortcut<'_, Self>, Activation, &mut Self::Map);
        norm_backward_sums(Rows, &mut Self::Map, Gate<'_, Self>, &Self::Map, &Self::Floats, NormPlaces, &Self::Floats, &mut Self::Floats, &mut Self::Floats);
        norm_fixed_factors(usize, &Self::Floats, &mut Self::Floats);
        norm_backward(Rows, &Self::Map, Gate<'_, Self>, &Self::Map, &Self::Floats, &Self::Floats, &mut Self::Map);
        gate(usize, &Self::Map, &mut Self::Map);
        pool_forward(&PoolShape, &Self::Map, (&Self::Floats, usize), (&Self::Floats, usize), &mut Self::Map, &mut Self::Bytes);
        pool_backward_sums(&PoolShape, &mut Self::Map, &Self::Map, &Self::Bytes, &Self::Map, &Self::Floats, NormPlaces, &Self::Floats, &mut Self::Floats, &mut Self::Floats);
        pool_backward_bias(&PoolShape, &mut Self::Map, &Self::Map, &mut Self::Floats, usize);
        pool_backward(&PoolShape, &Self::Map, &Self::Bytes, Option<(&Self::Map, &Self::Floats)>, &mut Self::Map);
        mean_of_places(usize, usize, usize, &Self::Map, &mut Self::Floats);
        spread_to_places(usize, usize, usize, &Self::Floats, &mut Self::Map);
        round(usize, &Self::Floats, Option<&Self::Floats>, &mut Self::Map);
        scale(usize, &Self::Floats, &mut Self::Floats);
        linear_forward(&LinearShape, &Self::Map, &Self::Map, usize, &Self::Floats, usize, &mut Self::Floats);
        linear_weight_gradient(&LinearShape, &Self::Map, &Self::Map, &mut Self::Map, usize);
        linear_bias_gradient(&LinearShape, &Self::Floats, &mut Self::Floats, usize);
        linear_input_gradient(&LinearShape, &Self::Map, usize, &Self::Map, &mut Self::Floats);
        bce(usize, usize, &Self::Floats, &Self::Floats, &Self::Floats, &Self::Floats, &mut Self::Floats, &mut Self::Floats);
        gradient_norm((&Self::Map, usize), (&Self::Floats, usize), &mut Self::Floats);
        adam_weights(Part, &Self::Floats, &Self::Floats, &Self::Map, &mut Self::Floats, &mut Self::Floats, &mut Self::Floats, &mut Self::Map);
        adam_vectors(Part, &Self::Floats, &Self::Floats, &Self::Floats, &mut Self::Floats, &mut Self::Floats, &mut Self::Floats);
        fill_pictures(usize, [usize; 2], usize, Pixels<'_, Self>, &Self::Bytes, &Self::Bytes, [(f32, f32); 3], &mut Self::Map);
        fill_planes(usize, [usize; 2], &Self::Floats, &mut Self::Map);
    }
}
