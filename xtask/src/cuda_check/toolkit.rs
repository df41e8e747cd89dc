//! A folder that build scripts take for the CUDA toolkit, and the search for a real one.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::nvcc::REAL_NVCC;

/// The environment variables under which build scripts look for the toolkit.
const HOMES: [&str; 4] = [
    "CUDA_HOME",
    "CUDA_PATH",
    "CUDA_ROOT",
    "CUDA_TOOLKIT_ROOT_DIR",
];

/// A toolkit of ours: `bin/nvcc` and `lib`.
#[derive(Debug)]
pub(super) struct CudaHome {
    folder: PathBuf,
    real_nvcc: Option<PathBuf>,
}

impl CudaHome {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            real_nvcc: None,
        }
    }

    /// The same; its nvcc gives kernels to a real one.
    pub(super) fn with_real_nvcc(self, nvcc: PathBuf) -> Self {
        Self {
            real_nvcc: Some(nvcc),
            ..self
        }
    }

    pub(super) fn libraries(&self) -> PathBuf {
        self.folder.join("lib")
    }

    pub(super) fn objects(&self) -> PathBuf {
        self.folder.join("objects")
    }

    pub(super) fn programs(&self) -> PathBuf {
        self.folder.join("bin")
    }

    pub(super) fn nvcc(&self) -> PathBuf {
        self.programs().join("nvcc")
    }

    /// Makes this the toolkit of a command, whatever the caller's own is.
    pub(super) fn set_in<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        for name in HOMES {
            command.env(name, &self.folder);
        }
        match &self.real_nvcc {
            Some(nvcc) => command.env(REAL_NVCC, nvcc),
            None => command.env_remove(REAL_NVCC),
        };
        command
            .env("NVCC", self.nvcc())
            .env("CUDA_COMPUTE_CAP", "90")
            .env("PATH", self.path_before_others())
    }

    fn path_before_others(&self) -> OsString {
        let mut path = self.programs().into_os_string();
        if let Some(others) = std::env::var_os("PATH") {
            path.push(":");
            path.push(others);
        }
        path
    }
}

/// A real nvcc: `NVCC`, else under `CUDA_HOME`, else on the path.
pub(super) fn real_nvcc() -> Option<PathBuf> {
    let set = std::env::var_os("NVCC").map(PathBuf::from);
    let homes = HOMES.iter().filter_map(std::env::var_os);
    let of_homes = homes.map(|home| Path::new(&home).join("bin/nvcc"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let of_path: Vec<PathBuf> = std::env::split_paths(&path)
        .map(|folder| folder.join("nvcc"))
        .collect();
    set.into_iter()
        .chain(of_homes)
        .chain(of_path)
        .find(|path| path.is_file())
}
