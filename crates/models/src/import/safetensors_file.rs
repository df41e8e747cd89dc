//! Reading a `.safetensors` file from anybody.
//!
//! The format holds no code: a length, a JSON table of names, types, shapes and offsets, then the
//! values. The table is bounded and checked (overlaps, gaps, sizes, names that occur twice) before
//! a value is read, so this reader needs no process of its own.

use std::path::Path;

use safetensors::{Dtype, SafeTensors};
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use super::fault::ImportFault;
use super::limits::Limits;
use super::source::{over, read_whole};
use super::tensors::{Element, ImportedTensor, TABLE_KEY, Tensors};

/// The tensors of a safetensors file.
///
/// # Errors
/// The file's first fault: too large, damaged header, a type that has no place here.
pub fn read_safetensors(path: &Path, limits: &Limits) -> Result<Tensors, ImportFault> {
    parse_safetensors(path, &read_whole(path, limits)?, limits)
}

/// The tensors of a safetensors file that is in memory already; `path` is for messages.
pub(crate) fn parse_safetensors(
    path: &Path,
    bytes: &[u8],
    limits: &Limits,
) -> Result<Tensors, ImportFault> {
    let damaged = |what: String| ImportFault::SafetensorsHeader {
        path: path.to_owned(),
        what,
    };
    let header = header_of(path, bytes, limits)?;
    refuse_repeated_names(path, header)?;
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|it| damaged(it.to_string()))?;
    let file = SafeTensors::deserialize(bytes).map_err(|it| damaged(it.to_string()))?;
    if file.len() > limits.tensors {
        let (found, limit) = (file.len() as u64, limits.tensors as u64);
        return Err(over(path, "the number of tensors", found, limit));
    }
    let mut tensors = Tensors::new();
    let mut value_bytes = 0u64;
    for (name, view) in file.iter() {
        let element = element_of(path, name, view.dtype())?;
        let count = view.data().len() / element.bytes();
        value_bytes += (count * element.decoded_bytes()) as u64;
        if value_bytes > limits.value_bytes {
            return Err(over(
                path,
                "the tensors' bytes",
                value_bytes,
                limits.value_bytes,
            ));
        }
        if view.shape().len() > limits.dimensions {
            let (found, limit) = (view.shape().len() as u64, limits.dimensions as u64);
            return Err(over(path, "the number of dimensions", found, limit));
        }
        let tensor = ImportedTensor {
            shape: view.shape().to_vec(),
            values: element.decode(view.data()),
            stored_as: element,
        };
        tensors
            .insert(name.to_owned(), tensor)
            .map_err(|name| ImportFault::DuplicateName {
                path: path.to_owned(),
                name,
            })?;
    }
    if let Some(table) = metadata
        .metadata()
        .as_ref()
        .and_then(|it| it.get(TABLE_KEY))
    {
        tensors.set_table(table.clone());
    }
    Ok(tensors)
}

/// The header's JSON, with its length checked against the file and the limit.
fn header_of<'a>(path: &Path, bytes: &'a [u8], limits: &Limits) -> Result<&'a [u8], ImportFault> {
    let damaged = |what: String| ImportFault::SafetensorsHeader {
        path: path.to_owned(),
        what,
    };
    let (length, rest) = bytes
        .split_first_chunk::<8>()
        .ok_or_else(|| damaged(format!("{} bytes cannot hold its length", bytes.len())))?;
    let length = u64::from_le_bytes(*length);
    if length > limits.header_bytes {
        return Err(over(
            path,
            "the header's length in bytes",
            length,
            limits.header_bytes,
        ));
    }
    usize::try_from(length)
        .ok()
        .and_then(|length| rest.get(..length))
        .ok_or_else(|| {
            damaged(format!(
                "it claims {length} bytes, the file has {} after it",
                rest.len()
            ))
        })
}

fn element_of(path: &Path, name: &str, dtype: Dtype) -> Result<Element, ImportFault> {
    match dtype {
        Dtype::F32 => Ok(Element::F32),
        Dtype::F64 => Ok(Element::F64),
        Dtype::F16 => Ok(Element::F16),
        Dtype::BF16 => Ok(Element::Bf16),
        Dtype::I64 => Ok(Element::I64),
        Dtype::I32 => Ok(Element::I32),
        other => Err(ImportFault::ElementType {
            path: path.to_owned(),
            name: name.to_owned(),
            found: format!("{other:?}"),
        }),
    }
}

/// JSON lets a key occur twice and parsers keep the last one: here such a header is refused.
fn refuse_repeated_names(path: &Path, header: &[u8]) -> Result<(), ImportFault> {
    let mut json = serde_json::Deserializer::from_slice(header);
    let mut names =
        json.deserialize_map(Names)
            .map_err(|source| ImportFault::SafetensorsHeader {
                path: path.to_owned(),
                what: source.to_string(),
            })?;
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        None => Ok(()),
        Some(pair) => Err(ImportFault::DuplicateName {
            path: path.to_owned(),
            name: pair[0].clone(),
        }),
    }
}

/// Collects the keys of an object and looks at nothing else.
struct Names;

impl<'de> Visitor<'de> for Names {
    type Value = Vec<String>;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a table of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut names = Vec::new();
        while let Some((name, _)) = map.next_entry::<String, IgnoredAny>()? {
            names.push(name);
        }
        Ok(names)
    }
}

#[cfg(test)]
#[path = "safetensors_file_tests.rs"]
mod tests;
