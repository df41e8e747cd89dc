//! Differences between a file's tensors and a network's, and how they are listed.
//!
//! For [`fault`](super::fault) and for the plan that finds them.

use serde::Serialize;

use super::tensors::Element;

/// How many names a list in a message shows before it counts the rest.
const NAMES_SHOWN: usize = 20;

/// A tensor whose shape is not the network's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WrongShape {
    /// The tensor.
    pub name: String,
    /// Its shape in the file.
    pub found: Vec<usize>,
    /// Its shape in the network.
    pub expected: Vec<usize>,
}

/// A tensor of whole numbers where the network has weights, or the other way round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WrongType {
    /// The tensor.
    pub name: String,
    /// Its type in the file.
    pub found: Element,
    /// What the network holds there.
    pub expected: &'static str,
}

/// Every name, shape and type that does not fit, all at once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Misfit {
    /// The network wants these; the file lacks them.
    pub missing: Vec<String>,
    /// The file has these; the network does not know them.
    pub extra: Vec<String>,
    /// Both have these, with different shapes.
    pub wrong_shape: Vec<WrongShape>,
    /// Both have these, with different kinds of numbers.
    pub wrong_type: Vec<WrongType>,
}

impl Misfit {
    /// Everything fits.
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty()
            && self.extra.is_empty()
            && self.wrong_shape.is_empty()
            && self.wrong_type.is_empty()
    }
}

pub(super) fn listed(names: &[String]) -> String {
    joined(names, |name| format!("{name:?}"))
}

/// The first of them, comma by comma; the rest is counted.
fn joined<T>(items: &[T], words: impl Fn(&T) -> String) -> String {
    let shown: Vec<String> = items.iter().take(NAMES_SHOWN).map(words).collect();
    match items.len().saturating_sub(NAMES_SHOWN) {
        0 => shown.join(", "),
        rest => format!("{} and {rest} more", shown.join(", ")),
    }
}

pub(super) fn misfit_lists(misfit: &Misfit) -> String {
    let mut parts = Vec::new();
    if !misfit.missing.is_empty() {
        parts.push(format!("missing {}", listed(&misfit.missing)));
    }
    if !misfit.extra.is_empty() {
        parts.push(format!("extra {}", listed(&misfit.extra)));
    }
    if !misfit.wrong_shape.is_empty() {
        let wrong = |it: &WrongShape| {
            format!(
                "{:?} is {:?}, expected {:?}",
                it.name, it.found, it.expected
            )
        };
        parts.push(format!(
            "of another shape {}",
            joined(&misfit.wrong_shape, wrong)
        ));
    }
    if !misfit.wrong_type.is_empty() {
        let wrong =
            |it: &WrongType| format!("{:?} is {:?}, expected {}", it.name, it.found, it.expected);
        parts.push(format!(
            "of another type {}",
            joined(&misfit.wrong_type, wrong)
        ));
    }
    parts.join("; ")
}
