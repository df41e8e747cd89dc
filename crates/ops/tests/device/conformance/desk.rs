//! Where a case lays out its inputs and keeps its outputs.

use std::collections::VecDeque;

use cxr_ops::device::{Device, Part, Result};
use cxr_stream::{Purpose, Stream};

/// Numbers behind every buffer that no call may read or write.
const TAIL: usize = 40;
/// What stands around numbers that a call changes in place, exact in every type: a call that went on
/// with NaN would leave NaN.
const GUARD: f32 = 4096.0;
/// What bytes of outputs hold before a call.
const POISON: u8 = 0xEE;

/// How an output is compared with the reference's.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rule {
    /// The reference's number as the buffer can hold it.
    Exact,
    /// Sums in f32 or better of numbers as they stand.
    Sums,
    /// Sums of products that the precision may round.
    Products,
}

/// An output.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) what: &'static str,
    pub(super) numbers: Vec<f32>,
    pub(super) is_map: bool,
    pub(super) rule: Rule,
}

impl Kept {
    /// One NaN is as good as another.
    pub(super) fn bits(&self) -> impl Iterator<Item = u32> {
        let bits = |number: &f32| {
            if number.is_nan() {
                !0
            } else {
                number.to_bits()
            }
        };
        self.numbers.iter().map(bits)
    }
}

/// The same number, zeros of both signs alike, or both not a number.
pub(super) fn are_same(first: f32, second: f32) -> bool {
    first.to_bits() == second.to_bits()
        || first - second == 0.0
        || (first.is_nan() && second.is_nan())
}

/// The inputs that stand in maps, as the device rounded them: taken down in one run, given to the
/// next.
#[derive(Debug)]
pub(super) enum Rounded {
    Taken(Vec<Vec<f32>>),
    Given(VecDeque<Vec<f32>>),
}

/// A device, fresh numbers, and what a case kept.
pub(super) struct Desk<'d, D: Device> {
    pub(super) device: &'d D,
    stream: Stream,
    rounded: Rounded,
    kept: Vec<Kept>,
}

impl<'d, D: Device> Desk<'d, D> {
    /// The numbers are those of the name.
    pub(super) fn new(device: &'d D, name: &str, rounded: Rounded) -> Self {
        // FNV-1a, cut to the numbers that a stream keeps apart.
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self {
            device,
            stream: Stream::new(1, Purpose::Test, 0, hash >> 24),
            rounded,
            kept: Vec::new(),
        }
    }

    /// Outputs, and inputs as they were rounded.
    pub(super) fn into_outputs(self) -> (Vec<Kept>, Vec<Vec<f32>>) {
        match self.rounded {
            Rounded::Taken(maps) => (self.kept, maps),
            Rounded::Given(rest) => {
                assert!(rest.is_empty(), "{} maps were not asked for", rest.len());
                (self.kept, Vec::new())
            }
        }
    }

    /// A whole number below `bound`.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.stream.below(bound as u64) as usize
    }

    /// 32 random bits.
    pub(super) fn bits(&mut self) -> u32 {
        self.stream.next_u32()
    }

    /// Standard normal numbers.
    pub(super) fn normal(&mut self, len: usize) -> Vec<f32> {
        (0..len).map(|_| self.stream.normal() as f32).collect()
    }

    /// Multiples of 1 ÷ `per_unit` in [−`bound`, `bound`]: few enough that ties are common and that
    /// sums of products are exact.
    pub(super) fn grid(&mut self, len: usize, per_unit: usize, bound: usize) -> Vec<f32> {
        let steps = per_unit * bound;
        (0..len)
            .map(|_| (self.below(2 * steps + 1) as f32 - steps as f32) / per_unit as f32)
            .collect()
    }

    /// Some of the given numbers.
    pub(super) fn some_of(&mut self, len: usize, numbers: &[f32]) -> Vec<f32> {
        (0..len)
            .map(|_| numbers[self.below(numbers.len())])
            .collect()
    }

    /// Bytes.
    pub(super) fn random_bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.stream.next_u32() as u8).collect()
    }

    /// A map with these numbers from `start` on and NaN around them.
    pub(super) fn map_at(&mut self, start: usize, numbers: Vec<f32>) -> Result<D::Map> {
        self.map_between(f32::NAN, start, numbers)
    }

    /// A map that begins with these numbers, to be changed in place.
    pub(super) fn map_in_place(&mut self, numbers: Vec<f32>) -> Result<D::Map> {
        self.map_between(GUARD, 0, numbers)
    }

    fn map_between(&mut self, around: f32, start: usize, numbers: Vec<f32>) -> Result<D::Map> {
        let len = numbers.len();
        let mut map = self.filled_map(around, start + len)?;
        match &mut self.rounded {
            Rounded::Taken(maps) => {
                self.device.write_map(&mut map, start, &numbers)?;
                maps.push(self.device.read_map(&map, Part { start, len })?);
            }
            Rounded::Given(maps) => {
                let rounded = maps.pop_front().unwrap_or_default();
                assert_eq!(rounded.len(), len, "another map was taken down");
                self.device.write_map(&mut map, start, &rounded)?;
            }
        }
        Ok(map)
    }

    /// A map that begins with these numbers, NaN behind them.
    pub(super) fn map(&mut self, numbers: Vec<f32>) -> Result<D::Map> {
        self.map_at(0, numbers)
    }

    /// The same for floats, which nothing rounds.
    pub(super) fn floats_at(&self, start: usize, numbers: &[f32]) -> Result<D::Floats> {
        self.arena(&[(start, numbers)])
    }

    /// Floats that begin with these numbers, NaN behind them.
    pub(super) fn floats(&self, numbers: &[f32]) -> Result<D::Floats> {
        self.floats_at(0, numbers)
    }

    /// Floats with several runs of numbers, each from its place on, NaN around them.
    pub(super) fn arena(&self, runs: &[(usize, &[f32])]) -> Result<D::Floats> {
        self.arena_between(f32::NAN, runs)
    }

    /// The same, to be changed in place.
    pub(super) fn arena_in_place(&self, runs: &[(usize, &[f32])]) -> Result<D::Floats> {
        self.arena_between(GUARD, runs)
    }

    fn arena_between(&self, around: f32, runs: &[(usize, &[f32])]) -> Result<D::Floats> {
        let end = runs.iter().map(|(start, run)| start + run.len()).max();
        let mut floats = self.filled_floats(around, end.unwrap_or(0))?;
        for (start, run) in runs {
            self.device.write_floats(&mut floats, *start, run)?;
        }
        Ok(floats)
    }

    /// Bytes that begin with these.
    pub(super) fn bytes(&self, bytes: &[u8]) -> Result<D::Bytes> {
        let mut target = self.poisoned_bytes(bytes.len())?;
        self.device.write_bytes(&mut target, 0, bytes)?;
        Ok(target)
    }

    /// An output of `len` numbers, NaN to its end and behind it.
    pub(super) fn poisoned_map(&self, len: usize) -> Result<D::Map> {
        self.filled_map(f32::NAN, len)
    }

    /// The same of floats.
    pub(super) fn poisoned_floats(&self, len: usize) -> Result<D::Floats> {
        self.filled_floats(f32::NAN, len)
    }

    fn filled_map(&self, number: f32, len: usize) -> Result<D::Map> {
        let mut map = self.device.map(len + TAIL)?;
        let numbers = vec![number; len + TAIL];
        self.device.write_map(&mut map, 0, &numbers)?;
        Ok(map)
    }

    fn filled_floats(&self, number: f32, len: usize) -> Result<D::Floats> {
        let mut floats = self.device.floats(len + TAIL)?;
        let numbers = vec![number; len + TAIL];
        self.device.write_floats(&mut floats, 0, &numbers)?;
        Ok(floats)
    }

    /// The same of bytes.
    pub(super) fn poisoned_bytes(&self, len: usize) -> Result<D::Bytes> {
        let mut bytes = self.device.bytes(len + TAIL)?;
        self.device
            .write_bytes(&mut bytes, 0, &vec![POISON; len + TAIL])?;
        Ok(bytes)
    }

    /// Keeps a part of an output that was made for what ends with this part; what stood around it
    /// must still stand there.
    pub(super) fn keep_map(
        &mut self,
        what: &'static str,
        map: &D::Map,
        part: Part,
        rule: Rule,
    ) -> Result<()> {
        self.keep_map_between(f32::NAN, what, map, part, rule)
    }

    /// The same of a map that was changed in place.
    pub(super) fn keep_map_in_place(
        &mut self,
        what: &'static str,
        map: &D::Map,
        part: Part,
        rule: Rule,
    ) -> Result<()> {
        self.keep_map_between(GUARD, what, map, part, rule)
    }

    fn keep_map_between(
        &mut self,
        around: f32,
        what: &'static str,
        map: &D::Map,
        part: Part,
        rule: Rule,
    ) -> Result<()> {
        let numbers = self.device.read_map(map, Part::first(part.end() + TAIL))?;
        assert_around(what, around, &numbers, &[part]);
        let numbers = numbers[part.start..part.end()].to_vec();
        self.keep_map_numbers(what, numbers, rule);
        Ok(())
    }

    /// The same of parts of floats.
    pub(super) fn keep_floats(
        &mut self,
        what: &'static str,
        floats: &D::Floats,
        parts: &[Part],
        rule: Rule,
    ) -> Result<()> {
        self.keep_floats_between(f32::NAN, what, floats, parts, rule)
    }

    /// The same of floats that were changed in place.
    pub(super) fn keep_floats_in_place(
        &mut self,
        what: &'static str,
        floats: &D::Floats,
        parts: &[Part],
        rule: Rule,
    ) -> Result<()> {
        self.keep_floats_between(GUARD, what, floats, parts, rule)
    }

    fn keep_floats_between(
        &mut self,
        around: f32,
        what: &'static str,
        floats: &D::Floats,
        parts: &[Part],
        rule: Rule,
    ) -> Result<()> {
        let end = parts.iter().map(Part::end).max().unwrap_or(0);
        let numbers = self.device.read_floats(floats, Part::first(end + TAIL))?;
        assert_around(what, around, &numbers, parts);
        for part in parts {
            self.keep_numbers(what, numbers[part.start..part.end()].to_vec(), rule);
        }
        Ok(())
    }

    /// The first `len` bytes of an output, exactly.
    pub(super) fn keep_bytes(
        &mut self,
        what: &'static str,
        bytes: &D::Bytes,
        len: usize,
    ) -> Result<()> {
        let bytes = self.device.read_bytes(bytes, Part::first(len + TAIL))?;
        let (bytes, tail) = bytes.split_at(len);
        let is_kept = tail.iter().all(|&byte| byte == POISON);
        assert!(is_kept, "{what}: written beyond its end");
        let numbers = bytes.iter().map(|&byte| byte.into()).collect();
        self.keep_numbers(what, numbers, Rule::Exact);
        Ok(())
    }

    /// Numbers that the case read from a map.
    pub(super) fn keep_map_numbers(&mut self, what: &'static str, numbers: Vec<f32>, rule: Rule) {
        self.kept.push(Kept {
            what,
            numbers,
            is_map: true,
            rule,
        });
    }

    /// Numbers that the case made of its outputs.
    pub(super) fn keep_numbers(&mut self, what: &'static str, numbers: Vec<f32>, rule: Rule) {
        self.kept.push(Kept {
            what,
            numbers,
            is_map: false,
            rule,
        });
    }
}

/// Panics where a number outside of the parts is not what stood there.
fn assert_around(what: &str, around: f32, all: &[f32], parts: &[Part]) {
    for (place, &number) in all.iter().enumerate() {
        let is_inside = parts
            .iter()
            .any(|part| (part.start..part.end()).contains(&place));
        assert!(
            is_inside || are_same(number, around),
            "{what}: {number} was written at {place}, outside of {parts:?}"
        );
    }
}
