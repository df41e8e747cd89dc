//! What `check` found, for people.

use cxr_data::KNOWN_SPLITS;

use super::Findings;
use super::copies::{CopiesBetween, CopyPair};
use crate::console::Console;

/// Pairs of copies that are shown; JSON has all.
const SHOWN_COPIES: usize = 5;

pub(super) fn print(findings: &Findings, console: Console) {
    for name in ["train", "valid", "test"] {
        let Some(rows) = findings.rows.get(name) else {
            continue;
        };
        let repaired = findings
            .repaired_rows
            .as_ref()
            .and_then(|rows| rows.get(name));
        match (rows, repaired) {
            (Some(rows), Some(repaired)) if rows != repaired => {
                console.line(format_args!(
                    "{name}: {rows} rows, {repaired} after a repair"
                ));
            }
            (Some(rows), _) => console.line(format_args!("{name}: {rows} rows")),
            (None, _) => console.line(format_args!("{name}: has faults")),
        }
    }
    known_splits(findings, console);
    let (patients, images) = (&findings.shared_patients, &findings.shared_images);
    let ids = |list: &[cxr_data::PatientId]| list.iter().map(ToString::to_string).collect();
    for (what, pair, names) in [
        ("patient", "train and valid", ids(&patients.train_valid)),
        ("patient", "train and test", ids(&patients.train_test)),
        ("patient", "valid and test", ids(&patients.valid_test)),
        ("image", "train and valid", images.train_valid.clone()),
        ("image", "train and test", images.train_test.clone()),
        ("image", "valid and test", images.valid_test.clone()),
    ] {
        let names: Vec<String> = names;
        if !names.is_empty() {
            let (n, list) = (names.len(), names.join(" "));
            let plural = if n == 1 { "" } else { "s" };
            console.line(format_args!("{pair} share {n} {what}{plural}: {list}"));
        }
    }
    if let Some(copies) = &findings.near_duplicates {
        near_duplicates(copies, console);
    }
    console.line(match (findings.clean, findings.n_faults) {
        (true, _) => "clean".to_owned(),
        (false, 0) => "leakage: `--repair DIR` writes tables without it".to_owned(),
        (false, 1) => "1 fault".to_owned(),
        (false, n) => format!("{n} faults"),
    });
}

/// The published lists among the tables, each with what to beware of.
fn known_splits(findings: &Findings, console: Console) {
    for (table, name) in &findings.known_splits {
        let known = KNOWN_SPLITS.iter().find(|known| Some(known.name) == *name);
        if let Some(known) = known {
            let (name, caution) = (known.name, known.caution);
            console.line(format_args!("{table} is {name}: {caution}"));
        }
    }
}

fn near_duplicates(copies: &CopiesBetween, console: Console) {
    for (pair, list) in [
        ("train and valid", &copies.train_valid),
        ("train and test", &copies.train_test),
        ("valid and test", &copies.valid_test),
    ] {
        if list.is_empty() {
            continue;
        }
        let (n, plural) = (list.len(), if list.len() == 1 { "" } else { "s" });
        console.line(format_args!(
            "{pair} have {n} pair{plural} of images that look the same:"
        ));
        for CopyPair(one, other, distance) in list.iter().take(SHOWN_COPIES) {
            console.line(format_args!(
                "  {one} {other} ({distance} of 256 bits differ)"
            ));
        }
        if n > SHOWN_COPIES {
            console.line(format_args!("  … and {} more", n - SHOWN_COPIES));
        }
    }
}
