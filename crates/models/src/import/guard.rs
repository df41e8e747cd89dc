//! A `.pth` file from a stranger is read in a process of its own, with limits on memory, processor
//! time and wall clock.
//!
//! Two sides. [`read_pth_guarded`] starts the program that it is told to (the `cxr` binary with its
//! hidden `__read-pth` task) and waits no longer than the wall clock allows. [`serve_pth`] is that
//! task's body: it limits its own process before it opens the file, and answers with one
//! safetensors file on stdout, or with one line of JSON ([`ReportedFault`]) on stderr. The reader
//! itself is linear in the size of the file; this is the second line, should the first have a hole.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use fs_err as fs;

use super::fault::{ImportFault, ReportedFault};
use super::limits::Limits;
use super::safetensors_file::{parse_safetensors, read_safetensors};
use super::source::{Format, over, sniff};
use super::tensors::Tensors;
use super::torch_file::read_pth;

/// What the process of a reader may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessBounds {
    /// Address space in bytes. On macOS the kernel does not enforce it.
    pub memory_bytes: u64,
    /// Processor time.
    pub cpu_seconds: u64,
}

impl ProcessBounds {
    /// Enough for a file of this length: the file, its values, and the answer in three forms,
    /// beside what the program itself maps.
    pub fn for_file_of(bytes: u64) -> Self {
        const BASE: u64 = 512 << 20;
        Self {
            memory_bytes: BASE.saturating_add(bytes.saturating_mul(8)),
            cpu_seconds: 30,
        }
    }
}

/// How to start the reader's process.
///
/// The program is called with `arguments`, then `--memory-bytes N --cpu-seconds S -- FILE`.
#[derive(Clone, Debug)]
pub struct Guard {
    /// The program, most often the running one.
    pub program: PathBuf,
    /// Its first arguments: the name of the hidden task.
    pub arguments: Vec<OsString>,
    /// The longest wait.
    pub wall_clock: Duration,
    /// Limits of the process; by default [`ProcessBounds::for_file_of`] the file.
    pub bounds: Option<ProcessBounds>,
}

impl Guard {
    /// A guard that starts this program with this task and waits up to a minute.
    pub fn new(program: impl Into<PathBuf>, task: impl Into<OsString>) -> Self {
        Self {
            program: program.into(),
            arguments: vec![task.into()],
            wall_clock: Duration::from_secs(60),
            bounds: None,
        }
    }
}

/// The tensors of a file of weights: safetensors here, `.pth` behind the guard.
///
/// # Errors
/// The file's first fault, or the limit that its reader ran into.
pub fn read_weights(path: &Path, guard: &Guard, limits: &Limits) -> Result<Tensors, ImportFault> {
    match sniff(path)? {
        Format::Safetensors => read_safetensors(path, limits),
        Format::Pytorch => read_pth_guarded(path, guard, limits),
    }
}

/// The tensors of a `.pth` file, read by a process of its own.
///
/// # Errors
/// The fault that the process reported; that it ran out of time, memory or processor time; that it
/// could not be started.
pub fn read_pth_guarded(
    path: &Path,
    guard: &Guard,
    limits: &Limits,
) -> Result<Tensors, ImportFault> {
    let length = fs::metadata(path)?.len();
    if length > limits.file_bytes {
        return Err(over(
            path,
            "the file's length in bytes",
            length,
            limits.file_bytes,
        ));
    }
    let answer = ask(
        path,
        guard,
        guard.bounds.unwrap_or(ProcessBounds::for_file_of(length)),
        limits,
    )?;
    if answer.status.success() {
        return parse_safetensors(path, &answer.stdout, limits);
    }
    let words = String::from_utf8_lossy(&answer.stderr);
    let last_line = words.lines().next_back().unwrap_or_default();
    Err(match serde_json::from_str::<ReportedFault>(last_line) {
        Ok(reported) => ImportFault::Reported(Box::new(reported)),
        Err(_) => ImportFault::ChildDied {
            path: path.to_owned(),
            how: answer.status.to_string(),
            last_words: last_line.chars().take(200).collect(),
        },
    })
}

/// What came back from the process.
struct Answer {
    status: ExitStatus,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

fn ask(
    path: &Path,
    guard: &Guard,
    bounds: ProcessBounds,
    limits: &Limits,
) -> Result<Answer, ImportFault> {
    let mut child = Command::new(&guard.program)
        .args(&guard.arguments)
        .arg("--memory-bytes")
        .arg(bounds.memory_bytes.to_string())
        .arg("--cpu-seconds")
        .arg(bounds.cpu_seconds.to_string())
        .arg("--")
        .arg(path)
        // A backtrace would hide the last words.
        .env_remove("RUST_BACKTRACE")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let most = limits.value_bytes.saturating_add(limits.header_bytes);
    // One byte over the limit is enough to see that it was reached.
    let stdout = collect(child.stdout.take(), most.saturating_add(1));
    let stderr = collect(child.stderr.take(), 1 << 16);
    let answer = gather(&stdout, &stderr, guard.wall_clock);
    // Whatever happened, no process is left behind. One that ended keeps its own exit status.
    let finished = match &answer {
        Ok((stdout, _)) if stdout.len() as u64 <= most => child.wait(),
        _ => end(&mut child),
    };
    match answer {
        Ok((stdout, _)) if stdout.len() as u64 > most => {
            Err(over(path, "the tensors' bytes", stdout.len() as u64, most))
        }
        Ok((stdout, stderr)) => Ok(Answer {
            status: finished?,
            stdout,
            stderr,
        }),
        Err(RecvTimeoutError::Timeout) => Err(ImportFault::ChildTimedOut {
            path: path.to_owned(),
            seconds: guard.wall_clock.as_secs(),
        }),
        Err(RecvTimeoutError::Disconnected) => Err(ImportFault::ChildDied {
            path: path.to_owned(),
            how: finished?.to_string(),
            last_words: String::new(),
        }),
    }
}

type Bytes = std::io::Result<Vec<u8>>;

/// Reads a pipe to its end on a thread, so that waiting for it can have a limit.
fn collect(pipe: Option<impl Read + Send + 'static>, most: u64) -> Receiver<Bytes> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = pipe.map_or(Ok(0), |pipe| pipe.take(most).read_to_end(&mut bytes));
        // The receiver is gone when it gave up waiting; then nobody wants the bytes.
        drop(sender.send(read.map(|_| bytes)));
    });
    receiver
}

fn gather(
    stdout: &Receiver<Bytes>,
    stderr: &Receiver<Bytes>,
    wall_clock: Duration,
) -> Result<(Vec<u8>, Vec<u8>), RecvTimeoutError> {
    let stdout = stdout.recv_timeout(wall_clock)?;
    let stderr = stderr.recv_timeout(wall_clock)?;
    match (stdout, stderr) {
        (Ok(stdout), Ok(stderr)) => Ok((stdout, stderr)),
        _ => Err(RecvTimeoutError::Disconnected),
    }
}

/// Ends the process; one that has ended already needs no more than to be waited for.
fn end(child: &mut Child) -> std::io::Result<ExitStatus> {
    child.kill()?;
    child.wait()
}

/// The reader's side: limits this process, reads the file, writes it as safetensors.
///
/// To be called first thing in a process that does nothing else; the limits stay.
///
/// # Errors
/// The file's first fault, for the caller to write as one line of JSON ([`ImportFault::report`]).
pub fn serve_pth(
    path: &Path,
    bounds: &ProcessBounds,
    limits: &Limits,
    out: &mut dyn Write,
) -> Result<(), ImportFault> {
    confine(bounds)?;
    let tensors = read_pth(path, limits)?;
    let bytes = tensors
        .to_safetensors()
        .map_err(|source| ImportFault::SafetensorsHeader {
            path: path.to_owned(),
            what: source.to_string(),
        })?;
    out.write_all(&bytes)?;
    Ok(out.flush()?)
}

/// Limits on memory and processor time; no core files, no writing to any file.
#[cfg(unix)]
fn confine(bounds: &ProcessBounds) -> Result<(), ImportFault> {
    use rustix::process::{Resource, Rlimit, setrlimit};

    let limit = |resource, most| {
        let limit = Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        setrlimit(resource, limit).map_err(std::io::Error::from)
    };
    limit(Resource::Cpu, bounds.cpu_seconds)?;
    limit(Resource::Core, 0)?;
    limit(Resource::Fsize, 0)?;
    match limit(Resource::As, bounds.memory_bytes) {
        // macOS knows this limit but refuses to set it.
        Err(_) if cfg!(target_os = "macos") => Ok(()),
        other => Ok(other?),
    }
}

/// Elsewhere the wall clock is the only limit.
#[cfg(not(unix))]
fn confine(_bounds: &ProcessBounds) -> Result<(), ImportFault> {
    Ok(())
}

#[cfg(unix)]
#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
