//! Draws the picture of the documentation: `cargo run -p cxr-phantom --example montage`, with an
//! optional path, size, seed and extent.

use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/images/phantom.png");
    let path = PathBuf::from(words.first().map_or(default, String::as_str));
    let size = words.get(1).map_or(Ok(176), |word| word.parse())?;
    let seed = words.get(2).map_or(Ok(3), |word| word.parse())?;
    let extent = words.get(3).map_or(Ok(0.8), |word| word.parse())?;
    if let Some(folder) = path.parent() {
        fs_err::create_dir_all(folder)?;
    }
    fs_err::write(&path, cxr_phantom::montage(seed, size, extent)?)?;
    Ok(())
}
