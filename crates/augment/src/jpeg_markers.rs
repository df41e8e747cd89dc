//! A walk over a JPEG's markers from its start to its end-of-image marker, before any decoding.
//!
//! It finds what kind of JPEG it is, and that it ends where a JPEG ends.

use crate::exif;
use crate::fault::{Format, ImageFault};

/// What the walk found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) precision: u8,
    pub(crate) n_components: u8,
    pub(crate) coding: Coding,
    pub(crate) n_scans: usize,
    pub(crate) orientation: Option<u16>,
}

/// How the coefficients are coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    Baseline,
    Progressive,
    /// Not read; the name is for the message.
    Other(&'static str),
}

const START_OF_SCAN: u8 = 0xda;
const END_OF_IMAGE: u8 = 0xd9;
const EXIF_SEGMENT: u8 = 0xe1;

/// The frame of a JPEG whose markers lead to an end-of-image marker.
pub(crate) fn walk(bytes: &[u8], name: &str) -> Result<Frame, ImageFault> {
    let mut frame: Option<Frame> = None;
    let mut orientation = None;
    let mut n_scans = 0;
    let mut at = 2;
    loop {
        let (marker, after) = next_marker(bytes, at, name)?;
        if marker == END_OF_IMAGE {
            let Some(frame) = frame.filter(|_| n_scans > 0) else {
                return Err(truncated(name, "it has no picture before its end"));
            };
            return Ok(Frame {
                n_scans,
                orientation,
                ..frame
            });
        }
        if is_alone(marker) {
            at = after;
            continue;
        }
        let (segment, after) = segment_at(bytes, after, name)?;
        at = after;
        match marker {
            START_OF_SCAN => {
                n_scans += 1;
                at = end_of_scan(bytes, after);
            }
            EXIF_SEGMENT if segment.starts_with(b"Exif\0\0") && orientation.is_none() => {
                orientation = exif::orientation(&segment[6..]);
            }
            _ => {
                if let Some(coding) = coding_of(marker) {
                    frame = Some(frame_of(segment, coding, name)?);
                }
            }
        }
    }
}

/// The marker at or after `at` (fill bytes may come before it) and the place behind it.
fn next_marker(bytes: &[u8], at: usize, name: &str) -> Result<(u8, usize), ImageFault> {
    let mut place = at;
    if bytes.get(place).is_some_and(|&b| b != 0xff) {
        return Err(ImageFault::Damaged {
            name: name.to_owned(),
            format: Format::Jpeg,
            detail: format!("no marker at byte {place}"),
        });
    }
    loop {
        match bytes.get(place) {
            Some(0xff) => place += 1,
            Some(&marker) => return Ok((marker, place + 1)),
            None => return Err(truncated(name, "it has no end-of-image marker")),
        }
    }
}

fn segment_at<'a>(
    bytes: &'a [u8],
    at: usize,
    name: &str,
) -> Result<(&'a [u8], usize), ImageFault> {
    let length = match bytes.get(at..at + 2) {
        Some(pair) => usize::from(u16::from_be_bytes([pair[0], pair[1]])),
        None => return Err(truncated(name, "it ends inside a segment")),
    };
    if length < 2 {
        return Err(ImageFault::Damaged {
            name: name.to_owned(),
            format: Format::Jpeg,
            detail: format!("a segment of length {length} at byte {at}"),
        });
    }
    match bytes.get(at + 2..at + length) {
        Some(segment) => Ok((segment, at + length)),
        None => Err(truncated(name, "it ends inside a segment")),
    }
}

/// The place of the first marker that is not part of the scan's data.
fn end_of_scan(bytes: &[u8], start: usize) -> usize {
    let mut at = start;
    while at + 1 < bytes.len() {
        let is_data = matches!(bytes[at + 1], 0x00 | 0xd0..=0xd7);
        match bytes[at] {
            0xff if bytes[at + 1] == 0xff => at += 1,
            0xff if !is_data => return at,
            0xff => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// Markers without a segment: TEM, restarts, a second start.
fn is_alone(marker: u8) -> bool {
    matches!(marker, 0x01 | 0xd0..=0xd8)
}

fn coding_of(marker: u8) -> Option<Coding> {
    Some(match marker {
        0xc0 | 0xc1 => Coding::Baseline,
        0xc2 => Coding::Progressive,
        0xc3 => Coding::Other("lossless"),
        0xc5..=0xc7 => Coding::Other("hierarchical"),
        0xc9..=0xcb | 0xcd..=0xcf => Coding::Other("arithmetic coding"),
        0xf7 => Coding::Other("JPEG-LS"),
        _ => return None,
    })
}

fn frame_of(segment: &[u8], coding: Coding, name: &str) -> Result<Frame, ImageFault> {
    let &[precision, h1, h0, w1, w0, n_components, ..] = segment else {
        return Err(truncated(name, "its frame header is too short"));
    };
    Ok(Frame {
        width: u32::from(u16::from_be_bytes([w1, w0])),
        height: u32::from(u16::from_be_bytes([h1, h0])),
        precision,
        n_components,
        coding,
        n_scans: 0,
        orientation: None,
    })
}

fn truncated(name: &str, detail: &str) -> ImageFault {
    ImageFault::Truncated {
        name: name.to_owned(),
        format: Format::Jpeg,
        detail: detail.to_owned(),
    }
}
