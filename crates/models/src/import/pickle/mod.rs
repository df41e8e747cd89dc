//! A pickle reader that can build tables of tensors and nothing else.
//!
//! For [`torch_file`](super::torch_file). A pickle is a program for a stack machine; this machine
//! knows the instructions of the list below, the callables of [`Global`], and refuses the rest by
//! name. Nothing is imported or called. All objects live in one arena and refer to each other by
//! index: an object that is used a million times is stored once, no value is copied or walked
//! recursively, and the work is linear in the length of the pickle.

mod bytes;
mod instructions;
mod node;
mod rebuild;
mod stack;

use std::collections::HashMap;

use super::limits::Limits;
pub(crate) use node::{Global, Node, NodeId, Refusal, RefusalAt, StorageRef, TensorRef, Unpickled};

/// Runs one pickle from the start of `bytes` to its STOP.
pub(crate) fn unpickle(bytes: &[u8], limits: &Limits) -> Result<Unpickled, RefusalAt> {
    let mut machine = Machine::new(bytes, limits);
    loop {
        let offset = machine.position;
        let running = machine
            .step()
            .map_err(|refusal| RefusalAt { offset, refusal })?;
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

fn over<T>(what: &'static str, found: usize, limit: usize) -> Result<T, Refusal> {
    Err(Refusal::Over {
        what,
        found: found as u64,
        limit: limit as u64,
    })
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
}

#[cfg(test)]
#[path = "../pickle_tests.rs"]
mod tests;
