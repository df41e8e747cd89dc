//! Working memory that each thread keeps, because fresh pages are slow to touch.

use std::cell::RefCell;

thread_local! {
    static KEPT: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
}

/// Calls `work` with `length` numbers of unset content (NaN in debug builds, so that a kernel which
/// reads what it has not written is found out).
pub(crate) fn with_scratch<R>(length: usize, work: impl FnOnce(&mut [f32]) -> R) -> R {
    let mut buffer = KEPT
        .with(|kept| kept.borrow_mut().pop())
        .unwrap_or_default();
    if buffer.len() < length {
        buffer.resize(length, 0.0);
    }
    let scratch = &mut buffer[..length];
    if cfg!(debug_assertions) {
        scratch.fill(f32::NAN);
    }
    let result = work(scratch);
    KEPT.with(|kept| kept.borrow_mut().push(buffer));
    result
}
