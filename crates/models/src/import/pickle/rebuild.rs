//! The instructions that make storages and tensors: the only calls that a pickle gets.

use super::super::source::element_count;
use super::{Global, Machine, Node, NodeId, Refusal, StorageRef, TensorRef, damaged, over};

/// `_rebuild_tensor_v2` takes six arguments, and a table of metadata in later versions.
const MOST_ARGUMENTS: usize = 7;
/// PyTorch names storages by counting, or by an address.
const MOST_KEY_BYTES: usize = 64;

impl Machine<'_> {
    /// BINPERSID: `("storage", type, key, location, length)`, in the older form with a sixth item,
    /// a view, that must be None.
    pub(super) fn persistent(&mut self) -> Result<(), Refusal> {
        let id = self.pop()?;
        let Node::Tuple(items) = self.node(id) else {
            return damaged("a storage that is not described by a tuple");
        };
        let parts: Vec<&Node> = items.iter().map(|item| self.node(*item)).collect();
        let storage = match parts.as_slice() {
            [
                Node::Text(kind),
                Node::Global(Global::Storage(element)),
                Node::Text(key),
                Node::Text(_device),
                Node::Int(length @ 0..),
            ]
            | [
                Node::Text(kind),
                Node::Global(Global::Storage(element)),
                Node::Text(key),
                Node::Text(_device),
                Node::Int(length @ 0..),
                Node::None,
            ] if kind == "storage" && key.len() <= MOST_KEY_BYTES => StorageRef {
                key: key.clone(),
                element: *element,
                length: length.unsigned_abs(),
            },
            _ => return damaged("a storage whose description is not PyTorch's"),
        };
        let index = self.storage_index(storage)?;
        self.push(Node::Storage(index))
    }

    pub(super) fn storage_index(&mut self, storage: StorageRef) -> Result<usize, Refusal> {
        if let Some(index) = self.storage_by_key.get(&storage.key) {
            return match self.storages.get(*index) {
                Some(known) if *known == storage => Ok(*index),
                _ => Err(Refusal::Layout {
                    storage: storage.key,
                    what: "one storage with two types or lengths".to_owned(),
                }),
            };
        }
        let index = self.storages.len();
        self.storage_by_key.insert(storage.key.clone(), index);
        self.storages.push(storage);
        Ok(index)
    }

    pub(super) fn reduce(&mut self) -> Result<(), Refusal> {
        let (arguments, callable) = (self.pop()?, self.pop()?);
        let arguments = match self.node(arguments) {
            // Checked before it is copied: a long tuple can be used again and again.
            Node::Tuple(arguments) if arguments.len() <= MOST_ARGUMENTS => arguments.clone(),
            _ => return damaged("a call whose arguments are not those of a tensor"),
        };
        match self.node(callable) {
            Node::Global(Global::OrderedDict) if arguments.is_empty() => {
                self.push(Node::Dict(Vec::new()))
            }
            Node::Global(Global::RebuildTensor) => self.rebuild_tensor(&arguments),
            Node::Global(Global::RebuildParameter) => match arguments.as_slice() {
                [data, _requires_grad, _hooks] if matches!(self.node(*data), Node::Tensor(_)) => {
                    self.push_id(*data)
                }
                _ => damaged("a parameter without its tensor"),
            },
            _ => damaged("a call of what cannot be called"),
        }
    }

    /// `(storage, offset, sizes, strides, requires_grad, hooks)`, later with a table of metadata.
    pub(super) fn rebuild_tensor(&mut self, arguments: &[NodeId]) -> Result<(), Refusal> {
        let [storage, offset, shape, strides, _requires_grad, _hooks, ..] = arguments else {
            return damaged("a tensor with too few arguments");
        };
        let Node::Storage(storage) = *self.node(*storage) else {
            return damaged("a tensor without a storage");
        };
        let Node::Int(offset) = *self.node(*offset) else {
            return damaged("a tensor whose offset is no number");
        };
        let (shape, strides) = (self.numbers(*shape)?, self.numbers(*strides)?);
        if shape.len() > self.limits.dimensions {
            return over(
                "the number of dimensions",
                shape.len(),
                self.limits.dimensions,
            );
        }
        if self.tensors.len() >= self.limits.tensors {
            return over(
                "the number of tensors",
                self.tensors.len() + 1,
                self.limits.tensors,
            );
        }
        let Some(known) = self.storages.get(storage) else {
            return damaged("a tensor without a storage");
        };
        let tensor = window(storage, known.length, offset, &shape, &strides).map_err(|what| {
            Refusal::Layout {
                storage: known.key.clone(),
                what,
            }
        })?;
        self.tensors.push(tensor);
        self.push(Node::Tensor(self.tensors.len() - 1))
    }

    pub(super) fn numbers(&self, id: NodeId) -> Result<Vec<i64>, Refusal> {
        let Node::Tuple(items) = self.node(id) else {
            return damaged("a tensor whose sizes are no tuple");
        };
        items
            .iter()
            .take(self.limits.dimensions + 1)
            .map(|item| match self.node(*item) {
                Node::Int(value) => Ok(*value),
                _ => damaged("a tensor whose sizes are no numbers"),
            })
            .collect()
    }

    /// BUILD: a state dict carries its modules' versions as an attribute; it is of no use here.
    pub(super) fn build(&mut self) -> Result<(), Refusal> {
        let state = self.pop()?;
        let target = self.top()?;
        match (self.node(target), self.node(state)) {
            (Node::Dict(_), Node::Dict(_)) => Ok(()),
            _ => damaged("attributes on what is no table"),
        }
    }
}

/// A window that lies inside of its storage, or what is wrong with it.
fn window(
    storage: usize,
    length: u64,
    offset: i64,
    shape: &[i64],
    strides: &[i64],
) -> Result<TensorRef, String> {
    let natural = |what: &str, values: &[i64]| {
        values
            .iter()
            .map(|value| u64::try_from(*value).map_err(|_| format!("{what} {value} is negative")))
            .collect::<Result<Vec<u64>, String>>()
    };
    let offset = u64::try_from(offset).map_err(|_| format!("offset {offset} is negative"))?;
    let (shape, strides) = (natural("size", shape)?, natural("stride", strides)?);
    if shape.len() != strides.len() {
        return Err(format!(
            "{} sizes and {} strides",
            shape.len(),
            strides.len()
        ));
    }
    let count =
        element_count(&shape).ok_or_else(|| format!("sizes {shape:?} are beyond counting"))?;
    if count > 0 {
        let last = shape
            .iter()
            .zip(&strides)
            .try_fold(offset, |last, (size, stride)| {
                last.checked_add((size - 1).checked_mul(*stride)?)
            });
        if last.is_none_or(|last| last >= length) {
            return Err(format!(
                "offset {offset}, sizes {shape:?} and strides {strides:?} reach outside of \
                 {length} elements"
            ));
        }
    }
    Ok(TensorRef {
        storage,
        offset,
        shape,
        strides,
    })
}
