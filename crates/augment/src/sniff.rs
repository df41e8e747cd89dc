//! What a file is, by its first bytes alone; its name has no say.
//!
//! For the decoder, which reads two of these and names the others in its refusal.

use crate::image_fault::{Format, ImageFault};

pub(crate) const PNG_SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// PNG or JPEG, or a refusal that says what the file is instead.
pub(crate) fn format_of(bytes: &[u8], name: &str) -> Result<Format, ImageFault> {
    if bytes.is_empty() {
        return Err(ImageFault::Empty {
            name: name.to_owned(),
        });
    }
    if bytes.starts_with(PNG_SIGNATURE) {
        return Ok(Format::Png);
    }
    if bytes.starts_with(b"\xff\xd8\xff") {
        return Ok(Format::Jpeg);
    }
    Err(ImageFault::Format {
        name: name.to_owned(),
        found: foreign_kind(bytes),
    })
}

fn foreign_kind(bytes: &[u8]) -> &'static str {
    let starts = |magic: &[u8]| bytes.starts_with(magic);
    let holds = |at: usize, magic: &[u8]| bytes.get(at..).is_some_and(|b| b.starts_with(magic));
    if starts(b"GIF8") {
        "a GIF"
    } else if starts(b"BM") {
        "a BMP"
    } else if starts(b"II*\0") || starts(b"MM\0*") || starts(b"II+\0") || starts(b"MM\0+") {
        "a TIFF"
    } else if starts(b"RIFF") && holds(8, b"WEBP") {
        "a WebP"
    } else if holds(128, b"DICM") {
        "a DICOM file"
    } else if holds(4, b"ftyp") {
        "an AVIF, HEIF or video file"
    } else if starts(b"\0\0\0\x0cjP  ") || starts(b"\xff\x4f\xff\x51") {
        "a JPEG 2000"
    } else if starts(b"\xff\x0a") || starts(b"\0\0\0\x0cJXL ") {
        "a JPEG XL"
    } else if starts(b"%PDF") {
        "a PDF"
    } else if starts(b"PK\x03\x04") {
        "a zip archive"
    } else if starts(b"\x1f\x8b") {
        "a gzip file"
    } else if starts(b"\x89PN") || PNG_SIGNATURE.starts_with(bytes) {
        "a PNG whose signature is damaged"
    } else if b"\xff\xd8\xff".starts_with(bytes) {
        "the first bytes of a JPEG"
    } else if starts(b"version https://git-lfs") {
        "a Git LFS pointer"
    } else {
        text_kind(bytes)
    }
}

fn text_kind(bytes: &[u8]) -> &'static str {
    let head = &bytes[..bytes.len().min(512)];
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let text = text.trim_ascii_start().to_ascii_lowercase();
    if text.starts_with(b"<!doctype html") || text.starts_with(b"<html") {
        "an HTML page"
    } else if text.starts_with(b"<svg") || text.starts_with(b"<?xml") {
        "an XML or SVG file"
    } else if head
        .iter()
        .all(|b| b.is_ascii_graphic() || b.is_ascii_whitespace())
    {
        "plain text"
    } else {
        "of an unknown kind"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_kinds_are_refused_by_their_own_name() {
        let cases: [(&[u8], &str); 12] = [
            (b"GIF89a....", "a GIF"),
            (b"BM1234", "a BMP"),
            (b"II*\0....", "a TIFF"),
            (b"MM\0*....", "a TIFF"),
            (b"RIFF....WEBPVP8 ", "a WebP"),
            (b"\n  <!DOCTYPE HTML><p>404", "an HTML page"),
            (b"%PDF-1.7", "a PDF"),
            (b"\x1f\x8b\x08", "a gzip file"),
            (b"\x89PNG\n\x1a\n", "a PNG whose signature is damaged"),
            (b"not found", "plain text"),
            (b"\xff\xd8", "the first bytes of a JPEG"),
            (b"\x00\x01\x02", "of an unknown kind"),
        ];
        for (bytes, expected) in cases {
            let Err(ImageFault::Format { found, .. }) = format_of(bytes, "x.png") else {
                panic!("{expected} was accepted");
            };
            assert_eq!(found, expected);
        }
        let mut dicom = vec![0; 128];
        dicom.extend(b"DICM");
        assert_eq!(foreign_kind(&dicom), "a DICOM file");
    }
}
