//! This program under the name `nvcc`: what build scripts ask a CUDA compiler, answered without one.
//!
//! Kernels become PTX without a function, objects hold nothing but the functions that candle's
//! bindings declare, which end the process when called. With `CXR_REAL_NVCC` set, kernels go to that
//! compiler; objects (candle's kernels for language models, minutes of work) stay empty.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail};

use crate::process::say;

/// The environment variable that names a real compiler.
pub(super) const REAL_NVCC: &str = "CXR_REAL_NVCC";

/// Build scripts read the fourth line.
const VERSION: &str = "nvcc: stand-in for NVIDIA's compiler\n\
    Answers what build scripts ask, compiles nothing\n\
    Built from xtask/src/cuda_check/nvcc.rs\n\
    Cuda compilation tools, release 13.0, V13.0.88\n";
const ARCHITECTURES: &str = "sm_80\nsm_90\n";
const PTX: &str = ".version 9.0\n.target sm_80\n.address_size 64\n";
/// Candle's file whose functions its bindings declare.
const WITH_FUNCTIONS: &str = "moe_gguf.cu";

/// Whether this process was started under the compiler's name.
pub(crate) fn is_called_as_nvcc() -> bool {
    let name = std::env::args_os().next().map(PathBuf::from);
    name.is_some_and(|path| path.file_stem() == Some(OsStr::new("nvcc")))
}

/// Does what the words ask of a compiler.
pub(crate) fn run_as_nvcc() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match answer(&words) {
        Ok(code) => code,
        Err(error) => {
            say(&format!("nvcc stand-in: {error:#}"));
            ExitCode::from(1)
        }
    }
}

fn answer(words: &[String]) -> Result<ExitCode> {
    let asks = |flag: &str| words.iter().any(|word| word == flag);
    let real = std::env::var_os(REAL_NVCC);
    if asks("--lib") {
        return archive(words);
    }
    if asks("-c") {
        return object(words);
    }
    if let Some(real) = real {
        let status = Command::new(&real).args(words).status();
        let status = status.with_context(|| real.to_string_lossy().into_owned())?;
        return Ok(ExitCode::from(u8::from(!status.success())));
    }
    if asks("--version") {
        return print(VERSION);
    }
    if asks("--list-gpu-code") {
        return print(ARCHITECTURES);
    }
    if asks("--ptx") || asks("-ptx") {
        let target = ptx_target(words)?;
        std::fs::write(&target, PTX).with_context(|| target.display().to_string())?;
        return Ok(ExitCode::SUCCESS);
    }
    bail!("no answer to `{}`", words.join(" "))
}

fn print(text: &str) -> Result<ExitCode> {
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// The word after a flag.
fn value_of<'a>(words: &'a [String], flag: &str) -> Option<&'a str> {
    let place = words.iter().position(|word| word == flag)?;
    words.get(place + 1).map(String::as_str)
}

fn source(words: &[String]) -> Result<&Path> {
    let is_source = |word: &&String| Path::new(word).extension() == Some(OsStr::new("cu"));
    let found = words.iter().rev().find(is_source);
    found.map(Path::new).context("no .cu file is named")
}

/// Where PTX goes: `-o`, else a file of the source's name in the output's folder.
fn ptx_target(words: &[String]) -> Result<PathBuf> {
    if let Some(path) = value_of(words, "-o") {
        return Ok(PathBuf::from(path));
    }
    let folder = value_of(words, "--output-directory").unwrap_or(".");
    let name = source(words)?.with_extension("ptx");
    Ok(Path::new(folder).join(name.file_name().unwrap_or_default()))
}

/// `ar` over the objects that the words name.
fn archive(words: &[String]) -> Result<ExitCode> {
    let target = value_of(words, "-o").context("--lib without -o")?;
    let objects = words
        .iter()
        .filter(|word| Path::new(word).extension() == Some(OsStr::new("o")));
    let status = Command::new("ar")
        .args(["rcs", target])
        .args(objects)
        .status();
    let status = status.context("could not start `ar`")?;
    Ok(ExitCode::from(u8::from(!status.success())))
}

/// An object by the C compiler.
fn object(words: &[String]) -> Result<ExitCode> {
    let target = value_of(words, "-o").context("-c without -o")?;
    let source = source(words)?;
    let text = if source.file_name() == Some(OsStr::new(WITH_FUNCTIONS)) {
        let bindings = source.with_file_name("../ffi.rs");
        let declared = std::fs::read_to_string(&bindings);
        functions_that_abort(&declared.with_context(|| bindings.display().to_string())?)
    } else {
        String::new()
    };
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let mut child = Command::new(&compiler)
        .args(["-c", "-fPIC", "-x", "c", "-o", target, "-"])
        .stdin(Stdio::piped())
        .spawn()
        .with_context(|| format!("could not start `{compiler}`"))?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(text.as_bytes())?;
    }
    Ok(ExitCode::from(u8::from(!child.wait()?.success())))
}

/// C source with every function that Rust bindings declare; each ends the process.
fn functions_that_abort(bindings: &str) -> String {
    let mut names: Vec<&str> = bindings
        .split("fn ")
        .skip(1)
        .filter_map(|rest| rest.split_once('(').map(|(name, _)| name))
        .filter(|name| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'))
        .collect();
    names.sort_unstable();
    names.dedup();
    let lines = names
        .iter()
        .map(|name| format!("void {name}(void) {{ abort(); }}\n"));
    format!("#include <stdlib.h>\n{}", lines.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn ptx_goes_where_each_build_script_looks_for_it() {
        let ours = words("--ptx -O3 -arch=compute_90 -o out/ours_90.ptx kernels/kernels.cu");
        assert_eq!(ptx_target(&ours).unwrap(), Path::new("out/ours_90.ptx"));
        let candles = words("-gencode=x --ptx --output-directory out -O3 src/unary.cu");
        assert_eq!(ptx_target(&candles).unwrap(), Path::new("out/unary.ptx"));
    }

    #[test]
    fn the_version_is_where_cudarc_reads_it() {
        let line = VERSION.lines().nth(3).unwrap();
        let release = line.split(", ").nth(1).unwrap();
        assert_eq!(release, "release 13.0");
    }

    #[test]
    fn every_declared_function_is_made_once() {
        let bindings = "extern \"C\" { pub fn moe_gemm(a: i32,\n b: i32);\n #[cfg(x)] pub fn moe_gemm(a: i64); pub fn quantize(); }";
        let text = functions_that_abort(bindings);
        assert_eq!(text.matches("void moe_gemm(void)").count(), 1);
        assert_eq!(text.matches("abort();").count(), 2);
    }
}
