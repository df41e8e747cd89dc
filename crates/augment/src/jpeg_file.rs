//! JPEG into pixels: baseline and progressive, 8 bits, grey, YCbCr or RGB.
//!
//! Refused: CMYK and YCCK (colours depend on a profile), 12 bits, lossless, arithmetic coding.
//! The usual decoders fill what is missing with grey; here the file's markers are walked to its end
//! marker, the blocks of a baseline file are counted, and the decoder runs strictly. Not noticed: a
//! progressive file whose last scans were cut and that was closed again. Values may differ from
//! libjpeg's by a few levels (the standard does not fix the inverse transform), so parity to the
//! bit is promised for PNG alone.

use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use crate::decode::{Decoded, check_size};
use crate::image_fault::{Format, ImageFault};
use crate::image_warning::ImageWarning;
use crate::jpeg_markers::{Coding, Frame, Walk, WalkFault, walk};
use crate::jpeg_scan::{self, ScanFault};
use crate::limits::MAX_SIDE;
use crate::pixels::{Channels, Pixels};

pub(crate) fn decode(bytes: &[u8], name: &str) -> Result<Decoded, ImageFault> {
    let walked = walk(bytes).map_err(|fault| walk_fault(name, fault))?;
    let frame = &walked.frame;
    refuse_unread_kinds(frame, name)?;
    let channels = match frame.components.len() {
        1 => Channels::Gray,
        _ => Channels::Rgb,
    };
    check_size(name, frame.width, frame.height, bytes_per_pixel(&walked))?;
    if frame.coding == Coding::Baseline {
        jpeg_scan::check(frame, &walked.scans).map_err(|fault| scan_fault(name, fault))?;
    }
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
    let orientation = walked.orientation.filter(|&o| o > 1);
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
    let kind = match (frame.coding, frame.precision, frame.components.len()) {
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

/// The pixels; for several scans also the coefficients, 16 bits each, which are then held at once.
fn bytes_per_pixel(walked: &Walk<'_>) -> u64 {
    let n_components = walked.frame.components.len() as u64;
    match walked.frame.coding {
        Coding::Baseline if walked.scans.len() == 1 => n_components,
        _ => n_components * 3,
    }
}

const CUT_SCAN: &str = "a scan ends before the picture does";

fn walk_fault(name: &str, fault: WalkFault) -> ImageFault {
    match fault {
        WalkFault::Cut(detail) => truncated(name, detail),
        WalkFault::Bad(detail) => damaged(name, &detail),
    }
}

fn scan_fault(name: &str, fault: ScanFault) -> ImageFault {
    match fault {
        ScanFault::Cut => truncated(name, CUT_SCAN),
        ScanFault::Bad(detail) => damaged(name, detail),
    }
}

fn fault(name: &str, cause: &DecodeErrors) -> ImageFault {
    match cause {
        DecodeErrors::ExhaustedData => truncated(name, CUT_SCAN),
        other => damaged(name, &other.to_string()),
    }
}

fn truncated(name: &str, detail: &str) -> ImageFault {
    ImageFault::Truncated {
        name: name.to_owned(),
        format: Format::Jpeg,
        detail: detail.to_owned(),
    }
}

fn damaged(name: &str, detail: &str) -> ImageFault {
    ImageFault::Damaged {
        name: name.to_owned(),
        format: Format::Jpeg,
        detail: detail.trim().to_owned(),
    }
}
