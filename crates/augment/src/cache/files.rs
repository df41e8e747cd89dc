//! The three files of a kept cache, opened together under their lock.
//!
//! `KEY.pixels` holds pixels, `KEY.index` says whose and where, `KEY.lock` is held by whoever
//! changes the other two. The key is of the image folder and of what decides a pixel, so other
//! folders and other sizes have other files.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use fs_err as fs;

use super::CacheEvent;
use super::index::{Entry, Index, encode, frame};
use super::positioned::{read_exact_at, write_all_at};
use super::stamp::Stamp;
use crate::folder::ImageFolder;
use crate::image_fault::ImageFault;
use crate::pixels::Channels;
use crate::preprocess::Preprocess;

/// Pixels begin here, at the second page.
pub(super) const DATA_START: u64 = 4096;
const VERSION: u32 = 1;

/// Where the files are and what they must say of themselves.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pixels: PathBuf,
    index: PathBuf,
    lock: PathBuf,
    header: Vec<u8>,
    plane_len: u64,
}

/// The files, open and locked.
#[derive(Debug)]
pub(super) struct Files {
    place: Place,
    data: File,
    /// Its length when it was opened.
    data_len: u64,
    log: File,
    /// Let go when it is closed.
    _lock: File,
    /// The file system's time when the lock was taken.
    pub(super) now: i64,
    pub(super) index: Index,
    end_of_data: u64,
}

impl Place {
    pub(super) fn new(dir: &Path, folder: &ImageFolder, spec: &Preprocess) -> Self {
        let recipe = serde_json::json!({
            "version": VERSION,
            "images": folder.root().to_string_lossy(),
            "width": spec.width,
            "height": spec.height,
            "bit_depth": spec.bit_depth,
            "polarity": spec.polarity,
        });
        let header = recipe.to_string().into_bytes();
        let key = &blake3::hash(&header).to_hex()[..32];
        let path = |extension: &str| dir.join(format!("{key}.{extension}"));
        Self {
            pixels: path("pixels"),
            index: path("index"),
            lock: path("lock"),
            header,
            plane_len: u64::from(spec.width) * u64::from(spec.height),
        }
    }

    pub(super) fn len_of(&self, channels: Channels) -> u64 {
        self.plane_len * channels.count() as u64
    }

    /// Opens the files, made where they are not, and waits for the lock.
    pub(super) fn open(&self, tell: &(dyn Fn(CacheEvent<'_>) + Sync)) -> Result<Files, ImageFault> {
        if let Some(dir) = self.lock.parent() {
            fs::create_dir_all(dir).map_err(|source| cache_fault(dir, source))?;
        }
        let lock = self.locked(tell)?;
        let open = |path: &Path| opened(path).map_err(|source| cache_fault(path, source));
        let now = file_system_time(&lock).map_err(|source| cache_fault(&self.lock, source))?;
        let data = open(&self.pixels)?;
        let data_len = data.metadata();
        let data_len = data_len
            .map_err(|source| cache_fault(&self.pixels, source))?
            .len();
        let mut files = Files {
            place: self.clone(),
            data,
            data_len,
            log: open(&self.index)?,
            _lock: lock,
            now,
            index: Index::default(),
            end_of_data: DATA_START,
        };
        files.read_index(tell)?;
        Ok(files)
    }

    fn locked(&self, tell: &(dyn Fn(CacheEvent<'_>) + Sync)) -> Result<File, ImageFault> {
        let fault = |source| cache_fault(&self.lock, source);
        let lock = opened(&self.lock).map_err(fault)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                tell(CacheEvent::Waits(&self.lock));
                lock.lock().map_err(fault)?;
            }
            Err(TryLockError::Error(source)) => return Err(fault(source)),
        }
        Ok(lock)
    }
}

impl Files {
    /// Takes the index up to its last whole record, and begins anew where it is damaged or belongs
    /// to other pixels.
    fn read_index(&mut self, tell: &(dyn Fn(CacheEvent<'_>) + Sync)) -> Result<(), ImageFault> {
        let mut log = Vec::new();
        self.log
            .read_to_end(&mut log)
            .map_err(|source| cache_fault(&self.place.index, source))?;
        let header = self.place.header.clone();
        let parsed = Index::parse(&log, &header);
        let is_new = log.is_empty();
        self.index = match parsed {
            Ok(index) if index.len > 0 && self.data_is_ours() => index,
            _ => {
                if !is_new {
                    tell(CacheEvent::Restarts(&self.place.index));
                }
                self.begin_anew()?
            }
        };
        self.cut_log(self.index.len)?;
        let place = &self.place;
        self.end_of_data = self
            .index
            .end_of_data(DATA_START, |channels| place.len_of(channels));
        Ok(())
    }

    /// Whether the pixels' file begins with the same header.
    fn data_is_ours(&self) -> bool {
        let mut found = vec![0; self.place.header.len()];
        read_exact_at(&self.data, &mut found, 0).is_ok() && found == self.place.header
    }

    fn begin_anew(&mut self) -> Result<Index, ImageFault> {
        let header = &self.place.header;
        self.cut_log(0)?;
        self.write_data(header, 0)?;
        let mut log = Vec::new();
        frame(header, &mut log);
        self.append_log(&log)?;
        Ok(Index {
            len: log.len() as u64,
            ..Index::default()
        })
    }

    /// Keeps pictures and what is known of them, in this order: pixels, then index.
    pub(super) fn append<'a>(
        &mut self,
        kept: impl Iterator<Item = (&'a str, Entry, Option<&'a [u8]>)>,
    ) -> Result<(), ImageFault> {
        let (mut log, mut data) = (Vec::new(), Vec::new());
        for (name, mut entry, pixels) in kept {
            if let Some(pixels) = pixels {
                entry.offset = self.end_of_data + data.len() as u64;
                data.extend_from_slice(pixels);
            }
            frame(&encode(name, &entry), &mut log);
            self.index.entries.insert(name.to_owned(), entry);
        }
        self.write_data(&data, self.end_of_data)?;
        self.append_log(&log)?;
        self.end_of_data += data.len() as u64;
        self.index.len += log.len() as u64;
        Ok(())
    }

    /// Writes pixels where they belong.
    pub(super) fn write_data(&self, bytes: &[u8], offset: u64) -> Result<(), ImageFault> {
        write_all_at(&self.data, bytes, offset)
            .map_err(|source| cache_fault(&self.place.pixels, source))
    }

    /// Whether the pixels' file was long enough for this picture when it was opened.
    pub(super) fn holds(&self, entry: &Entry) -> bool {
        let len = self.place.len_of(entry.channels);
        entry.offset.saturating_add(len) <= self.data_len
    }

    /// The pixels alone; the lock is let go.
    pub(super) fn into_data(self) -> File {
        self.data
    }

    /// Waits until both files are on the disk.
    pub(super) fn sync(&self) -> Result<(), ImageFault> {
        let sync =
            |file: &File, path: &Path| file.sync_data().map_err(|source| cache_fault(path, source));
        sync(&self.data, &self.place.pixels)?;
        sync(&self.log, &self.place.index)
    }

    fn cut_log(&self, len: u64) -> Result<(), ImageFault> {
        self.log
            .set_len(len)
            .and_then(|()| (&self.log).seek(SeekFrom::Start(len)))
            .map(drop)
            .map_err(|source| cache_fault(&self.place.index, source))
    }

    fn append_log(&self, log: &[u8]) -> Result<(), ImageFault> {
        (&self.log)
            .write_all(log)
            .map_err(|source| cache_fault(&self.place.index, source))
    }
}

/// Open for reading and writing, made where it is not; what it holds stays.
fn opened(path: &Path) -> std::io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
}

/// What the file system takes for the present, by writing to a file.
fn file_system_time(file: &File) -> std::io::Result<i64> {
    let mut file = file;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(b"\n")?;
    Ok(Stamp::of(&file.metadata()?).modified)
}

fn cache_fault(path: &Path, source: std::io::Error) -> ImageFault {
    ImageFault::Cache {
        path: path.to_owned(),
        source,
    }
}
