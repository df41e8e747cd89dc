//! The device functions on an NVIDIA card: [`Cuda`].
//!
//! Convolutions are cuDNN's, linear layers cuBLAS's, everything else is in `kernels/`, CUDA C++
//! that the build script compiles to PTX. One stream of work, one of copies; working memory is the
//! device's own and grows only while nothing is recorded. Needs compute capability 8.0. The binary
//! needs the card's libraries to start. `crate::card` brings candle's tensors. Deliberately not
//! here: several cards.

mod convolution;
mod descriptors;
mod elements;
mod fault;
mod functions;
mod gemm;
mod graph;
mod grid;
mod head;
mod input;
mod launch;
mod memory;
mod norm;
mod optimizer;
mod plan;
mod plane_norms;
mod plane_pools;
mod pool;
mod recorded;
mod stream;
mod turn;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cudarc::driver::CudaStream;

pub use graph::Recording;
pub use input::Staging;
pub use memory::{Buffer, MapNumber};
pub(crate) use plane_norms::{NormGradients, PlaneNorm};
pub(crate) use plane_pools::Places;
pub(crate) use turn::Turned;

use convolution::Convolutions;
use gemm::Products;
use grid::Grid;
use launch::{Argument, Kernels};
use memory::{Letters, Plain, Slab, Workspace};
use stream::Streams;

use super::checks::Call;
use super::{Planning, Precision, Result};

/// Numbers in the type of maps.
pub type Map = Buffer<MapNumber>;
/// f32 numbers.
pub type Floats = Buffer<f32>;
/// Bytes.
pub type Bytes = Buffer<u8>;

/// An NVIDIA card. A clone is the same device.
#[derive(Clone, Debug)]
pub struct Cuda {
    inner: Arc<Inner>,
}

impl Cuda {
    /// Card `ordinal`, counted from 0 as the driver shows them.
    ///
    /// # Errors
    /// [`super::DeviceFault::NoDevice`] where there is no driver, no such card or one that is too
    /// old; [`super::DeviceFault::OutOfMemory`] where not even working memory is left.
    pub fn new(ordinal: usize, precision: Precision, planning: Planning) -> Result<Self> {
        Self::on(Streams::open(ordinal)?, precision, planning)
    }

    /// The card of somebody's stream, for work in its order.
    pub(crate) fn sharing(stream: &Arc<CudaStream>, precision: Precision) -> Result<Self> {
        Self::on(Streams::shared(stream)?, precision, Planning::Heuristic)
    }

    fn on(streams: Streams, precision: Precision, planning: Planning) -> Result<Self> {
        let inner = Inner::new(streams, precision, planning)?;
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// The card's name, such as `NVIDIA H200`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.streams.name
    }
}

/// What the clones of a device share.
#[derive(Debug)]
struct Inner {
    precision: Precision,
    // Dropped in this order: what uses the streams before them.
    letters: Mutex<Letters>,
    scratch: Mutex<Workspace>,
    products: Mutex<Products>,
    convolutions: Mutex<Convolutions>,
    kernels: Kernels,
    streams: Streams,
}

impl Inner {
    fn new(streams: Streams, precision: Precision, planning: Planning) -> Result<Self> {
        Ok(Self {
            precision,
            letters: Mutex::new(Letters::new(&streams)?),
            scratch: Mutex::default(),
            products: Mutex::new(Products::new(&streams, precision)?),
            convolutions: Mutex::new(Convolutions::new(&streams, precision, planning)?),
            kernels: Kernels::load(&streams, precision)?,
            streams,
        })
    }

    /// Numbers of a map in 16 bytes.
    fn numbers_per_load(&self) -> usize {
        16 / self.precision.bytes()
    }

    /// Threads beside each other, as kernels take it.
    fn lanes(&self, channels: usize) -> i32 {
        self.columns(channels).lanes as i32
    }

    fn launch(&self, kernel: &'static str, grid: Grid, arguments: &[Argument]) -> Result<()> {
        self.kernels.launch(&self.streams, kernel, grid, arguments)
    }

    /// Working memory for sums; the next call takes the same.
    fn scratch(&self, call: &'static str, len: usize) -> Result<u64> {
        locked(&self.scratch).reserve(&self.streams, call, len)
    }

    /// All working memory whose address a recording may know.
    fn working_memory(&self) -> Vec<Arc<Slab>> {
        let scratch = locked(&self.scratch).kept();
        let convolutions = locked(&self.convolutions).workspace().kept();
        scratch.into_iter().chain(convolutions).collect()
    }

    /// The address of the number at `start` of an arena, for libraries that load 16 bytes at once.
    fn map_at(&self, call: Call, map: &Map, start: usize) -> Result<u64> {
        if start.is_multiple_of(self.numbers_per_load()) {
            return Ok(map.address() + (start * self.precision.bytes()) as u64);
        }
        call.refuse(format!(
            "a kernel begins at number {start} of its arena, no multiple of {}",
            self.numbers_per_load()
        ))
    }

    fn upload<T: Plain>(&self, call: &'static str, address: u64, numbers: &[T]) -> Result<()> {
        locked(&self.letters).upload(&self.streams, call, address, numbers)
    }
}

/// What a lock guards stays whole where a thread panicked: calls change it at their end.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
