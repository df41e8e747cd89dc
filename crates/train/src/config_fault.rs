//! What is wrong with a configuration: which key, who set it, what was found, what would be right.

use std::fmt;

use crate::layers::Origin;

/// One thing that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ConfigFault {
    /// What is wrong, in a sentence that names the key.
    pub message: String,
    /// The dotted key, where one is concerned.
    pub key: Option<String>,
    /// What stood there.
    pub found: Option<String>,
    /// Who set it.
    pub origin: Option<Origin>,
    /// What would have been right.
    pub advice: Option<String>,
    /// The stable code.
    pub fault_code: &'static str,
}

impl ConfigFault {
    /// A value that its key does not take.
    pub(crate) fn refused(
        key: &str,
        message: impl Into<String>,
        found: impl fmt::Display,
        advice: &str,
    ) -> Self {
        Self {
            message: message.into(),
            key: Some(key.to_owned()),
            found: Some(found.to_string()),
            origin: None,
            advice: Some(advice.to_owned()),
            fault_code: "T003",
        }
    }

    /// The stable code: docs/errors/train.md.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.fault_code
    }

    /// The key and who set it.
    #[must_use]
    pub fn location(&self) -> Option<String> {
        let key = self.key.as_ref()?;
        Some(match &self.origin {
            Some(origin) => format!("{key}, set by: {origin}"),
            None => key.clone(),
        })
    }

    /// The value as it was found.
    #[must_use]
    pub fn value(&self) -> Option<String> {
        self.found.clone()
    }

    /// What would have been right.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        self.advice.clone()
    }

    /// 2: what was asked for makes no sense.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        2
    }
}

/// Everything that is wrong with a configuration, at least one fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} in the configuration", count(.faults.len()))]
pub struct ConfigFaults {
    faults: Vec<ConfigFault>,
}

fn count(n: usize) -> String {
    if n == 1 {
        "one fault".to_owned()
    } else {
        format!("{n} faults")
    }
}

impl ConfigFaults {
    /// All of them.
    pub(crate) fn new(faults: Vec<ConfigFault>) -> Self {
        Self { faults }
    }

    /// A single fault.
    #[must_use]
    pub fn one(fault: ConfigFault) -> Self {
        Self {
            faults: vec![fault],
        }
    }

    /// How many there are.
    #[must_use]
    pub fn n_faults(&self) -> usize {
        self.faults.len()
    }

    /// The faults, in the order of the keys.
    #[must_use]
    pub fn faults(&self) -> &[ConfigFault] {
        &self.faults
    }
}
