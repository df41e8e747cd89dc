//! Where decoded pictures are kept: the two flags of every command that goes over many images.

use std::path::PathBuf;

use cxr_augment::Keep;

/// What can be typed.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct CacheWords {
    /// Keeps decoded pictures in files below DIR, for this run and later ones. They are copies of
    /// the images: treat DIR as you treat those.
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Keeps no decoded pictures: each is decoded again in every epoch.
    #[arg(long, conflicts_with = "cache")]
    no_cache: bool,
}

impl CacheWords {
    /// In memory where neither was typed.
    pub(crate) fn keep(&self) -> Keep {
        match &self.cache {
            Some(folder) => Keep::Folder(folder.clone()),
            None if self.no_cache => Keep::Nowhere,
            None => Keep::Memory,
        }
    }
}
