//! The tables of a page, read back cell by cell.
//!
//! For tests that hold a figure against its place. Deliberately not here: any other markup.

use std::collections::BTreeMap;

/// What stands large in a cell, and small below it.
#[derive(Debug)]
pub(crate) struct Cell {
    pub(crate) figure: String,
    pub(crate) remarks: Vec<String>,
}

/// A table's cells by row name and column name.
pub(crate) struct Table(pub(crate) Vec<(String, BTreeMap<String, Cell>)>);

impl Table {
    /// The first table of a class.
    pub(crate) fn of(page: &str, class: &str) -> Self {
        let start = format!("<table class=\"{class}\">");
        let (_, table) = page
            .split_once(&start)
            .unwrap_or_else(|| panic!("no table {class}"));
        let (table, _) = table.split_once("</table>").unwrap();
        let mut rows = table.split("<tr").skip(1).map(cells);
        let head: Vec<String> = rows.next().unwrap().into_iter().map(|c| c.figure).collect();
        let named = |row: Vec<Cell>| {
            let mut row = row.into_iter().zip(&head);
            let name = row.next().unwrap().0.figure;
            (
                name,
                row.map(|(cell, column)| (column.clone(), cell)).collect(),
            )
        };
        Self(rows.map(named).collect())
    }

    /// The row of that name.
    pub(crate) fn row(&self, name: &str) -> &BTreeMap<String, Cell> {
        let found = self.0.iter().find(|(row, _)| row == name);
        &found.unwrap_or_else(|| panic!("no row {name}")).1
    }
}

fn cells(row: &str) -> Vec<Cell> {
    row.split("</td>")
        .flat_map(|piece| piece.split("</th>"))
        .filter_map(|piece| {
            let start = piece.find("<td").or_else(|| piece.find("<th"))?;
            let (_, inside) = piece[start..].split_once('>')?;
            let mut parts = inside.split("<small").map(text_of);
            Some(Cell {
                figure: parts.next()?,
                remarks: parts.collect(),
            })
        })
        .collect()
}

/// Without tags, unescaped.
fn text_of(markup: &str) -> String {
    let markup = markup.strip_prefix(" class=\"whole\"").unwrap_or(markup);
    let markup = markup.strip_prefix('>').unwrap_or(markup);
    let mut text = String::new();
    for piece in markup.split('<') {
        let is_first = text.is_empty() && !piece.contains('>');
        let after = piece.split_once('>').map_or("", |(_, after)| after);
        text.push_str(if is_first { piece } else { after });
    }
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&amp;", "&")
}
