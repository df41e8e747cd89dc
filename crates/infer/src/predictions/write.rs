//! A table of predictions as bytes.

use super::{IMAGE, PATIENT, Predictions};
use std::io;

/// The table's bytes. Rust's shortest form of an f64 has at most 17 significant digits and reads
/// back as the same bits.
pub(super) fn table(predictions: &Predictions) -> io::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let keys = [IMAGE, PATIENT];
    writer.write_record(
        keys.into_iter()
            .chain(predictions.findings.iter().map(String::as_str)),
    )?;
    let rows = predictions
        .values()
        .chunks_exact(predictions.findings.len());
    let names = predictions.images.iter().zip(&predictions.patients);
    for ((image, patient), scores) in names.zip(rows) {
        writer.write_field(image)?;
        writer.write_field(patient)?;
        for score in scores {
            writer.write_field(format!("{score:?}"))?;
        }
        writer.write_record(None::<&[u8]>)?;
    }
    writer.into_inner().map_err(csv::IntoInnerError::into_error)
}
