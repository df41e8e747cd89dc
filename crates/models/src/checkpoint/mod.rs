//! A network's saved form: one safetensors file that describes itself and knows whether it is
//! whole.
//!
//! For training (writes), inference and everything that loads. A file is written beside, synced,
//! renamed and its folder synced; it is read only after its digest was verified. Not here:
//! generations of checkpoints and the optimizer's state.

mod fault;
mod frame;
mod header;

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use candle_core::Tensor;
use fs_err as fs;

use crate::architecture::Architecture;
use crate::digest::digest_of_tensors;
use crate::fault::{AtLayer, ModelFault};
use crate::network::{Network, tensor_specs};
use crate::numbers::{each_bytes, from_bytes};
use crate::weights::{Coverage, check_tensors};

pub use fault::{CheckpointFault, CheckpointFaultKind, FindingsDiffer};
pub use header::{CheckpointHeader, FORMAT_VERSION, SavedOperatingPoint, TrainingFacts};

use fault::CheckpointFaultKind as Kind;
use frame::{LENGTH_BYTES, digest_places, header_length, prelude};

/// Bytes read ahead of what a file's length promises, at most: a wrong length cannot take memory.
const READ_AHEAD: usize = 1 << 20;

/// Weights with everything needed to use them. Header and tensors agree: its constructors check.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    header: CheckpointHeader,
    tensors: BTreeMap<String, Tensor>,
    path: PathBuf,
}

impl Checkpoint {
    /// A copy of a network's weights as they are now.
    ///
    /// # Errors
    /// A header that contradicts itself or the network, and weights that are not finite.
    pub fn of(network: &Network, header: CheckpointHeader) -> Result<Self, CheckpointFault> {
        if header.model != *network.config() {
            let kind = Kind::Contradiction {
                what: "its model is not the network's".to_owned(),
                value: format!("{:?} for {:?}", header.model, network.config()),
            };
            return Err(kind.of(""));
        }
        let tensors = network
            .snapshot()
            .map_err(|fault| Kind::from(fault).of(""))?;
        Self::from_parts(header, tensors)
    }

    /// Header and tensors, where they agree.
    ///
    /// # Errors
    /// As [`Checkpoint::of`]; tensors that are not exactly those of the header's network.
    pub fn from_parts(
        header: CheckpointHeader,
        tensors: BTreeMap<String, Tensor>,
    ) -> Result<Self, CheckpointFault> {
        check(&header, &tensors).map_err(|kind| kind.before_saving().of(""))?;
        Ok(Self {
            header,
            tensors,
            path: PathBuf::new(),
        })
    }

    /// What it says about itself.
    #[must_use]
    pub fn header(&self) -> &CheckpointHeader {
        &self.header
    }

    /// The weights by name.
    #[must_use]
    pub fn tensors(&self) -> &BTreeMap<String, Tensor> {
        &self.tensors
    }

    /// The file that it was read from; empty where it was made in memory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The network, ready to run.
    ///
    /// # Errors
    /// Where it cannot be allocated.
    pub fn network(&self) -> Result<Network, ModelFault> {
        Network::from_tensors(&self.header.model, &self.tensors)
    }

    /// The same as [`Network::weight_digest`] of its network.
    ///
    /// # Errors
    /// Where a tensor cannot be read.
    pub fn weight_digest(&self) -> Result<String, ModelFault> {
        digest_of_tensors(&self.tensors)
    }

    /// The same weights with another header: thresholds chosen later, a calibration.
    ///
    /// # Errors
    /// As [`Checkpoint::from_parts`].
    pub fn with_header(mut self, header: CheckpointHeader) -> Result<Self, CheckpointFault> {
        check(&header, &self.tensors).map_err(|kind| kind.of(self.path.clone()))?;
        self.header = header;
        Ok(self)
    }

    /// Whether its findings are these, in this order.
    ///
    /// # Errors
    /// M028 with the difference.
    pub fn check_findings(&self, expected: &[String]) -> Result<(), CheckpointFault> {
        let checked = self.header.check_findings(expected);
        checked.map_err(|differ| Kind::Findings(differ).of(self.path.clone()))
    }

    /// Whether it holds this architecture.
    ///
    /// # Errors
    /// M029 with both.
    pub fn check_architecture(&self, expected: Architecture) -> Result<(), CheckpointFault> {
        let found = self.header.model.architecture;
        if found == expected {
            return Ok(());
        }
        Err(Kind::Architecture { expected, found }.of(self.path.clone()))
    }

    /// Writes it to `path`: beside it first, synced, renamed, the folder synced. Where anything
    /// fails, what was at `path` is still there. The same checkpoint gives the same bytes.
    ///
    /// # Errors
    /// M032 with the failed operation and its path.
    pub fn save(&self, path: &Path) -> Result<(), CheckpointFault> {
        if path.file_name().is_none() {
            return Err(Kind::NotAFile.of(path));
        }
        let (start, names) = self.sealed_start().map_err(|kind| kind.of(path))?;
        cxr_durable::write_with(path, |mut file| {
            self.write_to(&mut file, &start, &names)
                .map_err(Kind::into_io)
        })
        .map_err(|error| Kind::Io(error).of(path))
    }

    /// The bytes before the tensors, digest included, and the tensors' order: the content is gone
    /// through once for its digest and once to be written, and never copied.
    fn sealed_start(&self) -> Result<(Vec<u8>, Vec<String>), Kind> {
        let json = serde_json::to_string(&self.header).map_err(io::Error::from)?;
        let (mut start, names) = prelude(&json, &self.tensors)?;
        let mut hasher = blake3::Hasher::new();
        hasher.update(&start);
        self.each_piece(&names, |bytes| {
            hasher.update(bytes);
            Ok(())
        })?;
        let digest = hasher.finalize().to_hex();
        if let Some(digits) = start.get_mut(digest_places()) {
            digits.copy_from_slice(digest.as_bytes());
        }
        Ok((start, names))
    }

    fn write_to(
        &self,
        writer: &mut impl Write,
        start: &[u8],
        names: &[String],
    ) -> Result<(), Kind> {
        writer.write_all(start)?;
        self.each_piece(names, |bytes| writer.write_all(bytes))
    }

    fn each_piece(
        &self,
        names: &[String],
        mut take: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), Kind> {
        for name in names {
            let Some(tensor) = self.tensors.get(name) else {
                continue;
            };
            each_bytes(tensor, &mut take).at(name)??;
        }
        Ok(())
    }

    /// Reads and verifies a checkpoint: structure, format, digest, header, then tensor by tensor.
    ///
    /// # Errors
    /// M020 to M033, or a tensor fault M010 to M015; see docs/errors/models.md.
    pub fn load(path: &Path) -> Result<Self, CheckpointFault> {
        let read = || {
            if !fs::metadata(path)?.is_file() {
                return Err(Kind::NotAFile);
            }
            let mut file = fs::File::open(path)?;
            let length = file.metadata()?.len();
            read_from(&mut file, length)
        };
        let (header, tensors) = read().map_err(|kind| kind.of(path))?;
        Ok(Self {
            header,
            tensors,
            path: path.to_owned(),
        })
    }

    /// The bytes that [`Checkpoint::save`] writes.
    ///
    /// # Errors
    /// Where a tensor cannot be read.
    pub fn to_bytes(&self) -> Result<Vec<u8>, CheckpointFault> {
        let write = || {
            let (start, names) = self.sealed_start()?;
            let mut bytes = Vec::new();
            self.write_to(&mut bytes, &start, &names)?;
            Ok(bytes)
        };
        write().map_err(|kind: Kind| kind.of(self.path.clone()))
    }

    /// As [`Checkpoint::load`], from memory.
    ///
    /// # Errors
    /// As [`Checkpoint::load`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CheckpointFault> {
        let (header, tensors) =
            read_from(&mut &*bytes, bytes.len() as u64).map_err(|kind| kind.of(""))?;
        Ok(Self {
            header,
            tensors,
            path: PathBuf::new(),
        })
    }
}

/// Whether header and tensors agree with themselves and each other.
fn check(header: &CheckpointHeader, tensors: &BTreeMap<String, Tensor>) -> Result<(), Kind> {
    header.check()?;
    let specs = tensor_specs(&header.model)?;
    check_tensors(&specs, tensors, Coverage::All)?;
    Ok(())
}

type Parts = (CheckpointHeader, BTreeMap<String, Tensor>);

fn read_from(reader: &mut impl Read, length: u64) -> Result<Parts, Kind> {
    if length == 0 {
        return Err(Kind::Empty);
    }
    let mut first = [0; LENGTH_BYTES];
    let read = read_up_to(reader, &mut first)?;
    if read < LENGTH_BYTES {
        let expected = LENGTH_BYTES as u64;
        return Err(Kind::Length {
            expected,
            found: read as u64,
        });
    }
    let mut start = vec![0; header_length(first, length)?];
    reader.read_exact(&mut start)?;
    let data_length = length - (LENGTH_BYTES + start.len()) as u64;
    let frame = frame::parse(&start, data_length)?;
    refuse_newer(&frame.header)?;
    let mut data = Vec::with_capacity(READ_AHEAD.min(data_length as usize));
    reader.by_ref().take(data_length).read_to_end(&mut data)?;
    verify(&frame, first, &mut start, &data)?;
    let header: CheckpointHeader =
        serde_json::from_str(&frame.header).map_err(|error| unreadable(&error))?;
    let tensors = tensors_of(&frame, &data)?;
    drop(data);
    check(&header, &tensors)?;
    Ok((header, tensors))
}

fn read_up_to(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match reader.read(rest) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn unreadable(error: &serde_json::Error) -> Kind {
    Kind::HeaderUnreadable {
        detail: error.to_string(),
    }
}

/// A newer format may mean anything by its header, so its number is read alone, before all else.
fn refuse_newer(header: &str) -> Result<(), Kind> {
    #[derive(serde::Deserialize)]
    struct Format {
        format_version: u64,
    }
    let Format { format_version } =
        serde_json::from_str(header).map_err(|error| unreadable(&error))?;
    if format_version <= u64::from(FORMAT_VERSION) {
        return Ok(());
    }
    Err(Kind::NewerFormat {
        found: format_version,
        newest: FORMAT_VERSION,
    })
}

fn verify(
    frame: &frame::Frame,
    first: [u8; LENGTH_BYTES],
    start: &mut [u8],
    data: &[u8],
) -> Result<(), Kind> {
    let places = digest_places();
    let digits = start.get_mut(places.start - LENGTH_BYTES..places.end - LENGTH_BYTES);
    if let Some(digits) = digits {
        digits.fill(b'0');
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update(&first).update(start).update(data);
    let found = hasher.finalize().to_hex();
    if found.as_str() == frame.digest {
        return Ok(());
    }
    Err(Kind::Digest {
        expected: frame.digest.clone(),
        found: found.to_string(),
    })
}

fn tensors_of(frame: &frame::Frame, data: &[u8]) -> Result<BTreeMap<String, Tensor>, Kind> {
    let mut tensors = BTreeMap::new();
    for entry in &frame.entries {
        let bytes = data.get(entry.places.clone()).unwrap_or_default();
        let tensor = from_bytes(bytes, entry.dtype, &entry.shape).at(&entry.name)?;
        let tensor = tensor.ok_or_else(|| Kind::Offsets {
            tensor: entry.name.clone(),
            detail: "its bytes are not there".to_owned(),
        })?;
        tensors.insert(entry.name.clone(), tensor);
    }
    Ok(tensors)
}
