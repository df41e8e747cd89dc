//! One pinned file from the Hugging Face hub, checked while it arrives.
//!
//! For commands that offer pretrained weights by name. A file is named by repository, commit, path
//! and SHA-256; it lands in a cache folder under that commit and is believed only when its digest
//! is right, however it came there. Without a network the fault says what to fetch by hand and
//! where to put it. Not here: reading the file ([`import`](crate::import)), the environment and
//! defaults for folders, which are the command line's.

mod fault;

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use fs_err as fs;
use sha2::{Digest, Sha256};

use crate::architecture::Architecture;
pub use fault::HubFault;

/// The hub itself.
pub const HUGGING_FACE: &str = "https://huggingface.co";

/// A file on the hub, pinned to a commit and a digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubFile {
    repository: String,
    revision: String,
    file: String,
    sha256: String,
}

impl HubFile {
    /// A file by repository (`owner/name`), commit (40 hexadecimal digits), path in the
    /// repository, and SHA-256 (64 hexadecimal digits).
    ///
    /// # Errors
    /// [`HubFault::Request`] for anything that is not of these forms; a branch or tag is no pin.
    pub fn new(
        repository: &str,
        revision: &str,
        file: &str,
        sha256: &str,
    ) -> Result<Self, HubFault> {
        let check = |what, value: &str, expected, holds: bool| match holds {
            true => Ok(value.to_owned()),
            false => Err(HubFault::Request {
                what,
                value: value.to_owned(),
                expected,
            }),
        };
        let repository_holds = repository.split('/').count() == 2 && is_plain_path(repository);
        Ok(Self {
            repository: check("repository", repository, "owner/name", repository_holds)?,
            revision: check(
                "revision",
                revision,
                "a commit of 40 hexadecimal digits",
                is_hexadecimal(revision, 40),
            )?,
            file: check("file", file, "a plain relative path", is_plain_path(file))?,
            sha256: check(
                "SHA-256",
                sha256,
                "64 hexadecimal digits",
                is_hexadecimal(sha256, 64),
            )?
            .to_ascii_lowercase(),
        })
    }

    /// ImageNet weights of a network, where a digest is known well enough to be written down here.
    ///
    /// The digest of `timm/resnet18.tv_in1k` (torchvision's IMAGENET1K_V1 as safetensors, BSD-3-
    /// Clause) is the one that several independent projects publish for this commit. If it were
    /// wrong, the download would be refused; nothing unchecked is ever loaded.
    pub fn imagenet(architecture: Architecture) -> Option<Self> {
        match architecture {
            Architecture::ResNet18 => Some(Self {
                repository: "timm/resnet18.tv_in1k".to_owned(),
                revision: "bbd144b3e5565108aad885f145491d11bc6ce807".to_owned(),
                file: "model.safetensors".to_owned(),
                sha256: "694f673df6520a3158624e8a89af086f59923ee4cd7436fe5bc3bc71d295ad81"
                    .to_owned(),
            }),
            Architecture::ResNet34 | Architecture::XrayCnn => None,
        }
    }

    /// Where it lies in a cache folder.
    pub fn place_in(&self, cache: &Path) -> PathBuf {
        cache
            .join(self.repository.replace('/', "--"))
            .join(&self.revision)
            .join(&self.file)
    }

    /// Its address below an endpoint.
    pub fn url(&self, endpoint: &str) -> String {
        let Self {
            repository,
            revision,
            file,
            ..
        } = self;
        format!(
            "{}/{repository}/resolve/{revision}/{file}",
            endpoint.trim_end_matches('/')
        )
    }

    /// Its SHA-256, in lower case.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }
}

fn is_hexadecimal(value: &str, digits: usize) -> bool {
    value.len() == digits && value.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Parts of letters, digits, `.`, `_` and `-`, none of them empty or made of dots alone.
fn is_plain_path(value: &str) -> bool {
    value.len() <= 200
        && value.split('/').all(|part| {
            !part.bytes().all(|byte| byte == b'.')
                && part
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        })
}

/// How to reach the hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hub {
    /// Its address, [`HUGGING_FACE`] or a mirror's (`HF_ENDPOINT`).
    pub endpoint: String,
    /// The proxy to use, if any.
    pub proxy: Option<String>,
    /// Use the cache only.
    pub offline: bool,
    /// The largest file to accept, in bytes.
    pub most_bytes: u64,
    /// The longest wait for a connection, for the answer, and between two pieces of it.
    pub patience: Duration,
    /// The longest time for everything.
    pub total_patience: Duration,
}

impl Default for Hub {
    fn default() -> Self {
        Self {
            endpoint: HUGGING_FACE.to_owned(),
            proxy: None,
            offline: false,
            most_bytes: 1 << 30,
            patience: Duration::from_secs(30),
            total_patience: Duration::from_secs(60 * 60),
        }
    }
}

/// How far a download is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes so far.
    pub bytes: u64,
    /// Bytes in all, if the server says so.
    pub of: Option<u64>,
}

/// Redirects to follow: the hub sends large files to a content network, in one or two steps.
const MOST_REDIRECTS: u32 = 5;

impl Hub {
    /// The path of the file in `cache`, fetched unless it is there with the right digest.
    ///
    /// # Errors
    /// See [`HubFault`]. Whatever happens, the cache holds the whole file or none.
    pub fn fetch(
        &self,
        file: &HubFile,
        cache: &Path,
        mut progress: impl FnMut(Progress),
    ) -> Result<PathBuf, HubFault> {
        let place = file.place_in(cache);
        let found = digest_of_file(&place)?;
        if found.as_deref() == Some(file.sha256()) {
            return Ok(place);
        }
        let job = Job {
            hub: self,
            url: file.url(&self.endpoint),
            place,
            file,
        };
        if self.offline {
            return Err(match found {
                Some(found) => job.wrong_digest(found),
                None => HubFault::Offline {
                    url: job.url,
                    place: job.place,
                },
            });
        }
        job.download(&mut progress)?;
        Ok(job.place)
    }
}

/// The SHA-256 of a file in hexadecimal, or nothing where there is no file.
fn digest_of_file(path: &Path) -> Result<Option<String>, HubFault> {
    if !path.is_file() {
        return Ok(None);
    }
    let mut file = fs::File::open(path)?;
    let mut digest = Sha256::new();
    let mut piece = vec![0; 1 << 16];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(Some(hexadecimal(digest))),
            n => digest.update(piece.get(..n).unwrap_or_default()),
        }
    }
}

fn hexadecimal(digest: Sha256) -> String {
    digest
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// One file on its way.
struct Job<'a> {
    hub: &'a Hub,
    url: String,
    place: PathBuf,
    file: &'a HubFile,
}

impl Job<'_> {
    fn download(&self, progress: &mut dyn FnMut(Progress)) -> Result<(), HubFault> {
        let mut response = self.ask()?;
        let announced = response.body().content_length();
        if let Some(bytes) = announced
            && bytes > self.hub.most_bytes
        {
            return Err(self.too_large(bytes));
        }
        if let Some(folder) = self.place.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut body = response.body_mut().as_reader();
        let mut outcome = Ok(());
        // The closure's own fault is kept beside: the file is dropped for any error at all.
        let written = cxr_durable::write_with(&self.place, |out| {
            outcome = self.receive(&mut body, announced, out, progress);
            match outcome {
                Ok(()) => Ok(()),
                Err(_) => Err(std::io::Error::other("the download failed")),
            }
        });
        outcome?;
        Ok(written?)
    }

    fn ask(&self) -> Result<ureq::http::Response<ureq::Body>, HubFault> {
        let Hub {
            proxy,
            patience,
            total_patience,
            endpoint,
            ..
        } = self.hub;
        let proxy = match proxy {
            None => None,
            Some(address) => Some(ureq::Proxy::new(address).map_err(|source| self.failed(source))?),
        };
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .https_only(endpoint.starts_with("https:"))
            .max_redirects(MOST_REDIRECTS)
            .proxy(proxy)
            .timeout_connect(Some(*patience))
            .timeout_recv_response(Some(*patience))
            .timeout_per_read(Some(*patience))
            .timeout_global(Some(*total_patience))
            .build();
        let answer = ureq::Agent::new_with_config(config)
            .get(&self.url)
            .header("Accept-Encoding", "identity")
            .call();
        let response = answer.map_err(|source| self.failed(source))?;
        match response.status().as_u16() {
            200 => Ok(response),
            status => Err(HubFault::Status {
                url: self.url.clone(),
                status,
            }),
        }
    }

    /// From the wire to the file, counted and digested on the way.
    fn receive(
        &self,
        body: &mut dyn Read,
        announced: Option<u64>,
        out: &mut dyn Write,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), HubFault> {
        let mut digest = Sha256::new();
        let mut piece = vec![0; 1 << 16];
        let mut bytes = 0u64;
        loop {
            let n = body
                .read(&mut piece)
                .map_err(|source| self.interrupted(source, bytes))?;
            if n == 0 {
                break;
            }
            let piece = piece.get(..n).unwrap_or_default();
            bytes += n as u64;
            if bytes > self.hub.most_bytes {
                return Err(self.too_large(bytes));
            }
            digest.update(piece);
            out.write_all(piece)?;
            progress(Progress {
                bytes,
                of: announced,
            });
        }
        if announced.is_some_and(|announced| announced != bytes) {
            return Err(HubFault::CutShort {
                url: self.url.clone(),
                bytes,
                announced,
            });
        }
        match hexadecimal(digest) {
            found if found == self.file.sha256 => Ok(()),
            found => Err(self.wrong_digest(found)),
        }
    }

    fn too_large(&self, bytes: u64) -> HubFault {
        HubFault::TooLarge {
            url: self.url.clone(),
            bytes,
            limit: self.hub.most_bytes,
        }
    }

    fn wrong_digest(&self, found: String) -> HubFault {
        HubFault::Digest {
            url: self.url.clone(),
            place: self.place.clone(),
            found,
            expected: self.file.sha256.clone(),
        }
    }

    fn interrupted(&self, source: std::io::Error, bytes: u64) -> HubFault {
        match ureq::Error::from(source) {
            ureq::Error::Io(source) if source.kind() == std::io::ErrorKind::UnexpectedEof => {
                HubFault::CutShort {
                    url: self.url.clone(),
                    bytes,
                    announced: None,
                }
            }
            other => self.failed(other),
        }
    }

    fn failed(&self, source: ureq::Error) -> HubFault {
        let url = self.url.clone();
        match source {
            ureq::Error::Timeout(_) => HubFault::TimedOut {
                url,
                seconds: self.hub.patience.as_secs_f64(),
            },
            ureq::Error::TooManyRedirects | ureq::Error::RedirectFailed => HubFault::Redirects {
                url,
                limit: MOST_REDIRECTS,
            },
            other => HubFault::Unreachable {
                url,
                place: self.place.clone(),
                source: Box::new(other),
            },
        }
    }
}

#[cfg(test)]
mod tests;
