//! Whether a stream's work is recorded, and the buffers that go meanwhile.
//!
//! Memory is freed in the order of the work. While that is recorded, a free would become part of the
//! recording and spoil it, whichever thread it comes from: buffers then wait until the recording is
//! done. For the streams and for what lies in the card's memory.

use std::sync::Mutex;

use cudarc::driver::{CudaSlice, result};

use super::locked;

/// The memory that waits, while work is recorded.
#[derive(Default)]
pub(super) struct Recorded(Mutex<Option<Vec<CudaSlice<u8>>>>);

impl Recorded {
    /// Whether work is recorded instead of run.
    pub(super) fn is_on(&self) -> bool {
        locked(&self.0).is_some()
    }

    /// Work is recorded from now on; `false` where it was before.
    pub(super) fn begin(&self) -> bool {
        let mut waiting = locked(&self.0);
        let is_first = waiting.is_none();
        waiting.get_or_insert_default();
        is_first
    }

    /// Work is run from now on; what waited goes.
    pub(super) fn end(&self) {
        let waiting = locked(&self.0).take();
        waiting.into_iter().flatten().for_each(free_now);
    }

    /// Frees memory, now or when the recording is done.
    pub(super) fn free(&self, slice: CudaSlice<u8>) {
        // Held while it is freed, so that no recording begins between the question and the free.
        match &mut *locked(&self.0) {
            Some(waiting) => waiting.push(slice),
            None => free_now(slice),
        }
    }
}

/// Frees memory from any thread, one that never called the card too; cudarc leaves that to its user.
fn free_now(slice: CudaSlice<u8>) {
    let context = slice.context().clone();
    // SAFETY: a context that lives.
    context.record_err(unsafe { result::ctx::set_current(context.cu_ctx()) });
    drop(slice);
}
