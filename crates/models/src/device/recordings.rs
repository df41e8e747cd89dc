//! Work that a device has recorded, by what it was.
//!
//! For trainer and predictor, whose buffers stay: the first time work is run call by call, so that
//! the device has chosen its algorithms; the second time it is recorded; from then on replayed.

use std::collections::BTreeMap;

use cxr_ops::device::{Device, DeviceFault};

use crate::fault::ModelFault;

/// Recordings by key; `None` for work that was run once.
#[derive(Debug)]
pub(crate) struct Recordings<D: Device, K> {
    by_work: BTreeMap<K, Option<D::Recording>>,
}

impl<D: Device, K: Ord> Recordings<D, K> {
    pub(crate) fn new() -> Self {
        Self {
            by_work: BTreeMap::new(),
        }
    }

    /// Does the work that `key` names. It must make the same calls whenever it has that name.
    pub(crate) fn run(
        &mut self,
        device: &D,
        key: K,
        work: impl FnOnce() -> Result<(), ModelFault>,
    ) -> Result<(), ModelFault> {
        let Some(known) = self.by_work.get_mut(&key) else {
            work()?;
            self.by_work.insert(key, None);
            return Ok(());
        };
        if known.is_none() {
            *known = record(device, work)?;
        }
        match known {
            Some(recording) => Ok(device.replay(recording)?),
            // The device cannot record, and has done the work.
            None => Ok(()),
        }
    }
}

/// [`Device::record`] for work whose fault names a layer.
fn record<D: Device>(
    device: &D,
    work: impl FnOnce() -> Result<(), ModelFault>,
) -> Result<Option<D::Recording>, ModelFault> {
    let mut fault = None;
    let recorded = device.record(|| {
        work().map_err(|found| {
            let source = match &found {
                ModelFault::Device { source, .. } => source.clone(),
                other => DeviceFault::Shape {
                    call: "record",
                    problem: other.to_string(),
                },
            };
            fault = Some(found);
            source
        })
    });
    recorded.map_err(|source| fault.unwrap_or_else(|| source.into()))
}
