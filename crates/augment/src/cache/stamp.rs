//! What the file system says of an image file without reading it: enough to know that it is still
//! the one that was read.

use std::fs::Metadata;

/// Size, times and identity of a file. Whoever writes to the file changes its status time, whatever
/// he does to the modification time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) bytes: u64,
    pub(super) modified: i64,
    /// When its content or its name, owner, mode … last changed.
    pub(super) status_changed: i64,
    pub(super) device: u64,
    pub(super) inode: u64,
}

/// Nanoseconds by which a file's times may be coarse (FAT counts by two seconds).
const COARSENESS: i64 = 2_000_000_000;

impl Stamp {
    #[cfg(unix)]
    pub(super) fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        let time = |seconds: i64, nanoseconds: i64| {
            seconds
                .saturating_mul(1_000_000_000)
                .saturating_add(nanoseconds)
        };
        Self {
            bytes: metadata.size(),
            modified: time(metadata.mtime(), metadata.mtime_nsec()),
            status_changed: time(metadata.ctime(), metadata.ctime_nsec()),
            device: metadata.dev(),
            inode: metadata.ino(),
        }
    }

    #[cfg(not(unix))]
    pub(super) fn of(metadata: &Metadata) -> Self {
        let since_epoch = metadata
            .modified()
            .ok()
            .and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
        let modified =
            since_epoch.map_or(0, |time| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX));
        Self {
            bytes: metadata.len(),
            modified,
            status_changed: modified,
            device: 0,
            inode: 0,
        }
    }

    /// Itself where the file was at rest before `now`, the file system's own time. A file that was
    /// written just now may be written again without a change of its times: its stamp is never
    /// equal to another.
    pub(super) fn settled_before(self, now: i64) -> Self {
        let newest = self.status_changed.max(self.modified);
        if newest.saturating_add(COARSENESS) < now {
            self
        } else {
            Self {
                inode: u64::MAX,
                status_changed: i64::MAX,
                ..self
            }
        }
    }

    pub(super) const LEN: usize = 40;

    pub(super) fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let fields = [
            self.bytes.to_le_bytes(),
            self.modified.to_le_bytes(),
            self.status_changed.to_le_bytes(),
            self.device.to_le_bytes(),
            self.inode.to_le_bytes(),
        ];
        bytes.copy_from_slice(fields.as_flattened());
        bytes
    }

    pub(super) fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        let (fields, _) = bytes.as_chunks::<8>();
        Self {
            bytes: u64::from_le_bytes(fields[0]),
            modified: i64::from_le_bytes(fields[1]),
            status_changed: i64::from_le_bytes(fields[2]),
            device: u64::from_le_bytes(fields[3]),
            inode: u64::from_le_bytes(fields[4]),
        }
    }
}
