//! Writes the run folder of a made-up run, with its plots and its page, into a new folder.
//!
//! `cargo run -p cxr-report --example sample_page -- FOLDER`

#[path = "../tests/sample/mod.rs"]
mod sample;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args()
        .nth(1)
        .ok_or("say which new folder to write into")?;
    let run = cxr_report::RunFolder::create_at(folder.as_ref())?;
    sample::write_run(&run);
    cxr_report::page::write(run.dir())?;
    Ok(())
}
