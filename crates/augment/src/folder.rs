//! A folder of images, read by names that came from a table and are not to be trusted.
//!
//! For loaders and commands. Only regular files below the folder are opened, for reading alone,
//! never so that a pipe could block. Deliberately not here: decoding.

use std::collections::HashMap;
use std::fs::{FileType, Metadata};
use std::io::{Error, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use fs_err as fs;
use rayon::prelude::*;

use crate::image_fault::ImageFault;
use crate::image_name;
use crate::limits::MAX_FILE_BYTES;

/// An existing folder whose images are read by relative name.
///
/// ```no_run
/// use cxr_augment::{ImageFolder, ImageFault};
/// let folder = ImageFolder::open("images")?;
/// let bytes = folder.read("00000013_005.png")?;
/// assert!(matches!(folder.read("../secret.png"), Err(ImageFault::Name { .. })));
/// # Ok::<(), ImageFault>(())
/// ```
#[derive(Clone, Debug)]
pub struct ImageFolder {
    given: PathBuf,
    root: PathBuf,
    /// Names by their lower case, of each folder in which something was missing.
    listings: Arc<Mutex<HashMap<PathBuf, Arc<Listing>>>>,
}

type Listing = HashMap<String, String>;

impl ImageFolder {
    /// The folder at `root`.
    ///
    /// # Errors
    /// Where it is missing, no folder, or not to be entered.
    pub fn open(root: impl AsRef<Path>) -> Result<Self, ImageFault> {
        let given = root.as_ref().to_owned();
        let io = |source| ImageFault::Io {
            path: given.clone(),
            source,
        };
        let root = given.canonicalize().map_err(io)?;
        if !root.metadata().map_err(io)?.is_dir() {
            return Err(io(Error::from(ErrorKind::NotADirectory)));
        }
        Ok(Self {
            given,
            root,
            listings: Arc::default(),
        })
    }

    /// The folder as it was given.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.given
    }

    /// The bytes of the image.
    ///
    /// # Errors
    /// Where the name is not usable, the file missing, elsewhere, not regular, too large, empty or
    /// unreadable.
    pub fn read(&self, name: &str) -> Result<Vec<u8>, ImageFault> {
        let (path, _) = self.resolve(name)?;
        read_regular(&path, name)
    }

    /// Whether `read` would find a regular file, without opening it.
    ///
    /// # Errors
    /// As `read`, but for what only opening can tell.
    pub fn probe(&self, name: &str) -> Result<(), ImageFault> {
        self.metadata(name).map(drop)
    }

    /// What `probe` looks at.
    pub(crate) fn metadata(&self, name: &str) -> Result<Metadata, ImageFault> {
        let (_, metadata) = self.resolve(name)?;
        check_metadata(&metadata, name)?;
        Ok(metadata)
    }

    /// The folder without links.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// What `probe` finds wrong with any of the names, in their order.
    #[must_use]
    pub fn missing<N: AsRef<str> + Sync>(&self, names: &[N]) -> Vec<ImageFault> {
        names
            .par_iter()
            .filter_map(|name| self.probe(name.as_ref()).err())
            .collect()
    }

    /// Where the file really is, which is below the folder, and what lies there.
    fn resolve(&self, name: &str) -> Result<(PathBuf, Metadata), ImageFault> {
        let path = self.root.join(image_name::checked(name)?);
        // Nearly every image is a regular file right below the root, which has no links left: one
        // look, where `canonicalize` takes one for each folder on the way.
        if !name.contains('/')
            && let Ok(metadata) = path.symlink_metadata()
            && metadata.is_file()
        {
            return Ok((path, metadata));
        }
        let target = match path.canonicalize() {
            Ok(target) => target,
            Err(cause) => return Err(self.unresolved(name, &path, cause)),
        };
        if target.starts_with(&self.root) {
            let metadata = fs::symlink_metadata(&target);
            let metadata = metadata.map_err(|source| io_fault(&target, source))?;
            Ok((target, metadata))
        } else {
            Err(ImageFault::Outside {
                name: name.to_owned(),
                folder: self.given.clone(),
                target,
            })
        }
    }

    fn unresolved(&self, name: &str, path: &Path, cause: Error) -> ImageFault {
        let not_a_file = |kind| ImageFault::NotAFile {
            name: name.to_owned(),
            kind,
        };
        let is_link = path
            .symlink_metadata()
            .is_ok_and(|metadata| metadata.is_symlink());
        match cause.kind() {
            ErrorKind::NotFound if is_link => not_a_file("a link to nothing"),
            ErrorKind::NotFound | ErrorKind::NotADirectory => ImageFault::Missing {
                name: name.to_owned(),
                folder: self.given.clone(),
                similar: self.similar(name),
            },
            _ if cause.raw_os_error() == Some(libc::ELOOP) => not_a_file("a loop of links"),
            _ => io_fault(path, cause),
        }
    }

    /// A file beside the missing one whose name differs in case alone.
    fn similar(&self, name: &str) -> Option<String> {
        let (parent, file) = match name.rsplit_once('/') {
            Some((parent, file)) => (self.root.join(parent), file),
            None => (self.root.clone(), name),
        };
        let listing = {
            let mut listings = self.listings.lock().unwrap_or_else(PoisonError::into_inner);
            let entry = listings.entry(parent);
            Arc::clone(entry.or_insert_with_key(|parent| Arc::new(listing_of(parent))))
        };
        listing.get(&file.to_lowercase()).cloned()
    }
}

/// The bytes of a file that the user named, wherever it lies: a regular file within the limits.
///
/// # Errors
/// Where it is missing, not regular, too large, empty or unreadable.
pub fn read_image_file(path: &Path) -> Result<Vec<u8>, ImageFault> {
    let io = |source| io_fault(path, source);
    let target = path.canonicalize().map_err(io)?;
    read_regular(&target, &path.to_string_lossy())
}

/// Reads `path`, which has no links left; what it is was looked at before it is opened, and again
/// on the open file.
fn read_regular(path: &Path, name: &str) -> Result<Vec<u8>, ImageFault> {
    let io = |source| io_fault(path, source);
    check_metadata(&path.symlink_metadata().map_err(io)?, name)?;
    let file = open_without_blocking(path).map_err(io)?;
    let metadata = file.metadata().map_err(io)?;
    check_metadata(&metadata, name)?;
    let mut bytes = Vec::with_capacity(metadata.len() as usize);
    // A file may grow while it is read; one byte more than the limit shows that.
    file.take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(io)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(ImageFault::FileTooLarge {
            name: name.to_owned(),
            bytes: bytes.len() as u64,
        });
    }
    Ok(bytes)
}

#[cfg(unix)]
fn open_without_blocking(path: &Path) -> std::io::Result<std::fs::File> {
    use std::os::unix::fs::OpenOptionsExt;
    std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW | libc::O_NOCTTY)
        .open(path)
}

#[cfg(not(unix))]
fn open_without_blocking(path: &Path) -> std::io::Result<std::fs::File> {
    std::fs::File::open(path)
}

fn check_metadata(metadata: &Metadata, name: &str) -> Result<(), ImageFault> {
    let name = || name.to_owned();
    if !metadata.is_file() {
        Err(ImageFault::NotAFile {
            name: name(),
            kind: kind_of(metadata.file_type()),
        })
    } else if metadata.len() > MAX_FILE_BYTES {
        Err(ImageFault::FileTooLarge {
            name: name(),
            bytes: metadata.len(),
        })
    } else if metadata.len() == 0 {
        Err(ImageFault::Empty { name: name() })
    } else {
        Ok(())
    }
}

#[cfg(unix)]
fn kind_of(file_type: FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    if file_type.is_dir() {
        "a folder"
    } else if file_type.is_fifo() {
        "a pipe"
    } else if file_type.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

#[cfg(not(unix))]
fn kind_of(file_type: FileType) -> &'static str {
    if file_type.is_dir() {
        "a folder"
    } else {
        "a device"
    }
}

/// Empty where the folder cannot be listed: then there is no hint.
fn listing_of(folder: &Path) -> Listing {
    let Ok(entries) = fs::read_dir(folder) else {
        return Listing::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .map(|name| (name.to_lowercase(), name))
        .collect()
}

fn io_fault(path: &Path, source: Error) -> ImageFault {
    ImageFault::Io {
        path: path.to_owned(),
        source,
    }
}
