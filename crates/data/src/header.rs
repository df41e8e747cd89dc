//! What each column of a table is for: NIH's one-column-a-finding form, NIH's `Data_Entry_2017`
//! form with `Finding Labels`, or CheXpert's.
//!
//! For `read`. Not here: values; which of the candidate columns really hold labels is decided by
//! their values there.

use std::collections::HashSet;
use std::path::Path;

use crate::fault::{TableFault, TableFaultKind};
use crate::finding::{CHEXPERT_ONLY, Finding, FindingError, NIH};
use crate::warning::{TableWarning, TableWarningKind};

/// A wider table is not a label table.
const MAX_COLUMNS: usize = 4096;

/// How a table writes labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// `Image`, `PatientId` and one 0/1 column a finding.
    Plain,
    /// `Image Index`, `Patient ID` and `Finding Labels` with `|`.
    FindingList,
    /// `Path` with the patient in it, and 1.0, 0.0, −1.0 or nothing.
    Chexpert,
}

/// What a column is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Image,
    Patient,
    Age,
    Sex,
    View,
    FrontalLateral,
    FollowUp,
    FindingList,
    /// A finding's, if its values are labels; the number counts candidates.
    Candidate(usize),
    /// Known, and of no use here.
    Ignored,
    /// Neither known nor able to name a finding.
    Unknown,
}

/// The columns of one table.
#[derive(Debug)]
pub(crate) struct Header {
    pub(crate) form: Form,
    /// Trimmed names in file order; a column without a name has an empty one.
    pub(crate) names: Vec<String>,
    pub(crate) roles: Vec<Role>,
    /// The column of each candidate.
    pub(crate) candidates: Vec<usize>,
}

/// Names in a table's own form and what they are for.
const PLAIN: [(&str, Role); 6] = [
    ("Image", Role::Image),
    ("PatientId", Role::Patient),
    ("PatientAge", Role::Age),
    ("PatientSex", Role::Sex),
    ("View", Role::View),
    ("FollowUp", Role::FollowUp),
];

const FINDING_LIST: [(&str, Role); 14] = [
    ("Image Index", Role::Image),
    ("Finding Labels", Role::FindingList),
    ("Follow-up #", Role::FollowUp),
    ("Patient ID", Role::Patient),
    ("Patient Age", Role::Age),
    ("Patient Gender", Role::Sex),
    ("Patient Sex", Role::Sex),
    ("View Position", Role::View),
    ("OriginalImage[Width", Role::Ignored),
    ("Height]", Role::Ignored),
    ("OriginalImagePixelSpacing[x", Role::Ignored),
    ("y]", Role::Ignored),
    ("OriginalImageWidth", Role::Ignored),
    ("OriginalImageHeight", Role::Ignored),
];

const CHEXPERT: [(&str, Role); 6] = [
    ("Path", Role::Image),
    ("PatientId", Role::Patient),
    ("Sex", Role::Sex),
    ("Age", Role::Age),
    ("Frontal/Lateral", Role::FrontalLateral),
    ("AP/PA", Role::View),
];

impl Form {
    fn of(names: &[String]) -> Self {
        let has = |wanted: &str| names.iter().any(|name| name == wanted);
        if has("Finding Labels") && !has("Image") {
            Self::FindingList
        } else if has("Path") && !has("Image") {
            Self::Chexpert
        } else {
            Self::Plain
        }
    }

    fn known(self) -> &'static [(&'static str, Role)] {
        match self {
            Self::Plain => &PLAIN,
            Self::FindingList => &FINDING_LIST,
            Self::Chexpert => &CHEXPERT,
        }
    }

    /// CheXpert's paths name the patient, so its column may be missing there.
    fn required(self) -> &'static [&'static str] {
        match self {
            Self::Plain => &["Image", "PatientId"],
            Self::FindingList => &["Image Index", "Patient ID"],
            Self::Chexpert => &[],
        }
    }
}

/// Whether a name is certainly a finding's, whatever its values are.
pub(crate) fn is_known_finding(name: &str) -> bool {
    NIH.contains(&name) || CHEXPERT_ONLY.contains(&name)
}

/// A column as messages name it: by its name, or by its number where it has none.
pub(crate) fn column_name(names: &[String], place: usize) -> String {
    match names.get(place) {
        Some(name) if !name.is_empty() => name.clone(),
        _ => format!("#{}", place + 1),
    }
}

/// What is noticed while a header is read.
pub(crate) struct HeaderNotes<'a> {
    pub(crate) path: &'a Path,
    pub(crate) row: u64,
    pub(crate) faults: Vec<TableFault>,
    pub(crate) warnings: Vec<TableWarning>,
}

impl HeaderNotes<'_> {
    fn fault(&mut self, column: Option<&str>, value: Option<&str>, kind: TableFaultKind) {
        self.faults.push(TableFault {
            path: self.path.to_owned(),
            row: Some(self.row),
            column: column.map(str::to_owned),
            value: value.map(str::to_owned),
            kind,
        });
    }

    /// A column's name without the spaces around it; empty where it is no text.
    fn name(&mut self, place: usize, cell: &[u8]) -> String {
        let number = format!("#{}", place + 1);
        let Ok(text) = std::str::from_utf8(cell) else {
            let shown = String::from_utf8_lossy(cell);
            self.fault(Some(&number), Some(&shown), TableFaultKind::NotUtf8);
            return String::new();
        };
        let name = text.trim();
        if name.chars().any(char::is_control) {
            self.fault(Some(&number), Some(text), TableFaultKind::Control);
        }
        if name != text {
            self.warnings.push(TableWarning {
                path: self.path.to_owned(),
                row: Some(self.row),
                column: Some(text.into()),
                kind: TableWarningKind::PaddedName,
            });
        }
        name.to_owned()
    }

    fn check_names(&mut self, form: Form, names: &[String]) {
        let mut seen = HashSet::new();
        for name in names {
            if !name.is_empty() && !seen.insert(name.as_str()) {
                self.fault(Some(name), None, TableFaultKind::DuplicateColumn);
            }
        }
        for wanted in form.required() {
            if !seen.contains(wanted) {
                let similar = similar_name(wanted, names);
                self.fault(
                    Some(wanted),
                    None,
                    TableFaultKind::MissingColumn { similar },
                );
            }
        }
    }
}

impl Header {
    /// Reads the first row; `None` where the rows below could not be understood at all.
    pub(crate) fn read(cells: &csv::ByteRecord, notes: &mut HeaderNotes<'_>) -> Option<Self> {
        if cells.len() > MAX_COLUMNS {
            let kind = TableFaultKind::TooLarge {
                found: cells.len() as u64,
                limit: MAX_COLUMNS as u64,
                unit: "columns",
            };
            notes.fault(None, None, kind);
            return None;
        }
        if let Some(found) = other_delimiter(cells) {
            let shown = String::from_utf8_lossy(cells.as_slice());
            notes.fault(None, Some(&shown), TableFaultKind::Delimiter { found });
            return None;
        }
        let places = cells.iter().enumerate();
        let names: Vec<String> = places
            .map(|(place, cell)| notes.name(place, cell))
            .collect();
        let form = Form::of(&names);
        notes.check_names(form, &names);
        let header = Self::with_roles(form, names, notes);
        if form != Form::FindingList && header.candidates.is_empty() {
            notes.fault(None, None, TableFaultKind::NoFindings);
        }
        Some(header)
    }

    fn with_roles(form: Form, names: Vec<String>, notes: &mut HeaderNotes<'_>) -> Self {
        let mut candidates = Vec::new();
        let mut roles = Vec::with_capacity(names.len());
        for (place, name) in names.iter().enumerate() {
            let known = form.known().iter().find(|(known, _)| known == name);
            let role = match known {
                Some((_, role)) => *role,
                // The published Data_Entry_2017 ends each line with a comma.
                None if form == Form::FindingList && name.is_empty() => Role::Ignored,
                None if form == Form::FindingList || name.is_empty() => Role::Unknown,
                None => match Finding::new(name.clone()) {
                    Ok(_) => Role::Candidate(candidates.len()),
                    Err(FindingError::BadName { reason, .. }) => {
                        let kind = TableFaultKind::BadFindingName { reason };
                        notes.fault(Some(name), Some(name), kind);
                        Role::Unknown
                    }
                    Err(_) => Role::Unknown,
                },
            };
            if let Role::Candidate(_) = role {
                candidates.push(place);
            }
            roles.push(role);
        }
        Self {
            form,
            names,
            roles,
            candidates,
        }
    }

    /// The first column with this role.
    pub(crate) fn place_of(&self, role: Role) -> Option<usize> {
        self.roles.iter().position(|found| *found == role)
    }
}

/// A header in one piece that holds semicolons or tabs was not written with commas.
fn other_delimiter(cells: &csv::ByteRecord) -> Option<&'static str> {
    if cells.len() != 1 {
        return None;
    }
    [(b';', "`;`"), (b'\t', "tabs"), (b'|', "`|`")]
        .into_iter()
        .find(|(delimiter, _)| cells.as_slice().contains(delimiter))
        .map(|(_, shown)| shown)
}

/// A column that differs from the wanted one in case, spaces and punctuation alone, or in one
/// letter.
fn similar_name(wanted: &str, names: &[String]) -> Option<String> {
    let plain = |name: &str| -> String {
        name.chars()
            .filter(|character| character.is_alphanumeric())
            .flat_map(char::to_lowercase)
            .collect()
    };
    let target = plain(wanted);
    let is_nearly = |name: &str| {
        let name = plain(name);
        let starts = name.starts_with(&target) || (name.len() > 3 && target.starts_with(&name));
        starts || is_one_edit(&name, &target)
    };
    names
        .iter()
        .find(|name| plain(name) == target)
        .or_else(|| names.iter().find(|name| is_nearly(name)))
        .cloned()
}

/// Whether one insertion, deletion or replacement makes one text the other.
fn is_one_edit(left: &str, right: &str) -> bool {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    let same_start = left
        .iter()
        .zip(&right)
        .take_while(|(one, other)| one == other)
        .count();
    let (left, right) = (&left[same_start..], &right[same_start..]);
    match left.len().cmp(&right.len()) {
        std::cmp::Ordering::Equal => left.len() == 1 || (left.len() > 1 && left[1..] == right[1..]),
        std::cmp::Ordering::Less => *left == right[1..],
        std::cmp::Ordering::Greater => left[1..] == *right,
    }
}
