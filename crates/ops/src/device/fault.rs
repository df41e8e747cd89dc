//! Why a device function could not be done.

/// A fault of a device or of what it was asked to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceFault {
    /// A buffer is shorter than a call needs.
    #[error("{call}: {what} holds {found} numbers, {needed} are needed")]
    TooShort {
        /// The function.
        call: &'static str,
        /// The buffer.
        what: &'static str,
        /// Its length.
        found: usize,
        /// What the shapes ask for.
        needed: usize,
    },
    /// Channels that cannot be loaded 16 bytes at a time.
    #[error("{call}: {channels} channels; the device takes multiples of {multiple}")]
    Channels {
        /// The function.
        call: &'static str,
        /// How many there are.
        channels: usize,
        /// What they must be a multiple of.
        multiple: usize,
    },
    /// A shape that a function does not take.
    #[error("{call}: {problem}")]
    Shape {
        /// The function.
        call: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// There is no such device, or none that can be used.
    #[error("{problem}")]
    NoDevice {
        /// What was found, and what to do.
        problem: String,
    },
    /// The device's memory is full.
    #[error(
        "out of memory on the device: {asked} bytes were asked for, {free} of {total} bytes are free"
    )]
    OutOfMemory {
        /// Bytes that were asked for.
        asked: u64,
        /// Bytes that are free.
        free: u64,
        /// Bytes that there are.
        total: u64,
    },
    /// A library of the device gave an error.
    #[error("{call}: {problem}")]
    Library {
        /// The function that gave it.
        call: &'static str,
        /// What it said.
        problem: String,
    },
}
