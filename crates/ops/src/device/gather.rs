//! How a picture is gathered on the device: a draw, made ready, in a form that can be sent.

/// One picture of a batch.
///
/// `rotation` and `affine` are maps in 16.16 fixed point, [a, b, x0, d, e, y0]:
/// x′ = (x0 + a·x + b·y) >> 16, y′ = (y0 + d·x + e·y) >> 16, sums that wrap.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PictureGather {
    /// Where the picture's bytes begin among the pixels.
    pub start: u64,
    /// How places of the output become places of the picture.
    pub kind: GatherKind,
}

/// How places of the output become places of the picture. Outside is 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum GatherKind {
    /// As they are.
    Still,
    /// Through `affine`, then, where that is inside, through `rotation`, then mirrored along the
    /// row where `flip`.
    Fixed {
        /// The mirror.
        flip: bool,
        /// The second map.
        rotation: [i32; 6],
        /// The first map.
        affine: [i32; 6],
    },
    /// The same; the first map is a table: from `table` on, a column for each x, then a row for
    /// each y, as i32; negative is outside.
    Separable {
        /// The mirror.
        flip: bool,
        /// The second map.
        rotation: [i32; 6],
        /// Where the table begins, counted in i32.
        table: u32,
    },
    /// From `table` on, for each place the place in the picture, row by row, as i32; negative is
    /// outside.
    Table {
        /// Where the table begins, counted in i32.
        table: u32,
    },
    /// Between four pixels, at a·(x+½) + b·(y+½) + c − ½ and d·(x+½) + e·(y+½) + f − ½ for
    /// [a, b, c, d, e, f]; sums in f64 from the left, shares in f32.
    Bilinear {
        /// The map.
        matrix: [f64; 6],
    },
}

impl PictureGather {
    /// Bytes of one in device memory.
    pub const BYTES: usize = 128;

    /// The form in device memory, little-endian: start u64, kind u32 (0 to 4 in the order of
    /// [`GatherKind`]), flip u32, rotation 6 × i32, affine 6 × i32, matrix 6 × f64, table u32, 0 u32.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let (mut number, mut flip, mut table) = (0_u32, false, 0_u32);
        let (mut rotation, mut affine, mut matrix) = ([0; 6], [0; 6], [0.0; 6]);
        match self.kind {
            GatherKind::Still => {}
            GatherKind::Fixed {
                flip: f,
                rotation: r,
                affine: a,
            } => (number, flip, rotation, affine) = (1, f, r, a),
            GatherKind::Separable {
                flip: f,
                rotation: r,
                table: t,
            } => (number, flip, rotation, table) = (2, f, r, t),
            GatherKind::Table { table: t } => (number, table) = (3, t),
            GatherKind::Bilinear { matrix: m } => (number, matrix) = (4, m),
        }
        let mut bytes = [0; Self::BYTES];
        let mut end = 0;
        let mut put = |field: &[u8]| {
            bytes[end..end + field.len()].copy_from_slice(field);
            end += field.len();
        };
        put(&self.start.to_le_bytes());
        put(&number.to_le_bytes());
        put(&u32::from(flip).to_le_bytes());
        for value in rotation.iter().chain(&affine) {
            put(&i32::to_le_bytes(*value));
        }
        for value in matrix {
            put(&f64::to_le_bytes(value));
        }
        put(&table.to_le_bytes());
        bytes
    }

    /// Back from [`PictureGather::to_bytes`]; `None` for what that never gives.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; Self::BYTES]) -> Option<Self> {
        let word = |place: usize| -> [u8; 4] { std::array::from_fn(|i| bytes[place + i]) };
        let long = |place: usize| -> [u8; 8] { std::array::from_fn(|i| bytes[place + i]) };
        let flip = u32::from_le_bytes(word(12)) != 0;
        let rotation = std::array::from_fn(|i| i32::from_le_bytes(word(16 + 4 * i)));
        let affine = std::array::from_fn(|i| i32::from_le_bytes(word(40 + 4 * i)));
        let matrix = std::array::from_fn(|i| f64::from_le_bytes(long(64 + 8 * i)));
        let table = u32::from_le_bytes(word(112));
        let kind = match u32::from_le_bytes(word(8)) {
            0 => GatherKind::Still,
            1 => GatherKind::Fixed {
                flip,
                rotation,
                affine,
            },
            2 => GatherKind::Separable {
                flip,
                rotation,
                table,
            },
            3 => GatherKind::Table { table },
            4 => GatherKind::Bilinear { matrix },
            _ => return None,
        };
        let start = u64::from_le_bytes(long(0));
        Some(Self { start, kind })
    }
}
