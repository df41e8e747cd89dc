use super::*;
use std::fs;
use tempfile::TempDir;

fn file(text: impl AsRef<[u8]>) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("predictions.csv");
    fs::write(&path, text).unwrap();
    (folder, path)
}

fn read(text: impl AsRef<[u8]>) -> Result<Predictions, PredictionFaults> {
    let (_folder, path) = file(text);
    Predictions::read(&path, ScoreScale::Probability, &["Edema", "Mass"])
}

fn fault(text: impl AsRef<[u8]>) -> PredictionFault {
    let faults = read(text).unwrap_err();
    assert_eq!(faults.n_faults(), 1, "{:?}", faults.faults());
    faults.into_faults().remove(0)
}

/// Code, and what comes after the path.
fn place(fault: &PredictionFault) -> (&'static str, String) {
    let location = fault.location().unwrap();
    (
        fault.code(),
        location
            .rsplit_once("predictions.csv")
            .unwrap()
            .1
            .to_string(),
    )
}

#[test]
fn findings_are_read_by_name_whatever_their_order_and_other_columns_are_left_alone() {
    let read = read("Mass,Image,Note,Edema,PatientId\n0.25,a.png,old,0.5,007\n1e-300,b.png,,1,8\n");
    let read = read.unwrap();
    assert_eq!(read.findings(), ["Edema", "Mass"]);
    assert_eq!(read.scores().ranking_column(1), [0.25, 1e-300]);
    assert_eq!(read.images(), ["a.png", "b.png"]);
    assert_eq!(read.patients(), ["007", "8"]);
    assert_eq!(read.unused_columns(), ["Note"]);
}

#[test]
fn marks_line_ends_and_padded_names_do_not_matter_and_patients_may_be_missing() {
    for text in [
        "\u{feff}Image,Edema,Mass\na.png,0.5,0.25\n",
        "Image,Edema,Mass\r\na.png,0.5,0.25\r\n",
        "Image,Edema,Mass\ra.png,0.5,0.25",
        " Image , Edema,Mass \n a.png , 0.5 ,0.25\n",
        "\"Image\",\"Edema\",\"Mass\"\n\"a.png\",\"0.5\",\"0.25\"\n",
    ] {
        let read = read(text).unwrap();
        assert_eq!(
            (read.images(), read.patients()),
            (&["a.png".to_string()][..], &[String::new()][..])
        );
        assert_eq!(read.scores().ranking_column(1), [0.25]);
    }
}

#[test]
fn every_column_is_a_finding_where_none_is_wanted() {
    let (_folder, path) = file("Image,PatientId,Rib\na.png,1,-3.5\n");
    let read = Predictions::read_all(&path, ScoreScale::Logit).unwrap();
    assert_eq!(
        (read.findings(), read.unused_columns().len()),
        (&["Rib".to_string()][..], 0)
    );
    assert_eq!(read.scores().scale(), ScoreScale::Logit);
}

#[test]
fn each_bad_value_is_named_with_its_line_column_and_text() {
    for (value, code) in [
        ("", "E106"),
        ("True", "E106"),
        ("0,5", "E106"),
        ("\u{1b}[2J", "E106"),
        ("NaN", "E107"),
        ("inf", "E107"),
        ("-1e999", "E107"),
        ("1.0000001", "E108"),
        ("-0.1", "E108"),
    ] {
        let fault = fault(format!(
            "Image,Edema,Mass\na.png,0.5,0.5\nb.png,0.5,\"{value}\"\n"
        ));
        assert_eq!(
            place(&fault),
            (code, ":3, column \"Mass\"".to_string()),
            "{value:?}"
        );
        assert_eq!(fault.value().unwrap(), format!("{value:?}"));
        assert!(!fault.value().unwrap().contains('\u{1b}'));
        assert_eq!(fault.exit_code(), 3);
        assert!(fault.help().is_some());
    }
}

#[test]
fn rows_and_columns_that_do_not_fit_are_named() {
    let header = "Image,Edema,Mass\n";
    let twice = fault("Image,Edema,Mass\na.png,0.5,0.5\na.png,0.5,0.5\n");
    assert_eq!(place(&twice), ("E105", ":3, column \"Image\"".to_string()));
    assert_eq!(twice.value().unwrap(), "\"a.png\"");
    assert!(twice.help().unwrap().contains("line 2"));
    let short = fault(format!("{header}a.png,0.5\n"));
    assert_eq!(place(&short), ("E103", ":2".to_string()));
    assert_eq!(short.to_string(), "row has 2 values, the header 3");
    let long = fault(format!("{header}a.png,0.5,0.5,0.5\n"));
    assert_eq!(place(&long).0, "E103");
    let nameless = fault(format!("{header},0.5,0.5\n"));
    assert_eq!(
        place(&nameless),
        ("E104", ":2, column \"Image\"".to_string())
    );
    let missing = fault("Image,Edema\na.png,0.5\n");
    assert_eq!(place(&missing), ("E101", ":1, column \"Mass\"".to_string()));
    let double = fault("Image,Edema,Mass,Mass\na.png,0.5,0.5,0.5\n");
    assert_eq!(place(&double), ("E102", ":1, column \"Mass\"".to_string()));
    assert_eq!(fault(header).code(), "E111");
}

#[test]
fn a_table_of_another_kind_is_told_what_it_is_not() {
    let faults = read("Image;Edema;Mass\na.png;0.5;0.5\n").unwrap_err();
    assert_eq!((faults.n_faults(), faults.faults()[0].code()), (3, "E101"));
    assert!(faults.faults()[0].help().unwrap().contains("commas"));
    assert_eq!(read("").unwrap_err().faults()[0].code(), "E101");
    assert_eq!(
        place(&fault(
            b"Image,Edema,Mass\na.png,0.5,0.5\nb\xff.png,0.5,0.5\n"
        ))
        .0,
        "E112"
    );
}

#[test]
fn a_file_that_is_not_there_or_a_folder_is_the_systems_fault() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().join("none.csv"), folder.path().to_owned()] {
        let faults = Predictions::read_all(&path, ScoreScale::Logit).unwrap_err();
        assert_eq!(
            (faults.faults()[0].code(), faults.faults()[0].exit_code()),
            ("E114", 4)
        );
    }
}

#[test]
fn all_faults_are_counted_and_the_first_are_kept() {
    let rows: String = (0..50).map(|row| format!("{row}.png,2,x\n")).collect();
    let faults = read(format!("Image,Edema,Mass\n{rows}")).unwrap_err();
    assert_eq!(
        (faults.n_faults(), faults.faults().len()),
        (100, KEPT_PREDICTION_FAULTS)
    );
    assert_eq!(
        place(&faults.faults()[19]),
        ("E106", ":11, column \"Mass\"".to_string())
    );
    assert!(faults.to_string().ends_with("(and 99 more faults)"));
}

#[test]
fn rows_are_matched_by_image_name() {
    let read = read("Image,Edema,Mass\na.png,0.1,0.2\nb.png,0.3,0.4\n").unwrap();
    let scores = read.matched_to(&["b.png", "a.png"]).unwrap();
    assert_eq!(scores.ranking_column(0), [0.3, 0.1]);
    let faults = read.matched_to(&["b.png", "c.png", "d.png"]).unwrap_err();
    let codes: Vec<_> = faults.faults().iter().map(PredictionFault::code).collect();
    assert_eq!(codes, ["E109", "E109", "E110"]);
    assert_eq!(faults.faults()[0].value().unwrap(), "\"c.png\"");
    assert_eq!(
        place(&faults.faults()[2]),
        ("E110", ":2, column \"Image\"".to_string())
    );
    assert_eq!(faults.faults()[2].value().unwrap(), "\"a.png\"");
}

#[test]
fn every_bit_survives_the_file() {
    let values = vec![
        0.1 + 0.2,
        1e-300,
        5e-324,
        1.0 - f64::EPSILON / 2.0,
        1.0,
        0.0,
    ];
    let probabilities = Probabilities::from_external(values.clone(), 2).unwrap();
    let names = |names: &[&str]| {
        names
            .iter()
            .map(|name| name.to_string())
            .collect::<Vec<_>>()
    };
    let written = Predictions::new(
        names(&["a.png", "odd, \"name\".png", "c.png"]),
        names(&["1", "2", "2"]),
        names(&["Edema", "Mass"]),
        probabilities.into(),
    )
    .unwrap();
    let (folder, path) = file("old");
    written.write(&path).unwrap();
    let read = Predictions::read_all(&path, ScoreScale::Probability).unwrap();
    let bits = |values: &[f64]| {
        values
            .iter()
            .map(|value| value.to_bits())
            .collect::<Vec<_>>()
    };
    assert_eq!(bits(read.values()), bits(&values));
    assert_eq!(read.images(), written.images());
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        1,
        "nothing is left beside"
    );
}

#[test]
fn writing_where_nothing_can_be_written_is_an_error_with_the_path() {
    let folder = tempfile::tempdir().unwrap();
    let logits = Logits::new(vec![0.5], 1).unwrap();
    let one = |name: &str| vec![name.to_string()];
    let predictions = Predictions::new(one("a"), one("1"), one("Mass"), logits.into()).unwrap();
    let fault = predictions
        .write(&folder.path().join("no/such/folder.csv"))
        .unwrap_err();
    assert_eq!((fault.code(), fault.exit_code()), ("E114", 4));
    assert!(fault.location().unwrap().ends_with("folder.csv"));
    assert_eq!(
        predictions.as_probabilities().scores().scale(),
        ScoreScale::Probability
    );
}

#[test]
fn predictions_that_do_not_fit_together_are_refused() {
    let scores = || Scores::from(Logits::new(vec![0.5, 0.1], 1).unwrap());
    let names = |names: [&str; 2]| names.map(str::to_string).to_vec();
    let mass = || vec!["Mass".to_string()];
    let twice = Predictions::new(names(["a", "a"]), names(["1", "1"]), mass(), scores());
    assert_eq!(twice.unwrap_err().code(), "E113");
    let few = Predictions::new(vec![], names(["1", "1"]), mass(), scores());
    assert_eq!(few.unwrap_err().code(), "E002");
}
