//! JPEG into pixels: baseline and progressive, 8 bits, grey, YCbCr or RGB.
//!
//! Refused: CMYK and YCCK (colours depend on a profile), 12 bits, lossless, arithmetic coding.
//! The usual decoders fill what is missing with grey; here the file's markers are walked first, and
//! the decoder runs strictly. Values may differ from libjpeg's by a few levels (the inverse
//! transform is not fixed by the standard), so parity to the bit is promised for PNG alone.

use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use crate::decode::{Decoded, check_size};
use crate::fault::{Format, ImageFault, ImageWarning};
use crate::jpeg_markers::{self, Coding, Frame};
use crate::limits::MAX_SIDE;
use crate::pixels::{Channels, Pixels};

pub(crate) fn decode(bytes: &[u8], name: &str) -> Result<Decoded, ImageFault> {
    let frame = jpeg_markers::walk(bytes, name)?;
    refuse_unread_kinds(&frame, name)?;
    let channels = if frame.n_components == 1 {
        Channels::Gray
    } else {
        Channels::Rgb
    };
    check_size(name, frame.width, frame.height, bytes_per_pixel(&frame))?;
    let colour_space = match channels {
        Channels::Gray => ColorSpace::Luma,
        Channels::Rgb => ColorSpace::RGB,
    };
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(MAX_SIDE as usize)
        .set_max_height(MAX_SIDE as usize)
        .jpeg_set_out_colorspace(colour_space);
    let (width, height) = (frame.width as usize, frame.height as usize);
    let mut data = vec![0; width * height * channels.count()];
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder
        .decode_headers()
        .and_then(|()| decoder.decode_into(&mut data))
        .map_err(|cause| fault(name, &cause))?;
    if decoder.dimensions() != Some((width, height)) {
        return Err(damaged(name, "it has two frame headers"));
    }
    let orientation = frame.orientation.filter(|&o| o > 1);
    Ok(Decoded {
        pixels: Pixels::of_checked(width, height, channels, data),
        warnings: orientation
            .map(|orientation| ImageWarning::OrientationIgnored {
                name: name.to_owned(),
                orientation,
            })
            .into_iter()
            .collect(),
    })
}

fn refuse_unread_kinds(frame: &Frame, name: &str) -> Result<(), ImageFault> {
    let kind = match (frame.coding, frame.precision, frame.n_components) {
        (Coding::Other(kind), _, _) => kind.to_owned(),
        (_, bits, _) if bits != 8 => format!("{bits} bits a sample"),
        (_, _, 4) => "CMYK".to_owned(),
        (_, _, 1 | 3) => return Ok(()),
        (_, _, n) => format!("{n} components"),
    };
    Err(ImageFault::Unsupported {
        name: name.to_owned(),
        format: Format::Jpeg,
        kind,
    })
}

/// The pixels; for a progressive file also its coefficients, 16 bits each, which it needs at once.
fn bytes_per_pixel(frame: &Frame) -> u64 {
    let n_components = u64::from(frame.n_components);
    match frame.coding {
        Coding::Baseline if frame.n_scans == 1 => n_components,
        _ => n_components * 3,
    }
}

fn fault(name: &str, cause: &DecodeErrors) -> ImageFault {
    match cause {
        DecodeErrors::ExhaustedData => ImageFault::Truncated {
            name: name.to_owned(),
            format: Format::Jpeg,
            detail: "its last scan ends before the picture does".to_owned(),
        },
        other => damaged(name, &other.to_string()),
    }
}

fn damaged(name: &str, detail: &str) -> ImageFault {
    ImageFault::Damaged {
        name: name.to_owned(),
        format: Format::Jpeg,
        detail: detail.trim().to_owned(),
    }
}
