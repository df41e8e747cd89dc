//! Working memory that each thread keeps, because fresh pages are slow to touch.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

thread_local! {
    static KEPT: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
}

/// Numbers that go back to their thread's store when they are dropped.
pub(crate) struct Scratch {
    buffer: Vec<f32>,
    length: usize,
}

impl Scratch {
    /// `length` numbers of unset content (NaN in debug builds, so that a kernel which reads what it
    /// has not written is found out).
    pub(crate) fn new(length: usize) -> Self {
        let mut buffer = KEPT
            .with(|kept| kept.borrow_mut().pop())
            .unwrap_or_default();
        if buffer.len() < length {
            buffer.resize(length, 0.0);
        }
        if cfg!(debug_assertions) {
            buffer[..length].fill(f32::NAN);
        }
        Self { buffer, length }
    }
}

impl Scratch {
    /// The memory itself, for what grows it as needed. Its content is unset.
    pub(crate) fn buffer(&mut self) -> &mut Vec<f32> {
        &mut self.buffer
    }
}

impl Deref for Scratch {
    type Target = [f32];

    #[inline(always)]
    fn deref(&self) -> &[f32] {
        &self.buffer[..self.length]
    }
}

impl DerefMut for Scratch {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.buffer[..self.length]
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.buffer);
        // A thread that is ending has no store any more; its memory goes the usual way.
        let _ = KEPT.try_with(|kept| kept.borrow_mut().push(buffer));
    }
}

/// Calls `work` with [`Scratch`] numbers.
pub(crate) fn with_scratch<R>(length: usize, work: impl FnOnce(&mut [f32]) -> R) -> R {
    work(&mut Scratch::new(length))
}
