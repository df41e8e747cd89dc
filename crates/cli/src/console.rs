//! What a person or a script gets to read: data on stdout, everything else on stderr.
//!
//! A closed stdout is no reason to stop: what cannot be written is dropped.

use std::fmt::Display;
use std::io::{IsTerminal, Write};

use serde::Serialize;

use crate::failure::Failure;

/// Where a task writes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Console {
    json: bool,
}

impl Console {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether data is wanted as JSON rather than as a table for people.
    pub(crate) fn wants_json(self) -> bool {
        self.json
    }

    /// Whether progress bars make sense.
    pub(crate) fn is_interactive(self) -> bool {
        std::io::stderr().is_terminal()
    }

    /// Text for people on stdout, with a line end.
    pub(crate) fn line(self, text: impl Display) {
        drop(writeln!(std::io::stdout().lock(), "{text}"));
    }

    /// One JSON value on stdout, indented.
    pub(crate) fn json(self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value).map_err(|error| Failure::bug(&error))?;
        self.line(text);
        Ok(())
    }

    /// A remark that is not data.
    pub(crate) fn note(self, text: impl Display) {
        drop(writeln!(std::io::stderr().lock(), "{text}"));
    }

    /// Something that does not stop the task but that its user should know.
    pub(crate) fn warn(self, text: impl Display) {
        self.note(format_args!("warning: {text}"));
    }

    /// Why a task stopped: text on stderr, and with `--json` the same fields on stdout.
    pub(crate) fn failure(self, failure: &Failure) {
        self.note(failure);
        if self.json {
            drop(self.json(&failure.report()));
        }
    }
}

/// A panic is a bug of ours: it says so and exits with 1, not with Rust's 101.
pub(crate) fn exit_with_1_on_panic() {
    let default_hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |information| {
        default_hook(information);
        drop(writeln!(
            std::io::stderr(),
            "error[B001]: this is a bug in cxr; please report it with the lines above"
        ));
        std::process::exit(1);
    }));
}
