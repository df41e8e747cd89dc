//! Every way a table can be wrong: the code, the row, the column, the value and a hint.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops where its claim fails"
)]

use std::path::{Path, PathBuf};

use cxr_data::{
    ReadCohort, ReadOptions, TableFault, TableFaults, TableWarningKind, Uncertain, read_cohort,
};

fn written(content: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train.csv");
    std::fs::write(&path, content).unwrap();
    (folder, path)
}

fn read(content: impl AsRef<[u8]>, uncertain: Uncertain) -> Result<ReadCohort, TableFaults> {
    let (_folder, path) = written(content.as_ref());
    read_cohort(&path, &ReadOptions { uncertain })
}

fn faults(content: impl AsRef<[u8]>) -> TableFaults {
    read(content, Uncertain::Refuse).expect_err("the table is wrong")
}

fn accepted(content: impl AsRef<[u8]>) -> ReadCohort {
    match read(content, Uncertain::Refuse) {
        Ok(read) => read,
        Err(faults) => panic!("{:#?}", faults.faults()),
    }
}

/// Code, row, column and value of each fault.
type Expected<'a> = (&'a str, Option<u64>, Option<&'a str>, Option<&'a str>);

#[track_caller]
fn expect(content: impl AsRef<[u8]>, expected: &[Expected<'_>]) -> TableFaults {
    let found = faults(content);
    let seen: Vec<Expected<'_>> = found
        .faults()
        .iter()
        .map(|fault| {
            let (column, value) = (fault.column.as_deref(), fault.value.as_deref());
            (fault.code(), fault.row, column, value)
        })
        .collect();
    assert_eq!(seen, expected);
    assert_eq!(found.n_faults(), expected.len());
    for fault in found.faults() {
        complete(fault);
    }
    found
}

/// A fault names its file, says what to do and never puts a raw control character on a terminal.
#[track_caller]
fn complete(fault: &TableFault) {
    let location = fault.location().unwrap();
    assert!(location.contains("train.csv"), "{location}");
    if let Some(row) = fault.row {
        assert!(location.contains(&format!("train.csv:{row}")), "{location}");
    }
    assert!(!fault.help().unwrap().is_empty());
    let value = fault.value().unwrap_or_default();
    for text in [fault.to_string(), location, value] {
        assert!(!text.chars().any(char::is_control), "{text:?}");
    }
}

fn io_exit_code(path: &Path) -> (&'static str, u8) {
    let faults = read_cohort(path, &ReadOptions::default()).unwrap_err();
    complete(&faults.faults()[0]);
    (faults.code(), faults.exit_code())
}

#[test]
fn a_table_that_is_missing_or_a_folder_or_unreadable_is_an_input_output_fault() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train.csv");
    assert_eq!(io_exit_code(&path), ("D001", 4));
    std::fs::create_dir(&path).unwrap();
    assert_eq!(io_exit_code(&path), ("D002", 4));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let unreadable = folder.path().join("unreadable train.csv");
        std::fs::write(&unreadable, "Image,PatientId,Edema\na.png,1,0\n").unwrap();
        std::fs::set_permissions(&unreadable, std::fs::Permissions::from_mode(0o0)).unwrap();
        // Root reads everything.
        if std::fs::read(&unreadable).is_err() {
            assert_eq!(io_exit_code(&unreadable), ("D001", 4));
        }
    }
}

#[cfg(unix)]
#[test]
fn a_pipe_or_a_device_is_refused_without_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("train.csv");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    if made.is_ok_and(|status| status.success()) {
        assert_eq!(io_exit_code(&pipe), ("D002", 4));
    }
    let device = read_cohort(Path::new("/dev/zero"), &ReadOptions::default()).unwrap_err();
    assert_eq!(device.code(), "D002");
}

#[test]
fn a_table_without_rows_is_refused() {
    for nothing in ["", "\n", "\r\n\r\n", "  \n", "\u{feff}"] {
        expect(nothing, &[("D003", None, None, None)]);
    }
    expect("Image,PatientId,Edema\n", &[("D004", None, None, None)]);
    expect("Image,PatientId,Edema", &[("D004", None, None, None)]);
}

#[test]
fn a_byte_order_mark_and_crlf_are_accepted() {
    let plain = accepted("Image,PatientId,Edema\na.png,1,0\nb.png,2,1\n").cohort;
    for same in [
        "\u{feff}Image,PatientId,Edema\na.png,1,0\nb.png,2,1\n",
        "Image,PatientId,Edema\r\na.png,1,0\r\nb.png,2,1\r\n",
        "\u{feff}Image,PatientId,Edema\r\na.png,1,0\r\nb.png,2,1",
        "\"Image\",\"PatientId\",\"Edema\"\n\"a.png\",\"1\",\"0\"\n\"b.png\",2,\"1\"\n\n\n",
    ] {
        let read = accepted(same);
        assert_eq!(read.cohort.radiographs(), plain.radiographs(), "{same:?}");
        assert_eq!(read.warnings, [], "{same:?}");
    }
}

#[test]
fn carriage_returns_that_end_no_line_are_refused() {
    let only = "Image,PatientId,Edema\ra.png,1,0\rb.png,2,1\r";
    expect(only, &[("D009", Some(1), None, None)]);
    let one = "Image,PatientId,Edema\na.png,1,0\nb.png,\r2,1\n";
    expect(one, &[("D009", Some(3), None, None)]);
}

#[test]
fn mixed_line_ends_and_empty_lines_are_read_with_a_warning() {
    let read = accepted("Image,PatientId,Edema\r\n\r\na.png,1,0\n\nb.png,2,1\n\n");
    assert_eq!(read.cohort.len(), 2);
    let kinds: Vec<_> = read
        .warnings
        .iter()
        .map(|one| (one.row, &one.kind))
        .collect();
    assert_eq!(
        kinds,
        [
            (Some(2), &TableWarningKind::BlankLines { count: 2 }),
            (Some(3), &TableWarningKind::MixedLineEnds),
        ]
    );
}

#[test]
fn rows_are_physical_lines_whatever_ends_them() {
    let crlf =
        "Image,PatientId,Edema\r\na.png,1,0\r\n\r\nb.png,2,2\r\n\"c\n.png\",3,0\r\nd.png,4,3\r\n";
    let found = faults(crlf);
    let rows: Vec<_> = found.faults().iter().map(|fault| fault.row).collect();
    assert_eq!(rows, [Some(4), Some(5), Some(7)]);
}

#[test]
fn other_encodings_are_refused() {
    let text = "Image,PatientId,Edema\na.png,1,0\n";
    let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    expect(
        [b"\xff\xfe", little.as_slice()].concat(),
        &[("D006", None, None, None)],
    );
    expect(
        [b"\xfe\xff", big.as_slice()].concat(),
        &[("D006", None, None, None)],
    );
    expect(little, &[("D006", None, None, None)]);
    expect(big, &[("D006", None, None, None)]);
}

#[test]
fn bytes_that_are_no_text_are_refused_in_their_place() {
    let latin1 = b"Image,PatientId,Edema\na.png,1,0\nb\xe9.png,2,1\n";
    expect(
        latin1,
        &[("D007", Some(3), Some("Image"), Some("b\u{fffd}.png"))],
    );
    let nul = b"Image,PatientId,Edema\na.png,1\0,0\nb.png,2,1\n";
    expect(nul, &[("D008", Some(2), Some("PatientId"), Some("1\0"))]);
    // Two halves of a letter in neighbouring values are no letter.
    let halves = b"Image,PatientId,Edema,note\na.png,1,0,x\nb.png\xc3,\xa92,1,y\n";
    expect(
        halves,
        &[
            ("D007", Some(3), Some("Image"), Some("b.png\u{fffd}")),
            ("D007", Some(3), Some("PatientId"), Some("\u{fffd}2")),
        ],
    );
    let header = b"Image,PatientId,\xd6dem\na.png,1,0\n";
    let found = faults(header);
    assert_eq!((found.code(), found.faults()[0].row), ("D007", Some(1)));
    assert_eq!(found.faults()[0].column.as_deref(), Some("#3"));
}

#[test]
fn other_delimiters_are_named() {
    let found = expect(
        "Image;PatientId;Edema\na.png;1;0\n",
        &[("D012", Some(1), None, Some("Image;PatientId;Edema"))],
    );
    assert!(found.faults()[0].to_string().contains("`;`"));
    expect(
        "Image\tPatientId\tEdema\na.png\t1\t0\n",
        &[("D012", Some(1), None, Some("Image\tPatientId\tEdema"))],
    );
}

#[test]
fn missing_columns_are_named_with_what_comes_near() {
    let found = expect(
        "image,PatientId,Edema\na.png,1,0\n",
        &[("D013", Some(1), Some("Image"), None)],
    );
    assert!(found.help().unwrap().contains("\"image\""));
    let found = expect(
        "Image,Patient ID,Edema\na.png,1,0\n",
        &[("D013", Some(1), Some("PatientId"), None)],
    );
    assert!(found.help().unwrap().contains("\"Patient ID\""));
    expect(
        "Edema,Mass\n0,1\n",
        &[
            ("D013", Some(1), Some("Image"), None),
            ("D013", Some(1), Some("PatientId"), None),
        ],
    );
    expect(
        "Image,PatientId\na.png,1\n",
        &[("D015", Some(1), None, None)],
    );
    expect(
        "Image,PatientId,note\na.png,1,hello\n",
        &[("D015", None, None, None)],
    );
    expect(
        "Image Index,Finding Labels\na.png,Edema\n",
        &[("D013", Some(1), Some("Patient ID"), None)],
    );
}

#[test]
fn a_column_that_holds_no_labels_is_left_out_with_a_warning() {
    let content =
        "Image,note,PatientId,Edema,,index,nothing\na.png,x,1,0,q,10,\nb.png,\"y,\nz\",2,1,,11,\n";
    let read = accepted(content);
    assert_eq!(read.cohort.findings().to_strings(), ["Edema"]);
    let left_out: Vec<_> = read
        .warnings
        .iter()
        .map(|warning| (warning.code(), warning.column.as_deref().unwrap()))
        .collect();
    assert_eq!(
        left_out,
        [
            ("D103", "note"),
            ("D103", "#5"),
            ("D103", "index"),
            ("D103", "nothing")
        ]
    );
}

#[test]
fn a_column_of_labels_with_one_wrong_value_is_not_left_out() {
    let content = "Image,PatientId,Covid\na.png,1,0\nb.png,2,x\nc.png,3,1\n";
    expect(content, &[("D017", Some(3), Some("Covid"), Some("x"))]);
    let words = "Image,PatientId,Covid\na.png,1,True\nb.png,2,False\n";
    assert_eq!(faults(words).n_faults(), 2);
}

#[test]
fn two_columns_of_one_name_are_refused() {
    expect(
        "Image,PatientId,Edema, Edema\na.png,1,0,1\n",
        &[("D014", Some(1), Some("Edema"), None)],
    );
}

#[test]
fn a_column_name_that_cannot_name_a_finding_is_refused() {
    expect(
        "Image,PatientId,Edema|Mass\na.png,1,0\n",
        &[
            ("D025", Some(1), Some("Edema|Mass"), Some("Edema|Mass")),
            ("D015", Some(1), None, None),
        ],
    );
}

#[test]
fn padding_is_taken_off_with_a_warning() {
    let read = accepted(" Image,PatientId ,Edema\n a.png,1 ,0\nb.png,2, 1\nc.png, 3,0\n");
    let names: Vec<_> = read
        .cohort
        .radiographs()
        .iter()
        .map(|one| one.image.as_str())
        .collect();
    assert_eq!(names, ["a.png", "b.png", "c.png"]);
    assert_eq!(read.cohort.radiographs()[0].patient.as_str(), "1");
    let codes: Vec<_> = read
        .warnings
        .iter()
        .map(|one| (one.code(), one.row))
        .collect();
    assert_eq!(
        codes,
        [
            ("D101", Some(1)),
            ("D101", Some(1)),
            ("D102", Some(2)),
            ("D102", Some(2)),
            ("D102", Some(3)),
        ]
    );
    assert!(
        read.warnings
            .iter()
            .any(|one| one.kind == TableWarningKind::PaddedValues { count: 2 })
    );
}

#[test]
fn short_and_long_rows_are_refused() {
    let found = expect(
        "Image,PatientId,Edema\na.png,1\nb.png,2,1,0\nc.png,3,1\n",
        &[("D016", Some(2), None, None), ("D016", Some(3), None, None)],
    );
    assert!(
        found.faults()[0]
            .to_string()
            .contains("2 values, the header has 3")
    );
}

#[test]
fn a_last_line_that_was_cut_says_so() {
    let found = expect(
        "Image,PatientId,Edema\na.png,1,0\nb.png,2",
        &[("D016", Some(3), None, None)],
    );
    assert!(found.help().unwrap().contains("cut"));
    let complete = faults("Image,PatientId,Edema\na.png,1,0\nb.png,2\n");
    assert!(!complete.help().unwrap().contains("cut"));
}

#[test]
fn quotes_that_do_not_match_are_refused_where_they_open() {
    let open = "Image,PatientId,Edema\na.png,1,0\n\"b.png,2,1\nc.png,3,1\nd.png,4,0\n";
    expect(open, &[("D010", Some(3), None, None)]);
    let stray = "Image,PatientId,Edema\na\"b.png,1,0\n\"c\"d.png,2,1\ne.png,3,0\n";
    expect(
        stray,
        &[("D011", Some(2), None, None), ("D011", Some(3), None, None)],
    );
}

#[test]
fn quoted_commas_newlines_and_quotes_are_part_of_a_value() {
    let read = accepted("Image,PatientId,Edema\n\"a,b.png\",\"Doe, \"\"J\"\"\",1\n");
    assert_eq!(read.cohort.radiographs()[0].image.as_str(), "a,b.png");
    assert_eq!(read.cohort.radiographs()[0].patient.as_str(), "Doe, \"J\"");
    expect(
        "Image,PatientId,Edema\n\"a\nb.png\",1,0\nc.png,\"2\n\",0\nd.png,\"3\n4\",2\n",
        &[
            ("D020", Some(2), Some("Image"), Some("a\nb.png")),
            ("D021", Some(6), Some("PatientId"), Some("3\n4")),
            ("D017", Some(6), Some("Edema"), Some("2")),
        ],
    );
}

#[test]
fn labels_are_0_or_1() {
    let long = "1234567890123456789012345678901234567890";
    for value in ["2", "0.5", "True", "NaN", "inf", "-inf", "yes", long, "O"] {
        let content = format!("Image,PatientId,Edema\na.png,1,0\nb.png,2,{value}\n");
        let found = expect(content, &[("D017", Some(3), Some("Edema"), Some(value))]);
        assert_eq!(found.exit_code(), 3);
        assert_eq!(found.faults()[0].to_string(), "label is not 0 or 1");
    }
    let read = accepted("Image,PatientId,Edema\na.png,1,0.0\nb.png,2,1.0\nc.png,3,1.000\n");
    let prevalence = read.cohort.prevalence();
    assert_eq!(
        (
            prevalence.findings[0].positives,
            prevalence.findings[0].negatives
        ),
        (2, 1)
    );
}

#[test]
fn a_value_of_a_megabyte_does_not_fill_the_screen() {
    let content = format!("Image,PatientId,Edema\na.png,1,{}\n", "9".repeat(1 << 20));
    let found = faults(content);
    assert!(found.value().unwrap().len() < 150);
}

#[test]
fn empty_and_uncertain_labels_need_a_policy() {
    use Uncertain::{Ignore, Ones, Zeros};
    let content = "Image,PatientId,Edema,Mass\na.png,1,-1,0\nb.png,2,,1\nc.png,3,1,-1.0\n";
    let found = expect(
        content,
        &[
            ("D019", Some(2), Some("Edema"), Some("-1")),
            ("D018", Some(3), Some("Edema"), Some("")),
            ("D019", Some(4), Some("Mass"), Some("-1.0")),
        ],
    );
    assert!(
        found
            .faults()
            .iter()
            .all(|one| one.help().unwrap().contains("--uncertain"))
    );
    let labels = |policy| {
        let read = read(content, policy).unwrap();
        let text = |labels: &[cxr_data::Label]| -> String {
            labels
                .iter()
                .map(|label| label.as_str())
                .collect::<Vec<_>>()
                .join(" ")
        };
        let rows: Vec<_> = read
            .cohort
            .radiographs()
            .iter()
            .map(|one| text(&one.labels))
            .collect();
        let codes: Vec<_> = read.warnings.iter().map(|one| one.code()).collect();
        assert_eq!(codes, ["D109", "D110", "D109"]);
        rows
    };
    assert_eq!(labels(Zeros), ["0 0", "0 1", "1 0"]);
    assert_eq!(labels(Ones), ["1 0", "0 1", "1 1"]);
    assert_eq!(labels(Ignore), ["-1 0", "-1 1", "1 -1"]);
}

#[test]
fn patients_may_be_numbers_with_zeros_or_words_but_not_empty() {
    let content = "Image,PatientId,Edema\na.png,0022,0\nb.png,P-7,1\nc.png,22,0\n";
    let read = accepted(content);
    let patients: Vec<_> = read
        .cohort
        .patients()
        .into_iter()
        .map(|one| one.to_string())
        .collect();
    assert_eq!(patients, ["0022", "P-7"]);
    let texts: Vec<_> = read
        .cohort
        .radiographs()
        .iter()
        .map(|one| one.patient.as_str())
        .collect();
    assert_eq!(texts, ["0022", "P-7", "0022"]);
    assert_eq!(
        read.warnings[0].kind,
        TableWarningKind::PatientSpellings { count: 1 }
    );
    expect(
        "Image,PatientId,Edema\na.png,,0\nb.png,  ,1\n",
        &[
            ("D021", Some(2), Some("PatientId"), Some("")),
            ("D021", Some(3), Some("PatientId"), Some("")),
        ],
    );
}

#[test]
fn a_radiograph_that_is_listed_twice_is_dropped_if_the_rows_agree_and_refused_if_not() {
    let same = accepted("Image,PatientId,Edema\na.png,1,0\nb.png,2,1\na.png,01,0.0\n");
    assert_eq!(same.cohort.len(), 2);
    assert_eq!(
        same.warnings[0].kind,
        TableWarningKind::RepeatedRadiographs { count: 1 }
    );
    assert_eq!(same.warnings[0].row, Some(4));
    let found = expect(
        "Image,PatientId,Edema\na.png,1,0\nb.png,2,1\na.png,1,1\nb.png,3,1\n",
        &[
            ("D023", Some(4), Some("Image"), Some("a.png")),
            ("D023", Some(5), Some("Image"), Some("b.png")),
        ],
    );
    assert!(found.help().unwrap().contains("row 2"));
}

#[test]
fn image_names_only_lead_down() {
    let long = format!("{}.png", "x".repeat(296));
    let names = [
        "../../etc/passwd",
        "/etc/passwd",
        r"C:\x",
        "C:/x",
        "a/../b.png",
        "./a.png",
        "",
        "\u{1b}[2J.png",
        &long,
    ];
    for name in names {
        let content = format!("Image,PatientId,Edema\n{name},1,0\n");
        expect(content, &[("D020", Some(2), Some("Image"), Some(name))]);
    }
}

#[test]
fn ages_and_follow_ups_are_numbers_or_empty() {
    let header = "Image,PatientId,PatientAge,PatientSex,View,FollowUp,Edema\n";
    let read = accepted(format!(
        "{header}a.png,1,58,M,PA,3,0\nb.png,2,,,,,1\nc.png,3,412,F,AP,0,0\n"
    ));
    let first = &read.cohort.radiographs()[0];
    assert_eq!(first.age, Some(58.0));
    assert_eq!(first.sex.as_deref(), Some("M"));
    assert_eq!(first.view.as_deref(), Some("PA"));
    assert_eq!(first.follow_up, Some(3));
    let second = &read.cohort.radiographs()[1];
    assert_eq!(
        (second.age, second.sex.as_deref(), second.follow_up),
        (None, None, None)
    );
    assert_eq!(
        read.warnings[0].kind,
        TableWarningKind::ImplausibleAge { count: 1 }
    );
    expect(
        format!("{header}a.png,1,old,M\u{7},PA,0.5,0\n"),
        &[
            ("D024", Some(2), Some("PatientAge"), Some("old")),
            ("D008", Some(2), Some("PatientSex"), Some("M\u{7}")),
            ("D024", Some(2), Some("FollowUp"), Some("0.5")),
        ],
    );
}

#[test]
fn all_faults_of_a_table_come_at_once_in_the_order_of_rows() {
    let content = "Image,PatientId,Edema,Mass\n../a.png,,2,-1\nb.png,2\nc.png,3,0,x\n";
    expect(
        content,
        &[
            ("D020", Some(2), Some("Image"), Some("../a.png")),
            ("D021", Some(2), Some("PatientId"), Some("")),
            ("D017", Some(2), Some("Edema"), Some("2")),
            ("D019", Some(2), Some("Mass"), Some("-1")),
            ("D016", Some(3), None, None),
            ("D017", Some(4), Some("Mass"), Some("x")),
        ],
    );
}

#[test]
fn the_first_20_faults_are_kept_and_the_rest_is_counted() {
    let mut content = String::from("Image,PatientId,Edema,note\n");
    for row in 0..1000 {
        content.push_str(&format!(
            "{row}.png,1,{},text\n",
            if row % 2 == 0 { "2" } else { "0" }
        ));
    }
    let found = faults(content);
    assert_eq!((found.faults().len(), found.n_faults()), (20, 500));
    assert_eq!(found.faults()[19].row, Some(40));
    assert!(found.to_string().ends_with("500 faults"));
}

#[test]
fn a_header_of_a_hundred_thousand_columns_is_refused() {
    let content = format!("Image,PatientId{}\n", ",x".repeat(100_000));
    assert_eq!(faults(content).code(), "D005");
}
