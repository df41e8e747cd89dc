//! `report.html`: one self-contained page about a run.
//!
//! For the person who wants to know how good a model is, and for the one who asks why to believe it.
//! No script, no request, light and dark, printable. It is written from the run folder's files
//! alone. Deliberately not here: numbers that are not in those files.

mod background;
mod calibration_table;
mod cards;
mod cells;
mod data;
mod examples;
mod finding_section;
mod findings_table;
pub(crate) mod html;
mod number;
mod pictures;
mod subgroups;
mod summary;
mod svg;

use std::path::{Path, PathBuf};

pub use data::{ConfigLine, ReportData};
use html::Html;
pub use svg::PlotSvg;

use crate::disk::write_file;
use crate::report_error::ReportError;

/// Where a run keeps its page.
pub const PAGE: &str = "report.html";

const HEAD: &str = "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
<meta name=\"color-scheme\" content=\"light dark\">\n\
<meta http-equiv=\"Content-Security-Policy\" \
content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\n<title>";

/// The page as HTML text.
#[must_use]
pub fn html(data: &ReportData) -> String {
    let mut page = Html::default();
    page.markup(HEAD).text(&data.name);
    page.markup("</title>\n<style>\n")
        .markup(include_str!("page.css"));
    page.markup("</style>\n</head>\n<body>\n<main>\n");
    summary::add(&mut page, data);
    findings_table::add(&mut page, data);
    pictures::add_measured(&mut page, data);
    finding_section::add(&mut page, data);
    subgroups::add(&mut page, data);
    pictures::add_training(&mut page, data);
    background::add(&mut page, data);
    page.markup("</main>\n</body>\n</html>\n");
    page.into_text()
}

/// Reads a run folder and writes its `report.html`; gives its path.
///
/// # Errors
/// Those of [`ReportData::read`], and `R001` and `R002` where the disk refuses.
pub fn write(dir: &Path) -> Result<PathBuf, ReportError> {
    let data = ReportData::read(dir)?;
    let path = dir.join(PAGE);
    write_file(&path, html(&data).as_bytes())?;
    Ok(path)
}
