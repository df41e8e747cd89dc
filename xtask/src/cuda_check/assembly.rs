//! The kernels assembled by NVIDIA's tools, where they are: no register may spill to memory.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::toolkit::real_nvcc;
use super::{build_folder, kernels};
use crate::process::say;

/// Ampere and Hopper: what the build script compiles for.
const ARCHITECTURES: [u32; 2] = [80, 90];

/// 0 where every kernel fits its registers, or where nothing could be assembled.
pub(super) fn check() -> Result<u8> {
    let Some(nvcc) = real_nvcc() else {
        say("cuda: no nvcc (NVCC, CUDA_HOME, PATH): the kernels were not assembled");
        return Ok(0);
    };
    let Some(file) = kernels() else {
        say("cuda: there are no kernels to assemble");
        return Ok(0);
    };
    let mut n_spilling = 0;
    for architecture in ARCHITECTURES {
        let report = assemble(&nvcc, &file, architecture)?;
        let found = uses(&report);
        say(&format!(
            "cuda: sm_{architecture}: {} kernels, {} registers at most",
            found.len(),
            found
                .iter()
                .map(|kernel| kernel.registers)
                .max()
                .unwrap_or(0),
        ));
        for kernel in found.iter().filter(|kernel| kernel.memory > 0) {
            say(&format!(
                "cuda: sm_{architecture}: {}: {} bytes of stack or spills",
                kernel.name, kernel.memory
            ));
            n_spilling += 1;
        }
    }
    Ok(u8::from(n_spilling > 0))
}

/// What ptxas says of the kernels for one architecture.
fn assemble(nvcc: &Path, file: &Path, architecture: u32) -> Result<String> {
    let ptx = build_folder().join(format!("cuda-stand-in/kernels_{architecture}.ptx"));
    let mut compile = Command::new(nvcc);
    compile.args(["--ptx", "-O3", "-std=c++17"]);
    compile.arg(format!("-arch=compute_{architecture}"));
    output_of(compile.arg("-o").arg(&ptx).arg(file))?;
    let mut assemble = Command::new(nvcc.with_file_name("ptxas"));
    assemble.args(["-v", "-o", "/dev/null"]);
    assemble.arg(format!("-arch=sm_{architecture}"));
    output_of(assemble.arg(&ptx))
}

/// Everything a program said; its fault where it ended with one.
fn output_of(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .with_context(|| format!("could not start `{program}`"))?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    if !output.status.success() {
        bail!("{program}:\n{said}");
    }
    Ok(said)
}

/// What one kernel uses: memory is stack, spill stores and spill loads in bytes.
#[derive(Debug, PartialEq, Eq)]
struct Use {
    name: String,
    memory: u32,
    registers: u32,
}

/// Reads ptxas' report.
fn uses(report: &str) -> Vec<Use> {
    let mut found: Vec<Use> = Vec::new();
    for line in report.lines() {
        if let Some((_, name)) = line.split_once("Compiling entry function '") {
            let name = name.split('\'').next().unwrap_or_default().to_owned();
            found.push(Use {
                name,
                memory: 0,
                registers: 0,
            });
        }
        let Some(last) = found.last_mut() else {
            continue;
        };
        if line.contains("bytes stack frame") {
            last.memory = numbers_before(line, "bytes").iter().sum();
        }
        if line.contains("registers") {
            last.registers = numbers_before(line, "registers").iter().sum();
        }
    }
    found
}

/// The numbers that stand before a word.
fn numbers_before(line: &str, unit: &str) -> Vec<u32> {
    let words: Vec<&str> = line
        .split([' ', ','])
        .filter(|word| !word.is_empty())
        .collect();
    words
        .windows(2)
        .filter(|pair| pair[1] == unit)
        .filter_map(|pair| pair[0].parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spills_are_found_with_their_kernel() {
        let report = "ptxas info    : Compiling entry function 'cxr_a' for 'sm_90'\n\
            ptxas info    : Function properties for cxr_a\n\
            \x20   0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n\
            ptxas info    : Used 40 registers, used 1 barriers\n\
            ptxas info    : Compiling entry function 'cxr_b' for 'sm_90'\n\
            \x20   16 bytes stack frame, 8 bytes spill stores, 4 bytes spill loads\n\
            ptxas info    : Used 255 registers\n";
        let found = uses(report);
        let seen: Vec<_> = found
            .iter()
            .map(|u| (u.name.as_str(), u.memory, u.registers))
            .collect();
        assert_eq!(seen, [("cxr_a", 0, 40), ("cxr_b", 28, 255)]);
    }
}
