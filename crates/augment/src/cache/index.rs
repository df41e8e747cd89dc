//! The index of a kept cache: a log of what was kept where, each record with its checksum.
//!
//! A record is appended after the pixels that it names were written; of two for one name the later
//! holds. A process that is killed leaves at most one record cut off, which the next opening cuts
//! away. Deliberately not here: pixels, locks.

use std::collections::HashMap;

use super::stamp::Stamp;
use crate::image_warning::ImageWarning;
use crate::pixels::Channels;

/// Where the pixels of an image are, and of which file they were made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) stamp: Stamp,
    /// The first half of BLAKE3 of the file.
    pub(super) content: [u8; 16],
    /// Where the pixels begin in the data file.
    pub(super) offset: u64,
    pub(super) channels: Channels,
    /// CRC-32 of the pixels.
    pub(super) checksum: u32,
    pub(super) warnings: Vec<ImageWarning>,
}

/// What a log says.
#[derive(Debug, Default)]
pub(super) struct Index {
    pub(super) entries: HashMap<String, Entry>,
    /// How long the log is up to the end of its last whole record.
    pub(super) len: u64,
}

/// A log that says something else than what was written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Damaged;

/// Length and checksum before each record.
const FRAME: usize = 8;
const FIXED: usize = Stamp::LEN + 16 + 8 + 1 + 4 + 4;

impl Index {
    /// Reads a log whose first record is `header`; an empty one, or one whose header was cut off,
    /// has no records and a length of 0.
    pub(super) fn parse(log: &[u8], header: &[u8]) -> Result<Self, Damaged> {
        let mut index = Self::default();
        let mut records = Records { log, at: 0 };
        match records.next().transpose()? {
            None => return Ok(index),
            Some(record) if record == header => {}
            Some(_) => return Err(Damaged),
        }
        index.len = records.at as u64;
        while let Some(record) = records.next() {
            let (name, entry) = decode(record?).ok_or(Damaged)?;
            index.entries.insert(name, entry);
            index.len = records.at as u64;
        }
        Ok(index)
    }

    /// Where the pixels of the next image go.
    pub(super) fn end_of_data(&self, header_len: u64, len_of: impl Fn(Channels) -> u64) -> u64 {
        let ends = self.entries.values();
        let ends = ends.map(|entry| entry.offset.saturating_add(len_of(entry.channels)));
        ends.max().unwrap_or(0).max(header_len)
    }
}

/// A record as it stands in the log.
pub(super) fn frame(record: &[u8], log: &mut Vec<u8>) {
    log.extend((record.len() as u32).to_le_bytes());
    log.extend(crc32fast::hash(record).to_le_bytes());
    log.extend(record);
}

/// The record of an entry.
pub(super) fn encode(name: &str, entry: &Entry) -> Vec<u8> {
    let warnings = match entry.warnings.as_slice() {
        [] => Vec::new(),
        // Plain text and numbers; to write them cannot fail.
        warnings => serde_json::to_vec(warnings).unwrap_or_default(),
    };
    let mut record = Vec::with_capacity(FIXED + warnings.len() + name.len());
    record.extend(entry.stamp.to_bytes());
    record.extend(entry.content);
    record.extend(entry.offset.to_le_bytes());
    record.push(entry.channels.count() as u8);
    record.extend(entry.checksum.to_le_bytes());
    record.extend((warnings.len() as u32).to_le_bytes());
    record.extend(warnings);
    record.extend(name.as_bytes());
    record
}

fn decode(record: &[u8]) -> Option<(String, Entry)> {
    let (stamp, rest) = record.split_first_chunk()?;
    let (content, rest) = rest.split_first_chunk()?;
    let (offset, rest) = rest.split_first_chunk()?;
    let ([channels], rest) = rest.split_first_chunk()?;
    let (checksum, rest) = rest.split_first_chunk()?;
    let (n_warnings, rest) = rest.split_first_chunk()?;
    let (warnings, name) = rest.split_at_checked(u32::from_le_bytes(*n_warnings) as usize)?;
    let entry = Entry {
        stamp: Stamp::from_bytes(*stamp),
        content: *content,
        offset: u64::from_le_bytes(*offset),
        channels: match channels {
            1 => Channels::Gray,
            3 => Channels::Rgb,
            _ => return None,
        },
        checksum: u32::from_le_bytes(*checksum),
        warnings: match warnings {
            [] => Vec::new(),
            warnings => serde_json::from_slice(warnings).ok()?,
        },
    };
    Some((String::from_utf8(name.to_vec()).ok()?, entry))
}

/// The whole records of a log, one after the other; ends where one is cut off.
struct Records<'a> {
    log: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<&'a [u8], Damaged>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.log.get(self.at..)?;
        let (len, rest) = rest.split_first_chunk()?;
        let (checksum, rest) = rest.split_first_chunk()?;
        let len = u32::from_le_bytes(*len) as usize;
        let record = rest.get(..len)?;
        if crc32fast::hash(record) != u32::from_le_bytes(*checksum) {
            return Some(Err(Damaged));
        }
        self.at += FRAME + len;
        Some(Ok(record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(offset: u64) -> Entry {
        Entry {
            stamp: Stamp {
                bytes: 5,
                modified: -3,
                status_changed: 7,
                device: 1,
                inode: u64::MAX,
            },
            content: [9; 16],
            offset,
            channels: Channels::Rgb,
            checksum: 0xdead_beef,
            warnings: vec![ImageWarning::Animated {
                name: "é.png".to_owned(),
            }],
        }
    }

    fn log(names: &[(&str, u64)]) -> Vec<u8> {
        let mut log = Vec::new();
        frame(b"header", &mut log);
        for &(name, offset) in names {
            frame(&encode(name, &entry(offset)), &mut log);
        }
        log
    }

    #[test]
    fn what_was_written_is_read_and_the_later_record_holds() {
        let log = log(&[("a/é.png", 4096), ("b.png", 1), ("a/é.png", 99)]);
        let index = Index::parse(&log, b"header").unwrap();
        assert_eq!(index.len, log.len() as u64);
        assert_eq!(index.entries.len(), 2);
        assert_eq!(index.entries["a/é.png"], entry(99));
        assert_eq!(index.end_of_data(4096, |_| 10), 4096);
        assert_eq!(index.end_of_data(50, |_| 10), 109);
        assert!(Index::parse(&log, b"another").is_err());
    }

    #[test]
    fn a_log_cut_anywhere_gives_its_whole_records() {
        let log = log(&[("a", 1), ("b", 2), ("c", 3)]);
        let mut n_seen = std::collections::BTreeSet::new();
        for len in 0..=log.len() {
            let index = Index::parse(&log[..len], b"header").unwrap();
            assert!(index.len <= len as u64);
            let again = Index::parse(&log[..index.len as usize], b"header").unwrap();
            assert_eq!(again.entries, index.entries);
            n_seen.insert(index.entries.len());
        }
        assert_eq!(n_seen.into_iter().collect::<Vec<_>>(), [0, 1, 2, 3]);
    }

    #[test]
    fn a_flipped_bit_is_noticed_or_cuts_the_log() {
        let log = log(&[("a", 1), ("b", 2)]);
        let whole = Index::parse(&log, b"header").unwrap();
        for bit in 0..log.len() * 8 {
            let mut flipped = log.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            if let Ok(index) = Index::parse(&flipped, b"header") {
                assert!(index.len < whole.len, "bit {bit}");
                let known = index.entries.iter();
                assert!(known.clone().all(|(name, e)| whole.entries[name] == *e));
            }
        }
    }
}
