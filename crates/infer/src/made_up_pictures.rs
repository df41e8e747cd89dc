//! Grey pictures that mean nothing, in a device's memory: what benches run on.

use cxr_models::{DeviceImages, ModelConfig};
use cxr_ops::device::{Device, DeviceFault, GatherKind, PictureGather, Pixels};

/// What they are normalised with.
const NORMS: [(f32, f32); 3] = [(0.5, 0.25); 3];

/// A batch of pictures of a network's size that stays on the device.
#[derive(Debug)]
pub struct MadeUpPictures<D: Device> {
    pixels: D::Bytes,
    gathers: Vec<PictureGather>,
}

impl<D: Device> MadeUpPictures<D> {
    /// `images` pictures; `byte` gives one pixel after the other.
    ///
    /// # Errors
    /// The device.
    pub fn new(
        device: &D,
        model: &ModelConfig,
        images: usize,
        byte: impl FnMut(usize) -> u8,
    ) -> Result<Self, DeviceFault> {
        let len = model.height * model.width;
        let bytes: Vec<u8> = (0..images * len).map(byte).collect();
        let mut pixels = device.bytes(bytes.len())?;
        device.write_bytes(&mut pixels, 0, &bytes)?;
        let gather = |index: usize| PictureGather {
            start: (index * len) as u64,
            kind: GatherKind::Still,
        };
        Ok(Self {
            pixels,
            gathers: (0..images).map(gather).collect(),
        })
    }

    /// As a network on the device takes them.
    #[must_use]
    pub fn images(&self) -> DeviceImages<'_, D> {
        DeviceImages::Pictures {
            images: self.gathers.len(),
            picture_channels: 1,
            pixels: Pixels::Kept(&self.pixels),
            gathers: &self.gathers,
            tables: &[],
            norms: NORMS,
        }
    }
}
