//! One shape for everything that can go wrong: code, message, place, value, help, exit code.
//!
//! ```text
//! error[D017]: label is not 0 or 1
//!   --> train.csv:418, column "Edema"
//!   value: "-1"
//!   help: …
//! ```

use std::error::Error;
use std::fmt;

use serde::Serialize;

/// How many faults are printed; the rest is counted.
const PRINTED_FAULTS: usize = 20;

/// Why a task stopped: at least one fault.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    faults: Vec<Fault>,
    n_faults: usize,
}

/// One thing that is wrong, in the words of the crate that found it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Fault {
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) location: Option<String>,
    pub(crate) value: Option<String>,
    pub(crate) help: Option<String>,
    #[serde(skip)]
    pub(crate) exit_code: u8,
}

/// A failure as `--json` gives it.
#[derive(Debug, Serialize)]
pub(crate) struct FailureReport<'a> {
    exit_code: u8,
    n_errors: usize,
    errors: &'a [Fault],
}

impl Failure {
    /// A failure of one fault.
    pub(crate) fn of(fault: Fault) -> Self {
        Self {
            faults: vec![fault],
            n_faults: 1,
        }
    }

    /// A failure of several faults of which `n_faults` were found in all.
    pub(crate) fn of_many(faults: Vec<Fault>, n_faults: usize) -> Self {
        Self {
            n_faults: n_faults.max(faults.len()),
            faults,
        }
    }

    /// Arguments that do not fit together (exit code 2).
    pub(crate) fn usage(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::of(Fault {
            code: "C001".into(),
            message: message.into(),
            location: None,
            value: None,
            help: Some(help.into()),
            exit_code: 2,
        })
    }

    /// Something that cannot happen happened (exit code 1).
    pub(crate) fn bug(error: &dyn Error) -> Self {
        Self::of(Fault {
            code: "B001".into(),
            message: format!("internal error: {}", with_causes(error)),
            location: None,
            value: None,
            help: Some("this is a bug in cxr; please report it".into()),
            exit_code: 1,
        })
    }

    pub(crate) fn exit_code(&self) -> u8 {
        self.faults.first().map_or(1, |fault| fault.exit_code)
    }

    /// The first fault as run.json keeps it.
    pub(crate) fn record(&self) -> Option<cxr_report::FailureRecord> {
        let fault = self.faults.first()?;
        Some(cxr_report::FailureRecord {
            code: fault.code.clone(),
            message: fault.message.clone(),
        })
    }

    pub(crate) fn report(&self) -> FailureReport<'_> {
        FailureReport {
            exit_code: self.exit_code(),
            n_errors: self.n_faults,
            errors: &self.faults,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, fault) in self.faults.iter().take(PRINTED_FAULTS).enumerate() {
            if place > 0 {
                writeln!(f)?;
            }
            write!(f, "{fault}")?;
        }
        let left = self
            .n_faults
            .saturating_sub(self.faults.len().min(PRINTED_FAULTS));
        if left > 0 {
            write!(f, "\n… and {left} more")?;
        }
        Ok(())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error[{}]: {}", self.code, printable(&self.message))?;
        if let Some(location) = &self.location {
            write!(f, "\n  --> {location}")?;
        }
        if let Some(value) = &self.value {
            write!(f, "\n  value: {value}")?;
        }
        if let Some(help) = &self.help {
            write!(f, "\n  help: {help}")?;
        }
        Ok(())
    }
}

/// A text whose control characters cannot reach the terminal: a path may hold any.
fn printable(text: &str) -> String {
    let escaped = |c: char| {
        if c.is_control() {
            c.escape_default().to_string()
        } else {
            c.to_string()
        }
    };
    text.chars().map(escaped).collect()
}

/// An error's message followed by those of its causes.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        if !text.contains(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
        cause = error.source();
    }
    text
}

/// Makes a `Fault` and a `Failure` out of library errors, all of which have the same methods.
macro_rules! faults_from {
    ($($error:ty),* $(,)?) => {$(
        impl From<&$error> for Fault {
            fn from(error: &$error) -> Self {
                Self {
                    code: error.code().into(),
                    message: with_causes(error),
                    location: error.location(),
                    value: error.value(),
                    help: error.help(),
                    exit_code: error.exit_code(),
                }
            }
        }

        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::of(Fault::from(&error))
            }
        }
    )*};
}

/// A file that `cxr` itself could not read or write (exit code 4).
impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::of(Fault {
            code: "C004".into(),
            message: error.to_string(),
            location: None,
            value: None,
            help: None,
            exit_code: 4,
        })
    }
}

faults_from!(
    cxr_augment::ImageFault,
    cxr_augment::SpecFault,
    cxr_data::CohortError,
    cxr_data::DataError,
    cxr_data::PosWeightRuleError,
    cxr_data::SharedImages,
    cxr_data::SharedPatients,
    cxr_data::TableFault,
    cxr_infer::InferError,
    cxr_infer::PredictionFault,
    cxr_metrics::MetricFault,
    cxr_data::FindingError,
    cxr_models::CheckpointFault,
    cxr_models::hub::HubFault,
    cxr_models::import::ImportFault,
    cxr_models::ModelFault,
    cxr_phantom::PhantomError,
    cxr_report::ReportError,
    cxr_train::ConfigFault,
);

/// Errors that hold several faults: each is shown.
macro_rules! failures_from {
    ($($error:ty),* $(,)?) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::of_many(error.faults().iter().map(Fault::from).collect(), error.n_faults())
            }
        }
    )*};
}

failures_from!(
    cxr_augment::SpecFaults,
    cxr_data::TableFaults,
    cxr_infer::PredictionFaults,
    cxr_train::ConfigFaults
);

impl From<cxr_train::TrainError> for Failure {
    fn from(error: cxr_train::TrainError) -> Self {
        use cxr_train::TrainError;
        match error {
            TrainError::Tables(tables) => {
                let n_faults = tables.iter().map(cxr_data::TableFaults::n_faults).sum();
                let faults = tables
                    .iter()
                    .flat_map(|t| t.faults())
                    .map(Fault::from)
                    .collect();
                Self::of_many(faults, n_faults)
            }
            TrainError::Images(images) => {
                Self::of_many(images.iter().map(Fault::from).collect(), images.len())
            }
            error => Self::of(Fault {
                code: error.code().into(),
                message: with_causes(&error),
                location: error.location(),
                value: error.value(),
                help: error.help(),
                exit_code: error.exit_code(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_codes_in_a_path_are_shown_and_not_sent() {
        let error = fs_err::File::open("no\u{1b}[2J\nsuch file")
            .map(drop)
            .expect_err("missing");
        let text = Failure::from(error).to_string();
        assert!(text.contains("no\\u{1b}[2J\\nsuch file"), "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
    }
}
