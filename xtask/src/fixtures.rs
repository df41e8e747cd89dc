//! The committed reference values: made again by their Python scripts, or checked.
//!
//! `--check` needs nothing but this program. It compares every file with its digest in
//! fixtures/MANIFEST, so that a value that changed, went missing or is not listed is seen on any
//! machine. Making them again needs PyTorch, torchvision and scikit-learn (fixtures/README.md); it
//! is not part of `ci` because their last bits differ from processor to processor.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process::{run, say, workspace_root};

const MANIFEST: &str = "MANIFEST";

pub(crate) fn run_task(arguments: &[String]) -> Result<u8> {
    let folder = workspace_root().join("fixtures");
    match arguments {
        [] => make_again(&folder),
        [flag] if flag == "--check" => check(&folder),
        [flag] if flag == "--list" => write_manifest(&folder),
        _ => {
            say("usage: cargo xtask fixtures [--check|--list]");
            Ok(2)
        }
    }
}

/// Runs every script under fixtures/golden, then lists what is there.
fn make_again(folder: &Path) -> Result<u8> {
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let files = files_below(folder)?;
    for script in files
        .iter()
        .filter(|path| path.extension().is_some_and(|e| e == "py"))
    {
        let code = run(Command::new(&python)
            .arg(script)
            .current_dir(workspace_root()))?;
        if code != 0 {
            return Ok(code);
        }
    }
    write_manifest(folder)
}

fn write_manifest(folder: &Path) -> Result<u8> {
    let lines: Vec<String> = digests(folder)?
        .iter()
        .map(|(name, digest)| format!("{digest}  {name}\n"))
        .collect();
    fs::write(folder.join(MANIFEST), lines.concat())?;
    say(&format!(
        "fixtures: {} files listed in fixtures/{MANIFEST}",
        lines.len()
    ));
    Ok(0)
}

fn check(folder: &Path) -> Result<u8> {
    let text = fs::read_to_string(folder.join(MANIFEST)).context("fixtures/MANIFEST")?;
    let listed: BTreeMap<String, String> = text
        .lines()
        .filter_map(|line| line.split_once("  "))
        .map(|(digest, name)| (name.to_owned(), digest.to_owned()))
        .collect();
    let found = digests(folder)?;
    let mut faults = Vec::new();
    for (name, digest) in &found {
        match listed.get(name) {
            None => faults.push(format!("{name}: not listed")),
            Some(expected) if expected != digest => faults.push(format!("{name}: changed")),
            Some(_) => {}
        }
    }
    faults.extend(
        listed
            .keys()
            .filter(|n| !found.contains_key(*n))
            .map(|n| format!("{n}: missing")),
    );
    for fault in &faults {
        say(&format!(
            "fixtures/{fault} (`cargo xtask fixtures --list` if that is meant)"
        ));
    }
    Ok(u8::from(!faults.is_empty()))
}

/// BLAKE3 of every file below the folder but the manifest, by relative name.
fn digests(folder: &Path) -> Result<BTreeMap<String, String>> {
    let mut digests = BTreeMap::new();
    for path in files_below(folder)? {
        let name = path
            .strip_prefix(folder)?
            .to_string_lossy()
            .replace('\\', "/");
        if name != MANIFEST {
            let bytes = fs::read(&path).with_context(|| path.display().to_string())?;
            digests.insert(name, blake3::hash(&bytes).to_hex().to_string());
        }
    }
    Ok(digests)
}

fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files.retain(|path| {
        !path
            .components()
            .any(|part| part.as_os_str() == "__pycache__")
    });
    files.sort();
    Ok(files)
}
