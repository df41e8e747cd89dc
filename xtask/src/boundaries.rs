//! Which crate may reach which: the arrows of docs/architecture.md, tested with `cargo tree`.

use anyhow::{Context, Result, bail};

use crate::process::{cargo, workspace_root};

/// Crates that must never reach a package, directly or through others.
const FORBIDDEN: [(&str, &[&str]); 12] = [
    ("cxr-isa", &["candle-core", "polars", "image", "serde"]),
    ("cxr-stream", &["candle-core", "polars", "image", "serde"]),
    (
        "cxr-data",
        &[
            "candle-core",
            "image",
            "cxr-augment",
            "cxr-metrics",
            "cxr-ops",
        ],
    ),
    (
        "cxr-augment",
        &[
            "candle-core",
            "polars",
            "cxr-data",
            "cxr-metrics",
            "cxr-ops",
        ],
    ),
    (
        "cxr-ops",
        &["polars", "image", "cxr-data", "cxr-metrics", "cxr-augment"],
    ),
    (
        "cxr-metrics",
        &[
            "candle-core",
            "polars",
            "image",
            "cxr-data",
            "cxr-augment",
            "cxr-ops",
        ],
    ),
    (
        "cxr-phantom",
        &[
            "candle-core",
            "polars",
            "cxr-data",
            "cxr-augment",
            "cxr-metrics",
        ],
    ),
    (
        "cxr-report",
        &[
            "candle-core",
            "polars",
            "cxr-data",
            "cxr-augment",
            "cxr-models",
        ],
    ),
    (
        "cxr-models",
        &[
            "polars",
            "cxr-data",
            "cxr-augment",
            "cxr-metrics",
            "cxr-train",
        ],
    ),
    (
        "cxr-infer",
        &["polars", "cxr-data", "cxr-train", "cxr-report"],
    ),
    ("cxr-train", &["cxr-phantom", "clap", "cxr-cli"]),
    (
        "xtask",
        &["candle-core", "polars", "image", "cxr-cli", "cxr-train"],
    ),
];

/// Every arrow that points where it must not, in words.
pub(crate) fn violations() -> Result<Vec<String>> {
    let mut found = Vec::new();
    for (package, forbidden) in FORBIDDEN {
        let reached = dependencies_of(package)?;
        for name in forbidden
            .iter()
            .filter(|name| reached.iter().any(|r| r == *name))
        {
            found.push(format!(
                "{package} reaches {name}: `cargo tree -p {package} -i {name}`"
            ));
        }
    }
    Ok(found)
}

/// The names of all packages that a package is built from, itself left out.
fn dependencies_of(package: &str) -> Result<Vec<String>> {
    let arguments = [
        "tree",
        "--locked",
        "--package",
        package,
        "--edges",
        "normal",
        "--prefix",
        "none",
    ];
    let output = cargo(&arguments)
        .args(["--format", "{p}"])
        .current_dir(workspace_root())
        .output()
        .context("could not start `cargo tree`")?;
    if !output.status.success() {
        bail!(
            "cargo tree -p {package}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let names = text
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    Ok(names.skip(1).map(str::to_owned).collect())
}
