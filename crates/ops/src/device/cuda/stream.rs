//! The card's context, the stream of work and the one of copies.
//!
//! For this module: what must be in order is on `work`; `copies` brings pixels beside it. Says
//! whether work is being recorded, and finds a fault where it happened while debugging.

use std::fmt;
use std::sync::Arc;

use cudarc::driver::result::{device, mem_get_info, mem_pool};
use cudarc::driver::sys::{CUdevice_attribute, CUmemPool_attribute, CUmemoryPool};
use cudarc::driver::{CudaContext, CudaStream, result};

use super::fault;
use super::recorded::Recorded;
use crate::device::{DeviceFault, Result};

/// The oldest cards that the kernels run on.
const LEAST_CAPABILITY: (i32, i32) = (8, 0);

/// A card, and what it is told to do.
pub(super) struct Streams {
    /// The card's primary context.
    pub(super) context: Arc<CudaContext>,
    /// The stream of everything that must be in order.
    pub(super) work: Arc<CudaStream>,
    /// The stream of what is sent beside it.
    pub(super) copies: Arc<CudaStream>,
    /// As the driver calls the card.
    pub(super) name: String,
    /// Major and minor number.
    pub(super) capability: (i32, i32),
    /// How many multiprocessors the card has.
    pub(super) multiprocessors: usize,
    /// Whether `work` is recorded.
    pub(super) recorded: Arc<Recorded>,
}

impl fmt::Debug for Streams {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Streams")
            .field("card", &self.name)
            .field("ordinal", &self.context.ordinal())
            .finish_non_exhaustive()
    }
}

impl Streams {
    /// Those of card `ordinal`.
    ///
    /// # Errors
    /// [`DeviceFault::NoDevice`] where there is none, or one that is too old.
    pub(super) fn open(ordinal: usize) -> Result<Self> {
        let count = count_devices()?;
        if ordinal >= count {
            let problem = no_such(ordinal, count);
            return Err(DeviceFault::NoDevice { problem });
        }
        let failed = fault::of_driver("Cuda::new");
        let context = CudaContext::new(ordinal).map_err(&failed)?;
        // SAFETY: every buffer is used on `work` alone, or between events that are waited for.
        unsafe { context.disable_event_tracking() };
        let (work, copies) = (context.new_stream(), context.new_stream());
        Self::new(work.map_err(&failed)?, copies.map_err(&failed)?)
    }

    /// Somebody's stream, for work among theirs; what is sent goes through it too.
    pub(super) fn shared(stream: &Arc<CudaStream>) -> Result<Self> {
        Self::new(stream.clone(), stream.clone())
    }

    fn new(work: Arc<CudaStream>, copies: Arc<CudaStream>) -> Result<Self> {
        let failed = fault::of_driver("Cuda::new");
        let context = work.context().clone();
        let name = context.name().map_err(&failed)?;
        let capability = context.compute_capability().map_err(&failed)?;
        if capability < LEAST_CAPABILITY {
            let problem = too_old(context.ordinal(), &name, capability);
            return Err(DeviceFault::NoDevice { problem });
        }
        let multiprocessors = context
            .attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)
            .map_err(&failed)?;
        let streams = Self {
            work,
            copies,
            context,
            name,
            capability,
            multiprocessors: usize::try_from(multiprocessors).unwrap_or(1).max(1),
            recorded: Arc::default(),
        };
        streams.keep_freed_memory()?;
        Ok(streams)
    }

    /// Makes the card's context that of the calling thread.
    pub(super) fn bind(&self, call: &'static str) -> Result<()> {
        self.context
            .bind_to_thread()
            .map_err(fault::of_driver(call))
    }

    /// Waits until all work is done.
    pub(super) fn synchronize(&self, call: &'static str) -> Result<()> {
        self.work.synchronize().map_err(fault::of_driver(call))
    }

    /// While debugging, waits for what was called last, so that a fault has the name of its call.
    pub(super) fn after(&self, call: &'static str) -> Result<()> {
        if cfg!(debug_assertions) && !self.is_recording() {
            self.synchronize(call)?;
        }
        Ok(())
    }

    /// Whether work is recorded instead of run.
    pub(super) fn is_recording(&self) -> bool {
        self.recorded.is_on()
    }

    /// Refuses a call that cannot be recorded.
    pub(super) fn refuse_recording(&self, call: &'static str) -> Result<()> {
        if self.is_recording() {
            return Err(fault::recorded(call, "it can only be run"));
        }
        Ok(())
    }

    /// Free and total bytes; what the pool keeps for us counts as free.
    pub(super) fn memory(&self) -> Result<(u64, u64)> {
        self.bind("memory")?;
        let (free, total) = mem_get_info().map_err(fault::of_driver("memory"))?;
        let kept = match self.pool()? {
            Some(pool) => {
                let reserved = CUmemPool_attribute::CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT;
                let used = CUmemPool_attribute::CU_MEMPOOL_ATTR_USED_MEM_CURRENT;
                pool_number(pool, reserved)?.saturating_sub(pool_number(pool, used)?)
            }
            None => 0,
        };
        Ok((free as u64 + kept, total as u64))
    }

    /// The pool behind the stream's allocations, where the card has one.
    fn pool(&self) -> Result<Option<CUmemoryPool>> {
        if !self.context.has_async_alloc() {
            return Ok(None);
        }
        // SAFETY: the number of a device that the context was made for.
        unsafe { device::get_mem_pool(self.context.cu_device()) }
            .map(Some)
            .map_err(fault::of_driver("cuDeviceGetMemPool"))
    }

    /// Without this the pool gives its memory back at every synchronisation.
    fn keep_freed_memory(&self) -> Result<()> {
        let Some(pool) = self.pool()? else {
            return Ok(());
        };
        let threshold = CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
        let mut everything = u64::MAX;
        // SAFETY: a pool of the driver, and a number of the type that the attribute has.
        unsafe {
            mem_pool::set_attribute(pool, threshold, std::ptr::from_mut(&mut everything).cast())
        }
        .map_err(fault::of_driver("cuMemPoolSetAttribute"))
    }
}

fn pool_number(pool: CUmemoryPool, attribute: CUmemPool_attribute) -> Result<u64> {
    let mut number = 0_u64;
    // SAFETY: a pool of the driver, and a number of the type that these attributes have.
    unsafe { mem_pool::get_attribute(pool, attribute, std::ptr::from_mut(&mut number).cast()) }
        .map_err(fault::of_driver("cuMemPoolGetAttribute"))?;
    Ok(number)
}

/// How many cards the driver shows.
fn count_devices() -> Result<usize> {
    let no_driver = |error| DeviceFault::NoDevice {
        problem: format!(
            "no CUDA device can be used ({}); `--device cpu` needs none",
            fault::words_of(&error)
        ),
    };
    result::init().map_err(no_driver)?;
    let count = device::get_count().map_err(no_driver)?;
    Ok(usize::try_from(count).unwrap_or_default())
}

fn no_such(ordinal: usize, count: usize) -> String {
    match count {
        0 => format!("cuda:{ordinal}: there is no CUDA device"),
        1 => format!("cuda:{ordinal}: there is 1 device, cuda:0"),
        count => format!("cuda:{ordinal}: there are {count} devices"),
    }
}

fn too_old(ordinal: usize, name: &str, (major, minor): (i32, i32)) -> String {
    let (least_major, least_minor) = LEAST_CAPABILITY;
    format!(
        "cuda:{ordinal} ({name}) has compute capability {major}.{minor}; at least \
         {least_major}.{least_minor} is needed"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_that_is_not_there_is_named_with_how_many_there_are() {
        assert_eq!(no_such(0, 0), "cuda:0: there is no CUDA device");
        assert_eq!(no_such(2, 1), "cuda:2: there is 1 device, cuda:0");
        assert_eq!(no_such(3, 2), "cuda:3: there are 2 devices");
    }

    #[test]
    fn a_card_that_is_too_old_is_told_what_is_needed() {
        let problem = too_old(1, "Tesla V100", (7, 0));
        assert_eq!(
            problem,
            "cuda:1 (Tesla V100) has compute capability 7.0; at least 8.0 is needed"
        );
    }
}
