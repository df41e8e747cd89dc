//! PNG into pixels: every colour type and bit depth, interlaced or not, checksums verified, the
//! end of the file seen.

use std::io::{Cursor, ErrorKind};

use png::{BitDepth, ColorType, DecodeOptions, Decoder, DecodingError, Info, Limits, Reader};

use crate::decode::{Decoded, check_size};
use crate::exif;
use crate::image_fault::{Format, ImageFault};
use crate::image_warning::ImageWarning;
use crate::pixels::{Channels, Pixels};
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
    let (width, height) = (reader.info().width, reader.info().height);
    let n_bytes = reader.output_buffer_size().unwrap_or(usize::MAX);
    check_size(
        name,
        width,
        height,
        (n_bytes as u64).div_ceil(u64::from(width) * u64::from(height)),
    )?;
    let mut samples = vec![0; n_bytes];
    let frame = reader.next_frame(&mut samples).map_err(fail)?;
    let mut warnings = warnings_of(name, reader.info());
    // Reads on to IEND, whose absence is an error.
    let pixels = to_pixels(
        name,
        &reader,
        &samples,
        frame.line_size,
        policy,
        &mut warnings,
    )?;
    reader.finish().map_err(fail)?;
    Ok(Decoded { pixels, warnings })
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

/// Rows of packed samples into 8-bit pixels of 1 or 3 channels.
fn to_pixels(
    name: &str,
    reader: &Reader<Cursor<&[u8]>>,
    samples: &[u8],
    line_size: usize,
    policy: BitDepthPolicy,
    warnings: &mut Vec<ImageWarning>,
) -> Result<Pixels, ImageFault> {
    let info = reader.info();
    let (width, height) = (info.width as usize, info.height as usize);
    let rows = || samples.chunks_exact(line_size).take(height);
    let eight_bits: Vec<u8> = match info.bit_depth {
        BitDepth::Sixteen if info.color_type == ColorType::Grayscale => {
            sixteen_bits::gray(samples, name, policy, warnings)
        }
        BitDepth::Sixteen => sixteen_bits::several_channels(samples, policy),
        BitDepth::Eight => samples.to_vec(),
        depth => rows()
            .flat_map(|row| unpacked(row, depth as u8).take(width))
            .collect(),
    };
    let (channels, data) = match info.color_type {
        ColorType::Grayscale => (Channels::Gray, scaled_to_byte(eight_bits, info.bit_depth)),
        ColorType::GrayscaleAlpha => (
            Channels::Gray,
            eight_bits.iter().copied().step_by(2).collect(),
        ),
        ColorType::Rgb => (Channels::Rgb, eight_bits),
        ColorType::Rgba => (Channels::Rgb, without_fourth(&eight_bits)),
        ColorType::Indexed => (
            Channels::Rgb,
            looked_up(name, &eight_bits, info.palette.as_deref().unwrap_or(&[]))?,
        ),
    };
    Ok(Pixels::of_checked(width, height, channels, data))
}

/// The samples of a row of 1, 2 or 4 bits each, the high bits first.
fn unpacked(row: &[u8], bits: u8) -> impl Iterator<Item = u8> + '_ {
    let per_byte = 8 / bits;
    row.iter().flat_map(move |&byte| {
        (0..per_byte).map(move |place| (byte << (place * bits)) >> (8 - bits))
    })
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

fn without_fourth(rgba: &[u8]) -> Vec<u8> {
    rgba.chunks_exact(4)
        .flat_map(|pixel| [pixel[0], pixel[1], pixel[2]])
        .collect()
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
