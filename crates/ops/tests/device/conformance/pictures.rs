//! Pictures under every kind of gather, and planes, into the network's input.

use cxr_ops::device::{Device, GatherKind, Part, PictureGather, Pixels, Result};

use super::case::{Case, check};
use super::desk::{Desk, Rule};

const NORMS: [(f32, f32); 3] = [(0.485, 0.229), (0.456, 0.224), (0.406, 0.225)];

/// One picture of each kind in a batch, grey and coloured, from memory that stays and from what was
/// sent.
pub(crate) fn check_pictures<D: Device>(device: &D) {
    for size in [[5, 7], [33, 20], [1, 9], [24, 32]] {
        for picture_channels in [1, 3] {
            for is_sent in [false, true] {
                let case = Pictures {
                    size,
                    picture_channels,
                    is_sent,
                };
                check(device, &case);
            }
        }
    }
}

/// Planes into maps.
pub(crate) fn check_planes<D: Device>(device: &D) {
    for (images, size) in [(1, [5, 7]), (3, [9, 4]), (2, [20, 33])] {
        check(device, &Planes { images, size });
    }
}

#[derive(Debug)]
struct Pictures {
    size: [usize; 2],
    picture_channels: usize,
    is_sent: bool,
}

impl Case for Pictures {
    fn name(&self) -> String {
        format!("{self:?}")
    }

    fn run<D: Device>(&self, desk: &mut Desk<'_, D>) -> Result<()> {
        let kinds = self.kinds(desk);
        let tables = self.tables(desk);
        let picture_len = self.places() * self.picture_channels;
        let gathers: Vec<u8> = (0_u64..)
            .zip(&kinds)
            .flat_map(|(index, &kind)| {
                // Pictures lie in another order than they are shown in, and not from 0 on.
                let start = 3 + (index * 5 % kinds.len() as u64) * picture_len as u64;
                PictureGather { start, kind }.to_bytes()
            })
            .collect();
        let pixels = desk.random_bytes(3 + kinds.len() * picture_len);
        let numbers = self.filled(desk, kinds.len(), &pixels, &gathers, &tables)?;
        self.keep(desk, &kinds, &numbers);
        Ok(())
    }
}

impl Pictures {
    fn places(&self) -> usize {
        self.size[0] * self.size[1]
    }

    fn kinds<D: Device>(&self, desk: &mut Desk<'_, D>) -> Vec<GatherKind> {
        let separable_len = (self.size[0] + self.size[1]) as u32;
        let turn = |desk: &mut Desk<'_, D>| -> [i32; 6] {
            let near_one = |desk: &mut Desk<'_, D>| 60_000 + desk.below(12_000) as i32;
            let small = |desk: &mut Desk<'_, D>| desk.below(40_000) as i32 - 20_000;
            let start = |desk: &mut Desk<'_, D>| desk.below(300_000) as i32 - 120_000;
            [
                near_one(desk),
                small(desk),
                start(desk),
                small(desk),
                near_one(desk),
                start(desk),
            ]
        };
        let wild: [i32; 6] = std::array::from_fn(|_| desk.bits() as i32);
        let whole = [65_536, 0, 0, 0, 65_536, 0];
        let fixed = |flip, rotation, affine| GatherKind::Fixed {
            flip,
            rotation,
            affine,
        };
        let separable = |flip, rotation| GatherKind::Separable {
            flip,
            rotation,
            table: 2,
        };
        let matrix = |desk: &mut Desk<'_, D>| {
            let wide = |numbers: Vec<f32>| f64::from(numbers[0]);
            let [b, d, c, f] = [(); 4].map(|()| wide(desk.normal(1)));
            [1.1, 0.3 * b, c, 0.3 * d, -0.9, self.size[0] as f64 + f]
        };
        vec![
            GatherKind::Still,
            fixed(false, turn(desk), turn(desk)),
            fixed(true, turn(desk), turn(desk)),
            fixed(true, whole, whole),
            fixed(false, whole, wild),
            separable(false, turn(desk)),
            separable(true, whole),
            GatherKind::Table {
                table: 2 + separable_len,
            },
            GatherKind::Bilinear {
                matrix: matrix(desk),
            },
            GatherKind::Bilinear {
                matrix: [-1.0, 0.0, self.size[1] as f64, 0.0, 1.0, 0.0],
            },
            GatherKind::Bilinear {
                matrix: matrix(desk),
            },
        ]
    }

    /// Two numbers that nothing refers to, columns and rows of a separable map, a place for each
    /// place; some are outside.
    fn tables<D: Device>(&self, desk: &mut Desk<'_, D>) -> Vec<u8> {
        let [height, width] = self.size;
        let mut entries = vec![i32::MIN; 2];
        for (count, bound) in [
            (width, width),
            (height, height),
            (self.places(), self.places()),
        ] {
            entries.extend((0..count).map(|_| desk.below(bound + 2) as i32 - 1));
        }
        entries.into_iter().flat_map(i32::to_le_bytes).collect()
    }

    fn filled<D: Device>(
        &self,
        desk: &Desk<'_, D>,
        images: usize,
        pixels: &[u8],
        gathers: &[u8],
        tables: &[u8],
    ) -> Result<Vec<f32>> {
        let device = desk.device;
        let (gathers, tables) = (desk.bytes(gathers)?, desk.bytes(tables)?);
        let kept = desk.bytes(pixels)?;
        let mut staging = device.staging(pixels.len() + 5)?;
        device.staging_bytes(&mut staging)?[..pixels.len()].copy_from_slice(pixels);
        device.send(&mut staging, pixels.len())?;
        // What is filled in next is not what was sent.
        device.staging_bytes(&mut staging)?.fill(1);
        let pixels = if self.is_sent {
            Pixels::Sent(&staging)
        } else {
            Pixels::Kept(&kept)
        };
        let len = images * self.places() * device.precision().input_channels();
        let mut output = desk.poisoned_map(len)?;
        device.fill_pictures(
            images,
            self.size,
            self.picture_channels,
            pixels,
            &gathers,
            &tables,
            NORMS,
            &mut output,
        )?;
        device.read_map(&output, Part::first(len))
    }

    fn keep<D: Device>(&self, desk: &mut Desk<'_, D>, kinds: &[GatherKind], numbers: &[f32]) {
        let channels = desk.device.precision().input_channels();
        for (kind, image) in kinds.iter().zip(numbers.chunks(self.places() * channels)) {
            let colours = colours(image, channels);
            match kind {
                GatherKind::Bilinear { .. } => {
                    desk.keep_map_numbers("a picture between pixels", colours, Rule::Sums);
                }
                _ => desk.keep_map_numbers("a picture of pixels", colours, Rule::Exact),
            }
        }
    }
}

/// The first three channels; asserts that the others are 0.
fn colours(pixels: &[f32], channels: usize) -> Vec<f32> {
    let (mut colours, mut rest) = (Vec::<f32>::new(), Vec::<f32>::new());
    for pixel in pixels.chunks(channels) {
        colours.extend(&pixel[..3]);
        rest.extend(&pixel[3..]);
    }
    assert!(rest.iter().all(|&number| number == 0.0), "{rest:?}");
    colours
}

#[derive(Debug)]
struct Planes {
    images: usize,
    size: [usize; 2],
}

impl Case for Planes {
    fn name(&self) -> String {
        format!("{self:?}")
    }

    fn run<D: Device>(&self, desk: &mut Desk<'_, D>) -> Result<()> {
        let (device, places) = (desk.device, self.size[0] * self.size[1]);
        let channels = device.precision().input_channels();
        let planes = desk.normal(self.images * 3 * places);
        let planes = desk.floats(&planes)?;
        let len = self.images * places * channels;
        let mut output = desk.poisoned_map(len)?;
        device.fill_planes(self.images, self.size, &planes, &mut output)?;
        let numbers = device.read_map(&output, Part::first(len))?;
        desk.keep_map_numbers("planes", colours(&numbers, channels), Rule::Exact);
        Ok(())
    }
}
