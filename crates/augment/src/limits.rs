//! How much one image may cost, so that a hostile or broken file cannot take the machine down.
//!
//! For the decoder and for whoever plans memory: a decode holds the file, and at most twice its
//! decoded bytes (samples as the file has them, and as pixels). Deliberately not settings: no radiograph comes near them.

/// A file larger than this is not read: 64 MiB.
pub const MAX_FILE_BYTES: u64 = 64 << 20;
/// A picture of more pixels is not decoded: 64 megapixels.
pub const MAX_PIXELS: u64 = 64_000_000;
/// A picture whose decoding needs more bytes is not decoded: 128 MiB.
pub const MAX_DECODED_BYTES: u64 = 128 << 20;
/// A picture with a longer side is not decoded (JPEG's own limit).
pub const MAX_SIDE: u32 = 65_535;
/// A larger width or height cannot be asked of a resize.
pub const MAX_OUTPUT_SIDE: u32 = 4096;
