//! PNG into pixels: every colour type and bit depth, interlaced or not, checksums verified, the
//! end of the file seen.

use std::io::{Cursor, ErrorKind};

use png::{BitDepth, ColorType, DecodeOptions, Decoder, DecodingError, Info, Limits};

use crate::decode::{Decoded, check_size};
use crate::exif;
use crate::image_fault::{Format, ImageFault};
use crate::image_warning::ImageWarning;
use crate::pixels::{Channels, Pixels, equal_channels};
use crate::preprocess::BitDepthPolicy;
use crate::sixteen_bits;

/// What the decoder may keep beside the picture: rows, palette, EXIF.
const SIDE_BYTES: usize = 16 << 20;

pub(crate) fn decode(
    bytes: &[u8],
    name: &str,
    policy: BitDepthPolicy,
) -> Result<Decoded, ImageFault> {
    let fail = |cause| fault(name, cause);
    check_header(bytes, name)?;
    let mut decoder = Decoder::new_with_options(Cursor::new(bytes), strict_options());
    decoder.set_limits(Limits { bytes: SIDE_BYTES });
    let mut reader = decoder.read_info().map_err(fail)?;
    let n_bytes = reader.output_buffer_size().unwrap_or(usize::MAX);
    check_info(name, reader.info(), n_bytes as u64)?;
    let mut samples = vec![0; n_bytes];
    reader.next_frame(&mut samples).map_err(fail)?;
    // On to IEND, whose absence is an error.
    reader.finish().map_err(fail)?;
    let info = reader.info();
    let mut warnings = warnings_of(name, info);
    let file = File { name, info, policy };
    let pixels = to_pixels(&file, samples, &mut warnings)?;
    Ok(Decoded { pixels, warnings })
}

/// What the conversion of samples depends on.
struct File<'a> {
    name: &'a str,
    info: &'a Info<'a>,
    policy: BitDepthPolicy,
}

/// Refuses what would need too much, as the file has it or as pixels.
fn check_info(name: &str, info: &Info<'_>, n_bytes: u64) -> Result<(), ImageFault> {
    let n_pixels = u64::from(info.width) * u64::from(info.height);
    let channels = match info.color_type {
        ColorType::Grayscale | ColorType::GrayscaleAlpha => 1,
        ColorType::Rgb | ColorType::Rgba | ColorType::Indexed => 3,
    };
    let bytes_per_pixel = n_bytes.div_ceil(n_pixels.max(1)).max(channels);
    check_size(name, info.width, info.height, bytes_per_pixel)
}

/// The header's own checks, for messages that name the size rather than the decoder's words.
fn check_header(bytes: &[u8], name: &str) -> Result<(), ImageFault> {
    let field = |at: usize| {
        let bytes = bytes.get(at..at + 4)?;
        Some(u32::from_be_bytes(bytes.try_into().ok()?))
    };
    match (field(16), field(20)) {
        (Some(width), Some(height)) if bytes.get(12..16) == Some(b"IHDR") => {
            check_size(name, width, height, 0)
        }
        (None, _) | (_, None) => Err(ImageFault::Truncated {
            name: name.to_owned(),
            format: Format::Png,
            detail: "inside its header".to_owned(),
        }),
        _ => Ok(()),
    }
}

fn strict_options() -> DecodeOptions {
    let mut options = DecodeOptions::default();
    options.set_ignore_crc(false);
    options.set_skip_ancillary_crc_failures(false);
    options.set_ignore_adler32(false);
    // Text and colour profiles can be bombs of their own, and nothing here reads them.
    options.set_ignore_text_chunk(true);
    options.set_ignore_iccp_chunk(true);
    options
}

fn warnings_of(name: &str, info: &Info<'_>) -> Vec<ImageWarning> {
    let mut warnings = Vec::new();
    if info.animation_control.is_some() {
        warnings.push(ImageWarning::Animated {
            name: name.to_owned(),
        });
    }
    let orientation = info.exif_metadata.as_deref().and_then(exif::orientation);
    if let Some(orientation) = orientation.filter(|&o| o > 1) {
        warnings.push(ImageWarning::OrientationIgnored {
            name: name.to_owned(),
            orientation,
        });
    }
    warnings
}

/// Samples as the file packs them into 8-bit pixels of 1 or 3 channels.
fn to_pixels(
    file: &File<'_>,
    samples: Vec<u8>,
    warnings: &mut Vec<ImageWarning>,
) -> Result<Pixels, ImageFault> {
    let info = file.info;
    let (width, height) = (info.width as usize, info.height as usize);
    let eight_bits = match info.bit_depth {
        BitDepth::Eight => samples,
        BitDepth::Sixteen if info.color_type == ColorType::Grayscale => {
            sixteen_bits::gray(&samples, file.name, file.policy, warnings)
        }
        BitDepth::Sixteen => sixteen_bits::several_channels(&samples, file.policy),
        depth => unpacked(&samples, depth as u8, width),
    };
    let equal = match info.color_type {
        ColorType::Rgb => equal_channels::<3>(&eight_bits),
        ColorType::Rgba => equal_channels::<4>(&eight_bits),
        _ => None,
    };
    if let Some(data) = equal {
        return Ok(Pixels::of_checked(width, height, Channels::Gray, data));
    }
    let (channels, data) = match info.color_type {
        ColorType::Grayscale => (Channels::Gray, scaled_to_byte(eight_bits, info.bit_depth)),
        ColorType::GrayscaleAlpha => (Channels::Gray, without_last::<2, 1>(&eight_bits)),
        ColorType::Rgb => (Channels::Rgb, eight_bits),
        ColorType::Rgba => (Channels::Rgb, without_last::<4, 3>(&eight_bits)),
        ColorType::Indexed => {
            let palette = info.palette.as_deref().unwrap_or(&[]);
            (Channels::Rgb, looked_up(file.name, &eight_bits, palette)?)
        }
    };
    Ok(Pixels::of_checked(width, height, channels, data))
}

/// Samples of 1, 2 or 4 bits each, one a byte; rows start at whole bytes, the high bits first.
fn unpacked(samples: &[u8], bits: u8, width: usize) -> Vec<u8> {
    let per_byte = 8 / bits;
    let row_len = width.div_ceil(usize::from(per_byte));
    let mut data = Vec::with_capacity(samples.len() / row_len * width);
    for row in samples.chunks_exact(row_len) {
        let values = row.iter().flat_map(|&byte| {
            (0..per_byte).map(move |place| (byte << (place * bits)) >> (8 - bits))
        });
        data.extend(values.take(width));
    }
    data
}

/// 1, 2 and 4-bit grey onto 0–255.
fn scaled_to_byte(mut samples: Vec<u8>, depth: BitDepth) -> Vec<u8> {
    let step = match depth {
        BitDepth::One => 255,
        BitDepth::Two => 85,
        BitDepth::Four => 17,
        BitDepth::Eight | BitDepth::Sixteen => return samples,
    };
    for sample in &mut samples {
        *sample *= step;
    }
    samples
}

/// The first `KEPT` of each pixel's `N` channels: all but alpha.
fn without_last<const N: usize, const KEPT: usize>(samples: &[u8]) -> Vec<u8> {
    let mut data = vec![0; samples.len() / N * KEPT];
    for (pixel, out) in samples.chunks_exact(N).zip(data.chunks_exact_mut(KEPT)) {
        out.copy_from_slice(&pixel[..KEPT]);
    }
    data
}

fn looked_up(name: &str, indices: &[u8], palette: &[u8]) -> Result<Vec<u8>, ImageFault> {
    let mut data = Vec::with_capacity(indices.len() * 3);
    for &index in indices {
        let at = usize::from(index) * 3;
        let Some(colour) = palette.get(at..at + 3) else {
            return Err(ImageFault::Damaged {
                name: name.to_owned(),
                format: Format::Png,
                detail: format!(
                    "a pixel names colour {index} of a palette of {}",
                    palette.len() / 3
                ),
            });
        };
        data.extend_from_slice(colour);
    }
    Ok(data)
}

fn fault(name: &str, cause: DecodingError) -> ImageFault {
    let (name, format) = (name.to_owned(), Format::Png);
    match cause {
        DecodingError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
            ImageFault::Truncated {
                name,
                format,
                detail: "it ends before its IEND chunk".to_owned(),
            }
        }
        DecodingError::LimitsExceeded => ImageFault::Damaged {
            name,
            format,
            detail: "a chunk beside the picture is too large".to_owned(),
        },
        other => ImageFault::Damaged {
            name,
            format,
            detail: other.to_string(),
        },
    }
}
