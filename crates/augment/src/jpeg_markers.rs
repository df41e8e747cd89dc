//! A walk over a JPEG's markers from its start to its end-of-image marker, before any decoding.
//!
//! It finds what kind of JPEG it is, where its scans lie, and that it ends where a JPEG ends.

use std::borrow::Cow;

use crate::exif;

/// What the header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) precision: u8,
    pub(crate) coding: Coding,
    pub(crate) components: Vec<Component>,
}

/// A colour component and how densely it is sampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Component {
    id: u8,
    pub(crate) across: u8,
    pub(crate) down: u8,
}

/// How the coefficients are coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    Baseline,
    Progressive,
    /// Not read; the name is for the message.
    Other(&'static str),
}

/// One scan: what it codes, with which tables, and its data.
#[derive(Clone, Debug)]
pub(crate) struct Scan<'a> {
    pub(crate) components: Vec<ScanComponent<'a>>,
    pub(crate) restart_interval: u16,
    pub(crate) data: &'a [u8],
}

/// A component of a scan: its place in the frame, and its code tables as the file has them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScanComponent<'a> {
    pub(crate) component: usize,
    pub(crate) dc: Option<&'a [u8]>,
    pub(crate) ac: Option<&'a [u8]>,
}

/// What the walk found.
#[derive(Debug)]
pub(crate) struct Walk<'a> {
    pub(crate) frame: Frame,
    pub(crate) scans: Vec<Scan<'a>>,
    pub(crate) orientation: Option<u16>,
}

/// Why the walk ended early.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum WalkFault {
    Cut(&'static str),
    Bad(Cow<'static, str>),
}

const START_OF_SCAN: u8 = 0xda;
const END_OF_IMAGE: u8 = 0xd9;
const CODE_TABLES: u8 = 0xc4;
const RESTART_INTERVAL: u8 = 0xdd;
const EXIF_SEGMENT: u8 = 0xe1;

/// Walks a file that starts with a start-of-image marker.
pub(crate) fn walk(bytes: &[u8]) -> Result<Walk<'_>, WalkFault> {
    let mut state = State::default();
    let mut at = 2;
    loop {
        let (marker, after) = next_marker(bytes, at)?;
        if marker == END_OF_IMAGE {
            return match state.frame {
                Some(frame) if !state.scans.is_empty() => Ok(Walk {
                    frame,
                    scans: state.scans,
                    orientation: state.orientation,
                }),
                _ => Err(WalkFault::Cut("it has no picture before its end")),
            };
        }
        if is_alone(marker) {
            at = after;
            continue;
        }
        let (segment, after) = segment_at(bytes, after)?;
        at = after;
        if marker == START_OF_SCAN {
            at = end_of_scan(bytes, after);
            state.add_scan(segment, &bytes[after..at])?;
        } else {
            state.add_segment(marker, segment)?;
        }
    }
}

#[derive(Default)]
struct State<'a> {
    frame: Option<Frame>,
    scans: Vec<Scan<'a>>,
    orientation: Option<u16>,
    restart_interval: u16,
    /// DC and AC tables by their number.
    tables: [[Option<&'a [u8]>; 4]; 2],
}

impl<'a> State<'a> {
    fn add_segment(&mut self, marker: u8, segment: &'a [u8]) -> Result<(), WalkFault> {
        match marker {
            CODE_TABLES => self.add_tables(segment)?,
            RESTART_INTERVAL => {
                if let &[high, low, ..] = segment {
                    self.restart_interval = u16::from_be_bytes([high, low]);
                }
            }
            EXIF_SEGMENT if segment.starts_with(b"Exif\0\0") && self.orientation.is_none() => {
                self.orientation = exif::orientation(&segment[6..]);
            }
            _ => {
                if let Some(coding) = coding_of(marker) {
                    if self.frame.is_some() {
                        return Err(WalkFault::Bad("it has two frame headers".into()));
                    }
                    self.frame = Some(frame_of(segment, coding)?);
                }
            }
        }
        Ok(())
    }

    fn add_tables(&mut self, mut segment: &'a [u8]) -> Result<(), WalkFault> {
        while let Some((&which, rest)) = segment.split_first() {
            let n_symbols: usize = rest.iter().take(16).map(|&n| usize::from(n)).sum();
            let (class, number) = (usize::from(which >> 4), usize::from(which & 15));
            let slot = self.tables.get_mut(class).and_then(|c| c.get_mut(number));
            let (Some(slot), Some(table)) = (slot, rest.get(..16 + n_symbols)) else {
                return Err(WalkFault::Bad("a code table that cannot be".into()));
            };
            *slot = Some(table);
            segment = &rest[16 + n_symbols..];
        }
        Ok(())
    }

    fn add_scan(&mut self, segment: &[u8], data: &'a [u8]) -> Result<(), WalkFault> {
        let bad = || WalkFault::Bad("a scan header that cannot be".into());
        let frame = self.frame.as_ref().ok_or_else(bad)?;
        let (&n, rest) = segment.split_first().ok_or_else(bad)?;
        let pairs = rest.get(..usize::from(n) * 2).ok_or_else(bad)?;
        let table = |class: usize, number: u8| {
            self.tables[class]
                .get(usize::from(number))
                .copied()
                .flatten()
        };
        let mut components = Vec::new();
        for pair in pairs.chunks_exact(2) {
            let place = frame.components.iter().position(|c| c.id == pair[0]);
            components.push(ScanComponent {
                component: place.ok_or_else(bad)?,
                dc: table(0, pair[1] >> 4),
                ac: table(1, pair[1] & 15),
            });
        }
        if components.is_empty() {
            return Err(bad());
        }
        self.scans.push(Scan {
            components,
            restart_interval: self.restart_interval,
            data,
        });
        Ok(())
    }
}

/// The marker at or after `at` (fill bytes may come before it) and the place behind it.
fn next_marker(bytes: &[u8], at: usize) -> Result<(u8, usize), WalkFault> {
    let mut place = at;
    if bytes.get(place).is_some_and(|&b| b != 0xff) {
        return Err(WalkFault::Bad(format!("no marker at byte {place}").into()));
    }
    loop {
        match bytes.get(place) {
            Some(0xff) => place += 1,
            Some(&marker) => return Ok((marker, place + 1)),
            None => return Err(WalkFault::Cut("it has no end-of-image marker")),
        }
    }
}

fn segment_at(bytes: &[u8], at: usize) -> Result<(&[u8], usize), WalkFault> {
    let inside = WalkFault::Cut("it ends inside a segment");
    let Some(pair) = bytes.get(at..at + 2) else {
        return Err(inside);
    };
    let length = usize::from(u16::from_be_bytes([pair[0], pair[1]]));
    if length < 2 {
        let detail = format!("a segment of length {length} at byte {at}");
        return Err(WalkFault::Bad(detail.into()));
    }
    match bytes.get(at + 2..at + length) {
        Some(segment) => Ok((segment, at + length)),
        None => Err(inside),
    }
}

/// The place of the first marker that is not part of the scan's data.
fn end_of_scan(bytes: &[u8], start: usize) -> usize {
    let mut at = start;
    while at + 1 < bytes.len() {
        match (bytes[at], bytes[at + 1]) {
            (0xff, 0x00 | 0xd0..=0xd7) => at += 2,
            (0xff, 0xff) => at += 1,
            (0xff, _) => return at,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// Markers without a segment: TEM, restarts, a second start.
fn is_alone(marker: u8) -> bool {
    matches!(marker, 0x01 | 0xd0..=0xd8)
}

fn coding_of(marker: u8) -> Option<Coding> {
    Some(match marker {
        0xc0 | 0xc1 => Coding::Baseline,
        0xc2 => Coding::Progressive,
        0xc3 => Coding::Other("lossless"),
        0xc5..=0xc7 => Coding::Other("hierarchical"),
        0xc9..=0xcb | 0xcd..=0xcf => Coding::Other("arithmetic coding"),
        0xf7 => Coding::Other("JPEG-LS"),
        _ => return None,
    })
}

fn frame_of(segment: &[u8], coding: Coding) -> Result<Frame, WalkFault> {
    let &[precision, h1, h0, w1, w0, n, ref rest @ ..] = segment else {
        return Err(WalkFault::Bad("its frame header is too short".into()));
    };
    let Some(components) = rest.get(..usize::from(n) * 3) else {
        return Err(WalkFault::Bad("its frame header is too short".into()));
    };
    Ok(Frame {
        width: u32::from(u16::from_be_bytes([w1, w0])),
        height: u32::from(u16::from_be_bytes([h1, h0])),
        precision,
        coding,
        components: components
            .chunks_exact(3)
            .map(|c| Component {
                id: c[0],
                across: c[1] >> 4,
                down: c[1] & 15,
            })
            .collect(),
    })
}
