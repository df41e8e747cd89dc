//! From a pickle's objects to named tensors with values.
//!
//! For [`torch_file`](super::torch_file), which knows where a storage's bytes lie. The table of
//! tensors is the whole object, or lies under one of the names that training scripts use.

use std::borrow::Cow;
use std::collections::HashSet;
use std::path::Path;

use super::fault::ImportFault;
use super::limits::Limits;
use super::pickle::{Node, NodeId, StorageRef, TensorRef, Unpickled};
use super::source::{element_count, over};
use super::tensors::{ImportedTensor, Tensors};

/// Where training scripts put the state dict among other things.
const TABLE_KEYS: [&str; 3] = ["state_dict", "model_state_dict", "model"];

/// The tensors of the object's state dict. `bytes_of` gives a storage's bytes; each is asked for
/// once.
pub(crate) fn state_dict<'a>(
    path: &Path,
    object: &Unpickled,
    limits: &Limits,
    mut bytes_of: impl FnMut(&StorageRef) -> Result<Cow<'a, [u8]>, ImportFault>,
) -> Result<Tensors, ImportFault> {
    let mut tensors = Tensors::new();
    let (table, key) = table_of(path, object)?;
    if let Some(key) = key {
        tensors.set_table(key.to_owned());
    }
    let mut named = named_tensors(path, object, table)?;
    if named.len() > limits.tensors {
        return Err(over(
            path,
            "the number of tensors",
            named.len() as u64,
            limits.tensors as u64,
        ));
    }
    check_total(path, object, &named, limits)?;
    // By storage, so that each storage is in memory once and only while it is needed.
    named.sort_by_key(|(_, tensor)| tensor.storage);
    for group in named.chunk_by(|(_, one), (_, other)| one.storage == other.storage) {
        let Some(storage) = group
            .first()
            .and_then(|(_, it)| object.storages.get(it.storage))
        else {
            continue;
        };
        let bytes = bytes_of(storage)?;
        check_length(path, storage, bytes.len())?;
        for (name, tensor) in group {
            let imported = gather(storage, tensor, &bytes);
            tensors
                .insert((*name).to_owned(), imported)
                .map_err(|name| ImportFault::DuplicateName {
                    path: path.to_owned(),
                    name,
                })?;
        }
    }
    Ok(tensors)
}

type Pairs<'a> = &'a [(NodeId, NodeId)];

/// The table of tensors, and its key where it is not the whole object.
fn table_of<'a>(
    path: &Path,
    object: &'a Unpickled,
) -> Result<(Pairs<'a>, Option<&'static str>), ImportFault> {
    let fault = |found: String| ImportFault::NoStateDict {
        path: path.to_owned(),
        found,
    };
    let Node::Dict(pairs) = object.node(object.root) else {
        return Err(fault(kind(object.node(object.root)).to_owned()));
    };
    if pairs
        .iter()
        .any(|(_, value)| matches!(object.node(*value), Node::Tensor(_)))
    {
        return Ok((pairs, None));
    }
    for wanted in TABLE_KEYS {
        for (key, value) in pairs {
            if let (Node::Text(key), Node::Dict(inner)) = (object.node(*key), object.node(*value))
                && key == wanted
            {
                return Ok((inner, Some(wanted)));
            }
        }
    }
    let keys: Vec<String> = pairs
        .iter()
        .take(8)
        .map(|(key, value)| match object.node(*key) {
            Node::Text(key) => format!("{key:?}: {}", kind(object.node(*value))),
            other => format!("{}: {}", kind(other), kind(object.node(*value))),
        })
        .collect();
    Err(fault(format!(
        "a table with {} entries: {}",
        pairs.len(),
        keys.join(", ")
    )))
}

fn kind(node: &Node) -> &'static str {
    match node {
        Node::None => "None",
        Node::Bool(_) => "a boolean",
        Node::Int(_) | Node::LongInt(_) => "a whole number",
        Node::Float => "a float",
        Node::Text(_) => "a string",
        Node::Tuple(_) => "a tuple",
        Node::List(_) => "a list",
        Node::Dict(_) => "a table",
        Node::Global(_) => "a class",
        Node::Storage(_) => "a storage",
        Node::Tensor(_) => "a tensor",
    }
}

/// Names and tensors; every entry of the table must be one.
fn named_tensors<'a>(
    path: &Path,
    object: &'a Unpickled,
    table: Pairs<'a>,
) -> Result<Vec<(&'a str, &'a TensorRef)>, ImportFault> {
    let mut names = HashSet::new();
    let mut named = Vec::new();
    for (key, value) in table {
        let (Node::Text(name), Node::Tensor(tensor)) = (object.node(*key), object.node(*value))
        else {
            let found = match object.node(*key) {
                Node::Text(key) => format!("{key:?} is {}", kind(object.node(*value))),
                other => format!("a name that is {}", kind(other)),
            };
            return Err(ImportFault::NoStateDict {
                path: path.to_owned(),
                found,
            });
        };
        if !names.insert(name) {
            let name = name.clone();
            return Err(ImportFault::DuplicateName {
                path: path.to_owned(),
                name,
            });
        }
        if let Some(tensor) = object.tensors.get(*tensor) {
            named.push((name.as_str(), tensor));
        }
    }
    Ok(named)
}

/// A stride of 0 makes a large tensor of a small storage: sizes are summed before any is built.
fn check_total(
    path: &Path,
    object: &Unpickled,
    named: &[(&str, &TensorRef)],
    limits: &Limits,
) -> Result<(), ImportFault> {
    let mut total = 0u64;
    for (_, tensor) in named {
        let bytes = object
            .storages
            .get(tensor.storage)
            .map_or(8, |it| it.element.decoded_bytes());
        total = element_count(&tensor.shape)
            .and_then(|count| count.checked_mul(bytes as u64))
            .and_then(|size| total.checked_add(size))
            .unwrap_or(u64::MAX);
        if total > limits.value_bytes {
            return Err(over(path, "the tensors' bytes", total, limits.value_bytes));
        }
    }
    Ok(())
}

fn check_length(path: &Path, storage: &StorageRef, found: usize) -> Result<(), ImportFault> {
    let expected = storage.length.checked_mul(storage.element.bytes() as u64);
    if expected == Some(found as u64) {
        return Ok(());
    }
    Err(ImportFault::Layout {
        path: path.to_owned(),
        name: storage.key.clone(),
        what: format!(
            "its storage has {found} bytes, {} elements of {:?} were announced",
            storage.length, storage.element
        ),
    })
}

/// The window's elements, row-major. It was checked to lie inside of the storage.
fn gather(storage: &StorageRef, tensor: &TensorRef, bytes: &[u8]) -> ImportedTensor {
    let width = storage.element.bytes();
    if tensor.shape.contains(&0) {
        // Its window is nowhere, so neither offset nor strides mean anything.
        let shape = tensor.shape.iter().map(|size| as_index(*size)).collect();
        return ImportedTensor {
            shape,
            values: storage.element.decode(&[]),
            stored_as: storage.element,
        };
    }
    let shape: Vec<usize> = tensor.shape.iter().map(|size| as_index(*size)).collect();
    let strides: Vec<usize> = tensor
        .strides
        .iter()
        .map(|stride| as_index(*stride))
        .collect();
    let count = as_index(element_count(&tensor.shape).unwrap_or(0));
    let start = as_index(tensor.offset);
    let values = if is_row_major(&shape, &strides) {
        let window = bytes
            .get(start * width..(start + count) * width)
            .unwrap_or_default();
        storage.element.decode(window)
    } else {
        let mut picked = Vec::with_capacity(count * width);
        let mut index = vec![0usize; shape.len()];
        for _ in 0..count {
            let place: usize = index
                .iter()
                .zip(&strides)
                .map(|(at, stride)| at * stride)
                .sum();
            let from = (start + place) * width;
            picked.extend_from_slice(bytes.get(from..from + width).unwrap_or_default());
            advance(&mut index, &shape);
        }
        storage.element.decode(&picked)
    };
    ImportedTensor {
        shape,
        values,
        stored_as: storage.element,
    }
}

/// The next index in row-major order.
fn advance(index: &mut [usize], shape: &[usize]) {
    for (at, size) in index.iter_mut().zip(shape).rev() {
        *at += 1;
        if *at < *size {
            return;
        }
        *at = 0;
    }
}

/// Sizes of 1 may have any stride.
fn is_row_major(shape: &[usize], strides: &[usize]) -> bool {
    let mut expected = 1;
    shape.iter().zip(strides).rev().all(|(size, stride)| {
        let fits = *size == 1 || *stride == expected;
        expected *= size;
        fits
    })
}

/// Sizes were checked against a file in memory, so they fit.
fn as_index(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}
