//! The memory of a pass: maps, picked places, saved numbers of norms, and how images get there.
//!
//! For trainer and predictor, which allocate it once for their largest batch. `memory` says how
//! much it is. What only the way back needs is in `backward`.

use cxr_ops::device::{self, Device, DeviceFault, PictureGather, Pixels};

use super::DeviceImages;
use super::plan::{INPUT, Plan};
use crate::fault::ModelFault;

/// Rows of the saved numbers of a norm: mean, 1/√(variance + ε), scale, shift.
pub(crate) const SAVED: usize = 4;

/// The memory of a forward pass.
#[derive(Debug)]
pub(crate) struct Buffers<D: Device> {
    /// In the order of the plan; the images' first.
    pub(crate) maps: Vec<D::Map>,
    pub(crate) picked: Vec<D::Bytes>,
    /// [4, C] of each norm.
    pub(crate) saved: Vec<D::Floats>,
    /// The scale of a pooling without a norm; as many as the last layer has inputs.
    pub(crate) ones: D::Floats,
    /// What the last layer reads, before dropout; [B, F].
    pub(crate) features: D::Floats,
    /// The same behind dropout, in the maps' type.
    pub(crate) dropped: D::Map,
    /// [B, K].
    pub(crate) logits: D::Floats,
    /// Images [B, 3, H, W] that come as planes.
    planes: D::Floats,
    /// How pictures are gathered.
    gathers: D::Bytes,
    tables: D::Bytes,
}

impl<D: Device> Buffers<D> {
    pub(crate) fn new(device: &D, plan: &Plan, batch: usize) -> device::Result<Self> {
        let maps = plan.maps.iter().map(|len| device.map(batch * len));
        let picked = plan.picked.iter().map(|len| device.bytes(batch * len));
        let saved = plan.norms.iter();
        let saved = saved.map(|norm| device.floats(SAVED * norm.size.channels));
        let features = plan.last.inputs;
        let mut ones = device.floats(features)?;
        device.write_floats(&mut ones, 0, &vec![1.0; features])?;
        Ok(Self {
            maps: maps.collect::<device::Result<_>>()?,
            picked: picked.collect::<device::Result<_>>()?,
            saved: saved.collect::<device::Result<_>>()?,
            ones,
            features: device.floats(batch * features)?,
            dropped: device.map(batch * features)?,
            logits: device.floats(batch * plan.last.outputs)?,
            planes: device.floats(batch * plan.image_len())?,
            gathers: device.bytes(batch * PictureGather::BYTES)?,
            tables: device.bytes(batch * tables_len(plan))?,
        })
    }

    /// Writes a batch into the map of the images.
    pub(crate) fn fill(
        &mut self,
        device: &D,
        plan: &Plan,
        images: &DeviceImages<'_, D>,
    ) -> Result<(), ModelFault> {
        let size = [plan.config.height, plan.config.width];
        let input = &mut self.maps[INPUT];
        match images {
            DeviceImages::Planes { images, data } => {
                device.write_floats(&mut self.planes, 0, data)?;
                device.fill_planes(*images, size, &self.planes, input)?;
            }
            DeviceImages::Pictures {
                images,
                picture_channels,
                pixels,
                gathers,
                tables,
                norms,
            } => {
                let gathers: Vec<u8> = gathers.iter().flat_map(PictureGather::to_bytes).collect();
                device.write_bytes(&mut self.gathers, 0, &gathers)?;
                if !tables.is_empty() {
                    let tables: Vec<u8> = tables.iter().flat_map(|n| n.to_le_bytes()).collect();
                    device.write_bytes(&mut self.tables, 0, &tables)?;
                }
                let pixels = match pixels {
                    Pixels::Kept(bytes) => Pixels::Kept(*bytes),
                    Pixels::Sent(staging) => Pixels::Sent(*staging),
                };
                device.fill_pictures(
                    *images,
                    size,
                    *picture_channels,
                    pixels,
                    &self.gathers,
                    &self.tables,
                    *norms,
                    input,
                )?;
            }
        }
        Ok(())
    }
}

/// Bytes of the tables of an image at most: a place for each place.
pub(crate) fn tables_len(plan: &Plan) -> usize {
    plan.places() * size_of::<i32>()
}

/// Some of the maps at once, to read the ones and write the others.
pub(crate) fn pick<M, const N: usize>(
    maps: &mut [M],
    ids: [usize; N],
) -> device::Result<[&mut M; N]> {
    maps.get_disjoint_mut(ids).map_err(|_| DeviceFault::Shape {
        call: "maps",
        problem: format!("{ids:?} are not {N} different maps"),
    })
}
