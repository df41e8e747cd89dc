//! Starting cargo and the binary, saying on stderr what is started.

use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

/// One line on stderr; a closed stderr is no reason to stop.
pub(crate) fn say(text: &str) {
    drop(writeln!(std::io::stderr(), "{text}"));
}

/// The folder that holds the workspace's Cargo.toml.
pub(crate) fn workspace_root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map_or_else(PathBuf::new, PathBuf::from)
}

/// A cargo command over this workspace, run in the folder the user stands in.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments);
    command
}

/// Runs a command with the terminal's own streams and gives its exit code.
pub(crate) fn run(command: &mut Command) -> Result<u8> {
    let words: Vec<String> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let mut shown = words.clone();
    if let Some(program) = shown.first_mut() {
        let name = PathBuf::from(&*program);
        *program = name
            .file_name()
            .map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    }
    say(&format!("$ {}", shown.join(" ")));
    let status = command
        .status()
        .with_context(|| format!("could not start `{}`", words[0]))?;
    Ok(exit_code(status))
}

/// The exit code as a shell would give it: a signal becomes 128 + its number.
fn exit_code(status: std::process::ExitStatus) -> u8 {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return u8::try_from(128 + signal).unwrap_or(1);
    }
    status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .unwrap_or(1)
}

/// Builds `cxr` for speed and passes the task on.
pub(crate) fn cxr(task: &str, arguments: &[String]) -> Result<u8> {
    let manifest = workspace_root().join("Cargo.toml");
    let manifest = manifest.to_string_lossy();
    let mut words = vec![
        "run",
        "--release",
        "--manifest-path",
        &manifest,
        "--package",
        "cxr-cli",
        "--bin",
    ];
    words.push("cxr");
    if asks_for_cuda(arguments) {
        words.extend(["--features", "cuda"]);
    }
    words.extend(["--", task]);
    words.extend(arguments.iter().map(String::as_str));
    run(&mut cargo(&words))
}

/// Whether `--device cuda` or `--device cuda:N` is among the words.
fn asks_for_cuda(arguments: &[String]) -> bool {
    let is_cuda = |device: &str| device == "cuda" || device.starts_with("cuda:");
    let apart = arguments
        .windows(2)
        .any(|pair| pair[0] == "--device" && is_cuda(&pair[1]));
    let joined = |word: &String| word.strip_prefix("--device=").is_some_and(is_cuda);
    apart || arguments.iter().any(joined)
}

/// Every test of the workspace, documentation examples included.
pub(crate) fn test(arguments: &[String]) -> Result<u8> {
    let mut words = vec!["test", "--workspace"];
    words.extend(arguments.iter().map(String::as_str));
    run(cargo(&words).current_dir(workspace_root()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_cuda_device_asks_for_the_feature() {
        let asks = |line: &str| {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            asks_for_cuda(&words)
        };
        assert!(asks("--preset seed-cnn --device cuda"));
        assert!(asks("--device=cuda:1 --json"));
        assert!(!asks("--device cpu --run cuda"));
        assert!(!asks("--device"));
    }
}
