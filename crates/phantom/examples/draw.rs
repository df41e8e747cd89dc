//! Draws a cohort: folder, size, seed, rows.
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let w: Vec<String> = std::env::args().skip(1).collect();
    let mut r = cxr_phantom::PhantomRecipe::like(w[4].parse()?);
    r.size = w[1].parse()?;
    r.seed = w[2].parse()?;
    if w[3] != "-" {
        let rows: Vec<usize> = w[3].split(',').map(|x| x.parse().unwrap_or(1)).collect();
        r.rows = [rows[0], rows[1], rows[2]];
    }
    r.ensure(std::path::Path::new(&w[0]), &|_| {})?;
    Ok(())
}
