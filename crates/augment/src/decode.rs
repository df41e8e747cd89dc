//! A PNG or JPEG file into 8-bit pixels, strictly: what is damaged or cut short is an error, never
//! a grey patch.
//!
//! For whoever reads images from disk or network. Deliberately not here: other formats (their
//! decoders stay refused even where a dependency brings them), compositing of alpha, colour
//! management, EXIF orientation (ignored as in Pillow, with a warning).

use cxr_isa::Isa;

use crate::image_fault::ImageFault;
use crate::image_warning::ImageWarning;
use crate::limits::{MAX_DECODED_BYTES, MAX_FILE_BYTES, MAX_PIXELS, MAX_SIDE};
use crate::pixels::Pixels;
use crate::preprocess::{Polarity, Preprocess};
use crate::resize::resize;
use crate::sniff::format_of;
use crate::{Format, jpeg_file, png_file, png_gray};

/// A decoded picture and what its reader should know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// The picture: one channel where red, green and blue were equal everywhere.
    pub pixels: Pixels,
    /// What was odd about the file.
    pub warnings: Vec<ImageWarning>,
}

/// The picture in a PNG or JPEG file, at its own size. `name` is for messages.
///
/// Alpha (RGBA, grey with alpha, `tRNS`) is dropped without compositing; palettes and 1, 2, 4 bits
/// are expanded; 16 bits become 8 as `spec.bit_depth` says.
///
/// ```
/// use cxr_augment::{decode, Channels, ImageFault, Pixels, Preprocess};
/// let picture = Pixels::new(3, 2, Channels::Gray, vec![0, 50, 100, 150, 200, 250])?;
/// let file = picture.to_png()?;
/// let decoded = decode(&file, "small.png", &Preprocess::default())?;
/// assert_eq!(decoded.pixels, picture);
/// let cut = decode(&file[..file.len() - 4], "small.png", &Preprocess::default());
/// assert!(matches!(cut, Err(ImageFault::Truncated { .. })));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Whatever is not a whole, undamaged PNG or JPEG within the limits.
pub fn decode(bytes: &[u8], name: &str, spec: &Preprocess) -> Result<Decoded, ImageFault> {
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(ImageFault::FileTooLarge {
            name: name.to_owned(),
            bytes: bytes.len() as u64,
        });
    }
    let decoded = match format_of(bytes, name)? {
        Format::Png => match png_gray::decode(bytes, Isa::best()) {
            Some(pixels) => Decoded {
                pixels,
                warnings: Vec::new(),
            },
            None => png_file::decode(bytes, name, spec.bit_depth)?,
        },
        Format::Jpeg => jpeg_file::decode(bytes, name)?,
    };
    Ok(Decoded {
        pixels: with_polarity(decoded.pixels.collapsed(), spec.polarity),
        warnings: decoded.warnings,
    })
}

/// The picture decoded and resized to `spec`: all that does not change from epoch to epoch.
///
/// # Errors
/// As `decode`.
pub fn prepare(bytes: &[u8], name: &str, spec: &Preprocess) -> Result<Decoded, ImageFault> {
    let decoded = decode(bytes, name, spec)?;
    Ok(Decoded {
        pixels: resize(&decoded.pixels, spec.width, spec.height),
        warnings: decoded.warnings,
    })
}

fn with_polarity(pixels: Pixels, polarity: Polarity) -> Pixels {
    match polarity {
        Polarity::AsStored => pixels,
        Polarity::Inverted => {
            let (width, height) = (pixels.width() as usize, pixels.height() as usize);
            let channels = pixels.channels();
            let data = pixels.into_data().iter().map(|v| 255 - v).collect();
            Pixels::of_checked(width, height, channels, data)
        }
    }
}

/// Refuses a picture by its header, before anything of its size is allocated.
pub(crate) fn check_size(
    name: &str,
    width: u32,
    height: u32,
    bytes_per_pixel: u64,
) -> Result<(), ImageFault> {
    if width == 0 || height == 0 {
        return Err(ImageFault::NoPixels {
            name: name.to_owned(),
            width,
            height,
        });
    }
    let n_pixels = u64::from(width) * u64::from(height);
    let bytes = n_pixels.saturating_mul(bytes_per_pixel);
    if n_pixels > MAX_PIXELS || bytes > MAX_DECODED_BYTES || width.max(height) > MAX_SIDE {
        return Err(ImageFault::TooLarge {
            name: name.to_owned(),
            width,
            height,
            bytes,
        });
    }
    Ok(())
}
