//! The stand-in for the CUDA toolkit: an nvcc that is this program, and libraries with every
//! function that cudarc's bindings name.
//!
//! A library is made of what is emulated (xtask/cuda/emulator) and, weakly, of a stub for each other
//! function, which says its name and ends the process. For linking alone there are stubs only.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::toolkit::CudaHome;
use super::{files_in, kernels};
use crate::process::{cargo, workspace_root};

/// What the libraries of a stand-in do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contents {
    /// They run on the CPU.
    Emulator,
    /// They can be linked to, not called.
    Stubs,
    /// There are none: for checking types.
    Nothing,
}

/// A library: its name for the linker, its name at run time, the module of its bindings, its sources.
struct Library {
    name: &'static str,
    soname: &'static str,
    bindings: Option<&'static str>,
    sources: &'static [&'static str],
}

const fn library(
    name: &'static str,
    soname: &'static str,
    bindings: Option<&'static str>,
    sources: &'static [&'static str],
) -> Library {
    Library {
        name,
        soname,
        bindings,
        sources,
    }
}

/// The driver first: the others link to it.
const LIBRARIES: [Library; 7] = [
    library(
        "cuda",
        "libcuda.so.1",
        Some("driver"),
        &[
            "driver.cpp",
            "execution.cpp",
            "memory.cpp",
            "streams.cpp",
            "candle.cpp",
        ],
    ),
    library("cudnn", "libcudnn.so.9", Some("cudnn"), &["cudnn.cpp"]),
    library("cublas", "libcublas.so.13", Some("cublas"), &["cublas.cpp"]),
    library("cublasLt", "libcublasLt.so.13", Some("cublaslt"), &[]),
    library("curand", "libcurand.so.10", Some("curand"), &["curand.cpp"]),
    library("nvrtc", "libnvrtc.so.13", Some("nvrtc"), &[]),
    library("cudart", "libcudart.so.13", None, &[]),
];

/// Every product rounds by itself, as in the kernels' reference.
const FLAGS: [&str; 5] = [
    "-O3",
    "-fPIC",
    "-pthread",
    "-U_FORTIFY_SOURCE",
    "-ffp-contract=off",
];
/// For the emulator.
const CXX_20: [&str; 3] = ["-std=c++20", "-Wall", "-Wextra"];
/// For kernels: what a card would fault at ends the kernel here too.
const KERNEL_FLAGS: [&str; 5] = [
    "-xc++",
    "-std=c++17",
    "-Wno-unknown-pragmas",
    "-fsanitize=alignment,bounds,signed-integer-overflow",
    "-fsanitize-undefined-trap-on-error",
];

/// The C++ compiler: `CXX`, else the first that answers of c++, g++ and clang++.
pub(super) fn compiler() -> Option<String> {
    let set = std::env::var("CXX").ok();
    let names = ["c++", "g++", "clang++"].map(str::to_owned);
    set.into_iter().chain(names).find(|name| {
        let answer = Command::new(name).arg("--version").output();
        answer.is_ok_and(|output| output.status.success())
    })
}

/// Makes a stand-in in a folder, or what of it has changed.
pub(super) fn make(folder: &Path, contents: Contents) -> Result<CudaHome> {
    let home = CudaHome::new(folder.to_owned());
    for part in [home.programs(), home.libraries(), home.objects()] {
        fs::create_dir_all(&part).with_context(|| part.display().to_string())?;
    }
    let program = std::env::current_exe().context("where this program lies")?;
    // Written anew and moved into place: the old one may be running.
    let written = home.programs().join("nvcc.new");
    fs::copy(program, &written).with_context(|| written.display().to_string())?;
    fs::rename(&written, home.nvcc())?;
    if contents != Contents::Nothing {
        let cudarc = cudarc_sources()?;
        for library in &LIBRARIES {
            make_library(&home, &cudarc, library, contents)?;
        }
    }
    Ok(home)
}

/// The emulator's tests as a program, with the kernels that they run.
pub(super) fn test_program(home: &CudaHome) -> Result<PathBuf> {
    let folder = workspace_root().join("xtask/cuda/tests");
    let kernels = compile(home, &folder.join("kernels.cu"), &KERNEL_FLAGS)?;
    let tests = compile(home, &folder.join("emulator.cpp"), &CXX_20)?;
    let program = home.programs().join("emulator-tests");
    let mut command = Command::new(compiler().context("no C++ compiler")?);
    command.args([&tests, &kernels]).arg("-o").arg(&program);
    command.arg("-L").arg(home.libraries());
    command.args(["-lcudnn", "-lcublas", "-lcuda", "-pthread"]);
    finish(&mut command)?;
    Ok(program)
}

fn make_library(
    home: &CudaHome,
    cudarc: &Path,
    library: &Library,
    contents: Contents,
) -> Result<()> {
    let stubs = home.objects().join(format!("{}-stubs.c", library.name));
    write_if_new(&stubs, &stubs_of(cudarc, library)?)?;
    let mut objects = vec![compile(home, &stubs, &["-xc", "-w", "-fno-builtin"])?];
    if contents == Contents::Emulator {
        let sources = workspace_root().join("xtask/cuda/emulator");
        for name in library.sources {
            objects.push(compile(home, &sources.join(name), &CXX_20)?);
        }
        if library.name == "cuda"
            && let Some(file) = kernels()
        {
            objects.push(compile(home, &file, &KERNEL_FLAGS)?);
        }
    }
    link(home, library, &objects, contents)
}

/// Links a library and gives it both names.
fn link(home: &CudaHome, library: &Library, objects: &[PathBuf], contents: Contents) -> Result<()> {
    let file = home.libraries().join(library.soname);
    let mut command = Command::new(compiler().context("no C++ compiler")?);
    command.args(["-shared", "-pthread", "-o"]).arg(&file);
    command.arg(format!("-Wl,-soname,{}", library.soname));
    command.args(objects);
    if contents == Contents::Emulator && library.name != "cuda" {
        command.arg("-L").arg(home.libraries()).arg("-lcuda");
    }
    finish(&mut command)?;
    let for_linker = home.libraries().join(format!("lib{}.so", library.name));
    fs::copy(&file, &for_linker).with_context(|| for_linker.display().to_string())?;
    Ok(())
}

/// C source with a weak function for each that the bindings name.
fn stubs_of(cudarc: &Path, library: &Library) -> Result<String> {
    let names = match library.bindings {
        Some(module) => functions_of(&cudarc.join("src").join(module).join("sys"))?,
        None => BTreeSet::new(),
    };
    let mut text = String::from(
        "#include <stdio.h>\n#include <stdlib.h>\n\
         static void missing(const char *name) { fprintf(stderr, \"%s is not emulated\\n\", name); abort(); }\n",
    );
    for name in names {
        text.push_str(&format!(
            "__attribute__((weak)) void {name}(void) {{ missing(\"{name}\"); }}\n"
        ));
    }
    Ok(text)
}

/// The functions that bindings declare.
fn functions_of(folder: &Path) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for file in files_in(folder)? {
        let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        names.extend(declared_functions(&text));
    }
    if names.is_empty() {
        bail!("{}: no function is declared there", folder.display());
    }
    Ok(names)
}

/// Every `fn name(` whose name begins as CUDA's do.
fn declared_functions(text: &str) -> impl Iterator<Item = String> {
    text.split("fn ").skip(1).filter_map(|rest| {
        let name = rest.split_once('(')?.0;
        let is_cuda = name.starts_with("cu") || name.starts_with("nvrtc");
        let is_word = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        (is_cuda && is_word).then(|| name.to_owned())
    })
}

/// The folder of cudarc's sources, as cargo has them.
fn cudarc_sources() -> Result<PathBuf> {
    let output = cargo(&["metadata", "--format-version", "1", "--all-features"])
        .arg("--locked")
        .current_dir(workspace_root())
        .output()
        .context("could not start `cargo metadata`")?;
    if !output.status.success() {
        bail!(
            "cargo metadata: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    let text = String::from_utf8_lossy(&output.stdout);
    manifest_of(&text, "cudarc")
        .context("cargo metadata names no package cudarc")
        .map(|manifest| manifest.with_file_name(""))
}

/// The manifest of a package of the registry, in what `cargo metadata` writes.
fn manifest_of(metadata: &str, package: &str) -> Option<PathBuf> {
    let mut paths = metadata.split("\"manifest_path\":\"").skip(1);
    paths.find_map(|rest| {
        let path = Path::new(rest.split_once('"')?.0);
        let folder = path.parent()?.file_name()?.to_str()?;
        let version = folder.strip_prefix(package)?.strip_prefix('-')?;
        let is_version = version.starts_with(|c: char| c.is_ascii_digit());
        is_version.then(|| path.to_owned())
    })
}

/// Compiles a file, unless it, what it may include and the flags are what they were.
fn compile(home: &CudaHome, source: &Path, flags: &[&str]) -> Result<PathBuf> {
    let compiler = compiler().context("no C++ compiler")?;
    let name = source.file_stem().unwrap_or_default().to_string_lossy();
    let folder = source.parent().and_then(Path::file_name);
    let prefix = folder.unwrap_or_default().to_string_lossy();
    let object = home.objects().join(format!("{prefix}-{name}.o"));
    let digest = home.objects().join(format!("{prefix}-{name}.digest"));
    let wanted = digest_of(&compiler, source, flags)?;
    if object.is_file() && fs::read_to_string(&digest).is_ok_and(|found| found == wanted) {
        return Ok(object);
    }
    let mut command = Command::new(compiler);
    command.args(FLAGS).args(flags).arg("-c").arg(source);
    command.arg("-o").arg(&object);
    for folder in include_folders() {
        command.arg("-I").arg(folder);
    }
    finish(&mut command)?;
    fs::write(&digest, wanted)?;
    Ok(object)
}

fn include_folders() -> [PathBuf; 2] {
    let root = workspace_root().join("xtask/cuda");
    [root.join("include"), root.join("emulator")]
}

/// A digest of all that an object is made from: its file's folder and the headers.
fn digest_of(compiler: &str, source: &Path, flags: &[&str]) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(compiler.as_bytes());
    for flag in FLAGS.iter().chain(flags) {
        hasher.update(flag.as_bytes());
    }
    let mut files = vec![source.to_owned()];
    let beside = source.parent().map(files_in).transpose()?;
    let of_headers = include_folders().map(|folder| files_in(&folder));
    for file in of_headers.into_iter().chain(beside.map(Ok)) {
        let is_header = |path: &PathBuf| {
            let kind = path.extension().unwrap_or_default();
            kind == "h" || kind == "hpp" || kind == "cuh" || kind == "cu"
        };
        files.extend(file?.into_iter().filter(is_header));
    }
    for file in files {
        hasher.update(&fs::read(&file).with_context(|| file.display().to_string())?);
    }
    Ok(hasher.finalize().to_hex().to_string())
}

fn write_if_new(path: &Path, text: &str) -> Result<()> {
    if fs::read_to_string(path).is_ok_and(|found| found == text) {
        return Ok(());
    }
    fs::write(path, text).with_context(|| path.display().to_string())
}

/// Runs a compiler quietly; what it said is the error's text.
fn finish(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .with_context(|| format!("could not start `{program}`"))?;
    if !output.status.success() {
        bail!("{program}:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_read_from_bindings_and_nothing_else() {
        let text = "extern \"C\" { fn cuInit(Flags: u32) -> CUresult; }\n\
                    pub unsafe fn cuMemAlloc_v2(a: u64) {}\n\
                    fn result(self) {}\n Option<unsafe extern \"C\" fn(x: u8)>, fn nvrtcVersion(";
        let found: Vec<String> = declared_functions(text).collect();
        assert_eq!(found, ["cuInit", "cuMemAlloc_v2", "nvrtcVersion"]);
    }

    #[test]
    fn a_package_is_told_from_one_whose_name_begins_alike() {
        let text = r#"[{"manifest_path":"/r/cudarc-extra-1.0.0/Cargo.toml"},{"manifest_path":"/r/cudarc-0.19.10/Cargo.toml"}]"#;
        let found = manifest_of(text, "cudarc");
        assert_eq!(found, Some(PathBuf::from("/r/cudarc-0.19.10/Cargo.toml")));
        assert_eq!(manifest_of(text, "cuda"), None);
    }
}
