//! `cargo xtask cuda-check`: the CUDA code built, linted and run where there is no CUDA.
//!
//! A stand-in for the toolkit (stand_in.rs) answers the build scripts; its libraries are an emulator
//! of the card on the CPU (xtask/cuda/README.md), on which the tests run. Where a real nvcc is found
//! the kernels are assembled too (assembly.rs). `--build` makes the binary for a machine with a card
//! (release.rs). Deliberately not here: a card; what only a card shows stays unseen.

mod assembly;
mod nvcc;
mod release;
mod stand_in;
mod toolkit;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::Result;

use crate::process::{cargo, run, say, workspace_root};
use stand_in::Contents;
use toolkit::CudaHome;

pub(crate) use nvcc::{is_called_as_nvcc, run_as_nvcc};

/// Packages with the feature `cuda`.
const PACKAGES: [&str; 5] = ["cxr-ops", "cxr-models", "cxr-infer", "cxr-train", "cxr-cli"];
/// Tests that run on the emulator: package and target.
const TESTS: [(&str, &str); 2] = [("cxr-ops", "cuda"), ("cxr-models", "cuda")];
/// How it is all compiled: Cargo.toml says why.
const PROFILE: &str = "cuda-check";
/// In which order the emulated card does its work: at once, when somebody waits, as drawn.
const ORDERS: [&str; 3] = ["", "late", "20260101"];
/// The kernels, from the workspace's root.
const KERNELS: &str = "crates/ops/src/device/cuda/kernels/kernels.cu";

pub(crate) fn run_task(arguments: &[String]) -> Result<u8> {
    match arguments {
        [] => check(),
        [flag] if flag == "--build" => release::build(),
        _ => {
            say("usage: cargo xtask cuda-check [--build]");
            Ok(2)
        }
    }
}

/// Everything that can be known without a card; every step is taken, the first failure's code given.
fn check() -> Result<u8> {
    let contents = if stand_in::compiler().is_some() {
        Contents::Emulator
    } else {
        Contents::Nothing
    };
    let home = timed("stand-in toolkit", || {
        stand_in::make(&build_folder().join("cuda-stand-in"), contents)
    })?;
    let mut codes = vec![timed("lints", || lint(&home))?];
    if contents == Contents::Emulator {
        codes.push(timed("emulator", || emulator_tests(&home))?);
        codes.push(timed("tests on the emulator", || test(&home))?);
    } else {
        say(
            "cuda: no C++ compiler (CXX, c++, g++, clang++): types and lints were checked, nothing was run",
        );
    }
    codes.push(timed("assembly", assembly::check)?);
    Ok(codes.into_iter().find(|code| *code != 0).unwrap_or(0))
}

/// Clippy over every target of the packages, with the feature.
fn lint(home: &CudaHome) -> Result<u8> {
    let features = PACKAGES.map(|name| format!("{name}/cuda")).join(",");
    let mut command = cargo(&["clippy", "--all-targets", "--locked", "--profile", PROFILE]);
    for name in PACKAGES {
        command.args(["--package", name]);
    }
    command.args(["--features", &features, "--", "-D", "warnings"]);
    run(in_child(&mut command, home))
}

/// The emulator's own tests: a program in C++ that links to its libraries, in each order of work.
fn emulator_tests(home: &CudaHome) -> Result<u8> {
    let program = stand_in::test_program(home)?;
    for order in ORDERS {
        let code = run(on_emulator(&mut Command::new(&program), home, order))?;
        if code != 0 {
            return Ok(code);
        }
    }
    Ok(0)
}

fn test(home: &CudaHome) -> Result<u8> {
    for (package, target) in TESTS {
        for order in ORDERS {
            let features = format!("{package}/cuda");
            let mut command = cargo(&["test", "--locked", "--profile", PROFILE]);
            command.args(["--package", package, "--features", &features]);
            command.args(["--test", target]);
            let code = run(on_emulator(in_child(&mut command, home), home, order))?;
            if code != 0 {
                return Ok(code);
            }
        }
    }
    Ok(0)
}

/// The command in the workspace's root, with the stand-in for the toolkit and a target folder of its
/// own: build scripts see another CUDA there than they may see outside.
fn in_child<'a>(command: &'a mut Command, home: &CudaHome) -> &'a mut Command {
    home.set_in(command)
        .env("CARGO_TARGET_DIR", build_folder().join("cuda-check"))
        .current_dir(workspace_root())
}

fn on_emulator<'a>(command: &'a mut Command, home: &CudaHome, order: &str) -> &'a mut Command {
    let shown = if order.is_empty() { "at once" } else { order };
    say(&format!("order of the card's work: {shown}"));
    command
        .env("LD_LIBRARY_PATH", home.libraries())
        .env("CXR_EMULATED_ORDER", order)
}

fn timed<T>(name: &str, step: impl FnOnce() -> Result<T>) -> Result<T> {
    let start = Instant::now();
    let outcome = step()?;
    say(&format!(
        "cuda: {name}: {:.1} s",
        start.elapsed().as_secs_f64()
    ));
    Ok(outcome)
}

/// Where cargo builds: as the caller set it, else the workspace's `target`.
fn build_folder() -> PathBuf {
    let set = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    set.map_or_else(
        || workspace_root().join("target"),
        |path| std::path::absolute(&path).unwrap_or(path),
    )
}

/// The kernels' file, where there are kernels.
fn kernels() -> Option<PathBuf> {
    let path = workspace_root().join(KERNELS);
    path.is_file().then_some(path)
}

/// Files below `folder`, in the order of their names.
fn files_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder)
        .map_err(|error| anyhow::anyhow!("{}: {error}", folder.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
