//! A pickle reader that can build tables of tensors and nothing else.
//!
//! For [`torch_file`](super::torch_file). A pickle is a program for a stack machine; this machine
//! knows the instructions of the list below, the five callables of [`Global`], and refuses the rest
//! by name. Nothing is imported or called. All objects live in one arena and refer to each other by
//! index: an object that is used a million times is stored once, no value is copied or walked
//! recursively, and the work is linear in the length of the pickle.

use std::collections::HashMap;

use super::limits::Limits;
use super::source::element_count;
use super::tensors::Element;

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

/// `_rebuild_tensor_v2` takes six arguments, and a table of metadata in later versions.
const MOST_ARGUMENTS: usize = 7;
/// PyTorch names storages by counting, or by an address.
const MOST_KEY_BYTES: usize = 64;

/// What a pickle may name. Anything else is refused where it is named, before any use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    Storage(Element),
}

impl Global {
    fn named(module: &str, name: &str) -> Result<Self, Refusal> {
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
    nodes: Vec<Node>,
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
    Layout { storage: String, what: String },
    Over { what: &'static str, found: u64, limit: u64 },
}

/// A refusal with the byte at which it happened.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RefusalAt {
    pub(crate) offset: usize,
    pub(crate) refusal: Refusal,
}

/// Runs one pickle from the start of `bytes` to its STOP.
pub(crate) fn unpickle(bytes: &[u8], limits: &Limits) -> Result<Unpickled, RefusalAt> {
    let mut machine = Machine::new(bytes, limits);
    loop {
        let offset = machine.position;
        let running = machine.step().map_err(|refusal| RefusalAt { offset, refusal })?;
        if let Some(root) = running {
            return Ok(Unpickled {
                nodes: machine.nodes,
                root,
                storages: machine.storages,
                tensors: machine.tensors,
                length: machine.position,
            });
        }
    }
}

struct Machine<'a> {
    bytes: &'a [u8],
    position: usize,
    limits: &'a Limits,
    nodes: Vec<Node>,
    stack: Vec<NodeId>,
    /// Heights of the stack at each open MARK.
    marks: Vec<usize>,
    memo: HashMap<u32, NodeId>,
    storages: Vec<StorageRef>,
    storage_by_key: HashMap<String, usize>,
    tensors: Vec<TensorRef>,
}

fn damaged<T>(what: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::Damaged(what.into()))
}

impl<'a> Machine<'a> {
    fn new(bytes: &'a [u8], limits: &'a Limits) -> Self {
        Self {
            bytes,
            position: 0,
            limits,
            nodes: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
            storages: Vec::new(),
            storage_by_key: HashMap::new(),
            tensors: Vec::new(),
        }
    }

    /// One instruction; the root object at STOP. Names in the comments are pickletools'.
    fn step(&mut self) -> Result<Option<NodeId>, Refusal> {
        let [instruction] = self.take::<1>()?;
        match instruction {
            0x80 => self.protocol()?,
            0x95 => drop(self.take::<8>()?), // FRAME: a hint for buffering
            b'(' => self.mark()?,
            b'.' => return self.stop().map(Some),
            b'N' => self.push(Node::None)?,
            0x88 => self.push(Node::Bool(true))?,
            0x89 => self.push(Node::Bool(false))?,
            b'J' | b'K' | b'M' | 0x8a => self.whole_number(instruction)?,
            b'G' => {
                self.take::<8>()?; // BINFLOAT: learning rates and the like, of no use here
                self.push(Node::Float)?;
            }
            b'X' | 0x8c => self.text(instruction)?,
            b'c' => self.global()?,
            0x93 => self.stack_global()?,
            b')' => self.push(Node::Tuple(Vec::new()))?,
            b't' => self.tuple_from_mark()?,
            0x85..=0x87 => self.short_tuple(usize::from(instruction - 0x84))?,
            b']' => self.push(Node::List(Vec::new()))?,
            b'a' => self.append_one()?,
            b'e' => self.append_from_mark()?,
            b'}' => self.push(Node::Dict(Vec::new()))?,
            b's' => self.set_one()?,
            b'u' => self.set_from_mark()?,
            b'q' | b'r' | 0x94 => self.memoize(instruction)?,
            b'h' | b'j' => self.recall(instruction)?,
            b'Q' => self.persistent()?,
            b'R' => self.reduce()?,
            b'b' => self.build()?,
            other => return Err(Refusal::Instruction(other)),
        }
        Ok(None)
    }

    // Reading.

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Refusal> {
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        match rest.first_chunk::<N>() {
            Some(chunk) => {
                self.position += N;
                Ok(*chunk)
            }
            None => damaged("it ends in the middle of an instruction"),
        }
    }

    fn take_slice(&mut self, length: usize) -> Result<&'a [u8], Refusal> {
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        match rest.get(..length) {
            Some(slice) => {
                self.position += length;
                Ok(slice)
            }
            None => damaged("it ends in the middle of a string"),
        }
    }

    /// A line of ASCII, without its end.
    fn take_line(&mut self) -> Result<String, Refusal> {
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        let window = rest.get(..=self.limits.string_bytes).unwrap_or(rest);
        match window.iter().position(|byte| *byte == b'\n') {
            Some(length) => {
                let line = self.take_slice(length)?;
                self.position += 1;
                utf8(line)
            }
            None => damaged("a name without an end"),
        }
    }

    // The stack.

    fn new_node(&mut self, node: Node) -> Result<NodeId, Refusal> {
        let count = self.nodes.len();
        if count >= self.limits.pickle_objects {
            return over("the number of objects in the pickle", count + 1, self.limits.pickle_objects);
        }
        self.nodes.push(node);
        u32::try_from(count).or_else(|_| damaged("too many objects"))
    }

    fn push(&mut self, node: Node) -> Result<(), Refusal> {
        let id = self.new_node(node)?;
        self.push_id(id)
    }

    fn push_id(&mut self, id: NodeId) -> Result<(), Refusal> {
        if self.stack.len() >= self.limits.pickle_stack {
            return over("the pickle's stack", self.stack.len() + 1, self.limits.pickle_stack);
        }
        self.stack.push(id);
        Ok(())
    }

    fn pop(&mut self) -> Result<NodeId, Refusal> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.pop() {
            Some(id) if self.stack.len() >= floor => Ok(id),
            _ => damaged("its stack runs empty"),
        }
    }

    fn top(&self) -> Result<NodeId, Refusal> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.last() {
            Some(id) if self.stack.len() > floor => Ok(*id),
            _ => damaged("its stack is empty"),
        }
    }

    fn mark(&mut self) -> Result<(), Refusal> {
        if self.marks.len() >= self.limits.pickle_stack {
            return over("the pickle's stack", self.marks.len() + 1, self.limits.pickle_stack);
        }
        self.marks.push(self.stack.len());
        Ok(())
    }

    fn pop_to_mark(&mut self) -> Result<Vec<NodeId>, Refusal> {
        match self.marks.pop() {
            Some(height) if height <= self.stack.len() => Ok(self.stack.split_off(height)),
            _ => damaged("an end without its beginning"),
        }
    }

    fn node(&self, id: NodeId) -> &Node {
        self.nodes.get(id as usize).unwrap_or(&Node::None)
    }

    // Instructions.

    fn protocol(&mut self) -> Result<(), Refusal> {
        match self.take::<1>()? {
            [2..=5] => Ok(()),
            [other] => damaged(format!("protocol {other}, expected 2 to 5")),
        }
    }

    fn stop(&mut self) -> Result<NodeId, Refusal> {
        let root = self.pop()?;
        if !self.stack.is_empty() || !self.marks.is_empty() {
            return damaged("objects are left over at its end");
        }
        Ok(root)
    }

    fn whole_number(&mut self, instruction: u8) -> Result<(), Refusal> {
        let value = match instruction {
            b'K' => i64::from(self.take::<1>()?[0]),
            b'M' => i64::from(u16::from_le_bytes(self.take()?)),
            b'J' => i64::from(i32::from_le_bytes(self.take()?)),
            _ => return self.long_number(),
        };
        self.push(Node::Int(value))
    }

    /// LONG1: two's complement, little-endian, up to 255 bytes.
    fn long_number(&mut self) -> Result<(), Refusal> {
        let [length] = self.take::<1>()?;
        let digits = self.take_slice(usize::from(length))?;
        if digits.len() > 8 {
            return self.push(Node::LongInt(digits.to_vec()));
        }
        let sign = digits.last().is_some_and(|byte| byte & 0x80 != 0);
        let mut value = [if sign { 0xff } else { 0 }; 8];
        for (place, digit) in value.iter_mut().zip(digits) {
            *place = *digit;
        }
        self.push(Node::Int(i64::from_le_bytes(value)))
    }

    fn text(&mut self, instruction: u8) -> Result<(), Refusal> {
        let length = if instruction == b'X' {
            u32::from_le_bytes(self.take()?) as usize
        } else {
            usize::from(self.take::<1>()?[0])
        };
        if length > self.limits.string_bytes {
            return over("a string's length", length, self.limits.string_bytes);
        }
        let text = utf8(self.take_slice(length)?)?;
        self.push(Node::Text(text))
    }

    fn global(&mut self) -> Result<(), Refusal> {
        let module = self.take_line()?;
        let name = self.take_line()?;
        self.push(Node::Global(Global::named(&module, &name)?))
    }

    fn stack_global(&mut self) -> Result<(), Refusal> {
        let (name, module) = (self.pop()?, self.pop()?);
        let global = match (self.node(module), self.node(name)) {
            (Node::Text(module), Node::Text(name)) => Global::named(module, name)?,
            _ => return damaged("a class whose name is not a string"),
        };
        self.push(Node::Global(global))
    }

    fn tuple_from_mark(&mut self) -> Result<(), Refusal> {
        let items = self.pop_to_mark()?;
        self.push(Node::Tuple(items))
    }

    fn short_tuple(&mut self, length: usize) -> Result<(), Refusal> {
        let mut items = (0..length).map(|_| self.pop()).collect::<Result<Vec<_>, _>>()?;
        items.reverse();
        self.push(Node::Tuple(items))
    }

    fn append_one(&mut self) -> Result<(), Refusal> {
        let item = self.pop()?;
        self.extend_list(vec![item])
    }

    fn append_from_mark(&mut self) -> Result<(), Refusal> {
        let items = self.pop_to_mark()?;
        self.extend_list(items)
    }

    fn extend_list(&mut self, items: Vec<NodeId>) -> Result<(), Refusal> {
        let list = self.top()?;
        match self.nodes.get_mut(list as usize) {
            Some(Node::List(list)) => {
                list.extend(items);
                Ok(())
            }
            _ => damaged("it appends to what is no list"),
        }
    }

    fn set_one(&mut self) -> Result<(), Refusal> {
        let (value, key) = (self.pop()?, self.pop()?);
        self.extend_dict(&[key, value])
    }

    fn set_from_mark(&mut self) -> Result<(), Refusal> {
        let items = self.pop_to_mark()?;
        self.extend_dict(&items)
    }

    fn extend_dict(&mut self, items: &[NodeId]) -> Result<(), Refusal> {
        let (pairs, rest) = items.as_chunks::<2>();
        let dict = self.top()?;
        match self.nodes.get_mut(dict as usize) {
            Some(Node::Dict(dict)) if rest.is_empty() => {
                dict.extend(pairs.iter().map(|[key, value]| (*key, *value)));
                Ok(())
            }
            _ => damaged("it fills what is no table"),
        }
    }

    fn memoize(&mut self, instruction: u8) -> Result<(), Refusal> {
        let place = match instruction {
            b'q' => u32::from(self.take::<1>()?[0]),
            b'r' => u32::from_le_bytes(self.take()?),
            // MEMOIZE takes the next free place.
            _ => u32::try_from(self.memo.len()).or_else(|_| damaged("its memo is full"))?,
        };
        let id = self.top()?;
        self.memo.insert(place, id);
        if self.memo.len() > self.limits.pickle_memo {
            return over("the pickle's memo", self.memo.len(), self.limits.pickle_memo);
        }
        Ok(())
    }

    fn recall(&mut self, instruction: u8) -> Result<(), Refusal> {
        let place = match instruction {
            b'h' => u32::from(self.take::<1>()?[0]),
            _ => u32::from_le_bytes(self.take()?),
        };
        match self.memo.get(&place) {
            Some(id) => self.push_id(*id),
            None => damaged(format!("its memo has nothing at {place}")),
        }
    }

    /// BINPERSID: `("storage", type, key, location, length)`, in the older form with a sixth item,
    /// a view, that must be None.
    fn persistent(&mut self) -> Result<(), Refusal> {
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
            ] if kind == "storage" && key.len() <= MOST_KEY_BYTES => {
                StorageRef { key: key.clone(), element: *element, length: length.unsigned_abs() }
            }
            _ => return damaged("a storage whose description is not PyTorch's"),
        };
        let index = self.storage_index(storage)?;
        self.push(Node::Storage(index))
    }

    fn storage_index(&mut self, storage: StorageRef) -> Result<usize, Refusal> {
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

    fn reduce(&mut self) -> Result<(), Refusal> {
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
    fn rebuild_tensor(&mut self, arguments: &[NodeId]) -> Result<(), Refusal> {
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
            return over("the number of dimensions", shape.len(), self.limits.dimensions);
        }
        if self.tensors.len() >= self.limits.tensors {
            return over("the number of tensors", self.tensors.len() + 1, self.limits.tensors);
        }
        let Some(known) = self.storages.get(storage) else {
            return damaged("a tensor without a storage");
        };
        let tensor = window(storage, known.length, offset, &shape, &strides)
            .map_err(|what| Refusal::Layout { storage: known.key.clone(), what })?;
        self.tensors.push(tensor);
        self.push(Node::Tensor(self.tensors.len() - 1))
    }

    fn numbers(&self, id: NodeId) -> Result<Vec<i64>, Refusal> {
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
    fn build(&mut self) -> Result<(), Refusal> {
        let state = self.pop()?;
        let target = self.top()?;
        match (self.node(target), self.node(state)) {
            (Node::Dict(_), Node::Dict(_)) => Ok(()),
            _ => damaged("attributes on what is no table"),
        }
    }
}

fn over<T>(what: &'static str, found: usize, limit: usize) -> Result<T, Refusal> {
    Err(Refusal::Over { what, found: found as u64, limit: limit as u64 })
}

fn utf8(bytes: &[u8]) -> Result<String, Refusal> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(_) => damaged("a string that is not UTF-8"),
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
        return Err(format!("{} sizes and {} strides", shape.len(), strides.len()));
    }
    let count =
        element_count(&shape).ok_or_else(|| format!("sizes {shape:?} are beyond counting"))?;
    if count > 0 {
        let last = shape.iter().zip(&strides).try_fold(offset, |last, (size, stride)| {
            last.checked_add((size - 1).checked_mul(*stride)?)
        });
        if last.is_none_or(|last| last >= length) {
            return Err(format!(
                "offset {offset}, sizes {shape:?} and strides {strides:?} reach outside of \
                 {length} elements"
            ));
        }
    }
    Ok(TensorRef { storage, offset, shape, strides })
}

#[cfg(test)]
#[path = "pickle_tests.rs"]
mod tests;
