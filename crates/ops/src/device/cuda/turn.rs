//! Planes of channels, as candle's tensors have them, to rows of channels and back.
//!
//! For `crate::card`. Rows are maps of f32; channels and kernels that fill a map up are zeros.

use super::grid::{Grid, int};
use super::launch::arguments;
use super::{Cuda, Floats, Map};
use crate::device::checks::Call;
use crate::device::{Device, Result};

/// Places and channels of a tile; those of `kernels/turn.cuh`.
const TILE: usize = 32;

/// [images, channels, places] as planes, [images, places, wide] as rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Turned {
    /// Images, or kernels.
    pub(crate) images: usize,
    /// Channels that there are.
    pub(crate) channels: usize,
    /// Channels of the rows, at least as many.
    pub(crate) wide: usize,
    /// Places of a plane.
    pub(crate) places: usize,
}

impl Turned {
    fn planes_len(&self) -> usize {
        self.images * self.channels * self.places
    }

    /// A block for each tile of an image.
    fn grid(&self, call: Call, channels: usize, images: usize) -> Result<Grid> {
        int(call.0, "places", self.places.saturating_add(TILE))?;
        let tiles = self.places.div_ceil(TILE) * channels.div_ceil(TILE);
        int(call.0, "tiles", tiles)?;
        let (lines, threads) = (TILE * (TILE + 1), Grid::one_block().threads as usize);
        Ok(Grid {
            shared: (lines * size_of::<f32>()) as u32,
            ..Grid::flat_each(tiles * threads, usize::MAX, images)
        })
    }
}

impl Cuda {
    /// The rows of `planes`, for `all_images`: zeros beyond the images and the channels.
    pub(crate) fn rows_of_planes(
        &self,
        of: Turned,
        all_images: usize,
        planes: &Floats,
    ) -> Result<Map> {
        let call = Call("rows_of_planes");
        call.holds("the planes", planes.len(), of.planes_len())?;
        let rows = self.unset_map(all_images * of.places * of.wide)?;
        self.inner.launch(
            "planes_to_rows",
            of.grid(call, of.wide, all_images)?,
            arguments![
                int(call.0, "images", of.images)?,
                int(call.0, "images", all_images)?,
                int(call.0, "channels", of.channels)?,
                int(call.0, "channels", of.wide)?,
                int(call.0, "places", of.places)?,
                planes.address(),
                rows.address()
            ],
        )?;
        Ok(rows)
    }

    /// `planes` = the first channels of `rows`, plus the channel's bias.
    pub(crate) fn planes_of_rows(
        &self,
        of: Turned,
        rows: &Map,
        bias: Option<&Floats>,
        planes: &mut Floats,
    ) -> Result<()> {
        let call = Call("planes_of_rows");
        call.holds("the rows", rows.len(), of.images * of.places * of.wide)?;
        if let Some(bias) = bias {
            call.holds("the bias", bias.len(), of.channels)?;
        }
        call.holds("the planes", planes.len(), of.planes_len())?;
        self.inner.launch(
            "rows_to_planes",
            of.grid(call, of.channels, of.images)?,
            arguments![
                int(call.0, "images", of.images)?,
                int(call.0, "channels", of.channels)?,
                int(call.0, "channels", of.wide)?,
                int(call.0, "places", of.places)?,
                rows.address(),
                bias.map_or(0, Floats::address),
                planes.address()
            ],
        )
    }

    /// A map whose numbers are unset.
    pub(crate) fn unset_map(&self, len: usize) -> Result<Map> {
        let bytes = self.precision().bytes();
        Map::unset(&self.inner.streams, "map", len, bytes)
    }
}
