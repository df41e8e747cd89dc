//! The machine's arena, stack and marks, within their limits.

use super::{Machine, Node, NodeId, Refusal, damaged, over};

impl Machine<'_> {
    pub(super) fn new_node(&mut self, node: Node) -> Result<NodeId, Refusal> {
        let count = self.nodes.len();
        if count >= self.limits.pickle_objects {
            return over(
                "the number of objects in the pickle",
                count + 1,
                self.limits.pickle_objects,
            );
        }
        self.nodes.push(node);
        u32::try_from(count).or_else(|_| damaged("too many objects"))
    }

    pub(super) fn push(&mut self, node: Node) -> Result<(), Refusal> {
        let id = self.new_node(node)?;
        self.push_id(id)
    }

    pub(super) fn push_id(&mut self, id: NodeId) -> Result<(), Refusal> {
        if self.stack.len() >= self.limits.pickle_stack {
            return over(
                "the pickle's stack",
                self.stack.len() + 1,
                self.limits.pickle_stack,
            );
        }
        self.stack.push(id);
        Ok(())
    }

    pub(super) fn pop(&mut self) -> Result<NodeId, Refusal> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.pop() {
            Some(id) if self.stack.len() >= floor => Ok(id),
            _ => damaged("its stack runs empty"),
        }
    }

    pub(super) fn top(&self) -> Result<NodeId, Refusal> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.last() {
            Some(id) if self.stack.len() > floor => Ok(*id),
            _ => damaged("its stack is empty"),
        }
    }

    pub(super) fn mark(&mut self) -> Result<(), Refusal> {
        if self.marks.len() >= self.limits.pickle_stack {
            return over(
                "the pickle's stack",
                self.marks.len() + 1,
                self.limits.pickle_stack,
            );
        }
        self.marks.push(self.stack.len());
        Ok(())
    }

    pub(super) fn pop_to_mark(&mut self) -> Result<Vec<NodeId>, Refusal> {
        match self.marks.pop() {
            Some(height) if height <= self.stack.len() => Ok(self.stack.split_off(height)),
            _ => damaged("an end without its beginning"),
        }
    }

    pub(super) fn node(&self, id: NodeId) -> &Node {
        self.nodes.get(id as usize).unwrap_or(&Node::None)
    }
}
