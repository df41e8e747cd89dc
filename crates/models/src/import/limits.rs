//! How much a file of weights may ask of its reader.
//!
//! For callers of the readers, and for tests that lower a limit to see it hold. The limits on the
//! process as a whole (memory, processor time, wall clock) are in `guard`.

/// Bounds on a file of weights. The default is far above every network of this project
/// (ResNet-34: 87 MB, 218 tensors) and far below what would hurt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the whole file.
    pub file_bytes: u64,
    /// Bytes of a safetensors header.
    pub header_bytes: u64,
    /// Bytes of a pickle.
    pub pickle_bytes: u64,
    /// Objects that a pickle may make.
    pub pickle_objects: usize,
    /// Entries on the pickle's stack.
    pub pickle_stack: usize,
    /// Entries of the pickle's memo.
    pub pickle_memo: usize,
    /// Bytes of one string in a pickle, which bounds tensor names too.
    pub string_bytes: usize,
    /// Tensors.
    pub tensors: usize,
    /// Dimensions of one tensor.
    pub dimensions: usize,
    /// Bytes of all tensors after conversion.
    pub value_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            file_bytes: 1 << 30,
            header_bytes: 8 << 20,
            pickle_bytes: 16 << 20,
            pickle_objects: 1 << 20,
            pickle_stack: 1 << 16,
            pickle_memo: 1 << 20,
            string_bytes: 1 << 12,
            tensors: 10_000,
            dimensions: 8,
            value_bytes: 1 << 30,
        }
    }
}
