//! Grey pictures as PNG: the augmented first batch as the network sees it, and single radiographs.
//!
//! For the run folder and the page. Tiles come as grey bytes; a large tile is made smaller by the
//! mean of squares of pixels. Deliberately not here: turning tensors into grey.

use image::{ExtendedColorType, ImageEncoder, codecs::png};

use crate::report_error::ReportError;

/// Tiles are made smaller until their longer side is at most this.
const LONGEST_SIDE: usize = 160;
const MARGIN: usize = 4;
const BACKGROUND: u8 = 127;

/// One grey image, row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tile {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `width · height` grey values.
    pub pixels: Vec<u8>,
}

/// A contact sheet of the tiles, as square as it gets, as a grey PNG.
///
/// # Errors
/// `R014` for a tile whose pixels are not `width · height`, or without tiles.
pub fn train_batch(tiles: &[Tile]) -> Result<Vec<u8>, ReportError> {
    let tiles = tiles.iter().map(shrunk).collect::<Result<Vec<_>, _>>()?;
    if tiles.is_empty() {
        return Err(fault("there is no image in the batch".into()));
    }
    let tile_width = tiles.iter().map(|tile| tile.width).max().unwrap_or(1);
    let tile_height = tiles.iter().map(|tile| tile.height).max().unwrap_or(1);
    let n_columns = (1..=tiles.len())
        .find(|n| n * n >= tiles.len())
        .unwrap_or(1);
    let n_rows = tiles.len().div_ceil(n_columns);
    let width = MARGIN + n_columns * (tile_width + MARGIN);
    let height = MARGIN + n_rows * (tile_height + MARGIN);
    let mut sheet = vec![BACKGROUND; width * height];
    for (place, tile) in tiles.iter().enumerate() {
        let left = MARGIN + (place % n_columns) * (tile_width + MARGIN);
        let top = MARGIN + (place / n_columns) * (tile_height + MARGIN);
        for (y, row) in tile.pixels.chunks_exact(tile.width).enumerate() {
            let start = (top + y) * width + left;
            if let Some(target) = sheet.get_mut(start..start + tile.width) {
                target.copy_from_slice(row);
            }
        }
    }
    encoded(&sheet, width, height)
}

/// One tile as a grey PNG, made smaller where its longer side is above 160 pixels.
///
/// # Errors
/// `R014` for a tile whose pixels are not `width · height`.
pub fn one_picture(tile: &Tile) -> Result<Vec<u8>, ReportError> {
    let png = shrunk(tile).and_then(|tile| encoded(&tile.pixels, tile.width, tile.height));
    png.map_err(|error| ReportError::Plot {
        plot: "examples",
        problem: error.to_string(),
    })
}

fn encoded(pixels: &[u8], width: usize, height: usize) -> Result<Vec<u8>, ReportError> {
    let side = |length: usize| {
        u32::try_from(length).map_err(|_| fault("the pixels are too many for a picture".into()))
    };
    let mut bytes = Vec::new();
    png::PngEncoder::new_with_quality(
        &mut bytes,
        png::CompressionType::Default,
        png::FilterType::Adaptive,
    )
    .write_image(pixels, side(width)?, side(height)?, ExtendedColorType::L8)
    .map_err(|error| fault(error.to_string()))?;
    Ok(bytes)
}

fn shrunk(tile: &Tile) -> Result<Tile, ReportError> {
    if tile.width == 0 || tile.height == 0 || tile.pixels.len() != tile.width * tile.height {
        return Err(fault(format!(
            "a tile of {}×{} has {} pixels",
            tile.width,
            tile.height,
            tile.pixels.len()
        )));
    }
    let factor = tile.width.max(tile.height).div_ceil(LONGEST_SIDE);
    let (width, height) = ((tile.width / factor).max(1), (tile.height / factor).max(1));
    let mean = |x: usize, y: usize| {
        let rows = (y * factor)..((y + 1) * factor).min(tile.height);
        let (mut sum, mut n_pixels) = (0_usize, 0_usize);
        for row in rows {
            let start = row * tile.width + x * factor;
            let end = (start + factor).min((row + 1) * tile.width);
            let square = tile.pixels.get(start..end).unwrap_or_default();
            sum += square.iter().map(|&grey| usize::from(grey)).sum::<usize>();
            n_pixels += square.len();
        }
        u8::try_from((sum + n_pixels / 2) / n_pixels.max(1)).unwrap_or(u8::MAX)
    };
    let pixels = (0..height)
        .flat_map(|y| (0..width).map(move |x| (x, y)))
        .map(|(x, y)| mean(x, y))
        .collect();
    Ok(Tile {
        width,
        height,
        pixels,
    })
}

fn fault(problem: String) -> ReportError {
    ReportError::Plot {
        plot: "train_batch",
        problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_stand_in_reading_order_with_their_own_pixels() {
        let tiles: Vec<Tile> = (0..5)
            .map(|place| Tile {
                width: 3,
                height: 2,
                pixels: (0..6).map(|pixel| place * 40 + pixel).collect(),
            })
            .collect();
        let png = train_batch(&tiles).unwrap();
        let sheet = image::load_from_memory(&png).unwrap().into_luma8();
        assert_eq!(sheet.dimensions(), (4 + 3 * 7, 4 + 2 * 6));
        assert_eq!(sheet.get_pixel(0, 0).0, [BACKGROUND]);
        assert_eq!(sheet.get_pixel(4 + 7 + 2, 4 + 1).0, [45]);
        assert_eq!(sheet.get_pixel(4, 4 + 6).0, [120]);
        assert_eq!(sheet.get_pixel(4 + 14, 4 + 6).0, [BACKGROUND]);
    }

    #[test]
    fn a_large_tile_is_shrunk_by_the_mean_of_squares() {
        let tile = Tile {
            width: 320,
            height: 160,
            pixels: (0..320 * 160)
                .map(|pixel| if pixel % 2 == 0 { 10 } else { 20 })
                .collect(),
        };
        let small = shrunk(&tile).unwrap();
        assert_eq!((small.width, small.height), (160, 80));
        assert!(small.pixels.iter().all(|&grey| grey == 15));
    }

    #[test]
    fn a_tile_with_missing_pixels_and_an_empty_batch_are_refused() {
        let tile = Tile {
            width: 3,
            height: 2,
            pixels: vec![0; 5],
        };
        let error = train_batch(&[tile]).unwrap_err();
        assert_eq!(error.code(), "R014");
        assert!(error.to_string().contains("3×2 has 5 pixels"));
        assert_eq!(train_batch(&[]).unwrap_err().code(), "R014");
    }
}
