//! What a reader with a browser may rely on: the page never scrolls sideways.
//!
//! Skipped, with a message, where no Chromium that works is found by the variable `CHROMIUM` or on the
//! path.

#![expect(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

mod sample;

use std::path::{Path, PathBuf};
use std::process::Command;

use cxr_report::{RunFolder, page};

const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
/// A phone, a tablet and a desk.
const WIDTHS: [u32; 3] = [360, 820, 1440];

fn chromium() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("CHROMIUM") {
        return Some(named.into());
    }
    let path = std::env::var_os("PATH")?;
    let places = std::env::split_paths(&path);
    places
        .flat_map(|folder| NAMES.map(|name| folder.join(name)))
        .find(|file| file.is_file())
}

/// The document after its scripts ran.
fn dump(chromium: &Path, folder: &Path, file: &Path) -> String {
    let profile = folder.join("profile");
    let output = Command::new(chromium)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
        ])
        .args([
            "--no-first-run",
            "--disable-background-networking",
            "--disable-sync",
        ])
        .args([
            "--disable-component-update",
            "--allow-file-access-from-files",
        ])
        .arg(format!("--user-data-dir={}", profile.display()))
        .args([
            "--window-size=1600,1200",
            "--virtual-time-budget=5000",
            "--dump-dom",
        ])
        .arg(format!("file://{}", file.display()))
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The page opened wide, without its policy, so that a script may measure it.
fn measurable(page: &str) -> String {
    let (before, rest) = page.split_once("<meta http-equiv=").unwrap();
    let (_, after) = rest.split_once('>').unwrap();
    let script = "<script>\
        document.querySelectorAll('details').forEach(details => details.open = true);\
        onload = () => parent.postMessage(innerWidth + ':' + \
        (document.documentElement.scrollWidth - document.documentElement.clientWidth), '*')</script>";
    format!("{before}{after}").replace("</body>", &format!("{script}</body>"))
}

/// Headless windows have a least width, so each width is a frame.
fn frames() -> String {
    let frames = WIDTHS.map(|width| {
        format!(
            "<iframe src=\"page.html\" style=\"border:0;width:{width}px;height:900px\"></iframe>"
        )
    });
    format!(
        "<!doctype html><body><script>onmessage = event => \
         document.body.append('[' + event.data + ']')</script>{}</body>",
        frames.concat()
    )
}

#[test]
fn the_page_does_not_scroll_sideways_on_a_phone_a_tablet_or_a_desk() {
    let Some(chromium) = chromium() else {
        eprintln!("skipped: no Chromium; name one in the variable CHROMIUM");
        return;
    };
    let root = tempfile::tempdir().unwrap();
    let run = RunFolder::create(root.path(), "sample").unwrap();
    sample::write_run(&run);
    let html = page::html(&page::ReportData::read(run.dir()).unwrap());
    std::fs::write(root.path().join("page.html"), measurable(&html)).unwrap();
    let file = root.path().join("frames.html");
    std::fs::write(&file, frames()).unwrap();
    let dom = dump(&chromium, root.path(), &file);
    if !dom.contains("</iframe>") {
        eprintln!("skipped: {} does not open a page", chromium.display());
        return;
    }
    for width in WIDTHS {
        let fits = format!("[{width}:0]");
        let measured = dom.rsplit("</iframe>").next().unwrap_or_default();
        assert!(dom.contains(&fits), "{width} pixels: {measured}");
    }
}
