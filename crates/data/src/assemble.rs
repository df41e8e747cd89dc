//! What a finished pass amounts to: which columns are findings, what uncertain labels become,
//! which radiographs are there twice.
//!
//! For `read`. Not here: single rows (`pass`).

use std::collections::HashMap;
use std::path::Path;

use crate::cell::LabelCell;
use crate::cohort::{Cohort, repeated};
use crate::fault::{TableFaultKind, TableFaults};
use crate::finding::{Finding, FindingSet, NIH};
use crate::header::{Form, Role, column_name, is_known_finding};
use crate::pass::{Pass, Tally};
use crate::radiograph::{Label, PatientId, Radiograph};
use crate::read::{ReadCohort, Uncertain};
use crate::source::whole_file;
use crate::warning::{TableWarning, TableWarningKind};

/// The cohort of a table whose rows were all looked at.
pub(crate) fn assemble(mut pass: Pass<'_>, path: &Path) -> Result<ReadCohort, TableFaults> {
    if pass.n_rows == 0 {
        let fault = whole_file(path, TableFaultKind::NoRows);
        pass.faults.header(fault);
    }
    let findings = match pass.header.form {
        Form::FindingList => listed_findings(&mut pass, path),
        Form::Plain | Form::Chexpert => column_findings(&mut pass, path),
    };
    warn_of_values(&mut pass, path);
    let is_repeated = find_repeats(&mut pass, path);
    let (mut warnings, mut radiographs) = (pass.warnings, pass.radiographs);
    pass.faults.into_result()?;
    let mut is_kept = is_repeated.into_iter().map(|is_repeated| !is_repeated);
    radiographs.retain(|_| is_kept.next().unwrap_or(true));
    unite_spellings(&mut radiographs, &mut warnings, path);
    warnings.sort_by_key(|warning| warning.row);
    let name = path.to_string_lossy().into_owned();
    let cohort = findings.map(|findings| Cohort::from_checked(name, findings, radiographs));
    match cohort {
        Some(cohort) => Ok(ReadCohort { cohort, warnings }),
        None => Err(TableFaults::one(whole_file(
            path,
            TableFaultKind::NoFindings,
        ))),
    }
}

fn warning(path: &Path, tally: Tally, column: String, kind: TableWarningKind) -> TableWarning {
    TableWarning {
        path: path.to_owned(),
        row: Some(tally.first_row),
        column: Some(column),
        kind,
    }
}

/// Decides which columns are findings, and gives every radiograph its labels.
fn column_findings(pass: &mut Pass<'_>, path: &Path) -> Option<FindingSet> {
    let n_candidates = pass.header.candidates.len();
    let mut is_finding = vec![false; n_candidates];
    for (candidate, &column) in pass.header.candidates.iter().enumerate() {
        let name = &pass.header.names[column];
        let tally = &pass.columns[column];
        is_finding[candidate] = is_known_finding(name) || tally.n_labels > tally.n_others;
        if !is_finding[candidate] {
            pass.faults.forget(column);
        }
    }
    warn_of_columns(pass, path, |role| match role {
        Role::Candidate(candidate) => !is_finding[candidate],
        role => role == Role::Unknown,
    });
    let named =
        |(_, column): (usize, &usize)| Finding::new(pass.header.names[*column].clone()).ok();
    let findings: Vec<Finding> = pass
        .header
        .candidates
        .iter()
        .enumerate()
        .filter(|(candidate, _)| is_finding[*candidate])
        .filter_map(named)
        .collect();
    if findings.is_empty() {
        if n_candidates > 0 && pass.n_rows > 0 {
            pass.faults
                .header(whole_file(path, TableFaultKind::NoFindings));
        }
        return None;
    }
    warn_of_policy(pass, path, &is_finding);
    let meaning = |cell| label_of(cell, pass.options.uncertain, pass.header.form);
    let rows = pass.cells.chunks_exact(n_candidates.max(1));
    for (radiograph, row) in pass.radiographs.iter_mut().zip(rows) {
        let mut labels = Vec::with_capacity(findings.len());
        let kept = row.iter().zip(&is_finding).filter(|(_, is_kept)| **is_kept);
        labels.extend(kept.map(|(cell, _)| meaning(*cell)));
        radiograph.labels = labels;
    }
    pass.cells = Vec::new();
    // Two columns of the same name are a fault already.
    FindingSet::new(findings).ok()
}

/// NIH's 14 where the table names no other finding, else what it names, in alphabetical order.
fn listed_findings(pass: &mut Pass<'_>, path: &Path) -> Option<FindingSet> {
    warn_of_columns(pass, path, |role| role == Role::Unknown);
    let mut names = pass.named.names.clone();
    names.sort_unstable();
    let others: Vec<String> = names
        .iter()
        .filter(|name| !NIH.contains(&name.as_str()))
        .cloned()
        .collect();
    let findings = if others.is_empty() {
        FindingSet::nih()
    } else {
        pass.warnings.push(TableWarning {
            path: path.to_owned(),
            row: None,
            column: Some("Finding Labels".into()),
            kind: TableWarningKind::OtherFindings { names: others },
        });
        FindingSet::from_names(names).ok()?
    };
    let places: Vec<Option<usize>> = pass
        .named
        .names
        .iter()
        .map(|name| findings.index_of(name))
        .collect();
    for (radiograph, list) in pass.radiographs.iter_mut().zip(&pass.named.lists) {
        radiograph.labels = vec![Label::Negative; findings.len()];
        for place in list
            .iter()
            .filter_map(|number| places[usize::from(*number)])
        {
            radiograph.labels[place] = Label::Positive;
        }
    }
    Some(findings)
}

/// The policy. What is no label at all was a fault already; its row is never used.
fn label_of(cell: LabelCell, uncertain: Uncertain, form: Form) -> Label {
    match (cell, uncertain) {
        (LabelCell::Positive, _) | (LabelCell::Uncertain, Uncertain::Ones) => Label::Positive,
        (LabelCell::Negative, _)
        | (LabelCell::Uncertain, Uncertain::Zeros)
        | (LabelCell::Empty, Uncertain::Zeros | Uncertain::Ones) => Label::Negative,
        (LabelCell::Empty, Uncertain::Ignore) if form == Form::Chexpert => Label::Negative,
        (LabelCell::Empty | LabelCell::Uncertain, Uncertain::Ignore | Uncertain::Refuse)
        | (LabelCell::Word | LabelCell::Other, _) => Label::Unknown,
    }
}

fn became(label: Label) -> &'static str {
    match label {
        Label::Negative => "negative",
        Label::Positive => "positive",
        Label::Unknown => "unknown",
    }
}

fn warn_of_policy(pass: &mut Pass<'_>, path: &Path, is_finding: &[bool]) {
    let uncertain = pass.options.uncertain;
    if uncertain == Uncertain::Refuse {
        return;
    }
    let meaning = |cell| became(label_of(cell, uncertain, pass.header.form));
    for (&column, _) in pass
        .header
        .candidates
        .iter()
        .zip(is_finding)
        .filter(|(_, is_finding)| **is_finding)
    {
        let name = column_name(&pass.header.names, column);
        let tally = pass.columns[column];
        if tally.uncertain.count > 0 {
            let kind = TableWarningKind::UncertainLabels {
                count: tally.uncertain.count,
                became: meaning(LabelCell::Uncertain),
            };
            let warning = warning(path, tally.uncertain, name.clone(), kind);
            pass.warnings.push(warning);
        }
        if tally.empty.count > 0 {
            let kind = TableWarningKind::EmptyLabels {
                count: tally.empty.count,
                became: meaning(LabelCell::Empty),
            };
            pass.warnings.push(warning(path, tally.empty, name, kind));
        }
    }
}

fn warn_of_columns(pass: &mut Pass<'_>, path: &Path, is_left_out: impl Fn(Role) -> bool) {
    for (column, &role) in pass.header.roles.iter().enumerate() {
        if is_left_out(role) {
            pass.warnings.push(TableWarning {
                path: path.to_owned(),
                row: Some(1),
                column: Some(column_name(&pass.header.names, column)),
                kind: TableWarningKind::UnknownColumn,
            });
        }
    }
}

fn warn_of_values(pass: &mut Pass<'_>, path: &Path) {
    for (column, tally) in pass.columns.iter().enumerate() {
        let is_used = !matches!(pass.header.roles[column], Role::Ignored | Role::Unknown);
        if is_used && tally.padded.count > 0 {
            let name = column_name(&pass.header.names, column);
            let kind = TableWarningKind::PaddedValues {
                count: tally.padded.count,
            };
            pass.warnings.push(warning(path, tally.padded, name, kind));
        }
    }
    let (age, column) = (pass.implausible_age, pass.header.place_of(Role::Age));
    if let (1.., Some(column)) = (age.count, column) {
        let name = column_name(&pass.header.names, column);
        let kind = TableWarningKind::ImplausibleAge { count: age.count };
        pass.warnings.push(warning(path, age, name, kind));
    }
}

/// Marks the rows that say again what an earlier row said; those that contradict it are faults.
fn find_repeats(pass: &mut Pass<'_>, path: &Path) -> Vec<bool> {
    let mut is_repeated = vec![false; pass.radiographs.len()];
    let names = pass.radiographs.iter().map(|one| one.image.as_str());
    let mut same = Tally::default();
    let column = pass.header.place_of(Role::Image).unwrap_or(0);
    for (place, first) in repeated(names) {
        let (one, other) = (&pass.radiographs[first], &pass.radiographs[place]);
        is_repeated[place] = true;
        if one.patient == other.patient && one.labels == other.labels {
            same.add(pass.rows[place]);
        } else {
            let kind = TableFaultKind::ConflictingRadiograph {
                first_row: pass.rows[first],
            };
            let value = other.image.as_str().as_bytes();
            pass.faults
                .row(pass.rows[place], Some(column), Some(value), kind);
        }
    }
    if same.count > 0 {
        let name = column_name(&pass.header.names, column);
        let kind = TableWarningKind::RepeatedRadiographs { count: same.count };
        pass.warnings.push(warning(path, same, name, kind));
    }
    is_repeated
}

/// Writes each patient as the first row writes it, so that texts can be compared downstream.
fn unite_spellings(radiographs: &mut [Radiograph], warnings: &mut Vec<TableWarning>, path: &Path) {
    if radiographs
        .iter()
        .all(|one| one.patient.key() == one.patient.as_str())
    {
        return;
    }
    let mut first_spelling: HashMap<PatientId, PatientId> = HashMap::new();
    let mut count = 0;
    for radiograph in radiographs {
        let patient = radiograph.patient.clone();
        let first = first_spelling
            .entry(patient.clone())
            .or_insert_with(|| patient.clone());
        if first.as_str() != patient.as_str() {
            radiograph.patient = first.clone();
            count += 1;
        }
    }
    if count > 0 {
        warnings.push(TableWarning {
            path: path.to_owned(),
            row: None,
            column: None,
            kind: TableWarningKind::PatientSpellings { count },
        });
    }
}
