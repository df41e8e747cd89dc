//! The instructions that make plain objects: numbers, strings, classes, tuples, lists, tables, memo.

use super::bytes::utf8;
use super::{Global, Machine, Node, NodeId, Refusal, damaged, over};

impl Machine<'_> {
    pub(super) fn protocol(&mut self) -> Result<(), Refusal> {
        match self.take::<1>()? {
            [2..=5] => Ok(()),
            [other] => damaged(format!("protocol {other}, expected 2 to 5")),
        }
    }

    pub(super) fn stop(&mut self) -> Result<NodeId, Refusal> {
        let root = self.pop()?;
        if !self.stack.is_empty() || !self.marks.is_empty() {
            return damaged("objects are left over at its end");
        }
        Ok(root)
    }

    pub(super) fn whole_number(&mut self, instruction: u8) -> Result<(), Refusal> {
        let value = match instruction {
            b'K' => i64::from(self.take::<1>()?[0]),
            b'M' => i64::from(u16::from_le_bytes(self.take()?)),
            b'J' => i64::from(i32::from_le_bytes(self.take()?)),
            _ => return self.long_number(),
        };
        self.push(Node::Int(value))
    }

    /// LONG1: two's complement, little-endian, up to 255 bytes.
    pub(super) fn long_number(&mut self) -> Result<(), Refusal> {
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

    pub(super) fn text(&mut self, instruction: u8) -> Result<(), Refusal> {
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

    pub(super) fn global(&mut self) -> Result<(), Refusal> {
        let module = self.take_line()?;
        let name = self.take_line()?;
        self.push(Node::Global(Global::named(&module, &name)?))
    }

    pub(super) fn stack_global(&mut self) -> Result<(), Refusal> {
        let (name, module) = (self.pop()?, self.pop()?);
        let global = match (self.node(module), self.node(name)) {
            (Node::Text(module), Node::Text(name)) => Global::named(module, name)?,
            _ => return damaged("a class whose name is not a string"),
        };
        self.push(Node::Global(global))
    }

    pub(super) fn tuple_from_mark(&mut self) -> Result<(), Refusal> {
        let items = self.pop_to_mark()?;
        self.push(Node::Tuple(items))
    }

    pub(super) fn short_tuple(&mut self, length: usize) -> Result<(), Refusal> {
        let mut items = (0..length)
            .map(|_| self.pop())
            .collect::<Result<Vec<_>, _>>()?;
        items.reverse();
        self.push(Node::Tuple(items))
    }

    pub(super) fn append_one(&mut self) -> Result<(), Refusal> {
        let item = self.pop()?;
        self.extend_list(vec![item])
    }

    pub(super) fn append_from_mark(&mut self) -> Result<(), Refusal> {
        let items = self.pop_to_mark()?;
        self.extend_list(items)
    }

    pub(super) fn extend_list(&mut self, items: Vec<NodeId>) -> Result<(), Refusal> {
        let list = self.top()?;
        match self.nodes.get_mut(list as usize) {
            Some(Node::List(list)) => {
                list.extend(items);
                Ok(())
            }
            _ => damaged("it appends to what is no list"),
        }
    }

    pub(super) fn set_one(&mut self) -> Result<(), Refusal> {
        let (value, key) = (self.pop()?, self.pop()?);
        self.extend_dict(&[key, value])
    }

    pub(super) fn set_from_mark(&mut self) -> Result<(), Refusal> {
        let items = self.pop_to_mark()?;
        self.extend_dict(&items)
    }

    pub(super) fn extend_dict(&mut self, items: &[NodeId]) -> Result<(), Refusal> {
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

    pub(super) fn memoize(&mut self, instruction: u8) -> Result<(), Refusal> {
        let place = match instruction {
            b'q' => u32::from(self.take::<1>()?[0]),
            b'r' => u32::from_le_bytes(self.take()?),
            // MEMOIZE takes the next free place.
            _ => u32::try_from(self.memo.len()).or_else(|_| damaged("its memo is full"))?,
        };
        let id = self.top()?;
        self.memo.insert(place, id);
        if self.memo.len() > self.limits.pickle_memo {
            return over(
                "the pickle's memo",
                self.memo.len(),
                self.limits.pickle_memo,
            );
        }
        Ok(())
    }

    pub(super) fn recall(&mut self, instruction: u8) -> Result<(), Refusal> {
        let place = match instruction {
            b'h' => u32::from(self.take::<1>()?[0]),
            _ => u32::from_le_bytes(self.take()?),
        };
        match self.memo.get(&place) {
            Some(id) => self.push_id(*id),
            None => damaged(format!("its memo has nothing at {place}")),
        }
    }
}
