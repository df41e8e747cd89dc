//! The plain grey PNG, which nearly every radiograph is, by a shorter way than the `png` crate's.
//!
//! Only files that the crate would read to the same pixels without a word are taken: 8-bit grey, no
//! interlace, every checksum right, nothing missing, nothing left over. Of all others `png_file`
//! judges, so there is one place that says what is wrong with a file. Deliberately not here: errors.

use std::cell::Cell;

use cxr_isa::Isa;
use fdeflate::Decompressor;

use crate::decode::check_size;
use crate::pixels::{Channels, Pixels};
use crate::unfilter::unfilter;

const SIGNATURE: [u8; 8] = *b"\x89PNG\r\n\x1a\n";

/// The picture of a plain grey file; `None` for any other, sound or not.
pub(crate) fn decode(bytes: &[u8], isa: Isa) -> Option<Pixels> {
    let mut chunks = Chunks {
        rest: bytes.strip_prefix(&SIGNATURE)?,
    };
    let (kind, header) = chunks.next()?;
    let (width, height) = plain_gray_size(kind, header)?;
    let mut inflater = Inflater::new((width + 1) * height);
    let mut seen = Vec::new();
    let (mut kind, mut data) = chunks.next()?;
    while kind != *b"IDAT" {
        is_harmless(kind, data, &seen).then_some(())?;
        seen.push(kind);
        (kind, data) = chunks.next()?;
    }
    while kind == *b"IDAT" {
        inflater.take(data)?;
        (kind, data) = chunks.next()?;
    }
    let is_end = kind == *b"IEND" && data.is_empty() && chunks.rest.is_empty();
    let filtered = is_end.then(|| inflater.whole()).flatten()?;
    let mut pixels = vec![0; width * height];
    unfilter(isa, filtered, width, &mut pixels)?;
    Some(Pixels::of_checked(width, height, Channels::Gray, pixels))
}

/// Chunks with a right checksum, as kind and data.
struct Chunks<'a> {
    rest: &'a [u8],
}

impl<'a> Chunks<'a> {
    fn next(&mut self) -> Option<([u8; 4], &'a [u8])> {
        let (len, rest) = self.rest.split_first_chunk()?;
        let len = u32::from_be_bytes(*len) as usize;
        let (checked, rest) = rest.split_at_checked(len.checked_add(4)?)?;
        let (checksum, rest) = rest.split_first_chunk()?;
        if crc32fast::hash(checked) != u32::from_be_bytes(*checksum) {
            return None;
        }
        self.rest = rest;
        let (kind, data) = checked.split_first_chunk()?;
        Some((*kind, data))
    }
}

/// Width and height of a header that says 8-bit grey, not interlaced, and is within the limits.
fn plain_gray_size(kind: [u8; 4], header: &[u8]) -> Option<(usize, usize)> {
    let (width, rest) = header.split_first_chunk()?;
    let (height, rest) = rest.split_first_chunk()?;
    // Depth, colour type, compression, filter, interlace.
    if kind != *b"IHDR" || rest != [8, 0, 0, 0, 0] {
        return None;
    }
    let (width, height) = (u32::from_be_bytes(*width), u32::from_be_bytes(*height));
    check_size("", width, height, 1).ok()?;
    Some((width as usize, height as usize))
}

/// Whether the crate reads this chunk without a word, and no pixel depends on it.
fn is_harmless(kind: [u8; 4], data: &[u8], seen: &[[u8; 4]]) -> bool {
    let is_sound = match (&kind, data) {
        (b"tIME", _) => data.len() == 7,
        (b"gAMA", gamma) => gamma.len() == 4 && gamma != [0; 4],
        (b"sRGB", [intent]) => *intent <= 3,
        (b"pHYs", [.., unit]) => data.len() == 9 && *unit <= 1,
        _ => false,
    };
    is_sound && !seen.contains(&kind)
}

/// Compressed data of several chunks into one buffer of a known length.
struct Inflater {
    decompressor: Decompressor,
    output: Vec<u8>,
    len: usize,
    n_written: usize,
}

/// A larger buffer is not kept for the next picture.
const KEPT_BYTES: usize = 16 << 20;

thread_local! {
    /// The last picture's buffer: the system takes as long to give a new one as a row filter takes.
    static OUTPUT: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

impl Inflater {
    fn new(len: usize) -> Self {
        let mut output = OUTPUT.take();
        // One byte longer than the data should be, so that more than that are noticed.
        if output.len() <= len {
            output.resize(len + 1, 0);
        }
        Self {
            decompressor: Decompressor::new(),
            output,
            len,
            n_written: 0,
        }
    }

    /// Inflates all of `data`.
    fn take(&mut self, mut data: &[u8]) -> Option<()> {
        while !data.is_empty() {
            let (n_read, n_written) = self
                .decompressor
                .read(data, &mut self.output[..=self.len], self.n_written, false)
                .ok()?;
            self.n_written += n_written;
            data = data.get(n_read..)?;
            if n_read == 0 && n_written == 0 {
                return None;
            }
        }
        Some(())
    }

    /// The data, if they are whole, of the expected length and of the checksum behind them.
    fn whole(&self) -> Option<&[u8]> {
        let is_whole = self.decompressor.is_done() && self.n_written == self.len;
        is_whole.then_some(&self.output[..self.len])
    }
}

impl Drop for Inflater {
    fn drop(&mut self) {
        if self.output.len() <= KEPT_BYTES {
            OUTPUT.set(std::mem::take(&mut self.output));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use cxr_stream::{Purpose, Stream};

    use super::*;
    use crate::png_file;
    use crate::preprocess::BitDepthPolicy;

    const FILTERS: [png::Filter; 6] = [
        png::Filter::NoFilter,
        png::Filter::Sub,
        png::Filter::Up,
        png::Filter::Avg,
        png::Filter::Paeth,
        png::Filter::Adaptive,
    ];

    /// A grey film of noise on a slope, with this filter.
    fn film(width: u32, height: u32, filter: png::Filter, stream: &mut Stream) -> Vec<u8> {
        let data: Vec<u8> = (0..width * height)
            .map(|i| (f64::from(i % width + i / width) + stream.uniform() * 9.0) as u8)
            .collect();
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, width, height);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_filter(filter);
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(&data).unwrap();
        writer.finish().unwrap();
        file
    }

    /// The chunks of a file, as kind and data.
    fn chunks(file: &[u8]) -> Vec<([u8; 4], Vec<u8>)> {
        let mut chunks = Chunks { rest: &file[8..] };
        std::iter::from_fn(|| chunks.next())
            .map(|(kind, data)| (kind, data.to_vec()))
            .collect()
    }

    fn file_of(chunks: &[([u8; 4], Vec<u8>)]) -> Vec<u8> {
        let mut file = SIGNATURE.to_vec();
        for (kind, data) in chunks {
            let checked = [kind.as_slice(), data].concat();
            file.extend((data.len() as u32).to_be_bytes());
            file.extend(&checked);
            file.extend(crc32fast::hash(&checked).to_be_bytes());
        }
        file
    }

    /// What the crate makes of a file, if it has nothing to say about it.
    fn by_the_crate(file: &[u8]) -> Option<Pixels> {
        let decoded = png_file::decode(file, "", BitDepthPolicy::Scale).ok()?;
        decoded.warnings.is_empty().then_some(decoded.pixels)
    }

    fn assert_agreement(file: &[u8], what: &str) -> bool {
        for isa in Isa::ALL {
            let short = decode(file, isa);
            if short.is_some() {
                assert!(short == by_the_crate(file), "{what}, {isa}: {file:?}");
            }
        }
        decode(file, Isa::best()).is_some()
    }

    fn below(stream: &mut Stream, n: usize) -> usize {
        (stream.uniform() * n as f64) as usize
    }

    #[test]
    fn plain_grey_files_are_taken_whatever_their_filter() {
        let mut stream = Stream::new(0, Purpose::Test, 0, 0);
        for filter in FILTERS {
            for (width, height) in [(1, 1), (1, 50), (50, 1), (17, 33), (64, 48), (130, 70)] {
                let file = film(width, height, filter, &mut stream);
                let what = format!("{filter:?} {width}×{height}");
                assert!(assert_agreement(&file, &what), "{what} was not taken");
            }
        }
    }

    /// Harm that leaves the chunks' checksums right, so that what is behind them is tried.
    fn harmed(chunks: &mut Vec<([u8; 4], Vec<u8>)>, stream: &mut Stream) {
        const KINDS: [&[u8; 4]; 12] = [
            b"tIME", b"gAMA", b"sRGB", b"pHYs", b"tRNS", b"PLTE", b"IDAT", b"IEND", b"acTL",
            b"zTXt", b"abCD", b"IHDR",
        ];
        let place = below(stream, chunks.len());
        match below(stream, 8) {
            0 => {
                let data = &mut chunks[place].1;
                if !data.is_empty() {
                    let at = below(stream, data.len());
                    data[at] ^= 1 << below(stream, 8);
                }
            }
            1 => {
                let n = chunks[place].1.len();
                chunks[place].1.truncate(below(stream, n + 1));
            }
            2 => chunks[place].1.extend([0, 1, 2]),
            3 => {
                // One chunk's data in two, empty ones among them.
                let (kind, data) = chunks[place].clone();
                let at = below(stream, data.len() + 1);
                chunks[place].1.truncate(at);
                chunks.insert(place + 1, (kind, data[at..].to_vec()));
            }
            4 => {
                let kind = *KINDS[below(stream, KINDS.len())];
                let len = [0, 1, 4, 7, 9][below(stream, 5)];
                let value = below(stream, 5) as u8;
                chunks.insert(place + below(stream, 2), (kind, vec![value; len]));
            }
            5 => drop(chunks.remove(place)),
            6 => {
                let other = below(stream, chunks.len());
                chunks.swap(place, other);
            }
            _ => {
                // A field of the header.
                let at = below(stream, 13);
                if let Some(byte) = chunks[0].1.get_mut(at) {
                    *byte = below(stream, 20) as u8;
                }
            }
        }
    }

    #[test]
    fn of_ten_thousand_harmed_files_none_is_taken_that_the_crate_refuses_or_reads_otherwise() {
        let mut stream = Stream::new(1, Purpose::Test, 0, 0);
        let (mut n_taken, mut n_refused) = (0, 0);
        for round in 0..10_000 {
            let (width, height) = (1 + below(&mut stream, 40), 1 + below(&mut stream, 40));
            let filter = FILTERS[round % FILTERS.len()];
            let mut file = film(width as u32, height as u32, filter, &mut stream);
            for _ in 0..=below(&mut stream, 2) {
                if round % 3 == 0 {
                    // Anywhere, checksums and lengths too.
                    let at = below(&mut stream, file.len());
                    match below(&mut stream, 3) {
                        0 => file[at] ^= 1 << below(&mut stream, 8),
                        1 => file.truncate(at),
                        _ => file.insert(at, below(&mut stream, 256) as u8),
                    }
                    if file.is_empty() {
                        break;
                    }
                } else {
                    let mut chunks = chunks(&file);
                    if chunks.is_empty() {
                        break;
                    }
                    harmed(&mut chunks, &mut stream);
                    file = file_of(&chunks);
                }
            }
            if assert_agreement(&file, &format!("round {round}")) {
                n_taken += 1;
            } else {
                n_refused += 1;
            }
        }
        // Both ways must have been gone often for this to say anything.
        assert!(
            n_taken > 500 && n_refused > 5000,
            "{n_taken} taken, {n_refused} refused"
        );
    }

    #[test]
    fn nih_radiographs_are_read_as_by_the_crate() {
        let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/nih/images-1024");
        let Ok(folder) = std::fs::read_dir(&shared) else {
            println!("skipped: {} is not there", shared.display());
            return;
        };
        let (mut n_taken, mut n_files) = (0, 0);
        for entry in folder {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "png") {
                let file = std::fs::read(&path).unwrap();
                n_taken += usize::from(assert_agreement(&file, &path.to_string_lossy()));
                n_files += 1;
            }
        }
        // Four have an alpha channel; one a colour profile.
        assert_eq!((n_taken, n_files), (20, 24));
    }
}
