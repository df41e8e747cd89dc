//! One SVG picture in logical pixels, by plotters.
//!
//! For the plots. plotters rounds to whole pixels and knows black and white; here it draws eight
//! times as large, so that curves are smooth, and what is drawn in `INK` becomes the colour of the
//! text around. Deliberately not here: what is drawn.

use plotters::coord::Shift;
use plotters::element::{Drawable, PointCollection};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::report_error::ReportError;

/// How many drawn units make a logical pixel.
const FINENESS: f64 = 8.0;
/// plotters' factor between a font's size and what it writes into an SVG.
const FONT_FACTOR: f64 = 1.24;
/// Around what is drawn.
const MARGIN: f64 = 8.0;
const LEGEND_ROW: f64 = 18.0;
const LEGEND_SWATCH: f64 = 20.0;
const LEGEND_SIZE: f64 = 12.5;
/// Stands for the colour of the text around; no picture uses this one.
const INK_RGB: RGBColor = RGBColor(1, 2, 3);
/// As an attribute: inside a text, quotes are escaped.
const INK_ATTRIBUTE: &str = "=\"#010203\"";

/// For a picture that stands alone; a page takes it out and sets the same itself.
pub(crate) const STANDALONE_STYLE: &str = "<style>.cxr-plot{color:#1c2530;background:#fff}\
@media (prefers-color-scheme:dark){.cxr-plot{color:#e4e8ee;background:#151a21}}</style>\n";

/// Colours that keep a contrast of 3 on white and on near-black, and differ for the colour-blind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Colour {
    /// The colour of the text around, this opaque.
    Ink(f64),
    Blue,
    Orange,
    Green,
}

impl Colour {
    /// In the order in which splits take them.
    pub(super) const SERIES: [Self; 3] = [Self::Blue, Self::Orange, Self::Green];

    fn rgba(self) -> RGBAColor {
        match self {
            Self::Ink(opacity) => INK_RGB.mix(opacity),
            Self::Blue => RGBColor(0x3b, 0x82, 0xc9).mix(1.0),
            Self::Orange => RGBColor(0xd8, 0x70, 0x1c).mix(1.0),
            Self::Green => RGBColor(0x2c, 0x99, 0x6a).mix(1.0),
        }
    }
}

/// Where a text is held.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Hold {
    Left,
    Middle,
    Right,
}

/// How a text looks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Writing {
    pub(super) size: f64,
    pub(super) colour: Colour,
    pub(super) is_bold: bool,
    pub(super) hold: Hold,
}

impl Writing {
    /// A label of an axis or a row.
    pub(super) fn label(hold: Hold) -> Self {
        Self {
            size: 13.0,
            colour: Colour::Ink(0.85),
            is_bold: false,
            hold,
        }
    }

    pub(super) fn sized(self, size: f64) -> Self {
        Self { size, ..self }
    }

    pub(super) fn coloured(self, colour: Colour) -> Self {
        Self { colour, ..self }
    }

    pub(super) fn bold(self) -> Self {
        Self {
            is_bold: true,
            ..self
        }
    }
}

type Drawn = Result<(), ReportError>;

/// A picture while it is drawn.
pub(super) struct Canvas<'a> {
    area: DrawingArea<SVGBackend<'a>, Shift>,
    plot: &'static str,
}

/// Draws a picture of `size` logical pixels and gives its SVG text.
pub(super) fn picture(
    plot: &'static str,
    title: &str,
    (width, height): (f64, f64),
    paint: impl FnOnce(&Canvas<'_>) -> Drawn,
) -> Result<String, ReportError> {
    let mut svg = String::new();
    let size = (fine(width).unsigned_abs(), fine(height).unsigned_abs());
    {
        let canvas = Canvas {
            area: SVGBackend::with_string(&mut svg, size).into_drawing_area(),
            plot,
        };
        let title_writing = Writing::label(Hold::Left).sized(15.0).bold();
        canvas.text((0.0, 12.0), title, title_writing.coloured(Colour::Ink(1.0)))?;
        paint(&canvas)?;
        canvas
            .area
            .present()
            .map_err(|error| canvas.fault(&error))?;
    }
    Ok(themed(&svg, plot, title, (width, height)))
}

impl<'a> Canvas<'a> {
    pub(super) fn text(&self, (x, y): (f64, f64), text: &str, writing: Writing) -> Drawn {
        let hold = match writing.hold {
            Hold::Left => HPos::Left,
            Hold::Middle => HPos::Center,
            Hold::Right => HPos::Right,
        };
        let weight = if writing.is_bold {
            FontStyle::Bold
        } else {
            FontStyle::Normal
        };
        let font = FontDesc::new(
            FontFamily::SansSerif,
            writing.size * FONT_FACTOR * FINENESS,
            weight,
        );
        let colour = writing.colour.rgba();
        let style = TextStyle::from(font)
            .color(&colour)
            .pos(Pos::new(hold, VPos::Center));
        self.put(&Text::new(plain_text(text), at((x, y)), style))
    }

    pub(super) fn line(&self, points: &[(f64, f64)], width: f64, colour: Colour) -> Drawn {
        let style = ShapeStyle::from(colour.rgba()).stroke_width(fine(width).unsigned_abs());
        let points: Vec<_> = points.iter().copied().map(at).collect();
        self.put(&PathElement::new(points, style))
    }

    /// A straight line of dashes.
    pub(super) fn dashes(&self, from: (f64, f64), to: (f64, f64), colour: Colour) -> Drawn {
        const DASH: f64 = 4.0;
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        let length = dx.hypot(dy);
        let mut start = 0.0;
        while start < length {
            let end = (start + DASH).min(length);
            let place = |distance: f64| {
                let share = distance / length;
                (from.0 + dx * share, from.1 + dy * share)
            };
            self.line(&[place(start), place(end)], 1.25, colour)?;
            start += 2.0 * DASH;
        }
        Ok(())
    }

    pub(super) fn bar(&self, from: (f64, f64), to: (f64, f64), colour: Colour) -> Drawn {
        let style = ShapeStyle::from(colour.rgba()).filled();
        self.put(&Rectangle::new([at(from), at(to)], style))
    }

    pub(super) fn dot(&self, place: (f64, f64), radius: f64, colour: Colour) -> Drawn {
        let style = ShapeStyle::from(colour.rgba()).filled();
        self.put(&Circle::new(at(place), fine(radius), style))
    }

    pub(super) fn ring(&self, place: (f64, f64), radius: f64, colour: Colour) -> Drawn {
        let style = ShapeStyle::from(colour.rgba()).stroke_width(fine(1.75).unsigned_abs());
        self.put(&Circle::new(at(place), fine(radius), style))
    }

    /// Swatches with names, in rows as `legend_places` puts them. Gives the y below them.
    pub(super) fn legend(
        &self,
        top: f64,
        width: f64,
        entries: &[(Mark, Colour, &str)],
    ) -> Result<f64, ReportError> {
        for (&(mark, colour, name), (x, row)) in entries.iter().zip(legend_places(entries, width)) {
            let y = top + LEGEND_ROW * (row + 0.5);
            match mark {
                Mark::Line => self.line(&[(x, y), (x + 14.0, y)], 2.25, colour)?,
                Mark::Dashes => self.dashes((x, y), (x + 14.0, y), colour)?,
                Mark::Dot => self.dot((x + 7.0, y), 4.0, colour)?,
                Mark::Ring => self.ring((x + 7.0, y), 5.0, colour)?,
                Mark::Square => self.bar((x + 2.0, y - 5.0), (x + 12.0, y + 5.0), colour)?,
                Mark::Tick => self.bar((x + 6.0, y - 6.0), (x + 8.5, y + 6.0), colour)?,
            }
            let writing = Writing::label(Hold::Left).sized(LEGEND_SIZE);
            self.text((x + LEGEND_SWATCH, y), name, writing)?;
        }
        Ok(top + legend_height(entries, width))
    }

    fn put<E>(&self, element: &E) -> Drawn
    where
        for<'e> &'e E: PointCollection<'e, (i32, i32)>,
        E: Drawable<SVGBackend<'a>>,
    {
        self.area.draw(element).map_err(|error| self.fault(&error))
    }

    fn fault(&self, error: &dyn std::error::Error) -> ReportError {
        ReportError::Plot {
            plot: self.plot,
            problem: error.to_string(),
        }
    }
}

/// What stands before a name in a legend.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Mark {
    Line,
    Dashes,
    Dot,
    Ring,
    Square,
    Tick,
}

/// Height of a legend's rows.
pub(super) fn legend_height(entries: &[(Mark, Colour, &str)], width: f64) -> f64 {
    let places = legend_places(entries, width);
    places
        .last()
        .map_or(0.0, |(_, row)| LEGEND_ROW * (row + 1.0))
}

/// The x and the row of each entry: side by side as long as the width lasts.
fn legend_places(entries: &[(Mark, Colour, &str)], width: f64) -> Vec<(f64, f64)> {
    let (mut x, mut row) = (0.0, 0.0);
    entries
        .iter()
        .map(|&(_, _, name)| {
            let taken = LEGEND_SWATCH + text_width(name, LEGEND_SIZE);
            if x > 0.0 && x + taken > width {
                (x, row) = (0.0, row + 1.0);
            }
            let place = (x, row);
            x += taken + 10.0;
            place
        })
        .collect()
}

/// How wide a text may be, in logical pixels: on the wide side, because nobody knows the font.
pub(super) fn text_width(text: &str, size: f64) -> f64 {
    text.chars().map(character_width).sum::<f64>() * size
}

/// In sizes of the font, after the wider of Arial and DejaVu Sans.
fn character_width(character: char) -> f64 {
    match character {
        'i' | 'j' | 'l' | 'I' | '.' | ',' | ':' | ';' | '|' | '\'' | '!' => 0.34,
        ' ' | 'f' | 'r' | 't' | '(' | ')' | '[' | ']' | '/' | '-' => 0.41,
        'm' | 'w' | 'M' | 'W' | '%' | '@' => 0.98,
        '<' | '>' | '=' | '+' | '&' => 0.84,
        'A'..='Z' => 0.76,
        '\u{0}'..='\u{7f}' => 0.64,
        // Wide scripts take a square.
        _ => 1.0,
    }
}

/// The text, or as much of it as fits with "…" after it.
pub(super) fn shortened(text: &str, size: f64, width: f64) -> String {
    if text_width(text, size) <= width {
        return text.to_owned();
    }
    let room = width - text_width("…", size);
    let mut short = String::new();
    for character in text.chars() {
        short.push(character);
        if text_width(&short, size) > room {
            short.pop();
            break;
        }
    }
    short.push('…');
    short
}

/// Without the characters that no XML may hold.
pub(crate) fn plain_text(text: &str) -> String {
    text.chars()
        .map(|character| {
            let is_forbidden =
                character.is_control() || matches!(character, '\u{fffe}' | '\u{ffff}');
            if is_forbidden { '\u{fffd}' } else { character }
        })
        .collect()
}

/// Gives plotters' output its logical size, a name for those who listen, and the text's colour.
fn themed(svg: &str, plot: &str, title: &str, (width, height): (f64, f64)) -> String {
    let mut escaped = String::new();
    crate::page::html::push_escaped(&mut escaped, &plain_text(title));
    let (width, height) = (width + 2.0 * MARGIN, height + 2.0 * MARGIN);
    let (start, fine_width, fine_height) = (fine(-MARGIN), fine(width), fine(height));
    let head = format!(
        "<svg class=\"cxr-plot cxr-{plot}\" role=\"img\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"{start} {start} {fine_width} {fine_height}\" \
         xmlns=\"http://www.w3.org/2000/svg\">\n<title>{escaped}</title>\n{STANDALONE_STYLE}"
    );
    let body = svg
        .split_once('>')
        .map_or("", |(_, body)| body.trim_start());
    let coloured = body.replace(INK_ATTRIBUTE, "=\"currentColor\"");
    format!("{head}{coloured}")
}

fn at((x, y): (f64, f64)) -> (i32, i32) {
    (fine(x), fine(y))
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "`as` saturates, and a picture is some thousand pixels wide"
)]
fn fine(pixels: f64) -> i32 {
    (pixels * FINENESS).round() as i32
}
