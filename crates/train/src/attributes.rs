//! What a table says of its radiographs beside the labels, as groups to compare.

use cxr_data::{Cohort, Radiograph};
use cxr_metrics::Attribute;

/// Lower ends of the age bands, in years, and how each band is written.
const AGE_BANDS: [(f32, &str); 5] = [
    (80.0, "80 and over"),
    (60.0, "60 to 79"),
    (40.0, "40 to 59"),
    (18.0, "18 to 39"),
    (0.0, "under 18"),
];

/// Sex, age band and view of a cohort's radiographs, each where the table has at least two groups of
/// it.
#[must_use]
pub fn attributes_of(cohort: &Cohort) -> Vec<Attribute> {
    let attribute = |name: &str, group: fn(&Radiograph) -> Option<String>| {
        let of_rows: Vec<_> = cohort.radiographs().iter().map(group).collect();
        Attribute::new(name, &of_rows)
    };
    [
        attribute("sex", |radiograph| radiograph.sex.clone()),
        attribute("age", age_band),
        attribute("view", |radiograph| radiograph.view.clone()),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn age_band(radiograph: &Radiograph) -> Option<String> {
    let age = radiograph.age?;
    let band = AGE_BANDS.iter().find(|(from, _)| age >= *from)?;
    Some(band.1.to_owned())
}

#[cfg(test)]
mod tests {
    use cxr_data::read_cohort;

    use super::*;

    fn cohort(table: &str) -> Cohort {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.csv");
        std::fs::write(&path, table).unwrap();
        read_cohort(&path, &cxr_data::ReadOptions::default())
            .unwrap()
            .cohort
    }

    #[test]
    fn ages_fall_into_bands_and_one_group_alone_is_no_attribute() {
        let cohort = cohort(
            "Image,PatientId,PatientAge,PatientSex,View,Edema\n\
             a.png,1,17,F,PA,0\nb.png,2,18,F,AP,1\nc.png,3,80,F,PA,0\n",
        );
        let attributes = attributes_of(&cohort);
        let names: Vec<&str> = attributes.iter().map(Attribute::name).collect();
        assert_eq!(names, ["age", "view"]);
        let bands: Vec<_> = cohort.radiographs().iter().map(age_band).collect();
        let expected = ["under 18", "18 to 39", "80 and over"];
        assert_eq!(bands, expected.map(|band| Some(band.to_owned())));
    }
}
