//! The binary for a machine with a card, made on one without: real kernels, libraries by name only.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::build_folder;
use super::stand_in::{self, Contents};
use super::toolkit::real_nvcc;
use crate::process::{cargo, run, say, workspace_root};

/// What the binary must ask its machine for.
const NEEDED: [&str; 3] = ["libcuda.so.1", "libcublas.so.13", "libcudnn.so.9"];
/// Words of the emulator and of its stubs, which must not be in it.
const FOREIGN: [&str; 2] = ["emulated card", "is not emulated"];

/// Builds `cxr` with the feature `cuda` and looks at what it is made of.
pub(super) fn build() -> Result<u8> {
    let nvcc = real_nvcc().context("no nvcc: set CUDA_HOME to a toolkit of CUDA 13.0")?;
    let folder = build_folder().join("cuda-release");
    let home = stand_in::make(&folder.join("toolkit"), Contents::Stubs)?.with_real_nvcc(nvcc);
    let mut command = cargo(&["build", "--release", "--locked", "--package", "cxr-cli"]);
    command.args(["--features", "cxr-cli/cuda"]);
    command.env("CARGO_TARGET_DIR", &folder);
    let code = run(home.set_in(&mut command).current_dir(workspace_root()))?;
    if code != 0 {
        return Ok(code);
    }
    let binary = folder.join("release/cxr");
    inspect(&binary)?;
    say(&format!("cuda: {}", binary.display()));
    Ok(0)
}

/// Refuses a binary that would not use the machine's own libraries.
fn inspect(binary: &Path) -> Result<()> {
    let output = Command::new("readelf")
        .arg("-d")
        .arg(binary)
        .output()
        .context("could not start `readelf`")?;
    let needed = needed_libraries(&String::from_utf8_lossy(&output.stdout));
    say(&format!("cuda: needs {}", needed.join(", ")));
    for name in NEEDED {
        if !needed.iter().any(|found| found == name) {
            bail!("{} does not need {name}", binary.display());
        }
    }
    let bytes = std::fs::read(binary).with_context(|| binary.display().to_string())?;
    for words in FOREIGN {
        if bytes
            .windows(words.len())
            .any(|part| part == words.as_bytes())
        {
            bail!("{} holds code of the stand-in: `{words}`", binary.display());
        }
    }
    Ok(())
}

/// The libraries that `readelf -d` lists as needed.
fn needed_libraries(report: &str) -> Vec<String> {
    report
        .lines()
        .filter(|line| line.contains("(NEEDED)"))
        .filter_map(|line| line.split_once('[')?.1.split(']').next())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn needed_libraries_are_told_from_the_binary_s_own_name() {
        let report = " 0x01 (NEEDED)  Shared library: [libcuda.so.1]\n \
            0x0e (SONAME)  Library soname: [libcxr.so]\n \
            0x01 (NEEDED)  Shared library: [libc.so.6]\n";
        assert_eq!(needed_libraries(report), ["libcuda.so.1", "libc.so.6"]);
    }
}
