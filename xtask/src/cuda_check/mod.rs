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
/// The tests that run on the emulator, by the names of their targets.
const TESTS: [&str; 3] = ["cuda", "card", "cuda_steps"];
/// Those of single functions.
const FUNCTIONS: [&str; 2] = ["cuda", "card"];
/// Packages whose build scripts look at the toolkit. A setting of their own, which says nothing,
/// keeps what the stand-in gave them apart from what a real toolkit gives in the same folder:
/// candle's kernels would not be built again.
const BUILT_APART: [&str; 2] = ["candle-kernels", "cudarc"];
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

/// Clippy over every target of the workspace, with the feature.
fn lint(home: &CudaHome) -> Result<u8> {
    let mut command = with_feature("clippy");
    command.args(["--all-targets", "--", "-D", "warnings"]);
    run(home.set_in(&mut command))
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

/// The functions of a card in every order of its work, what rests on them in the drawn one.
fn test(home: &CudaHome) -> Result<u8> {
    for (place, order) in ORDERS.iter().enumerate() {
        let is_last = place + 1 == ORDERS.len();
        let mut command = with_feature("test");
        for name in TESTS
            .iter()
            .filter(|name| is_last || FUNCTIONS.contains(name))
        {
            command.args(["--test", name]);
        }
        let code = run(on_emulator(home.set_in(&mut command), home, order))?;
        if code != 0 {
            return Ok(code);
        }
    }
    Ok(0)
}

/// A task of cargo over the whole workspace with the feature: the features of all other packages,
/// and so what is built of them, are then those of the checks without it.
fn with_feature(task: &str) -> Command {
    let mut command = cargo(&[task, "--workspace", "--locked", "--features", &features()]);
    for name in BUILT_APART {
        let setting = format!("profile.dev.package.{name}.codegen-units=15");
        command.args(["--config", &setting]);
    }
    command.current_dir(workspace_root());
    command
}

/// The feature in every package that has it.
fn features() -> String {
    PACKAGES.map(|name| format!("{name}/cuda")).join(",")
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
