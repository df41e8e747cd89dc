//! Recordings: work that a stream captured into a graph, to be run with one call.
//!
//! A recording holds the working memory whose addresses it knows; buffers are the caller's.

use std::fmt;
use std::sync::{Arc, Mutex};

use cudarc::driver::sys::{CUgraphInstantiate_flags, CUstreamCaptureMode};
use cudarc::driver::{CudaGraph, CudaStream, DriverError};

use super::memory::Slab;
use super::stream::Streams;
use super::{Inner, fault, locked};
use crate::device::{DeviceFault, Result};

/// Work that was recorded and can be replayed.
pub struct Recording {
    graph: Mutex<Graph>,
    stream: Arc<CudaStream>,
    /// Only held, until the graph is gone.
    working_memory: Vec<Arc<Slab>>,
}

struct Graph(CudaGraph);

// SAFETY: the driver takes calls on a graph from any thread, one after the other, which a lock sees
// to.
unsafe impl Send for Graph {}

impl fmt::Debug for Recording {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = &self.working_memory;
        write!(formatter, "Recording {{ working memory: {held:?} }}")
    }
}

impl Recording {
    fn launch(&self) -> Result<()> {
        let graph = locked(&self.graph);
        graph.0.launch().map_err(fault::of_driver("replay"))
    }
}

impl Drop for Recording {
    /// A graph must not go while it runs.
    fn drop(&mut self) {
        self.stream.context().record_err(self.stream.synchronize());
    }
}

impl Inner {
    pub(super) fn record(&self, work: impl FnOnce() -> Result<()>) -> Result<Option<Recording>> {
        let capture = Capture::begin(&self.streams)?;
        let outcome = work();
        let graph = capture.end();
        // What `work` found is the cause of what the driver says of the capture.
        outcome?;
        let graph =
            graph
                .map_err(fault::of_driver("record"))?
                .ok_or_else(|| DeviceFault::Library {
                    call: "record",
                    problem: "the stream captured nothing".to_owned(),
                })?;
        graph.upload().map_err(fault::of_driver("record"))?;
        Ok(Some(Recording {
            graph: Mutex::new(Graph(graph)),
            stream: self.streams.work.clone(),
            working_memory: self.working_memory(),
        }))
    }

    pub(super) fn replay(&self, recording: &Recording) -> Result<()> {
        self.streams.refuse_recording("replay")?;
        recording.launch()?;
        self.streams.after("replay")
    }
}

/// A stream that captures; it stops when this goes, whatever happened.
struct Capture<'a> {
    streams: &'a Streams,
    is_open: bool,
}

impl<'a> Capture<'a> {
    fn begin(streams: &'a Streams) -> Result<Self> {
        if !streams.recorded.begin() {
            return Err(fault::recorded("record", "a recording holds no other one"));
        }
        // From here on dropping it sets the stream free again.
        let mut capture = Self {
            streams,
            is_open: false,
        };
        let mode = CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        (streams.work.begin_capture(mode)).map_err(fault::of_driver("record"))?;
        capture.is_open = true;
        Ok(capture)
    }

    fn end(mut self) -> std::result::Result<Option<CudaGraph>, DriverError> {
        self.is_open = false;
        self.close()
    }

    /// Ends it on the stream, even where an error is kept of something that was dropped: cudarc tells
    /// that error in the next call instead of making the call.
    fn close(&self) -> std::result::Result<Option<CudaGraph>, DriverError> {
        let kept = self.streams.context.check_err();
        let ended = self.streams.work.end_capture(CUgraphInstantiate_flags(0));
        kept.and(ended)
    }
}

impl Drop for Capture<'_> {
    fn drop(&mut self) {
        if self.is_open {
            self.streams.context.record_err(self.close());
        }
        self.streams.recorded.end();
    }
}
