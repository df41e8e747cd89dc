//! What a reader of a run folder may rely on: the page is whole, harmless and honest.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the helpers of tests fail as tests do"
)]

mod sample;

use std::path::Path;

use cxr_report::{Evaluations, LeakageRecord, RunFolder, RunRecord, RunStatus, page, plots};

fn sample_run() -> (tempfile::TempDir, RunFolder) {
    let root = tempfile::tempdir().unwrap();
    let run = RunFolder::create(root.path(), "sample").unwrap();
    sample::write_run(&run);
    (root, run)
}

fn page_of(dir: &Path) -> String {
    page::html(&page::ReportData::read(dir).unwrap())
}

/// Every tag is closed in its turn, and nothing but tags holds `<` or `>`.
fn assert_well_formed(markup: &str, void: &[&str]) {
    let mut open: Vec<&str> = Vec::new();
    for piece in markup.split('<').skip(1) {
        let (tag, text) = piece
            .split_once('>')
            .unwrap_or_else(|| panic!("open tag: <{piece}"));
        assert!(!text.contains('>'), "stray >: {piece}");
        if tag.starts_with('!') {
            continue;
        }
        let name = tag.trim_end_matches('/').split([' ', '\n']).next().unwrap();
        assert!(
            tag.matches('"').count().is_multiple_of(2),
            "quotes: <{tag}>"
        );
        if let Some(name) = name.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "closed out of turn");
        } else if !tag.ends_with('/') && !void.contains(&name) {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "left open: {open:?}");
}

/// Without what may stand in a page's style.
fn without_style(page: &str) -> String {
    let (head, rest) = page.split_once("<style>").unwrap();
    format!("{head}{}", rest.split_once("</style>").unwrap().1)
}

#[test]
fn the_page_runs_nothing_and_fetches_nothing() {
    let (_root, run) = sample_run();
    let path = page::write(run.dir()).unwrap();
    let page = std::fs::read_to_string(path).unwrap();
    let lower = page.to_lowercase();
    let namespace = "xmlns=\"http://www.w3.org/2000/svg\"";
    // Links stay on the page.
    let addresses = lower.replace(namespace, "").replace("href=\"#finding-", "");
    for forbidden in [
        "http://",
        "https://",
        "//cdn",
        "<script",
        "javascript:",
        "onload",
        "onerror",
        "onclick",
        "<link",
        "@import",
        "url(",
        "<iframe",
        "<object",
        "href=",
    ] {
        assert!(!addresses.contains(forbidden), "{forbidden}");
    }
    assert_eq!(
        page.matches("src=\"").count(),
        page.matches("src=\"data:image/png;base64,").count()
    );
    assert_well_formed(&without_style(&page), &["meta", "img"]);
}

#[test]
fn every_text_from_outside_is_escaped() {
    let (_root, run) = sample_run();
    let nasty = "<img src=x onerror=alert(1)>\"'&";
    let record = RunRecord {
        status: RunStatus::Failed,
        command: vec![nasty.into()],
        preset: Some(nasty.into()),
        processor: Some(nasty.into()),
        warnings: vec![nasty.into()],
        failure: Some(cxr_report::FailureRecord {
            code: nasty.into(),
            message: nasty.into(),
        }),
        versions: [(nasty.to_owned(), nasty.to_owned())].into(),
        ..sample::record()
    };
    run.write_json(cxr_report::RUN_RECORD, &record).unwrap();
    run.write(
        "config.toml",
        format!("{nasty} = \"{nasty}\"  # {nasty}\n").as_bytes(),
    )
    .unwrap();
    let page = page_of(run.dir());
    assert!(!page.contains("<img src=x"), "markup from outside");
    assert!(
        !page.contains("<b>Nodule"),
        "a finding's name became markup"
    );
    for markup in ["<b>made up", "view <i>", "_<0"] {
        assert!(!page.contains(markup), "{markup}");
    }
    assert!(page.contains("&lt;b&gt;made up&lt;/b&gt;") && page.contains("view &lt;i&gt;"));
    let escaped = "&lt;img src=x onerror=alert(1)&gt;&quot;&#39;&amp;";
    assert!(
        page.matches(escaped).count() >= 8,
        "{}",
        page.matches(escaped).count()
    );
    assert!(page.contains("&lt;b&gt;Nodule &amp; &quot;co&quot;&lt;/b&gt;"));
    assert_well_formed(&without_style(&page), &["meta", "img"]);
}

#[test]
fn what_is_undefined_is_shown_with_its_reason_and_never_as_a_number() {
    let (_root, run) = sample_run();
    let page = page_of(run.dir());
    let row = page.split("\">Hernia</a></th>").nth(1).unwrap();
    let row = row.split("</tr>").next().unwrap();
    assert!(
        row.starts_with("<td class=\"undefined\">–<small>no positive</small></td>"),
        "{row}"
    );
    assert_eq!(row.matches("–<small>no positive").count(), 3);
    assert!(page.contains("over 13 of 14"));
    assert!(!page.contains("NaN"));
    let roc = std::fs::read_to_string(run.dir().join("plots/roc.svg")).unwrap();
    assert!(roc.contains("undefined:") && roc.contains("no positive"));
}

#[test]
fn figures_stand_beside_their_baselines_and_checks() {
    let (_root, run) = sample_run();
    let page = page_of(run.dir());
    let test = sample::splits().1.evaluation;
    let shown = |value: Option<f64>| format!("{:.3}", value.unwrap());
    assert!(page.contains(&format!(
        "<p class=\"figure\">{}</p>",
        shown(test.macro_mean.auroc)
    )));
    assert!(page.contains(&format!(
        "predicting nothing reaches {}",
        shown(test.baselines.label_accuracy_all_negative)
    )));
    assert!(page.contains("Leakage repaired: 5 patients and 0 images were in two splits; 8 rows were dropped (valid 200 → 192)."));
    assert!(page.contains("is not above that of predicting nothing"));
    assert!(page.contains("not a medical device"));
    assert!(page.contains("they say nothing about patients"));
}

#[test]
fn leakage_that_stands_and_a_missing_test_split_are_said_out_loud() {
    let (_root, run) = sample_run();
    let leakage = LeakageRecord {
        shared_patients: [("train_test".to_owned(), vec!["7".to_owned()])].into(),
        ..LeakageRecord::default()
    };
    run.write_json(cxr_report::LEAKAGE, &leakage).unwrap();
    let evaluations = Evaluations {
        valid: Some(sample::splits().0.evaluation),
        test: None,
    };
    run.write_json(cxr_report::EVALUATION, &evaluations)
        .unwrap();
    let page = page_of(run.dir());
    assert!(page.contains("1 patient and 0 images were in two splits and still are"));
    assert!(page.contains("There is no test split."));
    assert!(page.contains("Macro AUROC on valid"));
    assert!(!page.contains("Test was read once"));
}

#[test]
fn a_run_that_only_began_has_a_page_too() {
    let root = tempfile::tempdir().unwrap();
    let run = RunFolder::create(root.path(), "young").unwrap();
    let page = page_of(run.dir());
    assert!(page.contains("has not ended"));
    assert!(page.contains("Nothing was evaluated."));
    assert_well_formed(&without_style(&page), &["meta", "img"]);
}

/// Every SVG in a folder and in the folders inside it.
fn svgs(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let found = paths.flat_map(|path| {
        if path.is_dir() {
            svgs(&path)
        } else {
            vec![path]
        }
    });
    found
        .filter(|path| path.extension().is_some_and(|extension| extension == "svg"))
        .collect()
}

#[test]
fn every_plot_is_well_formed_and_passes_the_pages_own_check() {
    let (_root, run) = sample_run();
    let paths = svgs(&run.dir().join("plots"));
    // Nine of the whole, and four of each finding.
    assert_eq!(paths.len(), 9 + 4 * 14);
    for path in paths {
        let svg = std::fs::read_to_string(&path).unwrap();
        assert_well_formed(&svg, &[]);
        page::PlotSvg::new(&path, &svg).unwrap();
        assert!(svg.contains("currentColor") && !svg.contains("#010203"));
        assert!(!svg.contains("NaN"), "{}", path.display());
    }
}

#[test]
fn a_findings_curves_mark_the_carried_and_the_oracle_point_where_they_are_defined() {
    let (_root, run) = sample_run();
    let plot = |finding: &str, plot: &str| {
        let path = format!("plots/findings/{finding}/{plot}.svg");
        std::fs::read_to_string(run.dir().join(path)).unwrap()
    };
    for name in ["roc", "pr", "thresholds"] {
        let svg = plot("05-effusion", name);
        assert!(svg.contains("carried") && svg.contains("oracle"), "{name}");
        // The dots are full, the rings are not; each stands in the legend and on the curve.
        let circles = || svg.split('<').filter(|tag| tag.starts_with("circle "));
        let rings = circles().filter(|circle| circle.contains("fill=\"none\""));
        assert_eq!((rings.count(), circles().count()), (2, 4), "{name}");
    }
    let calibration = plot("05-effusion", "calibration");
    assert!(calibration.contains("as trained") && calibration.contains("calibrated (platt)"));
    assert!(plot("08-hernia", "roc").contains("no positive"));
    assert!(!plot("08-hernia", "roc").contains("oracle"));
    assert!(plot("08-hernia", "calibration").contains("calibrated (unweighted)"));
}

#[test]
fn an_evaluation_without_its_newer_figures_still_gives_a_page() {
    let (_root, run) = sample_run();
    let path = run.dir().join(cxr_report::EVALUATION);
    let text = std::fs::read_to_string(&path).unwrap();
    let mut evaluations: serde_json::Value = serde_json::from_str(&text).unwrap();
    for finding in evaluations["test"]["findings"].as_array_mut().unwrap() {
        for key in [
            "prevalence",
            "recall_ci",
            "specificity_ci",
            "oracle",
            "ece_by_chance",
        ] {
            finding.as_object_mut().unwrap().remove(key).unwrap();
        }
    }
    std::fs::write(&path, evaluations.to_string()).unwrap();
    let page = page_of(run.dir());
    assert!(page.contains("no reason recorded") && !page.contains("NaN"));
    assert_well_formed(&without_style(&page), &["meta", "img"]);
}

#[test]
fn plots_of_hostile_names_many_findings_and_nothing_at_all_are_still_pictures() {
    let names = [
        "",
        "\u{1b}[2J\n",
        "]]>",
        "#010203",
        "胸水の所見がとても長い名前",
        &"W".repeat(300),
    ];
    let rows: Vec<plots::FindingAuroc> = names
        .iter()
        .cycle()
        .take(60)
        .map(|name| plots::FindingAuroc {
            name: (*name).into(),
            auroc: Some(0.5),
            ..plots::FindingAuroc::default()
        })
        .collect();
    let curves: Vec<plots::Curve> = names
        .iter()
        .map(|name| plots::Curve {
            name: (*name).into(),
            undefined: Some("a reason of many words that has to go over several lines".into()),
            ..plots::Curve::default()
        })
        .collect();
    let nothing = cxr_metrics::History::new(Vec::new());
    let empty = plots::ClassTable::default();
    for svg in [
        plots::auroc_per_finding("test", &rows).unwrap(),
        plots::auroc_per_finding("test", &[]).unwrap(),
        plots::roc("test", &curves).unwrap(),
        plots::pr("<b>", &[]).unwrap(),
        plots::thresholds("test", &[]).unwrap(),
        plots::class_distribution(&empty).unwrap(),
        plots::loss(&nothing).unwrap(),
        plots::accuracy(&nothing, None).unwrap(),
        plots::auroc(&nothing).unwrap(),
        plots::loss(&sample::history(1)).unwrap(),
        plots::auroc(&sample::history(300)).unwrap(),
    ] {
        assert_well_formed(&svg, &[]);
        assert!(!svg.chars().any(|c| c.is_control() && c != '\n'));
        page::PlotSvg::new(Path::new("x.svg"), &svg).unwrap();
    }
}

#[test]
fn the_page_of_a_folder_is_the_same_when_it_is_written_again() {
    let (_root, run) = sample_run();
    let first = std::fs::read(page::write(run.dir()).unwrap()).unwrap();
    let again = std::fs::read(page::write(run.dir()).unwrap()).unwrap();
    assert_eq!(first, again);
}
