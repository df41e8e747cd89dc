//! Pictures of a cache on their way to a device: bytes, one gather each, in batches.
//!
//! For training and prediction on a card. Where the pictures of a cohort fit into the card's memory
//! they are sent once ([`DevicePictures::keep`]); else each batch is read ahead by a thread of its
//! own and sent beside the card's work. Deliberately not here: which pictures, labels, networks.

use std::sync::mpsc::sync_channel;

use cxr_augment::{Channels, Gather, PixelCache, Preprocess};
use cxr_models::DeviceImages;
use cxr_ops::device::{Device, GatherKind, PictureGather, Pixels};
use rayon::prelude::*;

use crate::infer_error::InferError;

/// Pictures that are read together when all of them are kept.
const READ_TOGETHER: usize = 128;
/// Batches on their way: one being read, one being sent, one in use.
const BATCHES_ON_THEIR_WAY: usize = 3;

/// The pictures of a cache, for one device.
#[derive(Debug)]
pub struct DevicePictures<'c, D: Device> {
    cache: &'c PixelCache,
    size: [usize; 2],
    norms: [(f32, f32); 3],
    kept: Option<Kept<D>>,
}

/// All pictures in the device's memory.
#[derive(Debug)]
struct Kept<D: Device> {
    bytes: D::Bytes,
    channels: usize,
}

/// What each picture of a batch is gathered by.
pub type GatherOf<'a> = dyn Fn(usize) -> Gather + Sync + 'a;

impl<'c, D: Device> DevicePictures<'c, D> {
    /// The pictures of `cache`, prepared as `preprocess` says. Nothing is sent yet.
    #[must_use]
    pub fn new(cache: &'c PixelCache, preprocess: &Preprocess) -> Self {
        Self {
            cache,
            size: [preprocess.height as usize, preprocess.width as usize],
            norms: [0, 1, 2].map(|c| (preprocess.mean[c], preprocess.std[c])),
            kept: None,
        }
    }

    /// Sends all pictures, to stay, if that leaves `reserve` bytes of the device's memory free.
    /// Whether they are kept.
    ///
    /// # Errors
    /// A picture that cannot be read; the device.
    pub fn keep(&mut self, device: &D, reserve: u64) -> Result<bool, InferError> {
        if self.kept.is_some() {
            return Ok(true);
        }
        for channels in [1, 3] {
            if !self.fits(device, channels, reserve)? {
                return Ok(false);
            }
            if let Some(kept) = self.send_all(device, channels)? {
                self.kept = Some(kept);
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn places(&self) -> usize {
        self.size[0] * self.size[1]
    }

    fn fits(&self, device: &D, channels: usize, reserve: u64) -> Result<bool, InferError> {
        let needed = (self.cache.len() * self.places() * channels) as u64;
        Ok(match device.memory()? {
            Some((free, _)) => needed.saturating_add(reserve) <= free,
            None => true,
        })
    }

    /// All pictures with so many channels; `None` where one has more.
    fn send_all(&self, device: &D, channels: usize) -> Result<Option<Kept<D>>, InferError> {
        let len = self.places() * channels;
        let mut bytes = device.bytes((self.cache.len() * len).max(1))?;
        let mut read = Vec::new();
        let places: Vec<usize> = (0..self.cache.len()).collect();
        for (part, places) in places.chunks(READ_TOGETHER).enumerate() {
            let pictures = read_pictures(self.cache, places, &mut read)?;
            if widest(&pictures) > channels {
                return Ok(None);
            }
            let mut together = vec![0; places.len() * len];
            lay_out(&pictures, channels, &mut together);
            device.write_bytes(&mut bytes, part * READ_TOGETHER * len, &together)?;
        }
        Ok(Some(Kept { bytes, channels }))
    }

    /// Hands the batches to `consume`, one after the other, each with its number and its places.
    /// `gather_of` gives what each place of the cache is gathered by. `consume` stops by `false`.
    /// Not to be called from a worker of a rayon pool, which would wait for its own pool.
    ///
    /// # Errors
    /// A picture that cannot be read; the device; what `consume` gives.
    pub fn feed<E: From<InferError>>(
        &self,
        device: &D,
        batches: &[Vec<usize>],
        gather_of: &GatherOf<'_>,
        consume: impl FnMut(DeviceImages<'_, D>, &[usize]) -> Result<bool, E>,
    ) -> Result<(), E> {
        match &self.kept {
            Some(kept) => self.feed_kept(kept, batches, gather_of, consume),
            None => self.feed_sent(device, batches, gather_of, consume),
        }
    }

    fn feed_kept<E: From<InferError>>(
        &self,
        kept: &Kept<D>,
        batches: &[Vec<usize>],
        gather_of: &GatherOf<'_>,
        mut consume: impl FnMut(DeviceImages<'_, D>, &[usize]) -> Result<bool, E>,
    ) -> Result<(), E> {
        let len = self.places() * kept.channels;
        for places in batches {
            let gathers = Gathers::new(places, gather_of, |_, place| place * len);
            let images = self.images(&gathers, kept.channels, Pixels::Kept(&kept.bytes));
            if !consume(images, places)? {
                break;
            }
        }
        Ok(())
    }

    fn images<'a>(
        &self,
        gathers: &'a Gathers,
        picture_channels: usize,
        pixels: Pixels<'a, D>,
    ) -> DeviceImages<'a, D> {
        DeviceImages::Pictures {
            images: gathers.gathers.len(),
            picture_channels,
            pixels,
            gathers: &gathers.gathers,
            tables: &gathers.tables,
            norms: self.norms,
        }
    }

    /// Batches through the staging buffers: a thread reads ahead and sends.
    fn feed_sent<E: From<InferError>>(
        &self,
        device: &D,
        batches: &[Vec<usize>],
        gather_of: &GatherOf<'_>,
        mut consume: impl FnMut(DeviceImages<'_, D>, &[usize]) -> Result<bool, E>,
    ) -> Result<(), E> {
        let largest = batches.iter().map(Vec::len).max().unwrap_or(0);
        let len = (largest * self.places() * 3).max(1);
        let (empty, empties) = sync_channel(BATCHES_ON_THEIR_WAY);
        for _ in 0..BATCHES_ON_THEIR_WAY {
            let staging = device.staging(len).map_err(InferError::from)?;
            // The channel holds them all, and its other end is here.
            drop(empty.send(staging));
        }
        let (full, fulls) = sync_channel(BATCHES_ON_THEIR_WAY);
        let outcome = std::thread::scope(|scope| {
            // Dropped when the last batch is consumed, so that the thread does not wait for more.
            let empty = empty;
            scope.spawn(move || {
                let mut read = Vec::new();
                for places in batches {
                    let Ok(staging) = empties.recv() else { break };
                    let sent = self.send_batch(device, places, gather_of, staging, &mut read);
                    let has_failed = sent.is_err();
                    if full.send(sent).is_err() || has_failed {
                        break;
                    }
                }
            });
            for (sent, places) in fulls.into_iter().zip(batches) {
                let (staging, gathers, channels) = sent?;
                let images = self.images(&gathers, channels, Pixels::Sent(&staging));
                if !consume(images, places)? {
                    break;
                }
                // After the last batch nobody reads any more.
                drop(empty.send(staging));
            }
            Ok(())
        });
        // The buffers go now; no work may read them any more.
        device.synchronize().map_err(InferError::from)?;
        outcome
    }

    fn send_batch(
        &self,
        device: &D,
        places: &[usize],
        gather_of: &GatherOf<'_>,
        mut staging: D::Staging,
        read: &mut Vec<Vec<u8>>,
    ) -> Result<(D::Staging, Gathers, usize), InferError> {
        let pictures = read_pictures(self.cache, places, read)?;
        let channels = widest(&pictures);
        let len = self.places() * channels;
        let n_bytes = places.len() * len;
        let bytes = device.staging_bytes(&mut staging)?;
        lay_out(&pictures, channels, &mut bytes[..n_bytes]);
        device.send(&mut staging, n_bytes)?;
        let gathers = Gathers::new(places, gather_of, |index, _| index * len);
        Ok((staging, gathers, channels))
    }
}

/// The bytes of a picture and how many channels they are of.
type PictureBytes<'a> = (&'a [u8], usize);

/// The pictures at these places, read on all threads; `memory` holds what is not in the cache's.
fn read_pictures<'a>(
    cache: &'a PixelCache,
    places: &[usize],
    memory: &'a mut Vec<Vec<u8>>,
) -> Result<Vec<PictureBytes<'a>>, InferError> {
    memory.resize_with(places.len().max(memory.len()), Vec::new);
    let outcomes: Vec<Result<PictureBytes<'a>, InferError>> = places
        .par_iter()
        .zip(memory)
        .map(|(&place, memory)| {
            let picture = cache.picture(place, memory)?;
            Ok((picture.data(), channels_of(picture.channels())))
        })
        .collect();
    // The first by place, whichever thread was first.
    outcomes.into_iter().collect()
}

fn channels_of(channels: Channels) -> usize {
    match channels {
        Channels::Gray => 1,
        Channels::Rgb => 3,
    }
}

fn widest(pictures: &[PictureBytes<'_>]) -> usize {
    pictures
        .iter()
        .map(|(_, channels)| *channels)
        .max()
        .unwrap_or(1)
}

/// One picture after the other, grey ones three times where the others are coloured.
fn lay_out(pictures: &[PictureBytes<'_>], channels: usize, together: &mut [u8]) {
    let len = together.len() / pictures.len().max(1);
    let slots = together.par_chunks_mut(len.max(1));
    slots
        .zip(pictures)
        .for_each(|(slot, (bytes, own_channels))| {
            if *own_channels == channels {
                slot.copy_from_slice(bytes);
            } else {
                for (pixel, &byte) in slot.chunks_exact_mut(channels).zip(*bytes) {
                    pixel.fill(byte);
                }
            }
        });
}

/// The gathers of a batch, with the tables that they refer to.
#[derive(Debug)]
struct Gathers {
    gathers: Vec<PictureGather>,
    tables: Vec<i32>,
}

impl Gathers {
    /// `start` gives where a picture's bytes begin, by its index in the batch and its place.
    fn new(
        places: &[usize],
        gather_of: &GatherOf<'_>,
        start: impl Fn(usize, usize) -> usize,
    ) -> Self {
        let drawn: Vec<Gather> = places.par_iter().map(|&place| gather_of(place)).collect();
        let mut tables = Vec::new();
        let gathers = (drawn.into_iter().zip(places).enumerate())
            .map(|(index, (gather, &place))| PictureGather {
                start: start(index, place) as u64,
                kind: kind_of(gather, &mut tables),
            })
            .collect();
        Self { gathers, tables }
    }
}

fn kind_of(gather: Gather, tables: &mut Vec<i32>) -> GatherKind {
    // A batch of tables is far below 2³² numbers.
    let table = tables.len() as u32;
    match gather {
        Gather::Still => GatherKind::Still,
        Gather::Fixed {
            flip,
            rotation,
            affine,
        } => GatherKind::Fixed {
            flip,
            rotation,
            affine,
        },
        Gather::Separable {
            flip,
            rotation,
            columns,
            rows,
        } => {
            tables.extend(columns);
            tables.extend(rows);
            GatherKind::Separable {
                flip,
                rotation,
                table,
            }
        }
        Gather::Table(places) => {
            tables.extend(places);
            GatherKind::Table { table }
        }
        Gather::Bilinear { matrix } => GatherKind::Bilinear { matrix },
    }
}
