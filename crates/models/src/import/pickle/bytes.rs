//! Reading a pickle's bytes, which may end anywhere.

use super::{Machine, Refusal, damaged};

impl<'a> Machine<'a> {
    pub(super) fn take<const N: usize>(&mut self) -> Result<[u8; N], Refusal> {
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        match rest.first_chunk::<N>() {
            Some(chunk) => {
                self.position += N;
                Ok(*chunk)
            }
            None => damaged("it ends in the middle of an instruction"),
        }
    }

    pub(super) fn take_slice(&mut self, length: usize) -> Result<&'a [u8], Refusal> {
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
    pub(super) fn take_line(&mut self) -> Result<String, Refusal> {
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
}

pub(super) fn utf8(bytes: &[u8]) -> Result<String, Refusal> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(_) => damaged("a string that is not UTF-8"),
    }
}
