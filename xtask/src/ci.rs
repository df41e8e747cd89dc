//! Everything that must hold before a change lands, cheapest first, every failure reported.

use anyhow::Result;

use crate::process::{cargo, run, say, workspace_root};
use crate::{boundaries, cuda_check, fixtures, process};

/// One thing that must hold, by name.
type Check = (&'static str, fn() -> Result<u8>);

const CHECKS: [Check; 6] = [
    ("format", || cargo_in_root(&["fmt", "--all", "--check"])),
    ("crate boundaries", crate_boundaries),
    ("fixtures", || fixtures::run_task(&["--check".to_owned()])),
    ("lints", || {
        cargo_in_root(&[
            "clippy",
            "--workspace",
            "--all-targets",
            "--locked",
            "--",
            "-D",
            "warnings",
        ])
    }),
    ("documentation", documentation),
    ("cuda", || cuda_check::run_task(&[])),
];

/// Runs every check; `--skip-tests` leaves out the tests, for a caller that has just run them.
pub(crate) fn run_all(skip_tests: bool) -> Result<Vec<&'static str>> {
    let mut failed = Vec::new();
    let mut checks = CHECKS.to_vec();
    if !skip_tests {
        checks.push(("tests", || process::test(&[])));
    }
    for (name, check) in checks {
        say(&format!("── {name}"));
        let is_fine = match check() {
            Ok(code) => code == 0,
            Err(error) => {
                say(&format!("{error:#}"));
                false
            }
        };
        if !is_fine {
            failed.push(name);
        }
    }
    Ok(failed)
}

pub(crate) fn run_task(arguments: &[String]) -> Result<u8> {
    let skip_tests = arguments.iter().any(|word| word == "--skip-tests");
    let failed = run_all(skip_tests)?;
    if failed.is_empty() {
        say("── all checks passed");
        return Ok(0);
    }
    say(&format!("── failed: {}", failed.join(", ")));
    Ok(1)
}

fn cargo_in_root(arguments: &[&str]) -> Result<u8> {
    run(cargo(arguments).current_dir(workspace_root()))
}

fn crate_boundaries() -> Result<u8> {
    let found = boundaries::violations()?;
    for violation in &found {
        say(violation);
    }
    Ok(u8::from(!found.is_empty()))
}

fn documentation() -> Result<u8> {
    let mut command = cargo(&["doc", "--workspace", "--no-deps", "--locked"]);
    run(command
        .env("RUSTDOCFLAGS", "-D warnings")
        .current_dir(workspace_root()))
}
