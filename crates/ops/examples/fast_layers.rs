use cxr_ops::kernels::Window;
use cxr_ops::kernels::conv::ConvShape;
use cxr_ops::nhwc::*;
use std::time::Instant;
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let batch: usize = args.get(1).map_or(16, |a| a.parse().unwrap());
    let isa: Isa = args.get(2).map_or(Isa::best(), |a| a.parse().unwrap());
    let only: Option<&String> = args.get(3);
    let layers = [
        ("stem", 3, 64, 320, 7, 2, 3),
        ("l1", 64, 64, 80, 3, 1, 1),
        ("l2s", 64, 128, 80, 3, 2, 1),
        ("l2d", 64, 128, 80, 1, 2, 0),
        ("l2", 128, 128, 40, 3, 1, 1),
        ("l3s", 128, 256, 40, 3, 2, 1),
        ("l3", 256, 256, 20, 3, 1, 1),
        ("l4s", 256, 512, 20, 3, 2, 1),
        ("l4d", 256, 512, 20, 1, 2, 0),
        ("l4", 512, 512, 10, 3, 1, 1),
        ("x1", 3, 16, 320, 3, 1, 1),
        ("x2", 16, 32, 160, 3, 1, 1),
        ("x3", 32, 64, 80, 3, 1, 1),
        ("x4", 64, 128, 40, 3, 1, 1),
    ];
    for (name, ci, co, h, k, s, p) in layers {
        if only.is_some_and(|o| o != name) {
            continue;
        }
        let window = Window {
            input: [h, h],
            kernel: [k, k],
            stride: s,
            padding: [p, p],
        };
        let shape = ConvShape {
            images: batch,
            channels: ci,
            out_channels: co,
            window,
        };
        for algorithms in [Algorithms::of(&shape), Algorithms::direct()] {
            let c = Conv::with_algorithms(isa, shape, algorithms);
            let x: Vec<f32> = (0..shape.input_len())
                .map(|i| (i % 17) as f32 * 0.1 - 0.8)
                .collect();
            let w: Vec<f32> = (0..shape.weight_len())
                .map(|i| (i % 13) as f32 * 0.1 - 0.6)
                .collect();
            let g: Vec<f32> = (0..shape.output_len())
                .map(|i| (i % 11) as f32 * 0.1 - 0.5)
                .collect();
            let mut y = vec![0f32; shape.output_len()];
            let mut dx = vec![0f32; shape.input_len()];
            let mut dw = vec![0f32; shape.weight_len()];
            let (mut pf, mut pb, mut mem) = (vec![], vec![], vec![]);
            let xs = Stored {
                size: c.input_size(),
                data: &x,
            };
            let gs = Stored {
                size: c.output_size(),
                data: &g,
            };
            let mut best = [f64::MAX; 5];
            for _ in 0..4 {
                let mut t = [0.0; 5];
                let i = Instant::now();
                c.pack_forward(&w, &mut pf);
                t[0] = i.elapsed().as_secs_f64();
                let i = Instant::now();
                c.forward(&pf, &xs, Store { output: &mut y });
                t[1] = i.elapsed().as_secs_f64();
                let i = Instant::now();
                c.pack_backward(&w, &mut pb);
                t[2] = i.elapsed().as_secs_f64();
                let i = Instant::now();
                c.input_gradient(&pb, &gs, Store { output: &mut dx });
                t[3] = i.elapsed().as_secs_f64();
                let i = Instant::now();
                c.weight_gradient(&xs, &gs, &mut mem, &mut dw);
                t[4] = i.elapsed().as_secs_f64();
                for (b, t) in best.iter_mut().zip(t) {
                    *b = b.min(t);
                }
            }
            let gf = 2.0 * shape.output_len() as f64 * (ci * k * k) as f64 / 1e9;
            println!(
                "{name:5} {:9} pack {:5.1} fwd {:6.1} ms {:5.0} GF/s | pack {:5.1} dx {:6.1} {:5.0} | dw {:6.1} {:5.0}",
                c.algorithms().forward.name(),
                best[0] * 1e3,
                best[1] * 1e3,
                gf / best[1],
                best[2] * 1e3,
                best[3] * 1e3,
                gf / best[3],
                best[4] * 1e3,
                gf / best[4]
            );
            if c.algorithms() == Algorithms::direct() {
                break;
            }
        }
    }
}
