//! Pairs of copies between two lists of likenesses, found without comparing each with each.
//!
//! The 256 bits fall into 16 bands of 16. Two likenesses that differ in at most 31 bits differ in
//! at most one in some band (pigeonhole), so whoever is looked up in a table of each band under its
//! own value and the 16 values beside it is found: the search misses nothing. Deliberately not
//! here: groups of copies, and copies within one list.

use std::ops::Range;

use rayon::prelude::*;

use crate::perceptual::{Likeness, MAX_DISTANCE};

/// How many bands, and how many bits each.
const BANDS: usize = 16;
const VALUES: usize = 1 << 16;
/// In some band no more bits differ than this.
const _: () = assert!(
    MAX_DISTANCE as usize / BANDS <= 1,
    "only one flipped bit is looked up"
);

/// Two places whose pictures are taken for copies of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NearDuplicate {
    /// In the first list.
    pub first: usize,
    /// In the second.
    pub second: usize,
    /// How many of 256 bits differ.
    pub distance: u32,
}

/// All pairs of one of `firsts` and one of `seconds` that are copies, in the order of the lists,
/// whatever the number of threads. Those without a likeness are nobody's copies.
#[must_use]
pub fn near_duplicates(
    firsts: &[Option<&Likeness>],
    seconds: &[Option<&Likeness>],
) -> Vec<NearDuplicate> {
    let index = Index::new(seconds);
    let of_first = |(first, likeness): (usize, &Option<&Likeness>)| {
        let found = likeness.map(|one| index.copies_of(one)).unwrap_or_default();
        let pair = move |(second, distance)| NearDuplicate {
            first,
            second,
            distance,
        };
        found.into_iter().map(pair)
    };
    let firsts = firsts.par_iter().enumerate();
    firsts.flat_map_iter(of_first).collect()
}

/// Where likenesses are, by the value of each band.
struct Index<'a> {
    likenesses: &'a [Option<&'a Likeness>],
    bands: Vec<Band>,
}

/// Places sorted by the value that a band has there.
struct Band {
    places: Vec<u32>,
    /// Where the places of each value begin, and one end.
    starts: Vec<u32>,
}

impl<'a> Index<'a> {
    fn new(likenesses: &'a [Option<&'a Likeness>]) -> Self {
        let bands = (0..BANDS).into_par_iter();
        Self {
            likenesses,
            bands: bands.map(|band| Band::new(likenesses, band)).collect(),
        }
    }

    /// The places of copies with their distances, sorted.
    fn copies_of(&self, wanted: &Likeness) -> Vec<(usize, u32)> {
        let mut found = Vec::new();
        for (band, value) in self.bands.iter().zip(wanted.bands()) {
            let beside = (0..16).map(|bit| value ^ (1 << bit));
            for value in std::iter::once(value).chain(beside) {
                found.extend(band.places[band.range(value)].iter().filter_map(|place| {
                    let place = *place as usize;
                    let other = self.likenesses[place]?;
                    let distance = wanted.distance(other);
                    (distance <= MAX_DISTANCE).then_some((place, distance))
                }));
            }
        }
        // A copy is found in several bands.
        found.sort_unstable();
        found.dedup();
        found.retain(|(place, _)| {
            self.likenesses[*place].is_some_and(|other| wanted.is_copy_of(other))
        });
        found
    }
}

impl Band {
    fn new(likenesses: &[Option<&Likeness>], band: usize) -> Self {
        let mut keyed: Vec<(u16, u32)> = likenesses
            .iter()
            .enumerate()
            .filter_map(|(place, likeness)| Some((likeness.as_ref()?.bands()[band], place as u32)))
            .collect();
        keyed.sort_unstable();
        let mut starts = vec![0; VALUES + 1];
        for (value, _) in &keyed {
            starts[usize::from(*value) + 1] += 1;
        }
        for value in 0..VALUES {
            starts[value + 1] += starts[value];
        }
        Self {
            places: keyed.into_iter().map(|(_, place)| place).collect(),
            starts,
        }
    }

    fn range(&self, value: u16) -> Range<usize> {
        let value = usize::from(value);
        self.starts[value] as usize..self.starts[value + 1] as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With so many of the lowest bits of each of the 16 bands set.
    fn with_bits(counts: [u32; BANDS]) -> Likeness {
        let mut bits = [0; 4];
        for (band, count) in counts.into_iter().enumerate() {
            bits[band / 4] |= ((1 << count) - 1) << (16 * (band % 4));
        }
        Likeness::of_bits(bits)
    }

    #[test]
    fn one_band_that_is_nearly_equal_is_enough_wherever_it_is() {
        let nothing = with_bits([0; BANDS]);
        for band in 0..BANDS {
            let mut counts = [2; BANDS];
            counts[band] = 1;
            let farthest = with_bits(counts);
            let found = near_duplicates(&[Some(&nothing)], &[None, Some(&farthest)]);
            let expected = NearDuplicate {
                first: 0,
                second: 1,
                distance: MAX_DISTANCE,
            };
            assert_eq!(found, [expected], "{band}");
        }
    }

    #[test]
    fn one_bit_more_is_no_copy() {
        let (nothing, too_far) = (with_bits([0; BANDS]), with_bits([2; BANDS]));
        let mut counts = [0; BANDS];
        (counts[3], counts[9]) = (16, 16);
        let in_two_bands = with_bits(counts);
        let seconds = [Some(&too_far), Some(&in_two_bands)];
        assert_eq!(near_duplicates(&[Some(&nothing)], &seconds), []);
    }
}
