//! Cutting work into blocks whose number depends on the work alone, never on the threads.

use std::ops::Range;

/// `total` places in `count` neighbouring ranges of nearly the same length, each a multiple of
/// `grain` except the last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Blocks {
    total: usize,
    grain: usize,
    count: usize,
}

impl Blocks {
    /// As few ranges as possible of at most about `longest` places.
    pub(crate) fn at_most(total: usize, longest: usize, grain: usize) -> Self {
        let count = total.div_ceil(longest.max(1)).max(1);
        Self::exactly(total, count, grain)
    }

    /// `count` ranges, or as many as there are grains.
    pub(crate) fn exactly(total: usize, count: usize, grain: usize) -> Self {
        let grain = grain.max(1);
        Self {
            total,
            grain,
            count: count.clamp(1, total.div_ceil(grain).max(1)),
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    pub(crate) fn range(&self, index: usize) -> Range<usize> {
        self.start(index)..self.start(index + 1)
    }

    pub(crate) fn ranges(self) -> impl Iterator<Item = Range<usize>> {
        (0..self.count).map(move |index| self.range(index))
    }

    fn start(&self, index: usize) -> usize {
        let grains = self.total.div_ceil(self.grain);
        (index * grains / self.count * self.grain).min(self.total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_cover_everything_once_in_order_and_none_is_empty() {
        for total in 1..70 {
            for longest in 1..20 {
                for grain in [1, 4, 16] {
                    let blocks = Blocks::at_most(total, longest, grain);
                    let mut next = 0;
                    for range in blocks.ranges() {
                        assert_eq!(range.start, next);
                        assert!(!range.is_empty(), "{total} {longest} {grain}");
                        next = range.end;
                    }
                    assert_eq!(next, total);
                }
            }
        }
    }
}
