//! The guard outlives whatever its child does. The whole way, with the real child, is tested where
//! the binary is: `crates/cli/tests/import_weights.rs`.

use std::time::Instant;

use super::super::tensors::{Element, ImportedTensor, Values};
use super::*;

/// A guard whose child is a shell script; the file's path is its `$6`.
fn guard(script: &str) -> Guard {
    Guard {
        program: "/bin/sh".into(),
        arguments: vec!["-c".into(), script.into(), "child".into()],
        wall_clock: Duration::from_secs(20),
        bounds: None,
    }
}

/// Any regular file: the shell scripts do not read it as weights.
fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")
}

fn fault(guard: &Guard) -> ImportFault {
    read_pth_guarded(&file(), guard, &Limits::default()).unwrap_err()
}

#[test]
fn the_childs_answer_becomes_the_tensors() {
    let mut tensors = Tensors::new();
    let tensor = ImportedTensor {
        shape: vec![2],
        values: Values::F32(vec![1.0, -2.5]),
        stored_as: Element::F32,
    };
    tensors.insert("w".to_owned(), tensor).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("answer");
    std::fs::write(&path, tensors.to_safetensors().unwrap()).unwrap();
    let answered = read_pth_guarded(&path, &guard("cat \"$6\""), &Limits::default()).unwrap();
    assert_eq!(answered, tensors);
}

#[test]
fn the_child_is_told_its_bounds_and_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let said = folder.path().join("said");
    let script = format!("printf '%s ' \"$@\" > '{}'; exit 3", said.display());
    drop(fault(&Guard {
        bounds: Some(ProcessBounds {
            memory_bytes: 123,
            cpu_seconds: 4,
        }),
        ..guard(&script)
    }));
    let said = std::fs::read_to_string(said).unwrap();
    assert_eq!(
        said,
        format!(
            "--memory-bytes 123 --cpu-seconds 4 -- {} ",
            file().display()
        )
    );
}

#[test]
fn a_child_that_hangs_is_stopped_by_the_wall_clock() {
    let start = Instant::now();
    let hanging = Guard {
        wall_clock: Duration::from_millis(300),
        ..guard("exec sleep 60")
    };
    assert_eq!(fault(&hanging).code(), "M071");
    assert!(
        start.elapsed() < Duration::from_secs(10),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn a_child_that_closes_its_pipes_and_hangs_on_stderr_is_stopped_too() {
    let script = "exec >&-; exec sleep 60";
    let hanging = Guard {
        wall_clock: Duration::from_millis(300),
        ..guard(script)
    };
    assert_eq!(fault(&hanging).code(), "M071");
}

#[test]
fn a_child_that_dies_is_reported_with_its_signal_and_last_words() {
    let fault = fault(&guard("echo out of memory >&2; kill -ABRT $$"));
    assert_eq!((fault.code(), fault.exit_code()), ("M072", 6));
    assert!(fault.to_string().contains("signal"), "{fault}");
    assert_eq!(fault.value().unwrap(), "\"out of memory\"");
}

#[test]
fn a_fault_that_the_child_found_comes_through_unchanged() {
    let found = ImportFault::PickleGlobal {
        path: "x.pth".into(),
        offset: 17,
        global: "os.system".to_owned(),
    };
    let json = serde_json::to_string(&found.report()).unwrap();
    let fault = fault(&guard(&format!(
        "echo warning >&2; echo '{json}' >&2; exit 6"
    )));
    assert_eq!(fault.report(), found.report());
    assert_eq!(fault.code(), "M059");
}

#[test]
fn a_child_that_floods_its_pipe_is_cut_off() {
    let limits = Limits {
        value_bytes: 1 << 16,
        header_bytes: 1 << 10,
        ..Limits::default()
    };
    let flooding = guard("exec cat /dev/zero");
    let fault = read_pth_guarded(&file(), &flooding, &limits).unwrap_err();
    assert_eq!(fault.code(), "M052");
}

#[test]
fn a_child_that_answers_nonsense_is_not_believed() {
    let fault = fault(&guard("echo 12345678{}"));
    assert!(matches!(fault.code(), "M052" | "M054"), "{fault}");
}

#[test]
fn a_program_that_cannot_be_started_is_an_io_fault() {
    let missing = Guard::new("/no/such/program", "__read-pth");
    assert_eq!(
        (fault(&missing).code(), fault(&missing).exit_code()),
        ("M050", 4)
    );
}

#[test]
fn safetensors_are_read_without_a_child() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.pth"); // the ending does not matter
    std::fs::write(&path, Tensors::new().to_safetensors().unwrap()).unwrap();
    let missing = Guard::new("/no/such/program", "__read-pth");
    assert!(
        read_weights(&path, &missing, &Limits::default())
            .unwrap()
            .is_empty()
    );
}

#[test]
fn bounds_grow_with_the_file_and_never_overflow() {
    let small = ProcessBounds::for_file_of(252);
    assert!(small.memory_bytes < 600 << 20);
    assert!(ProcessBounds::for_file_of(100 << 20).memory_bytes > 800 << 20);
    assert_eq!(ProcessBounds::for_file_of(u64::MAX).memory_bytes, u64::MAX);
}
