//! The runner: `cargo xtask <task>`. It links none of the heavy crates, so it starts at once.
//!
//! `test`, `ci`, `fixtures` and `cuda-check` are its own; every other task goes to the binary `cxr`.
//! Started under the name `nvcc` it stands in for that compiler (cuda_check/nvcc.rs).

mod boundaries;
mod ci;
mod cuda_check;
mod fixtures;
mod process;

use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask <task> [args]

  train …            the main job; without arguments on the synthetic cohort, offline
  test [filter]      every test of the workspace
  ci [--skip-tests]  format, crate boundaries, fixtures, lints, docs, tests: all failures reported
  fixtures [--check] make the committed reference values again, or compare them
  cuda-check [--build]
                     the CUDA code built and run without CUDA; --build: `cxr` for a machine with a card

Every other task (explore, check, split, evaluate, predict, …) is passed to `cxr`;
`cargo xtask help` lists them all.";

fn main() -> ExitCode {
    if cuda_check::is_called_as_nvcc() {
        return cuda_check::run_as_nvcc();
    }
    let mut words = std::env::args().skip(1);
    let task = words.next();
    let rest: Vec<String> = words.collect();
    let outcome = match task.as_deref() {
        None => {
            process::say(USAGE);
            return ExitCode::from(2);
        }
        Some("test") => process::test(&rest),
        Some("ci") => ci::run_task(&rest),
        Some("fixtures") => fixtures::run_task(&rest),
        Some("cuda-check") => cuda_check::run_task(&rest),
        Some(task) => process::cxr(task, &rest),
    };
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            process::say(&format!("error[X001]: {error:#}"));
            ExitCode::from(1)
        }
    }
}
