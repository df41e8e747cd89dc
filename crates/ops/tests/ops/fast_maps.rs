//! What the tests of the fast path share: instruction sets, axis orders, and convolutions of many
//! shapes whose output goes into whatever is tested.

use crate::reference::values;
use cxr_ops::kernels::Window;
use cxr_ops::kernels::conv::ConvShape;
use cxr_ops::nhwc::{Conv, Isa, MapSize, Sink, Source, Store, Stored};

/// The instruction sets of this machine.
pub(crate) fn sets() -> impl Iterator<Item = Isa> {
    Isa::ALL.into_iter().filter(|isa| isa.is_available())
}

/// [N, C, P] → [N, P, C].
pub(crate) fn to_nhwc<T: Copy>(images: usize, channels: usize, data: &[T]) -> Vec<T> {
    let places = data.len() / images / channels;
    let mut out = Vec::with_capacity(data.len());
    for image in data.chunks_exact(channels * places) {
        for place in 0..places {
            out.extend((0..channels).map(|channel| image[channel * places + place]));
        }
    }
    out
}

/// [N, P, C] → [N, C, P].
pub(crate) fn to_nchw<T: Copy>(images: usize, channels: usize, data: &[T]) -> Vec<T> {
    to_nhwc(images, data.len() / images / channels, data)
}

pub(crate) fn map(height: usize, width: usize, channels: usize) -> MapSize {
    MapSize {
        height,
        width,
        channels,
    }
}

/// Every row of every image of a source, over poison.
pub(crate) fn rows_of(images: usize, source: &impl Source) -> Vec<f32> {
    let size = source.size();
    let mut rows = vec![f32::NAN; images * size.len()];
    for (index, row) in rows.chunks_exact_mut(size.row_len()).enumerate() {
        source.row(index / size.height, index % size.height, row);
    }
    rows
}

pub(crate) fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|number| number.to_bits()).collect()
}

/// A square kernel over maps.
pub(crate) fn conv_shape(
    images: usize,
    input: MapSize,
    out_channels: usize,
    [kernel, stride, padding]: [usize; 3],
) -> ConvShape {
    ConvShape {
        images,
        channels: input.channels,
        out_channels,
        window: Window {
            input: [input.height, input.width],
            kernel: [kernel; 2],
            stride,
            padding: [padding; 2],
        },
    }
}

/// Gives a map as it is to a sink, by a 1×1 convolution with the unit matrix.
pub(crate) fn give_map(isa: Isa, images: usize, size: MapSize, data: &[f32], sink: impl Sink) {
    let n = size.channels;
    let conv = Conv::new(isa, conv_shape(images, size, n, [1, 1, 0]));
    let unit: Vec<f32> = (0..n * n)
        .map(|place| f32::from(u8::from(place / n == place % n)))
        .collect();
    let mut packed = Vec::new();
    conv.pack_forward(&unit, &mut packed);
    conv.forward(&packed, &Stored { size, data }, sink);
}

/// Which of a convolution's results goes to a sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Output,
    InputGradient,
}

/// A convolution of random numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Producer {
    shape: ConvShape,
    side: Side,
}

impl Producer {
    /// Maps of several bands, bands of several images with a short last one, one place, odd sizes,
    /// strides, channels of less than a vector and of more than a panel, by both algorithms.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let shapes = [
            conv_shape(2, map(37, 45, 3), 7, [3, 1, 1]),
            conv_shape(2, map(37, 45, 16), 16, [3, 1, 1]),
            conv_shape(11, map(9, 7, 3), 35, [3, 1, 1]),
            conv_shape(19, map(6, 5, 16), 48, [3, 1, 1]),
            conv_shape(3, map(13, 10, 5), 4, [1, 2, 0]),
            conv_shape(1, map(31, 50, 2), 9, [4, 3, 2]),
            conv_shape(1, map(1, 1, 3), 2, [1, 1, 0]),
        ];
        let sides = [Side::Output, Side::InputGradient];
        let each = move |shape| sides.map(|side| Self { shape, side });
        shapes.into_iter().flat_map(each)
    }

    pub(crate) fn images(&self) -> usize {
        self.shape.images
    }

    /// What each image of the result is.
    pub(crate) fn size(&self) -> MapSize {
        let conv = Conv::new(Isa::Portable, self.shape);
        match self.side {
            Side::Output => conv.output_size(),
            Side::InputGradient => conv.input_size(),
        }
    }

    /// Numbers in the result.
    pub(crate) fn len(&self) -> usize {
        self.images() * self.size().len()
    }

    pub(crate) fn give(&self, isa: Isa, sink: impl Sink) {
        let conv = Conv::new(isa, self.shape);
        let weight = values(2, self.shape.weight_len());
        let mut packed = Vec::new();
        match self.side {
            Side::Output => {
                let (size, data) = (conv.input_size(), values(1, self.shape.input_len()));
                conv.pack_forward(&weight, &mut packed);
                conv.forward(&packed, &Stored { size, data: &data }, sink);
            }
            Side::InputGradient => {
                let (size, data) = (conv.output_size(), values(1, self.shape.output_len()));
                conv.pack_backward(&weight, &mut packed);
                conv.input_gradient(&packed, &Stored { size, data: &data }, sink);
            }
        }
    }

    /// The result as it is, [N, H, W, C].
    pub(crate) fn raw(&self, isa: Isa) -> Vec<f32> {
        let mut output = vec![f32::NAN; self.len()];
        self.give(
            isa,
            Store {
                output: &mut output,
            },
        );
        output
    }
}
