//! With the feature `cuda`: the kernels in CUDA C++ become PTX, for `device/cuda/launch.rs`.
//!
//! By nvcc: `$NVCC`, else `$CUDA_HOME/bin/nvcc`, else the `nvcc` in `$PATH`. Without the feature
//! nothing is done.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const KERNELS: &str = "src/device/cuda/kernels";
/// Compute capabilities that a PTX is made for.
const CAPABILITIES: [u32; 2] = [80, 90];

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_CUDA").is_none() {
        return ExitCode::SUCCESS;
    }
    println!("cargo::rerun-if-changed={KERNELS}");
    for variable in ["NVCC", "CUDA_HOME"] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    match CAPABILITIES.into_iter().try_for_each(compile) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            println!("cargo::error={problem}");
            ExitCode::FAILURE
        }
    }
}

/// `$OUT_DIR/kernels_<capability>.ptx`.
fn compile(capability: u32) -> Result<(), String> {
    let folder = env::var_os("OUT_DIR").ok_or("no OUT_DIR: run by cargo")?;
    let target = Path::new(&folder).join(format!("kernels_{capability}.ptx"));
    let nvcc = nvcc();
    let output = Command::new(&nvcc)
        .args(["--ptx", "-O3", "-std=c++17"])
        .arg(format!("-arch=compute_{capability}"))
        .arg("-o")
        .arg(&target)
        .arg(Path::new(KERNELS).join("kernels.cu"))
        .output()
        .map_err(|error| {
            format!(
                "the feature `cuda` needs nvcc, and {} could not be run ({error}): install the \
                 CUDA toolkit, set CUDA_HOME or NVCC, or build without the feature",
                nvcc.display()
            )
        })?;
    if output.status.success() {
        return Ok(());
    }
    for line in String::from_utf8_lossy(&output.stderr).lines() {
        println!("cargo::warning={line}");
    }
    let nvcc = nvcc.display();
    Err(format!(
        "{nvcc} failed on {KERNELS}/kernels.cu for compute_{capability}"
    ))
}

fn nvcc() -> PathBuf {
    let of_variable = env::var_os("NVCC").map(PathBuf::from);
    let of_home = || {
        let nvcc = Path::new(&env::var_os("CUDA_HOME")?).join("bin/nvcc");
        nvcc.is_file().then_some(nvcc)
    };
    of_variable
        .or_else(of_home)
        .unwrap_or_else(|| PathBuf::from("nvcc"))
}
