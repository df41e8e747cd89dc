//! Whether the scans of a baseline JPEG hold every block that its header promises.
//!
//! Decoders go on past missing data with zero bits and leave a grey or smeared patch, and a file
//! that was cut and closed again with an end marker looks whole. Here the codes are walked, without
//! reconstructing anything, and each block must be there. Progressive files are not walked.

use crate::jpeg_markers::{Component, Frame, Scan};

/// What is wrong with a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ScanFault {
    /// The data ends before the blocks do.
    Cut,
    /// The data cannot be what its tables say.
    Bad(&'static str),
}

/// Checks every scan of a baseline frame, and that they bring every component.
pub(crate) fn check(frame: &Frame, scans: &[Scan<'_>]) -> Result<(), ScanFault> {
    let n_seen: usize = scans.iter().map(|scan| scan.components.len()).sum();
    if n_seen < frame.components.len() {
        return Err(ScanFault::Cut);
    }
    scans.iter().try_for_each(|scan| check_scan(frame, scan))
}

fn check_scan(frame: &Frame, scan: &Scan<'_>) -> Result<(), ScanFault> {
    let layout = Layout::new(frame, scan)?;
    let mut n_units_left = layout.n_units;
    let restart_interval = match scan.restart_interval {
        0 => n_units_left,
        interval => usize::from(interval),
    };
    let mut segments = Segments(scan.data);
    while n_units_left > 0 {
        let segment = segments.next().ok_or(ScanFault::Cut)?;
        let n_units = restart_interval.min(n_units_left);
        let mut bits = Bits::new(segment);
        for _ in 0..n_units {
            for (n_blocks, dc, ac) in &layout.unit {
                for _ in 0..*n_blocks {
                    skip_block(&mut bits, dc, ac)?;
                }
            }
        }
        n_units_left -= n_units;
    }
    Ok(())
}

/// What one coded unit of a scan is made of, and how many there are.
struct Layout {
    /// (blocks, DC codes, AC codes) of each component.
    unit: Vec<(usize, Codes, Codes)>,
    n_units: usize,
}

impl Layout {
    fn new(frame: &Frame, scan: &Scan<'_>) -> Result<Self, ScanFault> {
        let most = |side: fn(&Component) -> u8| frame.components.iter().map(side).max();
        let widest = usize::from(most(|c| c.across).unwrap_or(1)).max(1);
        let tallest = usize::from(most(|c| c.down).unwrap_or(1)).max(1);
        let (width, height) = (frame.width as usize, frame.height as usize);
        let is_alone = scan.components.len() == 1;
        let mut unit = Vec::new();
        let mut n_units = width.div_ceil(8 * widest) * height.div_ceil(8 * tallest);
        for part in &scan.components {
            let component = frame
                .components
                .get(part.component)
                .ok_or(ScanFault::Bad("a scan names a component that is not there"))?;
            let (across, down) = (usize::from(component.across), usize::from(component.down));
            if !(1..=4).contains(&across) || !(1..=4).contains(&down) {
                return Err(ScanFault::Bad("a sampling factor is not 1 to 4"));
            }
            let codes = |table: Option<&[u8]>| {
                table
                    .ok_or(ScanFault::Bad(
                        "a scan names a code table that is not there",
                    ))
                    .and_then(Codes::new)
            };
            let n_blocks = if is_alone { 1 } else { across * down };
            if is_alone {
                let columns = (width * across).div_ceil(widest).div_ceil(8);
                let rows = (height * down).div_ceil(tallest).div_ceil(8);
                n_units = columns * rows;
            }
            unit.push((n_blocks, codes(part.dc)?, codes(part.ac)?));
        }
        Ok(Self { unit, n_units })
    }
}

fn skip_block(bits: &mut Bits<'_>, dc: &Codes, ac: &Codes) -> Result<(), ScanFault> {
    let n_bits = dc.next(bits)?;
    if n_bits > 15 {
        return Err(ScanFault::Bad("a difference of more than 15 bits"));
    }
    bits.skip(u32::from(n_bits))?;
    let mut place = 1;
    while place < 64 {
        let symbol = ac.next(bits)?;
        let (run, n_bits) = (symbol >> 4, symbol & 15);
        match (run, n_bits) {
            (15, 0) => place += 16,
            (_, 0) => return Ok(()),
            _ => {
                place += u32::from(run) + 1;
                bits.skip(u32::from(n_bits))?;
            }
        }
    }
    if place > 64 {
        return Err(ScanFault::Bad("a block of more than 64 coefficients"));
    }
    Ok(())
}

/// The parts of a scan's data between restart markers.
struct Segments<'a>(&'a [u8]);

impl<'a> Iterator for Segments<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.0.is_empty() {
            return None;
        }
        let mut at = 0;
        while at + 1 < self.0.len() {
            match (self.0[at], self.0[at + 1]) {
                (0xff, 0xd0..=0xd7) => {
                    let (segment, rest) = self.0.split_at(at);
                    self.0 = &rest[2..];
                    return Some(segment);
                }
                (0xff, 0x00) => at += 2,
                _ => at += 1,
            }
        }
        Some(std::mem::take(&mut self.0))
    }
}

/// The bits of a segment, the high ones first; `ff 00` stands for `ff`.
struct Bits<'a> {
    bytes: &'a [u8],
    /// The next bits, at the top.
    window: u64,
    n_held: u32,
}

impl<'a> Bits<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            window: 0,
            n_held: 0,
        }
    }

    /// Holds 16 bits where the data has them.
    #[inline]
    fn fill(&mut self) {
        while self.n_held <= 48 {
            let Some((&byte, rest)) = self.bytes.split_first() else {
                return;
            };
            self.bytes = match (byte, rest.first()) {
                (0xff, Some(0)) => &rest[1..],
                _ => rest,
            };
            self.window |= u64::from(byte) << (56 - self.n_held);
            self.n_held += 8;
        }
    }

    #[inline]
    fn skip(&mut self, n: u32) -> Result<(), ScanFault> {
        if self.n_held < n {
            self.fill();
            if self.n_held < n {
                return Err(ScanFault::Cut);
            }
        }
        self.window <<= n;
        self.n_held -= n;
        Ok(())
    }
}

/// A Huffman code: the symbol and length for each 9-bit prefix, and the limits of longer codes.
struct Codes {
    /// length << 8 | symbol; 0 where the code is longer or there is none.
    short: [u16; 1 << SHORT_BITS],
    /// For each length, the first 16-bit prefix (as u32) beyond its codes.
    end: [u32; 17],
    /// For each length, what turns a code into an index of `symbols`.
    offset: [i32; 17],
    symbols: Vec<u8>,
}

const SHORT_BITS: u32 = 9;

impl Codes {
    /// From a DHT table: 16 counts, then the symbols.
    fn new(table: &[u8]) -> Result<Self, ScanFault> {
        let (counts, symbols) = table.split_at(16.min(table.len()));
        let mut codes = Self {
            short: [0; 1 << SHORT_BITS],
            end: [0; 17],
            offset: [0; 17],
            symbols: symbols.to_vec(),
        };
        let (mut code, mut index) = (0u32, 0usize);
        for (length, &n) in (1u32..).zip(counts) {
            codes.offset[length as usize] = index as i32 - code as i32;
            for _ in 0..n {
                let Some(&symbol) = symbols.get(index) else {
                    return Err(ScanFault::Bad("a code table without its symbols"));
                };
                if code >= 1 << length {
                    return Err(ScanFault::Bad("a code table with too many codes"));
                }
                if length <= SHORT_BITS {
                    let first = (code << (SHORT_BITS - length)) as usize;
                    let n_prefixes = 1 << (SHORT_BITS - length);
                    codes.short[first..first + n_prefixes]
                        .fill((length as u16) << 8 | u16::from(symbol));
                }
                code += 1;
                index += 1;
            }
            codes.end[length as usize] = code << (16 - length);
            code <<= 1;
        }
        Ok(codes)
    }

    #[inline]
    fn next(&self, bits: &mut Bits<'_>) -> Result<u8, ScanFault> {
        if bits.n_held < 16 {
            bits.fill();
        }
        let entry = self.short[(bits.window >> (64 - SHORT_BITS)) as usize];
        if entry != 0 {
            bits.skip(u32::from(entry >> 8))?;
            return Ok(entry as u8);
        }
        let prefix = (bits.window >> 48) as u32;
        for length in SHORT_BITS + 1..=16 {
            if prefix < self.end[length as usize] {
                let code = (prefix >> (16 - length)) as i32;
                let index = code + self.offset[length as usize];
                bits.skip(length)?;
                return self
                    .symbols
                    .get(index as usize)
                    .copied()
                    .ok_or(ScanFault::Bad("a code of no table"));
            }
        }
        // The zeros behind the end of the data are no code.
        Err(if bits.n_held < 16 {
            ScanFault::Cut
        } else {
            ScanFault::Bad("a code of no table")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_every_length_are_found() {
        // Lengths 1, 2, … 16 with one code each: 0, 10, 110, …
        let table: Vec<u8> = [1u8; 16].into_iter().chain(100..116).collect();
        let codes = Codes::new(&table).unwrap();
        for length in 1..=16u32 {
            let code = ((1u64 << length) - 2) << (64 - length);
            let data = code.to_be_bytes();
            let mut bits = Bits::new(&data);
            bits.fill();
            assert_eq!(codes.next(&mut bits), Ok(99 + length as u8), "{length}");
            assert_eq!(bits.n_held, 56 - length);
        }
        let mut ones = Bits::new(&[0xfe, 0xff, 0x00, 0xff, 0x00]);
        assert_eq!(codes.next(&mut ones), Ok(107));
        assert_eq!(
            codes.next(&mut ones),
            Err(ScanFault::Bad("a code of no table"))
        );
    }

    #[test]
    fn code_tables_that_contradict_themselves_are_refused() {
        let three_of_one_bit: Vec<u8> = [3].into_iter().chain([0; 15]).chain([1, 2, 3]).collect();
        assert!(Codes::new(&three_of_one_bit).is_err());
        let without_symbols: Vec<u8> = [2].into_iter().chain([0; 15]).collect();
        assert!(Codes::new(&without_symbols).is_err());
    }

    #[test]
    fn segments_end_at_restart_markers_alone() {
        let data = [1, 0xff, 0, 2, 0xff, 0xd0, 3, 0xff, 0xd1, 4];
        let parts: Vec<&[u8]> = Segments(&data).collect();
        assert_eq!(parts, [&[1, 0xff, 0, 2][..], &[3], &[4]]);
    }
}
