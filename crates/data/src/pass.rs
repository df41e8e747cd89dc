//! The strict pass: what one row after the other says, and what is wrong with it.
//!
//! For `read`. A row with a fault is looked at to its end, so that all its faults are found.

use crate::cell::{LabelCell, age_in_years, patient_in_path};
use crate::fault::TableFaultKind;
use crate::fault_list::FaultList;
use crate::finding::Finding;
use crate::header::{Form, Header, Role};
use crate::image_name::ImageName;
use crate::radiograph::{PatientId, Radiograph};
use crate::read::{ReadOptions, Uncertain};
use crate::warning::TableWarning;
use std::collections::HashMap;

/// Nobody is older; NIH has entries up to 414.
const MAX_PLAUSIBLE_AGE: f32 = 120.0;
const NO_FINDING: &str = "No Finding";

/// How often something was seen, and where first.
#[derive(Clone, Copy, Default)]
pub(crate) struct Tally {
    pub(crate) count: u64,
    pub(crate) first_row: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, row: u64) {
        if self.count == 0 {
            self.first_row = row;
        }
        self.count += 1;
    }
}

/// What the values of one column were.
#[derive(Clone, Copy, Default)]
pub(crate) struct ColumnTally {
    pub(crate) padded: Tally,
    pub(crate) uncertain: Tally,
    pub(crate) empty: Tally,
    pub(crate) n_labels: u64,
    pub(crate) n_others: u64,
}

/// The findings of rows that list them by name.
#[derive(Default)]
pub(crate) struct NamedFindings {
    places: HashMap<String, u16>,
    pub(crate) names: Vec<String>,
    /// One list for each radiograph.
    pub(crate) lists: Vec<Vec<u16>>,
}

impl NamedFindings {
    fn place_of(&mut self, name: &str) -> Option<u16> {
        if let Some(place) = self.places.get(name) {
            return Some(*place);
        }
        let place = u16::try_from(self.names.len()).ok()?;
        self.names.push(name.to_owned());
        self.places.insert(name.to_owned(), place);
        Some(place)
    }
}

/// The values of one row that are not labels.
#[derive(Default)]
struct RowText<'t> {
    image: Option<(usize, &'t str)>,
    patient: Option<(usize, &'t str)>,
    findings: Option<(usize, &'t str)>,
    age: Option<f32>,
    sex: Option<&'t str>,
    view: Option<&'t str>,
    direction: Option<&'t str>,
    follow_up: Option<i64>,
}

/// One walk down a table.
pub(crate) struct Pass<'a> {
    pub(crate) header: &'a Header,
    pub(crate) options: ReadOptions,
    pub(crate) faults: FaultList,
    pub(crate) warnings: Vec<TableWarning>,
    pub(crate) columns: Vec<ColumnTally>,
    pub(crate) implausible_age: Tally,
    pub(crate) radiographs: Vec<Radiograph>,
    /// The row of each radiograph.
    pub(crate) rows: Vec<u64>,
    pub(crate) n_rows: u64,
    /// One value for each candidate column of each radiograph, row after row.
    pub(crate) cells: Vec<LabelCell>,
    pub(crate) named: NamedFindings,
}

impl<'a> Pass<'a> {
    pub(crate) fn new(
        header: &'a Header,
        options: ReadOptions,
        faults: FaultList,
        warnings: Vec<TableWarning>,
    ) -> Self {
        Self {
            header,
            options,
            faults,
            warnings,
            columns: vec![ColumnTally::default(); header.names.len()],
            implausible_age: Tally::default(),
            radiographs: Vec::new(),
            rows: Vec::new(),
            n_rows: 0,
            cells: Vec::new(),
            named: NamedFindings::default(),
        }
    }

    /// Takes in one row; its faults are noted.
    pub(crate) fn read_row(&mut self, row: u64, record: &csv::ByteRecord, is_cut: bool) {
        self.n_rows += 1;
        let expected = self.header.names.len();
        if record.len() != expected {
            let kind = TableFaultKind::RowLength {
                expected,
                found: record.len(),
                is_cut: is_cut && record.len() < expected,
            };
            self.faults.row(row, None, None, kind);
            return;
        }
        let mut text = RowText::default();
        let first_cell = self.cells.len();
        for (column, cell) in record.iter().enumerate() {
            let value = cell.trim_ascii();
            if value.len() != cell.len() {
                self.columns[column].padded.add(row);
            }
            if let Role::Candidate(_) = self.header.roles[column] {
                let label = LabelCell::read(value);
                self.cells.push(label);
                self.tally_label(row, column, value, label);
                if label != LabelCell::Other {
                    continue;
                }
            }
            if value.contains(&0) {
                let kind = TableFaultKind::Control;
                self.faults.row(row, Some(column), Some(value), kind);
            } else {
                match std::str::from_utf8(value) {
                    Ok(value) => self.read_text(row, column, value, &mut text),
                    Err(_) => {
                        let kind = TableFaultKind::NotUtf8;
                        self.faults.row(row, Some(column), Some(value), kind);
                    }
                }
            }
        }
        match self.radiograph(row, text) {
            Some(radiograph) => {
                self.radiographs.push(radiograph);
                self.rows.push(row);
            }
            None => self.cells.truncate(first_cell),
        }
    }

    fn tally_label(&mut self, row: u64, column: usize, value: &[u8], label: LabelCell) {
        let tally = &mut self.columns[column];
        let refuses = self.options.uncertain == Uncertain::Refuse;
        let fault = match label {
            LabelCell::Negative | LabelCell::Positive => {
                tally.n_labels += 1;
                return;
            }
            LabelCell::Uncertain => {
                tally.n_labels += 1;
                tally.uncertain.add(row);
                refuses.then_some(TableFaultKind::UncertainLabel)
            }
            LabelCell::Empty => {
                tally.empty.add(row);
                refuses.then_some(TableFaultKind::EmptyLabel)
            }
            LabelCell::Word => {
                tally.n_labels += 1;
                Some(TableFaultKind::LabelNotBinary)
            }
            LabelCell::Other => {
                tally.n_others += 1;
                Some(TableFaultKind::LabelNotBinary)
            }
        };
        if let Some(kind) = fault {
            self.faults.cell(row, column, value, kind);
        }
    }

    fn read_text<'t>(&mut self, row: u64, column: usize, value: &'t str, text: &mut RowText<'t>) {
        let role = self.header.roles[column];
        match role {
            Role::Image => text.image = Some((column, value)),
            Role::Patient => text.patient = Some((column, value)),
            Role::FindingList => text.findings = Some((column, value)),
            Role::Sex | Role::View | Role::FrontalLateral => {
                if value.chars().any(char::is_control) {
                    let kind = TableFaultKind::Control;
                    self.faults.cell(row, column, value.as_bytes(), kind);
                } else if !value.is_empty() {
                    match role {
                        Role::Sex => text.sex = Some(value),
                        Role::View => text.view = Some(value),
                        _ => text.direction = Some(value),
                    }
                }
            }
            Role::Age if !value.is_empty() => {
                text.age = age_in_years(value);
                match text.age {
                    Some(age) if age > MAX_PLAUSIBLE_AGE => self.implausible_age.add(row),
                    Some(_) => {}
                    None => self.not_a_number(row, column, value, "an age in years"),
                }
            }
            Role::FollowUp if !value.is_empty() => {
                text.follow_up = value.parse().ok();
                if text.follow_up.is_none() {
                    self.not_a_number(row, column, value, "a whole number");
                }
            }
            Role::Age | Role::FollowUp | Role::Candidate(_) | Role::Ignored | Role::Unknown => {}
        }
    }

    fn not_a_number(&mut self, row: u64, column: usize, value: &str, expected: &'static str) {
        let kind = TableFaultKind::BadNumber { expected };
        self.faults.cell(row, column, value.as_bytes(), kind);
    }

    /// The row's radiograph without its labels, where image and patient are right.
    fn radiograph(&mut self, row: u64, text: RowText<'_>) -> Option<Radiograph> {
        let list = match text.findings {
            Some((column, value)) => self.finding_list(row, column, value),
            None => Some(Vec::new()),
        };
        let (image_column, image_text) = text.image?;
        let image = match ImageName::new(image_text) {
            Ok(image) => Some(image),
            Err(error) => {
                let kind = TableFaultKind::BadImageName {
                    reason: error.reason,
                };
                self.faults
                    .cell(row, image_column, image_text.as_bytes(), kind);
                None
            }
        };
        let patient = self.patient(row, &text, image_column, image_text);
        let (Some(image), Some(patient), Some(list)) = (image, patient, list) else {
            return None;
        };
        if self.header.form == Form::FindingList {
            self.named.lists.push(list);
        }
        let view = match (text.direction, text.view) {
            (Some("Lateral"), _) | (Some(_), None) => text.direction,
            _ => text.view,
        };
        Some(Radiograph {
            age: text.age,
            sex: text.sex.map(str::to_owned),
            view: view.map(str::to_owned),
            follow_up: text.follow_up,
            ..Radiograph::new(image, patient, Vec::new())
        })
    }

    fn patient(
        &mut self,
        row: u64,
        text: &RowText<'_>,
        image_column: usize,
        image: &str,
    ) -> Option<PatientId> {
        let (column, id) = match text.patient {
            Some(found) => found,
            None if self.header.form == Form::Chexpert && !image.is_empty() => {
                let Some(number) = patient_in_path(image) else {
                    let kind = TableFaultKind::NoPatientInPath;
                    self.faults.cell(row, image_column, image.as_bytes(), kind);
                    return None;
                };
                (image_column, number)
            }
            None => return None,
        };
        match PatientId::new(id) {
            Ok(patient) => Some(patient),
            Err(error) => {
                let kind = TableFaultKind::BadPatient {
                    reason: error.reason,
                };
                self.faults.cell(row, column, id.as_bytes(), kind);
                None
            }
        }
    }

    /// The findings that a `Finding Labels` value names; none for `No Finding`.
    fn finding_list(&mut self, row: u64, column: usize, value: &str) -> Option<Vec<u16>> {
        let names: Vec<&str> = value.split('|').map(str::trim).collect();
        let is_bad_name = |name: &&str| *name != NO_FINDING && Finding::new(*name).is_err();
        let reason = if value.is_empty() {
            Some("it is empty")
        } else if names.contains(&"") {
            Some("a name is empty")
        } else if names.contains(&NO_FINDING) && names.len() > 1 {
            Some("`No Finding` stands beside a finding")
        } else if names.iter().any(is_bad_name) {
            Some("a name is no finding's")
        } else {
            None
        };
        if let Some(reason) = reason {
            let kind = TableFaultKind::BadFindingList { reason };
            self.faults.cell(row, column, value.as_bytes(), kind);
            return None;
        }
        let mut list = Vec::new();
        for name in names.into_iter().filter(|name| *name != NO_FINDING) {
            match self.named.place_of(name) {
                Some(place) => list.push(place),
                None => {
                    let kind = TableFaultKind::BadFindingList {
                        reason: "the table names too many findings",
                    };
                    self.faults.cell(row, column, value.as_bytes(), kind);
                    return None;
                }
            }
        }
        list.sort_unstable();
        list.dedup();
        Some(list)
    }
}
