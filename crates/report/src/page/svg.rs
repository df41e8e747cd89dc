//! A plot out of a run folder, checked to be a picture and nothing else.
//!
//! For the page, which inlines it. A run folder may come from elsewhere, and an SVG can hold scripts
//! and addresses: an element or attribute that our plots do not use is refused by name.
//! Deliberately not here: drawing.

use std::path::Path;

use crate::plots::STANDALONE_STYLE;
use crate::report_error::ReportError;

/// What our plots are made of.
const ELEMENTS: [&str; 8] = [
    "svg", "title", "line", "polyline", "polygon", "rect", "circle", "text",
];
const ATTRIBUTES: [&str; 31] = [
    "class",
    "role",
    "width",
    "height",
    "viewBox",
    "xmlns",
    "opacity",
    "fill",
    "stroke",
    "stroke-width",
    "points",
    "x",
    "y",
    "x1",
    "x2",
    "y1",
    "y2",
    "cx",
    "cy",
    "r",
    "rx",
    "ry",
    "dx",
    "dy",
    "text-anchor",
    "font-family",
    "font-size",
    "font-weight",
    "font-style",
    "transform",
    "aria-label",
];

/// An SVG made of shapes and text only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlotSvg {
    /// Without the style for standing alone.
    inline: String,
}

impl PlotSvg {
    /// Takes an SVG of ours.
    ///
    /// # Errors
    /// `R013` naming the first thing that no plot of ours holds.
    pub fn new(path: &Path, svg: &str) -> Result<Self, ReportError> {
        let inline = svg.replacen(STANDALONE_STYLE, "", 1);
        match first_foreign(&inline) {
            None => Ok(Self { inline }),
            Some(value) => Err(ReportError::ActivePlot {
                path: path.into(),
                value,
            }),
        }
    }

    pub(super) fn inline(&self) -> &str {
        &self.inline
    }
}

/// The first tag or attribute that is not on the lists.
fn first_foreign(svg: &str) -> Option<String> {
    let is_whole = svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>");
    if !is_whole {
        return Some(svg.chars().take(40).collect());
    }
    for piece in svg.split('<').skip(1) {
        let Some((tag, text)) = piece.split_once('>') else {
            return Some(format!("<{piece}"));
        };
        if text.contains('>') {
            return Some(format!("<{piece}"));
        }
        let tag = tag.strip_prefix('/').unwrap_or(tag);
        let (name, attributes) = tag.split_once([' ', '/']).unwrap_or((tag, ""));
        if !ELEMENTS.contains(&name) {
            return Some(format!("<{name}"));
        }
        if let Some(foreign) = foreign_attribute(attributes) {
            return Some(foreign);
        }
    }
    None
}

fn foreign_attribute(attributes: &str) -> Option<String> {
    let mut rest = attributes.trim_end_matches('/').trim();
    while !rest.is_empty() {
        let Some((name, value, after)) = next_attribute(rest) else {
            return Some(rest.to_owned());
        };
        let fetches = name != "xmlns" && (value.contains("url(") || value.contains("//"));
        if !ATTRIBUTES.contains(&name) || fetches {
            return Some(format!("{name}=\"{value}\""));
        }
        rest = after.trim_start();
    }
    None
}

fn next_attribute(text: &str) -> Option<(&str, &str, &str)> {
    let (name, rest) = text.split_once("=\"")?;
    let (value, after) = rest.split_once('"')?;
    Some((name, value, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(svg: &str) -> Result<PlotSvg, ReportError> {
        PlotSvg::new(Path::new("plots/x.svg"), svg)
    }

    #[test]
    fn what_could_run_or_fetch_is_refused_and_named() {
        check("<svg width=\"1\">\n<text x=\"1\">\na &lt;b&gt;\n</text>\n</svg>\n").unwrap();
        for (inside, named) in [
            ("<script>alert(1)</script>", "<script"),
            ("<SCRIPT/>", "<SCRIPT"),
            ("<style>@import 'x'</style>", "<style"),
            ("<foreignObject/>", "<foreignObject"),
            ("<image href=\"x\"/>", "<image"),
            ("<a href=\"x\">", "<a"),
            ("<text onclick=\"x()\">", "onclick"),
            ("<rect fill=\"url(http://x)\"/>", "fill"),
            ("<rect style=\"x\"/>", "style"),
            ("<rect x='1' onload='y'/>", "x='1'"),
            ("<!--", "<!--"),
            ("<rect x=\"a>b\"/>", "<rect"),
            ("<rect\nonload=\"x\"/>", "<rect"),
        ] {
            let error = check(&format!("<svg width=\"1\">{inside}</svg>")).unwrap_err();
            assert_eq!((error.code(), error.exit_code()), ("R013", 3));
            let ReportError::ActivePlot { value, .. } = &error else {
                panic!("{error:?}")
            };
            assert!(value.contains(named), "{inside}: {value}");
        }
        for svg in ["", "<html>", "<svg width=\"1\">"] {
            assert_eq!(check(svg).unwrap_err().code(), "R013");
        }
    }
}
