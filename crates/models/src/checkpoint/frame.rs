//! The bytes around the tensors of a checkpoint: a safetensors header that starts with a digest of
//! the whole file.
//!
//! For `Checkpoint`. The digest is BLAKE3 over every byte of the file with the 64 digits of the
//! digest itself taken as `0`; they stand at a fixed place, so no bit of the file is left out.
//! Other programs read the file as ordinary safetensors.

use std::collections::BTreeMap;

use candle_core::{DType, Tensor};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::checkpoint::fault::CheckpointFaultKind;

/// Bytes of the header's length.
pub(crate) const LENGTH_BYTES: usize = 8;
/// How every checkpoint's header begins; the digest's digits follow.
const PREFIX: &str = r#"{"__metadata__":{"cxr.digest":""#;
const DIGEST_DIGITS: usize = 64;
/// Far above any header of ours (about 20 kB).
pub(crate) const LONGEST_HEADER: u64 = 16 << 20;

/// One tensor's place.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) dtype: DType,
    pub(crate) shape: Vec<usize>,
    /// Bytes from the end of the header.
    pub(crate) places: std::ops::Range<usize>,
}

/// What the header says.
#[derive(Debug)]
pub(crate) struct Frame {
    /// The checkpoint's own header, JSON.
    pub(crate) header: String,
    /// The digest that the file carries.
    pub(crate) digest: String,
    /// The tensors, side by side.
    pub(crate) entries: Vec<Entry>,
}

#[derive(Deserialize)]
struct RawEntry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [usize; 2],
}

/// The first bytes of a checkpoint, length and header, with a digest of zeros. Tensors follow in
/// the order of the returned names: counts first, so that all are aligned, then by name.
pub(crate) fn prelude(
    header: &str,
    tensors: &BTreeMap<String, Tensor>,
) -> Result<(Vec<u8>, Vec<String>), CheckpointFaultKind> {
    let mut names: Vec<&String> = tensors.keys().collect();
    names.sort_by_key(|name| tensors[*name].dtype() != DType::I64);
    let mut json = format!(
        "{PREFIX}{}\",\"cxr.header\":{}}}",
        "0".repeat(DIGEST_DIGITS),
        Value::String(header.to_owned())
    );
    let mut start = 0;
    for name in &names {
        let tensor = &tensors[*name];
        let end = start + tensor.elem_count() * tensor.dtype().size_in_bytes();
        let entry = json!({
            "dtype": dtype_word(tensor.dtype()),
            "shape": tensor.dims(),
            "data_offsets": [start, end],
        });
        json.push_str(&format!(",{}:{entry}", Value::String((*name).clone())));
        start = end;
    }
    json.push('}');
    while json.len() % LENGTH_BYTES != 0 {
        json.push(' ');
    }
    if json.len() as u64 > LONGEST_HEADER {
        return Err(CheckpointFaultKind::HeaderLength {
            found: json.len() as u64,
            longest: LONGEST_HEADER,
        });
    }
    let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
    bytes.extend(json.as_bytes());
    Ok((bytes, names.into_iter().cloned().collect()))
}

fn dtype_word(dtype: DType) -> &'static str {
    match dtype {
        DType::I64 => "I64",
        _ => "F32",
    }
}

/// Where the digest's digits stand in a file.
pub(crate) fn digest_places() -> std::ops::Range<usize> {
    let start = LENGTH_BYTES + PREFIX.len();
    start..start + DIGEST_DIGITS
}

/// The header's length from a file's first bytes.
pub(crate) fn header_length(
    first: [u8; LENGTH_BYTES],
    file_length: u64,
) -> Result<usize, CheckpointFaultKind> {
    let found = u64::from_le_bytes(first);
    let longest = file_length
        .saturating_sub(LENGTH_BYTES as u64)
        .min(LONGEST_HEADER);
    usize::try_from(found)
        .ok()
        .filter(|_| found <= longest)
        .ok_or(CheckpointFaultKind::HeaderLength { found, longest })
}

/// Reads a header and checks that its tensors fill the rest of the file exactly.
pub(crate) fn parse(bytes: &[u8], data_length: u64) -> Result<Frame, CheckpointFaultKind> {
    if !bytes.starts_with(PREFIX.as_bytes()) {
        let shown = bytes.get(..bytes.len().min(24)).unwrap_or_default();
        return Err(CheckpointFaultKind::NotACheckpoint {
            found: String::from_utf8_lossy(shown).into_owned(),
        });
    }
    let unreadable = |detail: String| CheckpointFaultKind::HeaderUnreadable { detail };
    let mut members: BTreeMap<String, Value> =
        serde_json::from_slice(bytes).map_err(|error| unreadable(error.to_string()))?;
    let mut metadata: BTreeMap<String, String> =
        serde_json::from_value(members.remove("__metadata__").unwrap_or_default())
            .map_err(|error| unreadable(error.to_string()))?;
    let mut metadatum = |key: &str| {
        metadata
            .remove(key)
            .ok_or_else(|| unreadable(format!("{key} is missing")))
    };
    let (digest, header) = (metadatum("cxr.digest")?, metadatum("cxr.header")?);
    let mut entries = members
        .into_iter()
        .map(|(name, value)| entry(name, value))
        .collect::<Result<Vec<Entry>, _>>()?;
    entries.sort_by_key(|entry| (entry.places.start, entry.places.end));
    check_side_by_side(&entries, bytes.len(), data_length)?;
    Ok(Frame {
        header,
        digest,
        entries,
    })
}

fn entry(name: String, value: Value) -> Result<Entry, CheckpointFaultKind> {
    let raw: RawEntry =
        serde_json::from_value(value).map_err(|error| CheckpointFaultKind::HeaderUnreadable {
            detail: format!("tensor {name:?}: {error}"),
        })?;
    let dtype = match raw.dtype.as_str() {
        "F32" => DType::F32,
        "I64" => DType::I64,
        _ => {
            return Err(CheckpointFaultKind::Dtype {
                tensor: name,
                found: raw.dtype,
            });
        }
    };
    let [start, end] = raw.data_offsets;
    let length = raw
        .shape
        .iter()
        .try_fold(dtype.size_in_bytes(), |product, &side| {
            product.checked_mul(side)
        });
    if length.is_none() || end.checked_sub(start) != length {
        return Err(CheckpointFaultKind::Offsets {
            detail: format!("bytes {start} to {end} do not hold {:?}", raw.shape),
            tensor: name,
        });
    }
    Ok(Entry {
        name,
        dtype,
        shape: raw.shape,
        places: start..end,
    })
}

fn check_side_by_side(
    entries: &[Entry],
    header_length: usize,
    data_length: u64,
) -> Result<(), CheckpointFaultKind> {
    let mut end = 0;
    for entry in entries {
        if entry.places.start != end {
            let word = if entry.places.start < end {
                "overlaps the one before it"
            } else {
                "leaves a hole before it"
            };
            return Err(CheckpointFaultKind::Offsets {
                tensor: entry.name.clone(),
                detail: word.to_owned(),
            });
        }
        end = entry.places.end;
    }
    let around = (LENGTH_BYTES + header_length) as u64;
    if end as u64 == data_length {
        return Ok(());
    }
    Err(CheckpointFaultKind::Length {
        expected: (end as u64).saturating_add(around),
        found: data_length + around,
    })
}
