//! What a run shows while it goes on: bars on a terminal, one plain line an epoch elsewhere.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use cxr_metrics::EpochRecord;
use cxr_train::{BatchProgress, Stage, Watch};
use indicatif::{ProgressBar, ProgressStyle};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::console::Console;
use crate::failure::Failure;

/// The clock, the bars and the stop signs of a run.
pub(super) struct Progress {
    console: Console,
    began: Instant,
    /// The number of the signal that came; 0 while none did.
    signal: Arc<AtomicUsize>,
    bar: Mutex<Option<ProgressBar>>,
}

impl Progress {
    /// Begins to measure time and to listen for SIGINT, SIGTERM and SIGHUP: the first one ends the
    /// run after its batch, the second at once.
    pub(super) fn new(console: Console) -> Result<Self, Failure> {
        let signal = Arc::new(AtomicUsize::new(0));
        let came = Arc::new(std::sync::atomic::AtomicBool::new(false));
        for number in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register_conditional_shutdown(number, 128 + number, came.clone())?;
            signal_hook::flag::register(number, came.clone())?;
            signal_hook::flag::register_usize(number, signal.clone(), number as usize)?;
        }
        Ok(Self {
            console,
            began: Instant::now(),
            signal,
            bar: Mutex::new(None),
        })
    }

    /// 128 + the signal, as a shell counts.
    pub(super) fn exit_code_of_signal(&self) -> u8 {
        u8::try_from(128 + self.signal.load(Ordering::Relaxed)).unwrap_or(1)
    }

    /// Shows how far a drawing is.
    pub(super) fn drawing<R>(
        &self,
        n: usize,
        draw: impl FnOnce(&(dyn Fn(usize) + Sync)) -> R,
    ) -> R {
        self.begin("drawing", n);
        let drawn = draw(&|done| self.stage_reaches(done));
        self.stage_ends();
        drawn
    }

    fn begin(&self, name: &str, n: usize) {
        if !self.console.is_interactive() {
            return;
        }
        let bar = ProgressBar::new(n as u64);
        let shape = "{prefix:>14} {wide_bar} {pos}/{len}  {per_sec}  {eta} left  {msg}";
        bar.set_style(ProgressStyle::with_template(shape).unwrap_or(ProgressStyle::default_bar()));
        bar.set_prefix(name.to_owned());
        self.put(Some(bar));
    }

    fn put(&self, bar: Option<ProgressBar>) {
        if let Ok(mut place) = self.bar.lock() {
            if let Some(old) = place.take() {
                old.finish_and_clear();
            }
            *place = bar;
        }
    }

    fn with_bar(&self, act: impl FnOnce(&ProgressBar)) {
        if let Ok(place) = self.bar.lock()
            && let Some(bar) = &*place
        {
            act(bar);
        }
    }
}

impl Watch for Progress {
    fn elapsed_seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    fn stop_is_requested(&self) -> bool {
        self.signal.load(Ordering::Relaxed) != 0
    }

    fn stage_begins(&self, stage: Stage, n: usize) {
        match stage {
            Stage::Decoding(split) => self.begin(&format!("decode {split}"), n),
            Stage::Training { epoch, n_epochs } => {
                self.begin(&format!("epoch {epoch}/{n_epochs}"), n);
            }
        }
    }

    fn stage_reaches(&self, done: usize) {
        self.with_bar(|bar| bar.set_position(done as u64));
    }

    fn stage_ends(&self) {
        self.put(None);
    }

    fn batch_ends(&self, progress: &BatchProgress) {
        self.with_bar(|bar| {
            bar.set_position(progress.n_radiographs as u64);
            bar.set_message(format!("loss {:.4}", progress.loss));
        });
    }

    fn epoch_ends(&self, record: &EpochRecord, is_best: bool) {
        let (training, valid) = (&record.training_pass, &record.valid);
        self.console.note(format_args!(
            "epoch {:>3}  loss {:.4}  valid loss {:.4}  valid AUROC {}  {:.1} images/s  {:.1} s{}",
            record.epoch,
            training.loss,
            valid.loss,
            valid.auroc,
            record.images_per_second,
            record.seconds,
            if is_best { "  best" } else { "" },
        ));
    }

    fn warns(&self, text: &str) {
        self.console.warn(text);
    }
}
