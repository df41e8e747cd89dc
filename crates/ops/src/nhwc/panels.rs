//! A matrix packed for the micro-kernel: panels of one or two vectors of columns, each panel's rows
//! one after the other.

/// How `planes` matrices of `inner` rows and `columns` columns are packed for vectors of `lanes`
/// numbers: panel by panel, in each the planes, in each the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PanelLayout {
    pub(crate) lanes: usize,
    pub(crate) planes: usize,
    pub(crate) inner: usize,
    pub(crate) columns: usize,
}

/// Some neighbouring columns of a packed matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Panel {
    /// Where its numbers begin among the packed ones, those of its first plane.
    pub(crate) start: usize,
    /// Its first column.
    pub(crate) column: usize,
    /// How many of its columns belong to the matrix; the others hold zeros.
    pub(crate) columns: usize,
    /// Vectors in each of its rows, 1 or 2.
    pub(crate) vectors: usize,
}

impl PanelLayout {
    /// Numbers in the packed matrices.
    pub(crate) fn len(self) -> usize {
        self.planes * self.inner * self.padded_columns()
    }

    /// Columns with the zeros that fill up the last vector.
    pub(crate) fn padded_columns(self) -> usize {
        self.columns.next_multiple_of(self.lanes)
    }

    /// The panels in order: two vectors wide, the last one perhaps one.
    pub(crate) fn panels(self) -> impl Iterator<Item = Panel> {
        let widest = 2 * self.lanes;
        (0..self.columns).step_by(widest).map(move |column| {
            let columns = (self.columns - column).min(widest);
            Panel {
                start: column * self.inner * self.planes,
                column,
                columns,
                vectors: columns.div_ceil(self.lanes),
            }
        })
    }

    /// Numbers in a row of a panel.
    pub(crate) fn width(self, panel: Panel) -> usize {
        panel.vectors * self.lanes
    }

    /// Numbers in one plane of a panel.
    pub(crate) fn plane_len(self, panel: Panel) -> usize {
        self.inner * self.width(panel)
    }

    /// Cuts packed numbers into panels.
    pub(crate) fn split(self, mut packed: &mut [f32]) -> Vec<(Panel, &mut [f32])> {
        self.panels()
            .map(|panel| {
                let len = self.planes * self.plane_len(panel);
                let (own, rest) = std::mem::take(&mut packed).split_at_mut(len);
                packed = rest;
                (panel, own)
            })
            .collect()
    }
}

/// The first `len` numbers of memory that grows as needed.
pub(crate) fn grown(memory: &mut Vec<f32>, len: usize) -> &mut [f32] {
    if memory.len() < len {
        memory.resize(len, 0.0);
    }
    &mut memory[..len]
}
