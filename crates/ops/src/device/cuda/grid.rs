//! How many blocks a kernel gets, and how their threads share a map.
//!
//! Pure arithmetic, for the files that launch. The constants are those of `kernels/columns.cuh`.

use super::fault;
use crate::device::Result;

/// Threads of every block but those that finish sums.
pub(super) const BLOCK: u32 = 256;
/// Blocks that work on columns for each multiprocessor: its registers hold so many, so all run at
/// once.
pub(super) const BLOCKS_HELD: usize = 3;
/// Blocks of everything else: as many threads as a multiprocessor has.
pub(super) const FLAT_BLOCKS: usize = 8;
/// Channels that a block finishes sums of.
const FINISH_CHANNELS: u32 = 32;
/// Threads for each of them.
const FINISH_SLICES: u32 = 32;
/// Lanes beside each other: 16 bytes each, so that neighbours read 1 KiB in one piece.
const MOST_LANES: usize = 64;
/// The most blocks along y and z.
const MOST_BLOCKS_Y: usize = 65_535;

/// What a launch is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grid {
    /// Blocks along x and y.
    pub(super) blocks: [u32; 2],
    /// Threads of a block.
    pub(super) threads: u32,
    /// Bytes of memory that the threads of a block share.
    pub(super) shared: u32,
}

impl Grid {
    /// One block.
    pub(super) fn one_block() -> Self {
        Self {
            blocks: [1, 1],
            threads: BLOCK,
            shared: 0,
        }
    }

    /// A thread for each of `len` numbers, and no more blocks than `most`.
    pub(super) fn flat(len: usize, most: usize) -> Self {
        Self {
            blocks: [capped(len.div_ceil(BLOCK as usize), most), 1],
            ..Self::one_block()
        }
    }

    /// [`Self::flat`] for each of a number of images or rows.
    pub(super) fn flat_each(len: usize, most: usize, times: usize) -> Self {
        let [x, _] = Self::flat(len, most).blocks;
        Self {
            blocks: [x, capped(times, MOST_BLOCKS_Y)],
            ..Self::one_block()
        }
    }

    /// Blocks that finish the sums of `channels`, two f64 a thread.
    pub(super) fn finish(channels: usize) -> Self {
        let threads = FINISH_CHANNELS * FINISH_SLICES;
        Self {
            blocks: [
                capped(channels.div_ceil(FINISH_CHANNELS as usize), usize::MAX),
                1,
            ],
            threads,
            shared: threads * 2 * size_of::<f64>() as u32,
        }
    }

    /// The same with `numbers` f64 of shared memory for each thread.
    pub(super) fn sharing_f64(self, numbers: u32) -> Self {
        Self {
            shared: self.threads * numbers * size_of::<f64>() as u32,
            ..self
        }
    }
}

/// How a block shares channels: lanes along them, slots along the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Columns {
    /// Threads beside each other.
    pub(super) lanes: usize,
    /// Blocks beside each other.
    pub(super) groups: usize,
    /// Rows that a block works on at once.
    pub(super) slots: usize,
    /// Numbers that a thread loads at once.
    numbers: usize,
}

impl Columns {
    /// For a map of `channels`, of which a thread loads `numbers` at once.
    pub(super) fn new(channels: usize, numbers: usize) -> Self {
        let loads = channels.div_ceil(numbers).max(1);
        let groups = loads.div_ceil(MOST_LANES);
        let lanes = loads.div_ceil(groups);
        Self {
            lanes,
            groups,
            slots: BLOCK as usize / lanes,
            numbers,
        }
    }

    /// Blocks for `rows`, about `most` in all.
    pub(super) fn blocks_for(&self, rows: usize, most: usize) -> usize {
        let most_each = most.div_ceil(self.groups).max(1);
        rows.div_ceil(self.slots).clamp(1, most_each)
    }

    /// `blocks` along the rows.
    pub(super) fn grid(&self, blocks: usize) -> Grid {
        Grid {
            blocks: [
                capped(blocks, usize::MAX),
                capped(self.groups, MOST_BLOCKS_Y),
            ],
            ..Grid::one_block()
        }
    }

    /// The same with room for `sums` sums of each channel.
    pub(super) fn grid_of_sums(&self, blocks: usize, sums: usize) -> Grid {
        let numbers = BLOCK as usize * self.numbers * sums;
        Grid {
            shared: (numbers * size_of::<f32>()) as u32,
            ..self.grid(blocks)
        }
    }
}

/// Bytes of working memory of a norm: its moments in f64, then two sums of each channel and block
/// and the channels' origins in f32.
pub(super) fn sums_bytes(channels: usize, blocks: usize) -> usize {
    moments_bytes(channels) + (2 * blocks + 1) * channels * size_of::<f32>()
}

/// Bytes of the moments in front of it.
pub(super) fn moments_bytes(channels: usize) -> usize {
    2 * channels * size_of::<f64>()
}

/// A size as kernels and libraries count it.
pub(super) fn int(call: &'static str, what: &str, number: usize) -> Result<i32> {
    i32::try_from(number).map_err(|_| fault::too_large(call, what, number))
}

fn capped(blocks: usize, most: usize) -> u32 {
    let blocks = blocks.min(most).max(1);
    u32::try_from(blocks).unwrap_or(u32::MAX >> 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_channel_has_a_lane_and_no_block_has_more_lanes_than_it_reads_at_once() {
        for numbers in [4, 8] {
            for channels in (8..=4096).step_by(8) {
                let columns = Columns::new(channels, numbers);
                assert!(columns.lanes <= MOST_LANES, "{channels}");
                assert!(
                    columns.lanes * columns.groups * numbers >= channels,
                    "{channels}"
                );
                assert!(
                    columns.lanes * columns.slots <= BLOCK as usize,
                    "{channels}"
                );
                // No group is without work.
                assert!(
                    columns.lanes * (columns.groups - 1) * numbers < channels,
                    "{channels}"
                );
            }
        }
    }

    #[test]
    fn usual_channels_use_every_thread_of_a_block() {
        for channels in [64, 128, 256, 512] {
            for numbers in [4, 8] {
                let columns = Columns::new(channels, numbers);
                assert_eq!(columns.lanes * columns.slots, BLOCK as usize, "{channels}");
            }
        }
    }

    #[test]
    fn blocks_are_as_many_as_rows_need_or_the_card_holds() {
        let columns = Columns::new(64, 8);
        assert_eq!((columns.lanes, columns.groups, columns.slots), (8, 1, 32));
        assert_eq!(columns.blocks_for(1, 528), 1);
        assert_eq!(columns.blocks_for(33, 528), 2);
        assert_eq!(columns.blocks_for(1_638_400, 528), 528);
        let wide = Columns::new(1024, 8);
        assert_eq!((wide.lanes, wide.groups, wide.slots), (64, 2, 4));
        assert_eq!(wide.blocks_for(1_638_400, 528), 264);
    }

    #[test]
    fn shared_memory_is_what_the_kernels_write_and_at_most_what_every_card_gives() {
        let columns = Columns::new(64, 8);
        assert_eq!(columns.grid_of_sums(3, 2).shared, 256 * 8 * 2 * 4);
        assert_eq!(columns.grid_of_sums(3, 2).blocks, [3, 1]);
        assert_eq!(Grid::finish(40).shared, 1024 * 2 * 8);
        assert_eq!(Grid::finish(40).blocks, [2, 1]);
        assert_eq!(Grid::one_block().sharing_f64(1).shared, 2048);
        for grid in [columns.grid_of_sums(3, 2), Grid::finish(40)] {
            assert!(grid.shared <= 48 << 10, "{grid:?}");
        }
    }

    #[test]
    fn a_flat_grid_covers_small_sizes_and_is_capped_for_large_ones() {
        assert_eq!(Grid::flat(1, 100).blocks, [1, 1]);
        assert_eq!(Grid::flat(257, 100).blocks, [2, 1]);
        assert_eq!(Grid::flat(1 << 30, 100).blocks, [100, 1]);
        assert_eq!(Grid::flat_each(257, 100, 7).blocks, [2, 7]);
        assert_eq!(Grid::flat_each(1, 100, 100_000).blocks, [1, 65_535]);
    }

    #[test]
    fn working_memory_holds_moments_sums_and_origins() {
        assert_eq!(sums_bytes(8, 3), 2 * 8 * 8 + (2 * 3 * 8 + 8) * 4);
    }
}
