//! The programs for a machine with a card, made on one without: real kernels, libraries by name only.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::stand_in::{self, Contents};
use super::toolkit::{CudaHome, real_nvcc};
use super::{TESTS, build_folder, features};
use crate::process::{cargo, run, say, workspace_root};

/// What the binary must ask its machine for.
const NEEDED: [&str; 3] = ["libcuda.so.1", "libcublas.so.13", "libcudnn.so.9"];
/// Words of the emulator and of its stubs, which must not be in it.
const FOREIGN: [&str; 2] = ["emulated card", "is not emulated"];

/// Builds `cxr` and the tests with the feature, looks at what they are made of, and lays them into one
/// folder to be carried.
pub(super) fn build() -> Result<u8> {
    let nvcc = real_nvcc().context("no nvcc: set CUDA_HOME to a toolkit of CUDA 13.0")?;
    let folder = build_folder().join("cuda-release");
    let home = stand_in::make(&folder.join("toolkit"), Contents::Stubs)?.with_real_nvcc(nvcc);
    let carried = folder.join("carry");
    std::fs::create_dir_all(&carried).with_context(|| carried.display().to_string())?;
    let mut command = in_release(&home, &folder, &["build", "--package", "cxr-cli"]);
    let code = run(command.args(["--features", "cxr-cli/cuda"]))?;
    if code != 0 {
        return Ok(code);
    }
    carry(&folder.join("release/cxr"), &carried.join("cxr"))?;

    let mut command = in_release(&home, &folder, &["test", "--no-run", "--workspace"]);
    command.args(["--features", &features()]);
    command.args(TESTS.iter().flat_map(|name| ["--test", name]));
    command.args(["--message-format", "json-render-diagnostics"]);
    say("$ cargo test --no-run (the tests that want a card)");
    let output = command
        .stderr(std::process::Stdio::inherit())
        .output()
        .context("could not start `cargo`")?;
    if !output.status.success() {
        return Ok(1);
    }
    for (name, program) in test_programs(&String::from_utf8_lossy(&output.stdout)) {
        carry(Path::new(&program), &carried.join(name))?;
    }
    say(&format!("cuda: {}", carried.display()));
    Ok(0)
}

fn in_release(home: &CudaHome, folder: &Path, task: &[&str]) -> Command {
    let mut command = cargo(task);
    command
        .args(["--release", "--locked"])
        .env("CARGO_TARGET_DIR", folder)
        // They are carried: symbols are half of them.
        .env("CARGO_PROFILE_RELEASE_STRIP", "true")
        .current_dir(workspace_root());
    home.set_in(&mut command);
    command
}

/// Copies a program that will use the machine's own libraries.
fn carry(program: &Path, target: &Path) -> Result<()> {
    inspect(program)?;
    std::fs::copy(program, target).with_context(|| target.display().to_string())?;
    Ok(())
}

/// The program of each test in cargo's messages, as `ops-cuda`: the crate's folder, the target.
fn test_programs(messages: &str) -> Vec<(String, String)> {
    let field = |line: &str, name: &str| -> Option<String> {
        let value = line.split_once(&format!("\"{name}\":\""))?.1;
        Some(value.split('"').next()?.to_owned())
    };
    messages
        .lines()
        .filter_map(|line| {
            let manifest = field(line, "manifest_path")?;
            let package = Path::new(&manifest).parent()?.file_name()?;
            let name = format!("{}-{}", package.to_string_lossy(), field(line, "name")?);
            Some((name, field(line, "executable")?))
        })
        .collect()
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
    fn test_programs_are_found_among_cargos_messages() {
        let messages = "{\"reason\":\"compiler-artifact\",\"manifest_path\":\"/a/crates/ops/Cargo.toml\",\"target\":{\"name\":\"cxr_ops\"},\"executable\":null}\n\
            {\"reason\":\"compiler-artifact\",\"manifest_path\":\"/a/crates/ops/Cargo.toml\",\"target\":{\"name\":\"cuda\"},\"executable\":\"/t/deps/cuda-1f\"}\n\
            {\"reason\":\"build-finished\",\"success\":true}\n";
        let found = test_programs(messages);
        let expected = ("ops-cuda".to_owned(), "/t/deps/cuda-1f".to_owned());
        assert_eq!(found, [expected]);
    }

    #[test]
    fn needed_libraries_are_told_from_the_binary_s_own_name() {
        let report = " 0x01 (NEEDED)  Shared library: [libcuda.so.1]\n \
            0x0e (SONAME)  Library soname: [libcxr.so]\n \
            0x01 (NEEDED)  Shared library: [libc.so.6]\n";
        assert_eq!(needed_libraries(report), ["libcuda.so.1", "libc.so.6"]);
    }
}
