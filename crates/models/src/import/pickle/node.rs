//! The objects that a pickle can make, and the reasons to refuse one.
//!
//! For the pickle machine and for the readers of its result. Objects refer to each other by their
//! place in one arena, never by ownership: sharing is free and cycles are harmless.

use super::super::tensors::Element;

/// An object's place in the arena.
pub(crate) type NodeId = u32;

/// An object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node {
    None,
    Bool(bool),
    Int(i64),
    /// A whole number beyond 64 bits, by its little-endian bytes; only the older form's magic.
    LongInt(Vec<u8>),
    Float,
    Text(String),
    Tuple(Vec<NodeId>),
    List(Vec<NodeId>),
    Dict(Vec<(NodeId, NodeId)>),
    Global(Global),
    /// An index into [`Unpickled::storages`].
    Storage(usize),
    /// An index into [`Unpickled::tensors`].
    Tensor(usize),
}

/// What a pickle may name. Anything else is refused where it is named, before any use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    Storage(Element),
}

impl Global {
    pub(super) fn named(module: &str, name: &str) -> Result<Self, Refusal> {
        Ok(match (module, name) {
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2") => Self::RebuildTensor,
            ("torch._utils", "_rebuild_parameter") => Self::RebuildParameter,
            ("torch", "FloatStorage") => Self::Storage(Element::F32),
            ("torch", "DoubleStorage") => Self::Storage(Element::F64),
            ("torch", "HalfStorage") => Self::Storage(Element::F16),
            ("torch", "BFloat16Storage") => Self::Storage(Element::Bf16),
            ("torch", "LongStorage") => Self::Storage(Element::I64),
            ("torch", "IntStorage") => Self::Storage(Element::I32),
            _ => return Err(Refusal::Global(format!("{module}.{name}"))),
        })
    }
}

/// Values that tensors share: where they lie is the file's business.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StorageRef {
    /// The name of the record that holds them.
    pub(crate) key: String,
    pub(crate) element: Element,
    /// Elements, not bytes.
    pub(crate) length: u64,
}

/// A window on a storage. `offset + Σ (size − 1) · stride` lies inside of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TensorRef {
    pub(crate) storage: usize,
    pub(crate) offset: u64,
    pub(crate) shape: Vec<u64>,
    pub(crate) strides: Vec<u64>,
}

/// What a pickle built.
#[derive(Debug)]
pub(crate) struct Unpickled {
    pub(super) nodes: Vec<Node>,
    pub(crate) root: NodeId,
    pub(crate) storages: Vec<StorageRef>,
    pub(crate) tensors: Vec<TensorRef>,
    /// Bytes read, the final STOP included.
    pub(crate) length: usize,
}

impl Unpickled {
    pub(crate) fn node(&self, id: NodeId) -> &Node {
        self.nodes.get(id as usize).unwrap_or(&Node::None)
    }
}

/// Why a pickle was refused; the reader of the file adds the path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Instruction(u8),
    Global(String),
    Damaged(String),
    Layout {
        storage: String,
        what: String,
    },
    Over {
        what: &'static str,
        found: u64,
        limit: u64,
    },
}

/// A refusal with the byte at which it happened.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RefusalAt {
    pub(crate) offset: usize,
    pub(crate) refusal: Refusal,
}
