//! `cxr bench ops`: milliseconds and GFLOP/s of each kind of layer, in its three directions.

use std::time::Instant;

use cxr_ops::kernels::Window;
use cxr_ops::kernels::conv::ConvShape;
use cxr_ops::nhwc::{Algorithm, Algorithms, Conv, Isa, Store, Stored};
use serde::Serialize;

use super::{Outcome, Setting, median};
use crate::console::Console;
use crate::failure::Failure;

/// What can be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Images in a batch.
    #[arg(long, default_value_t = 16)]
    batch: usize,
    /// Repetitions, of which the median counts.
    #[arg(long, default_value_t = 5)]
    steps: usize,
    /// Only the layers whose name holds this.
    #[arg(long)]
    layer: Option<String>,
    /// Also the algorithm that the table does not choose.
    #[arg(long)]
    all_algorithms: bool,
    #[command(flatten)]
    pub(super) setting: Setting,
}

/// Name, channels in and out, side of the input, [kernel, stride, padding].
type Layer = (&'static str, [usize; 2], usize, [usize; 3]);

/// The convolutions of both networks at 320², one of each kind.
const LAYERS: [Layer; 14] = [
    ("resnet stem 7×7/2 3→64", [3, 64], 320, [7, 2, 3]),
    ("resnet 3×3 64 at 80", [64, 64], 80, [3, 1, 1]),
    ("resnet 3×3/2 64→128", [64, 128], 80, [3, 2, 1]),
    ("resnet 1×1/2 64→128", [64, 128], 80, [1, 2, 0]),
    ("resnet 3×3 128 at 40", [128, 128], 40, [3, 1, 1]),
    ("resnet 3×3/2 128→256", [128, 256], 40, [3, 2, 1]),
    ("resnet 3×3 256 at 20", [256, 256], 20, [3, 1, 1]),
    ("resnet 3×3/2 256→512", [256, 512], 20, [3, 2, 1]),
    ("resnet 1×1/2 256→512", [256, 512], 20, [1, 2, 0]),
    ("resnet 3×3 512 at 10", [512, 512], 10, [3, 1, 1]),
    ("xray-cnn 3→16 at 320", [3, 16], 320, [3, 1, 1]),
    ("xray-cnn 16→32 at 160", [16, 32], 160, [3, 1, 1]),
    ("xray-cnn 32→64 at 80", [32, 64], 80, [3, 1, 1]),
    ("xray-cnn 64→128 at 40", [64, 128], 40, [3, 1, 1]),
];

#[derive(Debug, Serialize)]
struct Row {
    layer: &'static str,
    isa: &'static str,
    algorithm: &'static str,
    /// Of the definition: 2 · output · window.
    gflop: f64,
    pack_forward: f64,
    forward: f64,
    pack_backward: f64,
    input_gradient: f64,
    weight_gradient: f64,
}

pub(crate) fn run(args: &Args, console: Console) -> Result<Outcome, Failure> {
    let isa = args.setting.apply()?;
    let wanted = |name: &str| args.layer.as_ref().is_none_or(|part| name.contains(part));
    let mut rows = Vec::new();
    for layer in LAYERS.iter().filter(|(name, ..)| wanted(name)) {
        let shape = shape(args.batch.max(1), layer);
        let chosen = Algorithms::of(&shape);
        rows.push(measure(layer.0, isa, shape, chosen, args.steps));
        if args.all_algorithms && chosen.forward != Algorithm::Direct {
            rows.push(measure(
                layer.0,
                isa,
                shape,
                Algorithms::direct(),
                args.steps,
            ));
        }
    }
    if console.wants_json() {
        console.json(&rows)?;
    } else {
        print(&rows, console);
    }
    Ok(Outcome::Done)
}

fn shape(
    images: usize,
    (_, [channels, out_channels], side, [kernel, stride, padding]): &Layer,
) -> ConvShape {
    ConvShape {
        images,
        channels: *channels,
        out_channels: *out_channels,
        window: Window {
            input: [*side; 2],
            kernel: [*kernel; 2],
            stride: *stride,
            padding: [*padding; 2],
        },
    }
}

fn measure(
    layer: &'static str,
    isa: Isa,
    shape: ConvShape,
    algorithms: Algorithms,
    steps: usize,
) -> Row {
    let conv = Conv::with_algorithms(isa, shape, algorithms);
    let numbers = |len: usize, period: usize| -> Vec<f32> {
        let middle = period as f32 / 2.0;
        (0..len)
            .map(|i| ((i % period) as f32 - middle) / middle)
            .collect()
    };
    let (input, weight) = (
        numbers(shape.input_len(), 17),
        numbers(shape.weight_len(), 13),
    );
    let gradient = numbers(shape.output_len(), 11);
    let input = Stored {
        size: conv.input_size(),
        data: &input,
    };
    let gradient = Stored {
        size: conv.output_size(),
        data: &gradient,
    };
    let mut output = vec![0.0; shape.output_len()];
    let mut of_input = vec![0.0; shape.input_len()];
    let mut of_weight = vec![0.0; shape.weight_len()];
    let (mut forward, mut backward, mut memory) = (Vec::new(), Vec::new(), Vec::new());
    let mut times: [Vec<f64>; 5] = Default::default();
    for step in 0..steps + 1 {
        let mut clock = Instant::now();
        let mut lap = || {
            std::mem::replace(&mut clock, Instant::now())
                .elapsed()
                .as_secs_f64()
        };
        conv.pack_forward(&weight, &mut forward);
        let pack_forward = lap();
        conv.forward(
            &forward,
            &input,
            Store {
                output: &mut output,
            },
        );
        let run_forward = lap();
        conv.pack_backward(&weight, &mut backward);
        let pack_backward = lap();
        let sink = Store {
            output: &mut of_input,
        };
        conv.input_gradient(&backward, &gradient, sink);
        let input_gradient = lap();
        conv.weight_gradient(&input, &gradient, &mut memory, &mut of_weight);
        let parts = [
            pack_forward,
            run_forward,
            pack_backward,
            input_gradient,
            lap(),
        ];
        if step > 0 {
            for (times, part) in times.iter_mut().zip(parts) {
                times.push(part);
            }
        }
    }
    let window = (shape.channels * shape.window.taps()) as f64;
    let [
        pack_forward,
        run_forward,
        pack_backward,
        input_gradient,
        weight_gradient,
    ] = times.map(|times| median(times.into_iter()));
    Row {
        layer,
        isa: isa.name(),
        algorithm: conv.algorithms().forward.name(),
        gflop: 2.0 * shape.output_len() as f64 * window / 1e9,
        pack_forward,
        forward: run_forward,
        pack_backward,
        input_gradient,
        weight_gradient,
    }
}

fn print(rows: &[Row], console: Console) {
    console.line("milliseconds (GFLOP/s of the definition); packing of the kernel apart");
    console.line(format_args!(
        "{:24} {:9} {:>15} {:>15} {:>15} {:>11}",
        "layer", "algorithm", "forward", "d input", "d weight", "packing"
    ));
    for row in rows {
        let cell = |seconds: f64| format!("{:.1} ({:.0})", seconds * 1e3, row.gflop / seconds);
        console.line(format_args!(
            "{:24} {:9} {:>15} {:>15} {:>15} {:>11}",
            row.layer,
            row.algorithm,
            cell(row.forward),
            cell(row.input_gradient),
            cell(row.weight_gradient),
            format!(
                "{:.1} + {:.1}",
                row.pack_forward * 1e3,
                row.pack_backward * 1e3
            ),
        ));
    }
}
