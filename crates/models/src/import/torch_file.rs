//! Reading a `.pth` file: what `torch.save` writes, in its zip form and in the older one.
//!
//! For the reader's process ([`guard`](super::guard)); it can be called in any process, but the
//! rule is that files from strangers go through the guard. The zip form is `<root>/data.pkl` and
//! one stored record `<root>/data/<key>` for each storage; the older form is five pickles and then
//! the storages one after the other (PyTorch 1.5 and before, and torchvision's first weights).
//! TorchScript programs and whole pickled modules are refused: they are code.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{Cursor, ErrorKind, Read};
use std::path::Path;

use zip::{CompressionMethod, ZipArchive};

use super::fault::ImportFault;
use super::limits::Limits;
use super::pickle::{Node, NodeId, Refusal, RefusalAt, Unpickled, unpickle};
use super::source::{LEGACY_START, ZIP_START, format_of, over, read_whole};
use super::state_dict::state_dict;
use super::tensors::Tensors;

/// The older form's third pickle and second pickle hold these.
const LEGACY_PROTOCOL: i64 = 1001;

/// The tensors of a `.pth` file's state dict.
///
/// Nothing in the file is executed. Call [`read_pth_guarded`](super::read_pth_guarded) for files
/// from strangers: it runs this function in a process with limits of its own.
///
/// # Errors
/// The file's first fault, see `docs/errors/import.md`.
pub fn read_pth(path: &Path, limits: &Limits) -> Result<Tensors, ImportFault> {
    parse_pth(path, &read_whole(path, limits)?, limits)
}

/// The same for bytes in memory; `path` is for messages.
pub(crate) fn parse_pth(
    path: &Path,
    bytes: &[u8],
    limits: &Limits,
) -> Result<Tensors, ImportFault> {
    if bytes.starts_with(ZIP_START) {
        ZipForm::open(path, bytes, limits)?.tensors(limits)
    } else if bytes.starts_with(LEGACY_START) {
        legacy_tensors(path, bytes, limits)
    } else {
        format_of(path, bytes)?;
        // Safetensors under another name: no harm in it.
        super::safetensors_file::parse_safetensors(path, bytes, limits)
    }
}

/// A refusal of the pickle machine, with its file.
fn at_path(path: &Path, start: usize, refused: RefusalAt) -> ImportFault {
    let path = path.to_owned();
    let offset = start + refused.offset;
    match refused.refusal {
        Refusal::Instruction(instruction) => ImportFault::PickleInstruction {
            path,
            offset,
            instruction,
        },
        Refusal::Global(global) => ImportFault::PickleGlobal {
            path,
            offset,
            global,
        },
        Refusal::Damaged(what) => ImportFault::Pickle { path, offset, what },
        Refusal::Layout { storage, what } => ImportFault::Layout {
            path,
            name: storage,
            what,
        },
        Refusal::Over { what, found, limit } => over(&path, what, found, limit),
    }
}

/// An archive whose entries have been checked.
struct ZipForm<'a> {
    path: &'a Path,
    archive: ZipArchive<Cursor<&'a [u8]>>,
    /// The folder inside of the archive that everything lies in.
    root: String,
}

impl<'a> ZipForm<'a> {
    fn open(path: &'a Path, bytes: &'a [u8], limits: &Limits) -> Result<Self, ImportFault> {
        let fault = |what: String| archive_fault(path, None, what);
        let mut archive =
            ZipArchive::new(Cursor::new(bytes)).map_err(|source| fault(source.to_string()))?;
        // PyTorch adds a handful of records (version, byteorder, …) to one for each storage.
        let most = limits.tensors + 64;
        if archive.len() > most {
            return Err(over(
                path,
                "the number of entries",
                archive.len() as u64,
                most as u64,
            ));
        }
        if archive.has_duplicate_names() {
            return Err(fault("two entries have the same name".to_owned()));
        }
        if archive
            .has_overlapping_entries()
            .map_err(|source| fault(source.to_string()))?
        {
            return Err(fault("its entries overlap".to_owned()));
        }
        let root = check_entries(path, &mut archive)?;
        let mut form = Self {
            path,
            archive,
            root,
        };
        form.check_byte_order()?;
        Ok(form)
    }

    fn check_byte_order(&mut self) -> Result<(), ImportFault> {
        let name = format!("{}/byteorder", self.root);
        if self.archive.index_for_name(&name).is_none() {
            return Ok(());
        }
        match self.record(&name, 16)?.as_slice() {
            b"little" => Ok(()),
            other => Err(archive_fault(
                self.path,
                Some(&name),
                format!(
                    "byte order \"{}\", expected \"little\"",
                    other.escape_ascii()
                ),
            )),
        }
    }

    fn tensors(&mut self, limits: &Limits) -> Result<Tensors, ImportFault> {
        let pickle = self.record(&format!("{}/data.pkl", self.root), limits.pickle_bytes)?;
        let unpickled =
            unpickle(&pickle, limits).map_err(|refused| at_path(self.path, 0, refused))?;
        let path = self.path;
        state_dict(path, &unpickled, limits, |storage| {
            let name = format!("{}/data/{}", self.root, storage.key);
            self.record(&name, limits.file_bytes).map(Cow::Owned)
        })
    }

    /// The bytes of a stored record; its check sum is verified on the way.
    fn record(&mut self, name: &str, limit: u64) -> Result<Vec<u8>, ImportFault> {
        let fault = |what: String| archive_fault(self.path, Some(name), what);
        let record = self
            .archive
            .by_name(name)
            .map_err(|source| fault(source.to_string()))?;
        if record.size() > limit {
            return Err(over(
                self.path,
                "a record's length in bytes",
                record.size(),
                limit,
            ));
        }
        let mut bytes = Vec::new();
        // One byte further than it may be long: the check sum is verified at its end.
        match record.take(limit.saturating_add(1)).read_to_end(&mut bytes) {
            Ok(_) => Ok(bytes),
            // Not the file's fault.
            Err(source) if source.kind() == ErrorKind::OutOfMemory => Err(source.into()),
            Err(source) => Err(fault(source.to_string())),
        }
    }
}

/// The one folder that holds `data.pkl`. Every entry is stored as it is, not encrypted, and has a
/// plain relative name.
fn check_entries(
    path: &Path,
    archive: &mut ZipArchive<Cursor<&[u8]>>,
) -> Result<String, ImportFault> {
    let names: Vec<String> = archive
        .file_names_raw()
        .map(|name| String::from_utf8_lossy(name).into_owned())
        .collect();
    let root = root_of(path, &names)?;
    for (index, name) in names.iter().enumerate() {
        let entry = archive
            .by_index_raw(index)
            .map_err(|source| archive_fault(path, Some(name), source.to_string()))?;
        let stored = entry.compression() == CompressionMethod::Stored
            && entry.compressed_size() == entry.size();
        let is_plain = name.split('/').all(|part| !matches!(part, "" | "." | ".."))
            && !name.contains(['\\', '\0', ':']);
        let what = if !stored {
            "an entry is compressed; torch.save stores them as they are"
        } else if entry.encrypted() {
            "an entry is encrypted"
        } else if !is_plain {
            "an entry's name is not a plain relative path"
        } else {
            continue;
        };
        return Err(archive_fault(path, Some(name), what.to_owned()));
    }
    Ok(root)
}

fn root_of(path: &Path, names: &[String]) -> Result<String, ImportFault> {
    let roots: Vec<&str> = names
        .iter()
        .filter_map(|name| name.strip_suffix("/data.pkl"))
        .filter(|root| !root.contains('/'))
        .collect();
    let [root] = roots.as_slice() else {
        let what = format!(
            "{} entries are called <root>/data.pkl, expected one",
            roots.len()
        );
        return Err(archive_fault(path, None, what));
    };
    let code = format!("{root}/code/");
    if let Some(entry) = names.iter().find(|name| name.starts_with(&code)) {
        let what = "a TorchScript program, which is code, not weights".to_owned();
        return Err(archive_fault(path, Some(entry), what));
    }
    Ok((*root).to_owned())
}

fn archive_fault(path: &Path, entry: Option<&str>, what: String) -> ImportFault {
    ImportFault::Archive {
        path: path.to_owned(),
        entry: entry.map(str::to_owned),
        what,
    }
}

/// The older form: magic, protocol, the writer's platform, the object, the storages' keys, and then
/// each storage as its length and its elements.
fn legacy_tensors(path: &Path, bytes: &[u8], limits: &Limits) -> Result<Tensors, ImportFault> {
    let damaged = |offset: usize, what: &str| ImportFault::Pickle {
        path: path.to_owned(),
        offset,
        what: what.to_owned(),
    };
    let mut position = 0;
    let mut next = || -> Result<(usize, Unpickled), ImportFault> {
        let start = position;
        let rest = bytes.get(start..).unwrap_or_default();
        let most = usize::try_from(limits.pickle_bytes).unwrap_or(usize::MAX);
        let unpickled = unpickle(rest.get(..most).unwrap_or(rest), limits)
            .map_err(|refused| at_path(path, start, refused))?;
        position += unpickled.length;
        Ok((start, unpickled))
    };
    let _magic = next()?; // its bytes told the format
    let (start, protocol) = next()?;
    if *protocol.node(protocol.root) != Node::Int(LEGACY_PROTOCOL) {
        return Err(damaged(start, "its protocol is not PyTorch's 1001"));
    }
    let (start, platform) = next()?;
    if !is_little_endian(&platform) {
        return Err(damaged(
            start,
            "it was not written on a little-endian machine",
        ));
    }
    let (_, object) = next()?;
    let (start, keys) = next()?;
    let keys = texts(&keys).ok_or_else(|| damaged(start, "its storages' keys are no strings"))?;
    let records = legacy_records(path, bytes, position, &object, &keys)?;
    state_dict(path, &object, limits, |storage| {
        match records.get(storage.key.as_str()) {
            Some(record) => Ok(Cow::Borrowed(*record)),
            None => Err(ImportFault::Layout {
                path: path.to_owned(),
                name: storage.key.clone(),
                what: "its storage is not in the file".to_owned(),
            }),
        }
    })
}

fn is_little_endian(platform: &Unpickled) -> bool {
    let Node::Dict(pairs) = platform.node(platform.root) else {
        return false;
    };
    pairs.iter().any(|(key, value)| {
        matches!(platform.node(*key), Node::Text(key) if key == "little_endian")
            && *platform.node(*value) == Node::Bool(true)
    })
}

fn texts(list: &Unpickled) -> Option<Vec<&str>> {
    let Node::List(items) = list.node(list.root) else {
        return None;
    };
    items
        .iter()
        .map(|item: &NodeId| match list.node(*item) {
            Node::Text(text) => Some(text.as_str()),
            _ => None,
        })
        .collect()
}

/// Each storage's bytes, by key; they fill the file to its end.
fn legacy_records<'a>(
    path: &Path,
    bytes: &'a [u8],
    mut position: usize,
    object: &Unpickled,
    keys: &[&str],
) -> Result<HashMap<String, &'a [u8]>, ImportFault> {
    let fault = |key: &str, what: &str| ImportFault::Layout {
        path: path.to_owned(),
        name: key.to_owned(),
        what: what.to_owned(),
    };
    let known: HashMap<&str, _> = object
        .storages
        .iter()
        .map(|storage| (storage.key.as_str(), storage))
        .collect();
    let mut records = HashMap::new();
    for key in keys {
        let storage = known
            .get(key)
            .ok_or_else(|| fault(key, "a storage that nothing uses"))?;
        let rest = bytes.get(position..).unwrap_or_default();
        let (length, rest) = rest
            .split_first_chunk::<8>()
            .ok_or_else(|| fault(key, "the file ends before it"))?;
        if u64::from_le_bytes(*length) != storage.length {
            return Err(fault(key, "its length is not the one of its description"));
        }
        let size = storage
            .length
            .checked_mul(storage.element.bytes() as u64)
            .and_then(|size| usize::try_from(size).ok())
            .filter(|size| *size <= rest.len())
            .ok_or_else(|| fault(key, "the file ends inside of it"))?;
        let record = rest.get(..size).unwrap_or_default();
        position += 8 + size;
        if records.insert((*key).to_owned(), record).is_some() {
            return Err(fault(key, "the storage is there twice"));
        }
    }
    if position != bytes.len() {
        return Err(ImportFault::Pickle {
            path: path.to_owned(),
            offset: position,
            what: format!("{} bytes follow after its end", bytes.len() - position),
        });
    }
    Ok(records)
}

#[cfg(test)]
#[path = "torch_file_tests.rs"]
mod tests;
