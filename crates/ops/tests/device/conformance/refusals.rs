//! Calls that must be refused before anything is written: odd channels and shapes here, short buffers
//! beside it.

use cxr_ops::device::{Device, DeviceFault, NormPlaces, PoolShape, Result, Rows};
use cxr_ops::kernels::Window;
use cxr_ops::kernels::conv::ConvShape;
use cxr_ops::kernels::linear::LinearShape;

pub(super) const OF: Rows = Rows {
    rows: 6,
    channels: 8,
};
pub(super) const PLACES: NormPlaces = NormPlaces {
    weight: 0,
    bias: 8,
    running_mean: 0,
    running_variance: 8,
};
const WINDOW: Window = Window {
    input: [3, 2],
    kernel: [3, 3],
    stride: 1,
    padding: [1, 1],
};
pub(super) const CONV: ConvShape = ConvShape {
    images: 1,
    channels: 8,
    out_channels: 8,
    window: WINDOW,
};
pub(super) const POOL: PoolShape = PoolShape {
    images: 1,
    channels: 8,
    window: WINDOW,
};
pub(super) const LINEAR: LinearShape = LinearShape {
    rows: 2,
    inputs: 8,
    outputs: 3,
};

/// Each function with a buffer that is too short, and with shapes that it does not take.
pub(crate) fn check_refusals<D: Device>(device: &D) {
    let result = Buffers::new(device).map(|mut buffers| {
        buffers.convolutions(device);
        buffers.norms(device);
        buffers.backward_norms(device);
        buffers.poolings(device);
        buffers.dense_layers(device);
        buffers.training(device);
        buffers.pictures(device);
        buffers.shapes(device);
    });
    assert!(result.is_ok(), "{result:?}");
}

pub(super) fn is_too_short(call: &str, result: Result<()>) {
    let is_refused = matches!(result, Err(DeviceFault::TooShort { .. }));
    assert!(is_refused, "{call}: a short buffer: {result:?}");
}

fn has_odd_channels(call: &str, result: Result<()>) {
    let is_refused = matches!(result, Err(DeviceFault::Channels { .. }));
    assert!(is_refused, "{call}: odd channels: {result:?}");
}

pub(super) fn has_no_such_shape(call: &str, result: Result<()>) {
    let is_refused = matches!(result, Err(DeviceFault::Shape { .. }));
    assert!(is_refused, "{call}: a shape: {result:?}");
}

/// Long enough for every call here, and too short for every one.
pub(super) struct Buffers<D: Device> {
    pub(super) map: D::Map,
    pub(super) other: D::Map,
    pub(super) target: D::Map,
    pub(super) short: D::Map,
    pub(super) floats: D::Floats,
    pub(super) more: D::Floats,
    pub(super) result: D::Floats,
    pub(super) short_floats: D::Floats,
    pub(super) bytes: D::Bytes,
    pub(super) short_bytes: D::Bytes,
}

impl<D: Device> Buffers<D> {
    pub(super) fn new(device: &D) -> Result<Self> {
        Ok(Self {
            map: device.map(2048)?,
            other: device.map(2048)?,
            target: device.map(2048)?,
            short: device.map(1)?,
            floats: device.floats(2048)?,
            more: device.floats(2048)?,
            result: device.floats(2048)?,
            short_floats: device.floats(1)?,
            bytes: device.bytes(2048)?,
            short_bytes: device.bytes(1)?,
        })
    }

    fn shapes(&mut self, device: &D) {
        let Self {
            map,
            other,
            target,
            floats,
            more,
            result,
            bytes,
            ..
        } = self;
        let conv = ConvShape {
            out_channels: 12,
            ..CONV
        };
        has_odd_channels(
            "conv_forward",
            device.conv_forward(&conv, map, other, 0, target),
        );
        let conv = ConvShape {
            channels: 12,
            ..CONV
        };
        has_odd_channels(
            "conv_forward",
            device.conv_forward(&conv, map, other, 0, target),
        );
        let of = Rows { channels: 12, ..OF };
        let moments = device.norm_moments(of, map, floats, more, PLACES, result);
        has_odd_channels("norm_moments", moments);
        let of = Rows { rows: 1, ..OF };
        let moments = device.norm_moments(of, map, floats, more, PLACES, result);
        has_no_such_shape("norm_moments", moments);
        let both = ((&*floats, 0), (&*floats, 8));
        let pool = PoolShape {
            channels: 4,
            ..POOL
        };
        let pooled = device.pool_forward(&pool, map, both.0, both.1, target, bytes);
        has_odd_channels("pool_forward", pooled);
        for (kernel, padding) in [([5, 5], [0, 0]), ([1, 3], [1, 1]), ([16, 16], [8, 8])] {
            let window = Window {
                kernel,
                padding,
                ..WINDOW
            };
            let pool = PoolShape { window, ..POOL };
            let pooled = device.pool_forward(&pool, map, both.0, both.1, target, bytes);
            has_no_such_shape("pool_forward", pooled);
        }
        let window = Window {
            kernel: [5, 5],
            ..WINDOW
        };
        let conv = ConvShape { window, ..CONV };
        has_no_such_shape(
            "conv_forward",
            device.conv_forward(&conv, map, other, 0, target),
        );
        has_odd_channels(
            "mean_of_places",
            device.mean_of_places(2, 3, 7, map, result),
        );
    }
}
