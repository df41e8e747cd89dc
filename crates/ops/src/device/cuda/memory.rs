//! Memory of the card: buffers, working memory that grows, and how numbers come and go.
//!
//! For this module. Buffers are allocated and freed in the order of the work. Small writes go
//! through pinned memory, so that the host need not wait for them.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use cudarc::driver::{CudaEvent, CudaSlice, DevicePtr, PinnedHostSlice, result};

use super::fault;
use super::recorded::Recorded;
use super::stream::Streams;
use crate::device::{Part, Result};

/// Buffers come in multiples of this many bytes: no load of 16 bytes reaches beyond one.
const GRAIN: usize = 256;

/// Bytes of the card.
pub(super) struct Slab {
    /// Until it goes.
    slice: Option<CudaSlice<u8>>,
    address: u64,
    len: usize,
    recorded: Arc<Recorded>,
}

impl fmt::Debug for Slab {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} bytes at {:#x}", self.len(), self.address)
    }
}

impl Slab {
    /// At least `len` bytes, unset.
    pub(super) fn new(streams: &Streams, call: &'static str, len: usize) -> Result<Self> {
        Ok(Self::of(streams, allocate(streams, call, len)?))
    }

    /// The same, zeros.
    pub(super) fn zeros(streams: &Streams, call: &'static str, len: usize) -> Result<Self> {
        let mut slice = allocate(streams, call, len)?;
        (streams.work.memset_zeros(&mut slice)).map_err(fault::of_driver(call))?;
        Ok(Self::of(streams, slice))
    }

    fn of(streams: &Streams, slice: CudaSlice<u8>) -> Self {
        let address = slice.device_ptr(&streams.work).0;
        Self {
            address,
            len: slice.len(),
            slice: Some(slice),
            recorded: streams.recorded.clone(),
        }
    }

    /// Where it begins.
    pub(super) fn address(&self) -> u64 {
        self.address
    }

    fn len(&self) -> usize {
        self.len
    }
}

impl Drop for Slab {
    fn drop(&mut self) {
        if let Some(slice) = self.slice.take() {
            self.recorded.free(slice);
        }
    }
}

/// At least `len` bytes, unset.
fn allocate(streams: &Streams, call: &'static str, len: usize) -> Result<CudaSlice<u8>> {
    streams.refuse_recording(call)?;
    let len = len.max(1).next_multiple_of(GRAIN);
    // SAFETY: whoever asks for memory writes it before it is read.
    unsafe { streams.work.alloc::<u8>(len) }.map_err(fault::of_allocation(call, len))
}

/// Working memory that grows, but not while work is recorded.
#[derive(Debug, Default)]
pub(super) struct Workspace(Option<Arc<Slab>>);

impl Workspace {
    /// Where at least `len` bytes begin; what stood there may be gone.
    pub(super) fn reserve(
        &mut self,
        streams: &Streams,
        call: &'static str,
        len: usize,
    ) -> Result<u64> {
        match &self.0 {
            Some(slab) if slab.len() >= len => Ok(slab.address()),
            _ if streams.is_recording() => {
                let why = "it would need more memory: run the same calls once before";
                Err(fault::recorded(call, why))
            }
            _ => {
                // First the old, then the new: both need not fit. A recording may still hold it.
                self.0 = None;
                let slab = Slab::new(streams, call, len)?;
                let address = slab.address();
                self.0 = Some(Arc::new(slab));
                Ok(address)
            }
        }
    }

    /// What a recording must keep, as it holds the address.
    pub(super) fn kept(&self) -> Option<Arc<Slab>> {
        self.0.clone()
    }
}

/// Where numbers lie.
#[derive(Debug)]
enum Memory {
    Own(Slab),
    /// Somebody else's, from this address on.
    Lent(u64),
}

/// Numbers of one type in memory of the card.
pub struct Buffer<T> {
    memory: Memory,
    len: usize,
    kind: PhantomData<fn() -> T>,
}

/// Numbers in the type of maps.
#[derive(Clone, Copy, Debug)]
pub struct MapNumber;

impl<T> fmt::Debug for Buffer<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} numbers, {:?}", self.len, self.memory)
    }
}

impl<T> Buffer<T> {
    /// `len` zeros of `bytes` bytes each.
    pub(super) fn zeros(
        streams: &Streams,
        call: &'static str,
        len: usize,
        bytes: usize,
    ) -> Result<Self> {
        let slab = Slab::zeros(streams, call, bytes_in(call, len, bytes)?)?;
        Ok(Self::of(Memory::Own(slab), len))
    }

    /// The same, unset.
    pub(super) fn unset(
        streams: &Streams,
        call: &'static str,
        len: usize,
        bytes: usize,
    ) -> Result<Self> {
        let slab = Slab::new(streams, call, bytes_in(call, len, bytes)?)?;
        Ok(Self::of(Memory::Own(slab), len))
    }

    /// `len` numbers of somebody else, from `address` on.
    ///
    /// They may begin anywhere: not for functions that load more than one number at once.
    ///
    /// # Safety
    /// So many numbers lie there as long as the buffer is used, on the stream of the device that
    /// uses it or between events.
    pub(crate) unsafe fn lent(address: u64, len: usize) -> Self {
        Self::of(Memory::Lent(address), len)
    }

    fn of(memory: Memory, len: usize) -> Self {
        Self {
            memory,
            len,
            kind: PhantomData,
        }
    }

    /// How many numbers it holds.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Where it begins.
    pub(super) fn address(&self) -> u64 {
        match &self.memory {
            Memory::Own(slab) => slab.address(),
            Memory::Lent(address) => *address,
        }
    }
}

fn bytes_in(call: &'static str, len: usize, bytes: usize) -> Result<usize> {
    len.checked_mul(bytes)
        .ok_or_else(|| fault::too_large(call, "numbers", len))
}

/// Numbers that are copied as they lie in memory.
///
/// # Safety
/// The type has no padding, and every pattern of bits is one of its values.
pub(super) unsafe trait Plain: Copy + Default {}
// SAFETY: plain numbers.
unsafe impl Plain for u8 {}
// SAFETY: plain numbers.
unsafe impl Plain for u16 {}
// SAFETY: plain numbers.
unsafe impl Plain for f32 {}
// SAFETY: plain numbers.
unsafe impl Plain for f64 {}

fn bytes_of<T: Plain>(numbers: &[T]) -> &[u8] {
    // SAFETY: numbers without padding, and the bytes that they take.
    unsafe { std::slice::from_raw_parts(numbers.as_ptr().cast(), size_of_val(numbers)) }
}

/// A copy of `part` of the numbers that begin at `address`, after all work so far.
pub(super) fn download<T: Plain>(
    streams: &Streams,
    call: &'static str,
    address: u64,
    part: Part,
) -> Result<Vec<T>> {
    streams.refuse_recording(call)?;
    streams.bind(call)?;
    let mut numbers = vec![T::default(); part.len];
    if part.len > 0 {
        let from = address + (part.start * size_of::<T>()) as u64;
        let stream = streams.work.cu_stream();
        // SAFETY: the caller has held the part against the buffer's length; the host waits below.
        unsafe { result::memcpy_dtoh_async(&mut numbers, from, stream) }
            .map_err(fault::of_driver(call))?;
        streams.synchronize(call)?;
    }
    Ok(numbers)
}

/// Pinned memory that small writes go through, one slot after the other.
pub(super) struct Letters {
    pinned: PinnedHostSlice<u8>,
    sent: Vec<CudaEvent>,
    next: usize,
}

impl fmt::Debug for Letters {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Letters {{ next: {} }}", self.next)
    }
}

impl Letters {
    const SLOTS: usize = 16;
    /// Targets, masks and dropout factors of a batch fit.
    const SLOT_BYTES: usize = 1 << 20;

    pub(super) fn new(streams: &Streams) -> Result<Self> {
        let failed = fault::of_driver("Cuda::new");
        let len = Self::SLOTS * Self::SLOT_BYTES;
        let events = (0..Self::SLOTS).map(|_| streams.context.new_event(None));
        Ok(Self {
            // SAFETY: a slot is written before it is sent.
            pinned: unsafe { streams.context.alloc_pinned_with_flags(len, 0) }.map_err(&failed)?,
            sent: events
                .collect::<std::result::Result<_, _>>()
                .map_err(&failed)?,
            next: 0,
        })
    }

    /// Overwrites what begins at `address`.
    pub(super) fn upload<T: Plain>(
        &mut self,
        streams: &Streams,
        call: &'static str,
        address: u64,
        numbers: &[T],
    ) -> Result<()> {
        streams.refuse_recording(call)?;
        streams.bind(call)?;
        let bytes = bytes_of(numbers);
        if bytes.is_empty() {
            return Ok(());
        }
        if bytes.len() > Self::SLOT_BYTES {
            // SAFETY: the caller has held the numbers against the buffer's length; they stay until
            // the host has waited.
            unsafe { result::memcpy_htod_async(address, bytes, streams.work.cu_stream()) }
                .map_err(fault::of_driver(call))?;
            return streams.synchronize(call);
        }
        self.post(streams, address, bytes)
            .map_err(fault::of_driver(call))
    }

    fn post(
        &mut self,
        streams: &Streams,
        address: u64,
        bytes: &[u8],
    ) -> std::result::Result<(), result::DriverError> {
        let sent = &self.sent[self.next];
        sent.synchronize()?;
        let start = self.next * Self::SLOT_BYTES;
        let slot = &mut self.pinned.as_mut_slice()?[start..start + bytes.len()];
        slot.copy_from_slice(bytes);
        // SAFETY: as above; the slot is not written again before the event has come.
        unsafe { result::memcpy_htod_async(address, slot, streams.work.cu_stream()) }?;
        sent.record(&streams.work)?;
        self.next = (self.next + 1) % Self::SLOTS;
        Ok(())
    }
}

impl Drop for Letters {
    /// Pinned memory must not go before what is read from it has been read.
    fn drop(&mut self) {
        for sent in &self.sent {
            sent.context().record_err(sent.synchronize());
        }
    }
}

/// The upper half of an f32, rounded to nearest, ties to even; not a number stays one.
pub(super) fn bf16_bits(number: f32) -> u16 {
    let bits = number.to_bits();
    if number.is_nan() {
        return (bits >> 16) as u16 | 0x40;
    }
    (bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16) as u16
}

/// The f32 of such bits, exactly.
pub(super) fn of_bf16_bits(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bf16_rounds_to_nearest_and_ties_to_even() {
        // One and a half steps of the last of 8 bits: between 1 + 1/128 and 1 + 2/128.
        for (number, rounded) in [
            (1.0, 1.0),
            (1.0 + 0.49 / 128.0, 1.0),
            (1.0 + 0.5 / 128.0, 1.0),
            (1.0 + 0.51 / 128.0, 1.0 + 1.0 / 128.0),
            (1.0 + 1.5 / 128.0, 1.0 + 2.0 / 128.0),
            (-1.0 - 1.5 / 128.0, -1.0 - 2.0 / 128.0),
            (f32::MAX, f32::INFINITY),
            (f32::NEG_INFINITY, f32::NEG_INFINITY),
        ] {
            let back = of_bf16_bits(bf16_bits(number));
            assert_eq!(back.to_bits(), f32::to_bits(rounded), "{number}");
        }
    }

    #[test]
    fn not_a_number_stays_one_in_bf16() {
        // Its only set bits of the mantissa are those that are cut off.
        let lowest = f32::from_bits(0x7f80_0001);
        assert!(of_bf16_bits(bf16_bits(lowest)).is_nan());
        assert!(of_bf16_bits(bf16_bits(-f32::NAN)).is_nan());
    }
}
