//! What can go wrong with a download, and what to do about it.

use std::path::PathBuf;

use thiserror::Error;

/// Why a file could not be fetched. Codes M080–M089, see `docs/errors/import.md`.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HubFault {
    /// A name that cannot be one.
    #[error("{what} is not {expected}")]
    Request {
        /// Which part.
        what: &'static str,
        /// What was given.
        value: String,
        /// What it must look like.
        expected: &'static str,
    },
    /// No connection.
    #[error("the hub cannot be reached")]
    Unreachable {
        /// The address.
        url: String,
        /// Where the file is looked for first.
        place: PathBuf,
        /// What the client said.
        source: Box<ureq::Error>,
    },
    /// The server has another answer than the file.
    #[error("the hub answered with status {status}")]
    Status {
        /// The address.
        url: String,
        /// The status.
        status: u16,
    },
    /// Other bytes than the ones that were pinned.
    #[error("the file's SHA-256 is not the expected one")]
    Digest {
        /// The address.
        url: String,
        /// Where the file belongs.
        place: PathBuf,
        /// The digest of what came.
        found: String,
        /// The pinned digest.
        expected: String,
    },
    /// Fewer bytes than announced.
    #[error("the download ended early, after {bytes} bytes")]
    CutShort {
        /// The address.
        url: String,
        /// Bytes that came.
        bytes: u64,
        /// Bytes that were announced, where that is known.
        announced: Option<u64>,
    },
    /// More bytes than allowed.
    #[error("the file is over the limit: {bytes} > {limit} bytes")]
    TooLarge {
        /// The address.
        url: String,
        /// Bytes announced or seen.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// Nothing came for too long.
    #[error("the hub did not answer within {seconds} s")]
    TimedOut {
        /// The address.
        url: String,
        /// The patience.
        seconds: f64,
    },
    /// Sent from place to place.
    #[error("more than {limit} redirects")]
    Redirects {
        /// The address.
        url: String,
        /// The limit.
        limit: u32,
    },
    /// The cache folder said no.
    #[error("the cache folder cannot be used")]
    Io {
        /// What the file system said, with the path.
        #[from]
        source: std::io::Error,
    },
    /// The cache lacks the file and the network was ruled out.
    #[error("the file is not in the cache, and downloads are switched off")]
    Offline {
        /// The address.
        url: String,
        /// Where the file belongs.
        place: PathBuf,
    },
}

impl HubFault {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Request { .. } => "M080",
            Self::Unreachable { .. } => "M081",
            Self::Status { .. } => "M082",
            Self::Digest { .. } => "M083",
            Self::CutShort { .. } => "M084",
            Self::TooLarge { .. } => "M085",
            Self::TimedOut { .. } => "M086",
            Self::Redirects { .. } => "M087",
            Self::Io { .. } => "M088",
            Self::Offline { .. } => "M089",
        }
    }

    /// The exit code: 2 for what was asked, 6 for what came, 4 for the way between.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Request { .. } => 2,
            Self::Digest { .. } | Self::TooLarge { .. } => 6,
            _ => 4,
        }
    }

    /// The address.
    pub fn location(&self) -> Option<String> {
        match self {
            Self::Request { .. } | Self::Io { .. } => None,
            Self::Unreachable { url, .. }
            | Self::Status { url, .. }
            | Self::Digest { url, .. }
            | Self::CutShort { url, .. }
            | Self::TooLarge { url, .. }
            | Self::TimedOut { url, .. }
            | Self::Redirects { url, .. }
            | Self::Offline { url, .. } => Some(url.escape_debug().to_string()),
        }
    }

    /// The value at fault, escaped.
    pub fn value(&self) -> Option<String> {
        match self {
            Self::Request { value, .. } => Some(format!("{value:?}")),
            Self::Digest {
                found, expected, ..
            } => Some(format!("{found}, expected {expected}")),
            Self::CutShort {
                announced: Some(announced),
                ..
            } => Some(format!("{announced} bytes were announced")),
            _ => None,
        }
    }

    /// What to do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Unreachable { url, place, .. } | Self::Offline { url, place } => Some(format!(
                "fetch {url} on a machine with a network and put it at {}; its SHA-256 is checked \
                 there too",
                place.display()
            )),
            Self::Status {
                status: 401 | 403, ..
            } => Some("the repository is private or gated; fetch the file by hand".to_owned()),
            Self::Status { status: 404, .. } => {
                Some("check repository, revision, file, and HF_ENDPOINT".to_owned())
            }
            Self::Digest { place, .. } => Some(format!(
                "nothing was kept of it; if {} is there, it is not the pinned file either",
                place.display()
            )),
            Self::Request { .. } => {
                Some("a branch or tag can change; name the commit it stands for".to_owned())
            }
            Self::Status { .. }
            | Self::CutShort { .. }
            | Self::TimedOut { .. }
            | Self::Redirects { .. } => Some("try again later, or another HF_ENDPOINT".to_owned()),
            Self::TooLarge { .. } | Self::Io { .. } => None,
        }
    }
}
