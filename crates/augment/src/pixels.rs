//! A decoded picture: 8 bits, one channel or three.
//!
//! For everyone who decodes, resizes or draws pictures. Deliberately not here: alpha, deeper
//! samples, colour spaces; the decoder has settled all three before a `Pixels` exists.

use crate::spec_fault::SpecFault;

/// An 8-bit picture of `height` rows, each of `width` pixels of 1 or 3 interleaved channels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pixels {
    width: u32,
    height: u32,
    channels: Channels,
    data: Vec<u8>,
}

/// A picture whose bytes somebody else holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Picture<'a> {
    width: u32,
    height: u32,
    channels: Channels,
    data: &'a [u8],
}

/// How many numbers a pixel has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channels {
    /// One: grey.
    Gray,
    /// Three: red, green, blue.
    Rgb,
}

impl Channels {
    /// 1 or 3.
    #[must_use]
    pub const fn count(self) -> usize {
        match self {
            Self::Gray => 1,
            Self::Rgb => 3,
        }
    }
}

impl Pixels {
    /// The picture with these bytes, row by row from the top, channels interleaved.
    ///
    /// # Errors
    /// Where a side is 0 or `data` is not width × height × channels long.
    pub fn new(
        width: u32,
        height: u32,
        channels: Channels,
        data: Vec<u8>,
    ) -> Result<Self, SpecFault> {
        check_len(width, height, channels, data.len())?;
        Ok(Self {
            width,
            height,
            channels,
            data,
        })
    }

    /// For callers in this crate that sized `data` themselves.
    pub(crate) fn of_checked(
        width: usize,
        height: usize,
        channels: Channels,
        data: Vec<u8>,
    ) -> Self {
        debug_assert_eq!(width * height * channels.count(), data.len());
        Self {
            width: width as u32,
            height: height as u32,
            channels,
            data,
        }
    }

    /// Pixels in a row.
    #[must_use]
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Rows.
    #[must_use]
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Grey or colour.
    #[must_use]
    pub fn channels(&self) -> Channels {
        self.channels
    }

    /// The bytes, row by row from the top, channels interleaved.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// The bytes, given away.
    #[must_use]
    pub fn into_data(self) -> Vec<u8> {
        self.data
    }

    /// The same picture, its bytes given to `holder`.
    pub(crate) fn lent_by(self, holder: &mut Vec<u8>) -> Picture<'_> {
        let Self {
            width,
            height,
            channels,
            data,
        } = self;
        *holder = data;
        Picture {
            width,
            height,
            channels,
            data: holder,
        }
    }

    /// The same picture with one channel where red, green and blue are equal in every pixel.
    #[must_use]
    pub fn collapsed(self) -> Self {
        if self.channels == Channels::Gray {
            return self;
        }
        match equal_channels::<3>(&self.data) {
            Some(data) => Self {
                channels: Channels::Gray,
                data,
                ..self
            },
            None => self,
        }
    }

    /// The picture as a PNG file.
    ///
    /// # Errors
    /// Only where the encoder fails, which it has no reason to.
    pub fn to_png(&self) -> Result<Vec<u8>, SpecFault> {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, self.width, self.height);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_color(match self.channels {
            Channels::Gray => png::ColorType::Grayscale,
            Channels::Rgb => png::ColorType::Rgb,
        });
        encoder
            .write_header()
            .and_then(|mut writer| {
                writer.write_image_data(&self.data)?;
                writer.finish()
            })
            .map_err(|cause| SpecFault::Encode {
                reason: cause.to_string(),
            })?;
        Ok(file)
    }
}

impl<'a> Picture<'a> {
    /// For callers in this crate that sized `data` themselves.
    pub(crate) fn of_checked(width: u32, height: u32, channels: Channels, data: &'a [u8]) -> Self {
        debug_assert_eq!(
            width as usize * height as usize * channels.count(),
            data.len()
        );
        Self {
            width,
            height,
            channels,
            data,
        }
    }

    /// As [`Pixels::new`].
    ///
    /// # Errors
    /// Where a side is 0 or `data` is not width × height × channels long.
    pub fn new(
        width: u32,
        height: u32,
        channels: Channels,
        data: &'a [u8],
    ) -> Result<Self, SpecFault> {
        check_len(width, height, channels, data.len())?;
        Ok(Self {
            width,
            height,
            channels,
            data,
        })
    }

    /// Pixels in a row.
    #[must_use]
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Rows.
    #[must_use]
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Grey or colour.
    #[must_use]
    pub fn channels(&self) -> Channels {
        self.channels
    }

    /// The bytes, row by row from the top, channels interleaved.
    #[must_use]
    pub fn data(&self) -> &'a [u8] {
        self.data
    }
}

impl<'a> From<&'a Pixels> for Picture<'a> {
    fn from(pixels: &'a Pixels) -> Self {
        Self {
            width: pixels.width,
            height: pixels.height,
            channels: pixels.channels,
            data: &pixels.data,
        }
    }
}

/// One channel of pixels whose red, green and blue are equal everywhere.
pub(crate) fn equal_channels<const N: usize>(samples: &[u8]) -> Option<Vec<u8>> {
    // Without an early end, so that many pixels are compared at once.
    let differs = |pixel: &[u8; N]| (pixel[0] ^ pixel[1]) | (pixel[1] ^ pixel[2]);
    let (pixels, _) = samples.as_chunks::<N>();
    // Most coloured pictures show it in their first rows.
    let (first, rest) = pixels.split_at(pixels.len() / 64);
    for part in [first, rest] {
        if part.iter().fold(0, |all, pixel| all | differs(pixel)) != 0 {
            return None;
        }
    }
    Some(pixels.iter().map(|pixel| pixel[0]).collect())
}

fn check_len(width: u32, height: u32, channels: Channels, found: usize) -> Result<(), SpecFault> {
    let expected = width as usize * height as usize * channels.count();
    if expected == 0 || found != expected {
        return Err(SpecFault::BufferLength {
            what: "a picture's bytes",
            expected,
            found,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_whose_bytes_do_not_fill_it_is_refused() {
        assert!(Pixels::new(2, 3, Channels::Gray, vec![0; 5]).is_err());
        assert!(Pixels::new(0, 3, Channels::Gray, vec![]).is_err());
        assert!(Pixels::new(2, 3, Channels::Rgb, vec![0; 18]).is_ok());
    }

    #[test]
    fn equal_channels_collapse_and_one_differing_pixel_keeps_all_three() {
        let grey = Pixels::new(2, 1, Channels::Rgb, vec![7, 7, 7, 9, 9, 9]).unwrap();
        assert_eq!(
            grey.collapsed(),
            Pixels::new(2, 1, Channels::Gray, vec![7, 9]).unwrap()
        );
        let tinted = Pixels::new(2, 1, Channels::Rgb, vec![7, 7, 7, 9, 9, 8]).unwrap();
        assert_eq!(tinted.clone().collapsed(), tinted);
    }
}
