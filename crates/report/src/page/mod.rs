//! page
pub(crate) mod html;
mod svg;
pub use svg::PlotSvg;
