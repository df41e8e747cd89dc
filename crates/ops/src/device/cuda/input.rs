//! Pictures and planes into the input map, and the bytes that are sent beside the work.

use std::fmt;

use cudarc::driver::{CudaEvent, PinnedHostSlice, result};

use super::grid::{FLAT_BLOCKS, Grid, int};
use super::launch::arguments;
use super::memory::Slab;
use super::stream::Streams;
use super::{Bytes, Cuda, Floats, Inner, Map, fault};
use crate::device::checks::Call;
use crate::device::{PictureGather, Pixels, Result};

/// Bytes of an entry of the tables.
const TABLE_ENTRY: usize = 4;

/// Bytes on their way to the card, beside its work.
pub struct Staging {
    host: PinnedHostSlice<u8>,
    device: Slab,
    len: usize,
    /// The last bytes that were sent are on the card.
    arrived: CudaEvent,
    /// The last call that reads them is done.
    read: CudaEvent,
}

impl fmt::Debug for Staging {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} bytes on both sides", self.len)
    }
}

impl Staging {
    pub(super) fn new(streams: &Streams, len: usize) -> Result<Self> {
        let failed = fault::of_allocation("staging", len);
        let device = Slab::zeros(streams, "staging", len)?;
        // SAFETY: the bytes are set below, before anybody sees them.
        let host = unsafe { streams.context.alloc_pinned_with_flags(len.max(1), 0) };
        let mut host: PinnedHostSlice<u8> = host.map_err(&failed)?;
        host.as_mut_slice().map_err(&failed)?.fill(0);
        let event = || streams.context.new_event(None).map_err(&failed);
        let (arrived, read) = (event()?, event()?);
        // The zeros that were written on the stream of work count as a read.
        read.record(&streams.work).map_err(&failed)?;
        Ok(Self {
            host,
            device,
            len,
            arrived,
            read,
        })
    }

    /// The host's side, when what was sent from it has arrived.
    pub(super) fn bytes(&mut self) -> Result<&mut [u8]> {
        let failed = fault::of_driver("staging_bytes");
        self.arrived.synchronize().map_err(&failed)?;
        let bytes = self.host.as_mut_slice().map_err(&failed)?;
        Ok(&mut bytes[..self.len])
    }

    pub(super) fn send(&mut self, streams: &Streams, len: usize) -> Result<()> {
        let call = Call("send");
        call.holds("the staging", self.len, len)?;
        // Also while another thread records: what is sent goes beside the recorded stream.
        streams.bind(call.0)?;
        let failed = fault::of_driver(call.0);
        if len > 0 {
            streams.copies.wait(&self.read).map_err(&failed)?;
            let bytes = &self.host.as_slice().map_err(&failed)?[..len];
            let (address, stream) = (self.device.address(), streams.copies.cu_stream());
            // SAFETY: both sides hold so many bytes; whoever writes or frees them waits for
            // `arrived`.
            unsafe { result::memcpy_htod_async(address, bytes, stream) }.map_err(&failed)?;
        }
        self.arrived.record(&streams.copies).map_err(&failed)
    }
}

impl Drop for Staging {
    /// Neither side may go before what was sent has arrived.
    fn drop(&mut self) {
        let context = self.arrived.context();
        context.record_err(self.arrived.synchronize());
    }
}

/// A batch of pictures that lie in memory of the card.
pub(super) struct Batch<'a> {
    pub(super) images: usize,
    /// Height and width.
    pub(super) size: [usize; 2],
    pub(super) picture_channels: usize,
    pub(super) gathers: &'a Bytes,
    pub(super) tables: &'a Bytes,
    pub(super) norms: [(f32, f32); 3],
}

impl Inner {
    pub(super) fn fill_pictures(
        &self,
        batch: &Batch<'_>,
        pixels: &Pixels<'_, Cuda>,
        output: &mut Map,
    ) -> Result<()> {
        let call = Call("fill_pictures");
        self.check_batch(call, batch, output)?;
        match pixels {
            Pixels::Kept(bytes) => {
                self.launch_fill(call, batch, bytes.address(), bytes.len(), output)
            }
            Pixels::Sent(staging) => {
                self.streams.refuse_recording(call.0)?;
                let failed = fault::of_driver(call.0);
                let work = &self.streams.work;
                work.wait(&staging.arrived).map_err(&failed)?;
                let address = staging.device.address();
                self.launch_fill(call, batch, address, staging.len, output)?;
                staging.read.record(work).map_err(&failed)
            }
        }
    }

    fn check_batch(&self, call: Call, batch: &Batch<'_>, output: &Map) -> Result<()> {
        call.pictures(batch.images, batch.size)?;
        if ![1, 3].contains(&batch.picture_channels) {
            let channels = batch.picture_channels;
            return call.refuse(format!("{channels} channels in a picture, not 1 or 3"));
        }
        let needed = batch.images * PictureGather::BYTES;
        call.holds("the gathers", batch.gathers.len(), needed)?;
        self.holds_input(call, batch.images, batch.size, output)
    }

    /// Holds the input map against a batch.
    fn holds_input(
        &self,
        call: Call,
        images: usize,
        [height, width]: [usize; 2],
        output: &Map,
    ) -> Result<()> {
        int(call.0, "pixels in a picture", height * width)?;
        let needed = images * height * width * self.precision.input_channels();
        call.holds("the output", output.len(), needed)
    }

    fn launch_fill(
        &self,
        call: Call,
        batch: &Batch<'_>,
        pixels: u64,
        n_pixels: usize,
        output: &mut Map,
    ) -> Result<()> {
        let [height, width] = batch.size;
        let [red, green, blue] = batch.norms;
        self.launch(
            call.0,
            self.grid_of_pixels(batch.images, height * width),
            arguments![
                pixels,
                n_pixels,
                batch.gathers.address(),
                batch.tables.address(),
                batch.tables.len() / TABLE_ENTRY,
                int(call.0, "images", batch.images)?,
                int(call.0, "rows of pixels", height)?,
                int(call.0, "columns of pixels", width)?,
                int(call.0, "channels", batch.picture_channels)?,
                red.0,
                green.0,
                blue.0,
                red.1,
                green.1,
                blue.1,
                output.address()
            ],
        )
    }

    fn grid_of_pixels(&self, images: usize, places: usize) -> Grid {
        let most = self.streams.multiprocessors * FLAT_BLOCKS;
        Grid::flat_each(places, most, images)
    }

    pub(super) fn fill_planes(
        &self,
        images: usize,
        size: [usize; 2],
        planes: &Floats,
        output: &mut Map,
    ) -> Result<()> {
        let call = Call("fill_planes");
        call.pictures(images, size)?;
        let places = size[0] * size[1];
        call.holds("the planes", planes.len(), images * 3 * places)?;
        self.holds_input(call, images, size, output)?;
        self.launch(
            call.0,
            self.grid_of_pixels(images, places),
            arguments![
                planes.address(),
                int(call.0, "images", images)?,
                int(call.0, "pixels in a picture", places)?,
                output.address()
            ],
        )
    }
}
