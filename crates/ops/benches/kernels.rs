//! The kernels of the fast path, one number at a time: `cargo bench -p cxr-ops`.
//!
//! For whoever changes a kernel. Whole layers and steps: `cxr bench ops`, `cxr bench step`.

use cxr_ops::kernels::Window;
use cxr_ops::kernels::conv::ConvShape;
use cxr_ops::nhwc::{
    Algorithms, BandMoments, Conv, Isa, NormRelu, Picked, Store, StoreWithMoments, Stored, max_pool,
};
use divan::{Bencher, counter::ItemsCount};

fn main() {
    divan::main();
}

/// Channels and side of the maps: ResNet's four stages.
const STAGES: [(usize, usize); 4] = [(64, 80), (128, 40), (256, 20), (512, 10)];
/// Images in a batch.
const IMAGES: usize = 4;

fn numbers(len: usize) -> Vec<f32> {
    (0..len).map(|i| (i % 17) as f32 / 8.0 - 1.0).collect()
}

fn conv(isa: Isa, (channels, side): (usize, usize), algorithms: Option<Algorithms>) -> Conv {
    let shape = ConvShape {
        images: IMAGES,
        channels,
        out_channels: channels,
        window: Window {
            input: [side; 2],
            kernel: [3; 2],
            stride: 1,
            padding: [1; 2],
        },
    };
    Conv::with_algorithms(
        isa,
        shape,
        algorithms.unwrap_or_else(|| Algorithms::of(&shape)),
    )
}

/// Multiplications and additions of the definition.
fn flop(conv: &Conv) -> ItemsCount {
    let shape = conv.shape();
    ItemsCount::new(2 * shape.output_len() * shape.channels * shape.window.taps())
}

fn forward(bencher: Bencher<'_, '_>, conv: Conv) {
    let (input, weight) = (
        numbers(conv.shape().input_len()),
        numbers(conv.shape().weight_len()),
    );
    let (mut packed, mut output) = (Vec::new(), vec![0.0; conv.shape().output_len()]);
    conv.pack_forward(&weight, &mut packed);
    let input = Stored {
        size: conv.input_size(),
        data: &input,
    };
    bencher.counter(flop(&conv)).bench_local(|| {
        conv.forward(
            &packed,
            &input,
            Store {
                output: &mut output,
            },
        );
    });
}

#[divan::bench(args = STAGES)]
fn winograd(bencher: Bencher<'_, '_>, stage: (usize, usize)) {
    forward(bencher, conv(Isa::best(), stage, None));
}

#[divan::bench(args = STAGES)]
fn direct(bencher: Bencher<'_, '_>, stage: (usize, usize)) {
    forward(
        bencher,
        conv(Isa::best(), stage, Some(Algorithms::direct())),
    );
}

#[divan::bench(args = [Isa::Avx512, Isa::Avx2, Isa::Portable])]
fn winograd_of_64_channels(bencher: Bencher<'_, '_>, isa: Isa) {
    if isa.is_available() {
        forward(bencher, conv(isa, STAGES[0], None));
    }
}

#[divan::bench(args = STAGES)]
fn weight_gradient(bencher: Bencher<'_, '_>, stage: (usize, usize)) {
    let conv = conv(Isa::best(), stage, None);
    let (input, gradient) = (
        numbers(conv.shape().input_len()),
        numbers(conv.shape().output_len()),
    );
    let (mut memory, mut of_weight) = (Vec::new(), vec![0.0; conv.shape().weight_len()]);
    let (input_size, output_size) = (conv.input_size(), conv.output_size());
    bencher.counter(flop(&conv)).bench_local(|| {
        let input = Stored {
            size: input_size,
            data: &input,
        };
        let gradient = Stored {
            size: output_size,
            data: &gradient,
        };
        conv.weight_gradient(&input, &gradient, &mut memory, &mut of_weight);
    });
}

#[divan::bench(args = STAGES)]
fn pack_forward(bencher: Bencher<'_, '_>, stage: (usize, usize)) {
    let conv = conv(Isa::best(), stage, None);
    let (weight, mut packed) = (numbers(conv.shape().weight_len()), Vec::new());
    bencher.bench_local(|| conv.pack_forward(&weight, &mut packed));
}

/// What reading a normalised map and measuring the output add to a convolution.
#[divan::bench(args = STAGES)]
fn winograd_between_norms(bencher: Bencher<'_, '_>, stage: (usize, usize)) {
    let conv = conv(Isa::best(), stage, None);
    let (input, weight) = (
        numbers(conv.shape().input_len()),
        numbers(conv.shape().weight_len()),
    );
    let (mut packed, mut output) = (Vec::new(), vec![0.0; conv.shape().output_len()]);
    conv.pack_forward(&weight, &mut packed);
    let (scale, shift) = (vec![0.5; stage.0], vec![0.1; stage.0]);
    let mut moments = BandMoments::default();
    let input = NormRelu {
        input: Stored {
            size: conv.input_size(),
            data: &input,
        },
        scale: &scale,
        shift: &shift,
    };
    bencher.counter(flop(&conv)).bench_local(|| {
        let sink = StoreWithMoments {
            output: &mut output,
            moments: &mut moments,
        };
        conv.forward(&packed, &input, sink);
    });
}

/// The stem's pooling.
#[divan::bench]
fn stem_pooling(bencher: Bencher<'_, '_>) {
    let window = Window {
        input: [160; 2],
        kernel: [3; 2],
        stride: 2,
        padding: [1; 2],
    };
    let size = cxr_ops::nhwc::MapSize {
        height: 160,
        width: 160,
        channels: 64,
    };
    let (input, n) = (
        numbers(IMAGES * size.len()),
        IMAGES * window.output_places() * 64,
    );
    let (mut output, mut values, mut places) = (vec![0.0; n], vec![0.0; n], vec![0; n]);
    let input = Stored { size, data: &input };
    bencher.bench_local(|| {
        let picked = Picked {
            values: &mut values,
            places: &mut places,
            from: input,
        };
        max_pool(
            Isa::best(),
            IMAGES,
            &window,
            &input,
            &mut output,
            Some(picked),
        );
    });
}
